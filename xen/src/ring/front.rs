//! The frontend's half of a shared ring: requests go out, responses come back, in one page.
//!
//! ```text
//!            req_prod_pvt (ours)   req_prod (shared)          rsp_prod (shared, the peer's)   rsp_cons (ours)
//!   write ──────► slot ──────push──────► peer reads … peer writes ──────► checked, then copied out ──────► take
//! ```
//!
//! Everything that decides is private: the shared `req_prod` is written and never read back, `rsp_prod` is read once a
//! look and checked against what is outstanding, and a response is copied out before it is parsed. The macros of
//! Xen's `ring.h` (4.17) keep their names. Indexes run freely modulo 2^32; only their difference means something.

use super::arith::index32 as arithmetic;
use crate::abi::io_ring::offset;
use crate::memory::page::{Granted, Page, ReadWrite};
use crate::memory::shared::{Shared, full_barrier};
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The peer broke a rule of the ring: from here on nothing on it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingOverrun {
    /// What the peer wrote to `rsp_prod`.
    pub rsp_prod: u32,
    /// Our `rsp_cons`.
    pub rsp_cons: u32,
    /// Our `req_prod_pvt`: no response can be beyond it.
    pub req_prod: u32,
}

impl fmt::Display for RingOverrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rsp_prod is {}, but only {} to {} are outstanding",
            self.rsp_prod, self.rsp_cons, self.req_prod
        )
    }
}

/// A ring on which we are the frontend, with `SIZE` slots for requests `Req` and responses `Rsp`.
#[derive(Debug)]
pub struct FrontRing<Req, Rsp, const SIZE: u32> {
    page: Page<Granted<ReadWrite>>,
    req_prod_pvt: u32,
    /// The last `req_prod` that the peer was shown.
    req_prod_pushed: u32,
    /// The last `rsp_prod` that passed the check.
    rsp_prod_seen: u32,
    rsp_cons: u32,
    types: PhantomData<(Req, Rsp)>,
}

impl<Req: IntoBytes + Immutable, Rsp: FromBytes + IntoBytes, const SIZE: u32> FrontRing<Req, Rsp, SIZE> {
    /// Bytes of a slot: the larger of request and response.
    const SLOT: usize = if size_of::<Req>() > size_of::<Rsp>() { size_of::<Req>() } else { size_of::<Rsp>() };

    /// `SHARED_RING_INIT` and `FRONT_RING_INIT` on a page that is all zero, with the indexes at `start`
    /// (0 for a real peer; a test of wrap-around begins elsewhere).
    #[must_use]
    pub fn init(page: Page<Granted<ReadWrite>>, start: u32) -> Self {
        const { assert!(SIZE.is_power_of_two(), "a ring has 2^n slots") };
        const { assert!(size_of::<Req>().is_multiple_of(4) && size_of::<Rsp>().is_multiple_of(4), "whole words") };
        let shared = page.shared();
        shared.store(offset::REQ_PROD, start, Relaxed);
        shared.store(offset::RSP_PROD, start, Relaxed);
        shared.store(offset::REQ_EVENT, start.wrapping_add(1), Relaxed);
        shared.store(offset::RSP_EVENT, start.wrapping_add(1), Release);
        Self {
            page,
            req_prod_pvt: start,
            req_prod_pushed: start,
            rsp_prod_seen: start,
            rsp_cons: start,
            types: PhantomData,
        }
    }

    fn shared(&self) -> Shared<'_> {
        self.page.shared()
    }

    /// The ring's page, to publish its grant reference.
    #[must_use]
    pub const fn page(&self) -> &Page<Granted<ReadWrite>> {
        &self.page
    }

    /// The page back, at the end of the ring's life.
    #[must_use]
    pub fn into_page(self) -> Page<Granted<ReadWrite>> {
        self.page
    }

    /// Where the slot of an index begins in the page.
    const fn slot_offset(index: u32) -> usize {
        #[allow(clippy::as_conversions, reason = "u32 to usize in a const fn; 64-bit only")]
        let slot = arithmetic::slot(SIZE, index) as usize;
        offset::RING.wrapping_add(slot.wrapping_mul(Self::SLOT))
    }

    /// `RING_FREE_REQUESTS`: slots that can still be filled.
    #[must_use]
    #[inline]
    pub const fn free_requests(&self) -> u32 {
        arithmetic::free_requests(SIZE, self.req_prod_pvt, self.rsp_cons)
    }

    /// Requests written and not yet answered (or answered and not yet taken).
    #[must_use]
    #[inline]
    pub const fn outstanding(&self) -> u32 {
        arithmetic::outstanding(self.req_prod_pvt, self.rsp_cons)
    }

    /// The index of the next request.
    #[inline]
    #[must_use]
    pub const fn req_prod(&self) -> u32 {
        self.req_prod_pvt
    }

    /// Writes the next request; the peer does not see it before a push. `None`, and nothing written, when the ring is
    /// full; else the index of the request.
    #[inline]
    pub fn write_request(&mut self, request: &Req) -> Option<u32> {
        if self.free_requests() == 0 {
            return None;
        }
        let index = self.req_prod_pvt;
        self.shared().write_record(Self::slot_offset(index), request);
        self.req_prod_pvt = index.wrapping_add(1);
        Some(index)
    }

    /// Whether there are requests that the peer was not shown.
    #[must_use]
    pub const fn has_unpushed(&self) -> bool {
        self.req_prod_pvt != self.req_prod_pushed
    }

    /// `RING_PUSH_REQUESTS_AND_CHECK_NOTIFY`: shows the peer what was written; whether it wants to be notified.
    ///
    /// # Ordering
    /// Slots before `req_prod` (release), `req_prod` before the look at `req_event` (full barrier): the peer does the
    /// mirror image, so that one of the two sees the other's write.
    #[must_use = "a peer that wants a notification and gets none sleeps on"]
    pub fn push_requests_and_check_notify(&mut self) -> bool {
        let old = self.req_prod_pushed;
        let new = self.req_prod_pvt;
        self.req_prod_pushed = new;
        let shared = self.shared();
        shared.store(offset::REQ_PROD, new, Release);
        full_barrier();
        let req_event = shared.load::<u32>(offset::REQ_EVENT, Relaxed);
        arithmetic::wants_notification(old, new, req_event)
    }

    /// `RING_HAS_UNCONSUMED_RESPONSES`: how many responses there are to take, from one look at `rsp_prod`.
    ///
    /// # Errors
    /// The peer claims responses to requests that it was never shown, or takes responses back.
    ///
    /// # Ordering
    /// `rsp_prod` is read with acquire: the slots before it are complete.
    pub fn unconsumed_responses(&mut self) -> Result<u32, RingOverrun> {
        let rsp_prod = self.shared().load::<u32>(offset::RSP_PROD, Acquire);
        let Some(ready) =
            arithmetic::responses(self.rsp_cons, self.rsp_prod_seen, self.req_prod_pushed, rsp_prod)
        else {
            return Err(RingOverrun { rsp_prod, rsp_cons: self.rsp_cons, req_prod: self.req_prod_pushed });
        };
        self.rsp_prod_seen = rsp_prod;
        Ok(ready)
    }

    /// The index of the response that [`Self::take_response`] would take.
    #[must_use]
    #[inline]
    pub const fn rsp_cons(&self) -> u32 {
        self.rsp_cons
    }

    /// Copies the next response out and leaves it there, for one whose kind decides how it is taken. `None` when all that
    /// were seen are taken. The copy that [`Self::take_response`] makes later is another one: a peer can have changed it.
    #[inline]
    #[must_use]
    pub fn peek_response(&self) -> Option<Rsp> {
        if self.rsp_cons == self.rsp_prod_seen {
            return None;
        }
        Some(self.shared().read_record(Self::slot_offset(self.rsp_cons)))
    }

    /// Takes the response that [`Self::peek_response`] gave. Does nothing when there is none.
    #[inline]
    pub const fn skip_response(&mut self) {
        if self.rsp_cons != self.rsp_prod_seen {
            self.rsp_cons = self.rsp_cons.wrapping_add(1);
        }
    }

    /// Copies the next response out (`RING_COPY_RESPONSE`); `None` when all that were seen are taken.
    #[inline]
    pub fn take_response(&mut self) -> Option<Rsp> {
        if self.rsp_cons == self.rsp_prod_seen {
            return None;
        }
        let response = self.shared().read_record(Self::slot_offset(self.rsp_cons));
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        Some(response)
    }

    /// The responses that were seen, one after the other, as [`Self::take_response`] takes them.
    #[inline]
    pub fn responses(&mut self) -> impl Iterator<Item = Rsp> + '_ {
        // Private while it runs: one variable less that every access to other memory might change.
        let mut taken = Taken { rsp_cons: self.rsp_cons, ring: self };
        core::iter::from_fn(move || {
            if taken.rsp_cons == taken.ring.rsp_prod_seen {
                return None;
            }
            let response = taken.ring.shared().read_record(Self::slot_offset(taken.rsp_cons));
            taken.rsp_cons = taken.rsp_cons.wrapping_add(1);
            Some(response)
        })
    }

    /// `RING_FINAL_CHECK_FOR_RESPONSES`: asks for an event with the next response, and looks once more.
    ///
    /// # Errors
    /// As [`Self::unconsumed_responses`].
    ///
    /// # Ordering
    /// `rsp_event` before the look at `rsp_prod` (full barrier): either we see the response, or the peer sees our wish.
    pub fn final_check_for_responses(&mut self) -> Result<bool, RingOverrun> {
        self.shared().store(offset::RSP_EVENT, self.rsp_cons.wrapping_add(1), Relaxed);
        full_barrier();
        Ok(self.unconsumed_responses()? > 0)
    }
}

/// How far responses were taken, kept when it is dropped.
struct Taken<'a, Req, Rsp, const SIZE: u32> {
    rsp_cons: u32,
    ring: &'a mut FrontRing<Req, Rsp, SIZE>,
}

impl<Req, Rsp, const SIZE: u32> Drop for Taken<'_, Req, Rsp, SIZE> {
    #[inline]
    fn drop(&mut self) {
        self.ring.rsp_cons = self.rsp_cons;
    }
}
