//! A connected vif on the simulated Xen, and iterations of which the driver's part is counted.

use crate::allocations;
use crate::machine::{Host, boot};
use netfront::{Config, NetDevice, Nic as _};
use nic::{IpVersion, PartialTcp};
use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};
use smoltcp::time::Instant;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use xen::{Clock as _, Xen};
use xen_sim::netback::Gso;
use xen_sim::{Netback, Packet, Sim, VifConfig};

/// Where callgrind collects: see its `--toggle-collect`.
#[inline(never)]
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> T {
    std::hint::black_box(work())
}

/// What a case needs.
pub(crate) struct Rig {
    life: Pin<Box<dyn Future<Output = ()>>>,
    pub(crate) device: NetDevice<Host>,
    netback: Netback,
    xen: Rc<Xen<Host>>,
    sim: Sim,
    /// The pools are trimmed in each iteration.
    per_packet: bool,
    pub(crate) packets: u64,
    pub(crate) allocations: u64,
}

impl Rig {
    pub(crate) fn new(vif: VifConfig, config: Config, per_packet: bool) -> Self {
        let pages = config.pool_rx_max + config.pool_tx_max + 600;
        let sim = Sim::builder().memory_pages(pages + 200).max_grant_frames(80).build();
        let netback = sim.add_vif(VifConfig { poison: false, ..vif });
        let xen = boot(&sim, pages);
        let (device, life) = finish(&xen, &sim, netfront::open(Rc::clone(&xen), 0, config)).expect("a vif");
        let clock = Rc::clone(&xen);
        let life = Box::pin(life.run(move |ns| {
            let clock = Rc::clone(&clock);
            async move {
                let end = clock.machine.now().after(ns);
                poll_fn(|_| if clock.machine.now() >= end { Poll::Ready(()) } else { Poll::Pending }).await;
            }
        }));
        let mut rig = Self { life, device, netback, xen, sim, per_packet, packets: 0, allocations: 0 };
        for _ in 0..200 {
            rig.iterate(|_| ());
            rig.sim.run();
        }
        assert!(rig.device.link_up(), "{}", rig.sim.dump());
        (rig.packets, rig.allocations) = (0, 0);
        rig
    }

    /// One iteration; the driver's part is counted.
    fn iterate<T>(&mut self, work: impl FnOnce(&mut NetDevice<Host>) -> T) -> T {
        self.xen.events.dispatch();
        self.xen.store.pump(&self.xen.machine);
        let before = allocations::count();
        let (device, per_packet) = (&mut self.device, self.per_packet);
        let result = counted(|| {
            device.reap();
            // Sent pages are freed before anything new is sent, and received ones before new pages are posted.
            let trim = |device: &mut NetDevice<Host>| _ = per_packet.then(|| device.trim());
            trim(device);
            let result = work(device);
            trim(device);
            device.flush();
            device.final_check();
            result
        });
        self.allocations += allocations::count() - before;
        let mut context = Context::from_waker(Waker::noop());
        assert!(self.life.as_mut().poll(&mut context).is_pending());
        self.xen.store.pump(&self.xen.machine);
        result
    }

    /// Receives frames of `len` bytes: `iterations` iterations with `batch` frames each. Frames longer than the MTU are
    /// merged ones.
    pub(crate) fn receive(&mut self, len: usize, iterations: usize, batch: usize) {
        let mut frame = vec![0x5a; len];
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        let merged = len > 1514;
        let gso = merged.then_some(Gso { size: 1448, kind: 1 });
        let packet = Packet { data: frame, csum_blank: merged, data_validated: merged, gso };
        for _ in 0..iterations {
            (0..batch).for_each(|_| self.netback.send(packet.clone()));
            self.sim.run();
            let seen = self.iterate(|device| {
                let mut seen = 0;
                while let Some((rx, tx)) = device.receive(Instant::ZERO) {
                    let _unused = tx;
                    seen += rx.consume(|frame| usize::from(frame.len() == len));
                }
                seen
            });
            assert_eq!(seen, batch);
            self.packets += batch as u64;
            self.sim.run();
        }
    }

    /// Sends frames; the stack's writing of their contents is not counted.
    pub(crate) fn send(&mut self, len: usize, iterations: usize, batch: usize) {
        for _ in 0..iterations {
            self.iterate(|device| {
                for _ in 0..batch {
                    let token = device.transmit(Instant::ZERO).expect("a slot");
                    token.consume(len, |frame| frame[12..14].copy_from_slice(&[0x88, 0xb5]));
                }
            });
            self.packets += batch as u64;
            self.sim.run();
            while self.netback.recv().is_some() {}
        }
    }

    /// Sends TCP segments whose checksums are left to the backend: writing the headers is in the copies. Their
    /// builder says where the checksum is, as `net` does; or it is `sought` by the frontend, as for smoltcp's own.
    pub(crate) fn send_tcp(&mut self, len: usize, iterations: usize, batch: usize, sought: bool) {
        const PARTIAL: PartialTcp = PartialTcp { version: IpVersion::V4, start: 34 };
        let ip_len = ((len - 14) as u16).to_be_bytes();
        let mut head = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, ip_len[0], ip_len[1]];
        head.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        for _ in 0..iterations {
            self.iterate(|device| {
                for _ in 0..batch {
                    let token = device.transmit(Instant::ZERO).expect("a slot");
                    // Two closures: one that both called would not be compiled into either.
                    if sought {
                        token.consume(len, |frame| frame[..head.len()].copy_from_slice(&head));
                    } else {
                        NetDevice::<Host>::send_tcp(token, len, PARTIAL, |frame| {
                            frame[..head.len()].copy_from_slice(&head);
                        });
                    }
                }
            });
            self.packets += batch as u64;
            self.sim.run();
            while self.netback.recv().is_some() {}
        }
        assert_eq!(self.device.stats().tx.checksum_blank, self.device.stats().tx.packets, "all were TCP");
    }

    /// Iterations that an event began and that find nothing.
    pub(crate) fn idle(&mut self, iterations: usize) {
        for _ in 0..iterations {
            self.netback.notify_guest();
            self.iterate(|_| ());
            self.packets += 1;
        }
    }

    /// Resets the counts.
    pub(crate) fn warm(&mut self) {
        (self.packets, self.allocations) = (0, 0);
    }
}

/// Runs a future that waits for xenstore alone.
fn finish<T>(xen: &Xen<Host>, sim: &Sim, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        xen.events.dispatch();
        xen.store.pump(&xen.machine);
        sim.run();
    }
    panic!("xenstore does not answer:\n{}", sim.dump());
}
