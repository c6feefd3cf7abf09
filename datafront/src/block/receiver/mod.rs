//! Bytes to blocks, blocks to the application, and acknowledgements back.
//!
//! ```text
//!            ┌────────────────────────────── ACK ◄── finish: the application's status ◄─┐
//!            ▼                                                                          │
//!   feed ─► Head ─ HELLO: WELCOME, late ACKs ─ BLOCK: begin ─► Payload: data … ─► Trailer: check, fate
//!            └─ completed before: its bytes are skipped, its ACK is given again
//! ```
//!
//! A block counts as completed in the same step in which the application finishes it: between the two nothing can fail.
//! Whatever breaks a rule is a [`Fault`]: an ERROR frame goes out, and the connection ends. Memory is bounded: a head,
//! the known streams, and 32 bytes of answer for each head received (and for each late acknowledgement, once).

mod frames;

use super::application::Application;
use super::check::Check;
use super::fault::Fault;
use super::stats::ReceiverStats;
use super::status::Status;
use super::streams::{MAX_KEPT, Streams};
use super::wire::{Frame, HEADER_BYTES, Kind, MAX_HEAD_BYTES, TRAILER_BYTES};
use alloc::vec::Vec;
use core::fmt;

/// Blocks that a sender may have under way.
pub const WINDOW: u32 = 16;
const _: () = assert!(WINDOW < 32 && MAX_KEPT >= 32, "the status of every unacknowledged block is kept");

/// The block under way.
#[derive(Clone)]
struct Current {
    seq: u64,
    len: u64,
    left: u64,
    sum: Check,
    /// Its bytes are secret.
    secret: bool,
    /// Why the application does not get it; `None`: it does.
    skip: Option<Skip>,
}

#[derive(Clone, Copy)]
enum Skip {
    Refused(Status),
    /// Refused, completed, and the sender told that it may stop.
    Stopped(Status),
    Duplicate,
}

enum State {
    Head,
    Payload(Current),
    Trailer(Current),
}

/// The receiving side; lives as long as the application, over all connections.
pub struct Receiver {
    instance: u64,
    streams: Streams,
    /// The stream of this connection, after HELLO.
    session: Option<u64>,
    /// The sender of this connection takes STOP.
    wants_stop: bool,
    state: State,
    /// Bytes of a secret block came since the last [`Receiver::take_secret`].
    secret: bool,
    /// A head or trailer that is not complete.
    partial: [u8; MAX_HEAD_BYTES],
    filled: usize,
    stats: ReceiverStats,
    last_fault: Option<Fault>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("session", &self.session)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// A receiver that knows no stream. `instance` is a number by which senders notice that it is a new one.
    #[must_use]
    pub fn new(instance: u64) -> Self {
        Self::with_streams(instance, Streams::default())
    }

    /// A receiver that goes on where these streams are. `instance` is the one of then: nothing was forgotten.
    #[must_use]
    pub fn with_streams(instance: u64, streams: Streams) -> Self {
        Self {
            instance,
            streams,
            session: None,
            wants_stop: false,
            state: State::Head,
            secret: false,
            partial: [0; MAX_HEAD_BYTES],
            filled: 0,
            stats: ReceiverStats::default(),
            last_fault: None,
        }
    }

    /// What it has done.
    #[must_use]
    pub const fn stats(&self) -> ReceiverStats {
        self.stats
    }

    /// Whether bytes of a secret block were among those of the last calls of [`Receiver::feed`]; the caller wipes them.
    pub const fn take_secret(&mut self) -> bool {
        core::mem::replace(&mut self.secret, false)
    }

    /// The last fault, on whatever connection.
    #[must_use]
    pub const fn last_fault(&self) -> Option<Fault> {
        self.last_fault
    }

    /// A connection ended, or begins: what was cut off is abandoned.
    pub fn reset(&mut self, application: &mut impl Application) {
        let state = core::mem::replace(&mut self.state, State::Head);
        if let State::Payload(current) | State::Trailer(current) = state {
            self.stats.counts.cut_off.bump();
            if current.skip.is_none() {
                application.abandon();
            }
        }
        self.session = None;
        self.filled = 0;
    }

    /// Takes bytes as they come, all of them; appends answers to `answers`.
    ///
    /// # Errors
    /// The rule that was broken. The ERROR frame is in `answers` then, and the connection is to be ended.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let result = self.feed_all(bytes, application, answers);
        application.progress(&self.stats);
        result
    }

    fn feed_all(
        &mut self,
        mut bytes: &[u8],
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            match self.step(bytes, application, answers) {
                Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
                Err(fault) => {
                    self.stats.counts.faults.bump();
                    self.last_fault = Some(fault);
                    let session = self.session;
                    let seq =
                        session.and_then(|id| self.streams.get(id)).map_or(0, |stream| stream.completed());
                    answer(answers, Kind::Error, seq, 0, fault.code());
                    self.reset(application);
                    return Err(fault);
                }
            }
        }
        Ok(())
    }

    /// One step within a frame: how many bytes it took.
    fn step(
        &mut self,
        bytes: &[u8],
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        match core::mem::replace(&mut self.state, State::Head) {
            State::Head => self.head(bytes, application, answers),
            State::Payload(mut current) => {
                self.secret |= current.secret;
                let taken = payload(&mut current, bytes, application);
                self.stop_early(&mut current, application, answers);
                self.state =
                    if current.left == 0 { State::Trailer(current) } else { State::Payload(current) };
                Ok(taken)
            }
            State::Trailer(current) => {
                let taken = self.gather(bytes, TRAILER_BYTES);
                if self.filled < TRAILER_BYTES {
                    self.state = State::Trailer(current);
                    return Ok(taken);
                }
                self.filled = 0;
                let trailer = self.partial.first_chunk().copied().unwrap_or_default();
                self.end_of_block(&current, trailer, application, answers)?;
                Ok(taken)
            }
        }
    }

    /// Moves bytes into `partial` until `wanted` are there.
    fn gather(&mut self, bytes: &[u8], wanted: usize) -> usize {
        let room = self.partial.get_mut(self.filled..wanted).unwrap_or_default();
        let len = room.len().min(bytes.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..len), bytes.get(..len)) {
            room.copy_from_slice(bytes);
        }
        self.filled = self.filled.saturating_add(len);
        len
    }

    fn head(
        &mut self,
        bytes: &[u8],
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        // Nearly all come whole, and are read where they lie.
        if self.filled == 0
            && let Some(head) = bytes.first_chunk()
        {
            let len = Frame::head_len(head).map_err(Fault::Malformed)?;
            if let Some(name) = bytes.get(HEADER_BYTES..len) {
                self.frame(head, name, application, answers)?;
                return Ok(len);
            }
        }
        let mut taken = self.gather(bytes, HEADER_BYTES);
        if self.filled < HEADER_BYTES {
            return Ok(taken);
        }
        let head = self.partial.first_chunk().copied().unwrap_or_default();
        let len = Frame::head_len(&head).map_err(Fault::Malformed)?;
        taken = taken.saturating_add(self.gather(bytes.get(taken..).unwrap_or_default(), len));
        if self.filled < len {
            return Ok(taken);
        }
        self.filled = 0;
        let partial = self.partial;
        self.frame(&head, partial.get(HEADER_BYTES..len).unwrap_or_default(), application, answers)?;
        Ok(taken)
    }
}

/// Bytes of a block, as far as they belong to it.
fn payload(current: &mut Current, bytes: &[u8], application: &mut impl Application) -> usize {
    let taken = usize::try_from(current.left).unwrap_or(usize::MAX).min(bytes.len());
    let bytes = bytes.get(..taken).unwrap_or_default();
    current.sum.update(bytes);
    if current.skip.is_none()
        && let Err(status) = application.data(bytes)
    {
        current.skip = Some(Skip::Refused(status));
    }
    current.left = current.left.saturating_sub(u64::try_from(taken).unwrap_or(0));
    taken
}

fn answer(answers: &mut Vec<u8>, kind: Kind, seq: u64, length: u64, aux: u32) {
    answers.extend_from_slice(&Frame { kind, seq, length, aux }.to_bytes(""));
}
