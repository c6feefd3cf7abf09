//! Errors, in words for a person, and the exit codes for scripts.

use datafront::block::{LedgerFault, Status};
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a push failed.
#[derive(Debug)]
pub enum Error {
    /// There is no such domain.
    NoSuchDomain(String),
    /// The domain offers no channel at this path.
    NoDatafront {
        /// The domain, as it was asked for.
        domain: String,
        /// Where a channel was looked for.
        path: String,
    },
    /// No domain offers a channel of this name.
    NobodyOffers(String),
    /// The application in the guest refused blocks.
    Refused(Vec<(String, Status)>),
    /// Nothing moved for this long.
    TimedOut {
        /// How long.
        after: Duration,
        /// The awaited event.
        awaited: &'static str,
        /// The last message of the connection, if any.
        said: String,
    },
    /// The source cannot be read.
    Source(String, io::Error),
    /// A tool of dom0 is missing or fails.
    Tool(String, io::Error),
    /// The guest broke the protocol.
    Protocol(LedgerFault),
    /// The application in the guest was restarted after it had acknowledged this many blocks of this push.
    Restarted(usize),
}

impl Error {
    /// The exit code; 2 is clap's for a command line that is wrong.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoSuchDomain(_) => 3,
            Self::NoDatafront { .. } | Self::NobodyOffers(_) => 4,
            Self::Refused(_) => 5,
            Self::TimedOut { .. } => 6,
            Self::Source(..) => 7,
            Self::Tool(..) => 8,
            Self::Protocol(_) => 9,
            Self::Restarted(_) => 10,
        }
    }

    /// A short name, for `--json`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoSuchDomain(_) => "no-such-domain",
            Self::NoDatafront { .. } | Self::NobodyOffers(_) => "no-datafront",
            Self::Refused(_) => "refused",
            Self::TimedOut { .. } => "timed-out",
            Self::Source(..) => "source",
            Self::Tool(..) => "tool",
            Self::Protocol(_) => "protocol",
            Self::Restarted(_) => "restarted",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchDomain(name) => write!(f, "no such domain: {name}; `xl list` shows which there are"),
            Self::NoDatafront { domain, path } => {
                write!(
                    f,
                    "{domain} offers no datafront at {path}; does it run an appliance that takes pushes?"
                )
            }
            Self::NobodyOffers(port) => {
                write!(f, "no domain offers the channel data/vchan/0/{port}; `xl list` shows which there are")
            }
            Self::Refused(all) => {
                for (i, (name, status)) in all.iter().enumerate() {
                    write!(f, "{}{name}: refused: {status}", if i > 0 { "\n" } else { "" })?;
                }
                Ok(())
            }
            Self::TimedOut { after, awaited, said } => {
                write!(f, "timed out: {awaited} for {} s", after.as_secs())?;
                if said.is_empty() { Ok(()) } else { write!(f, " ({said})") }
            }
            Self::Source(what, error) => write!(f, "{what}: {error}"),
            Self::Tool(what, error) => write!(f, "{what}: {error}; it runs in dom0 and needs Xen's tools"),
            Self::Protocol(fault) => fault.fmt(f),
            Self::Restarted(count) => write!(
                f,
                "the guest was restarted during the push: {count} blocks that it had acknowledged may be lost; push again"
            ),
        }
    }
}

impl std::error::Error for Error {}

impl From<LedgerFault> for Error {
    fn from(fault: LedgerFault) -> Self {
        Self::Protocol(fault)
    }
}
