//! An outbox on an async stream: one connection from its first byte to its last.
//!
//! ```text
//!   Outbox ─► HELLO │ head, name │ bytes, from the block itself │ check, fate │ … ─► stream
//!          ◄─ WELCOME, ACK …: a frame is 32 bytes ◄──────────────────────────────── stream
//! ```
//!
//! Both directions move in one task: whatever is possible at once is done, and then the task waits for an answer, for
//! room, or for a block.

use super::ledger::LedgerFault;
use super::outbox::{Outbox, State};
use super::wire::{Fate, Frame, HEADER_BYTES, Kind, MAX_HEAD_BYTES, Malformed, Part, Sum, TRAILER_BYTES};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use embedded_io_async::{Read, Write};

/// Bytes of answers that are read at once.
const ANSWERS: usize = 16 * HEADER_BYTES;
/// Reads and writes before other tasks get their turn: a fast receiver never makes this task wait.
const STEPS: usize = 64;

/// Why a connection ended other than by the receiver's leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError<E> {
    /// The stream failed.
    Stream(E),
    /// The receiver broke a rule, or says that we did.
    Receiver(LedgerFault),
    /// The receiver sent something else than a frame.
    NoFrame(Malformed),
}

impl<E: fmt::Display> fmt::Display for SendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Receiver(fault) => fault.fmt(f),
            Self::NoFrame(why) => write!(f, "the receiver sent something else than a frame ({why:?})"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for SendError<E> {}

/// Sends what is in an outbox, and what is put into it, until the receiver disconnects. Nothing else may send from it.
///
/// # Errors
/// The stream's error, or the rule that the receiver broke. The next connection goes on where this one was.
pub async fn send<T: Read + Write>(stream: &mut T, outbox: &Outbox) -> Result<(), SendError<T::Error>> {
    let _connected = Connected::new(outbox);
    let mut session = Session::begin(&mut outbox.state.borrow_mut());
    poll_fn(|cx| session.poll(cx, stream, outbox)).await
}

/// Says that a receiver is there, for as long as it lives.
struct Connected<'a>(&'a Outbox);

impl<'a> Connected<'a> {
    fn new(outbox: &'a Outbox) -> Self {
        outbox.set_connected(true);
        Self(outbox)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.set_connected(false);
    }
}

/// A block of which a part is sent.
struct Current {
    seq: u64,
    /// Bytes of it that are sent; `None` once all are, and its trailer is in `Session::head`.
    body: Option<usize>,
    trailer: [u8; TRAILER_BYTES],
}

/// A connection.
struct Session {
    /// HELLO, the head of a block, or its trailer.
    head: [u8; MAX_HEAD_BYTES],
    /// The part of it that is not sent.
    head_left: core::ops::Range<usize>,
    current: Option<Current>,
    answers: [u8; ANSWERS],
    filled: usize,
}

/// Polls a future that is dropped afterwards: the stream keeps the waker.
fn poll_once<F: Future>(future: F, cx: &mut Context<'_>) -> Poll<F::Output> {
    pin!(future).poll(cx)
}

impl Session {
    fn begin(state: &mut State) -> Self {
        let mut session = Self {
            head: [0; MAX_HEAD_BYTES],
            head_left: 0..0,
            current: None,
            answers: [0; ANSWERS],
            filled: 0,
        };
        session.set_head(&[&state.ledger.hello()]);
        session
    }

    fn set_head(&mut self, parts: &[&[u8]]) {
        let mut len = 0_usize;
        for part in parts {
            let end = len.saturating_add(part.len());
            if let Some(place) = self.head.get_mut(len..end) {
                place.copy_from_slice(part);
                len = end;
            }
        }
        self.head_left = 0..len;
    }

    fn poll<T: Read + Write>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut T,
        outbox: &Outbox,
    ) -> Poll<Result<(), SendError<T::Error>>> {
        for _ in 0..STEPS {
            let mut is_moving = false;
            let room = self.answers.get_mut(self.filled..).unwrap_or_default();
            match poll_once(stream.read(room), cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(len)) => {
                    self.hear(len, outbox)?;
                    is_moving = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SendError::Stream(error))),
                Poll::Pending => {}
            }
            self.fill(&mut outbox.state.borrow_mut());
            match self.write(cx, stream, &outbox.state.borrow()) {
                Some(Poll::Ready(Ok(0))) => return Poll::Ready(Ok(())),
                Some(Poll::Ready(Ok(len))) => {
                    self.advance(len, &outbox.state.borrow());
                    is_moving = true;
                }
                Some(Poll::Ready(Err(error))) => return Poll::Ready(Err(SendError::Stream(error))),
                Some(Poll::Pending) | None => {}
            }
            if !is_moving && poll_once(outbox.added.wait(), cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The answers among these more bytes.
    fn hear<E>(&mut self, len: usize, outbox: &Outbox) -> Result<(), SendError<E>> {
        let end = self.filled.saturating_add(len).min(ANSWERS);
        let (heads, _) = self.answers.get(..end).unwrap_or_default().as_chunks::<HEADER_BYTES>();
        let whole = heads.as_flattened().len();
        for head in heads {
            // A receiver's frames have no names.
            let frame = Frame::parse(head, &[]).map_err(SendError::NoFrame)?;
            outbox.receive(&frame).map_err(SendError::Receiver)?;
            // A block that is acknowledged before its end is not there.
            let seq = self.current.as_ref().map(|current| current.seq);
            if seq.is_some() && outbox.state.borrow().ledger.last_seq() != seq {
                outbox.state.borrow_mut().counts.faults.bump();
                return Err(SendError::Receiver(LedgerFault::AckOfUnsent(frame.seq)));
            }
        }
        self.answers.copy_within(whole..end, 0);
        self.filled = end.saturating_sub(whole);
        Ok(())
    }

    /// Begins a block if the last one is written, and the window and the memory permit another one.
    fn fill(&mut self, state: &mut State) {
        if !self.head_left.is_empty() || self.current.is_some() || !state.may_send() {
            return;
        }
        let Some((seq, block)) = state.ledger.next_to_send() else { return };
        let mut sum = Sum::default();
        sum.add(&block.bytes);
        let length = u64::try_from(block.bytes.len()).unwrap_or(u64::MAX);
        let frame = Frame { kind: Kind::Block, seq, length, aux: block.form.aux(Part::Whole) };
        let name = block.name.clone();
        self.set_head(&[&frame.to_bytes(&name), name.as_bytes()]);
        self.current = Some(Current { seq, body: Some(0), trailer: sum.trailer(Fate::Whole) });
        state.ledger.sent();
    }

    /// Writes what is next, if there is anything.
    fn write<T: Write>(
        &self,
        cx: &mut Context<'_>,
        stream: &mut T,
        state: &State,
    ) -> Option<Poll<Result<usize, T::Error>>> {
        let bytes = if self.head_left.is_empty() {
            let at = self.current.as_ref()?.body?;
            state.ledger.last_sent()?.bytes.get(at..)?
        } else {
            self.head.get(self.head_left.clone())?
        };
        Some(poll_once(stream.write(bytes), cx))
    }

    /// These bytes are written.
    fn advance(&mut self, len: usize, state: &State) {
        if self.head_left.is_empty() {
            if let Some(at) = self.current.as_mut().and_then(|current| current.body.as_mut()) {
                *at = at.saturating_add(len);
            }
        } else {
            self.head_left.start = self.head_left.start.saturating_add(len);
            if !self.head_left.is_empty() {
                return;
            }
        }
        let Some(current) = &mut self.current else { return };
        let all = state.ledger.last_sent().map_or(0, |block| block.bytes.len());
        match current.body {
            Some(at) if at >= all => {
                current.body = None;
                let trailer = current.trailer;
                self.set_head(&[&trailer]);
            }
            Some(_) => {}
            None => self.current = None,
        }
    }
}
