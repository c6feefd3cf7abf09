//! The backend's half of a shared ring: [`xen::ring::BackRing`], and what a backend with faults does to it.
//!
//! ```text
//!   req_prod (the guest's) ─ checked ─► req_cons ─ copied once ─► work ─► rsp_prod_pvt ─ push ─► rsp_prod ─ event?
//! ```

use super::rules::Violation;
use crate::peer::MappedPage;
use xen::abi::io_ring::offset;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A ring on which we are the backend.
#[derive(Debug)]
pub(crate) struct BackRing {
    ring: xen::ring::BackRing<MappedPage>,
    /// One past the last request that a correct backend would have answered. Faults in responses make it differ from
    /// the responses that were written.
    answered: u32,
}

impl BackRing {
    /// Goes on where the page says that responses are.
    pub(crate) fn attach(page: MappedPage, slot_bytes: usize) -> Result<Self, Violation> {
        let ring = xen::ring::BackRing::attach(page, slot_bytes).map_err(|_| Violation::RingUnusable)?;
        Ok(Self { answered: ring.rsp_prod(), ring })
    }

    pub(crate) const fn page(&self) -> &MappedPage {
        self.ring.page()
    }

    pub(crate) fn into_page(self) -> MappedPage {
        self.ring.into_page()
    }

    pub(crate) const fn slot_offset(&self, index: u32) -> usize {
        self.ring.slot_offset(index)
    }

    pub(crate) const fn req_cons(&self) -> u32 {
        self.ring.req_cons()
    }

    pub(crate) const fn rsp_prod(&self) -> u32 {
        self.ring.rsp_prod()
    }

    /// What the guest has written, valid or not.
    pub(crate) fn req_prod(&self) -> u32 {
        self.page().load(offset::REQ_PROD)
    }

    /// Requests that can be taken; `None` if the guest broke the ring. After a fault in the number of responses it is
    /// the backend's own doing when the indexes do not fit together: then nothing is taken.
    pub(crate) fn unconsumed(&mut self) -> Option<u32> {
        match self.ring.unconsumed_requests() {
            Ok(ready) => Some(ready),
            Err(_) if self.is_honest() => None,
            Err(overrun) => (overrun.req_prod.wrapping_sub(overrun.req_cons) <= overrun.size).then_some(0),
        }
    }

    /// Each request so far has one response.
    const fn is_honest(&self) -> bool {
        self.answered == self.ring.rsp_prod()
    }

    /// Counts this many requests as answered, whatever was written as responses.
    pub(crate) const fn acknowledge(&mut self, requests: usize) {
        self.answered = self.answered.wrapping_add(requests as u32);
    }

    /// Takes the next request of those that were seen.
    pub(crate) fn get_request<T: FromBytes + IntoBytes>(&mut self) -> Option<T> {
        self.ring.get_request()
    }

    /// The start of the slot of any index, read once.
    pub(crate) fn copy_request<T: FromBytes + IntoBytes>(&self, index: u32) -> T {
        self.ring.copy_request(index)
    }

    /// Writes the next response.
    pub(crate) fn put_response<T: IntoBytes + Immutable + ?Sized>(&mut self, response: &T) {
        self.ring.put_response(response);
    }

    /// Shows the guest the responses; `bend` may falsify the index. Whether the guest asked for an event.
    pub(crate) fn push(&mut self, bend: impl FnOnce(u32) -> u32) -> bool {
        let wanted = self.ring.push_responses_and_check_notify();
        let (honest, bent) = (self.rsp_prod(), bend(self.rsp_prod()));
        if bent != honest {
            self.page().store(offset::RSP_PROD, bent);
        }
        wanted
    }

    /// Asks for an event with the next request. Returns whether one is there already. A request that breaks the ring
    /// is found by [`BackRing::unconsumed`].
    pub(crate) fn final_check(&mut self) -> bool {
        self.ring.final_check_for_requests().unwrap_or_else(|_| self.is_honest())
    }

    /// Asks for an event with the request after the last, as netback does when it is short of receive slots.
    pub(crate) fn ask_for_more(&self) {
        self.ring.ask_for_event_at(self.req_prod().wrapping_add(1));
    }
}
