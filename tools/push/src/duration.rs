//! Durations on a command line.

use std::time::Duration;

/// `5s`, `500ms`, `2m`, or seconds without a unit.
///
/// # Errors
/// What would be right.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "must be a number with ms, s or m: 5s".to_owned())?;
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => return Err("the unit must be ms, s or m".into()),
    };
    let length =
        number.checked_mul(factor).filter(|ms| *ms > 0).ok_or("must be more than 0, and less than ages")?;
    Ok(Duration::from_millis(length))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, ms) in [("500ms", 500), ("5s", 5000), ("5", 5000), ("2m", 120_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "5h", "0", "-1s", "99999999999999999999s", "1.5s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
