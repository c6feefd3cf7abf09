//! The machine for its parts: domains, virtual time, and scheduling.
//!
//! ```text
//!   the guest blocks ──► services run until none has work ──► an event for the guest? back to it
//!                              ▲                                  │ no
//!                              └── virtual time jumps to the next timer or agenda entry; none at all: the test hangs,
//!                                  and is stopped with a dump
//! ```

use crate::agenda::Agenda;
use crate::domain::Domain;
use crate::store::Xenstored;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::rc::{Rc, Weak};
use xen::DomId;
use xen::abi::xen::offset::vcpu_info;

/// The backend code of a domain. It works on events, and on a test's order.
pub(crate) trait Service: fmt::Debug {
    /// Does the pending work; returns whether there was any.
    fn run(&self, world: &World) -> bool;
    /// One line for the dump of a test that hangs.
    fn describe(&self) -> String;
}

/// The machine.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) me: Weak<Self>,
    now: Cell<u64>,
    domains: RefCell<BTreeMap<DomId, Rc<Domain>>>,
    services: RefCell<Vec<Rc<dyn Service>>>,
    pub(crate) agenda: Agenda,
    pub(crate) store: Rc<Xenstored>,
    /// Byte strings that no other domain may ever read.
    pub(crate) canaries: RefCell<Vec<Vec<u8>>>,
}

/// More rounds than any real work takes: two services that wake each other for ever.
const MAX_ROUNDS: u32 = 1_000_000;

impl World {
    pub(crate) fn new() -> Rc<Self> {
        let store = Rc::new(Xenstored::default());
        let services: Vec<Rc<dyn Service>> = vec![Rc::clone(&store) as Rc<dyn Service>];
        let world = Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            now: Cell::new(1_000_000_000),
            domains: RefCell::default(),
            services: RefCell::new(services),
            agenda: Agenda::default(),
            store,
            canaries: RefCell::default(),
        });
        world.add_domain(Domain::service(DomId(0)));
        world
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn add_domain(&self, domain: Domain) -> Rc<Domain> {
        let domain = Rc::new(domain);
        self.enter_domain(&domain);
        domain
    }

    /// Enters a domain under its number.
    pub(crate) fn enter_domain(&self, domain: &Rc<Domain>) {
        let before = self.domains.borrow_mut().insert(domain.id(), Rc::clone(domain));
        assert!(before.is_none(), "there is a domain {} already", domain.id());
    }

    pub(crate) fn domain(&self, id: DomId) -> Option<Rc<Domain>> {
        self.domains.borrow().get(&id).cloned()
    }

    pub(crate) fn domains(&self) -> Vec<Rc<Domain>> {
        self.domains.borrow().values().cloned().collect()
    }

    pub(crate) fn remove_domain(&self, id: DomId) {
        self.domains.borrow_mut().remove(&id);
    }

    pub(crate) fn add_service(&self, service: Rc<dyn Service>) {
        self.services.borrow_mut().push(service);
    }

    /// Runs the other domains until none of them has work.
    pub(crate) fn run(&self) {
        for _ in 0..MAX_ROUNDS {
            self.fire_due();
            let services = self.services.borrow().clone();
            let mut worked = false;
            for service in services {
                worked |= service.run(self);
            }
            if !worked {
                return;
            }
        }
        panic!("the other domains never come to rest:\n{}", self.dump());
    }

    /// Moves virtual time on, stopping at everything that is due on the way.
    pub(crate) fn advance_to(&self, end: u64) {
        while let Some(next) = self.next_deadline().filter(|next| *next <= end) {
            self.now.set(self.now.get().max(next));
            self.run();
        }
        self.now.set(self.now.get().max(end));
        self.run();
    }

    /// `SCHEDOP_block` of guests: until one of them has an event.
    pub(crate) fn block(&self, guests: &[&Domain]) {
        self.block_until(guests, u64::MAX);
    }

    /// The same, until `end` at most.
    pub(crate) fn block_until(&self, guests: &[&Domain], end: u64) {
        loop {
            if guests.iter().any(|domain| Self::upcall_pending(domain)) {
                return;
            }
            self.run();
            if guests.iter().any(|domain| Self::upcall_pending(domain)) {
                return;
            }
            let next = self.next_deadline();
            if end != u64::MAX && next.is_none_or(|next| next > end) {
                self.now.set(self.now.get().max(end));
                return;
            }
            let Some(next) = next else {
                let ids: Vec<DomId> = guests.iter().map(|domain| domain.id()).collect();
                panic!(
                    "{ids:?} blocks for ever: no event is pending, no timer is set, and no other domain has \
                     anything to do. Was a notification forgotten?\n{}",
                    self.dump()
                );
            };
            self.now.set(self.now.get().max(next));
        }
    }

    fn upcall_pending(domain: &Domain) -> bool {
        let pending = domain
            .shared_info()
            .load::<u8>(vcpu_info::EVTCHN_UPCALL_PENDING, std::sync::atomic::Ordering::SeqCst);
        pending != 0
    }

    fn next_deadline(&self) -> Option<u64> {
        let timers = self.domains.borrow().values().filter_map(|domain| domain.timer.get()).min();
        timers.into_iter().chain(self.agenda.next()).min()
    }

    /// Fires the timers and agenda entries whose time has come.
    pub(crate) fn fire_due(&self) {
        for domain in self.domains.borrow().values() {
            if domain.timer.get().is_some_and(|deadline| deadline <= self.now()) {
                domain.timer.set(None);
                self.raise_timer(domain);
            }
        }
        while let Some(action) = self.agenda.take_due(self.now()) {
            action(self);
        }
    }

    /// The state of everything, for a test that cannot go on.
    pub(crate) fn dump(&self) -> String {
        let mut text = format!("virtual time {} ns, agenda {:?}\n", self.now(), self.agenda);
        for domain in self.domains() {
            let _ = writeln!(
                text,
                "domain {}: timer {:?}, {:?}",
                domain.id(),
                domain.timer.get(),
                domain.counters()
            );
            let _ = writeln!(text, "  channels {:?}", domain.channels.borrow());
        }
        for service in self.services.borrow().iter() {
            let _ = writeln!(text, "{}", service.describe());
        }
        text
    }
}
