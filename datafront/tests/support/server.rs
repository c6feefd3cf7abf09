//! The other side of a client: libxenvchan's server as its C has it, written apart from what is tested, in a domain of
//! its own on the same machine.

use super::Bench;
use super::client::{
    CLI_LIVE, CLI_NOTIFY, LEFT_CONS, LEFT_PROD, RIGHT_CONS, RIGHT_PROD, SRV_LIVE, SRV_NOTIFY,
};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use xen::signal::Signal;
use xen::{DomId, EvtchnPort, Granted, Hypervisor, Memory, Page, ReadWrite, Shared, Xen};
use xen_sim::{Guest, GuestConfig};

pub const SERVER: DomId = DomId(7);
pub const PATH: &str = "/local/domain/7/data/vchan/1/app";

/// The server's domain.
pub struct Host {
    pub xen: Rc<Xen<Guest>>,
    client: DomId,
}

/// One channel.
pub struct Server {
    xen: Rc<Xen<Guest>>,
    pub port: EvtchnPort,
    signal: Rc<Signal>,
    control: Page<Granted<ReadWrite>>,
    left: Vec<Page<Granted<ReadWrite>>>,
    right: Vec<Page<Granted<ReadWrite>>>,
    sizes: [u32; 2],
}

impl Host {
    pub fn new(bench: &Bench) -> Self {
        let config =
            GuestConfig { id: SERVER, name: "server".into(), memory_pages: 2048, ..GuestConfig::default() };
        let (guest, _) = bench.sim.add_guest(&config);
        Self { xen: xen_sim::boot(guest), client: bench.sim.guest().id() }
    }

    /// `libxenvchan_server_init`: pages, port, control page; not shown yet.
    pub fn server(&self, orders: [u16; 2], first: u32) -> Server {
        let page = || {
            let page = self.xen.machine.alloc_page().expect("memory");
            self.xen.grants.grant::<ReadWrite>(page, self.client).expect("a grant")
        };
        let control = page();
        let pages =
            |order: u16| (0..if order < 12 { 0 } else { 1 << (order - 12) }).map(|_| page()).collect();
        let (left, right): (Vec<_>, Vec<_>) = (pages(orders[0]), pages(orders[1]));
        let shared = control.shared();
        for at in [LEFT_CONS, LEFT_PROD, RIGHT_CONS, RIGHT_PROD] {
            shared.store::<u32>(at, first, SeqCst);
        }
        shared.store::<u16>(16, orders[0], SeqCst);
        shared.store::<u16>(18, orders[1], SeqCst);
        shared.store::<u8>(CLI_LIVE, 2, SeqCst);
        shared.store::<u8>(SRV_LIVE, 1, SeqCst);
        shared.store::<u8>(CLI_NOTIFY, 1, SeqCst);
        for (i, page) in left.iter().chain(&right).enumerate() {
            shared.store::<u32>(24 + 4 * i, page.gref().0, SeqCst);
        }
        let port = self.xen.machine.evtchn_alloc_unbound(self.client).expect("a port");
        let signal = self.xen.events.listen(port);
        let sizes = orders.map(|order| 1 << order);
        Server { xen: Rc::clone(&self.xen), port, signal, control, left, right, sizes }
    }

    /// Shows a channel in xenstore.
    pub fn show(&self, bench: &Bench, server: &Server) {
        self.show_as(bench, &server.control.gref().0.to_string(), &server.port.0.to_string());
    }

    pub fn show_as(&self, bench: &Bench, gref: &str, port: &str) {
        let perms = [('n', SERVER.0), ('r', self.client.0)];
        for (name, value) in [("ring-ref", gref), ("event-channel", port)] {
            let node = format!("{PATH}/{name}");
            bench.sim.store().write(&node, value);
            bench.sim.store().set_perms(&node, &perms);
        }
    }
}

impl Server {
    pub fn shared(&self) -> Shared<'_> {
        self.control.shared()
    }

    fn place(&self, ring: usize, index: u32) -> (Shared<'_>, usize) {
        let at = (index % self.sizes[ring]) as usize;
        let pages = if ring == 0 { &self.left } else { &self.right };
        match self.sizes[ring] {
            1024 => (self.shared(), 1024 + at),
            2048 => (self.shared(), 2048 + at),
            _ => (pages[at >> 12].shared(), at & 4095),
        }
    }

    /// Whether an event came.
    pub fn rung(&self) -> bool {
        xen_sim::iterate(&self.xen);
        self.signal.take()
    }

    pub fn notify(&self) {
        self.xen.machine.evtchn_send(self.port).expect("a port");
    }

    fn tell(&self, bit: u8) {
        if self.shared().fetch_and::<u8>(SRV_NOTIFY, !bit) & bit != 0 {
            self.notify();
        }
    }

    /// Reads what is there; asks for an event if there is nothing.
    pub fn read(&self, most: usize) -> Vec<u8> {
        let page = self.shared();
        for _ in 0..2 {
            let (prod, cons) = (page.load::<u32>(LEFT_PROD, SeqCst), page.load::<u32>(LEFT_CONS, SeqCst));
            let len = (prod.wrapping_sub(cons) as usize).min(most) as u32;
            if len > 0 {
                let byte = |i| {
                    let (shared, at) = self.place(0, cons.wrapping_add(i));
                    shared.load::<u8>(at, SeqCst)
                };
                let bytes = (0..len).map(byte).collect();
                page.store(LEFT_CONS, cons.wrapping_add(len), SeqCst);
                self.tell(2);
                return bytes;
            }
            page.fetch_or::<u8>(CLI_NOTIFY, 1);
        }
        Vec::new()
    }

    /// Writes as many bytes as there is room for; asks for an event if there is none.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let page = self.shared();
        for _ in 0..2 {
            let (prod, cons) = (page.load::<u32>(RIGHT_PROD, SeqCst), page.load::<u32>(RIGHT_CONS, SeqCst));
            let len = bytes.len().min((self.sizes[1] - prod.wrapping_sub(cons)) as usize);
            if len > 0 || bytes.is_empty() {
                for (i, byte) in bytes[..len].iter().enumerate() {
                    let (shared, at) = self.place(1, prod.wrapping_add(i as u32));
                    shared.store::<u8>(at, *byte, SeqCst);
                }
                page.store(RIGHT_PROD, prod.wrapping_add(len as u32), SeqCst);
                self.tell(1);
                return len;
            }
            page.fetch_or::<u8>(CLI_NOTIFY, 2);
        }
        0
    }

    pub fn client_live(&self) -> u8 {
        self.shared().load::<u8>(CLI_LIVE, SeqCst)
    }

    /// `libxenvchan_close`.
    pub fn leave(self) {
        self.shared().store::<u8>(SRV_LIVE, 0, SeqCst);
        self.notify();
        self.xen.events.stop(self.port);
        self.xen.machine.evtchn_close(self.port).expect("a port");
        for page in self.left.into_iter().chain(self.right).chain([self.control]) {
            if let Ok(page) = self.xen.grants.end(page) {
                self.xen.machine.free_page(page);
            }
        }
    }
}
