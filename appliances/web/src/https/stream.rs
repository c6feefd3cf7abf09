//! TLS over another stream.
//!
//! ```text
//!   recv ◄─ plaintext ◄─ Session ◄─ unread ◄─ stream            the same without waiting: try_recv, try_send
//!   send ─► a record of at most [`RECORD`] bytes ─► stream          outgoing: handshake, tickets, alerts ─► stream
//!   park ─► Sessions: the session rests until its connection is ready again
//! ```
//!
//! What a session holds beside its own state is charged to the ledger before it is taken; a client for whom there is no
//! memory loses its connection.

use crate::http::{AT_ONCE, Stream};
use crate::https::sessions::{Parked, Sessions};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::task::{Poll, ready};
use kernel::ledger::Refused;
use kernel::net::{Bytes, IpEndpoint};

/// Bytes of plaintext in a record: what a client that does not read makes us keep.
const RECORD: usize = 4096;
/// Bytes that a record has beside its plaintext: header, content type, tag.
const OVERHEAD: usize = 5 + 1 + 16;
/// What a session costs while it is served: a record that is being sent.
pub(super) const SERVING_COST: usize = RECORD + 512;

/// Why the stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError<E> {
    /// The stream beneath.
    Stream(E),
    /// TLS.
    Tls(tls::Error),
    /// The ledger has no memory for it.
    NoMemory,
    /// The session of a parked connection had to make room for another one.
    Evicted,
}

impl<E: fmt::Display> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::NoMemory => f.write_str("no memory for a session"),
            Self::Evicted => f.write_str("the session made room for another one"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StreamError<E> {}

impl<E> From<tls::Error> for StreamError<E> {
    fn from(error: tls::Error) -> Self {
        Self::Tls(error)
    }
}

impl<E> From<Refused> for StreamError<E> {
    fn from(_: Refused) -> Self {
        Self::NoMemory
    }
}

/// Counts a session that fails, once: each call after the first has the same error.
fn failed<K: Ord + Copy>(sessions: &Sessions<K>, known: bool) {
    if !known {
        sessions.count(|counts| counts.failed.bump());
    }
}

/// What a session has for its reader.
enum Next {
    Plaintext(Vec<u8>),
    /// The peer has said that nothing follows.
    End,
    /// Nothing until more comes.
    Empty,
    /// Received bytes that it has not looked at.
    Unread,
}

/// The stream. `K` names its connection among the parked ones.
pub struct TlsStream<T: Stream, K: Ord> {
    stream: T,
    key: K,
    sessions: Rc<Sessions<K>>,
    state: Parked,
    /// What was received, and how much of it the session has taken.
    unread: Option<(T::Chunk, usize)>,
}

impl<T: Stream, K: Ord> fmt::Debug for TlsStream<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<T: Stream, K: Ord + Copy> TlsStream<T, K> {
    pub(super) const fn new(stream: T, key: K, sessions: Rc<Sessions<K>>, state: Parked) -> Self {
        Self { stream, key, sessions, state, unread: None }
    }

    /// Takes what the session has to say by itself, unless something of it waits to be sent; `false`: there is nothing.
    fn has_output(&mut self) -> bool {
        let Parked { session, outgoing, .. } = &mut self.state;
        if outgoing.is_empty() {
            *outgoing = session.take_output().into();
        }
        !outgoing.is_empty()
    }

    /// Sends what the session has to say by itself. Dropped before its end, the next call goes on.
    async fn flush(&mut self) -> Result<(), StreamError<T::Error>> {
        while self.has_output() {
            self.stream.send(self.state.outgoing.clone()).await.map_err(StreamError::Stream)?;
            self.state.outgoing = Bytes::new();
        }
        Ok(())
    }

    /// The same without waiting.
    fn try_flush(&mut self) -> Poll<Result<(), StreamError<T::Error>>> {
        while self.has_output() {
            ready!(self.stream.try_send(&mut self.state.outgoing)).map_err(StreamError::Stream)?;
            self.state.outgoing = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    /// What the session has for the reader.
    fn next(&mut self) -> Next {
        match self.state.session.take_plaintext() {
            Some(plaintext) => Next::Plaintext(plaintext),
            None if self.state.session.is_peer_closed() => Next::End,
            None if self.unread.is_none() => Next::Empty,
            None => Next::Unread,
        }
    }

    /// Keeps what was received for the session, and says whether that was the end.
    fn received(&mut self, chunk: Option<T::Chunk>) -> Result<bool, StreamError<T::Error>> {
        let Some(chunk) = chunk else {
            let known = self.state.session.error().is_some();
            let ended = self.state.session.receive_end();
            ended.inspect_err(|_| failed(&self.sessions, known))?;
            return Ok(true);
        };
        self.unread = Some((chunk, 0));
        Ok(false)
    }

    /// Encrypts the first bytes, at most [`RECORD`].
    fn seal(&mut self, bytes: &[u8]) -> Result<(Bytes, usize), StreamError<T::Error>> {
        let (records, len) = self.state.session.write(bytes.get(..RECORD).unwrap_or(bytes))?;
        Ok((records.into(), len))
    }

    /// Gives the session what was received, and charges what it may keep of it: ciphertext, or plaintext of that length.
    fn advance(&mut self) -> Result<(), StreamError<T::Error>> {
        let Some((chunk, taken)) = &mut self.unread else { return Ok(()) };
        let rest = chunk.get(*taken..).unwrap_or_default();
        let Parked { session, reservation, base, .. } = &mut self.state;
        let held = base.saturating_add(SERVING_COST).saturating_add(session.buffered());
        reservation.shrink_to(held);
        reservation.grow(held.saturating_add(rest.len()).saturating_sub(reservation.bytes()))?;
        let (begun, known) = (session.is_handshaking(), session.error().is_some());
        let received = session.receive(rest);
        if begun && !session.is_handshaking() {
            let is_resumed = session.is_resumed();
            self.sessions.count(
                |counts| {
                    if is_resumed { counts.resumed.bump() } else { counts.handshakes.bump() }
                },
            );
        }
        *taken = taken.saturating_add(received.inspect_err(|_| failed(&self.sessions, known))?);
        if *taken >= chunk.len() {
            self.unread = None;
        }
        Ok(())
    }
}

impl<T: Stream, K: Ord + Copy> Stream for TlsStream<T, K> {
    type Chunk = Vec<u8>;
    type Error = StreamError<T::Error>;

    async fn recv(&mut self) -> Result<Option<Vec<u8>>, Self::Error> {
        loop {
            self.flush().await?;
            match self.next() {
                Next::Plaintext(plaintext) => return Ok(Some(plaintext)),
                Next::End => return Ok(None),
                Next::Empty => {
                    let chunk = self.stream.recv().await.map_err(StreamError::Stream)?;
                    if self.received(chunk)? {
                        return Ok(None);
                    }
                }
                Next::Unread => {
                    if let Err(error) = self.advance() {
                        // The alert goes out before the error is told.
                        self.flush().await?;
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Self::Error> {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            self.flush().await?;
            let (records, len) = self.seal(rest)?;
            self.stream.send(records).await.map_err(StreamError::Stream)?;
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    fn try_recv(&mut self) -> Poll<Result<Option<Vec<u8>>, Self::Error>> {
        loop {
            ready!(self.try_flush())?;
            match self.next() {
                Next::Plaintext(plaintext) => return Poll::Ready(Ok(Some(plaintext))),
                Next::End => return Poll::Ready(Ok(None)),
                Next::Empty => {
                    let chunk = ready!(self.stream.try_recv()).map_err(StreamError::Stream)?;
                    if self.received(chunk)? {
                        return Poll::Ready(Ok(None));
                    }
                }
                // After an error the alert waits to be sent: the next call sends it, and has the same error.
                Next::Unread => self.advance()?,
            }
        }
    }

    fn try_send(&mut self, bytes: &mut Bytes) -> Poll<Result<(), Self::Error>> {
        ready!(self.try_flush())?;
        // As beneath: what finds any room is taken whole.
        if bytes.len() > RECORD || self.stream.room() == 0 {
            return Poll::Pending;
        }
        let (mut records, _) = self.seal(bytes)?;
        *bytes = Bytes::new();
        if self.stream.try_send(&mut records).map_err(StreamError::Stream)?.is_pending() {
            // Not reached while the stream has room.
            self.state.outgoing = records;
        }
        Poll::Ready(Ok(()))
    }

    /// One record's, for a session pays for no more while it is served; in pieces, each of which is a record.
    fn room(&self) -> usize {
        self.stream.room().saturating_sub(AT_ONCE * OVERHEAD).min(RECORD)
    }

    fn peer(&self) -> Option<IpEndpoint> {
        self.stream.peer()
    }

    fn end(mut self) {
        self.state.session.close();
        // The client may be gone already.
        let _ = self.try_flush();
    }

    /// A session that has more than its own state to keep is not parked, it ends.
    fn park(self) {
        if self.unread.is_none() && !self.state.session.is_readable() {
            self.sessions.park(self.key, self.state);
            self.stream.park();
        }
    }
}
