//! Releases of Xen: each is one suite of Debian with its tools, libraries and kernel, never mixed.
//!
//! | `BED_XEN` | suite | Xen | Linux in dom0 |
//! |---|---|---|---|
//! | `4.14` | bullseye, Debian 11 | 4.14 | 5.10 |
//! | `4.17` | bookworm, Debian 12 | 4.17 | 6.1 |
//! | `4.20` | trixie, Debian 13 | 4.20 | 6.12 |
//! | `sid` | unstable | the newest that Debian has | the newest |

use crate::error::{Error, Kind, Result};
use std::fmt;

/// A release of Xen, by the suite of Debian that has it. The default is 4.17.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// Debian 11, "bullseye".
    Xen4_14,
    /// Debian 12, "bookworm".
    #[default]
    Xen4_17,
    /// Debian 13, "trixie".
    Xen4_20,
    /// Debian unstable.
    Sid,
}

impl Release {
    /// All of them, the oldest first.
    pub const ALL: [Self; 4] = [Self::Xen4_14, Self::Xen4_17, Self::Xen4_20, Self::Sid];

    /// The release that `BED_XEN` in the environment names, or the default.
    ///
    /// # Errors
    /// When it names none; the message lists those that there are.
    pub fn from_env() -> Result<Self> {
        std::env::var("BED_XEN").map_or(Ok(Self::default()), |name| Self::named(&name))
    }

    /// The release of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those that there are.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|release| release.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(Kind::Config, format!("BED_XEN={name} is no release of Xen that the test bed knows"))
                .next(format!("set BED_XEN to one of {names}"))
        })
    }

    /// Its name in `BED_XEN`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xen4_14 => "4.14",
            Self::Xen4_17 => "4.17",
            Self::Xen4_20 => "4.20",
            Self::Sid => "sid",
        }
    }

    /// Debian's suite.
    #[must_use]
    pub const fn suite(self) -> &'static str {
        match self {
            Self::Xen4_14 => "bullseye",
            Self::Xen4_17 => "bookworm",
            Self::Xen4_20 => "trixie",
            Self::Sid => "sid",
        }
    }

    /// Whether Debian publishes security updates of the suite in a suite of their own.
    pub(crate) const fn has_security(self) -> bool {
        !matches!(self, Self::Sid)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Debian's suite {})", self.name(), self.suite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_unknown_ones_refused() {
        for release in Release::ALL {
            assert_eq!(Release::named(release.name()).unwrap(), release);
        }
        let error = Release::named("4.18").unwrap_err().to_string();
        assert!(error.contains("BED_XEN=4.18") && error.contains("4.14, 4.17, 4.20, sid"), "{error}");
    }
}
