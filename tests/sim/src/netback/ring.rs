//! The backend's half of a shared ring, after Xen's `ring.h`; this crate's own, so that it shares no mistake.
//!
//! ```text
//!   req_prod (the guest's) ─ checked ─► req_cons ─ copied once ─► work ─► rsp_prod_pvt ─ push ─► rsp_prod ─ event?
//! ```

use super::rules::Violation;
use crate::peer::MappedPage;
use xen::abi::io_ring::{const_ring_size, offset};
use xen::ids::PAGE_SIZE;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A ring on which we are the backend.
#[derive(Debug)]
pub(crate) struct BackRing {
    page: MappedPage,
    slot_bytes: usize,
    /// Slots.
    size: u32,
    pub(crate) req_cons: u32,
    pub(crate) rsp_prod_pvt: u32,
    /// One past the last request that got an answer, were we honest. Faults part it from `rsp_prod_pvt`.
    answered: u32,
    /// What was pushed last: the page may have been written by a test.
    pushed: u32,
}

impl BackRing {
    /// `BACK_RING_ATTACH`: goes on where the page says that responses are.
    pub(crate) fn attach(page: MappedPage, slot_bytes: usize) -> Result<Self, Violation> {
        let size = const_ring_size(PAGE_SIZE, slot_bytes);
        let start = page.load::<u32>(offset::RSP_PROD);
        let requests = page.load::<u32>(offset::REQ_PROD).wrapping_sub(start);
        if requests > size {
            return Err(Violation::RingUnusable);
        }
        Ok(Self {
            page,
            slot_bytes,
            size,
            req_cons: start,
            rsp_prod_pvt: start,
            answered: start,
            pushed: start,
        })
    }

    pub(crate) fn page(&self) -> &MappedPage {
        &self.page
    }

    pub(crate) fn into_page(self) -> MappedPage {
        self.page
    }

    pub(crate) fn slot_offset(&self, index: u32) -> usize {
        offset::RING + (index % self.size) as usize * self.slot_bytes
    }

    pub(crate) fn req_prod(&self) -> u32 {
        self.page.load(offset::REQ_PROD)
    }

    /// `RING_HAS_UNCONSUMED_REQUESTS`, with the check that no honest frontend can fail: never is more than a ring of
    /// requests without a response. (If we lied about responses, only that of Linux is left.)
    pub(crate) fn unconsumed(&self) -> Option<u32> {
        let req_prod = self.req_prod();
        let ready = req_prod.wrapping_sub(self.req_cons);
        let honest = self.answered == self.rsp_prod_pvt;
        let unanswered = if honest { req_prod.wrapping_sub(self.answered) } else { ready };
        (ready <= self.size && unanswered <= self.size).then_some(ready)
    }

    /// Counts this many requests as answered, whatever is written as responses.
    pub(crate) const fn acknowledge(&mut self, requests: usize) {
        self.answered = self.answered.wrapping_add(requests as u32);
    }

    /// `RING_COPY_REQUEST` of any index: what stands at the start of its slot, read once.
    pub(crate) fn copy_request<T: FromZeros + FromBytes + IntoBytes>(&self, index: u32) -> T {
        let mut request = T::new_zeroed();
        self.page.read(self.slot_offset(index), request.as_mut_bytes());
        request
    }

    /// Writes the next response.
    pub(crate) fn put_response(&mut self, bytes: &[u8]) {
        self.page.write(self.slot_offset(self.rsp_prod_pvt), bytes);
        self.rsp_prod_pvt = self.rsp_prod_pvt.wrapping_add(1);
    }

    /// `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`; `bend` may falsify the index.
    pub(crate) fn push(&mut self, bend: impl FnOnce(u32) -> u32) -> bool {
        let (old, new) = (self.pushed, self.rsp_prod_pvt);
        self.pushed = new;
        self.page.store(offset::RSP_PROD, bend(new));
        let rsp_event = self.page.load::<u32>(offset::RSP_EVENT);
        new.wrapping_sub(rsp_event) < new.wrapping_sub(old)
    }

    /// `RING_FINAL_CHECK_FOR_REQUESTS`: asks for an event with the next request; whether one is there already.
    pub(crate) fn final_check(&self) -> bool {
        self.page.store(offset::REQ_EVENT, self.req_cons.wrapping_add(1));
        self.req_prod() != self.req_cons
    }

    /// Asks for an event with the request after the last, as netback does when it is short of receive slots.
    pub(crate) fn ask_for_more(&self) {
        self.page.store(offset::REQ_EVENT, self.req_prod().wrapping_add(1));
    }
}
