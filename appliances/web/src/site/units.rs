//! Numbers for people. `assets/page.js` writes them the same way; a test compares the page with the JSON.

use core::fmt;

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Digits in groups of three: `12 345`.
    Count,
    /// Bytes with a binary prefix: `1.5 MiB`.
    Bytes,
    /// Milliseconds as a duration: `2d 03:04:05`.
    Duration,
}

impl Unit {
    /// The name by which the page's script knows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Count => "n",
            Self::Bytes => "b",
            Self::Duration => "t",
        }
    }
}

/// A number with its unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown(pub(crate) u64, pub(crate) Unit);

/// Narrow, and no place to break a line.
const SPACE: char = '\u{202f}';

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Unit::Count => grouped(self.0, f),
            Unit::Bytes => bytes(self.0, f),
            Unit::Duration => duration(self.0 / 1000, f),
        }
    }
}

fn grouped(number: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if number < 1000 {
        return write!(f, "{number}");
    }
    grouped(number / 1000, f)?;
    write!(f, "{SPACE}{:03}", number % 1000)
}

fn bytes(number: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const PREFIXES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut whole, mut rest, mut unit) = (number, 0, "B");
    for prefix in PREFIXES {
        if whole < 1024 {
            break;
        }
        (whole, rest, unit) = (whole / 1024, whole % 1024, prefix);
    }
    if unit == "B" || whole >= 100 {
        return write!(f, "{whole}{SPACE}{unit}");
    }
    // Rounded down, to one digit: `rest` is below 1024.
    write!(f, "{whole}.{}{SPACE}{unit}", rest.wrapping_mul(10) / 1024)
}

fn duration(seconds: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let days = seconds / 86_400;
    if days > 0 {
        write!(f, "{days}d{SPACE}")?;
    }
    write!(f, "{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn shown(number: u64, unit: Unit) -> alloc::string::String {
        Shown(number, unit).to_string().replace(SPACE, " ")
    }

    #[test]
    fn counts_have_groups_of_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_002_003, "1 002 003")] {
            assert_eq!(shown(number, Unit::Count), text);
        }
        assert_eq!(shown(u64::MAX, Unit::Count), "18 446 744 073 709 551 615");
    }

    #[test]
    fn bytes_have_binary_prefixes() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1535, "1.4 KiB"),
            (1536, "1.5 KiB"),
            (100 * 1024, "100 KiB"),
            (64 << 20, "64.0 MiB"),
        ] {
            assert_eq!(shown(number, Unit::Bytes), text);
        }
        assert_eq!(shown(u64::MAX, Unit::Bytes), "15.9 EiB");
    }

    #[test]
    fn durations_have_days_only_when_needed() {
        assert_eq!(shown(3_723_999, Unit::Duration), "01:02:03");
        assert_eq!(shown(90_061_000, Unit::Duration), "1d 01:01:01");
    }
}
