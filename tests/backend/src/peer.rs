//! The well-behaved host behind the backend: it answers ARP, fetches pages over HTTP, and sends echo requests.
//!
//! smoltcp does ARP and TCP. Echo requests are made by hand, so that a case can send them over slots of its choice, and
//! their replies are kept aside, to be compared byte for byte.

use crate::Outcome;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet, Icmpv4Repr, IpAddress,
    IpCidr, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr,
};
use std::collections::VecDeque;

/// The address of this host; the guest's is 10.9.0.2.
pub const OURS: Ipv4Address = Ipv4Address::new(10, 9, 0, 1);
pub const GUEST: Ipv4Address = Ipv4Address::new(10, 9, 0, 2);
const MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0xbe, 0xd0, 0x01]);
/// Bytes of the headers before an echo's payload.
pub const HEADERS: usize = 14 + 20 + 8;
const IDENT: u16 = 0x4d70;

/// Frames in flight between smoltcp and the rings.
#[derive(Debug, Default)]
struct Wire {
    to_us: VecDeque<Vec<u8>>,
    to_guest: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        Some((Received(self.to_us.pop_front()?), Sending(&mut self.to_guest)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.to_guest))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        // A guest may leave a checksum blank for netback, which accepts it from its domain.
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities.checksum.udp = Checksum::Tx;
        capabilities
    }
}

pub struct Peer {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    begun: std::time::Instant,
    port: u16,
    pub guest_mac: EthernetAddress,
    /// Echo replies: sequence number and payload.
    pub replies: VecDeque<(u16, Vec<u8>)>,
    /// Frames from the guest that were no frames.
    pub nonsense: u64,
}

impl Peer {
    pub fn new() -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(MAC.into());
        config.random_seed = u64::from(std::process::id());
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // The list has room for more than one.
            let _ = addresses.push(IpCidr::new(OURS.into(), 24));
        });
        Self {
            wire,
            interface,
            sockets: SocketSet::new(Vec::new()),
            begun: std::time::Instant::now(),
            port: 40_000,
            guest_mac: EthernetAddress::BROADCAST,
            replies: VecDeque::new(),
            nonsense: 0,
        }
    }

    /// Another guest, or the same one again, is behind the vif, perhaps with the address of the former guest. smoltcp
    /// forgets its neighbours when its addresses are set, and ignores a gratuitous request.
    pub fn meet(&mut self, mac: EthernetAddress) {
        self.guest_mac = mac;
        self.interface.update_ip_addrs(|_| ());
    }

    /// Runs smoltcp. Returns the milliseconds until it must run again.
    pub fn poll(&mut self) -> u64 {
        let now = Instant::from_micros(self.begun.elapsed().as_micros() as i64);
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        self.interface.poll_delay(now, &self.sockets).map_or(100, |delay| delay.total_millis().min(100))
    }

    /// A frame that the guest sent.
    pub fn intake(&mut self, frame: Vec<u8>) {
        match echo_reply(&frame) {
            Some(reply) => self.replies.push_back(reply),
            None if frame.len() < 14 => self.nonsense += 1,
            None => self.wire.to_us.push_back(frame),
        }
    }

    /// The next frame for the guest.
    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        self.wire.to_guest.pop_front()
    }

    /// An echo request as a frame.
    pub fn echo_request(&self, seq_no: u16, payload: &[u8]) -> Vec<u8> {
        let sums = ChecksumCapabilities::default();
        let icmp = Icmpv4Repr::EchoRequest { ident: IDENT, seq_no, data: payload };
        let ip = Ipv4Repr {
            src_addr: OURS,
            dst_addr: GUEST,
            next_header: IpProtocol::Icmp,
            payload_len: icmp.buffer_len(),
            hop_limit: 64,
        };
        let ethernet =
            EthernetRepr { src_addr: MAC, dst_addr: self.guest_mac, ethertype: EthernetProtocol::Ipv4 };
        let mut frame = vec![0; ethernet.buffer_len() + ip.buffer_len() + icmp.buffer_len()];
        let mut view = EthernetFrame::new_unchecked(&mut frame);
        ethernet.emit(&mut view);
        let mut view = Ipv4Packet::new_unchecked(view.payload_mut());
        ip.emit(&mut view, &sums);
        icmp.emit(&mut Icmpv4Packet::new_unchecked(view.payload_mut()), &sums);
        frame
    }

    /// A frame of `len` bytes that says it is TCP, and has zeros after its IPv4 header: too few for one of TCP, or no
    /// port.
    pub fn segment(&self, len: usize) -> Vec<u8> {
        let ip = Ipv4Repr {
            src_addr: OURS,
            dst_addr: GUEST,
            next_header: IpProtocol::Tcp,
            payload_len: len.saturating_sub(14 + 20),
            hop_limit: 64,
        };
        let ethernet =
            EthernetRepr { src_addr: MAC, dst_addr: self.guest_mac, ethertype: EthernetProtocol::Ipv4 };
        let mut frame = vec![0; ethernet.buffer_len() + ip.buffer_len() + ip.payload_len];
        let mut view = EthernetFrame::new_unchecked(&mut frame);
        ethernet.emit(&mut view);
        ip.emit(&mut Ipv4Packet::new_unchecked(view.payload_mut()), &ChecksumCapabilities::default());
        frame
    }

    /// Opens a connection to the guest's web server.
    pub fn connect(&mut self) -> Outcome<SocketHandle> {
        let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
        let mut socket = tcp::Socket::new(buffer(32 << 10), buffer(4 << 10));
        socket.set_nagle_enabled(false);
        self.port = if self.port < 60_000 { self.port + 1 } else { 40_000 };
        let to = (IpAddress::from(GUEST), 80);
        socket.connect(self.interface.context(), to, self.port).map_err(|error| format!("{error:?}"))?;
        Ok(self.sockets.add(socket))
    }

    /// Sends the rest of a request, and takes the answer so far. Returns whether the guest has closed.
    pub fn exchange(&mut self, handle: SocketHandle, request: &mut Vec<u8>, answer: &mut Vec<u8>) -> bool {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        if socket.can_send() && !request.is_empty() {
            let sent = socket.send_slice(request).unwrap_or_default();
            request.drain(..sent);
        }
        // The data may be in two pieces.
        while socket.can_recv() {
            let _ = socket.recv(|bytes| {
                answer.extend_from_slice(bytes);
                (bytes.len(), ())
            });
        }
        matches!(socket.state(), tcp::State::Closed | tcp::State::CloseWait)
    }

    /// Ends a connection, without waiting.
    pub fn forget(&mut self, handle: SocketHandle) {
        self.sockets.get_mut::<tcp::Socket<'_>>(handle).abort();
        self.poll();
        self.sockets.remove(handle);
    }
}

/// Sequence number and payload, if the frame is a correct reply to an echo request of ours.
fn echo_reply(frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    if ip.next_header() != IpProtocol::Icmp || !ip.verify_checksum() {
        return None;
    }
    let icmp = Icmpv4Packet::new_checked(ip.payload()).ok()?;
    match Icmpv4Repr::parse(&icmp, &ChecksumCapabilities::default()).ok()? {
        Icmpv4Repr::EchoReply { ident: IDENT, seq_no, data } => Some((seq_no, data.to_vec())),
        _ => None,
    }
}
