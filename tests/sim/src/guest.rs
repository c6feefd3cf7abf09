//! The guest's side of the seam: hypercalls, memory and clock, against the simulated machine.

use crate::calls::Call;
use crate::counters::Counters;
use crate::domain::Domain;
use crate::evtchn::Channel;
use crate::grants::GrantedFrame;
use crate::memory::{CONSOLE, Flipper, XENSTORE};
use crate::world::World;
use std::rc::Rc;
use xen::abi::grant_table::GrantStatus;
use xen::foreign::{Foreign, MapError};
use xen::hypervisor::{Clock, GrantTableSize, HvmParam, Hypervisor, MapSpace, Memory, ShutdownReason, Virq};
use xen::ids::PAGE_SIZE;
use xen::{DomId, Errno, EvtchnPort, Gfn, Gref, Page, Private, Shared, SystemTime, VcpuId};

/// Pages of others that a guest can have mapped.
const MAX_FOREIGN: usize = 1100;

/// A guest of the machine, as its own code sees it. Clones are the same guest.
#[derive(Clone, Debug)]
pub struct Guest {
    world: Rc<World>,
    domain: Rc<Domain>,
}

impl Guest {
    pub(crate) const fn new(world: Rc<World>, domain: Rc<Domain>) -> Self {
        Self { world, domain }
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    pub(crate) fn shared_domain(&self) -> Rc<Domain> {
        Rc::clone(&self.domain)
    }

    /// Its number; another one after a restore.
    #[must_use]
    pub fn id(&self) -> DomId {
        self.domain.id()
    }

    /// Its hypercalls since it was built.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.domain.counters()
    }

    /// Every page that another domain may access at this moment, besides the console and xenstore rings.
    #[must_use]
    pub fn granted(&self) -> Vec<GrantedFrame> {
        let reserved = xen::abi::grant_table::GNTTAB_NR_RESERVED_ENTRIES;
        self.domain.granted().into_iter().filter(|entry| entry.gref.0 >= reserved).collect()
    }

    /// Grants that another domain has mapped at this moment, besides the console and xenstore rings.
    #[must_use]
    pub fn grants_in_use(&self) -> Vec<Gref> {
        let reserved = xen::abi::grant_table::GNTTAB_NR_RESERVED_ENTRIES;
        self.domain
            .active_grants
            .borrow()
            .keys()
            .filter(|gref| **gref >= reserved)
            .map(|gref| Gref(*gref))
            .collect()
    }

    /// Pages of other domains that it has mapped at this moment.
    #[must_use]
    pub fn foreign_pages(&self) -> usize {
        self.domain.foreign.borrow().len()
    }

    /// Ports that are not free.
    #[must_use]
    pub fn open_ports(&self) -> usize {
        let idle = [Channel::Free, Channel::Reserved];
        self.domain.channels.borrow().iter().filter(|channel| !idle.contains(channel)).count()
    }

    /// A copy of its shared info page, as it is now.
    #[must_use]
    pub fn shared_info(&self) -> Vec<u8> {
        self.page_bytes(self.domain.shared_info.get()).expect("a shared info page")
    }

    /// A copy of one of its pages, as it is now; `None` if there is no memory at `gfn`.
    #[must_use]
    pub fn page_bytes(&self, gfn: Gfn) -> Option<Vec<u8>> {
        let mut bytes = vec![0; PAGE_SIZE];
        self.domain.memory.view(gfn)?.read_bytes(0, &mut bytes);
        Some(bytes)
    }

    /// Overwrites bytes of one of its pages from outside, as a peer that has it mapped could.
    pub fn scribble(&self, gfn: Gfn, offset: usize, bytes: &[u8]) {
        self.domain.memory.view(gfn).expect("memory of this guest").write_bytes(offset, bytes);
    }

    /// A thread that flips a 16-bit field of a page between two values until the result is dropped: double fetches.
    /// Not for Miri: reads of another size than the writes are a race in Rust's model, as they are on a real ring.
    #[must_use]
    pub fn flip(&self, gfn: Gfn, offset: usize, values: [u16; 2]) -> Flipper {
        self.domain.memory.flip(gfn, offset, values)
    }

    /// Asks `refuse` about each hypercall that can fail, after it was counted: it gives the error with which Xen
    /// refuses, or lets the call pass.
    pub fn refuse(&self, refuse: impl FnMut(Call) -> Option<Errno> + 'static) {
        self.domain.gate.set(Some(Box::new(refuse)));
    }

    /// Lets every hypercall pass again.
    pub fn refuse_nothing(&self) {
        self.domain.gate.set(None);
    }

    /// The ring that the console's driver is made with.
    #[must_use]
    pub fn console_ring(&self) -> Shared<'static> {
        self.domain.memory.view_for_ever(CONSOLE, 1)
    }

    /// The ring that the xenstore client is made with.
    #[must_use]
    pub fn xenstore_ring(&self) -> Shared<'static> {
        self.domain.memory.view_for_ever(XENSTORE, 1)
    }

    /// Why it stopped, if it did.
    #[must_use]
    pub fn shutdown_reason(&self) -> Option<ShutdownReason> {
        self.domain.shutdown.get()
    }
}

impl Guest {
    /// Puts one frame of `space` at `gfn`.
    fn place(&self, space: MapSpace, index: u64, gfn: Gfn) -> Result<(), Errno> {
        if !self.domain.memory.is_in_use(gfn) {
            return Err(Errno::EINVAL);
        }
        match space {
            MapSpace::SharedInfo if index == 0 => {
                self.domain.memory.move_frame(self.domain.shared_info.get(), gfn).ok_or(Errno::EINVAL)?;
                self.domain.shared_info.set(gfn);
                Ok(())
            }
            MapSpace::GrantTable => self.domain.place_grant_frame(index, gfn),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Hypervisor for Guest {
    fn evtchn_send(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.domain.enter(Call::EvtchnSend)?;
        self.world.evtchn_send(&self.domain, port)
    }

    fn evtchn_alloc_unbound(&self, remote: DomId) -> Result<EvtchnPort, Errno> {
        self.domain.enter(Call::EvtchnAllocUnbound)?;
        self.domain.new_channel(Channel::Unbound { remote })
    }

    fn evtchn_bind_interdomain(&self, remote: DomId, port: EvtchnPort) -> Result<EvtchnPort, Errno> {
        self.domain.enter(Call::EvtchnBindInterdomain)?;
        self.world.evtchn_bind(&self.domain, remote, port)
    }

    fn evtchn_bind_virq(&self, virq: Virq, vcpu: VcpuId) -> Result<EvtchnPort, Errno> {
        self.domain.enter(Call::EvtchnBindVirq)?;
        if vcpu != VcpuId(0) {
            return Err(Errno::ENOENT);
        }
        self.domain.bind_virq(virq)
    }

    fn evtchn_close(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.domain.enter(Call::EvtchnClose)?;
        self.world.evtchn_close(&self.domain, port)
    }

    fn sched_block(&self) {
        self.domain.count(|counters| counters.blocks += 1);
        self.world.block(&[&self.domain]);
    }

    fn sched_yield(&self) {
        self.domain.count(|counters| counters.yields += 1);
        self.world.run();
    }

    fn sched_shutdown(&self, reason: ShutdownReason) -> Result<bool, Errno> {
        self.domain.shutdown.set(Some(reason));
        match reason {
            // The simulator keeps the domain: to the guest that is a suspend that was cancelled.
            ShutdownReason::Suspend => Ok(true),
            other => panic!("domain {} shut down: {other:?}", self.id()),
        }
    }

    fn set_singleshot_timer(&self, deadline: SystemTime) -> Result<(), Errno> {
        self.domain.enter(Call::SetSingleshotTimer)?;
        self.domain.timer.set(Some(deadline.0));
        if deadline.0 <= self.world.now() {
            self.world.fire_due();
        }
        Ok(())
    }

    fn hvm_get_param(&self, param: HvmParam) -> Result<u64, Errno> {
        self.domain.enter(Call::HvmGetParam)?;
        self.domain.param(param).ok_or(Errno::EINVAL)
    }

    fn hvm_set_param(&self, param: HvmParam, value: u64) -> Result<(), Errno> {
        self.domain.enter(Call::HvmSetParam)?;
        if param != HvmParam::CallbackIrq {
            return Err(Errno::EPERM);
        }
        self.domain.set_param(param, value);
        Ok(())
    }

    fn grant_table_size(&self) -> Result<GrantTableSize, Errno> {
        self.domain.enter(Call::GrantTableSize)?;
        let nr_frames = self.domain.grant_frames.borrow().len() as u32;
        Ok(GrantTableSize { nr_frames, max_nr_frames: self.domain.max_grant_frames })
    }

    /// The page is where its owner has it: the host cannot put it at an address of its own choosing.
    fn map_foreign(&self, domid: DomId, gref: Gref) -> Result<Foreign, MapError> {
        self.domain.enter(Call::GrantMap).map_err(MapError::Xen)?;
        if self.domain.foreign.borrow().len() >= MAX_FOREIGN {
            return Err(MapError::NoRoom);
        }
        let owner = self.world.domain(domid).ok_or(MapError::Refused(GrantStatus::BadDomain))?;
        let gfn = owner.use_grant(gref, self.domain.id(), true).map_err(MapError::Refused)?;
        let mut foreign = self.domain.foreign.borrow_mut();
        let handle = foreign.last_key_value().map_or(0, |(last, _)| last + 1);
        let page = owner.memory.foreign(gfn, handle);
        foreign.insert(handle, (owner, gref));
        Ok(page)
    }

    fn unmap_foreign(&self, page: Foreign) -> Result<(), GrantStatus> {
        let (_, _, handle) = page.into_raw();
        self.domain.enter(Call::GrantUnmap).map_err(|_| GrantStatus::GeneralError)?;
        let (owner, gref) =
            self.domain.foreign.borrow_mut().remove(&handle.0).ok_or(GrantStatus::BadHandle)?;
        owner.end_grant_use(gref, true);
        Ok(())
    }

    /// Xen adopts the page that the guest has at `gfn`: from then on it reads and writes there.
    #[allow(unsafe_code, reason = "the trait's method is unsafe to call; this one only checks and copies")]
    unsafe fn add_to_physmap(&self, space: MapSpace, count: u32, gfn: Gfn) -> Result<(), Errno> {
        self.domain.enter(Call::AddToPhysmap)?;
        (0..u64::from(count))
            .rev()
            .try_for_each(|index| self.place(space, index, Gfn(gfn.0.wrapping_add(index))))
    }
}

impl Memory for Guest {
    fn alloc_page(&self) -> Option<Page<Private>> {
        self.alloc_contiguous(1)?.pop()
    }

    fn alloc_contiguous(&self, count: usize) -> Option<Vec<Page<Private>>> {
        let pages = self.domain.memory.take(count)?;
        self.domain.count(|counters| counters.pages_taken += pages.len() as u64);
        Some(pages)
    }

    fn free_page(&self, page: Page<Private>) {
        self.domain.count(|counters| counters.pages_freed += 1);
        if let Some(who) = self.domain.who_reaches(page.gfn()) {
            panic!("frame {} is freed while {who}: a leak to that domain", page.gfn());
        }
        self.domain.memory.give_back(page);
    }

    fn free_pages(&self) -> usize {
        self.domain.memory.nr_free()
    }
}

impl Clock for Guest {
    fn now(&self) -> SystemTime {
        SystemTime(self.world.now())
    }
}
