//! The machine in a test's hands.

use crate::builder::{Builder, GuestConfig, build_guest};
use crate::console::Console;
use crate::domain::Domain;
use crate::guest::Guest;
use crate::netback::{Netback, VifConfig};
use crate::peer::Peer;
use crate::store::Store;
use crate::world::World;
use std::rc::{Rc, Weak};
use xen::ids::PAGE_SIZE;
use xen::{DomId, Gref};

/// A simulated machine with one guest, or more.
#[derive(Debug)]
pub struct Sim {
    world: Rc<World>,
    guest: Guest,
    console: Console,
}

/// Bytes that a domain can read although no guest sent them to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Whose page it is.
    pub granter: DomId,
    /// The grant through which it can be read.
    pub gref: Gref,
    /// Where in the page.
    pub offset: usize,
    /// The canary that was found.
    pub canary: Vec<u8>,
}

impl Sim {
    /// What a machine is built with.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) const fn new(world: Rc<World>, guest: Guest, console: Console) -> Self {
        Self { world, guest, console }
    }

    pub(crate) const fn world(&self) -> &Rc<World> {
        &self.world
    }

    /// The first guest.
    #[must_use]
    pub fn guest(&self) -> Guest {
        self.guest.clone()
    }

    /// Its console.
    #[must_use]
    pub fn console(&self) -> Console {
        self.console.clone()
    }

    /// Builds another guest on the same machine.
    #[must_use]
    pub fn add_guest(&self, config: &GuestConfig) -> (Guest, Console) {
        build_guest(&self.world, config)
    }

    /// xenstore, as dom0 sees it.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::new(Rc::clone(&self.world.store), Weak::clone(&self.world.me))
    }

    /// Attaches a vif to the first guest.
    #[must_use]
    pub fn add_vif(&self, config: VifConfig) -> Netback {
        self.add_vif_to(self.guest.id(), config)
    }

    /// Attaches a vif to a guest.
    #[must_use]
    pub fn add_vif_to(&self, guest: DomId, config: VifConfig) -> Netback {
        Netback::attach(&self.world, guest, config)
    }

    /// A backend domain, for a test that plays an application in it; made if it is missing.
    #[must_use]
    pub fn peer(&self, id: DomId) -> Peer {
        if self.world.domain(id).is_none() {
            self.world.add_domain(Domain::service(id));
        }
        Peer::new(Weak::clone(&self.world.me), id)
    }

    /// Runs the other domains until none of them has work. Virtual time does not advance.
    pub fn run(&self) {
        self.world.run();
    }

    /// `SCHEDOP_block` of several guests at once, for a test that runs them in turn: until one of them has an event.
    pub fn block(&self, guests: &[Guest]) {
        let domains: Vec<&Domain> = guests.iter().map(Guest::domain).collect();
        self.world.block(&domains);
    }

    /// `SCHEDOP_block` of a guest, until it has an event, or until `end` in virtual time.
    pub fn sleep(&self, guest: &Guest, end: u64) {
        self.world.block_until(&[guest.domain()], end);
    }

    /// Advances virtual time by `ns`; everything due until then happens in its order.
    pub fn advance(&self, ns: u64) {
        self.world.advance_to(self.world.now() + ns);
    }

    /// Virtual time, in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.world.now()
    }

    /// Does something after `ns` of virtual time.
    pub fn after(&self, ns: u64, action: impl FnOnce() + 'static) {
        self.world.agenda.enter(self.world.now() + ns, move |_| action());
    }

    /// Connects two vifs: what one guest sends, the other receives.
    pub fn connect(&self, a: &Netback, b: &Netback) {
        self.world.add_service(crate::netback::wire(a, b));
    }

    /// Registers bytes that no other domain may ever be able to read.
    pub fn canary(&self, bytes: &[u8]) {
        assert!(bytes.len() >= 8, "a canary that cannot occur by chance");
        self.world.canaries.borrow_mut().push(bytes.to_vec());
    }

    /// Looks for canaries in every page that `reader` has been granted by any guest.
    #[must_use]
    pub fn leaks_to(&self, reader: DomId) -> Vec<Leak> {
        let mut leaks = Vec::new();
        let canaries = self.world.canaries.borrow();
        for domain in self.world.domains() {
            for entry in domain.granted().into_iter().filter(|entry| entry.to == reader) {
                let Some(page) = domain.memory.view(entry.gfn) else { continue };
                let mut bytes = [0; PAGE_SIZE];
                page.read_bytes(0, &mut bytes);
                for canary in canaries.iter() {
                    let found = bytes.windows(canary.len()).position(|window| window == canary.as_slice());
                    leaks.extend(found.map(|offset| Leak {
                        granter: domain.id(),
                        gref: entry.gref,
                        offset,
                        canary: canary.clone(),
                    }));
                }
            }
        }
        leaks
    }

    /// The state of the whole machine as text, for a test that fails.
    #[must_use]
    pub fn dump(&self) -> String {
        self.world.dump()
    }
}
