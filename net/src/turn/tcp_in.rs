//! TCP segments: each to its connection, by 4-tuple.

use nic::Nic;
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::TcpSeqNumber;

use crate::base::counters::FrameKind;
use crate::base::sched::Job;
use crate::frame::classify::Segment;
use crate::link::interface::Replay;
use crate::tcp::conn::Owner;
use crate::tcp::open::Admission;
use crate::turn::ingress::Frame;
use crate::turn::path_mtu::Ways;
use crate::turn::state::State;

impl State {
    pub(super) fn tcp_frame<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, segment: &Segment) {
        self.counters.received(FrameKind::Tcp);
        let known = self.conns.find(&segment.tuple);
        let known = known.filter(|id| !(segment.opens && self.give_way(*id, segment)));
        let admission = known.map_or_else(|| self.admit(segment), Admission::Conn);
        match admission {
            Admission::Conn(id) => self.feed_conn(nic, frame, id, segment),
            Admission::Drop(reason) => {
                self.drops.bump(reason);
                frame.discard(nic);
            }
            Admission::Refuse => {
                if self.reset_bucket.take(self.now) {
                    self.counters.refused.bump();
                    self.feed_nobody(nic, frame);
                } else {
                    self.counters.resets_limited.bump();
                    frame.discard(nic);
                }
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

    fn feed_conn<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, id: usize, segment: &Segment) {
        let Some(conn) = self.conns.get_mut(id) else { return frame.discard(nic) };
        let before = conn.socket().state();
        nic.steer(conn.flow);
        self.counters.socket_visits.bump();
        if before == tcp::State::Listen {
            return self.give_birth(nic, frame, id, segment);
        }
        let ways = Ways { real: &mut self.iface, wide: self.wide.as_deref_mut(), narrow: &mut self.narrow };
        let (iface, _) = ways.of(conn, before, self.now);
        ingest(iface, nic, frame, self.now, &mut conn.sockets);
        conn.follow(Some(segment), before, self.now, &mut self.counters);
        self.sched.mark(Job::Tcp(id), &mut conn.slot);
    }

    /// The first segment of a connection, which gives it its sequence number. An interface is several KiB: nobody else
    /// need have room for one.
    #[inline(never)]
    fn give_birth<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, id: usize, segment: &Segment) {
        let Some(tuple) = self.conns.get(id).map(|conn| conn.tuple) else { return };
        let mut birthplace = self.birthplace(&tuple);
        let Some(conn) = self.conns.get_mut(id) else { return };
        ingest(&mut birthplace, nic, frame, self.now, &mut conn.sockets);
        conn.follow(Some(segment), tcp::State::Listen, self.now, &mut self.counters);
        self.sched.mark(Job::Tcp(id), &mut conn.slot);
    }

    /// smoltcp answers with RST, if an answer is due.
    fn feed_nobody<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>) {
        nic.steer(0);
        ingest(&mut self.iface, nic, frame, self.now, &mut self.nowhere);
    }
}

/// Gives a frame to smoltcp.
fn ingest<N: Nic>(
    iface: &mut Interface,
    nic: &mut N,
    frame: Frame<'_>,
    now: Instant,
    sockets: &mut SocketSet<'static>,
) {
    match frame {
        Frame::InPlace => iface.poll_ingress_single(now, nic, sockets),
        Frame::Rebuilt(bytes) => {
            iface.poll_ingress_single(now, &mut Replay { frame: Some(bytes), nic }, sockets)
        }
    };
}

/// Whether `a` comes after `b` in a sequence space that wraps, or is `b`.
fn after(a: TcpSeqNumber, b: TcpSeqNumber) -> bool {
    a.0.wrapping_sub(b.0) >= 0
}
