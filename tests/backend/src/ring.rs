//! The backend's half of a ring, with nothing that would keep it honest.

use crate::sys::{Mapping, PAGE};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use xen::abi::io_ring::{const_ring_size, offset};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

#[derive(Debug)]
pub struct BackRing {
    /// Threads that flip what is in it hold it too.
    pub page: Arc<Mapping>,
    pub slot_bytes: usize,
    /// Slots.
    size: u32,
    pub req_cons: u32,
    pub rsp_prod: u32,
    pushed: u32,
    /// The guest's `req_prod` as it last made sense: we may have overwritten it ourselves.
    req_prod: u32,
    /// An index was falsified: nothing honest is shown any more.
    pub bent: bool,
}

impl BackRing {
    pub fn attach(page: Mapping, slot_bytes: usize) -> Self {
        let start = page.page().load::<u32>(offset::RSP_PROD, Ordering::Acquire);
        Self {
            page: Arc::new(page),
            slot_bytes,
            size: const_ring_size(PAGE, slot_bytes),
            req_cons: start,
            rsp_prod: start,
            pushed: start,
            req_prod: start,
            bent: false,
        }
    }

    pub fn slot(&self, index: u32) -> usize {
        offset::RING + (index % self.size) as usize * self.slot_bytes
    }

    /// Requests that were not taken yet; never more than a ring, whatever we wrote to the index ourselves.
    pub fn requests(&mut self) -> u32 {
        let req_prod = self.field(offset::REQ_PROD);
        if req_prod.wrapping_sub(self.req_cons) <= self.size {
            self.req_prod = req_prod;
        }
        self.req_prod.wrapping_sub(self.req_cons)
    }

    /// The next request.
    pub fn take<T: FromZeros + FromBytes + IntoBytes>(&mut self) -> Option<T> {
        if self.requests() == 0 {
            return None;
        }
        let mut request = T::new_zeroed();
        self.page.page().read_bytes(self.slot(self.req_cons), request.as_mut_bytes());
        self.req_cons = self.req_cons.wrapping_add(1);
        Some(request)
    }

    /// Writes the next response; it is shown by [`BackRing::push`].
    pub fn put(&mut self, response: &[u8]) {
        self.page.page().write_bytes(self.slot(self.rsp_prod), response);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
    }

    /// `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`.
    pub fn push(&mut self) -> bool {
        if self.bent {
            return false;
        }
        let (old, new) = (std::mem::replace(&mut self.pushed, self.rsp_prod), self.rsp_prod);
        self.set(offset::RSP_PROD, new);
        xen::shared::full_barrier();
        new.wrapping_sub(self.field(offset::RSP_EVENT)) < new.wrapping_sub(old)
    }

    /// `RING_FINAL_CHECK_FOR_REQUESTS`: asks for an event with the next request.
    pub fn ask(&self) {
        self.set(offset::REQ_EVENT, self.req_cons.wrapping_add(1));
        xen::shared::full_barrier();
    }

    pub fn field(&self, at: usize) -> u32 {
        self.page.page().load(at, Ordering::Acquire)
    }

    pub fn set(&self, at: usize, value: u32) {
        self.page.page().store(at, value, Ordering::Release);
    }
}
