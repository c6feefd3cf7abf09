//! Sending: frames are built in granted pages, shown to the backend in one push, and freed by id in any order.
//!
//! ```text
//!   idle id with its page ──► the stack writes its frame at offset 0 ──► request written (Queued) ──push──► InFlight
//!    ▲        ▲ none yet: from the pool                                                                      │
//!    └───────────────────────────────────── response with its id, in any order ◄── backend copies or maps ──┘
//! ```
//!
//! While a token is out it borrows the queue, so the slot that it promises cannot be given twice, and one that is not
//! used needs no way back. A frame of up to a page takes one slot; how a longer one is sent is in `large.rs`.
//!
//! The bytes of a page beyond its frame are those of older frames. They went to the same backend before, which has
//! seen them; a page that changes hands to another backend is cleared first (`pool.rs`).

use crate::feature::Feature;
use crate::judge::ETHERNET_HEADER;
use crate::misbehaviour::{Misbehaviour, Tally};
use crate::offload::finish;
use crate::polite::check_tx_chain;
use crate::pool::{Mismatch, Pool, PoolCounts};
use crate::rx::{RxPage, add};
use crate::sent::{Done, TxSlots};
use crate::stats::TxStats;
use crate::strip::{LONGEST, Strip};
use alloc::vec;
use core::num::NonZeroU16;
use xen::abi::io_netif::{NETIF_TX_RING_SIZE, NetTxFlags, NetifRsp, NetifTxRequest, NetifTxResponse};
use xen::ids::PAGE_SIZE;
use xen::ring::FrontRing;
use xen::{Granted, Gref, Page, ReadOnly};

/// Bytes before the payload of TCP over IPv6 on Ethernet.
const IPV6_TCP: usize = 14 + 40 + 20;

/// The tx ring.
pub type TxRing = FrontRing<NetifTxRequest, NetifTxResponse, NETIF_TX_RING_SIZE>;
/// A page to send from.
pub type TxPage = Page<Granted<ReadOnly>>;

/// One queue's way out.
#[derive(Debug)]
pub struct TxQueue {
    pub(crate) ring: TxRing,
    pub(crate) slots: TxSlots,
    pub(crate) pool: Pool<ReadOnly>,
    /// For frames that are longer than a page, if such can be sent.
    pub(crate) strip: Option<Strip>,
    /// What the backend accepts.
    pub(crate) features: Feature,
    /// Bytes of the longest frame that is not cut into segments.
    pub(crate) max_frame: usize,
    /// The same, for now: a peer may take less.
    pub(crate) longest: usize,
    /// Bytes of the longest frame that takes one slot.
    one_slot: usize,
    /// Slots of the ring that the next frame can need.
    reserve: u32,
    /// Frames of one slot that can be queued without a look at ring, strip and pages: the ids that are next have some.
    pub(crate) credit: usize,
    /// Extras in the ring, whose responses say nothing.
    pub(crate) extras: u32,
    /// Requests with an id that were written, and of those the ones that the backend was shown.
    pub(crate) written: u64,
    pushed: u64,
    pub(crate) stats: TxStats,
    pub(crate) tally: Tally,
}

impl TxQueue {
    /// A queue over a new ring, with the pages of a pool that was made ready for the ring's backend.
    #[must_use]
    pub(crate) fn new(
        ring: TxRing,
        (pool, strip): (Pool<ReadOnly>, Option<Strip>),
        features: Feature,
        max_frame: usize,
    ) -> Self {
        // The longest frame, and a descriptor.
        let longest = u32::try_from(LONGEST).unwrap_or(u32::MAX).saturating_add(1);
        Self {
            ring,
            slots: TxSlots::default(),
            pool,
            reserve: if features.contains(Feature::SCATTER_GATHER) { longest } else { 1 },
            strip,
            features,
            max_frame,
            longest: max_frame,
            one_slot: max_frame.min(PAGE_SIZE),
            credit: 0,
            extras: 0,
            written: 0,
            pushed: 0,
            stats: TxStats::default(),
            tally: Tally::default(),
        }
    }

    /// Limits the TCP payload of a frame that is not cut, over IPv6 and without options, to so many bytes.
    pub(crate) fn limit(&mut self, payload: Option<u16>) {
        let limit = |payload| usize::from(payload).saturating_add(IPV6_TCP).min(self.max_frame);
        self.longest = payload.map_or(self.max_frame, limit);
        self.one_slot = self.longest.min(PAGE_SIZE);
    }

    /// Whether any frame can be queued now: there are places in the ring, ids, and pages.
    #[inline]
    #[must_use]
    pub fn is_ready(&mut self) -> bool {
        self.credit > 0 || self.look()
    }

    /// As [`TxQueue::is_ready`], by looking.
    #[inline(never)]
    fn look(&mut self) -> bool {
        if !self.has_room() {
            return false;
        }
        let pool = &mut self.pool;
        if !self.slots.park(|| pool.take()) {
            return false;
        }
        let room = self.ring.free_requests().saturating_sub(self.reserve).saturating_add(1);
        self.credit = self.slots.row().min(usize::try_from(room).unwrap_or(0));
        true
    }

    /// Whether the ring has places and there are ids for the longest frame, and the strip has pages; one of the pool may
    /// be missing. How long a frame is to be is not known when its token is given.
    #[must_use]
    pub fn has_room(&mut self) -> bool {
        self.ring.free_requests() >= self.reserve
            && self.slots.nr_idle() > 0
            && (self.reserve == 1 || self.strip.as_mut().is_some_and(Strip::is_ready))
    }

    /// Takes an id for a request without a page of the pool.
    pub(crate) fn claim(&mut self) -> Option<u8> {
        self.credit = 0;
        let (id, parked) = self.slots.claim()?;
        parked.into_iter().for_each(|page| self.pool.put(page));
        Some(id)
    }

    /// Puts the pages that are parked into the pool: for a look at how many there are.
    pub(crate) fn unpark(&mut self) {
        self.credit = 0;
        let mut nth = 0;
        while let Some((at, page)) = self.slots.unpark(nth) {
            nth = at;
            self.pool.put(page);
        }
    }

    /// Whether there are free pages beyond those of the start.
    pub(crate) const fn has_surplus(&self) -> bool {
        self.pool.has_surplus(self.slots.parked())
    }

    /// Takes back what the backend has answered. How many responses there were.
    ///
    /// # Errors
    /// The ring's index, or an id, is wrong: the queue is to be left alone.
    #[inline(never)]
    pub fn reap(&mut self) -> Result<u32, Misbehaviour> {
        let responses = self.ring.unconsumed_responses().map_err(Misbehaviour::TxRing)?;
        if responses > 0 {
            self.stats.responses = self.stats.responses.wrapping_add(u64::from(responses));
            loop {
                let other = self.slots.complete_pages(&mut self.ring.responses(), self.pushed);
                let Some(other) = other else { break };
                self.complete(other)?;
            }
        }
        Ok(responses)
    }

    /// One response that is not to a page of the pool, or not okay: its page is free, its status is counted.
    #[cold]
    fn complete(&mut self, response: NetifTxResponse) -> Result<(), Misbehaviour> {
        if response.status != NetifRsp::Okay.raw() && self.note_status(response)? {
            return Ok(());
        }
        let Ok(id) = u8::try_from(response.id) else { return Err(Misbehaviour::TxIdRange(response.id)) };
        match self.slots.complete(id, self.pushed) {
            Some(Done::Page) => Ok(()),
            Some(Done::Strip(page)) => {
                self.credit = 0;
                self.strip.iter_mut().for_each(|strip| strip.put(page));
                Ok(())
            }
            None => Err(Misbehaviour::TxIdIdle(id)),
        }
    }

    /// Counts a status other than okay; whether the response was to an extra, and there is nothing more to it.
    fn note_status(&mut self, NetifTxResponse { id, status }: NetifTxResponse) -> Result<bool, Misbehaviour> {
        match NetifRsp::try_from(status) {
            Ok(NetifRsp::Null) => {
                self.extras = self.extras.checked_sub(1).ok_or(Misbehaviour::TxNull)?;
                return Ok(true);
            }
            Ok(_) if self.slots.is_group(id) => {
                self.stats.groups_refused = self.stats.groups_refused.wrapping_add(1);
            }
            Ok(NetifRsp::Dropped) => self.stats.backend_dropped = self.stats.backend_dropped.wrapping_add(1),
            Ok(_) => self.stats.backend_errors = self.stats.backend_errors.wrapping_add(1),
            Err(_) => self.tally.count(&Misbehaviour::TxStatus(status)),
        }
        Ok(false)
    }

    /// Lets `build` write a frame of `len` bytes straight into granted memory, and queues it. With `segment`, the backend
    /// makes TCP segments with so many bytes of it, or with as many as fit the link.
    #[inline]
    pub fn send<R>(
        &mut self,
        len: usize,
        segment: Option<NonZeroU16>,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        if len > self.one_slot || segment.is_some() {
            return self.send_large(len, segment, build);
        }
        if !self.is_ready() {
            return self.build_nowhere(len, build);
        }
        let features = self.features;
        let Some((id, page)) = self.slots.next_page() else { return self.build_nowhere(len, build) };
        let frame = page.bytes_mut().get_mut(..len).unwrap_or_default();
        let result = build(frame);
        let flags = finish(features, frame);
        let gref = page.gref();
        self.queue(id, gref, len, flags);
        result
    }

    /// Writes the request for the frame that was built in the next id's page.
    #[inline(never)]
    fn queue(&mut self, id: u8, gref: Gref, len: usize, flags: NetTxFlags) {
        // Not more than a page.
        let size = u16::try_from(len).unwrap_or_default();
        let request =
            NetifTxRequest { gref: gref.0, offset: 0, flags: flags.bits(), id: u16::from(id), size };
        let polite = check_tx_chain(&[request], &[]);
        debug_assert!(polite.is_ok() || len < usize::from(ETHERNET_HEADER), "{polite:?}");
        if polite.is_err() || self.ring.write_request(&request).is_none() {
            self.stats.refused = self.stats.refused.wrapping_add(1);
            return;
        }
        // There was some, or nothing would have been built.
        self.credit = self.credit.wrapping_sub(1);
        self.slots.queue_next(id, self.written);
        self.written = self.written.wrapping_add(1);
        self.note_sent(len, flags);
    }

    /// Counts a frame.
    #[inline]
    pub(crate) fn note_sent(&mut self, len: usize, flags: NetTxFlags) {
        let blank = u64::from(flags.contains(NetTxFlags::CSUM_BLANK));
        self.stats.checksum_blank = self.stats.checksum_blank.wrapping_add(blank);
        self.stats.packets = self.stats.packets.wrapping_add(1);
        add(&mut self.stats.bytes, len);
    }

    /// Builds a frame that no page holds, and drops it. A stack that keeps to the device's capabilities and asks for a
    /// token first never gets here.
    #[cold]
    pub(crate) fn build_nowhere<R>(&mut self, len: usize, build: impl FnOnce(&mut [u8]) -> R) -> R {
        self.stats.refused = self.stats.refused.wrapping_add(1);
        build(&mut vec![0; len])
    }

    /// Shows the backend what was queued; whether it wants to be notified.
    #[must_use = "a backend that wants a notification and gets none sleeps on"]
    pub fn push(&mut self) -> bool {
        if !self.ring.has_unpushed() {
            return false;
        }
        self.pushed = self.written;
        self.ring.push_requests_and_check_notify()
    }

    /// Asks for an event with the next response, and looks once more: whether there is one.
    ///
    /// # Errors
    /// As [`TxQueue::reap`].
    pub fn final_check(&mut self) -> Result<bool, Misbehaviour> {
        self.ring.final_check_for_responses().map_err(Misbehaviour::TxRing)
    }

    /// Requests that are queued or in flight.
    #[inline]
    #[must_use]
    pub const fn outstanding(&self) -> u32 {
        self.ring.outstanding()
    }

    /// Where the pages of the pool are.
    ///
    /// # Errors
    /// The counts, when they do not add up: also those of the strip.
    pub fn accounting(&self) -> Result<PoolCounts, Mismatch> {
        let sent = self.slots.count();
        let counts = self.strip_counts();
        if sent.strip != counts.in_ring {
            return Err(Mismatch(counts));
        }
        debug_assert_eq!(sent.parked, self.slots.parked(), "pages that are parked");
        let mut counts = self.pool.account(sent.pool.saturating_add(sent.parked), 0)?;
        (counts.free, counts.in_ring) = (counts.free.saturating_add(sent.parked), sent.pool);
        Ok(counts)
    }

    /// Where the pages of the strip are.
    pub(crate) fn strip_counts(&self) -> PoolCounts {
        self.strip.as_ref().map(Strip::counts).unwrap_or_default()
    }

    /// The end of the connection: the ring's page, and the pool and the strip with all their pages. Frames that were
    /// queued and not pushed are dropped; of those in flight nobody knows.
    #[must_use]
    pub(crate) fn close(mut self) -> (RxPage, Pool<ReadOnly>, Option<Strip>, TxStats) {
        for ended in self.slots.drain() {
            if let Some(number) = ended.lost {
                let stats = &mut self.stats;
                let lost =
                    if number < self.pushed { &mut stats.lost_in_flight } else { &mut stats.lost_queued };
                *lost = lost.wrapping_add(1);
            }
            ended.page.into_iter().for_each(|page| self.pool.put(page));
            self.strip.iter_mut().for_each(|strip| strip.put(ended.strip));
        }
        (self.ring.into_page(), self.pool, self.strip, self.stats)
    }
}
