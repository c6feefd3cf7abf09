//! The user of a device: the stack, or a mirror that returns every frame.

use net::{Addressing, Config, Ipv4Address, Ipv4Cidr, Iteration, Limits, Stack};
use netfront::{NetDevice, Nic as _};
use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};
use smoltcp::time::Instant;
use xen::SystemTime;
use xen_sim::Guest;

/// A user of a device that works in iterations.
pub(crate) trait Upper {
    fn receive(&mut self, now: SystemTime) -> bool;
    fn send(&mut self) -> Iteration;
    fn device(&self) -> &NetDevice<Guest>;
    fn device_mut(&mut self) -> &mut NetDevice<Guest>;
}

/// The stack of the image.
pub(crate) type Network = Stack<NetDevice<Guest>>;

impl Upper for Network {
    fn receive(&mut self, now: SystemTime) -> bool {
        Self::receive(self, now)
    }

    fn send(&mut self) -> Iteration {
        Self::send(self)
    }

    fn device(&self) -> &NetDevice<Guest> {
        self.nic()
    }

    fn device_mut(&mut self) -> &mut NetDevice<Guest> {
        self.nic_mut()
    }
}

/// The stack with the address 10.0.0.`last`.
pub(crate) fn network(last: u8) -> impl FnOnce(NetDevice<Guest>, SystemTime) -> Network {
    move |device, now| {
        let address = Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, last), 24);
        let config = Config {
            addressing: Addressing::Static { address, gateway: None, dns: vec![] },
            ipv6: net::Ipv6Addressing::Off,
            hostname: "millpond".to_owned(),
            seed: [7 + last; 32],
            probing: net::Probing::Off,
            limits: Limits::default(),
            ledger: ledger::Ledger::new(512 << 20),
        };
        Stack::new(device, config, now)
    }
}

/// Sends every frame back as it came, byte by byte, and keeps a copy.
pub(crate) struct Mirror {
    device: NetDevice<Guest>,
    /// Frames that are to be sent without having come.
    pub(crate) outgoing: Vec<Vec<u8>>,
    pub(crate) seen: Vec<Vec<u8>>,
}

impl Mirror {
    pub(crate) fn new(device: NetDevice<Guest>, _: SystemTime) -> Self {
        Self { device, outgoing: vec![], seen: vec![] }
    }
}

impl Upper for Mirror {
    fn receive(&mut self, _: SystemTime) -> bool {
        self.device.reap();
        while let Some((rx, tx)) = self.device.receive(Instant::ZERO) {
            let frame = rx.consume(<[u8]>::to_vec);
            tx.consume(frame.len(), |into| into.copy_from_slice(&frame));
            self.seen.push(frame);
        }
        false
    }

    fn send(&mut self) -> Iteration {
        while !self.outgoing.is_empty() {
            let Some(tx) = self.device.transmit(Instant::ZERO) else { break };
            let frame = self.outgoing.remove(0);
            tx.consume(frame.len(), |into| into.copy_from_slice(&frame));
        }
        self.device.flush();
        Iteration { next: None, more: self.device.final_check() }
    }

    fn device(&self) -> &NetDevice<Guest> {
        &self.device
    }

    fn device_mut(&mut self) -> &mut NetDevice<Guest> {
        &mut self.device
    }
}

/// A frame of `len` bytes of an unknown protocol, with a pattern that depends on `seed`.
pub(crate) fn frame(len: usize, seed: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|at| (at * 31 + seed * 17 + at / 253) as u8).collect();
    // To one station: a group has to be joined.
    frame[0] &= !1;
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}
