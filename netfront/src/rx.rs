//! Receiving: pages out as requests, frames in as responses.
//!
//! ```text
//!   pool ──take──► slot ──request──► posted ──backend writes the frame──► response, copied out and checked
//!                   ▲                                                        │
//!                   │                 < threshold, or backend not trusted:   ├─► bytes copied to scratch, cleared
//!                   │                 >= threshold and trusted:              └─► lent in place ──token dropped──┐
//!                   └────────── the page is still in its slot, and goes out again from there ◄──────────────────┘
//! ```
//!
//! A response is found by its ring position, as `io/netif.h` promises and as extras need; its id must agree. Whatever
//! is wrong with a frame, every page behind it comes back. `rsp_prod` is read once a turn. Nothing here allocates after
//! [`RxQueue::new`].
//!
//! Frames over several slots are put together in `chain.rs`; how a frame goes up is in `token.rs`.

use crate::chain::Piece;
use crate::config::Clearing;
use crate::feature::Feature;
use crate::judge::{ETHERNET_HEADER, LONGEST_FRAME, MAX_SLOTS, Refusal, RxPolicy, extent};
use crate::misbehaviour::{Consequence, Misbehaviour, Tally};
use crate::nic::{Checksum, Received};
use crate::pool::{Mismatch, Pool, PoolCounts};
use crate::slots::{RxSlots, slot_of};
use crate::stats::RxStats;
use crate::steering::Steering;
use alloc::boxed::Box;
use alloc::vec::Vec;
use xen::abi::io_netif::{NETIF_RX_RING_SIZE, NetRxFlags, NetifRxRequest, NetifRxResponse};
use xen::ids::PAGE_SIZE;
use xen::ring::FrontRing;
use xen::{GrantedPage, ReadWrite};
use zerocopy::{FromBytes, IntoBytes};

/// The rx ring.
pub type RxRing = FrontRing<NetifRxRequest, NetifRxResponse, NETIF_RX_RING_SIZE>;
/// A page to receive into.
pub type RxPage = GrantedPage;

/// The frame that is next.
#[derive(Debug, Default)]
pub(crate) enum Current {
    /// None was looked for yet.
    #[default]
    None,
    /// It lies at the start of the scratch buffer.
    Copied {
        /// Bytes.
        len: usize,
    },
    /// It lies in its page.
    Lent(Extent),
}

/// Where a frame lies, in the page of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The slot, the last one that was answered.
    pub(crate) slot: u8,
    /// Where the frame begins in the page, in bytes.
    pub(crate) offset: u16,
    /// Bytes.
    pub(crate) len: u16,
}

/// One queue's way in.
#[derive(Debug)]
pub struct RxQueue {
    pub(crate) ring: RxRing,
    pub(crate) slots: RxSlots,
    pub(crate) pool: Pool<ReadWrite>,
    pub(crate) policy: RxPolicy,
    pub(crate) current: Current,
    /// What is known of its checksum.
    pub(crate) checksum: Checksum,
    /// The pieces of the frame that is being put together.
    pub(crate) chain: Vec<Piece>,
    /// How the backend was told to choose queues.
    pub(crate) steering: Option<Steering>,
    /// Private memory for frames that are copied out.
    pub(crate) scratch: Box<[u8]>,
    /// Frames of at least so many bytes are lent; more than any frame has, if the backend is not trusted.
    lend_from: usize,
    /// Flags that need a closer look.
    unusual: NetRxFlags,
    /// Ring indexes up to which responses and requests were counted.
    counted: (u32, u32),
    pub(crate) stats: RxStats,
    pub(crate) tally: Tally,
}

impl RxQueue {
    /// A queue over a new ring, with the pages of a pool that was made ready for the ring's backend.
    #[must_use]
    pub fn new(ring: RxRing, pool: Pool<ReadWrite>, policy: RxPolicy) -> Self {
        // Without scatter-gather no frame is longer than a page.
        let sg = policy.features.contains(Feature::SCATTER_GATHER);
        let scratch = if sg { LONGEST_FRAME } else { PAGE_SIZE };
        let mut unusual = NetRxFlags::MORE_DATA | NetRxFlags::EXTRA_INFO;
        unusual.set(NetRxFlags::CSUM_BLANK, !policy.features.intersects(Feature::CHECKSUM));
        Self {
            unusual,
            counted: (ring.rsp_cons(), ring.rsp_cons()),
            ring,
            slots: RxSlots::default(),
            pool,
            policy,
            current: Current::None,
            checksum: Checksum::Unknown,
            steering: None,
            chain: Vec::with_capacity(MAX_SLOTS),
            scratch: alloc::vec![0; scratch].into_boxed_slice(),
            lend_from: if policy.trusted.is_some() { policy.threshold } else { usize::MAX },
            stats: RxStats::default(),
            tally: Tally::default(),
        }
    }

    /// The start of a turn: one look at what the backend has answered. How many responses there are.
    ///
    /// # Errors
    /// The ring's index is wrong: the queue is to be left alone.
    pub fn look(&mut self) -> Result<u32, Misbehaviour> {
        self.ring.unconsumed_responses().map_err(Misbehaviour::RxRing)
    }

    /// Whether a frame is current.
    #[inline]
    const fn is_shown(&self) -> bool {
        !matches!(self.current, Current::None)
    }

    /// Makes the next good frame current, if none is; whether there is one. Frames that are not good are dropped.
    ///
    /// # Errors
    /// A rule after which the queue is to be left alone.
    #[inline]
    pub fn advance(&mut self) -> Result<bool, Misbehaviour> {
        if self.is_shown() {
            return Ok(true);
        }
        while let Some((response, slot)) = self.take_response()? {
            match self.accept(response, slot) {
                Ok(()) => return Ok(true),
                Err(refusal) => self.refuse(refusal)?,
            }
        }
        Ok(false)
    }

    /// The next response and its slot, in which the page still is.
    #[inline]
    pub(crate) fn take_response(&mut self) -> Result<Option<(NetifRxResponse, u8)>, Misbehaviour> {
        let slot = slot_of(self.ring.rsp_cons());
        let Some(response) = self.ring.take_response() else { return Ok(None) };
        if response.id != u16::from(slot) {
            // The page stays in its slot: nobody knows which one the backend is done with.
            return Err(Misbehaviour::RxId { expected: slot, found: response.id });
        }
        Ok(Some((response, slot)))
    }

    /// As [`RxQueue::take_response`], with the page, which is the caller's to see to.
    pub(crate) fn take_piece(&mut self) -> Result<Option<(NetifRxResponse, RxPage)>, Misbehaviour> {
        let Some((response, slot)) = self.take_response()? else { return Ok(None) };
        let page = self.slots.take(slot).ok_or(Misbehaviour::RxId { expected: slot, found: response.id })?;
        Ok(Some((response, page)))
    }

    /// The next slot when it holds an extra, whose bytes are in place of the id: only the position tells its page,
    /// which comes back unused.
    pub(crate) fn take_extra(&mut self) -> Option<[u8; 8]> {
        let slot = slot_of(self.ring.rsp_cons());
        let response = self.ring.take_response()?;
        if let Some(page) = self.slots.take(slot) {
            self.pool.put(page);
        }
        <[u8; 8]>::read_from_bytes(response.as_bytes()).ok()
    }

    /// Takes in a frame whose first response is this one: lent, or copied, or refused with all its pages back.
    #[inline]
    fn accept(&mut self, response: NetifRxResponse, slot: u8) -> Result<(), Refusal> {
        // A negative status is a length that no page holds.
        let (offset, len) = (response.offset, response.status.cast_unsigned());
        let flags = NetRxFlags::from_bits_retain(response.flags);
        // All at once: each is true of nearly every frame, and none is worth a branch of its own.
        let usual = !flags.intersects(self.unusual)
            & (ETHERNET_HEADER <= len)
            & (usize::from(len) <= self.policy.max_frame)
            & (usize::from(offset).wrapping_add(usize::from(len)) <= PAGE_SIZE);
        if usual {
            self.present(flags, Extent { slot, offset, len });
            return Ok(());
        }
        self.accept_unusual(&response, slot)
    }

    /// As [`RxQueue::accept`], for what is not one good slot by itself.
    #[cold]
    fn accept_unusual(&mut self, response: &NetifRxResponse, slot: u8) -> Result<(), Refusal> {
        let flags = NetRxFlags::from_bits_retain(response.flags);
        if flags.intersects(NetRxFlags::MORE_DATA | NetRxFlags::EXTRA_INFO) {
            return self.accept_chain(response, slot);
        }
        let longest = self.policy.max_frame;
        let extent = extent(response)
            .and_then(|extent| self.policy.check_frame(flags, extent.1, longest).map(|()| extent));
        match extent {
            Ok(_) => {
                let (offset, len) = (response.offset, response.status.cast_unsigned());
                self.present(flags, Extent { slot, offset, len });
                Ok(())
            }
            Err(refusal) => {
                if let Some(page) = self.slots.take(slot) {
                    self.discard_page(page);
                }
                Err(refusal)
            }
        }
    }

    /// A good frame in one page: lends it, or copies it out.
    #[inline]
    pub(crate) fn present(&mut self, flags: NetRxFlags, extent: Extent) {
        let len = usize::from(extent.len);
        self.note_checksum(flags);
        if self.lends(len) {
            self.stats.lent_packets = self.stats.lent_packets.wrapping_add(1);
            add(&mut self.stats.lent_bytes, len);
            self.current = Current::Lent(extent);
            return;
        }
        self.copy_out(extent);
    }

    /// Copies a frame out of its page.
    fn copy_out(&mut self, extent: Extent) {
        let (offset, len) = (usize::from(extent.offset), usize::from(extent.len));
        let clear = self.policy.clearing >= self.policy.kind(len);
        if let (Some(into), Some(page)) = (self.scratch.get_mut(..len), self.slots.get(extent.slot)) {
            if clear {
                page.shared().take_bytes(offset, into);
            } else {
                page.shared().read_bytes(offset, into);
            }
        }
        self.stats.copied_packets = self.stats.copied_packets.wrapping_add(1);
        add(&mut self.stats.copied_bytes, len);
        if clear {
            add(&mut self.stats.cleared_bytes, len);
        }
        self.current = Current::Copied { len };
    }

    /// Clears what was used of a page that stays in its slot, if that is the policy for `kind` of frames.
    #[inline]
    fn clear(&mut self, extent: Extent, kind: Clearing) {
        if self.policy.clearing >= kind {
            let (offset, len) = (usize::from(extent.offset), usize::from(extent.len));
            if let Some(page) = self.slots.get(extent.slot) {
                page.shared().zero(offset, len);
            }
            add(&mut self.stats.cleared_bytes, len);
        }
    }

    /// Keeps what the flags of the current frame say about its checksum.
    #[inline]
    pub(crate) fn note_checksum(&mut self, flags: NetRxFlags) {
        self.checksum = if flags.contains(NetRxFlags::CSUM_BLANK) {
            self.stats.checksum_blank = self.stats.checksum_blank.wrapping_add(1);
            Checksum::Blank
        } else if flags.contains(NetRxFlags::DATA_VALIDATED) {
            Checksum::Validated
        } else {
            Checksum::Unknown
        };
    }

    /// Puts a page back, after clearing what was used of it if that is the policy for `kind` of frames.
    #[inline]
    pub(crate) fn return_piece(&mut self, piece: Piece, kind: Clearing) {
        if self.policy.clearing >= kind {
            piece.page.shared().zero(piece.offset, piece.len);
            add(&mut self.stats.cleared_bytes, piece.len);
        }
        self.pool.put(piece.page);
    }

    /// Puts back a page of which nobody knows what was used.
    pub(crate) fn discard_page(&mut self, page: RxPage) {
        let piece = Piece { page, offset: 0, len: PAGE_SIZE };
        self.return_piece(piece, Clearing::Small);
    }

    /// Counts a refused frame; the caller stops if the rule was one that breaks the device.
    fn refuse(&mut self, refusal: Refusal) -> Result<(), Misbehaviour> {
        match refusal {
            Refusal::Backend => self.stats.backend_errors = self.stats.backend_errors.wrapping_add(1),
            Refusal::Rule(what) if what.consequence() == Consequence::Break => return Err(what),
            Refusal::Rule(what) => self.tally.count(&what),
        }
        self.stats.dropped = self.stats.dropped.wrapping_add(1);
        Ok(())
    }

    /// The current frame; empty if there is none.
    #[inline]
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        match (&self.current, self.policy.trusted) {
            (Current::Lent(Extent { slot, offset, len }), Some(trusted)) => {
                let page = self.slots.get(*slot);
                page.and_then(|page| page.lend(usize::from(*offset), usize::from(*len), trusted))
                    .unwrap_or_default()
            }
            (Current::Copied { len }, _) => self.scratch.get(..*len).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The current frame, with what is known of its checksum.
    #[inline]
    #[must_use]
    pub fn received(&self) -> Received<'_> {
        Received { frame: self.frame(), checksum: self.checksum }
    }

    /// Whether a frame of this many bytes is handed up as it stands in the backend's pages, so that what it leaves there
    /// is nothing that the backend does not know.
    pub(crate) const fn lends(&self, len: usize) -> bool {
        len >= self.lend_from
    }

    /// Lets go of the current frame: its page, if it was lent, can go out again.
    #[inline]
    pub fn release(&mut self) {
        if let Current::Lent(extent) = core::mem::take(&mut self.current) {
            self.clear(extent, Clearing::All);
        }
    }

    /// Shows the backend what was posted; whether it wants to be notified.
    #[must_use = "a backend that wants a notification and gets none sleeps on"]
    pub fn push(&mut self) -> bool {
        self.count_slots();
        self.ring.has_unpushed() && self.ring.push_requests_and_check_notify()
    }

    /// Counts responses taken and requests written since the last call: once a turn, not once a packet.
    fn count_slots(&mut self) {
        let rsp_cons = self.ring.rsp_cons();
        let req_prod = self.ring.req_prod();
        let (responses, requests) = core::mem::replace(&mut self.counted, (rsp_cons, req_prod));
        let (responses, requests) = (rsp_cons.wrapping_sub(responses), req_prod.wrapping_sub(requests));
        self.stats.responses = self.stats.responses.wrapping_add(u64::from(responses));
        self.stats.requests = self.stats.requests.wrapping_add(u64::from(requests));
    }

    /// The last look before sleep: whether there is a frame, or a response.
    ///
    /// # Errors
    /// As [`RxQueue::look`].
    pub fn final_check(&mut self) -> Result<bool, Misbehaviour> {
        let responses = self.ring.final_check_for_responses().map_err(Misbehaviour::RxRing)?;
        Ok(responses || self.is_shown())
    }

    /// Where the pages are.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub fn accounting(&self) -> Result<PoolCounts, Mismatch> {
        let lent = usize::from(matches!(self.current, Current::Lent(_)));
        let in_ring = self.slots.count().saturating_add(self.chain.len()).saturating_sub(lent);
        self.pool.account(in_ring, lent)
    }

    /// The end of the connection: the ring's page, the pool with all its pages, and what was counted.
    #[must_use]
    pub fn close(mut self) -> (RxPage, Pool<ReadWrite>, RxStats) {
        self.count_slots();
        self.release();
        for page in self.slots.drain().chain(self.chain.drain(..).map(|piece| piece.page)) {
            self.pool.put(page);
        }
        (self.ring.into_page(), self.pool, self.stats)
    }
}

/// Adds a number of bytes to a counter.
#[inline]
pub(crate) fn add(counter: &mut u64, bytes: usize) {
    *counter = counter.wrapping_add(u64::try_from(bytes).unwrap_or_default());
}
