//! Why certificates and keys are refused.

use super::CHAIN_LIMIT;
use alloc::string::{String, ToString};
use core::fmt;

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file; empty if the reason concerns all together.
    pub file: String,
    /// The reason.
    pub reason: RefusalReason,
}

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// There is no certificate with its key.
    Nothing,
    /// More files or bytes than are accepted.
    TooLarge,
    /// Neither a certificate nor a private key in PEM.
    NotPem,
    /// A certificate cannot be parsed.
    BadCertificate,
    /// The key is neither P-256 nor Ed25519.
    UnusableKey,
    /// The key is encrypted with a passphrase.
    EncryptedKey,
    /// A certificate without its key.
    NoKey,
    /// A key without its certificate.
    NoCertificate,
    /// The certificates of the chain have this number of bytes together: more than [`CHAIN_LIMIT`].
    ChainTooLong(usize),
    /// A certificate of the chain is over.
    Expired,
    /// A certificate of the chain is not valid yet.
    NotYetValid,
    /// A certificate of the chain is not that of the issuer of the one before.
    ChainOrder,
}

impl Refusal {
    pub(crate) fn new(file: &str, reason: RefusalReason) -> Self {
        Self { file: file.to_string(), reason }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        f.write_str(match self.reason {
            RefusalReason::ChainTooLong(bytes) => {
                return write!(
                    f,
                    "the chain has {bytes} bytes (DER), and at most {CHAIN_LIMIT} can be sent: leave out the root, or use \
                     a chain with ECDSA keys"
                );
            }
            RefusalReason::Nothing => "no certificate with its key: give both as files in PEM",
            RefusalReason::TooLarge => {
                "too large: at most 32 files, 64 KiB together, 8 certificates in a chain, 8 KiB each"
            }
            RefusalReason::NotPem => "neither a certificate nor a private key in PEM",
            RefusalReason::BadCertificate => "the certificate cannot be parsed",
            RefusalReason::UnusableKey => {
                "the key is neither P-256 nor Ed25519: make one of them, and a certificate for it"
            }
            RefusalReason::EncryptedKey => "the key is encrypted: decrypt it, for instance by openssl pkey",
            RefusalReason::NoKey => "no key that belongs to the certificate",
            RefusalReason::NoCertificate => "no certificate that belongs to the key",
            RefusalReason::Expired => "a certificate has expired",
            RefusalReason::NotYetValid => {
                "a certificate is not valid yet: compare its dates with the clock of the host"
            }
            RefusalReason::ChainOrder => {
                "the chain is not in order: the leaf comes first, each issuer after what it signed"
            }
        })
    }
}

impl core::error::Error for Refusal {}
