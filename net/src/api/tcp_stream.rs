//! A TCP connection as an application holds it, and its two directions.
//!
//! ```text
//!   send(Bytes), write ─► rope of slices ─(iteration)─► segments        segments ─(iteration)─► list of pages ─► recv, read
//! ```
//!
//! [`TcpStream::recv`] and [`TcpStream::send`] hand bytes over by reference; `Read` and `Write` of embedded-io copy. One
//! task may read while another writes ([`TcpStream::split`]).

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;

use bytes::Bytes;
use embedded_io_async::{ErrorType, Read, ReadReady, Write, WriteReady};
use smoltcp::wire::IpEndpoint;
use tcp::tuple::FourTuple;

use crate::base::chunk::Chunk;
use crate::base::error::NetError;
use crate::base::time;
use crate::tcp::shard::End;
use crate::turn::state::Shared;

/// A TCP connection.
///
/// Dropping it closes it in the background: queued bytes are sent, then FIN; received bytes are discarded.
/// If the peer does not answer for a minute, the connection is reset.
pub struct TcpStream {
    state: Shared,
    id: u32,
    ends: FourTuple,
    /// The listener has it again.
    parked: bool,
    is_new: bool,
}

impl TcpStream {
    pub(crate) fn new(state: &Shared, id: u32, ends: FourTuple, is_new: bool) -> Self {
        Self { state: Rc::clone(state), id, ends, parked: false, is_new }
    }

    /// The other end.
    #[must_use]
    pub const fn peer(&self) -> IpEndpoint {
        IpEndpoint { addr: self.ends.remote, port: self.ends.remote_port }
    }

    /// Our end.
    #[must_use]
    pub const fn local(&self) -> IpEndpoint {
        IpEndpoint { addr: self.ends.local, port: self.ends.local_port }
    }

    /// Whether nobody has had the connection before: it was not parked.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Gives up when the peer is silent for this long while it owes us something; see [`crate::TcpOptions::timeout`].
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        let timeout = timeout.map(time::duration);
        self.state.borrow_mut().set_conn(self.id, |conn| conn.tcb.set_user_timeout(timeout));
    }

    /// Asks after this much silence whether the peer is still there; see [`crate::TcpOptions::keep_alive`].
    pub fn set_keep_alive(&mut self, interval: Option<Duration>) {
        let interval = interval.map(time::duration);
        self.state.borrow_mut().set_conn(self.id, |conn| conn.tcb.set_keep_alive(interval));
    }

    /// Reading and writing at the same time, from two futures of one task or of two.
    pub fn split(&mut self) -> (TcpReader<'_>, TcpWriter<'_>) {
        (TcpReader(self), TcpWriter(self))
    }

    /// Gives the connection back to its listener. [`crate::TcpListener::ready`] hands it out again when there is something
    /// to read, or when it has ended. Until then it costs no task and no buffer. After [`crate::TcpOptions::idle`] it is closed.
    pub fn park(self) {
        let mut this = self;
        this.parked = true;
        this.state.borrow_mut().park(this.id);
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
        self.state.borrow_mut().abort(self.id);
    }

    /// Waits for bytes and takes them, a part of the page in which they came if they are many. `None`: the stream is at
    /// its end. Drop them to give the page back.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn recv(&mut self) -> Result<Option<Chunk>, NetError> {
        poll_fn(|cx| self.state.borrow_mut().poll_chunk(cx, self.id)).await
    }

    /// Waits for room and sends these bytes by reference: they are read when a frame is built, and again when it is lost.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), NetError> {
        self.send_bytes(bytes.into()).await
    }

    /// As [`TcpStream::recv`], without waiting. `Pending`: nothing has come yet, and no task is woken for it.
    ///
    /// # Errors
    /// Why the connection ended.
    pub fn try_recv(&mut self) -> Poll<Result<Option<Chunk>, NetError>> {
        self.state.borrow_mut().try_chunk(self.id)
    }

    /// As [`TcpStream::send`], without waiting. `Pending`: there is no room, the bytes stay in `bytes`, and no task is woken.
    ///
    /// # Errors
    /// Why the connection ended.
    pub fn try_send(&mut self, bytes: &mut Bytes) -> Poll<Result<(), NetError>> {
        self.state.borrow_mut().try_send(self.id, bytes)
    }

    /// The bytes that can be sent without waiting. While it is not 0, one call of [`TcpStream::try_send`] takes any number.
    #[must_use]
    pub fn room(&self) -> usize {
        self.state.borrow_mut().room(self.id)
    }

    /// Reads without a copy: waits for data, lends the first contiguous piece, and takes as much from it as `read` says it
    /// consumed. The piece is empty at the end of the stream.
    ///
    /// `read` must not use the stack: it is borrowed.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn read_with<R>(&mut self, read: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, NetError> {
        self.take_with(read).await
    }

    /// Waits for room, lends an empty buffer, and sends as much of it as `write` says it wrote.
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

    /// Waits until the connection that was asked for is there.
    pub(crate) async fn connected(&self) -> Result<(), NetError> {
        poll_fn(|cx| self.state.borrow_mut().poll_connected(cx, self.id)).await
    }

    async fn send_bytes(&self, mut bytes: Bytes) -> Result<(), NetError> {
        if bytes.is_empty() {
            return Ok(());
        }
        poll_fn(|cx| self.state.borrow_mut().poll_send(cx, self.id, &mut bytes)).await
    }

    // No `async fn` where one poll says it all: each is a state more to be asked for.
    fn read_some(&self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, NetError>> {
        poll_fn(move |cx| {
            if buffer.is_empty() {
                return Poll::Ready(Ok(0));
            }
            self.state.borrow_mut().poll_read(cx, self.id, |piece| {
                let len = piece.len().min(buffer.len());
                if let (Some(from), Some(into)) = (piece.get(..len), buffer.get_mut(..len)) {
                    into.copy_from_slice(from);
                }
                (len, len)
            })
        })
    }

    async fn take_with<R>(&self, read: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, NetError> {
        let mut read = Some(read);
        let value = poll_fn(|cx| {
            self.state.borrow_mut().poll_read(cx, self.id, |piece| match read.take() {
                Some(read) => {
                    let (consumed, value) = read(piece);
                    (consumed.min(piece.len()), Some(value))
                }
                None => (0, None),
            })
        });
        value.await?.ok_or(NetError::Closed)
    }

    fn write_some(&self, bytes: &[u8]) -> impl Future<Output = Result<usize, NetError>> {
        poll_fn(move |cx| {
            if bytes.is_empty() {
                return Poll::Ready(Ok(0));
            }
            self.state.borrow_mut().poll_write(cx, self.id, bytes)
        })
    }

    async fn put_with<R>(&self, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> Result<R, NetError> {
        let mut write = Some(write);
        poll_fn(|cx| self.state.borrow_mut().poll_lend(cx, self.id, &mut write)).await
    }

    async fn finish(&self) -> Result<(), NetError> {
        self.state.borrow_mut().shutdown(self.id);
        poll_fn(|cx| self.state.borrow_mut().poll_finished(cx, self.id)).await
    }

    fn readable(&self) -> bool {
        self.state.borrow().is_readable(self.id)
    }

    fn writable(&self) -> bool {
        self.state.borrow_mut().is_writable(self.id)
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        if !self.parked {
            self.state.borrow_mut().orphan(self.id, End::Close);
        }
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

    /// Does nothing: what is written is the stack's already and leaves in the next iteration. To know that the peer has it,
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

/// The receiving direction of a [`TcpStream`].
#[derive(Debug)]
pub struct TcpReader<'a>(&'a TcpStream);

/// The sending direction of a [`TcpStream`].
#[derive(Debug)]
pub struct TcpWriter<'a>(&'a TcpStream);

impl TcpReader<'_> {
    /// As [`TcpStream::read_with`].
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn read_with<R>(&mut self, read: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, NetError> {
        self.0.take_with(read).await
    }

    /// As [`TcpStream::recv`].
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn recv(&mut self) -> Result<Option<Chunk>, NetError> {
        poll_fn(|cx| self.0.state.borrow_mut().poll_chunk(cx, self.0.id)).await
    }
}

impl TcpWriter<'_> {
    /// As [`TcpStream::write_with`].
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn write_with<R>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, NetError> {
        self.0.put_with(write).await
    }

    /// As [`TcpStream::send`].
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), NetError> {
        self.0.send_bytes(bytes.into()).await
    }

    /// As [`TcpStream::close`].
    ///
    /// # Errors
    /// Why the connection ended before everything was acknowledged.
    pub async fn close(&mut self) -> Result<(), NetError> {
        self.0.finish().await
    }
}

impl ErrorType for TcpReader<'_> {
    type Error = NetError;
}

impl ErrorType for TcpWriter<'_> {
    type Error = NetError;
}

impl Read for TcpReader<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetError> {
        self.0.read_some(buf).await
    }
}

impl ReadReady for TcpReader<'_> {
    fn read_ready(&mut self) -> Result<bool, NetError> {
        Ok(self.0.readable())
    }
}

impl Write for TcpWriter<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, NetError> {
        self.0.write_some(buf).await
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

impl WriteReady for TcpWriter<'_> {
    fn write_ready(&mut self) -> Result<bool, NetError> {
        Ok(self.0.writable())
    }
}
