//! The last lines of the log, for the shell's `log` and for crash reports.
//!
//! ```text
//!   logger ──push──► [ 32 lines of up to 160 bytes; the oldest is overwritten ] ──last──► shell, crash report
//! ```
//!
//! It allocates nothing: a crash report reads it when the heap may be damaged.

/// Lines in the ring.
const LINES: usize = 32;
/// Bytes of a line.
const LINE_BYTES: usize = 160;

#[derive(Clone, Copy, Debug)]
struct Line {
    text: [u8; LINE_BYTES],
    len: usize,
}

/// The ring.
#[derive(Debug)]
pub(super) struct LogRing {
    lines: [Line; LINES],
    /// The index of the next line.
    next: usize,
    /// Lines since the start.
    total: u64,
}

impl LogRing {
    /// Without lines.
    pub(super) const fn new() -> Self {
        Self { lines: [Line { text: [0; LINE_BYTES], len: 0 }; LINES], next: 0, total: 0 }
    }

    /// Adds a line, without its line end. A long line is cut between characters.
    pub(super) fn push(&mut self, line: &str) {
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
        self.total = self.total.saturating_add(1);
    }

    /// The last `count` lines, the oldest first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &str> {
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
        let mut ring = LogRing::new();
        assert_eq!(ring.last(5).count(), 0);
        ring.push("one\n");
        assert_eq!(ring.last(5).collect::<Vec<_>>(), ["one"]);
        for number in 0..100 {
            ring.push(&format!("{number}\r\n"));
        }
        assert_eq!(ring.last(3).collect::<Vec<_>>(), ["97", "98", "99"]);
        let all: Vec<_> = ring.last(usize::MAX).collect();
        assert_eq!((all.len(), all[0], all[31]), (32, "68", "99"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut ring = LogRing::new();
        ring.push(&"ä".repeat(200));
        ring.push(&format!("x{}", "ä".repeat(200)));
        let lens: Vec<_> = ring.last(2).map(str::len).collect();
        assert_eq!(lens, [160, 159]);
        ring.push("");
        assert_eq!(ring.last(1).collect::<Vec<_>>(), [""]);
    }
}
