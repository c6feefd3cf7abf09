//! Text of a fixed capacity: formatting into it allocates nothing, and what does not fit is cut.

use core::fmt;

/// Up to `N` bytes of text.
pub(super) struct FixedText<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> FixedText<N> {
    /// Empty.
    pub(super) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// The text. A character that did not fit as a whole is not in it.
    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(self.bytes.get(..self.len).unwrap_or_default()).unwrap_or_default()
    }

    /// Puts `end` behind the text, in place of its last characters if there is no room.
    pub(super) fn end_with(&mut self, end: &str) {
        let most = N.saturating_sub(end.len());
        self.len = self.as_str().floor_char_boundary(most);
        // `write_str` of this type does not fail.
        let _ = fmt::Write::write_str(self, end);
    }
}

impl<const N: usize> fmt::Write for FixedText<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = N.saturating_sub(self.len);
        let fitting = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
        let free = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (to, from) in free.iter_mut().zip(fitting.bytes()) {
            *to = from;
        }
        self.len = self.len.saturating_add(fitting.len());
        // Nothing may follow text that was cut.
        if fitting.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn text_that_does_not_fit_is_cut_between_characters() {
        let mut text = FixedText::<8>::new();
        assert!(write!(text, "abc{}", 12).is_ok());
        assert_eq!(text.as_str(), "abc12");
        assert!(text.write_str("xyä").is_err());
        assert_eq!(text.as_str(), "abc12xy");
        assert!(text.write_str("12345").is_err());
        assert_eq!(text.as_str(), "abc12xy1");
    }

    #[test]
    fn an_end_takes_the_place_of_the_last_characters() {
        let mut text = FixedText::<8>::new();
        let _ = text.write_str("ab");
        text.end_with("==");
        assert_eq!(text.as_str(), "ab==");
        let mut text = FixedText::<8>::new();
        let _ = text.write_str("abcdeäx");
        text.end_with("==");
        assert_eq!(text.as_str(), "abcde==");
    }
}
