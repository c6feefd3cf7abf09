//! A queue: a ring for each direction, their event channels, and the pools that supply the pages.
//!
//! ```text
//!   Queue ─┬─ RxQueue: rx ring, slots, Pool<ReadWrite>      ◄── rx channel ─┐
//!          └─ TxQueue: tx ring, slots, Pool<ReadOnly>,      ◄── tx channel ─┴ or one channel for both
//!                      ContiguousBuffer
//! ```
//!
//! A device has one queue or several. Each queue has its own pools and shares nothing with another one, so that a queue
//! can belong to a vCPU.
//!
//! | file | contents |
//! |---|---|
//! | this one | [`Queue`]: an iteration over both rings, notifications, the end of a connection |
//! | `channel`, `moderation` | event channels, and masking those whose events come without work |
//! | `rx`, `rx_frame`, `rx_chain`, `rx_refill`, `rx_slots` | [`rx::RxQueue`]: responses, the current frame, frames over several slots, requests, slots |
//! | `tx`, `tx_large`, `tx_group`, `tx_slots` | [`tx::TxQueue`]: frames of one slot, longer frames, multicast requests, slots |
//! | `current`, `steering`, `counters`, `token` | plain data of the queues, and smoltcp's tokens |
//! | `gref_batch` | the pages of a queue that the backend keeps mapped |

pub(crate) mod channel;
pub(crate) mod counters;
mod current;
pub(crate) mod gref_batch;
pub(crate) mod moderation;
pub(crate) mod rx;
mod rx_chain;
mod rx_frame;
mod rx_refill;
mod rx_slots;
pub(crate) mod steering;
pub(crate) mod token;
pub(crate) mod tx;
mod tx_group;
mod tx_large;
mod tx_slots;

use crate::wire::check_rx::{RxPolicy, VLAN_TAG};
use crate::wire::feature::Feature;
use crate::wire::misbehaviour::{Misbehaviour, MisbehaviourCounts};
use alloc::vec::Vec;
use channel::{Channel, Channels};
use counters::{RxStats, TxStats};
use gref_batch::Mapping;
use nic::{Packet, Received};
use pool::contiguous::ContiguousBuffer;
use pool::{Mismatch, Pool, PoolCounts, PoolStats};
use rx::{RxQueue, RxRing};
use steering::Steering;
use token::{RxToken, TxToken};
use tx::{TxQueue, TxRing};
use xen::abi::io_netif::NetifExtra;
use xen::{Counter, EvtchnPort, GrantedPage, Machine, ReadOnly, ReadWrite, SystemTime, Xen};

/// The ring resources of a queue: empty rings that are granted to the backend, and event channels.
#[derive(Debug)]
pub(crate) struct QueueRings {
    /// The rx ring.
    pub(crate) rx: RxRing,
    /// The tx ring.
    pub(crate) tx: TxRing,
    /// The event channels.
    pub(crate) channels: Channels,
}

/// The pools of a queue.
#[derive(Debug)]
pub(crate) struct QueuePools {
    /// Pages to receive into.
    pub(crate) rx: Pool<ReadWrite>,
    /// Pages to send from.
    pub(crate) tx: Pool<ReadOnly>,
    /// Contiguous pages to send from, if there are any.
    pub(crate) contiguous: Option<ContiguousBuffer>,
}

/// A queue in use.
#[derive(Debug)]
pub(crate) struct Queue {
    rx: RxQueue,
    tx: TxQueue,
    /// The pages that the backend keeps mapped.
    mapping: Mapping,
    channels: Channels,
}

/// What an iteration found at its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Channels with an event.
    pub(crate) events: u64,
    /// Rx responses, still in the ring.
    pub(crate) rx: u32,
    /// Tx responses, taken.
    pub(crate) tx: u32,
}

/// What is left of a queue after its connection.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) pools: QueuePools,
    pub(crate) rx_stats: RxStats,
    pub(crate) tx_stats: TxStats,
    pub(crate) misbehaviour: MisbehaviourCounts,
    /// Ring pages that the backend still uses.
    pub(crate) in_use: Vec<GrantedPage>,
}

impl Queue {
    /// A queue over new rings. The pools must be prepared for the backend of the rings.
    pub(crate) fn new(rings: QueueRings, pools: QueuePools, policy: RxPolicy, tx: Feature) -> Self {
        Self {
            // Frames that we send have no VLAN tag.
            tx: TxQueue::new(
                rings.tx,
                (pools.tx, pools.contiguous),
                tx,
                policy.max_frame.saturating_sub(VLAN_TAG),
            ),
            rx: RxQueue::new(rings.rx, pools.rx, policy),
            mapping: Mapping::default(),
            channels: rings.channels,
        }
    }

    /// Begins an iteration: reads the response index of each ring once, and takes the tx responses.
    pub(crate) fn reap(&mut self) -> Result<Found, Misbehaviour> {
        self.rx.new_iteration();
        self.tx.new_iteration();
        let tx = self.tx.reap()?;
        let rx = self.rx.look()?;
        let events = self.channels.take_events(rx, tx);
        Ok(Found { events, rx, tx })
    }

    /// Begins an iteration without a link: the rings are not read, and events count as idle.
    pub(crate) fn discard_events(&mut self) -> u64 {
        self.channels.take_events(0, 0)
    }

    /// The channels, for interrupt moderation.
    pub(crate) const fn channels(&self) -> &Channels {
        &self.channels
    }

    /// As [`Queue::channels`], to mask and unmask them.
    pub(crate) fn channels_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.channels.each_mut()
    }

    /// Makes the next frame current if it is an ordinary one. Returns whether it can be answered on this queue; if not,
    /// the general way decides: [`Queue::advance`], [`Queue::can_reply`]. A function of its own: it is compiled for speed
    /// with this crate, not for size with the guest.
    #[inline(never)]
    pub(crate) fn is_ready(&mut self) -> bool {
        self.tx.has_credit() && self.rx.advance_plain()
    }

    /// Makes the next good frame current. Returns whether there is one.
    pub(crate) fn advance(&mut self) -> Result<bool, Misbehaviour> {
        self.rx.advance()
    }

    /// The current frame.
    #[inline]
    pub(crate) fn received(&self) -> Received<'_> {
        self.rx.received()
    }

    /// Drops the current frame.
    pub(crate) fn discard(&mut self) {
        self.rx.release();
    }

    /// Takes the current frame for an application that retains it.
    pub(crate) fn retain(&mut self) -> Option<Packet> {
        self.rx.retain()
    }

    /// The token for the current frame.
    #[inline]
    pub(crate) const fn rx_token(&mut self) -> RxToken<'_> {
        RxToken::new(&mut self.rx)
    }

    /// A token to send. [`Queue::can_send`] must be true.
    #[inline]
    pub(crate) const fn tx_token(&mut self) -> TxToken<'_> {
        TxToken::new(&mut self.tx)
    }

    /// Both tokens.
    #[inline]
    pub(crate) const fn tokens(&mut self) -> (RxToken<'_>, TxToken<'_>) {
        (RxToken::new(&mut self.rx), TxToken::new(&mut self.tx))
    }

    /// Whether a frame of any length can be sent. Grows the tx pool if only a page is missing.
    #[inline]
    pub(crate) fn can_send<M: Machine>(&mut self, xen: &Xen<M>) -> bool {
        self.tx.can_send() || self.tx.grow_and_retry(xen, true)
    }

    /// Whether a received frame can be answered: with a frame of one slot.
    #[inline]
    pub(crate) fn can_reply<M: Machine>(&mut self, xen: &Xen<M>) -> bool {
        self.tx.can_reply() || self.tx.grow_and_retry(xen, false)
    }

    /// Looks for the room of the longest frame, if frames wait for it or it was missing. Returns when to call this again,
    /// and whether frames of one slot need not wait for it any more.
    pub(crate) fn poll_room(&mut self, now: SystemTime, waiting: bool) -> (Option<SystemTime>, bool) {
        let before = self.tx.is_small_only();
        let next = self.tx.poll_room(now, waiting);
        (next, self.tx.is_small_only() && !before)
    }

    /// Counts that no frame could be sent.
    pub(crate) const fn note_exhausted(&mut self) {
        self.tx.note_exhausted();
    }

    /// See [`Nic::set_segment_size`](nic::Nic::set_segment_size).
    pub(crate) fn set_segment_size(&mut self, payload: Option<u16>) {
        self.tx.set_segment_size(payload);
    }

    /// See [`TxQueue::send_group`].
    pub(crate) fn send_group(&mut self, extra: NetifExtra) -> bool {
        self.tx.send_group(extra)
    }

    /// Sets how frames are assigned to queues.
    pub(crate) const fn set_steering(&mut self, steering: Steering) {
        self.rx.set_steering(steering);
    }

    /// Writes the first rx requests and shows them, before the backend reads the ring for the first time.
    pub(crate) fn begin<M: Machine>(&mut self, xen: &Xen<M>) {
        self.rx.fill(xen);
        // The backend is not connected yet; `notify_all` follows when it is.
        let _ = self.rx.push();
    }

    /// Ends an iteration: shows both rings, with at most one notification for each channel. Returns the number of
    /// notifications that Xen refused.
    pub(crate) fn flush<M: Machine>(&mut self, xen: &Xen<M>) -> u64 {
        self.rx.fill(xen);
        let rx = self.rx.push();
        let tx = self.tx.push();
        self.notify(xen, rx, tx)
    }

    /// Notifies on every channel, whether the backend asked for it or not: it has just connected.
    pub(crate) fn notify_all<M: Machine>(&mut self, xen: &Xen<M>) -> u64 {
        self.notify(xen, true, true)
    }

    #[inline]
    fn notify<M: Machine>(&mut self, xen: &Xen<M>, rx: bool, tx: bool) -> u64 {
        let mut refused = 0_u64;
        let mut send = |port: EvtchnPort, counter: &mut Counter| {
            counter.bump();
            refused = refused.wrapping_add(u64::from(xen.machine.evtchn_send(port).is_err()));
        };
        match &self.channels {
            Channels::Shared(channel) => {
                // One notification for both directions, counted in the direction that needs it.
                if rx {
                    send(channel.port(), self.rx.notifications_mut());
                } else if tx {
                    send(channel.port(), self.tx.notifications_mut());
                }
            }
            Channels::Split { rx: rx_channel, tx: tx_channel } => {
                if rx {
                    send(rx_channel.port(), self.rx.notifications_mut());
                }
                if tx {
                    send(tx_channel.port(), self.tx.notifications_mut());
                }
            }
        }
        refused
    }

    /// Looks at the rings a last time before sleep, and asks for an event: at the rx ring if a received frame could be
    /// answered, and at the tx ring if a frame waits for a slot. Returns whether there is work.
    pub(crate) fn final_check(&mut self, tx_exhausted: bool) -> Result<bool, Misbehaviour> {
        if !tx_exhausted {
            return self.rx.final_check();
        }
        // A received frame that cannot be answered would only keep us awake.
        let frames = self.tx.can_reply() && self.rx.final_check()?;
        Ok(self.tx.final_check()? || frames)
    }

    /// The counters of both directions.
    pub(crate) const fn stats(&self) -> (RxStats, TxStats) {
        (self.rx.stats(), self.tx.stats())
    }

    /// Broken rules of both directions.
    pub(crate) fn misbehaviour(&self) -> MisbehaviourCounts {
        let mut counts = self.rx.misbehaviour();
        counts.add(&self.tx.misbehaviour());
        counts
    }

    /// The counters of both pools.
    pub(crate) const fn pool_stats(&self) -> (PoolStats, PoolStats) {
        (self.rx.pool_stats(), self.tx.pool_stats())
    }

    /// Where the pages of both pools are.
    ///
    /// # Errors
    /// The counts of a pool that do not add up.
    pub(crate) fn accounting(&self) -> Result<(PoolCounts, PoolCounts), Mismatch> {
        Ok((self.rx.accounting()?, self.tx.accounting()?))
    }

    /// Where the contiguous pages are.
    pub(crate) fn contiguous_counts(&self) -> PoolCounts {
        self.tx.contiguous_counts()
    }

    /// Whether a pool is larger than at the start and has a free page.
    pub(crate) const fn has_surplus(&self) -> bool {
        self.rx.has_surplus() || self.tx.has_surplus()
    }

    /// Frees pages that were not needed since the last call.
    pub(crate) fn shrink_idle<M: Machine>(&mut self, xen: &Xen<M>) {
        self.rx.shrink_idle(xen);
        self.tx.shrink_idle(xen);
    }

    /// Frees every free page. Returns the number of pages.
    pub(crate) fn trim<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        self.rx.trim(xen).saturating_add(self.tx.trim(xen))
    }

    /// The number of quarantined pages of a pool, when it has reached the limit.
    pub(crate) fn quarantine_full(&self) -> Option<usize> {
        self.rx.quarantine_full().or_else(|| self.tx.quarantine_full())
    }

    /// Ends the connection: closes the channels, ends the grants of the rings, and returns all pages to their pools.
    pub(crate) fn close<M: Machine>(self, xen: &Xen<M>) -> Remains {
        let misbehaviour = self.misbehaviour();
        let (rx_page, mut rx, rx_stats) = self.rx.close();
        let (tx_page, mut tx, mut contiguous, tx_stats) = self.tx.close();
        // The backend's mappings have gone with it, or Xen sees them when the grants are to end.
        rx.forget_mappings();
        tx.forget_mappings();
        contiguous.iter_mut().for_each(ContiguousBuffer::forget_mappings);
        self.channels.close(xen);
        let in_use = [rx_page, tx_page].into_iter().filter_map(|page| xen.take_back(page)).collect();
        Remains { pools: QueuePools { rx, tx, contiguous }, rx_stats, tx_stats, misbehaviour, in_use }
    }
}
