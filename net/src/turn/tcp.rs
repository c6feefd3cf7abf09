//! TCP: segments in to the engine, segments out from it, straight into the device's page.

use nic::{HashKey, Nic};
use smoltcp::phy::{PacketMeta, TxToken as _};
use smoltcp::wire::{IpAddress, IpEndpoint};
use tcp::tuple::FourTuple;
use tcp::{Limits, Segment as Header};

use crate::base::chunk::Chunk;
use crate::base::counters::{DropReason, FrameKind};
use crate::base::error::NetError;
use crate::base::options::TcpOptions;
use crate::frame::classify::Segment;
use crate::frame::emit::{self, Ends};
use crate::frame::too_big::TooBig;
use crate::link::neighbours::Lookup;
use crate::tcp::conn::ConnFlags;
use crate::tcp::open::{Answer, Arrival, Tally};
use crate::turn::frame::Frame;
use crate::turn::state::State;

/// Payload of at least this many bytes stays in the page in which it arrived.
const THRESHOLD: usize = 1024;

/// Frames that a connection may send before the next one is served.
const BURST: usize = 8;

/// Bytes of the IP headers and of TCP's without options.
const V4: u16 = 20;
const V6: u16 = 40;
const TCP: u16 = 20;

/// Bytes of the longest TCP header.
const LONGEST_HEADER: usize = 60;

impl State {
    /// Takes a TCP segment to us.
    pub(super) fn tcp_frame<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, found: &Segment) {
        self.counters.received(FrameKind::Tcp);
        let Segment { tuple, sender, header, payload } = found;
        let arrival = Arrival { tuple, segment: header, mss: self.mss(tuple.local), flow: self.flow(tuple) };
        let mut taken = false;
        let keep = || {
            taken = true;
            if payload.is_empty() {
                frame.discard(nic);
                return Some(Chunk::EMPTY);
            }
            if payload.len() >= THRESHOLD
                && matches!(frame, Frame::InPlace)
                && let Some(packet) = nic.retain()
            {
                return Some(Chunk::page(packet, payload.clone()));
            }
            let bytes = frame.bytes(nic).and_then(|bytes| bytes.get(payload.clone()));
            let chunk = Chunk::copied(bytes.unwrap_or_default());
            frame.discard(nic);
            chunk
        };
        let mut tally = Tally { counters: &mut self.counters, drops: &mut self.drops };
        let answer = self.tcp.receive(&arrival, keep, &mut tally);
        if !taken {
            frame.discard(nic);
        }
        let header = match answer {
            Answer::None => return,
            Answer::Send(header) => header,
            Answer::Reset(header) => {
                if !self.reset_bucket.take(self.now) {
                    return self.counters.resets_limited.bump();
                }
                self.counters.refused.bump();
                header
            }
        };
        let opens = header.flags.contains(tcp::Flags::SYN);
        let known = self.next_hop(tuple.remote).and_then(|hop| {
            if opens {
                // It will be needed: asked for while the handshake goes on.
                self.neighbours.lookup(hop, self.now);
            }
            self.neighbours.known(hop)
        });
        if let Some(mac) = known.or(*sender) {
            let ends = Ends { from: tuple.local, to: tuple.remote, mac };
            self.send_header(nic, tuple, ends, header);
        }
    }

    /// Sends a segment that belongs to no connection. Without a slot it is lost, as on the way.
    fn send_header<N: Nic>(&mut self, nic: &mut N, tuple: &FourTuple, ends: Ends, header: Header) {
        let header = Header { src_port: tuple.local_port, dst_port: tuple.remote_port, ..header };
        nic.steer(self.flow(tuple));
        let mac = self.me.mac;
        if let Some(token) = nic.transmit(self.now) {
            emit::tcp::<N>(token, mac, ends, &header, None, false);
        }
    }

    /// Half-open connections: connects those for which there is room now, and sends the SYN-ACKs that are due again.
    pub(super) fn run_half_open<N: Nic>(&mut self, nic: &mut N) {
        let mtu = self.mtu;
        let flow_key = self.flow_key;
        let mut tally = Tally { counters: &mut self.counters, drops: &mut self.drops };
        self.tcp.admit_answered(|tuple| (mss(mtu, tuple.local), flow(flow_key, tuple)), &mut tally);
        while let Some((tuple, header)) = self.tcp.poll_half_open(|local| mss(mtu, local)) {
            let known = self.next_hop(tuple.remote).map(|hop| self.neighbours.lookup(hop, self.now));
            if let Some(Lookup::Known(mac)) = known {
                self.send_header(nic, &tuple, Ends { from: tuple.local, to: tuple.remote, mac }, header);
            }
        }
    }

    /// Sends what a connection has to send, up to a burst; the number of frames.
    pub(super) fn transmit_tcp<N: Nic>(&mut self, nic: &mut N, id: u32) -> usize {
        let Some(tuple) = self.tcp.tuple(id) else { return 0 };
        let Some(mac) = self.way(id, &tuple) else {
            self.tcp.forget_reset(id, &mut self.counters);
            return 0;
        };
        let ends = Ends { from: tuple.local, to: tuple.remote, mac };
        let (v6, ours) = (matches!(tuple.local, IpAddress::Ipv6(_)), self.me.mac);
        let most = if v6 { self.longest_v6 } else { self.longest_v4 };
        let frames = Limits { max_payload: most };
        let Some((flow, size)) = self.tcp.get(id).map(|conn| (conn.flow, conn.tcb.segment_size())) else {
            return 0;
        };
        nic.steer(flow);
        let cuts = v6 && most > 0;
        if cuts {
            nic.set_segment_size(Some(size));
        }
        let (mut sent, mut more) = (0, true);
        while sent < BURST && self.tcp.get(id).is_some_and(|conn| conn.tcb.wants_transmit()) {
            let Some(mut token) = nic.transmit(self.now) else { break };
            let Some(out) = self.tcp.poll_transmit(id, &frames) else {
                more = false;
                break;
            };
            let tcp::Transmit { mut header, payload, segment_size, ecn_capable } = out;
            (header.src_port, header.dst_port) = (tuple.local_port, tuple.remote_port);
            if let Some(size) = segment_size.filter(|_| !v6) {
                let mut meta = PacketMeta::default();
                meta.segmentation_offload_size = core::num::NonZeroU16::new(size);
                token.set_meta(meta);
            }
            emit::tcp::<N>(token, ours, ends, &header, Some(payload), ecn_capable);
            sent = sent.saturating_add(1);
        }
        if cuts {
            nic.set_segment_size(None);
        }
        let blocked = nic.tx_exhausted() && sent < BURST;
        self.tcp.refresh(id, more, &mut self.counters);
        if blocked && sent == 0 {
            self.tcp.bring_forward(id);
        }
        sent
    }

    /// The hardware address on the way to a connection's peer; without one it waits until the neighbour answers.
    fn way(&mut self, id: u32, tuple: &FourTuple) -> Option<smoltcp::wire::EthernetAddress> {
        let hop = self.next_hop(tuple.remote)?;
        let pin = self.tcp.get(id).and_then(|conn| conn.pin);
        let pinned = pin.and_then(|pin| self.neighbours.lookup_pinned(pin, hop, self.now));
        let found = pinned.unwrap_or_else(|| self.neighbours.lookup(hop, self.now));
        if pin.is_none()
            && let Some(conn) = self.tcp.get_mut(id)
        {
            conn.pin = self.neighbours.pin(hop, self.now);
        }
        match found {
            Lookup::Known(mac) => Some(mac),
            _ => {
                self.wait_for_neighbour(id);
                None
            }
        }
    }

    /// Puts a connection into the list of those that wait for their neighbour, once. Without memory for the list the
    /// connection ends.
    fn wait_for_neighbour(&mut self, id: u32) {
        let Some(conn) = self.tcp.get_mut(id).filter(|conn| !conn.is(ConnFlags::WAITS_FOR_NEIGHBOUR)) else {
            return;
        };
        if self.waiting_tcp.try_reserve(1).is_ok() {
            conn.flags.insert(ConnFlags::WAITS_FOR_NEIGHBOUR);
            self.waiting_tcp.push(id);
        } else {
            self.tcp.abort(id, &mut self.counters);
        }
    }

    /// Applies a router's report that it could not forward a segment, if the router can have seen the segment.
    pub(super) fn too_big(&mut self, big: &TooBig) {
        let headers = if matches!(big.tuple.local, IpAddress::Ipv4(_)) { V4 } else { V6 };
        let mss = big.mtu.saturating_sub(headers).saturating_sub(TCP);
        if self.tcp.too_big(&big.tuple, big.seq, mss, &mut self.counters) {
            self.counters.path_mtu_lowered.bump();
        } else {
            self.drops.bump(DropReason::TooBig);
        }
    }

    /// The hash of a flow, by which an interface with several queues chooses one.
    fn flow(&self, tuple: &FourTuple) -> u32 {
        flow(self.flow_key, tuple)
    }

    /// The MSS that we announce from an address of ours.
    fn mss(&self, local: IpAddress) -> u16 {
        mss(self.mtu, local)
    }

    /// Bytes of payload that a frame may have which the device cuts into segments; 0: it cuts none.
    pub(super) fn note_offload<N: Nic>(&mut self, nic: &N) {
        let segmentation = nic.capabilities().segmentation;
        let room = |longest: Option<core::num::NonZeroUsize>, header: u16| {
            let longest = longest.map_or(0, core::num::NonZeroUsize::get).min(65_535);
            let room = longest.saturating_sub(LONGEST_HEADER).saturating_sub(header.into());
            u32::try_from(room).unwrap_or(0)
        };
        self.longest_v4 = room(segmentation.tcpv4, V4);
        self.longest_v6 = room(segmentation.tcpv6, V6);
        self.flow_key = nic.flow_key();
    }

    /// Starts connecting to `remote`.
    pub(crate) fn connect(
        &mut self,
        remote: IpEndpoint,
        options: TcpOptions,
    ) -> Result<(u32, FourTuple), NetError> {
        let peer = remote.addr;
        if !self.me.speaks(peer) {
            return Err(NetError::NoAddress);
        }
        if remote.port == 0 || !self.me.is_peer(peer) {
            return Err(NetError::Unaddressable);
        }
        self.next_hop(peer).ok_or(NetError::NoRoute)?;
        let local = self.me.source_for(peer).ok_or(NetError::NoRoute)?;
        let key = self.flow_key;
        let flow = |tuple: &FourTuple| {
            key.map_or(0, |key| key.flow((tuple.remote, tuple.remote_port), (tuple.local, tuple.local_port)))
        };
        let mss = self.mss(local);
        self.tcp.connect((local, peer, remote.port), options, (mss, flow), &mut self.counters)
    }

    /// A connection's address may be gone: it ends.
    pub(super) fn look_at_lost(&mut self) {
        let me = &self.me;
        self.tcp.drop_addresses(|address| me.has(address), &mut self.counters);
    }
}

fn flow(key: Option<HashKey>, tuple: &FourTuple) -> u32 {
    key.map_or_else(
        || u32::from(tuple.remote_port) ^ u32::from(tuple.local_port),
        |key| key.flow((tuple.remote, tuple.remote_port), (tuple.local, tuple.local_port)),
    )
}

/// MTU less fixed headers. RFC 9293, section 3.7.1.
fn mss(mtu: usize, local: IpAddress) -> u16 {
    let headers = if matches!(local, IpAddress::Ipv4(_)) { V4 } else { V6 };
    u16::try_from(mtu).unwrap_or(u16::MAX).saturating_sub(headers).saturating_sub(TCP)
}
