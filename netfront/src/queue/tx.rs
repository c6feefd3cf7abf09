//! The transmit queue: frames are built in granted pages, shown to the backend in one push, and freed by id in any
//! order.
//!
//! ```text
//!   idle id with its page ──► the stack writes its frame at offset 0 ──► request written (queued) ──push──► in flight
//!    ▲        ▲ no page yet: from the pool                                                                   │
//!    └───────────────────────────────── response with its id, in any order ◄── the backend copies or maps ◄──┘
//! ```
//!
//! A token borrows the queue, so the slot that it promises cannot be promised twice, and an unused token needs no
//! return. A frame of up to a page takes one slot; `tx_large` sends longer ones, and `tx_group` multicast requests.
//!
//! A token is given before the length of its frame is known. A reply to a received frame is short: its token needs room
//! for one slot. Any other token waits for the room of the longest frame, but not for ever: see `poll_room`.
//!
//! The bytes of a page beyond its frame are those of older frames. They went to the same backend before; a page that is
//! granted to another backend is cleared first (`pool`).

use crate::queue::counters::TxStats;
use crate::queue::tx_slots::{Done, TxSlots};
use crate::wire::check_rx::ETHERNET_HEADER;
use crate::wire::check_tx::check_tx_chain;
use crate::wire::feature::Feature;
use crate::wire::misbehaviour::{Misbehaviour, MisbehaviourCounts};
use crate::wire::offload::{finish, finish_partial};
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU16;
use nic::PartialTcp;
use pool::contiguous::{ContiguousBuffer, MAX_FRAME_PAGES};
use pool::{Mismatch, Pool, PoolCounts, PoolStats};
use xen::abi::io_netif::{NETIF_TX_RING_SIZE, NetTxFlags, NetifRsp, NetifTxRequest, NetifTxResponse};
use xen::ids::PAGE_SIZE;
use xen::ring::FrontRing;
use xen::{Counter, GrantedPage, Machine, ReadOnly, SystemTime, Xen};

/// Bytes before the payload of TCP over IPv6 on Ethernet.
const IPV6_TCP: usize = 14 + 40 + 20;

/// Bytes of the longest frame.
const SCRATCH: usize = MAX_FRAME_PAGES * PAGE_SIZE;
/// Nanoseconds for which short frames wait for the room of a long one.
const ROOM_TIMEOUT: u64 = 5_000_000;

/// The tx ring.
pub(crate) type TxRing = FrontRing<NetifTxRequest, NetifTxResponse, NETIF_TX_RING_SIZE>;

/// The transmit side of a queue.
#[derive(Debug)]
pub(crate) struct TxQueue {
    pub(super) ring: TxRing,
    pub(super) slots: TxSlots,
    pub(super) pool: Pool<ReadOnly>,
    /// Pages for frames that are longer than a page, if such frames can be sent.
    pub(super) contiguous: Option<ContiguousBuffer>,
    /// The features that the backend accepts.
    pub(super) features: Feature,
    /// Bytes of the longest frame that is not segmented.
    pub(super) max_frame: usize,
    /// As `max_frame`, for the present flow: its peer may take less.
    pub(super) flow_max_frame: usize,
    /// Bytes of the longest frame that takes one slot.
    one_slot: usize,
    /// Slots of the ring that the longest frame needs.
    reserve: u32,
    /// Frames of one slot that can be queued before ring, buffer and pages are looked at again: the next ids have
    /// pages.
    credit: usize,
    /// Whether there is room for the longest frame in addition to the credit.
    has_reserve: bool,
    /// The time since when the room for the longest frame is missing.
    short_since: Option<SystemTime>,
    /// The room for the longest frame was missing for too long: tokens are given for frames of one slot.
    small_only: bool,
    /// Private memory in which a long frame is built that goes out over scattered pages. Empty until it is needed.
    pub(super) scratch: Vec<u8>,
    /// Extras in the ring. Their responses have no information.
    pub(super) extras: u32,
    /// Requests with an id that were written.
    pub(super) written: u64,
    /// Requests with an id that the backend was shown.
    pushed: u64,
    pub(super) stats: TxStats,
    misbehaviour: MisbehaviourCounts,
}

impl TxQueue {
    /// A queue over a new ring. The pool must be prepared for the backend of the ring.
    pub(super) fn new(
        ring: TxRing,
        (pool, contiguous): (Pool<ReadOnly>, Option<ContiguousBuffer>),
        features: Feature,
        max_frame: usize,
    ) -> Self {
        // The longest frame, and a GSO extra.
        let longest = u32::try_from(MAX_FRAME_PAGES).unwrap_or(u32::MAX).saturating_add(1);
        Self {
            ring,
            slots: TxSlots::default(),
            pool,
            reserve: if features.contains(Feature::SCATTER_GATHER) { longest } else { 1 },
            contiguous,
            features,
            max_frame,
            flow_max_frame: max_frame,
            one_slot: max_frame.min(PAGE_SIZE),
            credit: 0,
            has_reserve: false,
            short_since: None,
            small_only: false,
            scratch: Vec::new(),
            extras: 0,
            written: 0,
            pushed: 0,
            stats: TxStats::default(),
            misbehaviour: MisbehaviourCounts::default(),
        }
    }

    /// Begins an iteration.
    pub(super) const fn new_iteration(&mut self) {
        self.pool.new_iteration();
    }

    /// Limits the TCP payload of a frame that is not segmented, over IPv6 and without options, to `payload` bytes.
    pub(super) fn set_segment_size(&mut self, payload: Option<u16>) {
        let limit = |payload| usize::from(payload).saturating_add(IPV6_TCP).min(self.max_frame);
        self.flow_max_frame = payload.map_or(self.max_frame, limit);
        self.one_slot = self.flow_max_frame.min(PAGE_SIZE);
    }

    /// Whether a frame of one slot can be queued now, without a look at ring, ids and pages.
    #[inline]
    pub(super) const fn has_credit(&self) -> bool {
        self.credit > 0
    }

    /// Whether a frame of one slot can be queued now: there are a place in the ring, an id, and a page.
    #[inline]
    pub(super) fn can_reply(&mut self) -> bool {
        self.has_credit() || self.check_ready(false)
    }

    /// Whether any frame can be queued now. If the room for the longest one was missing for too long, whether a frame
    /// of one slot can.
    #[inline]
    pub(super) fn can_send(&mut self) -> bool {
        (self.credit > 0 && self.has_reserve) || self.check_ready(!self.small_only)
    }

    /// Looks for a place in the ring, an id and a page, and with `long` for the room of the longest frame.
    #[inline(never)]
    fn check_ready(&mut self, long: bool) -> bool {
        let has_reserve = self.has_reserve();
        if !self.has_room(long) {
            return false;
        }
        let pool = &mut self.pool;
        if !self.slots.park(|| pool.take()) {
            return false;
        }
        let reserve = if has_reserve { self.reserve } else { 1 };
        let room = self.ring.free_requests().saturating_sub(reserve).saturating_add(1);
        self.credit = self.slots.row().min(usize::try_from(room).unwrap_or(0));
        self.has_reserve = has_reserve;
        true
    }

    /// Whether there are a place in the ring and an id, and with `long` the room of the longest frame. A page of the
    /// pool may be missing.
    fn has_room(&mut self, long: bool) -> bool {
        self.ring.free_requests() > 0 && self.slots.nr_idle() > 0 && (!long || self.has_reserve())
    }

    /// Whether the longest frame has room: in the ring, and in the contiguous buffer or in scattered pages.
    pub(super) fn has_reserve(&mut self) -> bool {
        self.reserve == 1
            || (self.ring.free_requests() >= self.reserve
                && (self.contiguous.as_mut().is_some_and(ContiguousBuffer::is_ready) || self.can_scatter()))
    }

    /// Whether the longest frame has room in scattered pages.
    #[cold]
    fn can_scatter(&mut self) -> bool {
        let pages = self.pool.free().saturating_add(self.slots.parked());
        if pages < MAX_FRAME_PAGES || self.slots.nr_idle() < MAX_FRAME_PAGES {
            return false;
        }
        if self.scratch.is_empty() {
            if self.scratch.try_reserve_exact(SCRATCH).is_err() {
                return false;
            }
            self.scratch.resize(SCRATCH, 0);
        }
        true
    }

    /// Looks for the room of the longest frame. While a frame waits for it (`waiting`), short frames wait too, at most
    /// [`ROOM_TIMEOUT`]: a backend that keeps a few slots for ever must not stop them. Returns when to call this again.
    pub(super) fn poll_room(&mut self, now: SystemTime, waiting: bool) -> Option<SystemTime> {
        if self.has_reserve() {
            (self.short_since, self.small_only) = (None, false);
            return None;
        }
        if self.small_only || !(waiting || self.short_since.is_some()) {
            return None;
        }
        let until = self.short_since.get_or_insert(now).after(ROOM_TIMEOUT);
        self.small_only = now >= until;
        // At once, if the time is over: what waits can be sent now.
        Some(until.max(now))
    }

    /// Whether frames of one slot can be sent although the room for the longest one is missing.
    pub(super) const fn is_small_only(&self) -> bool {
        self.small_only
    }

    /// As [`TxQueue::can_send`] or, without `long`, [`TxQueue::can_reply`], if only a page is missing: grows the pool.
    #[cold]
    pub(super) fn grow_and_retry<M: Machine>(&mut self, xen: &Xen<M>, long: bool) -> bool {
        let long = long && !self.small_only;
        let (slots, pages) = if long { (self.reserve, MAX_FRAME_PAGES) } else { (1, 1) };
        let have = self.pool.free().saturating_add(self.slots.parked());
        self.ring.free_requests() >= slots && have < pages && self.pool.grow(xen) && self.check_ready(long)
    }

    /// Forgets the credit: ring, ids or pages have changed.
    pub(super) const fn reset_credit(&mut self) {
        self.credit = 0;
    }

    /// Takes an id for a request without a page of the pool.
    pub(super) fn claim(&mut self) -> Option<u8> {
        self.reset_credit();
        let (id, parked) = self.slots.claim()?;
        parked.into_iter().for_each(|page| self.pool.put(page));
        Some(id)
    }

    /// Puts the parked pages into the pool.
    fn unpark(&mut self) {
        self.reset_credit();
        let mut nth = 0;
        while let Some((at, page)) = self.slots.unpark(nth) {
            nth = at;
            self.pool.put(page);
        }
    }

    /// Whether the pool is larger than at the start and has a free page.
    pub(super) const fn has_surplus(&self) -> bool {
        self.pool.has_surplus(self.slots.parked())
    }

    /// Frees pages that were not needed since the last call. Pages that are taken out until then are needed.
    pub(super) fn shrink_idle<M: Machine>(&mut self, xen: &Xen<M>) {
        self.unpark();
        self.pool.shrink_idle(xen);
    }

    /// Frees every free page. Returns the number of pages.
    pub(super) fn trim<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        self.unpark();
        self.pool.shrink(xen, usize::MAX)
    }

    /// Takes the responses. Returns their number.
    ///
    /// # Errors
    /// The ring's index, or an id, is wrong: the queue must not be used any more.
    #[inline(never)]
    pub(super) fn reap(&mut self) -> Result<u32, Misbehaviour> {
        let responses = self.ring.unconsumed_responses().map_err(Misbehaviour::TxRing)?;
        if responses > 0 {
            self.stats.responses.add(u64::from(responses));
            loop {
                let other = self.slots.complete_pages(&mut self.ring.responses(), self.pushed);
                let Some(other) = other else { break };
                self.complete(other)?;
            }
        }
        Ok(responses)
    }

    /// Takes a response that is not to a page of the pool, or not okay: frees its page, counts its status.
    #[cold]
    fn complete(&mut self, response: NetifTxResponse) -> Result<(), Misbehaviour> {
        if response.status != NetifRsp::Okay.raw() && self.note_status(response)? {
            return Ok(());
        }
        let Ok(id) = u8::try_from(response.id) else { return Err(Misbehaviour::TxIdRange(response.id)) };
        match self.slots.complete(id, self.pushed) {
            Some(Done::Page) => Ok(()),
            Some(Done::Contiguous(page)) => {
                self.reset_credit();
                self.contiguous.iter_mut().for_each(|contiguous| contiguous.put(page));
                Ok(())
            }
            None => Err(Misbehaviour::TxIdIdle(id)),
        }
    }

    /// Counts a status other than okay. Returns whether the response is to an extra, which has no id.
    fn note_status(&mut self, NetifTxResponse { id, status }: NetifTxResponse) -> Result<bool, Misbehaviour> {
        match NetifRsp::try_from(status) {
            Ok(NetifRsp::Null) => {
                self.extras = self.extras.checked_sub(1).ok_or(Misbehaviour::TxNull)?;
                return Ok(true);
            }
            Ok(_) if self.slots.is_group(id) => self.stats.groups_refused.bump(),
            Ok(NetifRsp::Dropped) => self.stats.backend_dropped.bump(),
            Ok(_) => self.stats.backend_errors.bump(),
            Err(_) => self.misbehaviour.count(&Misbehaviour::TxStatus(status)),
        }
        Ok(false)
    }

    /// Lets `build` write a frame of `len` bytes into granted memory, and queues it. With `segment`, the backend
    /// makes TCP segments with this payload in bytes, or with as much as the link takes.
    #[inline]
    pub(super) fn send<R>(
        &mut self,
        len: usize,
        segment: Option<NonZeroU16>,
        partial: Option<PartialTcp>,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        if len > self.one_slot || segment.is_some() {
            return self.send_large(len, segment, partial, build);
        }
        // A token was given because the next id has a page: see `check_ready`.
        let features = self.features;
        let frame = self.slots.next_page().and_then(|(_, page)| page.bytes_mut().get_mut(..len));
        let Some(frame) = frame else { return self.build_and_drop(len, build) };
        let result = build(frame);
        let flags = match partial {
            Some(partial) => finish_partial(features, frame, partial),
            None => finish(features, frame),
        };
        self.queue(len, flags);
        result
    }

    /// Writes the request for the frame of `len` bytes that was built in the page of the next id. A function of its own: it
    /// is compiled for speed with this crate, not for size with the guest.
    #[inline(never)]
    fn queue(&mut self, len: usize, flags: NetTxFlags) {
        let Some((id, page)) = self.slots.next_page() else { return self.stats.refused.bump() };
        let gref = page.gref();
        // At most a page.
        let size = u16::try_from(len).unwrap_or_default();
        let request =
            NetifTxRequest { gref: gref.0, offset: 0, flags: flags.bits(), id: u16::from(id), size };
        let valid = check_tx_chain(&[request], &[]);
        debug_assert!(valid.is_ok() || len < usize::from(ETHERNET_HEADER), "{valid:?}");
        if valid.is_err() || self.ring.write_request(&request).is_none() {
            self.stats.refused.bump();
            return;
        }
        // There is a credit, or nothing would have been built.
        self.credit = self.credit.wrapping_sub(1);
        self.slots.queue_next(id, self.written, true);
        self.written = self.written.wrapping_add(1);
        self.note_sent(len, flags);
    }

    /// Counts a frame.
    #[inline]
    pub(super) fn note_sent(&mut self, len: usize, flags: NetTxFlags) {
        self.stats.checksum_blank.add(u64::from(flags.contains(NetTxFlags::CSUM_BLANK)));
        self.stats.packets.bump();
        self.stats.bytes.add_len(len);
    }

    /// Builds a frame for which there is no page, and drops it. A stack that keeps to the device's capabilities and
    /// asks for a token first does not get here.
    #[cold]
    pub(super) fn build_and_drop<R>(&mut self, len: usize, build: impl FnOnce(&mut [u8]) -> R) -> R {
        self.stats.refused.bump();
        build(&mut vec![0; len])
    }

    /// Shows the backend the requests. Returns whether it wants a notification.
    #[must_use = "a backend that wants a notification and gets none does not wake up"]
    pub(super) fn push(&mut self) -> bool {
        if !self.ring.has_unpushed() {
            return false;
        }
        self.pushed = self.written;
        self.ring.push_requests_and_check_notify()
    }

    /// Asks for an event with the next response, and looks at the ring once more. Returns whether there is a response.
    ///
    /// # Errors
    /// As [`TxQueue::reap`].
    pub(super) fn final_check(&mut self) -> Result<bool, Misbehaviour> {
        self.ring.final_check_for_responses().map_err(Misbehaviour::TxRing)
    }

    /// Counts that no frame could be sent.
    pub(super) const fn note_exhausted(&mut self) {
        self.stats.exhausted.bump();
    }

    /// The counters.
    pub(super) const fn stats(&self) -> TxStats {
        self.stats
    }

    /// The counter of notifications.
    pub(super) const fn notifications_mut(&mut self) -> &mut Counter {
        &mut self.stats.notifications
    }

    /// Broken rules.
    pub(super) const fn misbehaviour(&self) -> MisbehaviourCounts {
        self.misbehaviour
    }

    /// The counters of the pool.
    pub(super) const fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// The number of quarantined pages, when it has reached the limit.
    pub(super) const fn quarantine_full(&self) -> Option<usize> {
        self.pool.quarantine_full()
    }

    /// Where the pages of the pool are.
    ///
    /// # Errors
    /// The counts of the pool or of the contiguous buffer, when they do not add up.
    pub(super) fn accounting(&self) -> Result<PoolCounts, Mismatch> {
        let sent = self.slots.count();
        let counts = self.contiguous_counts();
        if sent.contiguous != counts.in_ring {
            return Err(Mismatch(counts));
        }
        debug_assert_eq!(sent.parked, self.slots.parked(), "parked pages");
        let mut counts = self.pool.account(sent.pool.saturating_add(sent.parked), 0)?;
        (counts.free, counts.in_ring) = (counts.free.saturating_add(sent.parked), sent.pool);
        Ok(counts)
    }

    /// Where the contiguous pages are.
    pub(super) fn contiguous_counts(&self) -> PoolCounts {
        self.contiguous.as_ref().map(ContiguousBuffer::counts).unwrap_or_default()
    }

    /// Ends the connection. Returns the page of the ring, the pool and the contiguous buffer with all their pages,
    /// and the counters. Frames that were queued and not pushed are dropped; whether those in flight were sent is not
    /// known.
    pub(super) fn close(mut self) -> (GrantedPage, Pool<ReadOnly>, Option<ContiguousBuffer>, TxStats) {
        for ended in self.slots.drain() {
            match ended.lost {
                Some(number) if number < self.pushed => self.stats.lost_in_flight.bump(),
                Some(_) => self.stats.lost_queued.bump(),
                None => {}
            }
            ended.page.into_iter().for_each(|page| self.pool.put(page));
            self.contiguous.iter_mut().for_each(|contiguous| contiguous.put(ended.contiguous));
        }
        (self.ring.into_page(), self.pool, self.contiguous, self.stats)
    }
}
