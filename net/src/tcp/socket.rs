//! The operations of applications on connections: each call is one poll.

use core::task::{Context, Poll};

use bytes::Bytes;
use tcp::{SendError, State};

use crate::base::chunk::Chunk;
use crate::base::copy::{copy, zeros};
use crate::base::counters::Counters;
use crate::base::error::NetError;
use crate::base::options::TcpOptions;
use crate::tcp::conn::{Conn, ConnFlags, Owner};
use crate::tcp::listener::Listener;
use crate::tcp::shard::{End, Shard};

/// Largest slice that a zero-copy write gets, in bytes.
const MAX_WRITE_SPACE: usize = 16 * 1024;

impl Shard {
    /// Listens on a port.
    pub(crate) fn listen(&mut self, port: u16, options: TcpOptions) -> Result<(), NetError> {
        if self.listeners.get(port).is_some() {
            return Err(NetError::PortInUse);
        }
        self.listeners.insert(port, Listener::new(options));
        Ok(())
    }

    /// Closes a port. Its waiting and parked connections are reset.
    pub(crate) fn unlisten(&mut self, port: u16, counters: &mut Counters) {
        self.listeners.remove(port);
        let waiting = |conn: &Conn| matches!(conn.owner, Owner::Ready | Owner::Parked);
        for id in 0..self.conns.end() {
            let of_port = self.conns.local_port(id) == Some(port);
            if of_port && self.get(id).is_some_and(waiting) {
                self.orphan(id, End::Abort, counters);
            }
        }
    }

    pub(crate) fn listener_mut(&mut self, port: u16) -> Option<&mut Listener> {
        self.listeners.get_mut(port)
    }

    /// Takes a waiting connection. Returns its number, its name, and whether it is new.
    pub(crate) fn take_ready(
        &mut self,
        port: u16,
        counters: &mut Counters,
    ) -> Option<(u32, tcp::tuple::FourTuple, bool)> {
        loop {
            let id = self.listeners.get_mut(port)?.ready.pop_front()?;
            // A connection that was ended in the meantime is gone.
            let Some(tuple) = self.conns.tuple(id).filter(|tuple| tuple.local_port == port) else { continue };
            let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.owner == Owner::Ready) else {
                continue;
            };
            conn.owner = Owner::Held;
            if !conn.is(ConnFlags::WAS_HELD) {
                conn.flags.insert(ConnFlags::WAS_HELD);
                counters.accepted.bump();
                return Some((id, tuple, true));
            }
            return Some((id, tuple, false));
        }
    }

    /// Returns a connection to its listener until bytes are received.
    pub(crate) fn park(&mut self, id: u32, counters: &mut Counters) {
        let at = self.at;
        let listened = self.conns.local_port(id).is_some_and(|port| self.listeners.get(port).is_some());
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.owner = Owner::Parked;
        conn.rest();
        if listened {
            conn.begin_rest(at);
            if !conn.is_followed() {
                self.follow(id, counters);
            }
        } else {
            self.offer(id);
        }
    }

    /// Waits until a connection that this host opens is established.
    pub(crate) fn poll_connected(&mut self, cx: &Context<'_>, id: u32) -> Poll<Result<(), NetError>> {
        let Some(conn) = self.conns.get_mut(id) else { return Poll::Ready(Err(NetError::Closed)) };
        match conn.tcb.state() {
            State::SynSent | State::SynReceived => {
                conn.io().writer = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Closed => Poll::Ready(Err(conn.error().unwrap_or(NetError::Reset))),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Takes the next received bytes. `None`: the end of the stream.
    pub(crate) fn try_chunk(
        &mut self,
        id: u32,
        counters: &mut Counters,
    ) -> Poll<Result<Option<Chunk>, NetError>> {
        let found = self.update(id, counters, |conn, at, env| {
            if let Some(chunk) = conn.take_front().or_else(|| conn.tcb.recv(at, env)) {
                conn.flags.insert(ConnFlags::HAS_ASKED);
                return Poll::Ready(Ok(Some(chunk)));
            }
            if conn.tcb.at_end() {
                return Poll::Ready(conn.error().map_or(Ok(None), Err));
            }
            Poll::Pending
        });
        found.unwrap_or(Poll::Ready(Err(NetError::Closed)))
    }

    /// As [`Shard::try_chunk`]; the task is woken when there are bytes.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        counters: &mut Counters,
    ) -> Poll<Result<Option<Chunk>, NetError>> {
        let found = self.try_chunk(id, counters);
        if found.is_pending()
            && let Some(conn) = self.conns.get_mut(id)
        {
            conn.io().reader = Some(cx.waker().clone());
        }
        found
    }

    /// Puts back the rest of taken bytes. The next read begins with it.
    pub(crate) fn put_back(&mut self, id: u32, chunk: Chunk) {
        if let Some(conn) = self.conns.get_mut(id).filter(|_| !chunk.is_empty()) {
            conn.io().front = Some(chunk);
            self.charge(id);
        }
    }

    /// Calls `read` with the next received bytes; it returns the number of bytes consumed. The slice is empty at the end
    /// of the stream.
    pub(crate) fn poll_read<R>(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        counters: &mut Counters,
        read: impl FnOnce(&[u8]) -> (usize, R),
    ) -> Poll<Result<R, NetError>> {
        match self.poll_chunk(cx, id, counters) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(None)) => Poll::Ready(Ok(read(&[]).1)),
            Poll::Ready(Ok(Some(mut chunk))) => {
                let (consumed, value) = read(&chunk);
                chunk.consume(consumed);
                self.put_back(id, chunk);
                Poll::Ready(Ok(value))
            }
        }
    }

    /// Queues bytes by reference: all of them if the send buffer has any room, or else none, and they stay in `bytes`. If
    /// nobody else holds them, they count for the connection until they are acknowledged, and need memory.
    pub(crate) fn try_send(
        &mut self,
        id: u32,
        counters: &mut Counters,
        bytes: &mut Bytes,
    ) -> Poll<Result<(), NetError>> {
        let own = if bytes.is_unique() { bytes.len() } else { 0 };
        let has_memory = own == 0 || self.make_room_to_send(id, own, counters);
        let mut refused = false;
        let sent = self.update(id, counters, |conn, _, env| {
            if !has_memory && conn.tcb.send_queued() == 0 {
                // No acknowledgement would wake who waits.
                refused = true;
                return Poll::Ready(Err(conn.error().unwrap_or(NetError::NoMemory)));
            }
            if !has_memory {
                env.send_grant = 0;
            }
            match conn.tcb.send(core::mem::take(bytes), env) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(SendError::Full(rest)) => {
                    *bytes = rest;
                    Poll::Pending
                }
                Err(SendError::Closed) => Poll::Ready(Err(conn.error().unwrap_or(NetError::Closed))),
            }
        });
        if refused {
            counters.sends_refused.bump();
        }
        if own > 0 && matches!(sent, Some(Poll::Ready(Ok(())))) {
            self.charge(id);
        }
        sent.unwrap_or(Poll::Ready(Err(NetError::Closed)))
    }

    /// As [`Shard::try_send`]; the task is woken when there is room.
    pub(crate) fn poll_send(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        counters: &mut Counters,
        bytes: &mut Bytes,
    ) -> Poll<Result<(), NetError>> {
        let sent = self.try_send(id, counters, bytes);
        if sent.is_pending()
            && let Some(conn) = self.conns.get_mut(id)
        {
            conn.io().writer = Some(cx.waker().clone());
        }
        sent
    }

    /// Copies as many bytes as the send buffer has room for. Returns their number.
    pub(crate) fn poll_write(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        counters: &mut Counters,
        data: &[u8],
    ) -> Poll<Result<usize, NetError>> {
        let len = data.len().min(self.room(id, counters).clamp(1, MAX_WRITE_SPACE));
        let Some(copied) = copy(data.get(..len).unwrap_or(data)) else {
            return Poll::Ready(Err(NetError::NoMemory));
        };
        self.poll_send(cx, id, counters, &mut Bytes::from(copied)).map_ok(|()| len)
    }

    /// Calls `write` with a slice of the send buffer; it returns the number of bytes to send.
    pub(crate) fn poll_lend<R>(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        counters: &mut Counters,
        write: &mut Option<impl FnOnce(&mut [u8]) -> (usize, R)>,
    ) -> Poll<Result<R, NetError>> {
        let room = self.room(id, counters).min(MAX_WRITE_SPACE);
        if room == 0 {
            // The engine reports room only after a refused send.
            return match self.poll_send(cx, id, counters, &mut Bytes::from_static(&[0])) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            };
        }
        let Some(mut space) = zeros(room) else { return Poll::Ready(Err(NetError::NoMemory)) };
        let Some(write) = write.take() else { return Poll::Ready(Err(NetError::Closed)) };
        let (written, value) = write(&mut space);
        space.truncate(written);
        if space.is_empty() {
            return Poll::Ready(Ok(value));
        }
        self.poll_send(cx, id, counters, &mut Bytes::from(space)).map_ok(|()| value)
    }

    /// Bytes that can be queued now.
    pub(crate) fn room(&mut self, id: u32, counters: &mut Counters) -> usize {
        let room = self.update(id, counters, |conn, _, env| conn.tcb.send_room(env)).unwrap_or(0);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Ends the outgoing stream with FIN.
    pub(crate) fn shutdown(&mut self, id: u32, counters: &mut Counters) {
        self.update(id, counters, |conn, _, env| conn.tcb.shutdown(env));
    }

    /// Waits until all queued bytes, and FIN if it was queued, are acknowledged.
    pub(crate) fn poll_finished(&mut self, cx: &Context<'_>, id: u32) -> Poll<Result<(), NetError>> {
        let Some(conn) = self.conns.get_mut(id) else { return Poll::Ready(Ok(())) };
        match conn.tcb.state() {
            State::FinWait2 | State::TimeWait | State::Closed => {
                Poll::Ready(conn.error().map_or(Ok(()), Err))
            }
            _ => {
                conn.io().writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Resets a connection.
    pub(crate) fn abort(&mut self, id: u32, counters: &mut Counters) {
        self.update(id, counters, |conn, _, env| {
            conn.fault = Some(NetError::Closed);
            conn.tcb.abort(env);
        });
    }

    /// Changes the timeout or the keep-alive of a connection.
    pub(crate) fn set(&mut self, id: u32, counters: &mut Counters, change: impl FnOnce(&mut Conn)) {
        self.update(id, counters, |conn, _, _| change(conn));
    }

    /// Whether a read would not wait.
    pub(crate) fn is_readable(&self, id: u32) -> bool {
        self.get(id).is_none_or(Conn::is_readable)
    }

    /// Whether a write would not wait.
    pub(crate) fn is_writable(&mut self, id: u32, counters: &mut Counters) -> bool {
        let open = self
            .get(id)
            .is_some_and(|conn| matches!(conn.tcb.state(), State::Established | State::CloseWait));
        !open || self.room(id, counters) > 0
    }
}
