//! Seconds since 1970 as RFC 9110, 5.6.7 writes them: `Sun, 06 Nov 1994 08:49:37 GMT`.

use alloc::string::String;
use core::fmt::Write as _;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The last second of the year 9999: four digits are all that the format has.
const LAST: u64 = 253_402_300_799;

/// Writes the time in the fixed format.
#[must_use]
pub fn http_date(unix_seconds: u64) -> String {
    let seconds = unix_seconds.min(LAST);
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = String::with_capacity(29);
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month),
        time / 3600,
        time / 60 % 60,
        time % 60
    );
    text
}

/// Parses a time in any of the three formats that a recipient must accept (RFC 9110, 5.6.7): seconds since 1970. `None` if
/// it is in none of them, or before 1970.
///
/// ```text
///   Sun, 06 Nov 1994 08:49:37 GMT      Sunday, 06-Nov-94 08:49:37 GMT      Sun Nov  6 08:49:37 1994
/// ```
#[must_use]
pub fn parse_http_date(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    let (weekday, rest) = text.split_once(' ')?;
    let mut words = rest.split([' ', '-']).filter(|word| !word.is_empty());
    let mut next = || words.next();
    let (day, month, year, time) = if weekday.ends_with(',') {
        let (day, month, year) = (next()?, next()?, next()?);
        let time = next()?;
        next().filter(|zone| *zone == "GMT")?;
        (day, month, year, time)
    } else {
        let (month, day, time) = (next()?, next()?, next()?);
        (day, month, next()?, time)
    };
    let month = u64::try_from(MONTHS.iter().position(|known| *known == month)?).ok()?;
    let (day, year) = (number(day, 31)?, number(year, 9999)?);
    // Two digits: the format of RFC 850, with the years 1970 to 2069.
    let year = if year < 70 {
        year.saturating_add(2000)
    } else if year < 100 {
        year.saturating_add(1900)
    } else {
        year
    };
    let mut parts = time.split(':');
    let (hour, minute) = (number(parts.next()?, 23)?, number(parts.next()?, 59)?);
    let second = number(parts.next()?, 60)?;
    let days = (day > 0 && next().is_none() && parts.next().is_none())
        .then(|| days_since_1970(year, month, day))??;
    let seconds = days.checked_mul(24)?.checked_add(hour)?.checked_mul(60)?.checked_add(minute)?;
    seconds.checked_mul(60)?.checked_add(second)
}

/// A number of digits alone, up to `most`.
fn number(text: &str, most: u64) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= most)
}

/// Days from 1970 to a date with its month from 0 and its day from 1: the inverse of [`civil`].
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years start in March, as in `civil`.
    let (year, month) = if month < 2 {
        (year.checked_sub(1)?, month.saturating_add(10))
    } else {
        (year, month.checked_sub(2)?)
    };
    let leap_days = (year / 4).checked_sub(year / 100)?.checked_add(year / 400)?;
    let before = month.checked_mul(153)?.checked_add(2)? / 5;
    let days = year.checked_mul(365)?.checked_add(leap_days)?.checked_add(before)?.checked_add(day)?;
    days.checked_sub(719_469)
}

fn name(names: &[&'static str], index: u64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or("???")
}

/// Year, month (from 0) and day (from 1) of a day since 1970.
///
/// Years start in March here, so that the leap day is the last of its year and months have a regular pattern: 153 days
/// for each five.
const fn civil(days: u64) -> (u64, u64, u64) {
    // From 1 March of the year 0.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leaps = (day_of_era / 1460).saturating_add(day_of_era / 146_096).saturating_sub(day_of_era / 36_524);
    let year_of_era = day_of_era.saturating_sub(leaps) / 365;
    let before =
        year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before);
    let month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = day_of_year.saturating_sub(month.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let year = era.saturating_mul(400).saturating_add(year_of_era);
    if month < 10 {
        (year, month.saturating_add(2), day)
    } else {
        (year.saturating_add(1), month.saturating_sub(10), day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(seconds), text);
        }
    }

    #[test]
    fn all_three_formats_are_parsed() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http_date(text.as_bytes()), Some(784_111_777), "{text}");
        }
        for seconds in (0..4_200_000_000_u64).step_by(8_640_007).chain([951_782_400, 951_868_799, LAST]) {
            assert_eq!(parse_http_date(http_date(seconds).as_bytes()), Some(seconds));
        }
        for bad in [
            "",
            "0",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Thu, 01 Jan 1969 00:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
        ] {
            assert_eq!(parse_http_date(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn days_follow_each_other_for_four_centuries() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..146_097 {
            assert_eq!(civil(days), (year, month, day), "day {days}");
            let leap = month == 1 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            day += 1;
            if day > lengths[usize::try_from(month).unwrap()] + u64::from(leap) {
                (month, day) = (month + 1, 1);
            }
            if month == 12 {
                (year, month) = (year + 1, 0);
            }
        }
    }
}
