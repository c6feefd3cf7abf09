//! The backend's half of a shared ring: requests come in, responses go out, in one page of the frontend's.
//!
//! ```text
//!            req_prod (shared, the peer's)    req_cons (ours)   rsp_prod_pvt (ours)        rsp_prod (shared)
//!   peer writes ──────► checked ──copied out once──► get_request ──► put_response ──────push──────► peer reads
//! ```
//!
//! The mirror of [`FrontRing`](super::FrontRing), with the names of Xen's `ring.h` (4.17). Everything that decides is
//! private: `rsp_prod` is written and never read back, `req_prod` is read once a look and checked against what can be
//! outstanding, and a request is copied out before it is parsed. Indexes run freely modulo 2^32.
//!
//! Requests and responses of one ring have several forms (netif's extra infos lie in request slots), so their type is
//! the call's and not the ring's; the ring knows the size of a slot.

use super::arith::index32 as arithmetic;
use crate::abi::io_ring::{const_ring_size, offset};
use crate::memory::shared::{SharedPage, full_barrier};
use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The frontend broke a rule of the ring: from here on nothing on it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestOverrun {
    /// What the peer wrote to `req_prod`.
    pub req_prod: u32,
    /// Our `req_cons`.
    pub req_cons: u32,
    /// Our `rsp_prod_pvt`: no request can be more than `size` beyond it.
    pub rsp_prod: u32,
    /// Slots of the ring.
    pub size: u32,
}

impl fmt::Display for RequestOverrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { req_prod, req_cons, rsp_prod, size } = self;
        write!(
            f,
            "req_prod is {req_prod}, with requests taken up to {req_cons} and answered up to {rsp_prod} of {size} slots"
        )
    }
}

impl core::error::Error for RequestOverrun {}

/// A ring on which we are the backend, over a mapped page `P` of the frontend's.
#[derive(Debug)]
pub struct BackRing<P> {
    page: P,
    slot_bytes: usize,
    /// Slots, a power of two.
    size: u32,
    req_cons: u32,
    /// The last `req_prod` that passed the check.
    req_prod_seen: u32,
    rsp_prod_pvt: u32,
    /// The last `rsp_prod` that the peer was shown.
    rsp_prod_pushed: u32,
}

impl<P: SharedPage> BackRing<P> {
    /// `BACK_RING_INIT`: a ring that a frontend has just made, with slots of `slot_bytes` bytes (a multiple of 4: the
    /// larger of request and response). Indexes begin at 0.
    #[must_use]
    pub fn init(page: P, slot_bytes: usize) -> Self {
        Self::start_at(page, slot_bytes, 0)
    }

    /// `BACK_RING_ATTACH`, as Linux' netback calls it: goes on where the page says that responses are, so that a
    /// backend can take up a ring that is in use.
    ///
    /// # Errors
    /// `req_prod` is more than a ring ahead of `rsp_prod`.
    pub fn attach(page: P, slot_bytes: usize) -> Result<Self, RequestOverrun> {
        let start = page.shared().load::<u32>(offset::RSP_PROD, Acquire);
        let mut ring = Self::start_at(page, slot_bytes, start);
        ring.unconsumed_requests()?;
        Ok(ring)
    }

    fn start_at(page: P, slot_bytes: usize, start: u32) -> Self {
        let size = const_ring_size(page.shared().len(), slot_bytes);
        Self {
            page,
            slot_bytes,
            size,
            req_cons: start,
            req_prod_seen: start,
            rsp_prod_pvt: start,
            rsp_prod_pushed: start,
        }
    }

    /// The ring's page.
    #[must_use]
    pub const fn page(&self) -> &P {
        &self.page
    }

    /// The page back, to be unmapped.
    #[must_use]
    pub fn into_page(self) -> P {
        self.page
    }

    /// Slots of the ring, a power of two.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// One past the last request that was taken.
    #[must_use]
    pub const fn req_cons(&self) -> u32 {
        self.req_cons
    }

    /// The last `req_prod` of the peer's that passed the check.
    #[must_use]
    pub const fn req_prod_seen(&self) -> u32 {
        self.req_prod_seen
    }

    /// One past the last response that was written, shown or not.
    #[must_use]
    pub const fn rsp_prod(&self) -> u32 {
        self.rsp_prod_pvt
    }

    /// Where the slot of an index begins in the page, in bytes.
    #[must_use]
    pub const fn slot_offset(&self, index: u32) -> usize {
        #[allow(clippy::as_conversions, reason = "u32 to usize in a const fn; 64-bit only")]
        let slot = arithmetic::slot(self.size, index) as usize;
        offset::RING.wrapping_add(slot.wrapping_mul(self.slot_bytes))
    }

    /// `RING_HAS_UNCONSUMED_REQUESTS` and `RING_REQUEST_PROD_OVERFLOW`: how many requests there are to take, from one
    /// look at `req_prod`.
    ///
    /// # Errors
    /// The peer claims more requests than the ring has slots without a response, or takes requests back.
    ///
    /// # Ordering
    /// `req_prod` is read with acquire: the slots before it are complete.
    pub fn unconsumed_requests(&mut self) -> Result<u32, RequestOverrun> {
        let Self { size, req_cons, req_prod_seen, rsp_prod_pvt, .. } = *self;
        let req_prod = self.page.shared().load::<u32>(offset::REQ_PROD, Acquire);
        let ready = arithmetic::requests(size, req_cons, req_prod_seen, rsp_prod_pvt, req_prod);
        let Some(ready) = ready else {
            return Err(RequestOverrun { req_prod, req_cons, rsp_prod: rsp_prod_pvt, size });
        };
        self.req_prod_seen = req_prod;
        Ok(ready)
    }

    /// Takes the next request: copies it out, once (`RING_COPY_REQUEST`). `None` when all that were seen are taken.
    /// `T` is no larger than a slot.
    #[inline]
    pub fn get_request<T: FromBytes + IntoBytes>(&mut self) -> Option<T> {
        if self.req_cons == self.req_prod_seen {
            return None;
        }
        let request = self.copy_request(self.req_cons);
        self.req_cons = self.req_cons.wrapping_add(1);
        Some(request)
    }

    /// Copies out what lies in the slot of any index (`RING_COPY_REQUEST`), without taking it: two calls may differ.
    #[inline]
    #[must_use]
    pub fn copy_request<T: FromBytes + IntoBytes>(&self, index: u32) -> T {
        debug_assert!(size_of::<T>() <= self.slot_bytes, "a request is no larger than its slot");
        self.page.shared().read_record(self.slot_offset(index))
    }

    /// Writes the next response (whole words); the peer does not see it before a push. Each request that was taken has
    /// one, in any order: the caller's promise, by which the slot is free.
    #[inline]
    pub fn put_response<T: IntoBytes + Immutable + ?Sized>(&mut self, response: &T) {
        debug_assert!(size_of_val(response) <= self.slot_bytes, "a response is no larger than its slot");
        self.page.shared().write_record(self.slot_offset(self.rsp_prod_pvt), response);
        self.rsp_prod_pvt = self.rsp_prod_pvt.wrapping_add(1);
    }

    /// `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`: shows the peer what was written; whether it wants to be notified.
    ///
    /// # Ordering
    /// Slots before `rsp_prod` (release), `rsp_prod` before the look at `rsp_event` (full barrier): the peer does the
    /// mirror image, so that one of the two sees the other's write.
    #[must_use = "a peer that wants a notification and gets none sleeps on"]
    pub fn push_responses_and_check_notify(&mut self) -> bool {
        let (old, new) = (self.rsp_prod_pushed, self.rsp_prod_pvt);
        self.rsp_prod_pushed = new;
        let shared = self.page.shared();
        shared.store(offset::RSP_PROD, new, Release);
        full_barrier();
        arithmetic::wants_notification(old, new, shared.load::<u32>(offset::RSP_EVENT, Relaxed))
    }

    /// `RING_FINAL_CHECK_FOR_REQUESTS`: asks for an event with the next request, and looks once more.
    ///
    /// # Errors
    /// As [`Self::unconsumed_requests`].
    ///
    /// # Ordering
    /// `req_event` before the look at `req_prod` (full barrier): either we see the request, or the peer sees our wish.
    pub fn final_check_for_requests(&mut self) -> Result<bool, RequestOverrun> {
        self.ask_for_event_at(self.req_cons.wrapping_add(1));
        Ok(self.unconsumed_requests()? > 0)
    }

    /// Asks for an event when `req_prod` reaches `index`: one that needs several requests before it can work asks for
    /// the last of them (netback's receive side). A look at the ring follows, else a request that came before is missed.
    pub fn ask_for_event_at(&self, index: u32) {
        self.page.shared().store(offset::REQ_EVENT, index, Relaxed);
        full_barrier();
    }
}
