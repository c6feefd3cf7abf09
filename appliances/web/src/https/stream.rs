//! A stream of bytes over TLS over another stream of bytes.
//!
//! ```text
//!   read  ◄─ plaintext ◄─ Session ◄─ unread ◄─ stream
//!   write ─► a record of at most [`RECORD`] bytes ─► stream
//! ```
//!
//! What a session holds beside its own state is charged to the account before it is taken; a client for whom there is no
//! memory loses its connection.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use ledger::{Account, Refused, Reservation};
use tls::{Server, Session};

/// Bytes of plaintext in a record: what a client that does not read makes us keep.
const RECORD: usize = 4096;
/// Bytes that are read from the network at once.
const READ: usize = 1024;
/// What a session without bytes in its buffers costs, and a record that is being sent.
const SESSION_COST: usize = 4096 + RECORD + 512;

/// Why the stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError<E> {
    /// The stream beneath.
    Stream(E),
    /// TLS.
    Tls(tls::Error),
    /// The ledger has no memory for it.
    NoMemory,
}

impl<E: fmt::Display> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::NoMemory => f.write_str("no memory for a session"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StreamError<E> {}

impl<E: fmt::Debug + fmt::Display> embedded_io_async::Error for StreamError<E> {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

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

/// The stream.
pub struct TlsStream<'s, T> {
    session: Box<Session>,
    stream: &'s mut T,
    /// What was read from the network and not taken by the session.
    unread: Vec<u8>,
    reservation: Reservation,
}

impl<T> fmt::Debug for TlsStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("session", &self.session).finish_non_exhaustive()
    }
}

impl<'s, T: Read + Write> TlsStream<'s, T> {
    /// Over a stream that was accepted. The handshake begins with the first read.
    ///
    /// # Errors
    /// No certificate, or no memory.
    pub fn new(server: &Server, stream: &'s mut T, account: &Account) -> Result<Self, StreamError<T::Error>> {
        let reservation = account.reserve(SESSION_COST)?;
        Ok(Self { session: Box::new(server.accept()?), stream, unread: Vec::new(), reservation })
    }

    /// Says that nothing follows.
    pub async fn close(&mut self) {
        self.session.close();
        // The client may be gone already.
        let _ = self.send_output().await;
    }

    /// The session, to look at.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Sends what the session has to say by itself.
    async fn send_output(&mut self) -> Result<(), StreamError<T::Error>> {
        let output = self.session.take_output();
        send(self.stream, &output).await
    }

    /// Gives the session what was read, and charges what it may keep of it: ciphertext, or plaintext of that length.
    fn advance(&mut self) -> Result<(), StreamError<T::Error>> {
        let before = SESSION_COST.saturating_add(self.session.buffered());
        self.reservation.shrink_to(before);
        let missing = before.saturating_add(self.unread.len()).saturating_sub(self.reservation.bytes());
        self.reservation.grow(missing)?;
        let taken = self.session.receive(&self.unread)?;
        self.unread.drain(..taken);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        Ok(())
    }
}

async fn send<T: Write>(stream: &mut T, mut bytes: &[u8]) -> Result<(), StreamError<T::Error>> {
    while !bytes.is_empty() {
        match stream.write(bytes).await.map_err(StreamError::Stream)? {
            0 => return Err(StreamError::Tls(tls::Error::NotOpen)),
            len => bytes = bytes.get(len..).unwrap_or_default(),
        }
    }
    Ok(())
}

impl<T: Read + Write> ErrorType for TlsStream<'_, T> {
    type Error = StreamError<T::Error>;
}

impl<T: Read + Write> Read for TlsStream<'_, T> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Self::Error> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            match self.session.read(to) {
                0 if self.session.is_peer_closed() => return Ok(0),
                0 => {}
                len => return Ok(len),
            }
            if self.unread.is_empty() {
                let mut bytes = [0; READ];
                let len = self.stream.read(&mut bytes).await.map_err(StreamError::Stream)?;
                if len == 0 {
                    self.session.receive_end()?;
                    return Ok(0);
                }
                self.unread.try_reserve_exact(len).map_err(|_| StreamError::NoMemory)?;
                self.unread.extend_from_slice(bytes.get(..len).unwrap_or_default());
            }
            let advanced = self.advance();
            // An alert goes out before the error is told.
            let sent = self.send_output().await;
            advanced?;
            sent?;
        }
    }
}

impl<T: Read + Write> Write for TlsStream<'_, T> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.send_output().await?;
        let (records, len) = self.session.write(bytes.get(..RECORD).unwrap_or(bytes))?;
        send(self.stream, &records).await?;
        Ok(len)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.send_output().await?;
        self.stream.flush().await.map_err(StreamError::Stream)
    }
}
