//! The last lines of the log, kept for the shell's `log` and for the report of a crash.
//!
//! ```text
//!   log ──push──► [ 32 lines of up to 160 bytes, the oldest overwritten ] ──lines──► shell, crash report
//! ```
//!
//! Memory of its own and no allocation: it is read when the heap may be what broke.

/// Lines that are kept.
const LINES: usize = 32;
/// Bytes of a line that are kept.
const LINE_BYTES: usize = 160;

#[derive(Clone, Copy, Debug)]
struct Line {
    text: [u8; LINE_BYTES],
    len: usize,
}

/// The last lines.
#[derive(Debug)]
pub(crate) struct Recent {
    lines: [Line; LINES],
    /// Where the next one goes.
    next: usize,
    /// Lines since the start.
    total: u64,
}

impl Recent {
    pub(crate) const fn new() -> Self {
        Self { lines: [Line { text: [0; LINE_BYTES], len: 0 }; LINES], next: 0, total: 0 }
    }

    /// Keeps a line, without its end. A long one is cut between characters.
    pub(crate) fn push(&mut self, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']);
        let end = line.floor_char_boundary(LINE_BYTES);
        let bytes = line.as_bytes().get(..end).unwrap_or_default();
        if let Some(slot) = self.lines.get_mut(self.next) {
            for (to, from) in slot.text.iter_mut().zip(bytes) {
                *to = *from;
            }
            slot.len = bytes.len();
        }
        self.next = self.next.wrapping_add(1) % LINES;
        self.total = self.total.wrapping_add(1);
    }

    /// The last `count` lines, the oldest first.
    pub(crate) fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        let kept = usize::try_from(self.total).unwrap_or(usize::MAX).min(LINES);
        let count = count.min(kept);
        let first = self.next.wrapping_add(LINES).wrapping_sub(count);
        (0..count).filter_map(move |index| {
            let line = self.lines.get(first.wrapping_add(index) % LINES)?;
            core::str::from_utf8(line.text.get(..line.len)?).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;

    #[test]
    fn the_last_lines_come_in_order() {
        let mut recent = Recent::new();
        assert_eq!(recent.last(5).count(), 0);
        recent.push("one\n");
        assert_eq!(recent.last(5).collect::<Vec<_>>(), ["one"]);
        for number in 0..100 {
            recent.push(&format!("{number}\r\n"));
        }
        assert_eq!(recent.last(3).collect::<Vec<_>>(), ["97", "98", "99"]);
        let all: Vec<_> = recent.last(usize::MAX).collect();
        assert_eq!((all.len(), all[0], all[31]), (32, "68", "99"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut recent = Recent::new();
        recent.push(&"ä".repeat(200));
        recent.push(&format!("x{}", "ä".repeat(200)));
        let lens: Vec<_> = recent.last(2).map(str::len).collect();
        assert_eq!(lens, [160, 159]);
        recent.push("");
        assert_eq!(recent.last(1).collect::<Vec<_>>(), [""]);
    }
}
