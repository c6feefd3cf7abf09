//! What can go wrong, in words for a person, and the exit codes by which scripts tell it apart: those of `push` and `receive`.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why it cannot go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest, or Xen's tools.
    Guest(push::Error),
    /// The folder, the state, the output or the command line.
    Here(receive::Error),
}

impl Failure {
    /// The command line asks for what cannot be.
    pub(crate) fn usage(what: &str) -> Self {
        Self::Here(receive::Error::Usage(what.to_owned()))
    }

    /// The guest cannot be reached.
    pub(crate) fn dial(error: io::Error, after: Duration) -> Self {
        Self::Guest(match error.kind() {
            io::ErrorKind::HostUnreachable => push::Error::NoSuchDomain(error.to_string()),
            io::ErrorKind::TimedOut => return Self::silent(after),
            _ => push::Error::Tool("the channel".into(), error),
        })
    }

    /// The guest did not answer.
    pub(crate) const fn silent(after: Duration) -> Self {
        let awaited = "no answer from the guest (or another pull is at work)";
        Self::Guest(push::Error::TimedOut { after, awaited, said: String::new() })
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Guest(error) => error.exit_code(),
            Self::Here(error) => error.exit_code(),
        }
    }

    /// A short name, for `--json`.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Guest(error) => error.name(),
            Self::Here(error) => error.name(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest(push::Error::NoDatafront { domain, path }) => write!(
                f,
                "{domain} offers no channel at {path}; does it run an appliance that sends blocks (web: app.log=drop)?"
            ),
            Self::Guest(error) => error.fmt(f),
            Self::Here(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<receive::Error> for Failure {
    fn from(error: receive::Error) -> Self {
        Self::Here(error)
    }
}
