//! The traits between guest code and the machine: Xen's hypercalls, the guest's memory, its clock.
//!
//! Implemented by `kernel` with the one hypercall instruction, and by `xen-sim` for tests. Every method takes `&self`,
//! so that each test owns its machine. Static dispatch: it costs nothing.

#![allow(unsafe_code, reason = "declares the calls that change what is behind an address; implements none")]

use crate::abi::errno::Errno;
use crate::abi::grant_table::GrantStatus;
pub use crate::abi::hvm_params::HvmParam;
pub use crate::abi::memory::MapSpace;
pub use crate::abi::sched::ShutdownReason;
pub use crate::abi::xen::Virq;
use crate::ids::{DomId, EvtchnPort, Gfn, Gref, SystemTime, VcpuId};
use crate::memory::foreign::{Foreign, MapError};
use crate::memory::page::{Page, Private};

/// Sizes of the grant table, in frames of 512 v1 entries. `grant_table.h`, `struct gnttab_query_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantTableSize {
    /// Frames that the table has.
    pub nr_frames: u32,
    /// Frames that it may have.
    pub max_nr_frames: u32,
}

/// Xen, as far as a guest can ask it for something.
pub trait Hypervisor {
    /// `EVTCHNOP_send`: notifies the other end of `port`. (`event_channel.h`)
    ///
    /// # Errors
    /// `EINVAL` if the port is not bound.
    fn evtchn_send(&self, port: EvtchnPort) -> Result<(), Errno>;
    /// `EVTCHNOP_alloc_unbound`: a port of ours that `remote` may bind to.
    ///
    /// # Errors
    /// `ENOSPC` when there is no free port.
    fn evtchn_alloc_unbound(&self, remote: DomId) -> Result<EvtchnPort, Errno>;
    /// `EVTCHNOP_bind_interdomain`: a local port bound to a port that `remote` allocated for us.
    ///
    /// # Errors
    /// `EINVAL` if that port is not unbound or not meant for us.
    fn evtchn_bind_interdomain(&self, remote: DomId, port: EvtchnPort) -> Result<EvtchnPort, Errno>;
    /// `EVTCHNOP_bind_virq`: a local port for a virtual interrupt of a vCPU.
    ///
    /// # Errors
    /// `EEXIST` if it is bound already.
    fn evtchn_bind_virq(&self, virq: Virq, vcpu: VcpuId) -> Result<EvtchnPort, Errno>;
    /// `EVTCHNOP_close`.
    ///
    /// # Errors
    /// `EINVAL` if the port is free.
    fn evtchn_close(&self, port: EvtchnPort) -> Result<(), Errno>;

    /// `SCHEDOP_block`: lets other domains run until an event is pending for this vCPU; events that came before the
    /// call are not lost.
    fn sched_block(&self);
    /// `SCHEDOP_yield`.
    fn sched_yield(&self);
    /// `SCHEDOP_shutdown`. Returns only for [`ShutdownReason::Suspend`]: `true` if the suspend was cancelled, `false`
    /// in a new domain context.
    ///
    /// # Errors
    /// What Xen says when it refuses.
    fn sched_shutdown(&self, reason: ShutdownReason) -> Result<bool, Errno>;
    /// `VCPUOP_set_singleshot_timer` with an absolute deadline; replaces the one before. (`vcpu.h`)
    ///
    /// # Errors
    /// What Xen says when it refuses; a deadline in the past fires at once and is no error.
    fn set_singleshot_timer(&self, deadline: SystemTime) -> Result<(), Errno>;

    /// `HVMOP_get_param` of this domain. (`hvm/hvm_op.h`)
    ///
    /// # Errors
    /// `EINVAL` for a parameter that the domain does not have.
    fn hvm_get_param(&self, param: HvmParam) -> Result<u64, Errno>;
    /// `HVMOP_set_param` of this domain.
    ///
    /// # Errors
    /// `EINVAL` or `EPERM`.
    fn hvm_set_param(&self, param: HvmParam, value: u64) -> Result<(), Errno>;

    /// `GNTTABOP_query_size` of this domain.
    ///
    /// # Errors
    /// What Xen says when it refuses.
    fn grant_table_size(&self) -> Result<GrantTableSize, Errno>;
    /// `GNTTABOP_map_grant_ref`: maps a page that `domid` granted us, to read and write.
    ///
    /// # Errors
    /// Why it is not mapped.
    fn map_foreign(&self, domid: DomId, gref: Gref) -> Result<Foreign, MapError>;
    /// `GNTTABOP_unmap_grant_ref`. When Xen does not know the mapping (after a suspend), there is none, and its place is
    /// free; after any other refusal it is not used again.
    ///
    /// # Errors
    /// The status with which Xen refuses.
    fn unmap_foreign(&self, page: Foreign) -> Result<(), GrantStatus>;
    /// `XENMEM_add_to_physmap_batch`: puts the first `count` frames of `space` at `gfn` and after it, the highest first.
    /// (`memory.h`)
    ///
    /// # Errors
    /// `EINVAL` or `ENOMEM`: that of the first frame which Xen refuses.
    ///
    /// # Safety
    /// The frames from `gfn` on are owned by the caller and hold no memory in use.
    unsafe fn add_to_physmap(&self, space: MapSpace, count: u32, gfn: Gfn) -> Result<(), Errno>;
}

/// Pages that this domain owns, to be shared whole: rings, pools, nothing else. (XSA-403)
pub trait Memory {
    /// Takes a page out of the guest's free memory, **all zero**; `None` when there is none left.
    fn alloc_page(&self) -> Option<Page<Private>>;
    /// Takes `count` pages that follow each other in the guest's physical and virtual memory, all zero.
    fn alloc_contiguous(&self, count: usize) -> Option<alloc::vec::Vec<Page<Private>>>;
    /// Gives a page back. Only a private page can be: a granted one has another type.
    fn free_page(&self, page: Page<Private>);
    /// Pages that [`Memory::alloc_page`] could still give.
    fn free_pages(&self) -> usize;
}

/// The domain's clocks.
pub trait Clock {
    /// Monotonic time: starts at boot, goes on over save and restore, never goes back.
    fn now(&self) -> SystemTime;
}

/// Everything a driver needs, as one bound.
pub trait Machine: Hypervisor + Memory + Clock {}
impl<T: Hypervisor + Memory + Clock> Machine for T {}

macro_rules! forward {
    ($($ptr:ty),*) => {$(
        impl<T: Clock + ?Sized> Clock for $ptr {
            fn now(&self) -> SystemTime { (**self).now() }
        }
        impl<T: Memory + ?Sized> Memory for $ptr {
            fn alloc_page(&self) -> Option<Page<Private>> { (**self).alloc_page() }
            fn alloc_contiguous(&self, count: usize) -> Option<alloc::vec::Vec<Page<Private>>> {
                (**self).alloc_contiguous(count)
            }
            fn free_page(&self, page: Page<Private>) { (**self).free_page(page) }
            fn free_pages(&self) -> usize { (**self).free_pages() }
        }
    )*};
}
forward!(&T, alloc::rc::Rc<T>);
