//! A TCP connection as an application holds it.
//!
//! ```text
//!   write ─► send buffer ─(turn)─► segments        segments ─(turn)─► receive buffer ─► read
//! ```
//!
//! Reading and writing copy between the application's buffer and the socket's and never touch the wire; the next turn
//! does. One task may read while another writes ([`TcpStream::split`]); two that read, or two that write, cannot be.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;

use embedded_io_async::{ErrorType, Read, ReadReady, Write, WriteReady};
use smoltcp::socket::tcp;
use smoltcp::wire::IpEndpoint;

use crate::base::error::NetError;
use crate::base::sched::Job;
use crate::base::time;
use crate::frame::demux::Tuple;
use crate::tcp::half::{TcpReader, TcpWriter};
use crate::tcp::life::End;
use crate::turn::state::Shared;

/// A TCP connection.
///
/// Dropping it closes it in the background: what was written is still sent, then FIN; what comes in is thrown away.
/// If the peer does not finish within a minute, the connection is reset.
pub struct TcpStream {
    state: Shared,
    id: usize,
    ends: Tuple,
}

impl TcpStream {
    pub(crate) const fn new(state: Shared, id: usize, ends: Tuple) -> Self {
        Self { state, id, ends }
    }

    /// The other end.
    #[must_use]
    pub const fn peer(&self) -> IpEndpoint {
        self.ends.remote
    }

    /// Our end.
    #[must_use]
    pub const fn local(&self) -> IpEndpoint {
        self.ends.local
    }

    /// Gives up when the peer is silent for this long while it owes us something; see [`crate::TcpOptions::timeout`].
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.with(|conn| conn.timeout = timeout.map(time::duration));
    }

    /// Asks after this much silence whether the peer is still there; see [`crate::TcpOptions::keep_alive`].
    pub fn set_keep_alive(&mut self, interval: Option<Duration>) {
        self.with(|conn| conn.socket_mut().set_keep_alive(interval.map(time::duration)));
    }

    /// Reading and writing at the same time, from two futures of one task or of two.
    pub fn split(&mut self) -> (TcpReader<'_>, TcpWriter<'_>) {
        (TcpReader::new(self), TcpWriter::new(self))
    }

    /// Closes our direction: sends what was written, then FIN, and waits until the peer has acknowledged it all.
    ///
    /// The peer's direction stays open: reading goes on until the peer closes too.
    ///
    /// # Errors
    /// Why the connection ended before that.
    pub async fn close(&mut self) -> Result<(), NetError> {
        self.finish().await
    }

    /// Resets the connection at once; what was written may be lost.
    pub fn abort(&mut self) {
        self.with(|conn| {
            conn.fault = Some(NetError::Closed);
            conn.socket_mut().abort();
        });
    }

    /// Reads without a copy: waits for data, lends the first contiguous piece, and takes as much from the buffer as
    /// `read` says it consumed. The piece is empty at the end of the stream.
    ///
    /// `read` must not use the stack: it is borrowed.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn read_with<R>(&mut self, read: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, NetError> {
        self.take_with(read).await
    }

    /// Writes without a copy: waits for room, lends a contiguous piece of the buffer, and sends as much of it as
    /// `write` says it wrote. The piece holds old bytes until they are overwritten.
    ///
    /// `write` must not use the stack: it is borrowed.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn write_with<R>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, NetError> {
        self.put_with(write).await
    }

    fn with(&self, change: impl FnOnce(&mut crate::tcp::conn::Conn)) {
        let mut state = self.state.borrow_mut();
        if let Some(conn) = state.conns.get_mut(self.id) {
            change(conn);
        }
        state.mark(Job::Tcp(self.id));
    }

    /// Waits until the connection that was asked for is there.
    pub(crate) async fn connected(&self) -> Result<(), NetError> {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            let Some(conn) = state.conns.get_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
            let fault = conn.fault;
            let socket = conn.socket_mut();
            match socket.state() {
                tcp::State::SynSent | tcp::State::SynReceived => {
                    socket.register_send_waker(cx.waker());
                    Poll::Pending
                }
                tcp::State::Closed => Poll::Ready(Err(fault.unwrap_or(NetError::Reset))),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    // No `async fn` where one poll says it all: each is a state more to be asked for.
    pub(crate) fn read_some(&self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, NetError>> {
        poll_fn(move |cx| match buffer {
            [] => Poll::Ready(Ok(0)),
            _ => self.poll_recv(cx, |socket| copy_out(socket, buffer)),
        })
    }

    pub(crate) async fn take_with<R>(&self, read: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, NetError> {
        let mut read = Some(read);
        poll_fn(|cx| {
            // At the end of the stream smoltcp lends nothing; the closure is still asked, with nothing to read.
            let result = self.poll_recv(cx, |socket| match read.take() {
                Some(read) => socket.recv(|piece| lend(read, piece)).map(Some),
                None => Ok(None),
            });
            match result {
                Poll::Ready(Ok(None)) => Poll::Ready(match read.take() {
                    Some(read) => Ok(read(&[]).1),
                    None => Err(NetError::Closed),
                }),
                Poll::Ready(Ok(Some(value))) => Poll::Ready(Ok(value)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Takes received bytes with `take`; the default value is the end of the stream.
    fn poll_recv<R: Default>(
        &self,
        cx: &Context<'_>,
        take: impl FnOnce(&mut tcp::Socket<'static>) -> Result<R, tcp::RecvError>,
    ) -> Poll<Result<R, NetError>> {
        let state = &mut *self.state.borrow_mut();
        let Some(conn) = state.conns.get_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
        let fault = conn.fault;
        let socket = conn.socket_mut();
        if socket.can_recv() {
            let taken = take(socket).map_err(|_| fault.unwrap_or(NetError::Closed));
            // The window may have opened.
            state.sched.mark(Job::Tcp(self.id), &mut conn.slot);
            return Poll::Ready(taken);
        }
        if socket.may_recv() || matches!(socket.state(), tcp::State::SynSent | tcp::State::SynReceived) {
            socket.register_recv_waker(cx.waker());
            return Poll::Pending;
        }
        // Nothing is left and nothing will come: an orderly end, or why not.
        match (fault, socket.recv(|_| (0, ()))) {
            (None, Err(tcp::RecvError::Finished)) => Poll::Ready(Ok(R::default())),
            (fault, _) => Poll::Ready(Err(fault.unwrap_or(NetError::Closed))),
        }
    }

    pub(crate) fn write_some(&self, bytes: &[u8]) -> impl Future<Output = Result<usize, NetError>> {
        poll_fn(move |cx| match bytes {
            [] => Poll::Ready(Ok(0)),
            _ => self.poll_send(cx, |socket| copy_in(socket, bytes)),
        })
    }

    pub(crate) async fn put_with<R>(
        &self,
        write: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, NetError> {
        let mut write = Some(write);
        let value = poll_fn(|cx| {
            self.poll_send(cx, |socket| match write.take() {
                Some(write) => socket.send(|piece| lend_mut(write, piece)).map(Some),
                None => Ok(None),
            })
        })
        .await?;
        value.ok_or(NetError::Closed)
    }

    fn poll_send<R>(
        &self,
        cx: &Context<'_>,
        put: impl FnOnce(&mut tcp::Socket<'static>) -> Result<R, tcp::SendError>,
    ) -> Poll<Result<R, NetError>> {
        let state = &mut *self.state.borrow_mut();
        let Some(conn) = state.conns.get_mut(self.id) else { return Poll::Ready(Err(NetError::Closed)) };
        let fault = conn.fault;
        let socket = conn.socket_mut();
        if !socket.may_send() {
            return Poll::Ready(Err(fault.unwrap_or(NetError::Closed)));
        }
        if !socket.can_send() {
            socket.register_send_waker(cx.waker());
            return Poll::Pending;
        }
        let put = put(socket).map_err(|_| NetError::Closed);
        state.sched.mark(Job::Tcp(self.id), &mut conn.slot);
        Poll::Ready(put)
    }

    pub(crate) async fn finish(&self) -> Result<(), NetError> {
        self.with(|conn| conn.socket_mut().close());
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            let Some(conn) = state.conns.get_mut(self.id) else { return Poll::Ready(Ok(())) };
            let fault = conn.fault;
            let socket = conn.socket_mut();
            match socket.state() {
                tcp::State::FinWait2 | tcp::State::TimeWait | tcp::State::Closed => {
                    Poll::Ready(fault.map_or(Ok(()), Err))
                }
                _ => {
                    socket.register_send_waker(cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(crate) fn readable(&self) -> bool {
        self.state
            .borrow_mut()
            .conns
            .get(self.id)
            .is_none_or(|conn| conn.socket().can_recv() || !conn.socket().may_recv())
    }

    pub(crate) fn writable(&self) -> bool {
        self.state
            .borrow_mut()
            .conns
            .get(self.id)
            .is_none_or(|conn| conn.socket().can_send() || !conn.socket().may_send())
    }
}

/// Reads up to a buffer full. What was received lies in one piece as a rule, and in two around the end of its buffer.
fn copy_out(socket: &mut tcp::Socket<'static>, buffer: &mut [u8]) -> Result<usize, tcp::RecvError> {
    let len = socket.recv(|piece| copy(piece, buffer))?;
    match buffer.get_mut(len..) {
        Some(rest) if !rest.is_empty() && socket.can_recv() => {
            Ok(len.saturating_add(socket.recv(|piece| copy(piece, rest))?))
        }
        _ => Ok(len),
    }
}

/// Writes what there is room for, which is in one piece or in two in the same way.
fn copy_in(socket: &mut tcp::Socket<'static>, bytes: &[u8]) -> Result<usize, tcp::SendError> {
    let len = socket.send(|piece| copy(bytes, piece))?;
    match bytes.get(len..) {
        Some(rest) if !rest.is_empty() && socket.can_send() => {
            Ok(len.saturating_add(socket.send(|piece| copy(rest, piece))?))
        }
        _ => Ok(len),
    }
}

/// Copies as much as there is, and room for; twice the number of bytes, for smoltcp and for the caller.
fn copy(from: &[u8], into: &mut [u8]) -> (usize, usize) {
    let len = from.len().min(into.len());
    if let (Some(from), Some(into)) = (from.get(..len), into.get_mut(..len)) {
        into.copy_from_slice(from);
    }
    (len, len)
}

/// Never takes more than was lent, whatever the application says.
fn lend<R>(read: impl FnOnce(&[u8]) -> (usize, R), piece: &[u8]) -> (usize, R) {
    let (consumed, value) = read(piece);
    (consumed.min(piece.len()), value)
}

fn lend_mut<R>(write: impl FnOnce(&mut [u8]) -> (usize, R), piece: &mut [u8]) -> (usize, R) {
    let (written, value) = write(piece);
    (written.min(piece.len()), value)
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.state.borrow_mut().orphan(self.id, End::Close);
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl ErrorType for TcpStream {
    type Error = NetError;
}

impl Read for TcpStream {
    /// Waits for data; `Ok(0)` is the end of the stream.
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, NetError>> {
        self.read_some(buf)
    }
}

impl ReadReady for TcpStream {
    fn read_ready(&mut self) -> Result<bool, NetError> {
        Ok(self.readable())
    }
}

impl Write for TcpStream {
    /// Waits for room in the send buffer and copies as much as fits.
    fn write(&mut self, buf: &[u8]) -> impl Future<Output = Result<usize, NetError>> {
        self.write_some(buf)
    }

    /// Does nothing: what is written is the stack's already and leaves in the next turn. To know that the peer has it,
    /// use [`TcpStream::close`].
    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

impl WriteReady for TcpStream {
    fn write_ready(&mut self) -> Result<bool, NetError> {
        Ok(self.writable())
    }
}
