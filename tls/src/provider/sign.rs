//! Signatures of the server: ECDSA with P-256 and SHA-256 (deterministic, RFC 6979), and Ed25519 (RFC 8032).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use ed25519_dalek::Signer as _;
use p256::ecdsa::DerSignature;
use p256::pkcs8::DecodePrivateKey;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// A private key. Both kinds clear themselves when they are dropped.
pub(crate) enum PrivateKey {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl core::fmt::Debug for PrivateKey {
    /// Names the kind, not the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::P256(_) => "PrivateKey::P256",
            Self::Ed25519(_) => "PrivateKey::Ed25519",
        })
    }
}

impl PrivateKey {
    /// From PKCS #8 (RFC 5958); `None` for another algorithm or what cannot be parsed.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let p256 = || p256::ecdsa::SigningKey::from_pkcs8_der(der).ok().map(Self::P256);
        p256().or_else(|| ed25519_dalek::SigningKey::from_pkcs8_der(der).ok().map(Self::Ed25519))
    }

    /// From the older form of elliptic-curve keys (RFC 5915); `None` for another curve or what cannot be parsed.
    pub(crate) fn from_sec1(der: &[u8]) -> Option<Self> {
        let key = p256::SecretKey::from_sec1_der(der).ok()?;
        Some(Self::P256(key.into()))
    }

    /// The public key as a certificate has it in `subjectPublicKey`: for P-256 the uncompressed point.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Self::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
        }
    }

    const fn scheme(&self) -> SignatureScheme {
        match self {
            Self::P256(_) => SignatureScheme::ECDSA_NISTP256_SHA256,
            Self::Ed25519(_) => SignatureScheme::ED25519,
        }
    }
}

/// The key as rustls asks for it.
#[derive(Clone, Debug)]
pub(crate) struct SharedKey(pub(crate) Arc<PrivateKey>);

impl SigningKey for SharedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.0.scheme()).then(|| -> Box<dyn Signer> { Box::new(self.clone()) })
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match &*self.0 {
            PrivateKey::P256(_) => SignatureAlgorithm::ECDSA,
            PrivateKey::Ed25519(_) => SignatureAlgorithm::ED25519,
        }
    }
}

impl Signer for SharedKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::General("the signature failed".into());
        match &*self.0 {
            PrivateKey::P256(key) => {
                let signature: DerSignature = key.try_sign(message).map_err(failed)?;
                Ok(signature.as_bytes().to_vec())
            }
            PrivateKey::Ed25519(key) => Ok(key.try_sign(message).map_err(failed)?.to_bytes().to_vec()),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}
