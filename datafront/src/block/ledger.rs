//! The sender's memory: which blocks are not acknowledged yet, and how far they have been sent.
//!
//! ```text
//!   enqueue ─► [ completed, ack lost │ sent │ to be sent … ]        seq of the first: base
//!                                    cursor ─► next, sent           ACK of the first: it leaves
//! ```
//!
//! It keeps the blocks (or any value for them) and moves no bytes. After a lost connection: `hello` again, and the
//! blocks that WELCOME does not count as completed are sent again.

use super::fault::Fault;
use super::status::Status;
use super::wire::{Frame, HEADER_BYTES, Kind, WANTS_BOUND, WANTS_STOP};
use alloc::collections::VecDeque;
use core::fmt;

/// A rule that the receiver broke, or its ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerFault {
    /// It ended the connection, with this code of [`Fault`].
    Refused(u32),
    /// Something other than WELCOME came first, or WELCOME came twice.
    OutOfTurn(Kind),
    /// An acknowledgement of a block that was not sent.
    AckOfUnsent(u64),
    /// An acknowledgement that is not the next.
    AckOutOfOrder(u64),
    /// It has lost blocks that it had acknowledged.
    Lost {
        /// The last block that it reports as completed.
        completed: u64,
        /// The last block that it had acknowledged.
        acknowledged: u64,
    },
    /// A window of no blocks.
    NoWindow,
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "the receiver ended the connection: {}", Fault::explain(*code)),
            Self::OutOfTurn(kind) => write!(f, "the receiver sent {kind:?} out of turn"),
            Self::AckOfUnsent(seq) => write!(f, "the receiver acknowledged block {seq}, which was not sent"),
            Self::AckOutOfOrder(seq) => write!(f, "the receiver acknowledged block {seq} out of order"),
            Self::Lost { completed, acknowledged } => {
                write!(f, "the receiver has completed {completed}, but had acknowledged {acknowledged}")
            }
            Self::NoWindow => f.write_str("the receiver takes no blocks"),
        }
    }
}

impl core::error::Error for LedgerFault {}

/// What a frame from the receiver means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<B> {
    /// The receiver has answered, and has completed this many blocks of the stream.
    Welcome {
        /// The last completed block.
        completed: u64,
        /// The receiver's number; another one than before: it was restarted.
        instance: u64,
    },
    /// It has completed a block, which leaves the ledger.
    Completed {
        /// Its number.
        seq: u64,
        /// The block that was enqueued.
        block: B,
        /// The application's word.
        status: Status,
    },
    /// It refuses a block of which a part is not sent yet, and does not need the rest: another connection continues
    /// after it.
    Stop {
        /// Its number.
        seq: u64,
    },
}

/// The blocks of one stream that are not acknowledged.
#[derive(Debug)]
pub struct Ledger<B> {
    stream: u64,
    /// The number of the first block; unknown until the first WELCOME.
    base: Option<u64>,
    blocks: VecDeque<B>,
    /// How many of them need not be sent any more on this connection.
    cursor: usize,
    /// The most that were ever sent of them.
    sent: usize,
    /// Blocks that may be under way; 0 before WELCOME.
    window: usize,
}

impl<B> Ledger<B> {
    /// An empty ledger of a stream.
    #[must_use]
    pub const fn new(stream: u64) -> Self {
        Self { stream, base: None, blocks: VecDeque::new(), cursor: 0, sent: 0, window: 0 }
    }

    /// An empty ledger of a stream that no receiver knows: its first block has the number 1.
    #[must_use]
    pub const fn fresh(stream: u64) -> Self {
        let mut ledger = Self::new(stream);
        ledger.base = Some(1);
        ledger
    }

    /// Removes the oldest block of those that were never sent and that match. The later ones move up.
    pub fn remove_unsent(&mut self, matches: impl Fn(&B) -> bool) -> Option<B> {
        let place = self.blocks.iter().skip(self.sent).position(matches)?;
        self.blocks.remove(self.sent.saturating_add(place))
    }

    /// Removes the blocks that were sent, on whatever connection: a receiver was found to have them.
    pub fn remove_sent(&mut self) -> impl Iterator<Item = B> {
        let sent = core::mem::take(&mut self.sent).min(self.blocks.len());
        self.cursor = 0;
        self.blocks.drain(..sent)
    }

    /// Goes on with another stream, which no receiver knows, from the first block that is not acknowledged.
    pub const fn renew(&mut self, stream: u64) {
        self.stream = stream;
        (self.base, self.cursor, self.sent, self.window) = (Some(1), 0, 0, 0);
    }

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> u64 {
        self.stream
    }

    /// Begins a connection: the first frame to send.
    pub fn hello(&mut self) -> [u8; HEADER_BYTES] {
        self.hello_with(WANTS_STOP)
    }

    /// The same, where other senders may have had the channel before: [`Frame::parse_answer`] knows the answer to it.
    pub fn bound_hello(&mut self) -> [u8; HEADER_BYTES] {
        self.hello_with(WANTS_STOP | WANTS_BOUND)
    }

    fn hello_with(&mut self, aux: u32) -> [u8; HEADER_BYTES] {
        self.cursor = 0;
        self.window = 0;
        let seq = self.base.unwrap_or(0);
        Frame { kind: Kind::Hello, seq, length: self.stream, aux }.to_bytes("")
    }

    /// Adds a block.
    pub fn enqueue(&mut self, block: B) {
        self.blocks.push_back(block);
    }

    /// Blocks that are not acknowledged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks that are not acknowledged, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &B> {
        self.blocks.iter()
    }

    /// Blocks that were sent on this connection and are not acknowledged.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.cursor
    }

    /// Blocks that may be under way; 0 before WELCOME.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.window
    }

    /// The block to send now, and its number, if there is one and the window is open.
    pub fn next_to_send(&mut self) -> Option<(u64, &mut B)> {
        if self.cursor >= self.window {
            return None;
        }
        let seq = self.base?.checked_add(u64::try_from(self.cursor).ok()?)?;
        self.blocks.get_mut(self.cursor).map(|block| (seq, block))
    }

    /// The block that was counted as sent last on this connection, if it is not acknowledged.
    #[must_use]
    pub fn last_sent(&self) -> Option<&B> {
        self.blocks.get(self.cursor.checked_sub(1)?)
    }

    /// Counts [`Ledger::next_to_send`] as sent: from its first byte on, for a receiver may have it before we know.
    pub fn sent(&mut self) {
        self.cursor = self.cursor.saturating_add(1).min(self.blocks.len());
        self.sent = self.sent.max(self.cursor);
    }

    /// Takes a frame of the receiver.
    ///
    /// # Errors
    /// The rule that it breaks; the connection must end.
    pub fn receive(&mut self, frame: &Frame) -> Result<Event<B>, LedgerFault> {
        match (frame.kind, self.window) {
            (Kind::Welcome, 0) => self.welcome(frame),
            (Kind::Ack, 1..) => self.acknowledge(frame),
            (Kind::Stop, 1..) => self.stop(frame),
            (Kind::Error, _) => Err(LedgerFault::Refused(frame.aux)),
            (kind, _) => Err(LedgerFault::OutOfTurn(kind)),
        }
    }

    fn welcome(&mut self, frame: &Frame) -> Result<Event<B>, LedgerFault> {
        let completed = frame.seq;
        let base = *self.base.get_or_insert(completed.saturating_add(1));
        let acknowledged = base.saturating_sub(1);
        let fresh =
            completed.checked_sub(acknowledged).ok_or(LedgerFault::Lost { completed, acknowledged })?;
        let fresh = usize::try_from(fresh).unwrap_or(usize::MAX);
        if fresh > self.sent {
            return Err(LedgerFault::AckOfUnsent(completed));
        }
        if frame.aux == 0 {
            return Err(LedgerFault::NoWindow);
        }
        self.cursor = fresh;
        self.window = usize::try_from(frame.aux).unwrap_or(usize::MAX);
        Ok(Event::Welcome { completed, instance: frame.length })
    }

    fn stop(&self, frame: &Frame) -> Result<Event<B>, LedgerFault> {
        let base = self.base.unwrap_or(0);
        let sent = base.saturating_add(u64::try_from(self.cursor).unwrap_or(u64::MAX));
        if frame.seq < base || frame.seq >= sent {
            return Err(LedgerFault::AckOfUnsent(frame.seq));
        }
        Ok(Event::Stop { seq: frame.seq })
    }

    /// The number of the block that was counted as sent last on this connection, if it is not acknowledged.
    #[must_use]
    pub fn last_seq(&self) -> Option<u64> {
        let ahead = u64::try_from(self.cursor.checked_sub(1)?).ok()?;
        self.base?.checked_add(ahead)
    }

    fn acknowledge(&mut self, frame: &Frame) -> Result<Event<B>, LedgerFault> {
        let base = self.base.unwrap_or(0);
        if self.cursor == 0
            || frame.seq >= base.saturating_add(u64::try_from(self.cursor).unwrap_or(u64::MAX))
        {
            return Err(LedgerFault::AckOfUnsent(frame.seq));
        }
        if frame.seq != base {
            return Err(LedgerFault::AckOutOfOrder(frame.seq));
        }
        let block = self.blocks.pop_front().ok_or(LedgerFault::AckOfUnsent(frame.seq))?;
        self.base = Some(base.saturating_add(1));
        self.cursor = self.cursor.saturating_sub(1);
        self.sent = self.sent.saturating_sub(1);
        Ok(Event::Completed { seq: frame.seq, block, status: Status(frame.aux) })
    }
}
