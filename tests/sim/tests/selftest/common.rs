//! A minimal frontend that can break any rule: it writes any request into its rings.

use std::rc::Rc;
use xen::abi::io_netif::{NetifRxRequest, NetifRxResponse, NetifTxRequest, NetifTxResponse};
use xen::hypervisor::{Hypervisor as _, Memory as _};
use xen::ring::FrontRing;
use xen::{EvtchnPort, Granted, Page, ReadWrite, Xen};
use xen_sim::{Guest, Netback, Sim, VifConfig, block_on, iterate};

pub(crate) type TxRing = FrontRing<NetifTxRequest, NetifTxResponse, 256>;
pub(crate) type RxRing = FrontRing<NetifRxRequest, NetifRxResponse, 256>;

/// One page for everything that is sent, and as many as asked for to receive in: the id of a request is its index.
pub(crate) struct Front {
    pub(crate) machine: Sim,
    pub(crate) xen: Rc<Xen<Guest>>,
    pub(crate) netback: Netback,
    pub(crate) tx: TxRing,
    pub(crate) rx: RxRing,
    pub(crate) tx_port: EvtchnPort,
    pub(crate) rx_port: EvtchnPort,
    pub(crate) tx_pages: Vec<Page<Granted<ReadWrite>>>,
    pub(crate) rx_pages: Vec<Page<Granted<ReadWrite>>>,
}

pub(crate) fn granted(xen: &Xen<Guest>) -> Page<Granted<ReadWrite>> {
    xen.grants.grant(xen.machine.alloc_page().unwrap(), xen::DomId(0)).unwrap()
}

impl Front {
    /// Connects to a vif of this configuration, and posts `nr_rx` pages.
    pub(crate) fn connect(config: VifConfig, nr_rx: usize) -> Self {
        Self::connect_from(config, nr_rx, 0)
    }

    /// As [`Front::connect`], with the rings' indexes beginning at `start`.
    pub(crate) fn connect_from(config: VifConfig, nr_rx: usize, start: u32) -> Self {
        let machine = Sim::builder().memory_pages(nr_rx + 64).build();
        let netback = machine.add_vif(config);
        let xen = machine.xen();
        let (tx, rx) = (TxRing::init(granted(&xen), start), RxRing::init(granted(&xen), start));
        let tx_port = xen.machine.evtchn_alloc_unbound(xen::DomId(0)).unwrap();
        let rx_port = xen.machine.evtchn_alloc_unbound(xen::DomId(0)).unwrap();
        let nodes = [
            ("tx-ring-ref", tx.page().gref().0),
            ("rx-ring-ref", rx.page().gref().0),
            ("event-channel-tx", tx_port.0),
            ("event-channel-rx", rx_port.0),
            ("request-rx-copy", 1),
            ("feature-rx-notify", 1),
            ("feature-sg", 1),
            ("feature-gso-tcpv4", 1),
        ];
        block_on(&xen, async {
            let published = xen.store.transaction(async |transaction| {
                for (key, value) in nodes {
                    transaction.write(&format!("device/vif/0/{key}"), value.to_string()).await?;
                }
                Ok(())
            });
            published.await.unwrap();
            xen.store.write("device/vif/0/state", "4").await.unwrap();
        });
        machine.run();
        xen.events.listen(tx_port);
        xen.events.listen(rx_port);
        let tx_pages = (0..24).map(|_| granted(&xen)).collect();
        let rx_pages = (0..nr_rx).map(|_| granted(&xen)).collect();
        let mut front = Self { machine, xen, netback, tx, rx, tx_port, rx_port, tx_pages, rx_pages };
        for id in 0..nr_rx {
            front.post(id as u16);
        }
        front.push_rx();
        front.machine.run();
        front
    }

    /// Posts the page of an id; not yet shown.
    pub(crate) fn post(&mut self, id: u16) {
        let gref = self.rx_pages[usize::from(id)].gref().0;
        self.rx.write_request(&NetifRxRequest { id, pad: 0, gref }).unwrap();
    }

    pub(crate) fn push_rx(&mut self) {
        if self.rx.push_requests_and_check_notify() {
            self.xen.machine.evtchn_send(self.rx_port).unwrap();
        }
    }

    /// A request that sends `size` bytes of a page from its start on.
    pub(crate) fn request(&self, page: usize, id: u16, flags: u16, size: u16) -> NetifTxRequest {
        NetifTxRequest { gref: self.tx_pages[page].gref().0, offset: 0, flags, id, size }
    }

    /// Writes requests as they are, shows them and runs the machine.
    pub(crate) fn transmit(&mut self, requests: &[NetifTxRequest]) {
        for request in requests {
            self.tx.write_request(request).unwrap();
        }
        if self.tx.push_requests_and_check_notify() {
            self.xen.machine.evtchn_send(self.tx_port).unwrap();
        }
        self.machine.run();
    }

    /// Puts a frame into the first page and sends it.
    pub(crate) fn send(&mut self, id: u16, frame: &[u8]) {
        self.tx_pages[0].shared().write_bytes(0, frame);
        self.transmit(&[self.request(0, id, 0, frame.len() as u16)]);
    }

    pub(crate) fn tx_responses(&mut self) -> Vec<NetifTxResponse> {
        iterate(&self.xen);
        self.tx.unconsumed_responses().unwrap();
        std::iter::from_fn(|| self.tx.take_response()).collect()
    }

    pub(crate) fn rx_responses(&mut self) -> Vec<NetifRxResponse> {
        iterate(&self.xen);
        self.rx.unconsumed_responses().unwrap();
        std::iter::from_fn(|| self.rx.take_response()).collect()
    }

    /// The bytes that a response stands for.
    pub(crate) fn bytes(&self, response: &NetifRxResponse) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(response.status).unwrap()];
        self.rx_pages[usize::from(response.id)].shared().read_bytes(usize::from(response.offset), &mut bytes);
        bytes
    }
}

/// A frame of `len` bytes that is not IP; neighbouring bytes differ.
pub(crate) fn frame(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|index| (index * 7 + index / 256) as u8).collect();
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}
