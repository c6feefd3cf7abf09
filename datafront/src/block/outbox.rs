//! The blocks that wait in a guest until dom0 has them, in bounded memory.
//!
//! ```text
//!   put ─► [ sent, not acknowledged │ waiting … ] ─► send: a connection after the other ─► dom0
//!            stays until its ACK      ▲ full: the oldest of these is dropped and counted, or whoever puts waits
//! ```
//!
//! A block that was sent is never dropped: the receiver may have it, and its number with it. At most [`MAX_UNDER_WAY`]
//! blocks, and half of the memory, are sent and not acknowledged, so that there is always something to drop. The memory
//! is the guest's until the acknowledgement: what the guest has in it when it ends is lost.

use super::ledger::{Event, Ledger, LedgerFault};
use super::wire::{Form, Frame, Kind, MAX_BLOCK_BYTES, MAX_NAME_BYTES};
use ::ledger::{Account, Reservation};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use xen::signal::Signal;

/// Blocks that are sent before the first of them is acknowledged.
pub const MAX_UNDER_WAY: usize = 16;
/// What a block costs besides its bytes: its place in the list, its name's handle, and the heap's own header.
const BLOCK_COST: usize = 128;
/// A code of an ERROR: the receiver has not completed the block before the one that HELLO names.
const GAP: u32 = 5;

/// What happens when the memory of an outbox is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest block that was not sent yet is dropped and counted.
    #[default]
    DropOldest,
    /// Whoever has a block waits ([`Outbox::room`]). A block that is put all the same is dropped and counted.
    Wait,
}

/// A block for dom0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingBlock {
    /// Its name, at most 255 bytes.
    pub name: Rc<str>,
    /// What its bytes are: [`Form::Bytes`] replace what has the name in dom0, [`Form::Append`] are added to it.
    pub form: Form,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The number of records in it, such as lines of a log; for the counters.
    pub records: u64,
}

impl OutgoingBlock {
    fn cost(&self) -> usize {
        self.bytes.capacity().saturating_add(BLOCK_COST)
    }
}

xen::counters! {
    /// What an outbox has counted.
    pub struct OutboxCounts {
        /// Blocks that were put in.
        put,
        /// Blocks that dom0 has accepted.
        accepted,
        /// Records in accepted blocks.
        accepted_records,
        /// Bytes of accepted blocks.
        accepted_bytes,
        /// Blocks that dom0 has refused. They are gone.
        refused,
        /// Blocks that were dropped because the memory was used up.
        dropped,
        /// Records in dropped blocks.
        dropped_records,
        /// Blocks that a newer one of the same name has replaced before they were sent.
        replaced,
        /// Connections from dom0.
        connections,
        /// Connections that ended because dom0's program broke a rule of blocks.
        faults,
    }
}

/// The state of an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// The counters.
    pub counts: OutboxCounts,
    /// Blocks that are not acknowledged.
    pub blocks: usize,
    /// The memory that they take, in bytes.
    pub bytes: usize,
    /// The most that they may take, in bytes.
    pub limit: usize,
    /// Whether dom0 is connected.
    pub connected: bool,
}

/// Blocks for dom0. One task sends them; any number of tasks put them in.
#[derive(Debug)]
pub struct Outbox {
    pub(crate) state: RefCell<State>,
    /// A block was put in.
    pub(crate) added: Signal,
    connected: Cell<bool>,
    /// Tasks that wait for room, or for a connection to begin or end.
    waiting: RefCell<Vec<Waker>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ledger: Ledger<OutgoingBlock>,
    account: Account,
    reserved: Reservation,
    limit: usize,
    when_full: WhenFull,
    pub(crate) counts: OutboxCounts,
}

impl Outbox {
    /// An empty outbox whose blocks take at most `limit` bytes of an account. `stream` is a random number: a receiver
    /// takes two outboxes with the same number for one.
    #[must_use]
    pub fn new(stream: u64, limit: usize, when_full: WhenFull, account: &Account) -> Self {
        let state = State {
            ledger: Ledger::fresh(stream),
            account: account.clone(),
            reserved: Reservation::none(account),
            limit: limit.min(account.limit()),
            when_full,
            counts: OutboxCounts::default(),
        };
        Self {
            state: RefCell::new(state),
            added: Signal::new(),
            connected: Cell::new(false),
            waiting: RefCell::default(),
        }
    }

    /// Adds a block. Without room for it, [`WhenFull`] says which block is dropped.
    pub fn put(&self, block: OutgoingBlock) {
        self.state.borrow_mut().put(block);
        self.added.set();
    }

    /// As [`Outbox::put`], in place of a block of the same name that was not sent yet: for a state of which only the
    /// newest counts.
    pub fn put_latest(&self, block: OutgoingBlock) {
        let mut state = self.state.borrow_mut();
        if let Some(older) = state.ledger.remove_unsent(|older| older.name == block.name) {
            state.give_back(older.cost());
            state.counts.replaced.bump();
        }
        drop(state);
        self.put(block);
    }

    /// Waits until there is room for a block of this many bytes, if the outbox is one that waits.
    pub async fn room(&self, bytes: usize) {
        poll_fn(|cx| self.poll_room(bytes, cx)).await;
    }

    /// [`Outbox::room`], asked for once.
    pub fn poll_room(&self, bytes: usize, cx: &Context<'_>) -> Poll<()> {
        if self.has_room(bytes) {
            return Poll::Ready(());
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Whether there is room for a block of this many bytes; always, if the outbox is one that drops. A block that can
    /// never fit has room, and so has any while no block waits whose acknowledgement would give memory back: it is dropped.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let (state, cost) = (self.state.borrow(), bytes.saturating_add(BLOCK_COST));
        let is_vain = cost > state.limit / 2 || state.ledger.is_empty();
        let fits = state.fits(cost) && cost <= state.account.available();
        state.when_full == WhenFull::DropOldest || is_vain || fits
    }

    /// Waits until dom0 connects, or the connection ends: whether it is connected.
    pub async fn connection_changes(&self) -> bool {
        let before = self.connected.get();
        poll_fn(|cx| {
            if self.connected.get() != before {
                return Poll::Ready(());
            }
            self.wait(cx);
            Poll::Pending
        })
        .await;
        !before
    }

    /// Whether dom0 is connected.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// Whether every block is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.borrow().ledger.is_empty()
    }

    /// What it holds and has counted.
    #[must_use]
    pub fn stats(&self) -> OutboxStats {
        let state = self.state.borrow();
        OutboxStats {
            counts: state.counts,
            blocks: state.ledger.len(),
            bytes: state.reserved.bytes(),
            limit: state.limit,
            connected: self.connected.get(),
        }
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        if self.connected.replace(connected) != connected {
            if connected {
                self.state.borrow_mut().counts.connections.bump();
            }
            self.wake();
        }
    }

    /// Takes a frame of the receiver.
    pub(crate) fn receive(&self, frame: &Frame) -> Result<(), LedgerFault> {
        let result = self.state.borrow_mut().receive(frame);
        self.wake();
        result
    }

    fn wait(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    fn wake(&self) {
        // Wakers run outside the borrow: they may come back here.
        let waiting = core::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Bytes without spare capacity; as they are if there is no memory to copy them.
fn fitted(bytes: Vec<u8>) -> Vec<u8> {
    let mut exact = Vec::new();
    if bytes.len() == bytes.capacity() || exact.try_reserve_exact(bytes.len()).is_err() {
        return bytes;
    }
    exact.extend_from_slice(&bytes);
    exact
}

impl State {
    fn fits(&self, more: usize) -> bool {
        self.reserved.bytes().checked_add(more).is_some_and(|bytes| bytes <= self.limit)
    }

    fn give_back(&mut self, cost: usize) {
        let left = self.reserved.bytes().saturating_sub(cost);
        self.reserved.shrink_to(left);
    }

    fn put(&mut self, mut block: OutgoingBlock) {
        self.counts.put.bump();
        // What was asked for is the room of its bytes alone.
        block.bytes = fitted(block.bytes);
        let cost = block.cost();
        let len = u64::try_from(block.bytes.len()).unwrap_or(u64::MAX);
        let is_possible =
            cost <= self.limit / 2 && len <= MAX_BLOCK_BYTES && block.name.len() <= MAX_NAME_BYTES;
        if is_possible && self.make_room(cost) {
            self.ledger.enqueue(block);
        } else {
            self.drop_counted(&block);
        }
    }

    /// Reserves these bytes, and drops what may be dropped for them.
    fn make_room(&mut self, cost: usize) -> bool {
        while !self.fits(cost) || self.reserved.grow(cost).is_err() {
            let oldest = match self.when_full {
                WhenFull::DropOldest => self.ledger.remove_unsent(|_| true),
                WhenFull::Wait => None,
            };
            let Some(oldest) = oldest else { return false };
            self.give_back(oldest.cost());
            self.drop_counted(&oldest);
        }
        true
    }

    fn drop_counted(&mut self, block: &OutgoingBlock) {
        self.counts.dropped.bump();
        self.counts.dropped_records.add(block.records);
    }

    /// Whether the next block may be sent before another one is acknowledged.
    pub(crate) fn may_send(&self) -> bool {
        let under_way = self.ledger.under_way();
        let bytes = self.ledger.iter().take(under_way.saturating_add(1)).map(OutgoingBlock::cost);
        under_way == 0
            || (under_way < MAX_UNDER_WAY && bytes.fold(0, usize::saturating_add) <= self.limit / 2)
    }

    fn receive(&mut self, frame: &Frame) -> Result<(), LedgerFault> {
        match self.ledger.receive(frame) {
            Ok(Event::Completed { block, status, .. }) => {
                self.give_back(block.cost());
                if status.is_accepted() {
                    self.counts.accepted.bump();
                    self.counts.accepted_records.add(block.records);
                    self.counts.accepted_bytes.add_len(block.bytes.len());
                } else {
                    self.counts.refused.bump();
                }
                Ok(())
            }
            // The rest of a block that is refused is sent: it is short.
            Ok(Event::Welcome { .. } | Event::Stop { .. }) => Ok(()),
            Err(fault) => {
                self.counts.faults.bump();
                self.leave_stream(frame.kind, fault);
                Err(fault)
            }
        }
    }

    /// Goes on with another stream if the receiver's and ours do not fit together any more. A receiver that is behind has
    /// not had what is not acknowledged. One that is ahead belongs to a later state of this guest, which was restored to an
    /// earlier one: it has whatever was sent.
    fn leave_stream(&mut self, kind: Kind, fault: LedgerFault) {
        match fault {
            LedgerFault::Refused(GAP) | LedgerFault::Lost { .. } => {}
            LedgerFault::AckOfUnsent(_) if kind == Kind::Welcome => {
                let there = self.ledger.remove_sent().fold((0_usize, 0_u64, 0_u64), |sum, block| {
                    let (cost, blocks, records) = sum;
                    let cost = cost.saturating_add(block.cost());
                    (cost, blocks.saturating_add(1), records.saturating_add(block.records))
                });
                let (cost, blocks, records) = there;
                self.give_back(cost);
                self.counts.accepted.add(blocks);
                self.counts.accepted_records.add(records);
            }
            _ => return,
        }
        let next = self.ledger.stream().wrapping_add(1);
        self.ledger.renew(next);
    }
}
