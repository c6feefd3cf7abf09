//! What the operator decides about received pages: when they are cleared, and whether a backend can be trusted.

use alloc::string::ToString;
use core::fmt;
use core::str::FromStr;

/// Which received pages are cleared before the backend can see them again. Each value includes those before it.
///
/// Without clearing, a page holds what the same backend wrote there. A page that is granted to another backend is always
/// cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clearing {
    /// None, except pages that are granted to another backend. For measurements.
    Off,
    /// The bytes of a frame that is shorter than the threshold, and whole pages whose used bytes are not known.
    #[default]
    Small,
    /// The bytes of every frame that was copied out, because it is short or because the backend is not trusted.
    Copied,
    /// The bytes of every frame.
    All,
}

impl fmt::Display for Clearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Small => "small",
            Self::Copied => "copied",
            Self::All => "all",
        })
    }
}

/// The word is not one of those that the key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord;

impl FromStr for Clearing {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Off, Self::Small, Self::Copied, Self::All]
            .into_iter()
            .find(|one| one.to_string() == word)
            .ok_or(UnknownWord)
    }
}

/// Whether a backend is trusted, or the toolstack decides it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The toolstack, by `device/vif/N/trusted`.
    #[default]
    Toolstack,
    /// No backend is trusted: every frame is copied out, whatever the toolstack says. There is no opposite value: the
    /// guest cannot trust a backend that the toolstack does not trust.
    Never,
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toolstack => "toolstack",
            Self::Never => "never",
        })
    }
}

impl FromStr for Trust {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Toolstack, Self::Never].into_iter().find(|one| one.to_string() == word).ok_or(UnknownWord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_parses_to_what_it_prints() {
        for clearing in [Clearing::Off, Clearing::Small, Clearing::Copied, Clearing::All] {
            assert_eq!(clearing.to_string().parse(), Ok(clearing));
        }
        for trust in [Trust::Toolstack, Trust::Never] {
            assert_eq!(trust.to_string().parse(), Ok(trust));
        }
        assert_eq!("always".parse::<Trust>(), Err(UnknownWord));
        assert_eq!("".parse::<Clearing>(), Err(UnknownWord));
    }
}
