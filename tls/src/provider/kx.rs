//! Key exchange: X25519 (RFC 7748, RFC 8446 §7.4.2).

use crate::generator::Generator;
use alloc::boxed::Box;
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{EphemeralSecret, PublicKey};

#[derive(Debug)]
pub(crate) struct X25519(pub(crate) &'static Generator);

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = self.0.with(EphemeralSecret::random_from_rng);
        Ok(Box::new(Exchange { public: PublicKey::from(&secret), secret }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// A key pair of one handshake. The secret clears itself when it is dropped.
struct Exchange {
    secret: EphemeralSecret,
    public: PublicKey,
}

impl ActiveKeyExchange for Exchange {
    /// Refuses a share of another length, and points of small order, with which the result is known to everybody.
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer = <[u8; 32]>::try_from(peer).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer));
        if !shared.was_contributory() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        Ok(SharedSecret::from(shared.as_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}
