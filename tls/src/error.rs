//! Why a session ends other than by `close_notify`.

use core::fmt;
use rustls::{AlertDescription, Error as Rustls, InvalidMessage, PeerIncompatible};

/// The error of a session. Each is final: later bytes are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The server has no certificate yet.
    NoIdentity,
    /// The heap does not have the bytes of a record.
    NoMemory,
    /// The client sent something other than TLS: its first bytes are no record.
    NotTls,
    /// A message of the handshake is longer than [`crate::HANDSHAKE_LIMIT`].
    HandshakeTooLong,
    /// A record is longer than RFC 8446 §5.2 allows.
    RecordTooLong,
    /// The client does not speak TLS 1.3.
    Version,
    /// The client offers no common cipher suite, group or signature scheme.
    NoCommonParameters,
    /// The client offers application protocols, but not `http/1.1`.
    NoCommonProtocol,
    /// A message or extension cannot be parsed.
    Malformed,
    /// A message came that has no place at that time, such as a second ClientHello.
    Unexpected,
    /// The client broke another rule of RFC 8446.
    Misbehaved,
    /// A record does not verify.
    BadRecord,
    /// The client sent a fatal alert, with this number (RFC 8446 §6).
    Alert(u8),
    /// The stream ended without `close_notify`, perhaps cut by somebody on the way.
    Truncated,
    /// Written to before the handshake is complete, or after the session was closed.
    NotOpen,
    /// A fault on this side.
    Internal,
}

impl Error {
    pub(crate) fn of(error: &Rustls) -> Self {
        match error {
            Rustls::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            Rustls::InvalidMessage(InvalidMessage::MessageTooLarge) | Rustls::PeerSentOversizedRecord => {
                Self::RecordTooLong
            }
            Rustls::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => Self::HandshakeTooLong,
            Rustls::InvalidMessage(_) => Self::Malformed,
            Rustls::InappropriateMessage { .. } | Rustls::InappropriateHandshakeMessage { .. } => {
                Self::Unexpected
            }
            Rustls::PeerIncompatible(incompatible) => match incompatible {
                PeerIncompatible::NoCipherSuitesInCommon
                | PeerIncompatible::NoKxGroupsInCommon
                | PeerIncompatible::NoSignatureSchemesInCommon => Self::NoCommonParameters,
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerDoesNotSupportTls12Or13 => Self::Version,
                _ => Self::Malformed,
            },
            Rustls::PeerMisbehaved(_) => Self::Misbehaved,
            Rustls::DecryptError => Self::BadRecord,
            Rustls::AlertReceived(alert) => Self::Alert(number(*alert)),
            Rustls::NoApplicationProtocol => Self::NoCommonProtocol,
            _ => Self::Internal,
        }
    }

    /// The name of the error, for counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoIdentity => "no certificate",
            Self::NoMemory => "no memory",
            Self::NotTls => "not TLS",
            Self::HandshakeTooLong => "message of the handshake too long",
            Self::RecordTooLong => "record too long",
            Self::Version => "not TLS 1.3",
            Self::NoCommonParameters => "no common parameters",
            Self::NoCommonProtocol => "no common protocol",
            Self::Malformed => "malformed message",
            Self::Unexpected => "unexpected message",
            Self::Misbehaved => "rule of RFC 8446 broken",
            Self::BadRecord => "record does not verify",
            Self::Alert(_) => "alert from the client",
            Self::Truncated => "no close_notify",
            Self::NotOpen => "session not open",
            Self::Internal => "internal error",
        }
    }
}

fn number(alert: AlertDescription) -> u8 {
    alert.into()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(number) => write!(f, "TLS: {} ({number})", self.name()),
            other => write!(f, "TLS: {}", other.name()),
        }
    }
}

impl core::error::Error for Error {}
