//! Bytes from the console to lines: bounded in length and in number, fit to be shown or parsed.
//!
//! Input to a domain's console is not trusted: control characters (escape sequences among
//! them) and bytes that are not UTF-8 are dropped, a line that is too long is cut, and lines that nobody takes are
//! refused. A line ends with `\n`, `\r`, or `\r\n`.

use crate::counter::Counter;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Waker;

/// Bytes of a line that are kept.
pub(super) const LINE_MAX: usize = 256;
/// Lines that wait to be taken.
pub(super) const LINES_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line under way, at most `LINE_MAX` bytes.
    line: Vec<u8>,
    too_long: bool,
    after_return: bool,
    ready: VecDeque<String>,
    waker: Option<Waker>,
    cut: Counter,
    refused: Counter,
}

impl Lines {
    /// Takes bytes in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let second_half = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                b'\n' | b'\r' if second_half => {}
                b'\n' | b'\r' => self.finish(),
                _ if byte.is_ascii_control() => {}
                _ if self.line.len() < LINE_MAX => self.line.push(byte),
                _ => self.too_long = true,
            }
        }
    }

    fn finish(&mut self) {
        // C1 controls are control characters too, of two bytes each.
        let text =
            self.line.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).filter(|c| !c.is_control());
        let text = text.collect();
        self.line.clear();
        self.cut.add(u64::from(core::mem::take(&mut self.too_long)));
        if self.ready.len() < LINES_MAX {
            self.ready.push_back(text);
        } else {
            self.refused.bump();
        }
    }

    /// The oldest line.
    pub(super) fn take(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    /// Keeps a waker; the one before, to be dropped elsewhere.
    pub(super) const fn set_waker(&mut self, waker: Waker) -> Option<Waker> {
        self.waker.replace(waker)
    }

    /// The waker, if there is a line for its task.
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        if self.ready.is_empty() { None } else { self.waker.take() }
    }

    pub(super) const fn cut(&self) -> Counter {
        self.cut
    }

    pub(super) const fn refused(&self) -> Counter {
        self.refused
    }
}
