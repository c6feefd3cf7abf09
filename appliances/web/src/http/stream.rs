//! What a connection runs on: TCP, or TLS over it.
//!
//! ```text
//!   ready ─► Stream ─ recv ─► Chunk: bytes in the memory in which they came
//!              │    ◄─ send ── Bytes: by reference, read when a frame is built
//!              └─ park: no task and no buffer until there is something to read
//! ```

use core::future::Future;
use core::ops::Deref;
use core::task::Poll;
use kernel::net::{Bytes, Chunk, IpEndpoint, NetError, TcpStream};

/// A stream of bytes in both directions.
pub trait Stream {
    /// Received bytes. Dropping them gives their memory back.
    type Chunk: Deref<Target = [u8]>;
    /// Why a stream ends other than in order.
    type Error;

    /// Waits for bytes; `None`: the peer has closed its direction. The future may be dropped before it is ready, and nothing is
    /// lost.
    fn recv(&mut self) -> impl Future<Output = Result<Option<Self::Chunk>, Self::Error>>;

    /// Waits for room, and sends these bytes by reference.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Self::Error>>;

    /// As [`Stream::recv`], without waiting. `Pending`: nothing has come, or it is not known without waiting.
    fn try_recv(&mut self) -> Poll<Result<Option<Self::Chunk>, Self::Error>> {
        Poll::Pending
    }

    /// As [`Stream::send`], without waiting. `Pending`: there is no room, and the bytes stay in `bytes`.
    fn try_send(&mut self, _bytes: &mut Bytes) -> Poll<Result<(), Self::Error>> {
        Poll::Pending
    }

    /// The bytes that can be sent without waiting.
    fn room(&self) -> usize {
        0
    }

    /// The client, if that is known.
    fn peer(&self) -> Option<IpEndpoint> {
        None
    }

    /// Returns the idle connection to its listener, which yields it again with its next bytes.
    fn park(self);

    /// Ends the connection in order. What the stream itself has to say before that goes out if there is room for it.
    fn end(self)
    where
        Self: Sized,
    {
    }
}

impl Stream for TcpStream {
    type Chunk = Chunk;
    type Error = NetError;

    fn recv(&mut self) -> impl Future<Output = Result<Option<Chunk>, NetError>> {
        Self::recv(self)
    }

    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), NetError>> {
        Self::send(self, bytes)
    }

    fn try_recv(&mut self) -> Poll<Result<Option<Chunk>, NetError>> {
        Self::try_recv(self)
    }

    fn try_send(&mut self, bytes: &mut Bytes) -> Poll<Result<(), NetError>> {
        Self::try_send(self, bytes)
    }

    fn room(&self) -> usize {
        Self::room(self)
    }

    fn peer(&self) -> Option<IpEndpoint> {
        Some(Self::peer(self))
    }

    fn park(self) {
        Self::park(self);
    }
}
