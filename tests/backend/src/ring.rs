//! The backend's half of a ring without its checks: [`xen::ring::BackRing`], with access to its page.

use crate::Outcome;
use crate::sys::Mapping;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[derive(Debug)]
pub struct BackRing {
    ring: xen::ring::BackRing<Arc<Mapping>>,
    /// An index was falsified: no more correct responses are shown.
    pub bent: bool,
}

impl BackRing {
    pub fn attach(page: Mapping, slot_bytes: usize) -> Outcome<Self> {
        let ring = xen::ring::BackRing::attach(Arc::new(page), slot_bytes)?;
        Ok(Self { ring, bent: false })
    }

    /// The page. Threads that flip its fields share it.
    pub const fn page(&self) -> &Arc<Mapping> {
        self.ring.page()
    }

    pub const fn req_cons(&self) -> u32 {
        self.ring.req_cons()
    }

    pub const fn rsp_prod(&self) -> u32 {
        self.ring.rsp_prod()
    }

    /// Where the slot of an index begins in the page.
    pub const fn slot(&self, index: u32) -> usize {
        self.ring.slot_offset(index)
    }

    /// Requests that were not taken yet: by the guest's last valid index, whatever we wrote there.
    pub fn requests(&mut self) -> u32 {
        let _ = self.ring.unconsumed_requests();
        self.ring.req_prod_seen().wrapping_sub(self.ring.req_cons())
    }

    /// The next request.
    pub fn take<T: FromBytes + IntoBytes>(&mut self) -> Option<T> {
        let _ = self.ring.unconsumed_requests();
        self.ring.get_request()
    }

    /// Writes the next response; it is shown by [`BackRing::push`].
    pub fn put<T: IntoBytes + Immutable + ?Sized>(&mut self, response: &T) {
        self.ring.put_response(response);
    }

    /// Shows the responses, unless an index was falsified; whether the guest asked for an event.
    pub fn push(&mut self) -> bool {
        !self.bent && self.ring.push_responses_and_check_notify()
    }

    /// Asks for an event with the next request.
    pub fn ask(&self) {
        self.ring.ask_for_event_at(self.ring.req_cons().wrapping_add(1));
    }

    pub fn field(&self, at: usize) -> u32 {
        self.page().page().load(at, Ordering::Acquire)
    }

    pub fn set(&self, at: usize, value: u32) {
        self.page().page().store(at, value, Ordering::Release);
    }
}
