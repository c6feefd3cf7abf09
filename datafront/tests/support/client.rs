//! The other side: libxenvchan's client as its C has it, written apart from what is tested.

use super::{Bench, DOM0};
use xen::{DomId, EvtchnPort, Gref};
use xen_sim::{MappedPage, Peer};

pub const LEFT_CONS: usize = 0;
pub const LEFT_PROD: usize = 4;
pub const RIGHT_CONS: usize = 8;
pub const RIGHT_PROD: usize = 12;
pub const CLI_LIVE: usize = 20;
pub const SRV_LIVE: usize = 21;
pub const CLI_NOTIFY: usize = 22;
pub const SRV_NOTIFY: usize = 23;

pub struct Client {
    peer: Peer,
    port: EvtchnPort,
    pub control: MappedPage,
    left: Vec<MappedPage>,
    right: Vec<MappedPage>,
    left_size: u32,
    right_size: u32,
    pub events: u64,
    /// Set while an operation waits for an event: writing, reading.
    asleep: [bool; 2],
}

impl Client {
    /// `libxenvchan_client_init`; `None` while the server is not there.
    pub fn connect(bench: &Bench) -> Option<Self> {
        Self::connect_at(bench, "push")
    }

    pub fn connect_at(bench: &Bench, name: &str) -> Option<Self> {
        let id = bench.sim.guest().id();
        let read =
            |node: &str| bench.sim.store().read(&format!("/local/domain/{id}/data/vchan/0/{name}/{node}"));
        let gref: u32 = read("ring-ref")?.parse().ok()?;
        let port: u32 = read("event-channel")?.parse().ok()?;
        Self::join(&bench.sim.peer(DOM0), id, gref, port)
    }

    fn join(peer: &Peer, id: DomId, gref: u32, port: u32) -> Option<Self> {
        let control = peer.map(id, Gref(gref), true).ok()?;
        let orders = [control.load::<u16>(16), control.load::<u16>(18)];
        assert!(orders.iter().all(|order| (10..=20).contains(order)), "{orders:?}");
        let port = peer.evtchn_bind(id, EvtchnPort(port)).ok()?;
        let mut at = 24;
        let mut pages = |order: u16| -> Vec<MappedPage> {
            let count = if order < 12 { 0 } else { 1 << (order - 12) };
            let mut list = Vec::new();
            for _ in 0..count {
                list.push(peer.map(id, Gref(control.load::<u32>(at)), true).expect("a granted ring page"));
                at += 4;
            }
            list
        };
        let (left, right) = (pages(orders[0]), pages(orders[1]));
        control.store::<u8>(CLI_LIVE, 1);
        control.store::<u8>(SRV_NOTIFY, 1);
        let client = Self {
            peer: peer.clone(),
            port,
            control,
            left,
            right,
            left_size: 1 << orders[0],
            right_size: 1 << orders[1],
            events: 0,
            asleep: [false; 2],
        };
        client.notify();
        Some(client)
    }

    pub fn notify(&self) {
        self.peer.evtchn_send(self.port).expect("a bound port");
    }

    fn place<'a>(&'a self, pages: &'a [MappedPage], size: u32, index: u32) -> (&'a MappedPage, usize) {
        let at = (index % size) as usize;
        match size {
            1024 => (&self.control, 1024 + at),
            2048 => (&self.control, 2048 + at),
            _ => (&pages[at >> 12], at & 4095),
        }
    }

    /// Whether the last operation waits for an event that has not come.
    fn still_asleep(&mut self, operation: usize) -> bool {
        if self.peer.take_event(self.port) {
            self.events += 1;
            self.asleep = [false; 2];
        }
        self.asleep[operation]
    }

    fn send_notify(&self, bit: u8) {
        if self.control.fetch_and::<u8>(CLI_NOTIFY, !bit) & bit != 0 {
            self.notify();
        }
    }

    /// Writes as many bytes as there is room for, one by one; sleeps if there is none.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() || self.still_asleep(0) {
            return 0;
        }
        for last in [false, true] {
            let prod = self.control.load::<u32>(LEFT_PROD);
            let cons = self.control.load::<u32>(LEFT_CONS);
            let room = self.left_size - prod.wrapping_sub(cons);
            let len = bytes.len().min(room as usize);
            if len > 0 {
                for (i, byte) in bytes[..len].iter().enumerate() {
                    let (page, at) = self.place(&self.left, self.left_size, prod.wrapping_add(i as u32));
                    page.write(at, &[*byte]);
                }
                self.control.store::<u32>(LEFT_PROD, prod.wrapping_add(len as u32));
                self.send_notify(1);
                return len;
            }
            if !last {
                self.control.fetch_or::<u8>(SRV_NOTIFY, 2);
            }
        }
        self.asleep[0] = true;
        0
    }

    /// Dies within a write: bytes without the index, or with it and without the event.
    pub fn write_silently(&mut self, bytes: &[u8], with_index: bool) {
        let (prod, cons) = (self.control.load::<u32>(LEFT_PROD), self.control.load::<u32>(LEFT_CONS));
        let len = bytes.len().min((self.left_size - prod.wrapping_sub(cons)) as usize);
        for (i, byte) in bytes[..len].iter().enumerate() {
            let (page, at) = self.place(&self.left, self.left_size, prod.wrapping_add(i as u32));
            page.write(at, &[*byte]);
        }
        if with_index {
            self.control.store::<u32>(LEFT_PROD, prod.wrapping_add(len as u32));
        }
    }

    /// Reads at most `most` bytes; sleeps if there are none.
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        if self.still_asleep(1) {
            return Vec::new();
        }
        for last in [false, true] {
            let prod = self.control.load::<u32>(RIGHT_PROD);
            let cons = self.control.load::<u32>(RIGHT_CONS);
            let len = most.min(prod.wrapping_sub(cons) as usize);
            if len > 0 {
                let mut bytes = vec![0; len];
                for (i, byte) in bytes.iter_mut().enumerate() {
                    let (page, at) = self.place(&self.right, self.right_size, cons.wrapping_add(i as u32));
                    let mut one = [0];
                    page.read(at, &mut one);
                    *byte = one[0];
                }
                self.control.store::<u32>(RIGHT_CONS, cons.wrapping_add(len as u32));
                self.send_notify(2);
                return bytes;
            }
            if !last {
                self.control.fetch_or::<u8>(SRV_NOTIFY, 1);
            }
        }
        self.asleep[1] = true;
        Vec::new()
    }

    /// What is there now, without sleeping.
    pub fn peek_len(&self) -> usize {
        self.control.load::<u32>(RIGHT_PROD).wrapping_sub(self.control.load::<u32>(RIGHT_CONS)) as usize
    }

    pub fn server_live(&self) -> u8 {
        self.control.load::<u8>(SRV_LIVE)
    }

    /// `libxenvchan_close`, or the kernel's clean-up after a process that was killed: the flag, then the event.
    pub fn leave(self) {
        self.control.store::<u8>(CLI_LIVE, 0);
        self.notify();
        self.peer.evtchn_close(self.port).expect("a bound port");
    }
}
