//! How a machine is put together: the domain builder's and the toolstack's work before a guest starts.

use crate::console::Console;
use crate::domain::Domain;
use crate::guest::Guest;
use crate::machine::Sim;
use crate::memory::{CONSOLE, XENSTORE};
use crate::peer::Peer;
use crate::toolstack;
use crate::world::World;
use std::rc::{Rc, Weak};
use xen::abi::io_console::offset as console;
use xen::abi::io_xs_wire::offset as xenstore;
use xen::hypervisor::HvmParam;
use xen::{DomId, EvtchnPort};

/// A guest to be built.
#[derive(Clone, Debug)]
pub struct GuestConfig {
    /// Its number.
    pub id: DomId,
    /// Its name.
    pub name: String,
    /// Pages of RAM that it can take.
    pub memory_pages: usize,
    /// `max_grant_frames`.
    pub max_grant_frames: u32,
    /// Start values of the xenstore and console ring indexes: a guest must not assume 0.
    pub ring_start: u32,
}

impl Default for GuestConfig {
    fn default() -> Self {
        Self {
            id: DomId(1),
            name: "guest".to_owned(),
            memory_pages: 4096,
            max_grant_frames: 64,
            ring_start: 0,
        }
    }
}

/// Builds a machine with one guest; more can be added to it.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    guest: GuestConfig,
}

impl Builder {
    /// Pages of RAM that the guest can take.
    #[must_use]
    pub const fn memory_pages(mut self, pages: usize) -> Self {
        self.guest.memory_pages = pages;
        self
    }

    /// How far its grant table can grow.
    #[must_use]
    pub const fn max_grant_frames(mut self, frames: u32) -> Self {
        self.guest.max_grant_frames = frames;
        self
    }

    /// Its number.
    #[must_use]
    pub const fn domid(mut self, id: DomId) -> Self {
        self.guest.id = id;
        self
    }

    /// The initial indexes of the xenstore and console rings.
    #[must_use]
    pub const fn ring_start(mut self, index: u32) -> Self {
        self.guest.ring_start = index;
        self
    }

    /// The machine: dom0 with xenstored, and the guest, built and not started.
    #[must_use]
    pub fn build(self) -> Sim {
        let world = World::new();
        world.store.create("/local/domain/0/domid", "0", &[('r', 0)]);
        let (guest, console) = build_guest(&world, &self.guest);
        Sim::new(world, guest, console)
    }
}

/// Builds a guest: memory, reserved grants, rings, parameters and nodes.
pub(crate) fn build_guest(world: &Rc<World>, config: &GuestConfig) -> (Guest, Console) {
    let domain = world.add_domain(Domain::guest(config.id, config.memory_pages, config.max_grant_frames));
    let guest = Guest::new(Rc::clone(world), Rc::clone(&domain));
    let console_port = furnish(world, &domain, config.ring_start, &config.name);
    let dom0 = Peer::new(Weak::clone(&world.me), DomId(0));
    let console = Console::new(dom0, config.id, console_port);
    world.add_service(console.service());
    (guest, console)
}

/// The toolstack's work before a domain runs, new or restored: reserved grants, rings, parameters, nodes, and the
/// introduction to xenstored. Returns the console's port.
pub(crate) fn furnish(world: &World, domain: &Rc<Domain>, ring_start: u32, name: &str) -> EvtchnPort {
    domain.seed_reserved_grants(CONSOLE, XENSTORE);
    start_rings_at(domain, ring_start);
    let unbound = || crate::evtchn::Channel::Unbound { remote: DomId(0) };
    let store_port = domain.new_channel(unbound()).expect("a free port");
    let console_port = domain.new_channel(unbound()).expect("a free port");
    domain.set_param(HvmParam::StorePfn, XENSTORE.0);
    domain.set_param(HvmParam::StoreEvtchn, u64::from(store_port.0));
    domain.set_param(HvmParam::ConsolePfn, CONSOLE.0);
    domain.set_param(HvmParam::ConsoleEvtchn, u64::from(console_port.0));
    toolstack::create_domain(&world.store, domain.id(), name);
    let dom0 = Peer::new(Weak::clone(&world.me), DomId(0));
    world.store.introduce(dom0, Rc::clone(domain), store_port);
    console_port
}

/// A loader such as GRUB used the rings before: the indexes are equal, and not 0.
fn start_rings_at(domain: &Domain, index: u32) {
    let order = std::sync::atomic::Ordering::SeqCst;
    let page = domain.memory.view(XENSTORE).expect("a special frame");
    for at in [xenstore::REQ_CONS, xenstore::REQ_PROD, xenstore::RSP_CONS, xenstore::RSP_PROD] {
        page.store(at, index, order);
    }
    let page = domain.memory.view(CONSOLE).expect("a special frame");
    for at in [console::IN_CONS, console::IN_PROD, console::OUT_CONS, console::OUT_PROD] {
        page.store(at, index, order);
    }
}
