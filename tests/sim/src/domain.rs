//! One domain: its memory, and Xen's state of it.

use crate::calls::{Call, Gate};
use crate::counters::Counters;
use crate::evtchn::Channel;
use crate::grants::Active;
use crate::memory::{GuestMemory, HIDDEN};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use xen::hypervisor::{HvmParam, ShutdownReason};
use xen::ids::PAGE_SIZE;
use xen::{DomId, Errno, EvtchnPort, Gfn, Gref, Shared};

/// A domain of the machine: a guest with memory, or a backend domain (dom0, a driver domain), whose code is this
/// crate's and which needs no shared pages of its own.
#[derive(Debug)]
pub(crate) struct Domain {
    /// Another one after a restore.
    number: Cell<DomId>,
    /// Whether code under test runs in it.
    pub(crate) is_guest: bool,
    pub(crate) memory: GuestMemory,
    /// Where its shared info page is now.
    pub(crate) shared_info: Cell<Gfn>,
    /// Where the frames of its grant table are now.
    pub(crate) grant_frames: RefCell<Vec<Gfn>>,
    pub(crate) max_grant_frames: u32,
    /// Grants that other domains use at this moment, as Xen's active entries.
    pub(crate) active_grants: RefCell<BTreeMap<u32, Active>>,
    /// Pages of others that it has mapped, by handle: whose they are, and by which grant.
    pub(crate) foreign: RefCell<BTreeMap<u32, (Rc<Self>, Gref)>>,
    pub(crate) channels: RefCell<Vec<Channel>>,
    /// Events that came, for a domain without a shared info page.
    pub(crate) events: RefCell<BTreeSet<EvtchnPort>>,
    pub(crate) params: RefCell<BTreeMap<u32, u64>>,
    /// When the one-shot timer fires, in virtual nanoseconds.
    pub(crate) timer: Cell<Option<u64>>,
    pub(crate) shutdown: Cell<Option<ShutdownReason>>,
    pub(crate) gate: Gate,
    counters: Cell<Counters>,
}

impl Domain {
    /// A guest with `nr_pages` of RAM and a grant table that can grow to `max_grant_frames`.
    pub(crate) fn guest(id: DomId, nr_pages: usize, max_grant_frames: u32) -> Self {
        // Hidden frames: the shared info page, followed by one for each frame of the grant table.
        let memory = GuestMemory::new(nr_pages, 1 + max_grant_frames as usize);
        Self::new(id, true, memory, max_grant_frames)
    }

    /// A backend domain.
    pub(crate) fn service(id: DomId) -> Self {
        Self::new(id, false, GuestMemory::new(0, 2), 1)
    }

    fn new(id: DomId, is_guest: bool, memory: GuestMemory, max_grant_frames: u32) -> Self {
        Self {
            number: Cell::new(id),
            is_guest,
            memory,
            shared_info: Cell::new(Gfn(HIDDEN)),
            grant_frames: RefCell::new(vec![Gfn(HIDDEN + 1)]),
            max_grant_frames,
            active_grants: RefCell::default(),
            foreign: RefCell::default(),
            channels: RefCell::new(vec![Channel::Reserved]),
            events: RefCell::default(),
            params: RefCell::default(),
            timer: Cell::new(None),
            shutdown: Cell::new(None),
            gate: Gate::default(),
            counters: Cell::default(),
        }
    }

    pub(crate) const fn id(&self) -> DomId {
        self.number.get()
    }

    /// Moves the guest into a new domain: its memory remains, and Xen's state of it is new.
    pub(crate) fn begin_anew(&self, id: DomId) {
        let others: Vec<u32> = self.active_grants.borrow().keys().copied().filter(|gref| *gref > 0).collect();
        assert!(others.is_empty(), "grants of domain {} are in use: {others:?}", self.id());
        self.number.set(id);
        for hidden in 0..=u64::from(self.max_grant_frames) {
            self.memory.view(Gfn(HIDDEN + hidden)).expect("a hidden frame").zero(0, PAGE_SIZE);
        }
        self.shared_info.set(Gfn(HIDDEN));
        *self.grant_frames.borrow_mut() = vec![Gfn(HIDDEN + 1)];
        *self.channels.borrow_mut() = vec![Channel::Reserved];
        self.timer.set(None);
        self.shutdown.set(None);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.get()
    }

    pub(crate) fn count(&self, what: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        what(&mut counters);
        self.counters.set(counters);
    }

    /// Counts a hypercall, and asks the test whether Xen refuses it.
    pub(crate) fn enter(&self, call: Call) -> Result<(), Errno> {
        self.count(|counters| call.count(counters));
        self.gate.ask(call)
    }

    /// The shared info page.
    pub(crate) fn shared_info(&self) -> Shared<'_> {
        self.memory.view(self.shared_info.get()).expect("a shared info page")
    }

    pub(crate) fn set_param(&self, param: HvmParam, value: u64) {
        self.params.borrow_mut().insert(param as u32, value);
    }

    pub(crate) fn param(&self, param: HvmParam) -> Option<u64> {
        self.params.borrow().get(&(param as u32)).copied()
    }
}
