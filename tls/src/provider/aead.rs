//! Protection of records: ChaCha20-Poly1305 (RFC 8439, RFC 8446 §5.2).
//!
//! ```text
//!   plaintext ║ content type ── encrypted ──► ciphertext ║ tag 16      additional data: the record's header, 5 bytes
//! ```

use alloc::boxed::Box;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305 as Aead, Tag};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter, Nonce,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

#[derive(Debug)]
pub(crate) struct ChaCha20Poly1305;

impl Tls13AeadAlgorithm for ChaCha20Poly1305 {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Cipher::new(&key, iv))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Cipher::new(&key, iv))
    }

    fn key_len(&self) -> usize {
        KEY_BYTES
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Ok(ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv })
    }
}

/// The keys of one direction. The AEAD clears its key when it is dropped.
struct Cipher {
    /// `None` if rustls gave a key of another length: nothing is encrypted then.
    aead: Option<Aead>,
    iv: Iv,
}

impl Cipher {
    fn new(key: &AeadKey, iv: Iv) -> Self {
        Self { aead: Aead::new_from_slice(key.as_ref()).ok(), iv }
    }

    fn nonce(&self, seq: u64) -> chacha20poly1305::Nonce {
        Nonce::new(&self.iv, seq).0.into()
    }
}

impl MessageEncrypter for Cipher {
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
        let (nonce, header) = (self.nonce(seq), make_tls13_aad(len));
        let tag = aead.encrypt_inout_detached(&nonce, &header, payload.as_mut().into());
        payload.extend_from_slice(&tag.map_err(|_| Error::EncryptError)?);
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len.saturating_add(1).saturating_add(TAG_BYTES)
    }
}

impl MessageDecrypter for Cipher {
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
        let (nonce, header) = (self.nonce(seq), make_tls13_aad(message.payload.len()));
        let (bytes, tag) = message.payload.split_last_chunk_mut::<TAG_BYTES>().ok_or(Error::DecryptError)?;
        let len = bytes.len();
        aead.decrypt_inout_detached(&nonce, &header, bytes.into(), &Tag::from(*tag))
            .map_err(|_| Error::DecryptError)?;
        message.payload.truncate(len);
        message.into_tls13_unpadded_message()
    }
}
