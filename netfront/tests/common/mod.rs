//! A vif on a simulated Xen, driven iteration by iteration like the kernel's loop.

#![allow(dead_code, reason = "each test uses its part")]

use netfront::{Config, ConnectionTask, NetDevice, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};
use smoltcp::time::Instant;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use xen::{Clock as _, Xen};
use xen_sim::netback::Packet;
use xen_sim::{Guest, Netback, Sim, VifConfig, block_on, turn};

pub(crate) const NOW: Instant = Instant::ZERO;

/// A machine, a vif, and its frontend.
pub(crate) struct Rig {
    // The future is dropped first: it borrows from the machine.
    life: Pin<Box<dyn Future<Output = ()>>>,
    pub(crate) device: NetDevice<Guest>,
    pub(crate) netback: Netback,
    pub(crate) xen: Rc<Xen<Guest>>,
    pub(crate) sim: Sim,
    /// Received frames.
    pub(crate) received: Vec<Vec<u8>>,
}

/// A frame of `len` bytes with a pattern that depends on its number.
pub(crate) fn frame(len: usize, number: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at * 7 + number * 13 + 1) as u8).collect();
    // To one station: a group has to be joined.
    bytes.iter_mut().take(1).for_each(|first| *first &= !1);
    // Neither IPv4 nor IPv6: nothing that a backend would look into.
    for (at, byte) in [(12, 0x88), (13, 0xb5)] {
        if at < len {
            bytes[at] = byte;
        }
    }
    bytes
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(VifConfig::default(), Config::default())
    }

    /// A rig whose vif is opened, before its first iteration.
    pub(crate) fn with(vif: VifConfig, config: Config) -> Self {
        Self::on(Sim::builder().build(), vif, config)
    }

    pub(crate) fn on(sim: Sim, vif: VifConfig, config: Config) -> Self {
        let netback = sim.add_vif(vif);
        let xen = sim.xen();
        let (device, life) = block_on(&xen, netfront::open(Rc::clone(&xen), 0, config)).expect("a vif");
        let life = start(&xen, life);
        Self { life, device, netback, xen, sim, received: Vec::new() }
    }

    pub(crate) fn connected() -> Self {
        Self::connected_with(VifConfig::default(), Config::default())
    }

    pub(crate) fn connected_with(vif: VifConfig, config: Config) -> Self {
        let mut rig = Self::with(vif, config);
        rig.until_up();
        rig
    }

    pub(crate) fn until_up(&mut self) {
        self.until("the link is up", |rig| rig.device.link_up());
    }

    pub(crate) fn until_down(&mut self) {
        self.until("the link is down", |rig| !rig.device.link_up());
    }

    /// Runs until a condition holds, at most 300 iterations and a minute and a half of virtual time.
    pub(crate) fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        for round in 0..300 {
            if so(self) {
                return;
            }
            self.turn();
            self.sim.run();
            if round % 30 == 29 {
                self.sim.advance(1_000_000_000 << (round / 30).min(4));
            }
        }
        panic!("not after 300 iterations: {what}\n{:?}\n{}", self.device.stats(), self.sim.dump());
    }

    /// One iteration of the loop; received frames are kept.
    pub(crate) fn turn(&mut self) {
        turn(&self.xen);
        self.device.reap();
        while let Some(shown) = self.device.peek().map(|shown| shown.frame.to_vec()) {
            let (rx, _tx) = self.device.receive(NOW).expect("the frame that was shown");
            rx.consume(|bytes| assert_eq!(bytes, shown, "peek and receive show the same frame"));
            self.received.push(shown);
        }
        self.end_turn();
    }

    /// An iteration that takes no frames.
    pub(crate) fn idle_turn(&mut self) {
        turn(&self.xen);
        self.device.reap();
        self.end_turn();
    }

    pub(crate) fn end_turn(&mut self) {
        self.device.flush();
        self.device.final_check();
        self.device.maintain(self.xen.machine.now());
        let mut context = Context::from_waker(Waker::noop());
        assert!(self.life.as_mut().poll(&mut context).is_pending(), "a life has no end");
        turn(&self.xen);
        self.check();
    }

    /// An iteration, and then the backend's work.
    pub(crate) fn round(&mut self) {
        self.turn();
        self.sim.run();
    }

    pub(crate) fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round();
        }
    }

    /// Conditions that hold at any time.
    pub(crate) fn check(&self) {
        if let Err(mismatch) = self.device.accounting() {
            panic!("{mismatch}");
        }
        assert_eq!(self.device.stats().device.mismatches, 0, "what the device counts of itself");
    }

    /// Sends a frame; `false` if no token was given.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        let Some(token) = self.device.transmit(NOW) else { return false };
        token.consume(bytes.len(), |into| into.copy_from_slice(bytes));
        true
    }

    /// Frames that the backend got.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.netback.recv()).map(|packet| packet.data).collect()
    }

    /// Lets the backend give one frame, and takes it; `None` if it did not come.
    pub(crate) fn give(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.give_packet(bytes.into())
    }

    /// The same, of a packet with its metadata in the rings.
    pub(crate) fn give_packet(&mut self, packet: Packet) -> Option<Vec<u8>> {
        self.received.clear();
        self.netback.send(packet);
        self.sim.run();
        self.rounds(2);
        self.received.pop()
    }

    /// That frames flow both ways.
    pub(crate) fn works(&mut self) {
        let there = frame(300, 1);
        assert_eq!(self.give(there.clone()), Some(there));
        let back = frame(200, 2);
        drop(self.sent());
        assert!(self.send(&back));
        self.rounds(2);
        assert_eq!(self.sent(), [back]);
    }

    pub(crate) fn misbehaved(&self, name: &str) -> u64 {
        let stats = self.device.stats();
        let found = stats.misbehaviour.iter().find(|(known, ..)| *known == name);
        found.unwrap_or_else(|| panic!("no such kind: {name}")).2
    }
}

fn start(xen: &Rc<Xen<Guest>>, connection: ConnectionTask<Guest>) -> Pin<Box<dyn Future<Output = ()>>> {
    let clock = Rc::clone(xen);
    Box::pin(connection.run(move |ns| {
        let clock = Rc::clone(&clock);
        async move {
            let end = clock.machine.now().after(ns);
            poll_fn(|_| if clock.machine.now() >= end { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }))
}
