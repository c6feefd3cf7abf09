//! Sending: frames are built in granted pages, shown to the backend in one push, and freed by id in any order.
//!
//! ```text
//!   pool ──take──► the stack writes its frame at offset 0 ──► request written (Queued) ──push──► InFlight
//!    ▲                                                                                              │
//!    └───────────────────────────── response with its id, in any order ◄── backend copies or maps ──┘
//! ```
//!
//! While a token is out it borrows the queue, so the slot that it promises cannot be given twice, and one that is not
//! used needs no way back. A frame of up to a page takes one slot.
//!
//! The bytes of a page beyond its frame are those of older frames. They went to the same backend before, which has
//! seen them; a page that changes hands to another backend is cleared first (`pool.rs`).

use crate::misbehaviour::{Misbehaviour, Tally};
use crate::polite::check_tx_chain;
use crate::pool::{Mismatch, Pool, PoolCounts};
use crate::rx::{ETHERNET_HEADER, RxPage, add};
use crate::slots::{Sent, TxSlots, is_before};
use crate::stats::TxStats;
use alloc::vec;
use xen::abi::io_netif::{NETIF_TX_RING_SIZE, NetifRsp, NetifTxRequest, NetifTxResponse};
use xen::ids::PAGE_SIZE;
use xen::ring::FrontRing;
use xen::{Granted, Page, ReadOnly};

/// The tx ring.
pub type TxRing = FrontRing<NetifTxRequest, NetifTxResponse, NETIF_TX_RING_SIZE>;
/// A page to send from.
pub type TxPage = Page<Granted<ReadOnly>>;

/// One queue's way out.
#[derive(Debug)]
pub struct TxQueue {
    ring: TxRing,
    slots: TxSlots,
    pub(crate) pool: Pool<ReadOnly>,
    /// The ring index up to which the backend was shown requests.
    pushed: u32,
    pub(crate) stats: TxStats,
    pub(crate) tally: Tally,
}

impl TxQueue {
    /// A queue over a new ring, with the pages of a pool that was made ready for the ring's backend.
    #[must_use]
    pub fn new(ring: TxRing, pool: Pool<ReadOnly>) -> Self {
        let pushed = ring.rsp_cons();
        Self {
            ring,
            slots: TxSlots::default(),
            pool,
            pushed,
            stats: TxStats::default(),
            tally: Tally::default(),
        }
    }

    /// Whether a frame can be queued now: there is a place in the ring, an id, and a page.
    #[inline]
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.has_room() && self.pool.free() > 0
    }

    /// Whether the ring has a place and there is an id; a page may be missing.
    #[inline]
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.ring.free_requests() > 0 && self.slots.has_idle()
    }

    /// Takes back what the backend has answered. How many responses there were.
    ///
    /// # Errors
    /// The ring's index, or an id, is wrong: the queue is to be left alone.
    pub fn reap(&mut self) -> Result<u32, Misbehaviour> {
        let responses = self.ring.unconsumed_responses().map_err(Misbehaviour::TxRing)?;
        if responses > 0 {
            self.stats.responses = self.stats.responses.wrapping_add(u64::from(responses));
            while let Some(response) = self.ring.take_response() {
                self.complete(response)?;
            }
        }
        Ok(responses)
    }

    /// One response: its page goes back to the pool, its status is counted.
    #[inline]
    fn complete(&mut self, response: NetifTxResponse) -> Result<(), Misbehaviour> {
        if response.status != NetifRsp::Okay.raw() {
            self.note_status(response.status)?;
        }
        let Ok(id) = u8::try_from(response.id) else { return Err(Misbehaviour::TxIdRange(response.id)) };
        let Some(page) = self.slots.take(id, self.pushed) else { return Err(Misbehaviour::TxIdIdle(id)) };
        self.pool.put(page);
        Ok(())
    }

    /// Counts a status other than okay.
    fn note_status(&mut self, status: i16) -> Result<(), Misbehaviour> {
        match NetifRsp::try_from(status) {
            // It answers an extra, and we send none.
            Ok(NetifRsp::Null) => return Err(Misbehaviour::TxNull),
            Ok(NetifRsp::Dropped) => self.stats.backend_dropped = self.stats.backend_dropped.wrapping_add(1),
            Ok(_) => self.stats.backend_errors = self.stats.backend_errors.wrapping_add(1),
            Err(_) => self.tally.count(&Misbehaviour::TxStatus(status)),
        }
        Ok(())
    }

    /// Lets `build` write a frame of `len` bytes straight into a granted page, and queues it.
    #[inline]
    pub fn send<R>(&mut self, len: usize, build: impl FnOnce(&mut [u8]) -> R) -> R {
        if len > PAGE_SIZE || !self.has_room() {
            return self.build_nowhere(len, build);
        }
        let Some(mut page) = self.pool.take() else { return self.build_nowhere(len, build) };
        let result = build(page.bytes_mut().get_mut(..len).unwrap_or_default());
        self.queue(page, len);
        result
    }

    /// Writes the request for a frame at the start of a page.
    #[inline]
    fn queue(&mut self, page: TxPage, len: usize) {
        let (Some(id), Ok(size)) = (self.slots.claim(), u16::try_from(len)) else {
            return self.pool.put(page);
        };
        let request = NetifTxRequest { gref: page.gref().0, offset: 0, flags: 0, id: u16::from(id), size };
        let polite = check_tx_chain(&[request], &[]);
        debug_assert!(polite.is_ok() || len < usize::from(ETHERNET_HEADER), "{polite:?}");
        let index = if polite.is_ok() { self.ring.write_request(&request) } else { None };
        let Some(index) = index else {
            self.stats.refused = self.stats.refused.wrapping_add(1);
            self.slots.unclaim(id);
            return self.pool.put(page);
        };
        self.slots.put(id, Sent { page, index });
        self.stats.packets = self.stats.packets.wrapping_add(1);
        add(&mut self.stats.bytes, len);
    }

    /// Builds a frame that no page holds, and drops it. A stack that keeps to the device's capabilities and asks for a
    /// token first never gets here.
    #[cold]
    fn build_nowhere<R>(&mut self, len: usize, build: impl FnOnce(&mut [u8]) -> R) -> R {
        self.stats.refused = self.stats.refused.wrapping_add(1);
        build(&mut vec![0; len])
    }

    /// Shows the backend what was queued; whether it wants to be notified.
    #[must_use = "a backend that wants a notification and gets none sleeps on"]
    pub fn push(&mut self) -> bool {
        if !self.ring.has_unpushed() {
            return false;
        }
        self.pushed = self.ring.rsp_cons().wrapping_add(self.ring.outstanding());
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

    /// Where the pages are.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub fn accounting(&self) -> Result<PoolCounts, Mismatch> {
        self.pool.account(self.slots.count(), 0)
    }

    /// The end of the connection: the ring's page, and the pool with all its pages. Frames that were queued and not
    /// pushed are dropped; of those in flight nobody knows.
    #[must_use]
    pub fn close(mut self) -> (RxPage, Pool<ReadOnly>, TxStats) {
        for sent in self.slots.drain() {
            let lost = if is_before(sent.index, self.pushed) {
                &mut self.stats.lost_in_flight
            } else {
                &mut self.stats.lost_queued
            };
            *lost = lost.wrapping_add(1);
            self.pool.put(sent.page);
        }
        (self.ring.into_page(), self.pool, self.stats)
    }
}
