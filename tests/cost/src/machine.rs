//! The simulated guest with an almost free allocator of pages: the simulator must not make the reference, grant per
//! packet, expensive.

use std::cell::RefCell;
use std::rc::Rc;
use xen::abi::grant_table::GrantStatus;
use xen::foreign::{Foreign, MapError};
use xen::hypervisor::{GrantTableSize, HvmParam, MapSpace, ShutdownReason, Virq};
use xen::{
    Clock, DomId, Errno, EvtchnPort, Gfn, Gref, Hypervisor, Memory, Page, Private, SystemTime, VcpuId, Xen,
};
use xen_sim::{Guest, Sim};

/// A guest, and its free pages as a list.
#[derive(Debug)]
pub(crate) struct Host {
    guest: Guest,
    free: RefCell<Vec<Page<Private>>>,
}

/// Boots the machine's guest, with `pages` in the list.
pub(crate) fn boot(sim: &Sim, pages: usize) -> Rc<Xen<Host>> {
    let booted = Rc::into_inner(sim.xen_with_grant_frames(40)).expect("nobody else has it yet");
    let Xen { machine: guest, grants, events, store } = booted;
    let free = (0..pages).map(|_| guest.alloc_page().expect("memory")).collect();
    Rc::new(Xen { machine: Host { guest, free: RefCell::new(free) }, grants, events, store })
}

impl Memory for Host {
    fn alloc_page(&self) -> Option<Page<Private>> {
        let mut page = self.free.borrow_mut().pop()?;
        page.bytes_mut().fill(0);
        Some(page)
    }

    fn alloc_contiguous(&self, count: usize) -> Option<Vec<Page<Private>>> {
        self.guest.alloc_contiguous(count)
    }

    fn free_page(&self, page: Page<Private>) {
        self.free.borrow_mut().push(page);
    }

    fn free_pages(&self) -> usize {
        self.free.borrow().len()
    }
}

impl Clock for Host {
    fn now(&self) -> SystemTime {
        self.guest.now()
    }
}

#[allow(unsafe_code, reason = "three of the trait's methods are unsafe to call; these do nothing")]
impl Hypervisor for Host {
    fn evtchn_send(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.guest.evtchn_send(port)
    }
    fn evtchn_alloc_unbound(&self, remote: DomId) -> Result<EvtchnPort, Errno> {
        self.guest.evtchn_alloc_unbound(remote)
    }
    fn evtchn_bind_interdomain(&self, remote: DomId, port: EvtchnPort) -> Result<EvtchnPort, Errno> {
        self.guest.evtchn_bind_interdomain(remote, port)
    }
    fn evtchn_bind_virq(&self, virq: Virq, vcpu: VcpuId) -> Result<EvtchnPort, Errno> {
        self.guest.evtchn_bind_virq(virq, vcpu)
    }
    fn evtchn_close(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.guest.evtchn_close(port)
    }
    fn sched_block(&self) {
        self.guest.sched_block();
    }
    fn sched_yield(&self) {
        self.guest.sched_yield();
    }
    fn sched_shutdown(&self, reason: ShutdownReason) -> Result<bool, Errno> {
        self.guest.sched_shutdown(reason)
    }
    fn set_singleshot_timer(&self, deadline: SystemTime) -> Result<(), Errno> {
        self.guest.set_singleshot_timer(deadline)
    }
    fn hvm_get_param(&self, param: HvmParam) -> Result<u64, Errno> {
        self.guest.hvm_get_param(param)
    }
    fn hvm_set_param(&self, param: HvmParam, value: u64) -> Result<(), Errno> {
        self.guest.hvm_set_param(param, value)
    }
    fn grant_table_size(&self) -> Result<GrantTableSize, Errno> {
        self.guest.grant_table_size()
    }
    fn map_foreign(&self, _: DomId, _: Gref) -> Result<Foreign, MapError> {
        Err(MapError::Xen(Errno::ENOSYS))
    }

    fn unmap_foreign(&self, _: Foreign) -> Result<(), GrantStatus> {
        Err(GrantStatus::BadHandle)
    }
    unsafe fn add_to_physmap(&self, _space: MapSpace, _count: u32, _gfn: Gfn) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}
