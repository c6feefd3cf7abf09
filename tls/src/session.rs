//! One session: bytes of the network in, bytes for the network out, and the plaintext of both directions.
//!
//! ```text
//!   receive ─► incoming (at most a record) ─► rustls ─► plaintext ─► read
//!                                               └─► output: handshake, tickets, key updates, alerts ─► take_output
//!   write ─► rustls ─► a record, for the caller to send
//! ```
//!
//! Every buffer is freed when it is empty.

use crate::error::Error;
use alloc::vec::Vec;
use core::mem::take;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ContentType, HandshakeKind};

/// Bytes of a message of the handshake at most, with its headers. A ClientHello of today's browsers takes 2 KiB.
pub const HANDSHAKE_LIMIT: usize = 8 * 1024;
/// Bytes of a record at most (RFC 8446 §5.2): header, 2^14 bytes of content, 256 of expansion.
pub const RECORD_LIMIT: usize = 5 + 16_384 + 256;
/// Bytes of plaintext in a record at most (RFC 8446 §5.1).
const PLAINTEXT_LIMIT: usize = 16_384;
/// The alert `decode_error`, fatal and not encrypted (RFC 8446 §6): the answer to a first message that is too long.
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// A session of a server.
pub struct Session {
    connection: UnbufferedServerConnection,
    incoming: Vec<u8>,
    plaintext: Vec<u8>,
    /// Bytes of `plaintext` that were read.
    read: usize,
    output: Vec<u8>,
    error: Option<Error>,
    peer_closed: bool,
    closed: bool,
    /// Whether rustls has sent something.
    spoke: bool,
}

impl core::fmt::Debug for Session {
    /// Without keys and bytes.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { incoming, plaintext, output, error, peer_closed, .. } = self;
        f.debug_struct("Session")
            .field("handshaking", &self.is_handshaking())
            .field("incoming", &incoming.len())
            .field("plaintext", &plaintext.len())
            .field("output", &output.len())
            .field("error", error)
            .field("peer_closed", peer_closed)
            .finish_non_exhaustive()
    }
}

/// What rustls did in one step.
enum Step {
    Again,
    Blocked,
}

impl Session {
    pub(crate) const fn new(connection: UnbufferedServerConnection) -> Self {
        Self {
            connection,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            read: 0,
            output: Vec::new(),
            error: None,
            peer_closed: false,
            closed: false,
            spoke: false,
        }
    }

    /// Takes bytes of the network and returns how many; fewer than all while plaintext waits to be read, and none after
    /// the peer's `close_notify`.
    ///
    /// # Errors
    /// Whatever ends the session; [`Session::take_output`] then has the alert. The same error comes again.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let mut taken: usize = 0;
        loop {
            if let Some(error) = self.error {
                return Err(error);
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            if rest.is_empty() || self.is_readable() || self.peer_closed {
                return Ok(taken);
            }
            taken = taken.saturating_add(self.fill(rest));
            self.process();
        }
    }

    /// Copies from `bytes` as much as there is room for.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let first = self.incoming.first().or(bytes.first()).copied();
        let limit = if first == Some(ContentType::Handshake.into()) { HANDSHAKE_LIMIT } else { RECORD_LIMIT };
        let len = limit.saturating_sub(self.incoming.len()).min(bytes.len());
        if len == 0 {
            self.error =
                Some(if limit == HANDSHAKE_LIMIT { Error::HandshakeTooLong } else { Error::RecordTooLong });
            if !self.spoke {
                self.append_output(&DECODE_ERROR);
            }
        } else if self.incoming.try_reserve_exact(len).is_err() {
            self.error = Some(Error::NoMemory);
            return 0;
        }
        self.incoming.extend_from_slice(bytes.get(..len).unwrap_or_default());
        len
    }

    /// Passes received bytes to rustls, until it needs more.
    ///
    /// After an error rustls gets no bytes any more: it keeps places in the buffer, which are void then.
    fn process(&mut self) {
        while self.error.is_none() && matches!(self.step(), Step::Again) {}
        if self.error.is_some() {
            self.incoming = Vec::new();
            // What waits to be sent, an alert last, is given before anything is read. Nothing follows `close_notify`
            // (RFC 8446 §6.1): rustls would send an alert there, and its debug assertions say that it should not.
            while !self.closed && self.connection.wants_write() && matches!(self.step(), Step::Again) {}
        }
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
    }

    fn step(&mut self) -> Step {
        let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.incoming);
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    if self.plaintext.try_reserve_exact(record.payload.len()).is_err() {
                        self.error = Some(Error::NoMemory);
                        break;
                    }
                    self.plaintext.extend_from_slice(record.payload);
                }
                Step::Again
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                self.spoke = true;
                let appended = append(&mut self.output, |buffer| match data.encode(buffer) {
                    Err(EncodeError::InsufficientSize(needed)) => Err(needed.required_size),
                    Ok(len) => Ok(len),
                    Err(EncodeError::AlreadyEncoded) => Ok(0),
                });
                self.error = self.error.or(appended.err());
                Step::Again
            }
            Ok(ConnectionState::TransmitTlsData(transmit)) => {
                transmit.done();
                Step::Again
            }
            Ok(ConnectionState::PeerClosed) => {
                self.peer_closed = true;
                Step::Again
            }
            Ok(_) => Step::Blocked,
            Err(error) => {
                self.error.get_or_insert(Error::of(&error));
                Step::Blocked
            }
        };
        self.incoming.drain(..discard.min(self.incoming.len()));
        step
    }

    fn append_output(&mut self, bytes: &[u8]) {
        if self.output.try_reserve_exact(bytes.len()).is_ok() {
            self.output.extend_from_slice(bytes);
        }
    }

    /// The stream has ended: there are no more bytes.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the peer did not send `close_notify`.
    pub fn receive_end(&mut self) -> Result<(), Error> {
        if self.peer_closed { Ok(()) } else { Err(*self.error.get_or_insert(Error::Truncated)) }
    }

    /// Whether plaintext waits to be read.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        !self.plaintext.is_empty()
    }

    /// Copies plaintext and returns how many bytes.
    pub fn read(&mut self, to: &mut [u8]) -> usize {
        let rest = self.plaintext.get(self.read..).unwrap_or_default();
        let len = rest.len().min(to.len());
        for (to, from) in to.iter_mut().zip(rest) {
            *to = *from;
        }
        self.read = self.read.saturating_add(len);
        if self.read >= self.plaintext.len() {
            self.plaintext = Vec::new();
            self.read = 0;
        }
        len
    }

    /// All plaintext that waits to be read, if there is some.
    pub fn take_plaintext(&mut self) -> Option<Vec<u8>> {
        let mut plaintext = take(&mut self.plaintext);
        plaintext.drain(..take(&mut self.read).min(plaintext.len()));
        (!plaintext.is_empty()).then_some(plaintext)
    }

    /// Encrypts the beginning of `plaintext`, at most 2^14 bytes, as records to be sent after what [`Session::take_output`]
    /// gives. Returns them and the number of bytes that they hold.
    ///
    /// # Errors
    /// [`Error::NotOpen`] before the end of the handshake and after [`Session::close`]; [`Error::NoMemory`].
    pub fn write(&mut self, plaintext: &[u8]) -> Result<(Vec<u8>, usize), Error> {
        let bytes = plaintext.get(..PLAINTEXT_LIMIT).unwrap_or(plaintext);
        if self.closed || self.error.is_some() {
            return Err(Error::NotOpen);
        }
        let mut records = Vec::new();
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.incoming);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else { return Err(Error::NotOpen) };
        append(&mut records, |buffer| match traffic.encrypt(bytes, buffer) {
            Err(EncryptError::InsufficientSize(needed)) => Err(needed.required_size),
            Ok(len) => Ok(len),
            Err(EncryptError::EncryptExhausted) => Ok(0),
        })?;
        if records.is_empty() { Err(Error::NotOpen) } else { Ok((records, bytes.len())) }
    }

    /// Ends the session in this direction: [`Session::take_output`] has `close_notify`. Nothing can be written after it.
    pub fn close(&mut self) {
        if self.closed || self.error.is_some() {
            return;
        }
        self.closed = true;
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.incoming);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            let _: Result<(), Error> =
                append(&mut self.output, |buffer| match traffic.queue_close_notify(buffer) {
                    Err(EncryptError::InsufficientSize(needed)) => Err(needed.required_size),
                    Ok(len) => Ok(len),
                    Err(EncryptError::EncryptExhausted) => Ok(0),
                });
        }
    }

    /// What is to be sent: messages of the handshake, tickets, alerts.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        take(&mut self.output)
    }

    /// Bytes of the buffers: received and unread, or queued to be sent.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        let incoming = self.incoming.capacity().saturating_add(self.plaintext.capacity());
        incoming.saturating_add(self.output.capacity())
    }

    /// Whether the handshake is not complete.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the handshake was complete without a certificate, by a ticket.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the peer has sent `close_notify`.
    #[must_use]
    pub const fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Why the session ended.
    #[must_use]
    pub const fn error(&self) -> Option<Error> {
        self.error
    }
}

/// Appends what `write` gives: it returns the number of bytes that it wrote, or else how many it needs room for.
fn append(to: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>) -> Result<(), Error> {
    let before = to.len();
    let mut needed = 0;
    // At most: asked for the size, written.
    for _ in 0..2 {
        let all = before.checked_add(needed).ok_or(Error::NoMemory)?;
        to.try_reserve_exact(needed).map_err(|_| Error::NoMemory)?;
        to.resize(all, 0);
        match write(to.get_mut(before..).unwrap_or_default()) {
            Ok(len) => {
                to.truncate(before.saturating_add(len));
                return Ok(());
            }
            Err(size) => needed = size,
        }
    }
    to.truncate(before);
    Err(Error::Internal)
}
