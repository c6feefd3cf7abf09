//! The one place where TCP sockets are made: for a SYN that came in, and for a connection that we open.
//!
//! Their initial sequence numbers are ours: [`crate::tcp::isn`].

use alloc::vec::Vec;

use smoltcp::socket::tcp;
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

use crate::base::counters::DropReason;
use crate::base::error::NetError;
use crate::base::options::TcpOptions;
use crate::base::sched::Job;
use crate::base::time;
use crate::frame::classify::Segment;
use crate::frame::demux::Tuple;
use crate::tcp::conn::{Conn, Owner};
use crate::turn::state::State;

/// How long a peer may take to finish its handshake: SYN|ACK goes out at 0, 1, 3 and 7 s.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(12);

/// Bounds of a buffer, bytes. smoltcp panics beyond 1 GiB.
const BUFFER_MIN: usize = 256;
const BUFFER_MAX: usize = 64 * 1024 * 1024;

/// What becomes of a segment that belongs to no connection.
pub(crate) enum Admission {
    /// A connection was made for it.
    Conn(usize),
    /// It is dropped silently: the peer will try again.
    Drop(DropReason),
    /// Nobody listens: it is answered with RST.
    Refuse,
}

impl State {
    /// Makes a connection for a SYN to a port that is listened on, within the caps.
    pub(crate) fn admit(&mut self, segment: &Segment) -> Admission {
        let port = segment.tuple.local.port;
        if !segment.opens || segment.tuple.remote.port == 0 {
            return Admission::Refuse;
        }
        let Some(listener) = self.listeners.get(&port) else { return Admission::Refuse };
        if listener.pending() >= listener.options.backlog {
            return Admission::Drop(DropReason::Backlog);
        }
        if self.conns.half_open >= self.limits.half_open {
            return Admission::Drop(DropReason::HalfOpen);
        }
        let bytes = buffer_bytes(&listener.options);
        if !self.has_room(bytes) {
            return Admission::Drop(DropReason::Connections);
        }
        self.open_passive(segment.tuple)
    }

    fn open_passive(&mut self, tuple: Tuple) -> Admission {
        let Some(listener) = self.listeners.get_mut(&tuple.local.port) else { return Admission::Refuse };
        let Some(mut socket) = socket(&listener.options) else {
            return Admission::Drop(DropReason::Connections);
        };
        let here = IpListenEndpoint { addr: Some(tuple.local.addr), port: tuple.local.port };
        if socket.listen(here).is_err() {
            return Admission::Refuse;
        }
        listener.half_open = listener.half_open.saturating_add(1);
        let mut conn = Conn::new(socket, tuple, Owner::HalfOpen(tuple.local.port), self.now);
        conn.timeout = listener.options.timeout.map(time::duration);
        conn.expires = Some(time::after(self.now, HANDSHAKE_TIMEOUT));
        self.conns.half_open = self.conns.half_open.saturating_add(1);
        Admission::Conn(self.conns.insert(conn))
    }

    /// Starts connecting to `remote`.
    pub(crate) fn open_active(
        &mut self,
        remote: IpEndpoint,
        options: &TcpOptions,
    ) -> Result<(usize, Tuple), NetError> {
        let local = self.local_for(remote)?;
        if !self.has_room(buffer_bytes(options)) {
            return Err(NetError::TooManyConnections);
        }
        let tuple = self
            .rng
            .ephemeral_ports()
            .map(|port| Tuple { local: IpEndpoint::new(local, port), remote })
            .find(|tuple| self.conns.find(tuple).is_none() && !self.listeners.contains_key(&tuple.local.port))
            .ok_or(NetError::NoPorts)?;
        let mut socket = socket(options).ok_or(NetError::TooManyConnections)?;
        let mut birthplace = self.birthplace(&tuple);
        socket.connect(birthplace.context(), remote, tuple.local).map_err(|_| NetError::Unaddressable)?;
        let mut conn = Conn::new(socket, tuple, Owner::Held, self.now);
        conn.timeout = options.timeout.map(time::duration);
        conn.connect_timeout = time::duration(options.connect_timeout);
        conn.owes_since = Some(self.now);
        let id = self.conns.insert(conn);
        self.mark(Job::Tcp(id));
        Ok((id, tuple))
    }

    /// Our address for talking to `remote`.
    fn local_for(&self, remote: IpEndpoint) -> Result<IpAddress, NetError> {
        let peer = remote.addr;
        if !self.me.speaks(peer) {
            return Err(NetError::NoAddress);
        }
        if remote.port == 0 || !self.me.is_peer(peer) {
            return Err(NetError::Unaddressable);
        }
        self.next_hop(peer).and_then(|_| self.iface.get_source_address(&peer)).ok_or(NetError::NoRoute)
    }

    /// Whether there is room for one more connection with buffers of so many bytes, made from the oldest in TIME-WAIT
    /// if need be.
    fn has_room(&mut self, bytes: usize) -> bool {
        while !self.fits(bytes) {
            let Some(oldest) = self.conns.time_wait.pop_front() else { return false };
            self.counters.time_wait_recycled.bump();
            self.remove(oldest);
        }
        true
    }

    fn fits(&self, bytes: usize) -> bool {
        self.conns.len() < self.limits.connections
            && self.conns.buffer_bytes.saturating_add(bytes) <= self.limits.buffer_bytes
    }
}

fn buffer_bytes(options: &TcpOptions) -> usize {
    let clamped = |size: usize| size.clamp(BUFFER_MIN, BUFFER_MAX);
    clamped(options.rx_buffer).saturating_add(clamped(options.tx_buffer))
}

/// A socket with its buffers; `None`: the memory is too full, or too torn, for them.
fn socket(options: &TcpOptions) -> Option<tcp::Socket<'static>> {
    let buffer = |size: usize| {
        let size = size.clamp(BUFFER_MIN, BUFFER_MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).ok()?;
        bytes.resize(size, 0);
        Some(tcp::SocketBuffer::new(bytes))
    };
    let mut socket = tcp::Socket::new(buffer(options.rx_buffer)?, buffer(options.tx_buffer)?);
    socket.set_congestion_control(tcp::CongestionControl::Reno);
    socket.set_nagle_enabled(options.nagle);
    socket.set_ack_delay(options.ack_delay.map(time::duration));
    socket.set_keep_alive(options.keep_alive.map(time::duration));
    Some(socket)
}
