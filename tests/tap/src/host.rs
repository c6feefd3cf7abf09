//! One connection of the engine on a TAP device: frames in and out, timers, and an application that sends a pattern and
//! compares what it receives.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smoltcp::phy::{ChecksumCapabilities, Device, Medium, RxToken, TunTapInterface, TxToken, wait};
use smoltcp::time::Instant as Time;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Address, Ipv4Packet,
    Ipv4Repr, TcpPacket,
};
use tcp::limiter::Limiter;
use tcp::{CloseReason, Config, Env, Flags, Limits, Open, Reply, Segment, SendError, Seq, State, Tcb};

use crate::link::{Link, Wire};
use crate::namespace::ip;
use crate::{DEVICE, ENGINE, ENGINE_MAC, LINUX, PORT};

/// The side that opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// The engine.
    Engine,
    /// Linux.
    Linux,
}

/// Octets of the pattern from `from` on.
#[must_use]
pub fn octets(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The engine with one connection.
#[derive(Debug)]
pub struct Host {
    device: TunTapInterface,
    linux_mac: Option<EthernetAddress>,
    /// From Linux, to Linux.
    links: [Wire; 2],
    start: Instant,
    tcb: Option<Tcb<Bytes>>,
    env: Env<Bytes>,
    ports: (u16, u16),
    to_send: usize,
    sent: usize,
    received: usize,
    shut: bool,
}

impl Host {
    /// Makes the device, with an address for Linux; the engine will send `to_send` octets.
    #[must_use]
    pub fn new(link: &Link, seed: u64, to_send: usize) -> Self {
        let device = TunTapInterface::new(DEVICE, Medium::Ethernet).expect("a TAP device");
        let [a, b, c, d] = LINUX;
        ip(&format!("addr add {a}.{b}.{c}.{d}/24 dev {DEVICE}"));
        ip(&format!("link set {DEVICE} up"));
        let [a, b, c, d] = ENGINE;
        let mac = EthernetAddress(ENGINE_MAC).to_string().replace('-', ":");
        ip(&format!("neigh replace {a}.{b}.{c}.{d} lladdr {mac} nud permanent dev {DEVICE}"));
        Self {
            device,
            linux_mac: None,
            links: [Wire::new(link.clone(), seed), Wire::new(link.clone(), seed + 1)],
            start: Instant::now(),
            tcb: None,
            env: Env::new(Config::default(), Limiter::new(1000, 1000)),
            ports: (PORT, PORT),
            to_send,
            sent: 0,
            received: 0,
            shut: false,
        }
    }

    fn time(&self) -> Time {
        Time::from_micros(1_000_000 + self.start.elapsed().as_micros() as i64)
    }

    fn open() -> Open {
        Open {
            iss: Seq(u32::MAX - 70_000),
            timestamp_offset: u32::MAX - 900,
            announced_mss: 1460,
            path_mss: 1460,
        }
    }

    /// Runs until the connection has ended on our side. Returns the received bytes, and the reason of the end.
    ///
    /// `linux_mac` is the device's own; Linux's packets tell it. A connection that has not ended after `limit` is a
    /// failure.
    pub fn run(&mut self, opens: Opens, limit: Duration) -> (usize, Option<CloseReason>) {
        if opens == Opens::Engine {
            self.ports.0 = PORT + 1;
            self.linux_mac = Some(hardware_address());
            let time = self.time();
            self.tcb = Some(Tcb::connect(&Self::open(), time, &mut self.env));
        }
        while !self.is_over() {
            assert!(
                self.start.elapsed() < limit,
                "not over after {limit:?}: {} received, {:?}",
                self.received,
                self.tcb
            );
            self.receive();
            self.deliver();
            self.timers();
            self.application();
            self.transmit();
            self.flush();
            self.sleep();
        }
        (self.received, self.tcb.as_ref().and_then(Tcb::close_reason))
    }

    /// Counters of the engine.
    #[must_use]
    pub const fn counters(&self) -> &tcp::Counters {
        &self.env.counters
    }

    fn is_over(&self) -> bool {
        let over = |tcb: &Tcb<Bytes>| matches!(tcb.state(), State::Closed | State::TimeWait);
        self.tcb.as_ref().is_some_and(over) && self.links[1].next().is_none()
    }

    /// All that Linux has sent goes on the link.
    fn receive(&mut self) {
        let (now, time) = (Instant::now(), self.time());
        while let Some((token, _)) = self.device.receive(time) {
            let frame = token.consume(<[u8]>::to_vec);
            let Ok(frame) = EthernetFrame::new_checked(&frame) else { continue };
            if frame.ethertype() == EthernetProtocol::Ipv4 && frame.dst_addr() == EthernetAddress(ENGINE_MAC)
            {
                self.linux_mac = Some(frame.src_addr());
                self.links[0].put(frame.payload().to_vec(), now);
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(packet) = self.links[0].take(Instant::now()) {
            self.packet(&packet);
        }
    }

    fn packet(&mut self, packet: &[u8]) {
        let Ok(packet) = Ipv4Packet::new_checked(packet) else { return };
        if !packet.verify_checksum() || packet.next_header() != IpProtocol::Tcp {
            return;
        }
        let Ok(tcp) = TcpPacket::new_checked(packet.payload()) else { return };
        if !tcp.verify_checksum(&IpAddress::Ipv4(packet.src_addr()), &IpAddress::Ipv4(packet.dst_addr())) {
            return;
        }
        let Ok((segment, offset)) = Segment::parse(packet.payload()) else { return };
        let time = self.time();
        let syn = segment.flags.intersection(Flags::SYN | Flags::ACK) == Flags::SYN;
        match &mut self.tcb {
            Some(tcb) if (segment.dst_port, segment.src_port) == self.ports => {
                let payload = Bytes::copy_from_slice(&packet.payload()[offset..]);
                if tcb.on_segment(&segment, payload, time, &mut self.env) == Reply::Reset
                    && let Some(reset) = segment.reset_for()
                {
                    self.send(&reset, &[]);
                }
            }
            None if syn && segment.dst_port == PORT => {
                self.ports = (segment.dst_port, segment.src_port);
                self.tcb = Some(Tcb::passive(&Self::open(), &segment, time, &mut self.env));
            }
            _ => {}
        }
    }

    fn timers(&mut self) {
        let time = self.time();
        if let Some(tcb) = &mut self.tcb
            && tcb.next_timer().is_some_and(|at| at <= time)
        {
            tcb.on_timer(time, &mut self.env);
        }
    }

    fn application(&mut self) {
        let time = self.time();
        let Some(tcb) = &mut self.tcb else { return };
        while let Some(chunk) = tcb.recv(time, &mut self.env) {
            assert!(
                chunk == octets(self.received, chunk.len()),
                "other octets than Linux sent, from {}",
                self.received
            );
            self.received += chunk.len();
        }
        if !matches!(tcb.state(), State::Established | State::CloseWait) {
            return;
        }
        while self.sent < self.to_send {
            let len = 50_000.min(self.to_send - self.sent);
            match tcb.send(octets(self.sent, len).into(), &mut self.env) {
                Ok(()) => self.sent += len,
                Err(SendError::Full(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        if self.sent == self.to_send && !self.shut {
            self.shut = true;
            tcb.shutdown(&mut self.env);
        }
    }

    fn transmit(&mut self) {
        let time = self.time();
        let mut out = Vec::new();
        if let Some(tcb) = &mut self.tcb {
            while let Some(transmit) = tcb.poll_transmit(time, &Limits { max_payload: 0 }, &mut self.env) {
                let mut payload = vec![0; transmit.payload.len()];
                transmit.payload.copy_to(&mut payload);
                out.push((transmit.header, payload));
            }
        }
        for (segment, payload) in out {
            let ports = Segment { src_port: self.ports.0, dst_port: self.ports.1, ..segment };
            self.send(&ports, &payload);
        }
    }

    fn send(&mut self, segment: &Segment, payload: &[u8]) {
        let (src_addr, dst_addr) = (Ipv4Address::from(ENGINE), Ipv4Address::from(LINUX));
        let header_len = segment.header_len();
        let mut packet = vec![0; 20 + header_len + payload.len()];
        let repr = Ipv4Repr {
            src_addr,
            dst_addr,
            next_header: IpProtocol::Tcp,
            payload_len: header_len + payload.len(),
            hop_limit: 64,
        };
        repr.emit(&mut Ipv4Packet::new_unchecked(&mut packet), &ChecksumCapabilities::default());
        segment.emit(&mut packet[20..]).expect("the room is that of the header");
        packet[20 + header_len..].copy_from_slice(payload);
        let mut tcp = TcpPacket::new_unchecked(&mut packet[20..]);
        tcp.fill_checksum(&IpAddress::Ipv4(src_addr), &IpAddress::Ipv4(dst_addr));
        self.links[1].put(packet, Instant::now());
    }

    /// Packets that have passed the link go to Linux.
    fn flush(&mut self) {
        let Some(linux_mac) = self.linux_mac else { return };
        while let Some(packet) = self.links[1].take(Instant::now()) {
            let Some(token) = self.device.transmit(self.time()) else { return };
            token.consume(14 + packet.len(), |frame| {
                let mut frame = EthernetFrame::new_unchecked(frame);
                frame.set_src_addr(EthernetAddress(ENGINE_MAC));
                frame.set_dst_addr(linux_mac);
                frame.set_ethertype(EthernetProtocol::Ipv4);
                frame.payload_mut().copy_from_slice(&packet);
            });
        }
    }

    /// Until Linux sends, a packet arrives, or a timer is due; not longer than 50 ms.
    fn sleep(&self) {
        let now = Instant::now();
        let arrivals = self.links.iter().filter_map(Wire::next).map(|at| at.saturating_duration_since(now));
        let timer = self.tcb.as_ref().and_then(Tcb::next_timer);
        let timer = timer.map(|at| Duration::from_micros((at - self.time()).total_micros()));
        let expired = self.tcb.as_ref().and_then(Tcb::next_timer).is_some_and(|at| at <= self.time());
        let timer = if expired { Some(Duration::ZERO) } else { timer };
        let most = arrivals.chain(timer).min().unwrap_or(Duration::MAX).min(Duration::from_millis(50));
        let most = smoltcp::time::Duration::from_micros(most.as_micros() as u64);
        wait(self.device.as_raw_fd(), Some(most)).expect("the device can be waited for");
    }
}

/// The device's own hardware address.
fn hardware_address() -> EthernetAddress {
    let path = format!("/sys/class/net/{DEVICE}/address");
    let shown = std::process::Command::new("ip").args(["-o", "link", "show", DEVICE]).output().expect(&path);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let address =
        text.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a hardware address");
    address.parse().expect("six bytes")
}
