//! Printed text that nobody has read yet: a bounded queue that drops whole lines, the oldest first.
//!
//! ```text
//!   write ──► queue: line\r\n line\r\n li… ──line by line──► current ──► ring
//!                  │ full: the first line goes                  ▲
//!                  └──────── lost += 1 ──── "[N lines lost]" ───┘ before the next line
//! ```
//!
//! The line that is on its way is in `current`, out of reach: a line is printed whole or not at all. The gap is marked
//! where it is, when it is reached.

use crate::counter::Counter;
use alloc::collections::VecDeque;
use alloc::format;

/// Bytes that wait at most.
pub(super) const QUEUE_BYTES: usize = 32 * 1024;
/// Bytes of the first allocation.
const FIRST_BYTES: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Output {
    queue: VecDeque<u8>,
    /// The line being sent; the part that is in the ring is removed from it.
    current: VecDeque<u8>,
    /// Whether the last byte that came into `current` ended a line.
    mid_line: bool,
    /// The last byte that was written was `\r`.
    after_return: bool,
    /// Whole lines that were dropped since the last mark.
    lost: u64,
    /// The beginning of a line was dropped, and its end is not written yet, or still queued.
    lost_beginning: bool,
    lines_lost: Counter,
}

impl Output {
    /// Queues text, with `\r` before each `\n` that has none.
    pub(super) fn write(&mut self, text: &[u8]) {
        for &byte in text {
            if byte == b'\n' && !self.after_return {
                self.push(b'\r');
            }
            self.after_return = byte == b'\r';
            self.push(byte);
            while self.queue.len() > QUEUE_BYTES {
                self.drop_line();
            }
        }
    }

    /// Queues a byte. Without memory for a longer queue, the oldest line makes room.
    fn push(&mut self, byte: u8) {
        let room = self.queue.capacity();
        if self.queue.len() == room {
            // Twice the room, up to one byte more than the queue keeps: the byte for which a line is dropped.
            let most = QUEUE_BYTES.saturating_add(1).saturating_sub(room);
            if self.queue.try_reserve_exact(room.clamp(FIRST_BYTES, QUEUE_BYTES).min(most)).is_err() {
                self.drop_line();
            }
        }
        if self.queue.len() < self.queue.capacity() {
            self.queue.push_back(byte);
        } else {
            self.lost_beginning = true;
        }
    }

    /// Drops the oldest line of the queue, or all of it if that is one unfinished line.
    fn drop_line(&mut self) {
        let end = self.queue.iter().position(|byte| *byte == b'\n');
        self.lost_beginning = end.is_none();
        match end {
            Some(end) => {
                self.queue.drain(..=end);
                self.lost = self.lost.wrapping_add(1);
                self.lines_lost.bump();
            }
            None => self.queue.clear(),
        }
    }

    /// Drops the queue; the line being sent stays.
    pub(super) fn drop_queued(&mut self) {
        while !self.queue.is_empty() {
            self.drop_line();
        }
    }

    /// Hands bytes to `ring` until it takes less than it was given; how many it took.
    ///
    /// # Errors
    /// The error of `ring`; nothing that it did not take is lost.
    pub(super) fn send<E>(&mut self, mut ring: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<usize, E> {
        let mut total = 0_usize;
        while self.fill_current() {
            let (bytes, _) = self.current.as_slices();
            let offered = bytes.len();
            let taken = ring(bytes)?.min(offered);
            self.current.drain(..taken);
            total = total.saturating_add(taken);
            if taken < offered {
                break;
            }
        }
        Ok(total)
    }

    /// Whether there is something on its way, the next line if need be.
    fn fill_current(&mut self) -> bool {
        if !self.current.is_empty() {
            return true;
        }
        let lost = self.lost.saturating_add(u64::from(self.lost_beginning));
        if lost != 0 {
            let before = if self.mid_line { "\r\n" } else { "" };
            let plural = if lost == 1 { "" } else { "s" };
            self.current.extend(format!("{before}[{lost} line{plural} lost]\r\n").bytes());
            (self.lost, self.lost_beginning, self.mid_line) = (0, false, false);
            return true;
        }
        let end = self.queue.iter().position(|byte| *byte == b'\n');
        let line = end.map_or(self.queue.len(), |end| end.saturating_add(1));
        // Without memory for a whole line, it is sent in parts.
        let enough = self.current.try_reserve_exact(line).is_ok();
        let len = if enough { line } else { line.min(self.current.capacity()) };
        self.current.extend(self.queue.drain(..len));
        if !self.current.is_empty() {
            self.mid_line = end.is_none() || len < line;
        }
        !self.current.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.current.is_empty() && self.lost == 0 && !self.lost_beginning
    }

    /// Whole lines dropped since boot.
    pub(super) const fn lines_lost(&self) -> Counter {
        self.lines_lost
    }
}
