//! A simulated xenstored: the tree, the protocol over each guest's ring, and the test's hand in it.
//!
//! ```text
//!   test ── Store: read, write, rm, tree, faults (as dom0) ──┐
//!   backends of this crate ── as dom0 or a driver domain ────┤ Inner: tree, generation, watches
//!   guest ── ring page ── Connection ── daemon ──────────────┘
//! ```
//!
//! After `tools/xenstore` of Xen 4.17: transactions conflict by node generation, watches fire once at registration, a
//! domain sees only nodes that it may read. Not implemented: `DIRECTORY_PART`, which is answered with `ENOSYS`.

mod connection;
mod daemon;
mod ops;
mod tree;

pub use connection::Delivery;
pub use ops::Quota;

use crate::domain::Domain;
use crate::peer::Peer;
use crate::world::{Service, World};
use connection::Connection;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::{Rc, Weak};
use tree::{Perms, Tree};
use xen::abi::io_xs_wire::{XsdSockmsg, offset};
use xen::{DomId, EvtchnPort};

/// A message that a guest sent, for tests that count or compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The sender.
    pub domain: DomId,
    /// Its type, as in `xs_wire.h`: `XS_READ`, …
    pub operation: &'static str,
    /// Its first string: mostly a path.
    pub path: String,
    /// The transaction, or 0.
    pub transaction: u32,
}

/// Refuses an operation or lets it pass: domain, operation, path → the name of an error.
type Refuse = Box<dyn FnMut(DomId, &str, &str) -> Option<&'static str>>;

#[derive(Default)]
pub(crate) struct Inner {
    tree: Tree,
    generation: u64,
    quota: Quota,
    introduced: BTreeSet<DomId>,
    /// `None` while its message is being handled.
    connections: Vec<Option<Connection>>,
    /// How many ends of transactions are still to be answered with EAGAIN.
    conflicts: u32,
    refuse: Option<Refuse>,
    log: Vec<LogEntry>,
}

impl Inner {
    fn refusal(&mut self, who: DomId, operation: &str, path: &str) -> Option<&'static str> {
        self.refuse.as_mut()?(who, operation, path)
    }

    fn connection(&mut self, id: DomId) -> &mut Connection {
        let found = self.connections.iter_mut().flatten().find(|conn| conn.domain.id() == id);
        found.expect("a guest with a xenstore ring")
    }
}

/// The daemon, as one of the machine's services.
#[derive(Default)]
pub(crate) struct Xenstored(RefCell<Inner>);

impl fmt::Debug for Xenstored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Xenstored")
    }
}

impl Xenstored {
    /// Connects a guest's ring.
    pub(crate) fn introduce(&self, peer: Peer, domain: Rc<Domain>, port: EvtchnPort) {
        let id = domain.id();
        let conn = Connection::new(peer, domain, port);
        let mut inner = self.0.borrow_mut();
        inner.connections.push(Some(conn));
        inner.introduced.insert(id);
    }

    /// Forgets a guest that has gone, and its ring.
    pub(crate) fn release(&self, id: DomId) {
        let mut inner = self.0.borrow_mut();
        let gone: Vec<_> = inner
            .connections
            .iter_mut()
            .filter_map(|conn| conn.take_if(|conn| conn.domain.id() == id))
            .collect();
        inner.introduced.remove(&id);
        drop(inner);
        drop(gone);
    }

    /// Works on the tree as a backend domain.
    fn directly<T>(&self, who: DomId, work: impl FnOnce(&mut ops::View<'_>) -> T) -> T {
        let mut inner = self.0.borrow_mut();
        let (result, fired) = inner.directly(who, work);
        inner.fire(fired, None);
        result
    }

    pub(crate) fn write(&self, path: &str, value: &str) {
        self.directly(DomId(0), |view| view.write(path, value.as_bytes()))
            .expect("dom0 may write everything");
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        let inner = self.0.borrow();
        Some(String::from_utf8_lossy(&inner.tree.get(path)?.value).into_owned())
    }

    /// Other than before if anything may have changed.
    pub(crate) fn version(&self) -> u64 {
        self.0.borrow().generation
    }

    /// When a node was last changed; for services that wait for a change.
    pub(crate) fn generation(&self, path: &str) -> Option<u64> {
        self.0.borrow().tree.generation(path)
    }

    pub(crate) fn remove(&self, path: &str) {
        let _ = self.directly(DomId(0), |view| view.rm(path));
    }

    pub(crate) fn set_perms(&self, path: &str, perms: &[(char, u16)]) {
        let perms = Perms(perms.to_vec());
        self.directly(DomId(0), |view| view.set_perms(path, perms)).expect("the node is there");
    }

    /// Makes a node with permissions, as the toolstack does.
    pub(crate) fn create(&self, path: &str, value: &str, perms: &[(char, u16)]) {
        self.write(path, value);
        self.set_perms(path, perms);
    }
}

impl Service for Xenstored {
    fn run(&self, world: &World) -> bool {
        let mut inner = self.0.borrow_mut();
        let mut worked = false;
        for index in 0..inner.connections.len() {
            let Some(mut conn) = inner.connections[index].take() else { continue };
            if conn.delivery != Delivery::Silent {
                worked |= conn.receive();
                while let Some(request) = conn.next_request() {
                    inner.handle(&mut conn, &request);
                }
            }
            inner.connections[index] = Some(conn);
        }
        for conn in inner.connections.iter_mut().flatten() {
            worked |= conn.deliver(world);
        }
        worked
    }

    fn describe(&self) -> String {
        let inner = self.0.borrow();
        let last: Vec<_> =
            inner.log.iter().rev().take(5).map(|e| format!("{} {}", e.operation, e.path)).collect();
        format!("xenstored: last messages {last:?}")
    }
}

/// The test's hand in xenstore: everything as dom0, which may do everything.
#[derive(Clone, Debug)]
pub struct Store {
    daemon: Rc<Xenstored>,
    world: Weak<World>,
}

impl Store {
    pub(crate) const fn new(daemon: Rc<Xenstored>, world: Weak<World>) -> Self {
        Self { daemon, world }
    }

    fn inner<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.daemon.0.borrow_mut())
    }

    /// Writes a node; makes it and its parents where they are missing. Watches fire.
    pub fn write(&self, path: &str, value: &str) {
        self.daemon.write(path, value);
    }

    /// Writes a value that is not text.
    pub fn write_bytes(&self, path: &str, value: &[u8]) {
        self.daemon.directly(DomId(0), |view| view.write(path, value)).expect("dom0 may write everything");
    }

    /// Reads a node.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<String> {
        self.daemon.read(path)
    }

    /// When a node was last written, as a number that grows: also if the same was written.
    #[must_use]
    pub fn generation(&self, path: &str) -> Option<u64> {
        self.daemon.generation(path)
    }

    /// Removes a node and all below it. Watches fire.
    pub fn remove(&self, path: &str) {
        self.daemon.remove(path);
    }

    /// Sets permissions: `[('n', owner), ('r', reader), …]`.
    pub fn set_perms(&self, path: &str, perms: &[(char, u16)]) {
        self.daemon.set_perms(path, perms);
    }

    /// Names of a node's children.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<String> {
        self.inner(|inner| inner.tree.children(path))
    }

    /// The whole tree as text.
    #[must_use]
    pub fn tree(&self) -> String {
        self.inner(|inner| inner.tree.dump())
    }

    /// Every message that guests sent so far.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.inner(|inner| inner.log.clone())
    }

    /// How many watches a guest has.
    #[must_use]
    pub fn watches(&self, guest: DomId) -> usize {
        self.inner(|inner| inner.connection(guest).watches.len())
    }

    /// How many transactions a guest has open.
    #[must_use]
    pub fn open_transactions(&self, guest: DomId) -> usize {
        self.inner(|inner| inner.connection(guest).transactions.len())
    }

    /// Limits for guests from now on.
    pub fn set_quota(&self, quota: Quota) {
        self.inner(|inner| inner.quota = quota);
    }

    /// How answers reach a guest from now on.
    pub fn set_delivery(&self, guest: DomId, delivery: Delivery) {
        self.inner(|inner| inner.connection(guest).delivery = delivery);
    }

    /// Answers the next `count` ends of transactions with `EAGAIN`.
    pub fn fail_commits(&self, count: u32) {
        self.inner(|inner| inner.conflicts = count);
    }

    /// Asks `refuse` about each message of a guest: domain, operation (`XS_WRITE`), path. It gives the name of an
    /// error, known or not, or lets the message pass. It must not use the store.
    pub fn refuse(&self, refuse: impl FnMut(DomId, &str, &str) -> Option<&'static str> + 'static) {
        self.inner(|inner| inner.refuse = Some(Box::new(refuse)));
    }

    /// Lets every message pass again.
    pub fn refuse_nothing(&self) {
        self.inner(|inner| inner.refuse = None);
    }

    /// Falsifies every answer and event to a guest, from now on: header and payload, before they are written. The
    /// length in the header is not corrected.
    pub fn mangle(&self, guest: DomId, mangle: impl FnMut(&mut XsdSockmsg, &mut Vec<u8>) + 'static) {
        self.inner(|inner| inner.connection(guest).mangle.0 = Some(Box::new(mangle)));
    }

    /// Sends bytes to a guest as if xenstored had written them: any garbage.
    pub fn send_raw(&self, guest: DomId, bytes: &[u8]) {
        self.inner(|inner| inner.connection(guest).backlog.extend(bytes));
    }

    /// Sends a guest a watch event that nothing caused.
    pub fn send_event(&self, guest: DomId, path: &str, token: &str) {
        self.inner(|inner| inner.connection(guest).event(path, token.as_bytes()));
    }

    /// Writes an index of the ring page, or any other of its 32-bit words, and notifies the guest.
    pub fn poke_ring(&self, guest: DomId, at: usize, value: u32) {
        self.inner(|inner| {
            let conn = inner.connection(guest);
            conn.page().store(at, value);
            conn.notify();
        });
    }

    /// Restarts xenstored: the watches and transactions of a guest are lost, and its ring is empty.
    pub fn restart(&self, guest: DomId) {
        self.inner(|inner| {
            let conn = inner.connection(guest);
            conn.watches.clear();
            conn.transactions.clear();
            conn.backlog.clear();
            for index in [offset::REQ_CONS, offset::REQ_PROD, offset::RSP_CONS, offset::RSP_PROD] {
                conn.page().store(index, 0_u32);
            }
            conn.notify();
        });
    }

    /// Waits in virtual time until a node has a value; stops the test after `ns`.
    pub fn wait_for(&self, path: &str, value: &str, ns: u64) {
        let world = self.world.upgrade().expect("the machine is gone");
        let end = world.now() + ns;
        world.run();
        while self.read(path).as_deref() != Some(value) {
            assert!(world.now() < end, "{path} is {:?}, not {value:?}\n{}", self.read(path), self.tree());
            world.advance_to(world.now() + 1_000_000);
        }
    }
}
