//! One domain's connection: its ring page, its watches and its transactions.
//!
//! ```text
//!   req ring ─► bytes ─► whole messages ─► answers and events ─► backlog ─► rsp ring, as much as fits or is allowed
//! ```

use super::ops::Fired;
use super::tree::Tree;
use crate::domain::Domain;
use crate::peer::{MappedPage, Peer};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use xen::abi::grant_table::GNTTAB_RESERVED_XENSTORE;
use xen::abi::io_xs_wire::{XENSTORE_PAYLOAD_MAX, XENSTORE_RING_SIZE, XsdSockmsg, XsdSockmsgType, offset};
use xen::{EvtchnPort, Gref};
use zerocopy::{FromBytes, IntoBytes};

/// How answers and events reach the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// As much as fits the ring.
    #[default]
    Whole,
    /// This many bytes each time that the guest has emptied the ring.
    Pieces(usize),
    /// Nanoseconds of virtual time after the oldest message that waits.
    Late(u64),
    /// This many bytes more, and then nothing: the last message may be cut.
    Cut(usize),
    /// Nothing at all: a xenstored that does not answer.
    Silent,
}

/// A watch.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    /// The absolute path.
    pub(crate) path: String,
    /// The path as the guest gave it: events name paths in its form.
    pub(crate) given: String,
    pub(crate) token: Vec<u8>,
}

/// A transaction: a copy of the tree, and the nodes that were read and changed in it.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) tree: Tree,
    pub(crate) start: Tree,
    pub(crate) touched: BTreeSet<String>,
    pub(crate) changed: BTreeSet<String>,
    pub(crate) fired: Vec<Fired>,
}

/// A message of the guest.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) header: XsdSockmsg,
    pub(crate) payload: Vec<u8>,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) domain: Rc<Domain>,
    page: MappedPage,
    peer: Peer,
    port: EvtchnPort,
    incoming: Vec<u8>,
    pub(crate) backlog: VecDeque<u8>,
    pub(crate) watches: Vec<Watch>,
    pub(crate) transactions: BTreeMap<u32, Transaction>,
    pub(crate) last_transaction: u32,
    pub(crate) delivery: Delivery,
    pub(crate) mangle: Mangle,
    /// When messages that are late are written.
    due: Option<u64>,
    /// Met a full ring.
    starved: bool,
}

/// Falsifies messages to the guest: header and payload, before they are written.
pub(crate) type MangleFn = Box<dyn FnMut(&mut XsdSockmsg, &mut Vec<u8>)>;

/// A [`MangleFn`], if there is one.
#[derive(Default)]
pub(crate) struct Mangle(pub(crate) Option<MangleFn>);

impl fmt::Debug for Mangle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mangle({})", self.0.is_some())
    }
}

impl Connection {
    /// `XS_INTRODUCE`: maps the ring, binds to the guest's port.
    pub(crate) fn new(peer: Peer, domain: Rc<Domain>, remote_port: EvtchnPort) -> Self {
        let page = peer
            .map(domain.id(), Gref(GNTTAB_RESERVED_XENSTORE), true)
            .expect("the toolstack granted the ring");
        let port = peer.evtchn_bind(domain.id(), remote_port).expect("the toolstack allocated the port");
        Self {
            domain,
            page,
            peer,
            port,
            incoming: Vec::new(),
            backlog: VecDeque::new(),
            watches: Vec::new(),
            transactions: BTreeMap::new(),
            last_transaction: 0,
            delivery: Delivery::default(),
            mangle: Mangle::default(),
            due: None,
            starved: false,
        }
    }

    pub(crate) fn page(&self) -> &MappedPage {
        &self.page
    }

    pub(crate) fn notify(&self) {
        self.peer.evtchn_send(self.port).expect("the port is bound");
    }

    /// Takes the guest's bytes, if it has sent an event.
    pub(crate) fn receive(&mut self) -> bool {
        if !self.peer.take_event(self.port) {
            return false;
        }
        self.starved = false;
        let prod = self.page.load::<u32>(offset::REQ_PROD);
        let cons = self.page.load::<u32>(offset::REQ_CONS);
        let ready = prod.wrapping_sub(cons);
        assert!(
            ready as usize <= XENSTORE_RING_SIZE,
            "xenstore: req_prod {prod} is more than a ring ahead of {cons}"
        );
        let mut bytes = vec![0; ready as usize];
        self.page.read_ring(offset::REQ, XENSTORE_RING_SIZE, cons, &mut bytes);
        self.incoming.append(&mut bytes);
        self.page.store(offset::REQ_CONS, prod);
        if ready > 0 {
            // There is room again: the guest may wait for it.
            self.notify();
        }
        true
    }

    /// The next whole message.
    pub(crate) fn next_request(&mut self) -> Option<Request> {
        let (header, rest) = XsdSockmsg::read_from_prefix(&self.incoming).ok()?;
        let len = header.len as usize;
        assert!(len <= XENSTORE_PAYLOAD_MAX, "xenstore: a message of {len} bytes");
        let payload = rest.get(..len)?.to_vec();
        self.incoming.drain(..size_of::<XsdSockmsg>() + len);
        Some(Request { header, payload })
    }

    /// Queues an answer.
    pub(crate) fn answer(&mut self, to: &XsdSockmsg, kind: XsdSockmsgType, payload: &[u8]) {
        let mut header = XsdSockmsg { kind: kind.raw(), len: payload.len() as u32, ..*to };
        let mut payload = payload.to_vec();
        if let Some(mangle) = &mut self.mangle.0 {
            mangle(&mut header, &mut payload);
        }
        self.backlog.extend(header.as_bytes());
        self.backlog.extend(payload);
    }

    /// Queues a watch event.
    pub(crate) fn event(&mut self, path: &str, token: &[u8]) {
        let header = XsdSockmsg { kind: XsdSockmsgType::WatchEvent.raw(), ..XsdSockmsg::default() };
        let payload = [path.as_bytes(), b"\0", token, b"\0"].concat();
        self.answer(&header, XsdSockmsgType::WatchEvent, &payload);
    }

    /// Whether messages that are late wait for their time.
    fn is_late(&mut self, world: &World) -> bool {
        let Delivery::Late(ns) = self.delivery else { return false };
        if self.backlog.is_empty() {
            return false;
        }
        let due = *self.due.get_or_insert_with(|| {
            world.agenda.enter(world.now() + ns, |_| ());
            world.now() + ns
        });
        if world.now() < due {
            return true;
        }
        self.due = None;
        false
    }

    /// Moves the backlog into the ring; whether anything moved.
    pub(crate) fn deliver(&mut self, world: &World) -> bool {
        let prod = self.page.load::<u32>(offset::RSP_PROD);
        let used = prod.wrapping_sub(self.page.load::<u32>(offset::RSP_CONS)) as usize;
        assert!(used <= XENSTORE_RING_SIZE, "xenstore: rsp_cons is ahead of rsp_prod");
        if self.starved || self.is_late(world) {
            return false;
        }
        let room = match self.delivery {
            Delivery::Whole | Delivery::Late(_) => XENSTORE_RING_SIZE - used,
            Delivery::Cut(left) => left.min(XENSTORE_RING_SIZE - used),
            Delivery::Pieces(bytes) if used == 0 => bytes.min(XENSTORE_RING_SIZE),
            Delivery::Pieces(_) | Delivery::Silent => 0,
        };
        let count = room.min(self.backlog.len());
        // A daemon that has met a full ring looks again only after an event of the guest.
        self.starved = used + count == XENSTORE_RING_SIZE && count < self.backlog.len();
        if count == 0 {
            return false;
        }
        if let Delivery::Cut(left) = &mut self.delivery {
            *left -= count;
        }
        let bytes: Vec<u8> = self.backlog.drain(..count).collect();
        self.page.write_ring(offset::RSP, XENSTORE_RING_SIZE, prod, &bytes);
        self.page.store(offset::RSP_PROD, prod.wrapping_add(count as u32));
        self.notify();
        true
    }
}
