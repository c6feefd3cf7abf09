//! TLS over another stream.
//!
//! ```text
//!   recv ◄─ plaintext ◄─ Session ◄─ unread ◄─ stream
//!   send ─► a record of at most [`RECORD`] bytes ─► stream          outgoing: handshake, tickets, alerts ─► stream
//!   park ─► Sessions: the session rests until its connection is ready again
//! ```
//!
//! What a session holds beside its own state is charged to the ledger before it is taken; a client for whom there is no
//! memory loses its connection.

use crate::http::Stream;
use crate::https::sessions::{Parked, Sessions};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use kernel::ledger::Refused;
use kernel::net::{Bytes, IpEndpoint};

/// Bytes of plaintext in a record: what a client that does not read makes us keep.
const RECORD: usize = 4096;
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

    /// Says that nothing follows.
    pub async fn close(&mut self) {
        self.state.session.close();
        // The client may be gone already.
        let _ = self.flush().await;
    }

    /// Sends what the session has to say by itself. Dropped before its end, the next call goes on.
    async fn flush(&mut self) -> Result<(), StreamError<T::Error>> {
        loop {
            let Parked { session, outgoing, .. } = &mut self.state;
            if outgoing.is_empty() {
                *outgoing = session.take_output().into();
            }
            if outgoing.is_empty() {
                return Ok(());
            }
            self.stream.send(outgoing.clone()).await.map_err(StreamError::Stream)?;
            *outgoing = Bytes::new();
        }
    }

    /// Gives the session what was received, and charges what it may keep of it: ciphertext, or plaintext of that length.
    fn advance(&mut self) -> Result<(), StreamError<T::Error>> {
        let Some((chunk, taken)) = &mut self.unread else { return Ok(()) };
        let rest = chunk.get(*taken..).unwrap_or_default();
        let Parked { session, reservation, base, .. } = &mut self.state;
        let held = base.saturating_add(SERVING_COST).saturating_add(session.buffered());
        reservation.shrink_to(held);
        reservation.grow(held.saturating_add(rest.len()).saturating_sub(reservation.bytes()))?;
        *taken = taken.saturating_add(session.receive(rest)?);
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
            if let Some(plaintext) = self.state.session.take_plaintext() {
                return Ok(Some(plaintext));
            }
            if self.state.session.is_peer_closed() {
                return Ok(None);
            }
            if self.unread.is_none() {
                match self.stream.recv().await.map_err(StreamError::Stream)? {
                    Some(chunk) => self.unread = Some((chunk, 0)),
                    None => {
                        self.state.session.receive_end()?;
                        return Ok(None);
                    }
                }
            }
            if let Err(error) = self.advance() {
                // The alert goes out before the error is told.
                self.flush().await?;
                return Err(error);
            }
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Self::Error> {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            self.flush().await?;
            let (records, len) = self.state.session.write(rest.get(..RECORD).unwrap_or(rest))?;
            self.stream.send(records.into()).await.map_err(StreamError::Stream)?;
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    /// A session that has more than its own state to keep is not parked, it ends.
    fn peer(&self) -> Option<IpEndpoint> {
        self.stream.peer()
    }

    fn park(self) {
        if self.unread.is_none() && !self.state.session.is_readable() {
            self.sessions.park(self.key, self.state);
            self.stream.park();
        }
    }
}
