//! Whether a client accepts a content coding (RFC 9110, 12.5.3).

use crate::http::Request;

/// Whether `Accept-Encoding` names the coding, or `*`, with a weight other than 0. Without the header only the plain form is
/// sent.
pub(super) fn accepted(request: &Request<'_>, coding: &str) -> bool {
    accepts(request.list("Accept-Encoding"), coding)
}

fn accepts<'a>(list: impl Iterator<Item = &'a [u8]>, coding: &str) -> bool {
    let mut any = false;
    for element in list {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let accepted = !parts.any(is_zero_weight);
        if name.eq_ignore_ascii_case(coding.as_bytes()) {
            return accepted;
        }
        any |= name == b"*" && accepted;
    }
    any
}

/// `q=0`, `q=0.0` and so on.
fn is_zero_weight(parameter: &[u8]) -> bool {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
    value.is_some_and(|value| value.starts_with(b"0") && value.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn weights_and_the_star_decide() {
        let accepts =
            |list: &str, coding| accepts(list.split(',').map(|element| element.trim().as_bytes()), coding);
        assert!(accepts("gzip, br", "br") && accepts("GZIP;q=0.5", "gzip") && accepts("*", "br"));
        assert!(!accepts("", "br") && !accepts("gzip", "br") && !accepts("br;q=0", "br"));
        assert!(!accepts("br;q=0.000, *", "br") && accepts("br;q=0.001", "br") && !accepts("*;q=0", "br"));
    }
}
