//! The end of a request's body. No resource takes a body, so its bytes are counted and thrown away.
//!
//! ```text
//!   Size ─hex digits─► Size ─ blank ─► Blank ─ ; ─► Extension ─CR─► SizeEnd ─LF─► Data(n) ─n bytes─► DataEnd ─CR LF─► Size
//!                        └─CR─► SizeEnd, size 0 ─LF─► Trailer ─ lines, an empty one ─► Done
//! ```
//!
//! RFC 9112, 7.1, strictly: a recipient that accepted a bare LF, or other bytes after a size, could see another end
//! than a proxy before it.

use crate::http::request_head::Body;
use crate::http::status_code::{Code, Refusal};

/// Reads past a body.
#[derive(Debug)]
pub(crate) struct Skipper {
    state: State,
    /// Bytes that may still come, framing included.
    budget: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Plain bytes.
    Length(u64),
    /// In a chunk's size, or at its start if there is no digit yet.
    Size { size: u64, digits: u8 },
    /// In blanks after the size: an extension must follow.
    Blank { size: u64 },
    /// In extensions of the chunk, up to the end of the line.
    Extension { size: u64 },
    /// After CR at the end of a size's line.
    SizeEnd { size: u64 },
    /// In a chunk.
    Data(u64),
    /// After a chunk: CR, LF.
    DataEnd { cr: bool },
    /// In the lines after the last chunk: whether this one is empty, and whether its CR was read.
    Trailer { empty: bool, cr: bool },
    /// At the end.
    Done,
}

const TOO_LARGE: Refusal =
    Refusal::new(Code::ContentTooLarge, "the body is too long; no resource here takes one");
const BAD_CHUNK: Refusal = Refusal::bad("a chunk of the body is malformed");

/// 2^60 bytes are more than any budget; more digits would only overflow.
const MAX_DIGITS: u8 = 15;

impl Skipper {
    /// Starts at the first byte of the body.
    ///
    /// # Errors
    /// The body says that it is longer than `budget`.
    pub(crate) const fn new(body: Body, budget: u64) -> Result<Self, Refusal> {
        let state = match body {
            Body::Length(0) => State::Done,
            Body::Length(length) if length > budget => return Err(TOO_LARGE),
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Size { size: 0, digits: 0 },
        };
        Ok(Self { state, budget })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the body's bytes off the front and returns their number.
    ///
    /// # Errors
    /// The body is too long, or its chunks are malformed.
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_done() {
            let step = match self.state {
                State::Length(left) | State::Data(left) => {
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    self.state = self.state.after_data(wide(len));
                    len
                }
                _ => {
                    let byte = rest.first().copied().unwrap_or_default();
                    self.state = self.state.after(byte)?;
                    1
                }
            };
            self.budget = self.budget.checked_sub(wide(step)).ok_or(TOO_LARGE)?;
            rest = rest.get(step..).unwrap_or_default();
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }
}

impl State {
    const fn after_data(self, len: u64) -> Self {
        match self {
            Self::Length(left) if left > len => Self::Length(left.saturating_sub(len)),
            Self::Length(_) => Self::Done,
            Self::Data(left) if left > len => Self::Data(left.saturating_sub(len)),
            _ => Self::DataEnd { cr: false },
        }
    }

    /// The state after a byte that is not data.
    fn after(self, byte: u8) -> Result<Self, Refusal> {
        match (self, byte) {
            (Self::Size { digits: 1.., size }, b' ' | b'\t') | (Self::Blank { size }, b' ' | b'\t') => {
                Ok(Self::Blank { size })
            }
            (Self::Size { digits: 1.., size } | Self::Blank { size }, b';') => Ok(Self::Extension { size }),
            (Self::Size { digits: 1.., size } | Self::Extension { size }, b'\r') => {
                Ok(Self::SizeEnd { size })
            }
            (Self::SizeEnd { size }, b'\n') => Ok(Self::chunk(size)),
            (Self::Size { size, digits }, _) => {
                let digit = char::from(byte).to_digit(16).filter(|_| digits < MAX_DIGITS).ok_or(BAD_CHUNK)?;
                let size = size.wrapping_shl(4) | u64::from(digit);
                Ok(Self::Size { size, digits: digits.saturating_add(1) })
            }
            (Self::Extension { size }, byte) if is_text(byte) => Ok(Self::Extension { size }),
            (Self::DataEnd { cr: false }, b'\r') => Ok(Self::DataEnd { cr: true }),
            (Self::DataEnd { cr: true }, b'\n') => Ok(Self::Size { size: 0, digits: 0 }),
            (Self::Trailer { empty, cr: false }, b'\r') => Ok(Self::Trailer { empty, cr: true }),
            (Self::Trailer { empty: true, cr: true }, b'\n') => Ok(Self::Done),
            (Self::Trailer { empty: false, cr: true }, b'\n') => Ok(Self::Trailer { empty: true, cr: false }),
            (Self::Trailer { cr: false, .. }, byte) if is_text(byte) => {
                Ok(Self::Trailer { empty: false, cr: false })
            }
            (Self::Length(_) | Self::Data(_) | Self::Done, _) => Ok(self),
            _ => Err(BAD_CHUNK),
        }
    }

    const fn chunk(size: u64) -> Self {
        if size == 0 { Self::Trailer { empty: true, cr: false } } else { Self::Data(size) }
    }
}

/// A byte of a line: visible, blank or tab, or beyond ASCII (RFC 9110, 5.5).
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Skips a body given in pieces; returns the rest after it.
    fn run(body: Body, budget: u64, bytes: &[u8], piece: usize) -> Result<Option<Vec<u8>>, Code> {
        let mut skipper = Skipper::new(body, budget).map_err(|refusal| refusal.code)?;
        let mut left = Vec::new();
        for piece in bytes.chunks(piece) {
            let used = skipper.skip(piece).map_err(|refusal| refusal.code)?;
            left.extend_from_slice(&piece[used..]);
        }
        Ok(skipper.is_done().then_some(left))
    }

    #[test]
    fn bodies_end_where_they_end_however_they_are_split() {
        let chunked =
            b"4\r\nWiki\r\n6;x=\"y\"\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nA: b\r\nC: d\r\n\r\nNEXT";
        for piece in 1..chunked.len() {
            assert_eq!(run(Body::Chunked, 1000, chunked, piece), Ok(Some(b"NEXT".to_vec())));
            assert_eq!(run(Body::Length(50), 50, chunked, piece), Ok(Some(chunked[50..].to_vec())));
        }
        assert_eq!(run(Body::Length(0), 0, b"NEXT", 9), Ok(Some(b"NEXT".to_vec())));
        assert_eq!(run(Body::Chunked, 1000, b"0\r\n\r\nNEXT", 9), Ok(Some(b"NEXT".to_vec())));
        assert_eq!(run(Body::Chunked, 1000, b"5\r\nabc", 9), Ok(None));
    }

    #[test]
    fn bodies_beyond_the_budget_are_refused() {
        assert_eq!(run(Body::Length(11), 10, b"", 1), Err(Code::ContentTooLarge));
        assert_eq!(run(Body::Chunked, 10, b"FFFFFFFFFFFFFFF\r\nabc", 1), Err(Code::ContentTooLarge));
        assert_eq!(run(Body::Chunked, 10, b"1;aaaaaaaaaaaaaaaaaaaaaa", 5), Err(Code::ContentTooLarge));
        assert_eq!(run(Body::Chunked, 10, b"0\r\nTrailer: that is long", 5), Err(Code::ContentTooLarge));
    }

    #[test]
    fn chunks_that_could_be_read_in_two_ways_are_refused() {
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1\r\nab",
            "1\r\na\rb",
            "1000000000000000\r\n",
            "2\nab",
            "2;x\nab",
            "2\rXX\nab",
            "2 garbage\r\nab",
            "2;x\0\r\n",
            "2;x\r\r\n",
            "2\r\nab\n0",
            "2\r\nab\r\r\n",
            "0\r\n\r\r\n",
            "0\r\n\n",
            "0\r\nA\0: b\r\n",
            "0\r\nA: b\n",
            "0\r\nA: b\rc\r\n",
        ] {
            assert_eq!(run(Body::Chunked, 1000, bad.as_bytes(), 9), Err(Code::BadRequest), "{bad:?}");
        }
    }
}
