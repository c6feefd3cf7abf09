//! Rules that a sender can break, with the codes of ERROR.

use super::wire::Malformed;
use core::fmt;

/// A rule that the sender broke. The numbers are those of the ERROR frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 1: bytes that are no frame.
    Malformed(Malformed),
    /// 2: something before HELLO.
    NoHello,
    /// 3: a second HELLO on a connection.
    SecondHello,
    /// 4: a frame that only a receiver sends.
    NotForUs,
    /// 5: a block whose number is not the next: blocks are missing.
    Gap {
        /// The number.
        seq: u64,
        /// The last completed.
        completed: u64,
    },
    /// 6: a block of more than 1 GiB.
    TooLong(u64),
    /// 7: a name that is not UTF-8.
    Name,
    /// 8: the block's check is wrong.
    BlockCheck(u64),
    /// 9: a fate that is none.
    Fate,
    /// 10: a block with the number 0, or beyond the last one.
    Number,
}

impl Fault {
    /// The number in the ERROR frame.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Malformed(_) => 1,
            Self::NoHello => 2,
            Self::SecondHello => 3,
            Self::NotForUs => 4,
            Self::Gap { .. } => 5,
            Self::TooLong(_) => 6,
            Self::Name => 7,
            Self::BlockCheck(_) => 8,
            Self::Fate => 9,
            Self::Number => 10,
        }
    }

    /// What a code means, for a sender that got it.
    #[must_use]
    pub const fn explain(code: u32) -> &'static str {
        match code {
            1 => "what was sent is no frame",
            2 => "a frame came before HELLO",
            3 => "a second HELLO came",
            4 => "a frame came that only a receiver sends",
            5 => "blocks are missing before the one that came",
            6 => "a block has more than 1 GiB",
            7 => "a name is not UTF-8",
            8 => "a block's check is wrong",
            9 => "a block ends in no known way",
            10 => "a block's number cannot be",
            _ => "an error of a later version",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({self:?})", Self::explain(self.code()))
    }
}

impl core::error::Error for Fault {}
