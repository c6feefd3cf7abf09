//! The senders: each serves one download to whoever connects, and speaks Ethernet over its standard input and output.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::net::sockopt::set_tcp_congestion;
use smoltcp::phy::{
    ChecksumCapabilities, Device as _, Medium, RxToken as _, TunTapInterface, TxToken as _, wait,
};
use smoltcp::time::Instant as Time;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Address, Ipv4Packet,
    Ipv4Repr, TcpPacket,
};
use tap_tests::{ENGINE, ENGINE_MAC, INSIDE, LINUX, PORT, default_buffers, ip, octets};
use tcp::limiter::Limiter;
use tcp::{Config, Env, Flags, Limits, Open, Segment, SendError, Seq, State, Tcb};

use crate::frames;

/// Hardware addresses of the two ends.
pub(crate) const SENDER_MAC: &str = "02:00:00:00:00:02";
pub(crate) const RECEIVER_MAC: &str = "02:00:00:00:00:01";
const RECEIVER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

/// Bytes handed over at a time.
const PIECE: usize = 64 << 10;

/// Linux's TCP with its defaults, in a namespace of its own.
pub(crate) fn linux(bytes: usize) {
    assert!(std::env::var_os(INSIDE).is_some(), "bench-tcp starts it");
    default_buffers();
    let mut device = TunTapInterface::new("tap1", Medium::Ethernet).expect("a TAP device");
    let (ours, theirs) = (Ipv4Addr::from(ENGINE), Ipv4Addr::from(LINUX));
    ip(&format!("link set tap1 address {SENDER_MAC}"));
    ip(&format!("addr add {ours}/24 dev tap1"));
    ip("link set tap1 up");
    ip(&format!("neigh replace {theirs} lladdr {RECEIVER_MAC} nud permanent dev tap1"));
    let listener = TcpListener::bind((ours, PORT)).expect("a listener");
    // A host may have another default, such as BBR. Accepted sockets inherit it.
    set_tcp_congestion(&listener, "cubic").expect("Linux's CUBIC: load the module tcp_cubic");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut sent = 0;
        while sent < bytes {
            let len = PIECE.min(bytes - sent);
            stream.write_all(&octets(sent, len)).expect("the receiver's window");
            sent += len;
        }
    });
    let incoming = frames::reader(std::io::stdin());
    let mut out = std::io::stdout().lock();
    frames::write(&mut out, &[]).expect("the relay");
    loop {
        while let Some((token, _)) = device.receive(Time::ZERO) {
            token.consume(|frame| {
                if frame.get(12..14) == Some(&[8, 0]) && frames::write(&mut out, frame).is_err() {
                    std::process::exit(0);
                }
            });
        }
        for frame in incoming.try_iter() {
            let token = device.transmit(Time::ZERO).expect("a TAP device takes every frame");
            token.consume(frame.len(), |room| room.copy_from_slice(&frame));
        }
        let pause = smoltcp::time::Duration::from_micros(300);
        wait(device.as_raw_fd(), Some(pause)).expect("the device can be waited for");
    }
}

/// The engine.
pub(crate) fn engine(bytes: usize) {
    let incoming = frames::reader(std::io::stdin());
    let mut engine = Engine {
        start: Instant::now(),
        tcb: None,
        env: Env::new(Config::default(), Limiter::new(1000, 1000)),
        peer: 0,
        bytes,
        sent: 0,
        shut: false,
    };
    frames::write(&mut std::io::stdout(), &[]).expect("the relay");
    while engine.turn(&incoming) {}
    eprintln!("  ours: {}", engine.counters());
}

struct Engine {
    start: Instant,
    tcb: Option<Tcb<Bytes>>,
    env: Env<Bytes>,
    /// The receiver's port.
    peer: u16,
    bytes: usize,
    sent: usize,
    shut: bool,
}

impl Engine {
    fn time(&self) -> Time {
        Time::from_micros(1_000_000 + self.start.elapsed().as_micros() as i64)
    }

    /// Takes what has come, and sends. `false`: the relay has gone.
    fn turn(&mut self, incoming: &Receiver<Vec<u8>>) -> bool {
        let timer = self.tcb.as_ref().and_then(Tcb::next_timer);
        let time = self.time();
        let pause = match timer {
            Some(at) if at <= time => Duration::ZERO,
            Some(at) => Duration::from_micros((at - time).total_micros()),
            None => Duration::from_secs(1),
        };
        match incoming.recv_timeout(pause) {
            Ok(frame) => self.frame(&frame),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        incoming.try_iter().for_each(|frame| self.frame(&frame));
        let time = self.time();
        if let Some(tcb) = &mut self.tcb {
            if tcb.next_timer().is_some_and(|at| at <= time) {
                tcb.on_timer(time, &mut self.env);
            }
            while tcb.recv(time, &mut self.env).is_some() {}
        }
        self.application();
        self.transmit()
    }

    fn frame(&mut self, frame: &[u8]) {
        let Ok(frame) = EthernetFrame::new_checked(frame) else { return };
        let Ok(packet) = Ipv4Packet::new_checked(frame.payload()) else { return };
        if frame.ethertype() != EthernetProtocol::Ipv4 || packet.next_header() != IpProtocol::Tcp {
            return;
        }
        let Ok((segment, offset)) = Segment::parse(packet.payload()) else { return };
        let time = self.time();
        match &mut self.tcb {
            Some(tcb) => {
                let payload = Bytes::copy_from_slice(&packet.payload()[offset..]);
                _ = tcb.on_segment(&segment, payload, time, &mut self.env);
            }
            None if segment.flags.contains(Flags::SYN) => {
                self.peer = segment.src_port;
                let open = Open { iss: Seq(77), timestamp_offset: 5, announced_mss: 1460, path_mss: 1460 };
                self.tcb = Some(Tcb::passive(&open, &segment, time, &mut self.env));
            }
            None => {}
        }
    }

    fn application(&mut self) {
        let Some(tcb) = &mut self.tcb else { return };
        if !matches!(tcb.state(), State::Established | State::CloseWait) {
            return;
        }
        while self.sent < self.bytes {
            let len = PIECE.min(self.bytes - self.sent);
            match tcb.send(octets(self.sent, len).into(), &mut self.env) {
                Ok(()) => self.sent += len,
                Err(SendError::Full(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
        if !self.shut {
            self.shut = true;
            tcb.shutdown(&mut self.env);
        }
    }

    fn transmit(&mut self) -> bool {
        let time = self.time();
        let Some(tcb) = &mut self.tcb else { return true };
        let mut out = std::io::stdout().lock();
        while let Some(transmit) = tcb.poll_transmit(time, &Limits { max_payload: 0 }, &mut self.env) {
            let header = Segment { src_port: PORT, dst_port: self.peer, ..transmit.header };
            let mut payload = vec![0; transmit.payload.len()];
            transmit.payload.copy_to(&mut payload);
            if frames::write(&mut out, &frame_of(&header, &payload)).is_err() {
                return false;
            }
        }
        true
    }

    fn counters(&self) -> String {
        let counted = self.env.counters.iter().filter(|count| count.1 > 0);
        counted.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    }
}

fn frame_of(header: &Segment, payload: &[u8]) -> Vec<u8> {
    let (src_addr, dst_addr) = (Ipv4Address::from(ENGINE), Ipv4Address::from(LINUX));
    let header_len = header.header_len();
    let mut bytes = vec![0; 14 + 20 + header_len + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_src_addr(EthernetAddress(ENGINE_MAC));
    frame.set_dst_addr(RECEIVER);
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let payload_len = header_len + payload.len();
    Ipv4Repr { src_addr, dst_addr, next_header: IpProtocol::Tcp, payload_len, hop_limit: 64 }
        .emit(&mut Ipv4Packet::new_unchecked(frame.payload_mut()), &ChecksumCapabilities::default());
    header.emit(&mut bytes[34..]).expect("the room is that of the header");
    bytes[34 + header_len..].copy_from_slice(payload);
    TcpPacket::new_unchecked(&mut bytes[34..])
        .fill_checksum(&IpAddress::Ipv4(src_addr), &IpAddress::Ipv4(dst_addr));
    bytes
}
