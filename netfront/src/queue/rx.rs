//! The receive queue: responses are read from the ring, validated, and made the current frame.
//!
//! ```text
//!   pool ──take──► slot ──request──► posted ──the backend writes the frame──► response, copied out and validated
//!                   ▲                                                        │
//!                   │      < threshold, or backend not trusted:              ├─► bytes copied to scratch, cleared
//!                   │      >= threshold and trusted:                         └─► read in place ──token dropped──┐
//!                   └────────── the page is still in its slot, and is posted again from there ◄─────────────────┘
//! ```
//!
//! The ring position of a response finds its slot, as `io/netif.h` promises and as extras need; the id must agree. Whatever
//! is wrong with a frame, all its pages return. `rsp_prod` is read once an iteration. Nothing allocates after
//! [`RxQueue::new`], except retained copies.
//!
//! `rx_frame` handles the current frame, `rx_chain` frames over several slots, and `rx_refill` the requests.

use crate::queue::counters::RxStats;
use crate::queue::current::{Current, Extent};
use crate::queue::rx_slots::{RxSlots, slot_of};
use crate::queue::steering::Steering;
use crate::wire::check_rx::{ETHERNET_HEADER, MAX_FRAME, MAX_SLOTS, Refusal, RxPolicy, extent};
use crate::wire::feature::Feature;
use crate::wire::misbehaviour::{Consequence, Misbehaviour, MisbehaviourCounts};
use alloc::boxed::Box;
use alloc::vec::Vec;
use pool::{Mismatch, Piece, Pool, PoolCounts, PoolStats};
use xen::abi::io_netif::{NETIF_RX_RING_SIZE, NetRxFlags, NetifRxRequest, NetifRxResponse};
use xen::ids::PAGE_SIZE;
use xen::ring::FrontRing;
use xen::{Counter, GrantedPage, ReadWrite};
use zerocopy::{FromBytes, IntoBytes};

/// The rx ring.
pub(crate) type RxRing = FrontRing<NetifRxRequest, NetifRxResponse, NETIF_RX_RING_SIZE>;

/// The receive side of a queue.
#[derive(Debug)]
pub(crate) struct RxQueue {
    pub(super) ring: RxRing,
    pub(super) slots: RxSlots,
    pub(super) pool: Pool<ReadWrite>,
    pub(super) policy: RxPolicy,
    pub(super) current: Current,
    /// The pieces of the chain that is being collected.
    pub(super) chain: Vec<Piece>,
    /// How the backend was told to choose queues.
    pub(super) steering: Option<Steering>,
    /// Private memory for frames that are copied out.
    pub(super) scratch: Box<[u8]>,
    /// Frames of at least this many bytes are read in place. Longer than any frame, if the backend is not trusted.
    zero_copy_from: usize,
    /// Flags that need the general path.
    unusual: NetRxFlags,
    /// Ring indexes up to which responses and requests were counted.
    counted: (u32, u32),
    pub(super) stats: RxStats,
    misbehaviour: MisbehaviourCounts,
}

impl RxQueue {
    /// A queue over a new ring. The pool must be prepared for the backend of the ring.
    pub(super) fn new(ring: RxRing, pool: Pool<ReadWrite>, policy: RxPolicy) -> Self {
        // Without scatter-gather no frame is longer than a page.
        let sg = policy.features.contains(Feature::SCATTER_GATHER);
        let scratch = if sg { MAX_FRAME } else { PAGE_SIZE };
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
            steering: None,
            chain: Vec::with_capacity(MAX_SLOTS),
            scratch: alloc::vec![0; scratch].into_boxed_slice(),
            zero_copy_from: if policy.trusted.is_some() { policy.threshold } else { usize::MAX },
            stats: RxStats::default(),
            misbehaviour: MisbehaviourCounts::default(),
        }
    }

    /// Begins an iteration.
    pub(super) const fn new_iteration(&mut self) {
        self.pool.new_iteration();
    }

    /// Reads the response index of the ring. Returns the number of responses.
    ///
    /// # Errors
    /// The index is wrong: the queue must not be used any more.
    pub(super) fn look(&mut self) -> Result<u32, Misbehaviour> {
        self.ring.unconsumed_responses().map_err(Misbehaviour::RxRing)
    }

    /// Whether there is a current frame.
    #[inline]
    const fn has_frame(&self) -> bool {
        !matches!(self.current, Current::None)
    }

    /// Makes the next frame current, if there is no current frame and the next response is an ordinary one: it has the
    /// right id, no error, and all of the frame. Returns whether there is a current frame now; otherwise nothing has
    /// changed, and [`RxQueue::advance`] decides.
    #[inline]
    pub(super) fn advance_plain(&mut self) -> bool {
        if self.has_frame() {
            return true;
        }
        let slot = slot_of(self.ring.rsp_cons());
        let Some(response) = self.ring.peek_response() else { return false };
        // As a length, a negative status exceeds a page.
        let (offset, len) = (response.offset, response.status.cast_unsigned());
        let flags = NetRxFlags::from_bits_retain(response.flags);
        // Without branches: each condition holds for nearly every frame.
        let plain = (response.id == u16::from(slot))
            & !flags.intersects(self.unusual)
            & (ETHERNET_HEADER <= len)
            & (usize::from(len) <= self.policy.max_frame)
            & (usize::from(offset).wrapping_add(usize::from(len)) <= PAGE_SIZE);
        if plain {
            self.ring.skip_response();
            self.present(Extent { id: response.id, offset, flags: response.flags, len });
        }
        plain
    }

    /// Makes the next good frame current, if there is no current frame. Returns whether there is one now. Bad frames are
    /// dropped.
    ///
    /// # Errors
    /// A broken rule after which the queue must not be used any more.
    pub(super) fn advance(&mut self) -> Result<bool, Misbehaviour> {
        if self.has_frame() {
            return Ok(true);
        }
        while let Some((response, slot)) = self.take_response()? {
            match self.accept(&response, slot) {
                Ok(()) => return Ok(true),
                Err(refusal) => self.refuse(refusal)?,
            }
        }
        Ok(false)
    }

    /// Takes the next response. Returns it with its slot, in which the page still is.
    #[inline]
    fn take_response(&mut self) -> Result<Option<(NetifRxResponse, u8)>, Misbehaviour> {
        let slot = slot_of(self.ring.rsp_cons());
        let Some(response) = self.ring.take_response() else { return Ok(None) };
        if response.id != u16::from(slot) {
            // The page stays in its slot: we cannot know which page the backend has answered.
            return Err(Misbehaviour::RxId { expected: slot, found: response.id });
        }
        Ok(Some((response, slot)))
    }

    /// Takes the next response and its page out of the slot.
    pub(super) fn take_piece(&mut self) -> Result<Option<(NetifRxResponse, GrantedPage)>, Misbehaviour> {
        let Some((response, slot)) = self.take_response()? else { return Ok(None) };
        let page = self.slots.take(slot).ok_or(Misbehaviour::RxId { expected: slot, found: response.id })?;
        Ok(Some((response, page)))
    }

    /// Takes the next response as an extra. Its bytes include the place of the id, so only the ring position finds its
    /// page, which returns to the pool unused.
    pub(super) fn take_extra(&mut self) -> Option<[u8; 8]> {
        let slot = slot_of(self.ring.rsp_cons());
        let response = self.ring.take_response()?;
        if let Some(page) = self.slots.take(slot) {
            self.pool.put(page);
        }
        <[u8; 8]>::read_from_bytes(response.as_bytes()).ok()
    }

    /// Accepts the frame whose first response this is and makes it current, or refuses it and returns all its pages.
    fn accept(&mut self, response: &NetifRxResponse, slot: u8) -> Result<(), Refusal> {
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
                self.present(Extent { id: u16::from(slot), offset, flags: response.flags, len });
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

    /// Counts a refused frame. Returns the rule if it breaks the device.
    fn refuse(&mut self, refusal: Refusal) -> Result<(), Misbehaviour> {
        match refusal {
            Refusal::Backend => self.stats.backend_errors.bump(),
            Refusal::Rule(what) if what.consequence() == Consequence::Break => return Err(what),
            Refusal::Rule(what) => self.misbehaviour.count(&what),
        }
        self.stats.dropped.bump();
        Ok(())
    }

    /// Whether a frame of `len` bytes is read in place.
    #[inline]
    pub(super) const fn is_zero_copy(&self, len: usize) -> bool {
        len >= self.zero_copy_from
    }

    /// Shows the backend the requests. Returns whether it wants a notification.
    #[must_use = "a backend that wants a notification and gets none does not wake up"]
    pub(super) fn push(&mut self) -> bool {
        self.count_slots();
        self.ring.has_unpushed() && self.ring.push_requests_and_check_notify()
    }

    /// Counts responses and requests since the last call: once an iteration, not once a packet.
    fn count_slots(&mut self) {
        let rsp_cons = self.ring.rsp_cons();
        let req_prod = self.ring.req_prod();
        let (responses, requests) = core::mem::replace(&mut self.counted, (rsp_cons, req_prod));
        self.stats.responses.add(u64::from(rsp_cons.wrapping_sub(responses)));
        self.stats.requests.add(u64::from(req_prod.wrapping_sub(requests)));
    }

    /// Looks at the ring a last time before sleep. Returns whether there is a frame or a response.
    ///
    /// # Errors
    /// As [`RxQueue::look`].
    pub(super) fn final_check(&mut self) -> Result<bool, Misbehaviour> {
        let responses = self.ring.final_check_for_responses().map_err(Misbehaviour::RxRing)?;
        Ok(responses || self.has_frame())
    }

    /// The counters.
    pub(super) const fn stats(&self) -> RxStats {
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

    /// Sets how frames are assigned to queues.
    pub(super) const fn set_steering(&mut self, steering: Steering) {
        self.steering = Some(steering);
    }

    /// Whether the pool is larger than at the start and has a free page.
    pub(super) const fn has_surplus(&self) -> bool {
        self.pool.has_surplus(0)
    }

    /// The number of quarantined pages, when it has reached the limit.
    pub(super) const fn quarantine_full(&self) -> Option<usize> {
        self.pool.quarantine_full()
    }

    /// Where the pages are.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub(super) fn accounting(&self) -> Result<PoolCounts, Mismatch> {
        let in_place = usize::from(matches!(self.current, Current::InPlace(_)));
        let in_ring = self.slots.count().saturating_add(self.chain.len()).saturating_sub(in_place);
        self.pool.account(in_ring, in_place)
    }

    /// Ends the connection. Returns the page of the ring, the pool with all its pages, and the counters.
    pub(super) fn close(mut self) -> (GrantedPage, Pool<ReadWrite>, RxStats) {
        self.count_slots();
        self.release();
        for page in self.slots.drain().chain(self.chain.drain(..).map(|piece| piece.page)) {
            self.pool.put(page);
        }
        (self.ring.into_page(), self.pool, self.stats)
    }
}
