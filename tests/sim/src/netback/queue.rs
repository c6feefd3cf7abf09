//! One queue: two rings, their channels, and the frames in flight.

use super::faults::{Faults, Notify};
use super::pace::Due;
use super::packet::Packet;
use super::ring::BackRing;
use super::rules::Violation;
use super::rx::Posted;
use super::tx::Answer;
use super::{Stats, VifConfig};
use crate::peer::{MappedPage, Peer};
use std::collections::{BTreeSet, VecDeque};
use xen::{DomId, EvtchnPort, Gref};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) tx: BackRing,
    pub(crate) rx: BackRing,
    pub(crate) tx_port: EvtchnPort,
    pub(crate) rx_port: EvtchnPort,
    /// Ids of transmit requests without a response.
    pub(crate) tx_in_flight: BTreeSet<u16>,
    /// Transmit requests that are done with and wait for their response.
    pub(crate) answers: Vec<Answer>,
    /// Receive requests that were seen and not used yet.
    pub(crate) posted: VecDeque<Posted>,
    pub(crate) to_guest: VecDeque<Packet>,
    /// Pages that are kept although they were answered.
    pub(crate) kept: Vec<MappedPage>,
    /// An event was promised for more receive requests: without it, nothing is looked at.
    pub(crate) rx_waits: bool,
    /// When a slow backend answers next.
    pub(crate) tx_due: Due,
    /// When a slow backend gives the next frames.
    pub(crate) rx_due: Due,
}

/// What a queue needs of its device while it works.
pub(crate) struct Context<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) guest: DomId,
    pub(crate) config: &'a VifConfig,
    pub(crate) stats: &'a mut Stats,
    pub(crate) faults: &'a mut Faults,
    pub(crate) violations: &'a mut Vec<Violation>,
    pub(crate) flags: &'a super::FrontendFlags,
    pub(crate) from_guest: &'a mut VecDeque<Packet>,
    pub(crate) groups: &'a mut BTreeSet<[u8; 6]>,
    pub(crate) hashing: &'a super::Hashing,
    pub(crate) statics: &'a super::Statics,
    pub(crate) now: u64,
    pub(crate) wake: &'a mut Option<u64>,
}

impl Context<'_> {
    /// The frontend broke a rule: the end of a strict test.
    pub(crate) fn broken(&mut self, rule: Violation, detail: &str) -> Violation {
        assert!(!self.config.strict, "{rule}: vif {} of domain {}: {detail}", self.config.handle, self.guest);
        self.violations.push(rule);
        rule
    }

    /// Sends the guest an event, as the faults have it.
    pub(crate) fn notify(&mut self, port: EvtchnPort, by_rule: bool) {
        let send = match self.faults.notify {
            Notify::ByRule => by_rule,
            Notify::Always => true,
            Notify::Never => false,
        };
        if send && self.peer.evtchn_send(port).is_ok() {
            self.stats.notifications_sent += 1;
        }
    }
}

impl Queue {
    /// Maps the rings and binds the channels; the port for both directions may be one.
    pub(crate) fn connect(
        peer: &Peer,
        guest: DomId,
        refs: (Gref, Gref),
        ports: (EvtchnPort, EvtchnPort),
    ) -> Result<Self, Violation> {
        let ring = |gref: Gref, slot_bytes: usize| {
            let page = peer.map(guest, gref, true).map_err(|_| Violation::RingUnusable)?;
            BackRing::attach(page, slot_bytes)
        };
        let bind = |port: EvtchnPort| peer.evtchn_bind(guest, port).map_err(|_| Violation::RingUnusable);
        let tx = ring(refs.0, xen::abi::io_netif::NETIF_TX_SLOT_BYTES)?;
        let rx = ring(refs.1, xen::abi::io_netif::NETIF_RX_SLOT_BYTES)?;
        let tx_port = bind(ports.0)?;
        let rx_port = if ports.0 == ports.1 { tx_port } else { bind(ports.1)? };
        Ok(Self {
            tx,
            rx,
            tx_port,
            rx_port,
            tx_in_flight: BTreeSet::new(),
            answers: Vec::new(),
            posted: VecDeque::new(),
            to_guest: VecDeque::new(),
            kept: Vec::new(),
            rx_waits: false,
            tx_due: Due::default(),
            rx_due: Due::default(),
        })
    }

    /// Lets the channels go; the pages go with the queue.
    pub(crate) fn close(&self, peer: &Peer) {
        let _ = peer.evtchn_close(self.tx_port);
        if self.rx_port != self.tx_port {
            let _ = peer.evtchn_close(self.rx_port);
        }
    }
}

impl Queue {
    /// Its ring pages, for a backend that keeps them.
    pub(crate) fn into_pages(self) -> impl Iterator<Item = MappedPage> {
        [self.tx.into_page(), self.rx.into_page()].into_iter().chain(self.kept)
    }

    /// For the dump of a test that hangs.
    pub(crate) fn describe(&self) -> String {
        let ring =
            |ring: &BackRing| format!("req {}/{} rsp {}", ring.req_cons(), ring.req_prod(), ring.rsp_prod());
        let (posted, waiting) = (self.posted.len(), self.to_guest.len());
        format!("tx [{}] rx [{}] posted {posted}, frames waiting {waiting}", ring(&self.tx), ring(&self.rx))
    }
}
