//! A machine for tests: pages that live for ever, a Xen that counts, a loop that runs one future.

use crate::Errno;
use crate::abi::grant_table::GrantStatus;
use crate::hypervisor::{GrantTableSize, HvmParam, Hypervisor, MapSpace, ShutdownReason, Virq};
use crate::ids::{DomId, EvtchnPort, Gfn, Gref, SystemTime, VcpuId};
use crate::memory::foreign::{Foreign, MapError};
use crate::memory::page::{Granted, Page, ReadWrite};
use crate::memory::shared::Shared;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use core::task::{Context, Waker};

/// Where free-running indexes start in every test of them.
pub(crate) const STARTS: [u32; 4] = [0, 1000, u32::MAX - 3, u32::MAX];

/// A page of zeros.
pub(crate) fn page() -> Shared<'static> {
    let page = Box::leak(Box::new([0_u64; 512]));
    #[allow(unsafe_code, reason = "a test needs memory to share with itself")]
    // SAFETY: the page is leaked, so mapped for ever, aligned to 8, and nothing else refers to it.
    unsafe {
        Shared::new(NonNull::from(page).cast(), 4096)
    }
}

/// A page of zeros as its owner has it while it is granted, and the same page as the other domain has it mapped.
pub(crate) fn granted_page(gfn: Gfn, gref: Gref) -> (Page<Granted<ReadWrite>>, Shared<'static>) {
    let base = NonNull::from(Box::leak(Box::new(Aligned([0; 4096])))).cast();
    #[allow(unsafe_code, reason = "a test needs memory to share with itself")]
    // SAFETY: the page is leaked, so mapped for ever, aligned to 4096, and accessed by atomics alone.
    let page = unsafe { Page::from_raw(base, gfn) };
    #[allow(unsafe_code, reason = "as above")]
    // SAFETY: as above; the page that is granted gives no references away.
    let view = unsafe { Shared::new(base, 4096) };
    (page.into_granted(gref), view)
}

/// Bytes at the start of a page.
#[repr(align(4096))]
struct Aligned(#[allow(dead_code, reason = "reached by its address")] [u8; 4096]);

/// A Xen that counts what it is asked, and knows nothing but notifications, yields and frames.
#[derive(Default)]
pub(crate) struct TestXen {
    pub(crate) notifications: Cell<u32>,
    pub(crate) yields: Cell<u32>,
    /// Frames that it was told to put somewhere.
    pub(crate) frames: RefCell<Vec<(MapSpace, u32, Gfn)>>,
    /// Refuses notifications and frames.
    pub(crate) refuse: Cell<bool>,
    /// Runs in each yield: the other domain's turn.
    pub(crate) on_yield: RefCell<Option<Box<dyn FnMut()>>>,
}

#[allow(unsafe_code, reason = "the trait has unsafe methods")]
impl Hypervisor for TestXen {
    fn evtchn_send(&self, _: EvtchnPort) -> Result<(), Errno> {
        if self.refuse.get() {
            return Err(Errno::EINVAL);
        }
        self.notifications.set(self.notifications.get() + 1);
        Ok(())
    }
    fn sched_yield(&self) {
        self.yields.set(self.yields.get() + 1);
        if let Some(other) = &mut *self.on_yield.borrow_mut() {
            other();
        }
    }
    fn evtchn_alloc_unbound(&self, _: DomId) -> Result<EvtchnPort, Errno> {
        Err(Errno::ENOSYS)
    }
    fn evtchn_bind_interdomain(&self, _: DomId, _: EvtchnPort) -> Result<EvtchnPort, Errno> {
        Err(Errno::ENOSYS)
    }
    fn evtchn_bind_virq(&self, _: Virq, _: VcpuId) -> Result<EvtchnPort, Errno> {
        Err(Errno::ENOSYS)
    }
    fn evtchn_close(&self, _: EvtchnPort) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn sched_block(&self) {}
    fn sched_shutdown(&self, _: ShutdownReason) -> Result<bool, Errno> {
        Err(Errno::ENOSYS)
    }
    fn set_singleshot_timer(&self, _: SystemTime) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn hvm_get_param(&self, _: HvmParam) -> Result<u64, Errno> {
        Err(Errno::ENOSYS)
    }
    fn hvm_set_param(&self, _: HvmParam, _: u64) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn grant_table_size(&self) -> Result<GrantTableSize, Errno> {
        Err(Errno::ENOSYS)
    }
    fn map_foreign(&self, _: DomId, _: Gref) -> Result<Foreign, MapError> {
        Err(MapError::Xen(Errno::ENOSYS))
    }
    fn unmap_foreign(&self, _: Foreign) -> Result<(), GrantStatus> {
        Err(GrantStatus::BadHandle)
    }
    unsafe fn add_to_physmap(&self, space: MapSpace, count: u32, gfn: Gfn) -> Result<(), Errno> {
        self.frames.borrow_mut().push((space, count, gfn));
        if self.refuse.get() { Err(Errno::ENOMEM) } else { Ok(()) }
    }
}

/// Random numbers that are the same in every run (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A context that wakes nobody.
pub(crate) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
