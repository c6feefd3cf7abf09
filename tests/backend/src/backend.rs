//! The backend at work: correct, until an order asks for a fault.
//!
//! ```text
//!   tx ring ─request─► frame copied out ─► Peer (ARP, HTTP, echo replies) ─► response, unless it is withheld
//!   Peer ─frame─► copied into the next page of the rx ring ─► response, event
//! ```

use crate::Outcome;
use crate::control::{self, Manners};
use crate::peer::Peer;
use crate::shadow::Shadow;
use crate::store::Store;
use crate::sys::{self, Evtchn, Mapping};
use crate::vif::{CLOSED, CLOSING, CONNECTED, INIT_WAIT, INITIALISING, Queue, ROOT, Vif};
use smoltcp::wire::EthernetAddress;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};
use xen::abi::io_netif::{
    NetTxFlags, NetifRsp, NetifRxRequest, NetifRxResponse, NetifTxRequest, NetifTxResponse,
};

/// Frames for the guest that wait for a page; more are dropped, as a backend may.
const BACKLOG: usize = 512;

pub struct Backend {
    pub store: Store,
    pub evtchn: Evtchn,
    pub peer: Peer,
    pub shadow: Shadow,
    pub vif: Option<Vif>,
    /// Opens again by itself after it has closed.
    pub reopens: bool,
    /// Does nothing about the frontend's states.
    pub passive: bool,
    /// Connects without saying so.
    pub late: bool,
    /// Tx responses are not given.
    pub holds: bool,
    /// The guest is not notified.
    pub mute: bool,
    /// How requests on the control ring are answered.
    pub manners: Manners,
    /// Tx requests that were taken and not answered: the queue, and the request.
    pub held: VecDeque<(usize, NetifTxRequest)>,
    /// Requests since the last order; fault injection answers the last one.
    pub last_tx: Option<NetifTxRequest>,
    /// Pages that stay mapped.
    pub kept: Vec<Mapping>,
    /// Control connections, so that orders wake the loop.
    pub control: Vec<RawFd>,
    backlog: VecDeque<Vec<u8>>,
    /// Bytes of all frames that the guest was sent: of responses as they were first written, whatever flips later.
    pub given: u64,
    /// What the frontend did that no correct one does.
    pub complaints: Vec<String>,
}

impl Backend {
    pub fn new() -> Outcome<Self> {
        let mut store = Store::open()?;
        store.watch(ROOT)?;
        Ok(Self {
            store,
            evtchn: Evtchn::open()?,
            peer: Peer::new(),
            shadow: Shadow::default(),
            vif: None,
            reopens: true,
            passive: false,
            late: false,
            holds: false,
            mute: false,
            manners: Manners::default(),
            held: VecDeque::new(),
            last_tx: None,
            kept: Vec::new(),
            control: Vec::new(),
            backlog: VecDeque::new(),
            given: 0,
            complaints: Vec::new(),
        })
    }

    /// Works until `done` says so, or the time is over; whether `done` did.
    pub fn until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Outcome<bool> {
        let deadline = Instant::now() + limit;
        loop {
            let nap = self.iterate()?;
            if done(self) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let nap = nap.min(left.as_millis() as u64 + 1).min(20);
            sys::wait(&[self.store.fd(), self.evtchn.fd()], nap as i32);
        }
    }

    /// Works until there is something to do from outside.
    pub fn rest(&mut self) -> Outcome {
        let nap = self.iterate()?;
        let mut files = vec![self.store.fd(), self.evtchn.fd()];
        files.extend(&self.control);
        sys::wait(&files, nap as i32);
        Ok(())
    }

    /// One iteration: xenbus, frames of the guest, frames to the guest. Returns the milliseconds until the next is due.
    fn iterate(&mut self) -> Outcome<u64> {
        while let Some(token) = self.store.event()? {
            self.follow(&token)?;
        }
        self.evtchn.take()?;
        self.take_frames();
        if let Some(vif) = &mut self.vif {
            control::answer(vif, &self.evtchn, &mut self.manners);
        }
        let nap = self.peer.poll();
        while let Some(frame) = self.peer.outgoing() {
            self.deliver(frame);
        }
        self.flush();
        Ok(nap)
    }

    /// Handles xenbus.
    fn follow(&mut self, token: &str) -> Outcome {
        if token == ROOT {
            return self.adopt();
        }
        let Some(vif) = &mut self.vif else { return Ok(()) };
        let (front, back) = (vif.front_state(&mut self.store), vif.state(&mut self.store));
        if self.store.read(&format!("{}/online", vif.back)).as_deref() == Some("0") {
            // The toolstack takes the vif away.
            self.let_go();
            if let Some(vif) = self.vif.take() {
                self.store.unwatch(&format!("{}/state", vif.front));
                self.store.unwatch(&format!("{}/online", vif.back));
                let _ = vif.switch(&mut self.store, CLOSED);
            }
            return Ok(());
        }
        if self.passive {
            return Ok(());
        }
        match front {
            INITIALISING if self.reopens && back != INIT_WAIT && back != CONNECTED => {
                vif.offer(&mut self.store)?;
            }
            CONNECTED if back == INIT_WAIT && vif.queues.is_empty() => {
                vif.attach(&mut self.store, &self.evtchn)?;
                if !self.late {
                    vif.switch(&mut self.store, CONNECTED)?;
                }
            }
            CLOSING if back == CONNECTED => vif.switch(&mut self.store, CLOSING)?,
            CLOSED if back != CLOSED => {
                self.let_go();
                self.switch(CLOSED)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the first vif.
    fn adopt(&mut self) -> Outcome {
        if self.vif.is_some() {
            return Ok(());
        }
        for domid in self.store.list(ROOT) {
            for handle in self.store.list(&format!("{ROOT}/{domid}")) {
                let online = self.store.read(&format!("{ROOT}/{domid}/{handle}/online"));
                if online.as_deref() != Some("1") {
                    continue;
                }
                let Ok(vif) = Vif::adopt(&mut self.store, &domid, &handle) else { continue };
                let mac = self.store.read(&format!("{}/mac", vif.back)).unwrap_or_default();
                if let Some(mac) = parse_mac(&mac) {
                    self.peer.meet(EthernetAddress(mac));
                }
                vif.offer(&mut self.store)?;
                self.vif = Some(vif);
                self.forget();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Of the guest before nothing is true of this one.
    fn forget(&mut self) {
        self.shadow = Shadow::default();
        self.kept.clear();
        self.last_tx = None;
        (self.reopens, self.passive, self.late, self.holds, self.mute) = (true, false, false, false, false);
        self.manners = Manners::default();
    }

    pub fn vif(&mut self) -> Outcome<&mut Vif> {
        Ok(self.vif.as_mut().ok_or("there is no vif")?)
    }

    /// The first queue: fault injection works on it.
    pub fn queue(&mut self) -> Outcome<&mut Queue> {
        Ok(self.vif()?.queues.first_mut().ok_or("not connected")?)
    }

    pub fn switch(&mut self, state: u32) -> Outcome {
        let vif = self.vif.as_ref().ok_or("there is no vif")?;
        vif.switch(&mut self.store, state)
    }

    /// Unmaps rings, closes channels, and drops frames in flight.
    pub fn let_go(&mut self) {
        if let Some(vif) = &mut self.vif {
            vif.detach(&self.evtchn);
        }
        self.held.clear();
        self.backlog.clear();
    }

    /// The rings' indexes, for a message.
    pub fn stand(&self) -> String {
        let Some(queue) = self.vif.as_ref().and_then(|vif| vif.queues.first()) else {
            return "not connected".into();
        };
        let of = |ring: &crate::ring::BackRing| {
            let [req, event, rsp, asked] = [0, 4, 8, 12].map(|at| ring.field(at));
            format!(
                "req_prod {req}, req_event {event}, rsp_prod {rsp}, rsp_event {asked}, taken {}, answered {}",
                ring.req_cons(),
                ring.rsp_prod()
            )
        };
        format!("tx: {}; rx: {}; backlog {}", of(&queue.tx), of(&queue.rx), self.backlog.len())
    }

    pub fn connected(&self) -> bool {
        self.vif.as_ref().is_some_and(|vif| !vif.queues.is_empty())
    }

    /// Takes the guest's frames.
    fn take_frames(&mut self) {
        let Some(vif) = &mut self.vif else { return };
        for (number, queue) in vif.queues.iter_mut().enumerate() {
            while let Some(request) = queue.tx.take::<NetifTxRequest>() {
                let mut frame = vec![0; usize::from(request.size)];
                if NetTxFlags::from_bits_retain(request.flags).contains(NetTxFlags::MORE_DATA) {
                    self.complaints.push(format!("a chain, which was not offered: {request:?}"));
                }
                match vif.statics.read(&vif.gntdev, request.gref, request.offset, &mut frame) {
                    Ok(()) => {
                        self.shadow.carried(request.gref, usize::from(request.offset), &frame);
                        self.peer.intake(frame);
                    }
                    Err(error) => self.complaints.push(format!("{request:?}: {error}")),
                }
                self.last_tx = Some(request);
                if self.holds {
                    self.held.push_back((number, request));
                } else {
                    answer(queue, request.id, NetifRsp::Okay.raw());
                }
            }
            queue.tx.ask();
        }
    }

    /// Answers withheld requests, in their order or in reverse.
    pub fn release(&mut self, backwards: bool) {
        let mut held: Vec<_> = self.held.drain(..).collect();
        if backwards {
            held.reverse();
        }
        let Some(vif) = &mut self.vif else { return };
        for (number, request) in held {
            if let Some(queue) = vif.queues.get_mut(number) {
                answer(queue, request.id, NetifRsp::Okay.raw());
            }
        }
    }

    /// Gives the guest a frame, as soon as it has a page for it.
    pub fn deliver(&mut self, frame: Vec<u8>) {
        if self.backlog.len() < BACKLOG {
            self.backlog.push_back(frame);
        }
    }

    /// The next rx request, and the frame copied into its page at that offset.
    pub fn fill(&mut self, offset: usize, frame: &mut [u8]) -> Outcome<NetifRxRequest> {
        let request: NetifRxRequest = self.queue()?.rx.take().ok_or("the guest has posted no page")?;
        self.shadow.carried(request.gref, offset, frame);
        let vif = self.vif()?;
        vif.statics.write(&vif.gntdev, request.gref, offset as u16, frame)?;
        Ok(request)
    }

    /// Shows the guest new entries, and notifies it.
    pub fn flush(&mut self) {
        while self.queue().is_ok_and(|queue| queue.rx.requests() > 0) {
            let Some(mut frame) = self.backlog.pop_front() else { break };
            match self.fill(0, &mut frame) {
                Ok(request) => {
                    let status = frame.len() as i16;
                    self.respond(NetifRxResponse { id: request.id, offset: 0, flags: 0, status });
                }
                Err(error) => self.complaints.push(format!("rx: {error}")),
            }
        }
        self.show();
    }

    /// Writes an rx response.
    pub fn respond(&mut self, response: NetifRxResponse) {
        if let Ok(queue) = self.queue() {
            queue.rx.put(&response);
            self.given += u64::try_from(response.status).unwrap_or_default();
        }
    }

    /// Pushes both rings.
    pub fn show(&mut self) {
        let Some(vif) = &mut self.vif else { return };
        for queue in &mut vif.queues {
            let (tx, rx) = (queue.tx.push(), queue.rx.push());
            for (wanted, port) in [(tx, queue.ports.0), (rx, queue.ports.1)] {
                if wanted && !self.mute {
                    // A port without its other end cannot be notified.
                    let _ = self.evtchn.notify(port);
                }
            }
        }
    }
}

/// Writes a tx response.
pub fn answer(queue: &mut Queue, id: u16, status: i16) {
    queue.tx.put(&NetifTxResponse { id, status });
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    Some(mac)
}
