//! Errors of the test bed: the operation, the cause, and the next step.

use std::fmt;
use std::time::Duration;

/// The result of all operations of the test bed.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host lacks something, or a file or a process of the host failed.
    Host,
    /// QEMU did not start, ended, or refused an order.
    Machine,
    /// The agent in dom0 cannot be reached or refused.
    Agent,
    /// A command in dom0 (`xl create`, for instance) ended with an error.
    Command,
    /// A wait has taken too long.
    Timeout,
    /// The guest ended while something was expected of it.
    GuestEnded,
    /// A configuration is not as it should be.
    Config,
}

/// A failure: what failed, the cause, the next step.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    doing: String,
    cause: Option<String>,
    next: Option<String>,
}

impl Error {
    /// An error of that kind; `doing` says what failed, in words.
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), cause: None, next: None }
    }

    /// An error of the host: a file, a process, a missing program.
    pub fn host(doing: impl Into<String>) -> Self {
        Self::new(Kind::Host, doing)
    }

    /// Something that did not happen in `limit`.
    pub fn timeout(what: impl fmt::Display, limit: Duration) -> Self {
        Self::new(Kind::Timeout, format!("{what} did not happen within {:.1} s", limit.as_secs_f64()))
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds the next step for the reader.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// The kind of the failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {}", cause.trim_end())?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Adds the operation to the errors of the standard library.
pub(crate) trait Doing<T> {
    /// Turns the error into an [`Error`] of the host for this operation.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::host(what()).because(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_cause_and_next_step() {
        let error = Error::host("reading x").because("no such file\n").next("make x");
        assert_eq!(error.to_string(), "reading x: no such file\n  next: make x");
        assert_eq!(error.kind(), Kind::Host);
    }
}
