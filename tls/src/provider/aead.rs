//! Protection of records: AES-128-GCM and ChaCha20-Poly1305 (RFC 8446 §5.2, RFC 5116, RFC 8439).
//!
//! ```text
//!   plaintext ║ content type ── encrypted ──► ciphertext ║ tag 16      additional data: the record's header, 5 bytes
//! ```

use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes128Enc;
use alloc::boxed::Box;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter, Nonce,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

const TAG_BYTES: usize = 16;

type Tag = [u8; TAG_BYTES];
/// AES that only encrypts: GCM needs no more in either direction.
type Aes128Gcm = aes_gcm::AesGcm<Aes128Enc, U12>;

/// The algorithms, as rustls asks for them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aead {
    Aes128Gcm,
    ChaCha20Poly1305,
}

impl Tls13AeadAlgorithm for Aead {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        match self {
            Self::Aes128Gcm => Box::new(Cipher::<Aes128Gcm>::new(&key, iv)),
            Self::ChaCha20Poly1305 => Box::new(Cipher::<ChaCha20Poly1305>::new(&key, iv)),
        }
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        match self {
            Self::Aes128Gcm => Box::new(Cipher::<Aes128Gcm>::new(&key, iv)),
            Self::ChaCha20Poly1305 => Box::new(Cipher::<ChaCha20Poly1305>::new(&key, iv)),
        }
    }

    fn key_len(&self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::ChaCha20Poly1305 => 32,
        }
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Ok(match self {
            Self::Aes128Gcm => ConnectionTrafficSecrets::Aes128Gcm { key, iv },
            Self::ChaCha20Poly1305 => ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv },
        })
    }
}

/// An AEAD with its key, which is cleared when it is dropped. The two crates are of different generations of one interface.
trait Keyed: Sized + Send + Sync {
    /// `None` if the key has another length.
    fn new(key: &[u8]) -> Option<Self>;
    /// Encrypts in place.
    fn seal(&self, nonce: Nonce, header: &[u8], bytes: &mut [u8]) -> Option<Tag>;
    /// Decrypts in place, if the tag is right.
    fn open(&self, nonce: Nonce, header: &[u8], bytes: &mut [u8], tag: Tag) -> Option<()>;
}

impl Keyed for Aes128Gcm {
    fn new(key: &[u8]) -> Option<Self> {
        aes_gcm::KeyInit::new_from_slice(key).ok()
    }

    fn seal(&self, nonce: Nonce, header: &[u8], bytes: &mut [u8]) -> Option<Tag> {
        self.encrypt_in_place_detached(&nonce.0.into(), header, bytes).ok().map(Into::into)
    }

    fn open(&self, nonce: Nonce, header: &[u8], bytes: &mut [u8], tag: Tag) -> Option<()> {
        self.decrypt_in_place_detached(&nonce.0.into(), header, bytes, &tag.into()).ok()
    }
}

impl Keyed for ChaCha20Poly1305 {
    fn new(key: &[u8]) -> Option<Self> {
        chacha20poly1305::KeyInit::new_from_slice(key).ok()
    }

    fn seal(&self, nonce: Nonce, header: &[u8], bytes: &mut [u8]) -> Option<Tag> {
        self.encrypt_inout_detached(&nonce.0.into(), header, bytes.into()).ok().map(Into::into)
    }

    fn open(&self, nonce: Nonce, header: &[u8], bytes: &mut [u8], tag: Tag) -> Option<()> {
        self.decrypt_inout_detached(&nonce.0.into(), header, bytes.into(), &tag.into()).ok()
    }
}

/// The key of one direction.
struct Cipher<A> {
    /// `None` if rustls gave a key of another length: nothing is encrypted then.
    aead: Option<A>,
    iv: Iv,
}

impl<A: Keyed> Cipher<A> {
    fn new(key: &AeadKey, iv: Iv) -> Self {
        Self { aead: A::new(key.as_ref()), iv }
    }
}

impl<A: Keyed> MessageEncrypter for Cipher<A> {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let len = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(len);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&message.typ.to_array());
        let aead = self.aead.as_ref().ok_or(Error::EncryptError)?;
        let (nonce, header) = (Nonce::new(&self.iv, seq), make_tls13_aad(len));
        let tag = aead.seal(nonce, &header, payload.as_mut()).ok_or(Error::EncryptError)?;
        payload.extend_from_slice(&tag);
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len.saturating_add(1).saturating_add(TAG_BYTES)
    }
}

impl<A: Keyed> MessageDecrypter for Cipher<A> {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let aead = self.aead.as_ref().ok_or(Error::DecryptError)?;
        // The additional data has the fixed values of these two fields, not the received ones.
        if message.typ != ContentType::ApplicationData || message.version != ProtocolVersion::TLSv1_2 {
            return Err(Error::DecryptError);
        }
        let (nonce, header) = (Nonce::new(&self.iv, seq), make_tls13_aad(message.payload.len()));
        let (bytes, tag) = message.payload.split_last_chunk_mut::<TAG_BYTES>().ok_or(Error::DecryptError)?;
        let len = bytes.len();
        aead.open(nonce, &header, bytes, *tag).ok_or(Error::DecryptError)?;
        message.payload.truncate(len);
        message.into_tls13_unpadded_message()
    }
}
