//! The cryptography that rustls is given: two cipher suites, one group, two kinds of keys.
//!
//! | part | algorithm | crate |
//! |---|---|---|
//! | [`aead`] | AES-128-GCM, ChaCha20-Poly1305 | `aes-gcm`, `chacha20poly1305` |
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
use alloc::vec::Vec;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{CipherSuite, Error, SupportedCipherSuite, Tls13CipherSuite};

/// RFC 8446, §B.4; §5.5: 2^24.5 records of AES-GCM with one key.
static AES_128_GCM_SHA256: Tls13CipherSuite =
    suite(CipherSuite::TLS13_AES_128_GCM_SHA256, &aead::Aead::Aes128Gcm, 1 << 24);
static CHACHA20_POLY1305_SHA256: Tls13CipherSuite =
    suite(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, &aead::Aead::ChaCha20Poly1305, u64::MAX);

const fn suite(suite: CipherSuite, aead: &'static aead::Aead, records: u64) -> Tls13CipherSuite {
    Tls13CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider: &hash::Sha256, confidentiality_limit: records },
        hkdf_provider: &HkdfUsingHmac(&hmac::HmacSha256),
        aead_alg: aead,
        quic: None,
    }
}

cpufeatures::new!(aes_instructions, "aes", "pclmulqdq");

/// The suites, the preferred one first: AES-128-GCM costs a quarter of ChaCha20-Poly1305 where the processor has its
/// instructions, and thrice as much where it has not.
fn suites() -> Vec<SupportedCipherSuite> {
    let (aes, chacha) = (&AES_128_GCM_SHA256, &CHACHA20_POLY1305_SHA256);
    let order = if aes_instructions::get() { [aes, chacha] } else { [chacha, aes] };
    order.map(SupportedCipherSuite::Tls13).into()
}

/// A provider that takes its random numbers from `generator`.
pub(crate) fn provider(generator: &'static Generator) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites(),
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
