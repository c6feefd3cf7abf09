//! The backend's states and rings by hand, for what no correct backend does.

use super::{Inner, Netback, State};
use crate::peer::Peer;
use crate::toolstack;
use std::rc::Rc;
use xen::abi::io_ring::offset;
use xen::{DomId, Gfn};

/// Which ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Guest → backend.
    Tx,
    /// Backend → guest.
    Rx,
}

/// An index in a ring's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// The guest's.
    ReqProd,
    /// The backend's wish.
    ReqEvent,
    /// The backend's.
    RspProd,
    /// The guest's wish.
    RspEvent,
}

impl Index {
    const fn offset(self) -> usize {
        match self {
            Self::ReqProd => offset::REQ_PROD,
            Self::ReqEvent => offset::REQ_EVENT,
            Self::RspProd => offset::RSP_PROD,
            Self::RspEvent => offset::RSP_EVENT,
        }
    }
}

/// A ring of the first queue, to be read and written past all rules.
#[derive(Clone, Debug)]
pub struct RawRing {
    netback: Netback,
    side: Side,
}

impl RawRing {
    fn with<T>(&self, work: impl FnOnce(&mut super::ring::BackRing) -> T) -> T {
        self.netback.inner(|inner| {
            let queue = inner.queues.first_mut().expect("connected");
            work(match self.side {
                Side::Tx => &mut queue.tx,
                Side::Rx => &mut queue.rx,
            })
        })
    }

    /// Reads an index.
    #[must_use]
    pub fn index(&self, index: Index) -> u32 {
        self.with(|ring| ring.page().load(index.offset()))
    }

    /// Writes an index.
    pub fn set_index(&self, index: Index, value: u32) {
        self.with(|ring| ring.page().store(index.offset(), value));
    }

    /// Writes bytes at the start of the slot of an index.
    pub fn set_slot(&self, index: u32, bytes: &[u8]) {
        self.with(|ring| ring.page().write(ring.slot_offset(index), bytes));
    }

    /// Reads the slot of an index.
    #[must_use]
    pub fn slot(&self, index: u32) -> [u8; 8] {
        self.with(|ring| ring.copy_request(index))
    }

    /// The position of an index's slot in the ring's page: for [`crate::Guest::flip`].
    #[must_use]
    pub fn slot_offset(&self, index: u32) -> usize {
        self.with(|ring| ring.slot_offset(index))
    }

    /// The frame of the ring's page.
    #[must_use]
    pub fn gfn(&self) -> Gfn {
        self.with(|ring| ring.page().gfn())
    }

    /// Writes any next response, without showing it.
    pub fn put(&self, bytes: &[u8]) {
        self.with(|ring| ring.put_response(bytes));
    }

    /// Shows the written responses, and sends an event in any case.
    pub fn push(&self) {
        self.with(|ring| ring.push(|index| index));
        self.netback.notify_guest();
    }
}

impl Netback {
    /// A ring of the first queue, by hand.
    #[must_use]
    pub fn ring(&self, side: Side) -> RawRing {
        RawRing { netback: self.clone(), side }
    }

    /// Sends an event on each channel, with or without a reason.
    pub fn notify_guest(&self) {
        self.inner(|inner| {
            for queue in &inner.queues {
                let _ = inner.peer.evtchn_send(queue.tx_port);
                if queue.rx_port != queue.tx_port {
                    let _ = inner.peer.evtchn_send(queue.rx_port);
                }
            }
        });
    }

    /// The hotplug script is done.
    pub fn hotplug(&self) {
        self.world().store.write(&format!("{}/hotplug-status", self.backend_path()), "connected");
    }

    /// Shows any number as the backend's state; nothing else happens.
    pub fn show_state(&self, raw: u32) {
        self.world().store.write(&format!("{}/state", self.backend_path()), &raw.to_string());
    }

    /// Netback is unloaded while its domain runs: Closing, and the rings are unmapped.
    pub fn unload(&self) {
        let world = self.world();
        self.inner(|inner| {
            inner.disconnect();
            inner.state = State::Closed;
            inner.switch(&world.store, State::Closing);
            inner.switch(&world.store, State::Closed);
            inner.present = false;
        });
    }

    /// Offers another value of a feature from the next probe on.
    pub fn offer(&self, key: &str, value: &str) {
        self.inner(|inner| inner.config = inner.config.clone().feature(key, value));
    }

    /// Netback is loaded again: it probes, and looks at the frontend's state again.
    pub fn load(&self) {
        let world = self.world();
        self.inner(|inner| {
            inner.present = true;
            inner.disabled = false;
            inner.frontend_generation = None;
            inner.probe(&world.store);
        });
    }

    /// The backend's domain dies: mappings and channels are gone, and so are its nodes.
    pub fn vanish(&self) {
        let world = self.world();
        let (id, path) = self.inner(|inner| {
            inner.present = false;
            inner.ctrl = None;
            inner.queues.clear();
            inner.kept.clear();
            (inner.peer.id(), inner.backend.clone())
        });
        if let Some(domain) = world.domain(id).filter(|_| id != DomId(0)) {
            world.evtchn_close_all(&domain);
            world.remove_domain(id);
            world.store.remove(&format!("/local/domain/{id}"));
        }
        world.store.remove(&path);
    }

    /// The guest is saved: its domain goes, and with it the vif.
    pub(crate) fn leave(&self) {
        let world = self.world();
        self.inner(|inner| {
            inner.disconnect();
            inner.kept.clear();
            inner.present = false;
            world.store.remove(&inner.backend);
        });
    }

    /// The vif of the domain in which the guest is restored, with a backend in that domain.
    pub(crate) fn follow(&self, guest: DomId, backend: DomId) {
        self.inner(|inner| {
            inner.guest = guest;
            inner.frontend = toolstack::frontend_path(guest, inner.config.handle);
        });
        self.return_as(backend);
    }

    /// A new driver domain takes the vif over: another domid, another backend directory, a fresh frontend directory.
    pub fn return_as(&self, id: DomId) {
        let world = self.world();
        if world.domain(id).is_none() {
            world.add_domain(crate::domain::Domain::service(id));
        }
        self.inner(|inner| {
            inner.config.backend = id;
            inner.config.frontend_state = 1;
            inner.peer = Peer::new(Rc::downgrade(&world), id);
            inner.backend = toolstack::backend_path(id, inner.guest, inner.config.handle);
            inner.start_again(&world.store);
        });
        self.hotplug();
    }
}

impl Inner {
    fn start_again(&mut self, store: &crate::store::Xenstored) {
        store.remove(&self.frontend);
        toolstack::create_vif(store, self.guest, self.config.backend, &self.config);
        self.present = true;
        self.disabled = false;
        self.waits_for_hotplug = false;
        self.queues.clear();
        self.statics.clear();
        self.probe(store);
        self.frontend_generation = store.generation(&format!("{}/state", self.frontend));
    }
}
