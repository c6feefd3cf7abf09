//! TCP: segments in to the engine, segments out from it, straight into the device's page.

use nic::Nic;
use smoltcp::phy::{PacketMeta, TxToken as _};
use smoltcp::wire::{EthernetAddress, IpAddress, IpEndpoint};
use tcp::tuple::FourTuple;
use tcp::{Limits, Segment as Header};

use crate::base::chunk::Chunk;
use crate::base::counters::{DropReason, FrameKind};
use crate::base::error::NetError;
use crate::base::observer::Show;
use crate::base::options::TcpOptions;
use crate::frame::classify::Segment;
use crate::frame::emit::{self, Ends};
use crate::frame::too_big::TooBig;
use crate::link::neighbours::{Lookup, Pin};
use crate::tcp::conn::ConnFlags;
use crate::tcp::link::{HEADERS_V4, HEADERS_V6, Link};
use crate::tcp::open::{Answer, Arrival, Tally};
use crate::turn::frame::Frame;
use crate::turn::state::State;

/// Payload of at least this many bytes stays in the page in which it arrived.
const THRESHOLD: usize = 1024;

/// Frames that a connection may send before the next one is served.
const BURST: usize = 8;

/// Bytes of a TCP header's options at most.
const OPTIONS: usize = 40;

impl State {
    /// Takes a TCP segment to us.
    pub(super) fn tcp_frame<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, found: &Segment) {
        self.counters.received(FrameKind::Tcp);
        let Segment { tuple, sender, header, payload } = found;
        let arrival = Arrival { tuple, segment: header, link: &self.link };
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
        nic.steer(self.link.flow(tuple));
        let mac = self.me.mac;
        if let Some(token) = nic.transmit(self.now) {
            let show = Show::new(&self.observer, self.now);
            emit::tcp::<N>(token, mac, ends, &header, None, false, show);
        }
    }

    /// Half-open connections: connects those for which there is room now, and sends the SYN-ACKs that are due again.
    pub(super) fn run_half_open<N: Nic>(&mut self, nic: &mut N) {
        let mut tally = Tally { counters: &mut self.counters, drops: &mut self.drops };
        self.tcp.admit_answered(&self.link, &mut tally);
        while let Some((tuple, header)) = self.tcp.poll_half_open(&self.link) {
            let known = self.next_hop(tuple.remote).map(|hop| self.neighbours.lookup(hop, self.now));
            if let Some(Lookup::Known(mac)) = known {
                self.send_header(nic, &tuple, Ends { from: tuple.local, to: tuple.remote, mac }, header);
            }
        }
    }

    /// Sends what a connection has to send, up to a burst; the number of frames.
    pub(super) fn transmit_tcp<N: Nic>(&mut self, nic: &mut N, id: u32) -> usize {
        let (Some(tuple), Some(conn)) = (self.tcp.tuple(id), self.tcp.get(id)) else { return 0 };
        let (pin, flow, size) = (conn.pin, conn.flow, conn.tcb.segment_size());
        let mut more = conn.tcb.wants_transmit();
        let Some(mac) = self.way(id, tuple.remote, pin) else {
            self.tcp.forget_reset(id, &mut self.counters);
            return 0;
        };
        let ends = Ends { from: tuple.local, to: tuple.remote, mac };
        let (v6, ours) = (matches!(tuple.local, IpAddress::Ipv6(_)), self.me.mac);
        let frames = Limits { max_payload: if v6 { self.longest_v6 } else { self.longest_v4 } };
        nic.steer(flow);
        let cuts = v6 && frames.max_payload > 0;
        if cuts {
            nic.set_segment_size(Some(size));
        }
        let mut sent: usize = 0;
        while more && sent < BURST {
            let Some(mut token) = nic.transmit(self.now) else { break };
            let Some(out) = self.tcp.poll_transmit(id, &tuple, &frames) else {
                more = false;
                break;
            };
            if let Some(size) = out.segment_size.filter(|_| !v6) {
                let mut meta = PacketMeta::default();
                meta.segmentation_offload_size = core::num::NonZeroU16::new(size);
                token.set_meta(meta);
            }
            let show = Show::new(&self.observer, self.now);
            emit::tcp::<N>(token, ours, ends, &out.header, Some(out.payload), out.ecn_capable, show);
            sent = sent.saturating_add(1);
            more = self.tcp.get(id).is_some_and(|conn| conn.tcb.wants_transmit());
        }
        if cuts {
            nic.set_segment_size(None);
        }
        self.tcp.refresh(id, more, &mut self.counters);
        if sent == 0 && nic.tx_exhausted() {
            self.tcp.bring_forward(id);
        }
        sent
    }

    /// The hardware address on the way to a connection's peer; without one it waits until the neighbour answers.
    #[inline]
    fn way(&mut self, id: u32, peer: IpAddress, pin: Option<Pin>) -> Option<EthernetAddress> {
        let hop = self.next_hop(peer)?;
        match pin.and_then(|pin| self.neighbours.lookup_pinned(pin, hop, self.now)) {
            Some(Lookup::Known(mac)) => Some(mac),
            _ => self.search_way(id, hop, pin),
        }
    }

    /// The same for a connection without a pinned neighbour, or whose neighbour is not known.
    #[inline(never)]
    fn search_way(&mut self, id: u32, hop: IpAddress, pin: Option<Pin>) -> Option<EthernetAddress> {
        let found = self.neighbours.lookup(hop, self.now);
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
        let mss = Link { mtu: big.mtu.into(), flow_key: None }.mss(big.tuple.local);
        if self.tcp.too_big(&big.tuple, big.seq, mss, &mut self.counters) {
            self.counters.path_mtu_lowered.bump();
        } else {
            self.drops.bump(DropReason::TooBig);
        }
    }

    /// Bytes of payload that a frame may have which the device cuts into segments; 0: it cuts none.
    pub(super) fn note_offload<N: Nic>(&mut self, nic: &N) {
        let segmentation = nic.capabilities().segmentation;
        let room = |longest: Option<core::num::NonZeroUsize>, headers: u16| {
            let longest = longest.map_or(0, core::num::NonZeroUsize::get).min(65_535);
            let room = longest.saturating_sub(OPTIONS).saturating_sub(headers.into());
            u32::try_from(room).unwrap_or(0)
        };
        self.longest_v4 = room(segmentation.tcpv4, HEADERS_V4);
        self.longest_v6 = room(segmentation.tcpv6, HEADERS_V6);
        self.link.flow_key = nic.flow_key();
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
        self.tcp.connect((local, peer, remote.port), options, &self.link, &mut self.counters)
    }

    /// A connection's address may be gone: it ends.
    pub(super) fn look_at_lost(&mut self) {
        let me = &self.me;
        self.tcp.drop_addresses(|address| me.has(address), &mut self.counters);
    }
}
