//! A TCP connection and the table of all of them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use nic::HashKey;
use slab::Slab;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::TcpSeqNumber;

use crate::base::counters::Counters;
use crate::base::error::NetError;
use crate::base::sched::Slot;
use crate::base::time;
use crate::frame::classify::{Segment, UNNAMED_MSS};
use crate::frame::demux::{Demux, Tuple};

/// Who answers for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A listener; the handshake is not finished.
    HalfOpen(u16),
    /// A listener; waits to be accepted.
    Ready,
    /// An application, by its [`crate::TcpStream`].
    Held,
    /// Nobody: it is being closed.
    Orphan,
}

/// One connection: a set with one socket, and what smoltcp does not keep.
pub(crate) struct Conn {
    pub(crate) sockets: SocketSet<'static>,
    handle: SocketHandle,
    pub(crate) tuple: Tuple,
    pub(crate) owner: Owner,
    pub(crate) slot: Slot,
    /// Why it ended, unless orderly.
    pub(crate) fault: Option<NetError>,
    /// Ends however it stands: handshakes and orphans.
    pub(crate) expires: Option<Instant>,
    /// Whether frames find it.
    pub(crate) mapped: bool,
    /// The hash of its flow, by which an interface with several queues chooses one.
    pub(crate) flow: u32,
    /// Since when it is in TIME-WAIT.
    pub(crate) time_wait: Option<Instant>,
    /// What followed the last segment in the peer's sequence space.
    pub(crate) next_seq: TcpSeqNumber,
    /// Payload of the longest segment that the peer takes.
    pub(crate) mss: u16,
    /// What the peer last said that it has of ours.
    pub(crate) acked: TcpSeqNumber,
    /// Until when its path is taken to be narrow.
    pub(crate) narrow_until: Option<Instant>,
    /// When the peer last sent anything.
    pub(crate) heard: Instant,
    /// Since when the peer owes us an acknowledgement.
    pub(crate) owes_since: Option<Instant>,
    /// How long it may owe; see [`crate::TcpOptions::timeout`].
    pub(crate) timeout: Option<Duration>,
    /// The same, while connecting.
    pub(crate) connect_timeout: Duration,
}

impl Conn {
    pub(crate) fn new(socket: tcp::Socket<'static>, tuple: Tuple, owner: Owner, now: Instant) -> Self {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self {
            sockets,
            handle,
            tuple,
            owner,
            slot: Slot::default(),
            fault: None,
            expires: None,
            mapped: true,
            flow: 0,
            time_wait: None,
            next_seq: TcpSeqNumber::default(),
            mss: UNNAMED_MSS,
            acked: TcpSeqNumber::default(),
            narrow_until: None,
            heard: now,
            owes_since: None,
            timeout: None,
            connect_timeout: Duration::ZERO,
        }
    }

    pub(crate) fn socket(&self) -> &tcp::Socket<'static> {
        self.sockets.get(self.handle)
    }

    pub(crate) fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Bytes of its buffers.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.socket().recv_capacity().saturating_add(self.socket().send_capacity())
    }

    /// The state's name in RFC 9293.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.socket().state() {
            tcp::State::Closed => "closed",
            tcp::State::Listen => "listen",
            tcp::State::SynSent => "syn-sent",
            tcp::State::SynReceived => "syn-received",
            tcp::State::Established => "established",
            tcp::State::FinWait1 => "fin-wait-1",
            tcp::State::FinWait2 => "fin-wait-2",
            tcp::State::CloseWait => "close-wait",
            tcp::State::Closing => "closing",
            tcp::State::LastAck => "last-ack",
            tcp::State::TimeWait => "time-wait",
        }
    }

    /// Whether nothing will be sent or received any more. smoltcp forgets the peer once its RST is out.
    pub(crate) fn is_over(&self) -> bool {
        self.socket().state() == tcp::State::Closed && self.socket().remote_endpoint().is_none()
    }

    /// When we give up on a peer that owes us an acknowledgement.
    ///
    /// smoltcp has such a timeout, but it runs while a connection is idle and starts from the last segment received:
    /// a FIN after a quiet hour would time out at once.
    pub(crate) fn gives_up(&self, state: tcp::State) -> Option<Instant> {
        let since = self.owes_since?.max(self.heard);
        let timeout = match state {
            tcp::State::SynSent => Some(self.connect_timeout),
            _ => self.timeout,
        };
        Some(time::after(since, timeout?))
    }

    /// Whether one of our deadlines is reached.
    pub(crate) fn is_due(&self, state: tcp::State, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now) || self.gives_up(state).is_some_and(|at| at <= now)
    }

    /// Whether there is nothing to be settled, as with nearly all, nearly always.
    pub(crate) fn is_steady(&self, state: tcp::State) -> bool {
        self.owner == Owner::Held && state == tcp::State::Established
    }

    /// Keeps what a frame tells beside what smoltcp keeps of it: its segment, if it was a whole one. `before`: the state in
    /// which it came.
    pub(crate) fn follow(
        &mut self,
        segment: Option<&Segment>,
        before: tcp::State,
        now: Instant,
        counters: &mut Counters,
    ) {
        self.heard = now;
        let state = self.socket().state();
        if let Some(segment) = segment {
            if state != tcp::State::TimeWait || before != state {
                self.next_seq = segment.next;
            }
            self.acked = segment.ack;
            self.mss = segment.mss.unwrap_or(self.mss);
        }
        match (before, state) {
            _ if before == state => {}
            (tcp::State::SynSent, tcp::State::Established) => counters.connected.bump(),
            (_, tcp::State::Closed) if self.fault.is_none() && segment.is_some_and(|segment| segment.rst) => {
                let refused = before == tcp::State::SynSent;
                self.fault = Some(if refused { NetError::Refused } else { NetError::Reset });
                counters.reset.bump();
            }
            _ => {}
        }
    }

    /// Notes what came of polling it in state `before`; the state now. If smoltcp has closed it, its address was lost: our
    /// timeouts are not smoltcp's, and it closes for no other reason.
    pub(crate) fn note_polled(&mut self, before: tcp::State, now: Instant) -> tcp::State {
        let state = self.note_debt(now);
        let closed = state == tcp::State::Closed && before != state;
        if closed && before != tcp::State::TimeWait && self.fault.is_none() {
            self.fault = Some(NetError::AddressLost);
        }
        state
    }

    /// Keeps account of whether the peer owes us an acknowledgement; the state.
    pub(crate) fn note_debt(&mut self, now: Instant) -> tcp::State {
        let socket = self.socket();
        let state = socket.state();
        let owes = socket.send_queue() > 0
            || socket.keep_alive().is_some()
            || matches!(
                state,
                tcp::State::SynSent | tcp::State::FinWait1 | tcp::State::Closing | tcp::State::LastAck
            );
        self.owes_since = owes.then(|| self.owes_since.unwrap_or(now));
        state
    }

    /// Does not count time in which we did not run as silence of the peer's: neither could it be heard, nor did we
    /// send again what it did not get.
    pub(crate) fn forgive(&mut self, standstill: Duration, now: Instant) {
        self.heard = time::after(self.heard, standstill).min(now);
        self.owes_since = self.owes_since.map(|at| time::after(at, standstill).min(now));
        self.expires = self.expires.map(|at| time::after(at, standstill));
    }

    /// Whether the end of TIME-WAIT must wait: smoltcp would throw away what the application has not read.
    pub(crate) fn holds_unread(&self) -> bool {
        self.time_wait.is_some() && self.owner == Owner::Held && self.socket().can_recv()
    }
}

/// All connections, by number and by 4-tuple.
pub(crate) struct Conns {
    slab: Slab<Conn>,
    demux: Demux,
    /// The key with which the interface wants flows to be hashed.
    pub(crate) flow_key: Option<HashKey>,
    pub(crate) half_open: usize,
    /// Bytes of all buffers.
    pub(crate) buffer_bytes: usize,
    /// Orphans in TIME-WAIT, oldest first.
    pub(crate) time_wait: VecDeque<usize>,
}

impl Conns {
    pub(crate) fn new(capacity: usize, key: [u64; 2]) -> Self {
        Self {
            slab: Slab::new(),
            demux: Demux::new(capacity, key),
            flow_key: None,
            half_open: 0,
            buffer_bytes: 0,
            time_wait: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn get(&self, id: usize) -> Option<&Conn> {
        self.slab.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: usize) -> Option<&mut Conn> {
        self.slab.get_mut(id)
    }

    pub(crate) fn find(&self, tuple: &Tuple) -> Option<usize> {
        self.demux.find(tuple)
    }

    /// Adds a connection whose tuple is free.
    pub(crate) fn insert(&mut self, mut conn: Conn) -> usize {
        let tuple = conn.tuple;
        conn.flow = self.flow_key.map_or_else(
            || self.demux.hash(&tuple),
            |key| key.flow((tuple.remote.addr, tuple.remote.port), (tuple.local.addr, tuple.local.port)),
        );
        self.buffer_bytes = self.buffer_bytes.saturating_add(conn.buffer_bytes());
        let id = self.slab.insert(conn);
        self.demux.insert(tuple, id);
        id
    }

    /// Frames do not find the connection any more; its ports are free.
    pub(crate) fn unmap(&mut self, id: usize) {
        if let Some(conn) = self.slab.get_mut(id).filter(|conn| conn.mapped) {
            conn.mapped = false;
            self.demux.remove(&conn.tuple);
        }
    }

    pub(crate) fn remove(&mut self, id: usize) -> Option<Conn> {
        self.unmap(id);
        let conn = self.slab.try_remove(id)?;
        self.buffer_bytes = self.buffer_bytes.saturating_sub(conn.buffer_bytes());
        if matches!(conn.owner, Owner::HalfOpen(_)) {
            self.half_open = self.half_open.saturating_sub(1);
        }
        if conn.time_wait.is_some() {
            self.time_wait.retain(|other| *other != id);
        }
        Some(conn)
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slab.iter().map(|(_, conn)| conn)
    }

    /// The numbers of all connections.
    pub(crate) fn ids(&self) -> Vec<usize> {
        self.slab.iter().map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::iface::SocketStorage;

    use super::*;

    #[test]
    fn a_connection_takes_less_than_two_kibibytes_besides_its_buffers() {
        let bytes = size_of::<Conn>().saturating_add(size_of::<SocketStorage<'_>>());
        assert!(bytes < 1900, "{bytes} bytes");
    }
}
