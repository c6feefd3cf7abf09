//! The cryptography that rustls is given: one cipher suite, one group, two kinds of keys.
//!
//! | part | algorithm | crate |
//! |---|---|---|
//! | [`aead`] | ChaCha20-Poly1305 | `chacha20poly1305` |
//! | [`hash`], [`hmac`] | SHA-256, HMAC; HKDF is rustls's own over HMAC | `sha2`, `hmac` |
//! | [`kx`] | X25519 | `x25519-dalek` |
//! | [`sign`] | ECDSA with P-256 and SHA-256, Ed25519 | `p256`, `ed25519-dalek` |
//!
//! A server without client certificates verifies no signature, so there is no verifier.

mod aead;
mod hash;
mod hmac;
mod kx;
pub(crate) mod sign;

use crate::generator::Generator;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{CipherSuite, Error, SupportedCipherSuite, Tls13CipherSuite};

/// RFC 8446, §B.4.
static CHACHA20_POLY1305_SHA256: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        hash_provider: &hash::Sha256,
        confidentiality_limit: u64::MAX,
    },
    hkdf_provider: &HkdfUsingHmac(&hmac::HmacSha256),
    aead_alg: &aead::ChaCha20Poly1305,
    quic: None,
};

/// A provider that takes its random numbers from `generator`.
pub(crate) fn provider(generator: &'static Generator) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![SupportedCipherSuite::Tls13(&CHACHA20_POLY1305_SHA256)],
        kx_groups: vec![Box::leak(Box::new(kx::X25519(generator)))],
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: &[], mapping: &[] },
        secure_random: generator,
        key_provider: &NoKeys,
    }
}

/// Keys are loaded by [`crate::Identities`], which says why one is refused.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("keys are loaded by Identities".into()))
    }
}
