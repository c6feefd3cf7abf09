//! ICMP: echo replies, and errors within a rate limit. RFC 792, RFC 1122 section 3.2.2, RFC 4443.

use nic::Nic;
use smoltcp::wire::{IpAddress, IpProtocol};

use crate::base::counters::{DropReason, FrameKind};
use crate::base::observer::Show;
use crate::frame::classify::{Message, sender};
use crate::frame::emit::{self, Ends, echo_reply, error};
use crate::link::wire::{HEADER, Wire};
use crate::turn::frame::Frame;
use crate::turn::state::State;

/// Why a packet to us cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The port has no socket.
    Port,
    /// The protocol is unknown.
    Protocol,
}

/// Bytes of the IPv6 header; and where it names the next one.
const V6: usize = 40;
const V6_NEXT: u32 = 6;

impl State {
    /// Answers an echo request.
    pub(super) fn echo<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, message: &Message) {
        self.counters.received(FrameKind::Icmp);
        let ends = self.answer_ends(nic, &frame, message.to, message.from);
        let request = frame.bytes(nic).and_then(|bytes| bytes.get(message.payload.clone()));
        let reply = ends.zip(request).map(|(ends, request)| (ends, echo_reply(request, ends)));
        if matches!(reply, Some((_, None))) {
            self.drops.bump(DropReason::Memory);
        }
        frame.discard(nic);
        let Some((ends, Some(reply))) = reply else { return };
        let protocol = protocol(ends);
        let ident = self.next_ident();
        let mut wire =
            Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
        // Without a slot the reply is lost, as on the way.
        let _ = emit::packet(&mut wire, ends, protocol, &reply, (self.link.mtu, ident));
    }

    /// Drops a packet without a receiver, and reports it to its sender if it was sent to us alone and the rate allows
    /// it.
    pub(super) fn refuse<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, trouble: Trouble, answered: bool) {
        self.drops.bump(match trouble {
            Trouble::Port => DropReason::NoSocket,
            Trouble::Protocol => DropReason::Protocol,
        });
        let ends =
            frame.bytes(nic).filter(|_| answered).and_then(|bytes| bytes.get(HEADER..)).and_then(ends_of);
        let ends = ends.and_then(|(from, to)| self.answer_ends(nic, &frame, to, from));
        let Some(ends) = ends else { return frame.discard(nic) };
        if !self.icmp_bucket.take(self.now) {
            self.counters.icmp_limited.bump();
            return frame.discard(nic);
        }
        let v6 = matches!(ends.from, IpAddress::Ipv6(_));
        let (kind, pointer) = match (trouble, v6) {
            (Trouble::Port, false) => ((3, 3), 0),
            (Trouble::Protocol, false) => ((3, 2), 0),
            (Trouble::Port, true) => ((1, 4), 0),
            (Trouble::Protocol, true) => ((4, 1), V6_NEXT),
        };
        let packet = frame.bytes(nic).and_then(|bytes| bytes.get(HEADER..)).unwrap_or_default();
        let message = error(kind, pointer, packet, ends);
        frame.discard(nic);
        let mut wire =
            Wire { nic, now: self.now, mac: self.me.mac, show: Show::new(&self.observer, self.now) };
        if emit::packet(&mut wire, ends, protocol(ends), &message, (self.link.mtu, 0)).is_some() {
            self.counters.icmp_errors.bump();
        }
    }

    /// The ends of an answer to a frame. It goes by our own routes; to the frame's sender while the neighbour on the
    /// way is unknown.
    pub(super) fn answer_ends<N: Nic>(
        &self,
        nic: &mut N,
        frame: &Frame<'_>,
        from: IpAddress,
        to: IpAddress,
    ) -> Option<Ends> {
        let known = self.next_hop(to).and_then(|hop| self.neighbours.known(hop));
        let mac = known.or_else(|| frame.bytes(nic).and_then(sender))?;
        Some(Ends { from, to, mac })
    }
}

const fn protocol(ends: Ends) -> IpProtocol {
    match ends.from {
        IpAddress::Ipv4(_) => IpProtocol::Icmp,
        IpAddress::Ipv6(_) => IpProtocol::Icmpv6,
    }
}

/// Source and destination of an IP packet.
fn ends_of(packet: &[u8]) -> Option<(IpAddress, IpAddress)> {
    use smoltcp::wire::{Ipv4Packet, Ipv6Packet};
    if packet.first()? >> 4 == 4 {
        let packet = Ipv4Packet::new_checked(packet).ok()?;
        return Some((packet.src_addr().into(), packet.dst_addr().into()));
    }
    let packet = Ipv6Packet::new_checked(packet.get(..).filter(|bytes| bytes.len() >= V6)?).ok()?;
    Some((packet.src_addr().into(), packet.dst_addr().into()))
}
