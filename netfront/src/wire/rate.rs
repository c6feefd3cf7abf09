//! The transmit rate limit of a vif: `rate` in the backend's directory of xenstore.
//!
//! ```text
//!   rate = "1250000,50000"       1,250,000 bytes in each 50,000 microseconds
//! ```

/// A limit on the bytes that a backend takes from us in a time. Beyond the limit the backend leaves requests in the ring,
/// which does not mean that anything is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes.
    pub bytes: u64,
    /// The time in which they may be sent, in microseconds.
    pub microseconds: u64,
}

impl Rate {
    /// Parses `BYTES,MICROSECONDS`, as xl writes it. Like netback, this takes any other text, and a time of zero, for no
    /// limit.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (bytes, microseconds) = text.trim().split_once(',')?;
        let rate = Self { bytes: bytes.parse().ok()?, microseconds: microseconds.parse().ok()? };
        (rate.microseconds > 0).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bytes_in_microseconds() {
        let rate = |bytes, microseconds| Some(Rate { bytes, microseconds });
        for (text, found) in [
            ("1250000,50000", rate(1_250_000, 50_000)),
            ("0,1\n", rate(0, 1)),
            ("1,0", None),
            ("1250000", None),
            ("-1,5", None),
            ("1,2,3", None),
            ("99999999999999999999,5", None),
            ("", None),
        ] {
            assert_eq!(Rate::parse(text), found, "{text}");
        }
    }
}
