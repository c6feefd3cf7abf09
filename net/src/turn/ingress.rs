//! The receiving half of a turn: each frame to the set that it belongs to, within a budget.

use nic::{Checksum, Nic};
use smoltcp::iface::PollIngressSingleResult;
use smoltcp::socket::tcp;
use smoltcp::wire::TcpSeqNumber;

use crate::base::counters::{DropReason, FrameKind};
use crate::base::sched::Job;
use crate::frame::classify::v6::Neighbour;
use crate::frame::classify::{Class, Segment, classify};
use crate::frame::demux::Tuple;
use crate::frame::fragments::FragmentKey;
use crate::tcp::conn::Owner;
use crate::tcp::open::Admission;
use crate::turn::path_mtu::Ways;
use crate::turn::state::State;

impl State {
    /// Handles received frames up to the budget. `true`: there are more.
    pub(crate) fn receive<N: Nic>(&mut self, nic: &mut N) -> bool {
        for _ in 0..self.limits.rx_budget.max(1) {
            let Some(received) = nic.peek() else { return false };
            let verify = self.verifies() && received.checksum == Checksum::Unknown;
            let class = classify(received.frame, &self.me, verify);
            let taken = match &class {
                // Nearly all, as a rule: it goes a short way.
                Class::Tcp(segment) => self.tcp_frame(nic, segment),
                other => self.frame(nic, other),
            };
            if !taken {
                // The frame that was shown is not given: nothing is to be had of this interface now.
                return false;
            }
        }
        let more = nic.peek().is_some();
        if more {
            self.counters.rx_budget_hits.bump();
        }
        more
    }

    /// Handles the frame that was classified. `false`: the interface did not give it. A function of its own, so that what
    /// the rare ones need is not made ready for each turn.
    #[inline(never)]
    fn frame<N: Nic>(&mut self, nic: &mut N, class: &Class) -> bool {
        match class {
            Class::Drop(DropReason::EtherType) if self.feed_tap(nic) => true,
            Class::Drop(reason) => {
                self.drops.bump(*reason);
                nic.discard();
                true
            }
            Class::Common(FrameKind::Udp) if self.keep_datagram(nic) => true,
            Class::Common(kind) => {
                self.counters.received(*kind);
                let tells_neighbours = matches!(kind, FrameKind::Arp | FrameKind::Neighbour);
                if tells_neighbours {
                    self.overhear(nic);
                }
                let taken = self.feed_common(nic);
                if tells_neighbours {
                    self.retry_stuck();
                }
                taken
            }
            Class::Neighbour(what) => {
                self.counters.received(FrameKind::Neighbour);
                self.neighbour(nic, *what);
                nic.discard();
                true
            }
            Class::TooBig(big) => {
                self.counters.received(FrameKind::Icmp);
                self.too_big(big);
                nic.discard();
                true
            }
            Class::UdpFragment => {
                self.counters.received(FrameKind::Fragment);
                self.udp_fragment(nic)
            }
            Class::Tcp(segment) => self.tcp_frame(nic, segment),
            Class::TcpFragment { key, head } => {
                self.counters.received(FrameKind::Fragment);
                self.tcp_fragment(nic, *key, *head)
            }
        }
    }

    /// Handles neighbour discovery that smoltcp does not know.
    fn neighbour<N: Nic>(&mut self, nic: &mut N, what: Neighbour) {
        match what {
            Neighbour::Router => {
                if let Some(received) = nic.peek() {
                    self.advertised(received.frame);
                }
            }
            Neighbour::Probe(address) => self.defend(nic, address),
            Neighbour::Claim(address) => self.contested(address),
            Neighbour::Query => self.ip6.queried(false, self.now),
        }
    }

    fn feed_common<N: Nic>(&mut self, nic: &mut N) -> bool {
        nic.steer(0);
        let sockets = u64::try_from(self.udp.len().saturating_add(1)).unwrap_or(0);
        self.counters.socket_visits.add(sockets);
        let result = self.iface.poll_ingress_single(self.now, nic, &mut self.common);
        self.mark(Job::Common);
        result != PollIngressSingleResult::None
    }

    /// The checksum of a datagram that came in pieces can be verified only where they are put together.
    fn udp_fragment<N: Nic>(&mut self, nic: &mut N) -> bool {
        let iface = self.strict.as_mut().unwrap_or(&mut self.iface);
        let result = iface.poll_ingress_single(self.now, nic, &mut self.common);
        self.mark(Job::Common);
        result != PollIngressSingleResult::None
    }

    /// A neighbour may have answered: what waits for one is tried again. smoltcp alone would wait a second.
    fn retry_stuck(&mut self) {
        for job in self.sched.take_stuck() {
            match job {
                Job::Common => self.common_slot.unstuck(),
                Job::Udp(id) => self.udp.get_mut(id).into_iter().for_each(|entry| entry.slot.unstuck()),
                Job::Tcp(id) => self.conns.get_mut(id).into_iter().for_each(|conn| conn.slot.unstuck()),
            }
            self.mark(job);
        }
    }

    fn tcp_frame<N: Nic>(&mut self, nic: &mut N, segment: &Segment) -> bool {
        self.counters.received(FrameKind::Tcp);
        let known = self.conns.find(&segment.tuple);
        let known = known.filter(|id| !(segment.opens && self.give_way(*id, segment)));
        let admission = known.map_or_else(|| self.admit(segment), Admission::Conn);
        match admission {
            Admission::Conn(id) => self.feed_conn(nic, id, Some(segment)),
            Admission::Drop(reason) => {
                self.drops.bump(reason);
                nic.discard();
                true
            }
            Admission::Refuse => {
                self.counters.refused.bump();
                self.feed_nobody(nic)
            }
        }
    }

    /// Ends a connection in TIME-WAIT when its peer opens a new one with the same ports (RFC 9293, 3.6.1: with a
    /// sequence number beyond the old one's). `true`: it is gone.
    fn give_way(&mut self, id: usize, segment: &Segment) -> bool {
        let Some(conn) = self.conns.get(id) else { return false };
        let port = segment.tuple.local.port;
        let newer = after(segment.seq, conn.next_seq);
        let gives_way = newer && conn.time_wait.is_some() && self.listeners.contains_key(&port);
        if gives_way {
            self.counters.time_wait_recycled.bump();
            match conn.owner {
                Owner::Orphan => _ = self.remove(id),
                // Who still holds it may read on.
                _ => self.conns.unmap(id),
            }
        }
        gives_way
    }

    fn feed_conn<N: Nic>(&mut self, nic: &mut N, id: usize, segment: Option<&Segment>) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return self.feed_nobody(nic) };
        let before = conn.socket().state();
        nic.steer(conn.flow);
        self.counters.socket_visits.bump();
        if before == tcp::State::Listen {
            return self.give_birth(nic, id, segment);
        }
        let ways = Ways { real: &mut self.iface, wide: self.wide.as_deref_mut(), narrow: &mut self.narrow };
        let (iface, _) = ways.of(conn, before, self.now);
        let result = iface.poll_ingress_single(self.now, nic, &mut conn.sockets);
        conn.follow(segment, before, self.now, &mut self.counters);
        self.sched.mark(Job::Tcp(id), &mut conn.slot);
        result != PollIngressSingleResult::None
    }

    /// The first segment of a connection, which gives it its sequence number. An interface is several KiB: nobody else
    /// need have room for one.
    #[inline(never)]
    fn give_birth<N: Nic>(&mut self, nic: &mut N, id: usize, segment: Option<&Segment>) -> bool {
        let Some(tuple) = self.conns.get(id).map(|conn| conn.tuple) else { return false };
        let mut birthplace = self.birthplace(&tuple);
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let result = birthplace.poll_ingress_single(self.now, nic, &mut conn.sockets);
        conn.follow(segment, tcp::State::Listen, self.now, &mut self.counters);
        self.sched.mark(Job::Tcp(id), &mut conn.slot);
        result != PollIngressSingleResult::None
    }

    /// smoltcp answers with RST, if an answer is due.
    fn feed_nobody<N: Nic>(&mut self, nic: &mut N) -> bool {
        nic.steer(0);
        let result = self.iface.poll_ingress_single(self.now, nic, &mut self.nowhere);
        result != PollIngressSingleResult::None
    }

    /// A piece goes with the set of its connection. One that has none opens none: a SYN needs no fragments.
    fn tcp_fragment<N: Nic>(&mut self, nic: &mut N, key: FragmentKey, head: Option<Tuple>) -> bool {
        let tuple = self.fragments.tuple(key, head);
        let known = tuple.and_then(|tuple| self.conns.find(&tuple));
        let Some(iface) = self.strict.as_mut() else {
            return match known {
                Some(id) => self.feed_conn(nic, id, None),
                None => self.feed_nobody(nic),
            };
        };
        let conn = known.and_then(|id| self.conns.get_mut(id));
        let sockets = conn.map_or(&mut self.nowhere, |conn| &mut conn.sockets);
        let result = iface.poll_ingress_single(self.now, nic, sockets);
        if let Some(id) = known {
            self.mark(Job::Tcp(id));
        }
        result != PollIngressSingleResult::None
    }
}

/// Whether `a` comes after `b` in a sequence space that wraps, or is `b`.
fn after(a: TcpSeqNumber, b: TcpSeqNumber) -> bool {
    a.0.wrapping_sub(b.0) >= 0
}
