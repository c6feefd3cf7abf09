//! The other end of the console ring: collects the guest's output, and sends a test's input.

use crate::peer::{MappedPage, Peer};
use crate::world::{Service, World};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use xen::abi::grant_table::GNTTAB_RESERVED_CONSOLE;
use xen::abi::io_console::{IN_BYTES, OUT_BYTES, offset};
use xen::{DomId, EvtchnPort, Gref};

#[derive(Debug)]
struct Daemon {
    guest: DomId,
    peer: Peer,
    page: MappedPage,
    port: EvtchnPort,
    output: RefCell<Vec<u8>>,
    input: RefCell<VecDeque<u8>>,
    /// xenconsoled is stopped: the ring is not read.
    stopped: Cell<bool>,
    /// Work was asked for by other means than an event.
    kicked: Cell<bool>,
}

/// The console of one guest, from dom0's side. Clones are the same console.
#[derive(Clone, Debug)]
pub struct Console(Rc<Daemon>);

impl Console {
    pub(crate) fn new(peer: Peer, guest: DomId, port: EvtchnPort) -> Self {
        let page =
            peer.map(guest, Gref(GNTTAB_RESERVED_CONSOLE), true).expect("the toolstack granted the ring");
        let port = peer.evtchn_bind(guest, port).expect("the toolstack allocated the port");
        let daemon = Daemon {
            guest,
            peer,
            page,
            port,
            output: RefCell::default(),
            input: RefCell::default(),
            stopped: Cell::new(false),
            kicked: Cell::new(false),
        };
        Self(Rc::new(daemon))
    }

    pub(crate) fn service(&self) -> Rc<dyn Service> {
        Rc::clone(&self.0) as Rc<dyn Service>
    }

    /// Everything that the guest has printed and the daemon has read.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.0.output.borrow()).into_owned()
    }

    /// Types: the guest gets it when the machine runs.
    pub fn input(&self, bytes: &[u8]) {
        self.0.input.borrow_mut().extend(bytes);
        self.0.kicked.set(true);
    }

    /// Stops reading: the ring fills up.
    pub fn stop(&self) {
        self.0.stopped.set(true);
    }

    /// Reads again, beginning with the bytes that are in the ring.
    pub fn resume(&self) {
        self.0.stopped.set(false);
        self.0.kicked.set(true);
    }

    /// Writes a 32-bit word of the ring page, such as an index, and notifies the guest.
    pub fn poke_ring(&self, at: usize, value: u32) {
        self.0.page.store(at, value);
        self.0.peer.evtchn_send(self.0.port).expect("the port is bound");
    }
}

impl Daemon {
    fn read_output(&self) -> bool {
        let cons = self.page.load::<u32>(offset::OUT_CONS);
        let prod = self.page.load::<u32>(offset::OUT_PROD);
        let ready = prod.wrapping_sub(cons);
        assert!(ready as usize <= OUT_BYTES, "console: out_prod {prod} is more than a ring ahead of {cons}");
        let mut bytes = vec![0; ready as usize];
        self.page.read_ring(offset::OUT, OUT_BYTES, cons, &mut bytes);
        self.output.borrow_mut().append(&mut bytes);
        self.page.store(offset::OUT_CONS, prod);
        ready > 0
    }

    fn write_input(&self) -> bool {
        let prod = self.page.load::<u32>(offset::IN_PROD);
        let used = prod.wrapping_sub(self.page.load::<u32>(offset::IN_CONS)) as usize;
        let mut input = self.input.borrow_mut();
        let count = IN_BYTES.saturating_sub(used).min(input.len());
        let bytes: Vec<u8> = input.drain(..count).collect();
        self.page.write_ring(offset::IN, IN_BYTES, prod, &bytes);
        self.page.store(offset::IN_PROD, prod.wrapping_add(count as u32));
        count > 0
    }
}

impl Service for Daemon {
    fn run(&self, _world: &World) -> bool {
        if self.stopped.get() {
            return false;
        }
        let event = self.peer.take_event(self.port);
        if !(self.kicked.replace(false) || event) {
            return false;
        }
        let read = self.read_output();
        let wrote = self.write_input();
        if read || wrote {
            // Also for room in the output ring: a guest with more to print waits for it.
            self.peer.evtchn_send(self.port).expect("the port is bound");
        }
        true
    }

    fn describe(&self) -> String {
        format!("console of domain {}: {} bytes read", self.guest, self.output.borrow().len())
    }
}
