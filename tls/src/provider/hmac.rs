//! HMAC with SHA-256 (RFC 2104), over which rustls computes HKDF.

use ::hmac::{Hmac, KeyInit, Mac};
use alloc::boxed::Box;
use rustls::crypto::hmac::{Key, Tag};
use sha2::Sha256;
use sha2::digest::Digest;
use zeroize::Zeroizing;

/// Bytes of a block of SHA-256: the length of a key after RFC 2104 §2 has padded or hashed it.
const BLOCK_BYTES: usize = 64;

#[derive(Debug)]
pub(crate) struct HmacSha256;

impl rustls::crypto::hmac::Hmac for HmacSha256 {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        let hashed = (key.len() > BLOCK_BYTES).then(|| Sha256::digest(key));
        let key = hashed.as_deref().unwrap_or(key);
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Box::new(Keyed(Hmac::new((&*block).into())))
    }

    fn hash_output_len(&self) -> usize {
        32
    }
}

struct Keyed(Hmac<Sha256>);

impl Key for Keyed {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        middle.iter().for_each(|part| mac.update(part));
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        32
    }
}
