//! Frames: 32 bytes of header and a name; for a block its bytes and 8 bytes after them. All numbers are little endian.
//!
//! ```text
//!   0        4         5      6          8      16       24     28     32
//!   | "MPB1" | version | kind | name_len | seq  | length | aux  | crc  | name …
//!   block:   … length bytes …  | crc of them u32 | fate u32 |
//! ```
//!
//! | kind | from | seq | length | aux |
//! |---|---|---|---|---|
//! | 1 HELLO | sender | first unacknowledged, 0: tell me | stream | [`WANTS_STOP`], [`WANTS_BOUND`] |
//! | 2 WELCOME | receiver | last completed | receiver's instance | window, blocks |
//! | 3 BLOCK | sender | its number, from 1 | bytes | [`Form`] and [`Part`] |
//! | 4 ACK | receiver | of the block | bytes that were taken | [`Status`](super::Status) |
//! | 5 ERROR | receiver | last completed | 0 | [`Fault`](super::Fault) |
//! | 6 STOP | receiver | of the block under way | 0 | [`Status`](super::Status) by which it is refused |
//!
//! Checks are CRC-32C: the header's over bytes 0 to 28 and the name; WELCOME's over the stream too, if HELLO wants that. A view that was parsed cannot fail later.

use super::check::check;

pub use super::check::Sum;

/// Bytes of a header, without the name.
pub const HEADER_BYTES: usize = 32;
/// Bytes after a block's own.
pub const TRAILER_BYTES: usize = 8;
/// Bytes of a name, at most.
pub const MAX_NAME_BYTES: usize = 255;
/// Bytes of a block, at most: 1 GiB.
pub const MAX_BLOCK_BYTES: u64 = 1 << 30;
/// The version of this format.
pub const VERSION: u8 = 1;
/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"MPB1";

/// Bit of HELLO's `aux`: the sender takes STOP, by which it need not send the rest of a block that is refused.
pub const WANTS_STOP: u32 = 1;

/// Bit of HELLO's `aux`: the check of WELCOME covers the stream too, as 8 bytes after byte 28. The answer to the HELLO of a sender
/// that has left comes to whoever has the channel next: to that one it is no frame.
pub const WANTS_BOUND: u32 = 2;

/// Header and the longest name.
pub const MAX_HEAD_BYTES: usize = HEADER_BYTES + MAX_NAME_BYTES;

impl Sum {
    /// The end of a block: its checksum, and whether it is complete or aborted.
    #[must_use]
    pub fn trailer(self, fate: Fate) -> [u8; TRAILER_BYTES] {
        (u64::from(self.value()) | u64::from(fate.raw()) << 32).to_le_bytes()
    }
}

/// How a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is whole.
    Whole,
    /// The sender could not go on and filled it up.
    Aborted,
}

impl Fate {
    const fn raw(self) -> u32 {
        match self {
            Self::Whole => 0,
            Self::Aborted => 1,
        }
    }
}

/// The form of a block's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Bytes.
    Bytes,
    /// A tree of files as a POSIX ustar archive.
    Tree,
    /// Secrets, such as private keys: never published, kept out of checks that are shown, wiped from the buffer. Always
    /// [`Part::Whole`].
    Secret,
    /// Bytes that follow those of the blocks before of this name, over all streams: a log. Always [`Part::Whole`].
    Append,
}

impl Form {
    const fn raw(self) -> u32 {
        match self {
            Self::Bytes => 0,
            Self::Tree => 1,
            Self::Secret => SECRET,
            Self::Append => APPEND,
        }
    }

    /// A BLOCK's `aux` for a block that is this whole, or a part of it.
    #[must_use]
    pub const fn aux(self, part: Part) -> u32 {
        self.raw() | part.raw()
    }

    /// What a BLOCK's `aux` says; `None` for a form of a later version.
    #[must_use]
    pub const fn from_aux(aux: u32) -> Option<(Self, Part)> {
        match aux {
            SECRET => return Some((Self::Secret, Part::Whole)),
            APPEND => return Some((Self::Append, Part::Whole)),
            _ => {}
        }
        let part = match aux & !1 {
            0 => Part::Whole,
            MORE => Part::First,
            6 => Part::Middle,
            CONTINUES => Part::Last,
            _ => return None,
        };
        Some((if aux & 1 == 0 { Self::Bytes } else { Self::Tree }, part))
    }
}

/// Value of `aux`: the bytes are secret.
const SECRET: u32 = 8;
/// Value of `aux`: the bytes are appended.
const APPEND: u32 = 16;
/// Bit of `aux`: the next block of this name goes on with this one's bytes.
const MORE: u32 = 2;
/// Bit of `aux`: the bytes go on with those of the block before of this name.
const CONTINUES: u32 = 4;

/// The part of a content that a block is: content of unknown length is sent in several blocks of one name and one
/// stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first; others follow.
    First,
    /// Neither the first nor the last.
    Middle,
    /// The last.
    Last,
}

impl Part {
    const fn raw(self) -> u32 {
        match self {
            Self::Whole => 0,
            Self::First => MORE,
            Self::Middle => MORE | CONTINUES,
            Self::Last => CONTINUES,
        }
    }

    /// Whether parts come before this one.
    #[must_use]
    pub const fn continues(self) -> bool {
        self.raw() & CONTINUES != 0
    }

    /// Whether parts come after this one.
    #[must_use]
    pub const fn has_more(self) -> bool {
        self.raw() & MORE != 0
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sender begins.
    Hello,
    /// A receiver answers.
    Welcome,
    /// A block.
    Block,
    /// A block was completed.
    Ack,
    /// The receiver ends the connection.
    Error,
    /// The receiver refuses the block under way, whose other bytes are not needed.
    Stop,
}

impl Kind {
    const fn raw(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Welcome => 2,
            Self::Block => 3,
            Self::Ack => 4,
            Self::Error => 5,
            Self::Stop => 6,
        }
    }

    const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            1 => Some(Self::Hello),
            2 => Some(Self::Welcome),
            3 => Some(Self::Block),
            4 => Some(Self::Ack),
            5 => Some(Self::Error),
            6 => Some(Self::Stop),
            _ => None,
        }
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They do not begin with [`MAGIC`].
    Magic,
    /// Another version.
    Version(u8),
    /// No such kind.
    Kind(u8),
    /// A name where none belongs, or one that is too long.
    NameLength(u16),
    /// The check is wrong.
    Check,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The kind.
    pub kind: Kind,
    /// See the table above.
    pub seq: u64,
    /// See the table above.
    pub length: u64,
    /// See the table above.
    pub aux: u32,
}

impl Frame {
    /// The length of header and name, from the first 32 bytes.
    ///
    /// # Errors
    /// The error in them; [`Frame::parse`] checks the checksum.
    pub fn head_len(head: &[u8; HEADER_BYTES]) -> Result<usize, Malformed> {
        let [m0, m1, m2, m3, version, kind, n0, n1, ..] = *head;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(Malformed::Magic);
        }
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let kind = Kind::from_raw(kind).ok_or(Malformed::Kind(kind))?;
        let name_len = u16::from_le_bytes([n0, n1]);
        let most = if kind == Kind::Block { MAX_NAME_BYTES } else { 0 };
        if usize::from(name_len) > most {
            return Err(Malformed::NameLength(name_len));
        }
        Ok(HEADER_BYTES.saturating_add(usize::from(name_len)))
    }

    /// Parses a header and its name; `name` is the rest after 32 bytes, as long as [`Frame::head_len`] says.
    ///
    /// # Errors
    /// The error in it.
    pub fn parse(head: &[u8; HEADER_BYTES], name: &[u8]) -> Result<Self, Malformed> {
        Self::head_len(head)?;
        Self::verify(head, name)
    }

    /// Parses a frame of a receiver, which has no name, in answer to a HELLO of `stream`. A receiver that does not know
    /// [`WANTS_BOUND`] sends a WELCOME that is not bound.
    ///
    /// # Errors
    /// The error in it; [`Malformed::Check`] for the WELCOME of another stream.
    pub fn parse_answer(head: &[u8; HEADER_BYTES], stream: u64) -> Result<Self, Malformed> {
        Self::head_len(head)?;
        match Self::verify(head, &stream.to_le_bytes()) {
            Ok(frame) if frame.kind == Kind::Welcome => Ok(frame),
            _ => Self::verify(head, &[]),
        }
    }

    /// As [`Frame::parse`], of a header that [`Frame::head_len`] has seen.
    pub(crate) fn verify(head: &[u8; HEADER_BYTES], name: &[u8]) -> Result<Self, Malformed> {
        let mut sum = check();
        sum.update(head.get(..28).unwrap_or_default());
        sum.update(name);
        let (words, _) = head.as_chunks::<4>();
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        if u32::from_le_bytes(word(7)) != sum.finalize() {
            return Err(Malformed::Check);
        }
        let [_, _, _, _, _, kind, ..] = *head;
        let (longs, _) = head.as_chunks::<8>();
        let long = |at: usize| u64::from_le_bytes(longs.get(at).copied().unwrap_or_default());
        let kind = Kind::from_raw(kind).ok_or(Malformed::Kind(kind))?;
        Ok(Self { kind, seq: long(1), length: long(2), aux: u32::from_le_bytes(word(6)) })
    }

    /// The header's bytes; `name` follows it. A name that is too long is cut: callers check it.
    #[must_use]
    pub fn to_bytes(&self, name: &str) -> [u8; HEADER_BYTES] {
        self.covering(u16::try_from(name.len()).unwrap_or(u16::MAX), name.as_bytes())
    }

    /// The bytes of a WELCOME that is bound to a stream: see [`WANTS_BOUND`].
    #[must_use]
    pub fn to_bytes_bound(&self, stream: u64) -> [u8; HEADER_BYTES] {
        self.covering(0, &stream.to_le_bytes())
    }

    fn covering(&self, name_len: u16, more: &[u8]) -> [u8; HEADER_BYTES] {
        let [n0, n1] = name_len.to_le_bytes();
        let [m0, m1, m2, m3] = MAGIC;
        let first = u64::from_le_bytes([m0, m1, m2, m3, VERSION, self.kind.raw(), n0, n1]);
        let mut words = [first, self.seq, self.length, u64::from(self.aux)];
        let mut sum = check();
        sum.update(bytes_of(words).get(..28).unwrap_or_default());
        sum.update(more);
        let [.., last] = &mut words;
        *last |= u64::from(sum.finalize()) << 32;
        bytes_of(words)
    }
}

/// Words as they stand in a header. (Byte by byte, a header took 150 instructions more.)
fn bytes_of(words: [u64; 4]) -> [u8; HEADER_BYTES] {
    let mut head = [0; HEADER_BYTES];
    let (places, _) = head.as_chunks_mut::<8>();
    for (place, word) in places.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    head
}

/// The check and the fate in a trailer; `None` for a fate that is none.
pub(crate) fn parse_trailer(trailer: [u8; TRAILER_BYTES]) -> (u32, Option<Fate>) {
    let [a, b, c, d, e, f, g, h] = trailer;
    let fate = match u32::from_le_bytes([e, f, g, h]) {
        0 => Some(Fate::Whole),
        1 => Some(Fate::Aborted),
        _ => None,
    };
    (u32::from_le_bytes([a, b, c, d]), fate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_and_part_are_the_documents_bits() {
        let all = [(Part::Whole, 0), (Part::First, 2), (Part::Middle, 6), (Part::Last, 4)];
        for (part, bits) in all {
            assert_eq!((Form::Bytes.aux(part), Form::Tree.aux(part)), (bits, bits + 1));
            assert_eq!(Form::from_aux(bits + 1), Some((Form::Tree, part)));
        }
        assert_eq!(
            (Form::Secret.aux(Part::Whole), Form::from_aux(8)),
            (8, Some((Form::Secret, Part::Whole)))
        );
        assert_eq!(
            (Form::Append.aux(Part::Whole), Form::from_aux(16)),
            (16, Some((Form::Append, Part::Whole)))
        );
        assert!(
            (9..64).all(|aux| aux == 16 || Form::from_aux(aux).is_none())
                && Form::from_aux(u32::MAX).is_none()
        );
    }

    #[test]
    fn a_header_has_the_documented_bytes_and_a_check() {
        let frame = Frame { kind: Kind::Block, seq: 7, length: 5, aux: 1 };
        let head = frame.to_bytes("a");
        assert_eq!(&head[..28], b"MPB1\x01\x03\x01\0\x07\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\0\0\0");
        assert_eq!(Frame::parse(&head, b"a"), Ok(frame));
        assert_eq!(Frame::head_len(&head), Ok(33));
        for bit in 0..256 {
            let mut bad = head;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&bad, b"a").is_err(), "bit {bit}");
        }
        assert_eq!(Frame::parse(&head, b"b"), Err(Malformed::Check));
    }
}
