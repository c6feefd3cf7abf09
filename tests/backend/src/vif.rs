//! One vif on xenbus: nodes offered, rings mapped, channels bound.
//!
//! ```text
//!   B = backend/vif/<domid>/<handle>      F = /local/domain/<domid>/device/vif/<handle>
//!   F 1 ─► offer, B 2 ─► F 4 ─► rings, B 4 ─► (B 5) ─► F 5, F 6 ─► unmap, B 6 ─► F 1 …
//! ```

use crate::Outcome;
use crate::control::{Control, Statics};
use crate::ring::BackRing;
use crate::store::Store;
use crate::sys::{Access, Evtchn, Gntdev};
use xen::abi::io_netif::{NETIF_RX_SLOT_BYTES, NETIF_TX_SLOT_BYTES};

/// Where xl puts the vifs whose backend is dom0.
pub const ROOT: &str = "backend/vif";

pub const INITIALISING: u32 = 1;
pub const INIT_WAIT: u32 = 2;
pub const CONNECTED: u32 = 4;
pub const CLOSING: u32 = 5;
pub const CLOSED: u32 = 6;

/// The nodes that every usable backend offers.
const OFFERS: [(&str, &str); 2] = [("feature-rx-copy", "1"), ("feature-split-event-channels", "1")];

/// The rings of a queue, and its channels: for tx and for rx, which may be the same.
#[derive(Debug)]
pub struct Queue {
    pub tx: BackRing,
    pub rx: BackRing,
    pub ports: (u32, u32),
}

#[derive(Debug)]
pub struct Vif {
    pub domid: u16,
    pub front: String,
    pub back: String,
    pub gntdev: Gntdev,
    pub queues: Vec<Queue>,
    /// The control ring, if the frontend has one.
    pub control: Option<Control>,
    /// Pages that stay mapped, because the guest asked for that.
    pub statics: Statics,
    /// Nodes in addition to [`OFFERS`].
    pub offers: Vec<(String, String)>,
}

impl Vif {
    /// The vif that the toolstack has made at that place.
    pub fn adopt(store: &mut Store, domid: &str, handle: &str) -> Outcome<Self> {
        let back = format!("{ROOT}/{domid}/{handle}");
        let front = store.read(&format!("{back}/frontend")).ok_or("no frontend yet")?;
        let domid = domid.parse()?;
        let gntdev = Gntdev::open(domid)?;
        store.watch(&format!("{front}/state"))?;
        store.watch(&format!("{back}/online"))?;
        Ok(Self {
            domid,
            front,
            back,
            gntdev,
            queues: Vec::new(),
            control: None,
            statics: Statics::default(),
            offers: Vec::new(),
        })
    }

    pub fn state(&self, store: &mut Store) -> u32 {
        store.number(&format!("{}/state", self.back)).unwrap_or_default()
    }

    pub fn front_state(&self, store: &mut Store) -> u32 {
        store.number(&format!("{}/state", self.front)).unwrap_or_default()
    }

    pub fn switch(&self, store: &mut Store, state: u32) -> Outcome {
        store.write(&format!("{}/state", self.back), &state.to_string())
    }

    /// Writes the offered nodes, and waits for the frontend.
    pub fn offer(&self, store: &mut Store) -> Outcome {
        for (key, value) in OFFERS {
            store.write(&format!("{}/{key}", self.back), value)?;
        }
        for (key, value) in &self.offers {
            store.write(&format!("{}/{key}", self.back), value)?;
        }
        self.switch(store, INIT_WAIT)
    }

    /// Maps the rings and binds the channels that the frontend has published.
    pub fn attach(&mut self, store: &mut Store, evtchn: &Evtchn) -> Outcome {
        let queues = store.number(&format!("{}/multi-queue-num-queues", self.front)).unwrap_or(1);
        for number in 0..queues {
            let place =
                if queues == 1 { self.front.clone() } else { format!("{}/queue-{number}", self.front) };
            let mut node = |key: &str| store.number(&format!("{place}/{key}"));
            let (tx, rx) =
                (node("tx-ring-ref").ok_or("no tx ring")?, node("rx-ring-ref").ok_or("no rx ring")?);
            let shared = node("event-channel");
            let tx_port = node("event-channel-tx").or(shared).ok_or("no channel")?;
            let rx_port = node("event-channel-rx").unwrap_or(tx_port);
            let tx_local = evtchn.bind(self.domid, tx_port)?;
            let rx_local = if rx_port == tx_port { tx_local } else { evtchn.bind(self.domid, rx_port)? };
            self.queues.push(Queue {
                tx: BackRing::attach(self.gntdev.map(tx, Access::Write)?, NETIF_TX_SLOT_BYTES)?,
                rx: BackRing::attach(self.gntdev.map(rx, Access::Write)?, NETIF_RX_SLOT_BYTES)?,
                ports: (tx_local, rx_local),
            });
        }
        let mut node = |key: &str| store.number(&format!("{}/{key}", self.front));
        let offered = self.offers.iter().any(|(key, value)| key == "feature-ctrl-ring" && value == "1");
        if let (true, Some(ring), Some(port)) = (offered, node("ctrl-ring-ref"), node("event-channel-ctrl")) {
            let port = evtchn.bind(self.domid, port)?;
            self.control = Some(Control::new(self.gntdev.map(ring, Access::Write)?, port)?);
        }
        Ok(())
    }

    /// Unmaps rings and closes channels.
    pub fn detach(&mut self, evtchn: &Evtchn) {
        if let Some(control) = self.control.take() {
            evtchn.unbind(control.port);
        }
        self.statics.maps.clear();
        for queue in self.queues.drain(..) {
            evtchn.unbind(queue.ports.0);
            if queue.ports.1 != queue.ports.0 {
                evtchn.unbind(queue.ports.1);
            }
        }
    }

    /// The references of the rings' pages.
    pub fn rings(&self) -> Vec<u32> {
        let queues = self.queues.iter().flat_map(|queue| [queue.tx.page().gref, queue.rx.page().gref]);
        queues.chain(self.control.iter().flat_map(Control::pages)).collect()
    }
}
