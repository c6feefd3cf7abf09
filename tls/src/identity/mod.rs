//! Certificates with their private keys, from PEM files, checked before they are used.
//!
//! ```text
//!   files ─► sections ─► chains, keys ─► pairs: leaf and key belong together ─► valid now? ─► Identities
//!                                                                                              │
//!   ClientHello: server name, signature schemes ──────────────────────────────────────────────┴─► chain, key
//! ```

mod certificate;
mod refusal;

pub use refusal::{Refusal, RefusalReason};

use crate::provider::sign::{PrivateKey, SharedKey};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use certificate::Leaf;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject, SectionKind};
use zeroize::Zeroizing;

/// Files at most.
const MOST_FILES: usize = 32;
/// Bytes of all files together at most.
const MOST_BYTES: usize = 64 * 1024;
/// Certificates of a chain at most.
const MOST_IN_CHAIN: usize = 8;
/// Bytes of a chain at most, as the Certificate message has them: 5 more for each certificate (RFC 8446 §4.4.2). rustls
/// collects its first flight in a vector that grows to twice its length at most: with the messages around this one, a small
/// allocation, which cannot fail.
pub const CHAIN_LIMIT: usize = 3840;
/// Bytes of a certificate or a key as PEM at most. The parser's buffer is a small allocation then, which cannot fail.
const MOST_IN_SECTION: usize = 8 * 1024;

/// A file with a certificate chain, a private key or both. Its bytes are cleared when it is dropped.
pub struct Secret {
    /// The name, for messages.
    pub name: String,
    /// The content.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for Secret {
    /// Without the content.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is known of a certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file from which it came.
    pub file: String,
    /// The host names that it is for, in lower case; the first label may be `*`.
    pub names: Vec<String>,
    /// The end of its validity, in seconds since 1970.
    pub not_after: u64,
}

/// Certificates with their keys. The first is for clients that name no host, or an unknown one.
#[derive(Debug)]
pub struct Identities(Vec<Pair>);

#[derive(Debug)]
struct Pair {
    public: Identity,
    certified: Arc<CertifiedKey>,
}

/// A chain as it stands in a file.
struct Chain<'a> {
    file: &'a str,
    certificates: Vec<CertificateDer<'static>>,
    leaf: Leaf,
}

/// A key as it stands in a file.
struct Key<'a> {
    file: &'a str,
    key: PrivateKey,
}

impl Identities {
    /// Reads files in PEM: each holds a chain, its leaf first, or a key, or both. A key belongs to the chain whose leaf has its
    /// public key. `unix` is the time in seconds since 1970, 0 if it is unknown: then validity is not checked.
    ///
    /// # Errors
    /// The file that cannot be used, and why. All are refused then.
    pub fn from_files(files: &[Secret], unix: u64) -> Result<Self, Refusal> {
        let bytes = files.iter().fold(0_usize, |sum, file| sum.saturating_add(file.bytes.len()));
        if files.len() > MOST_FILES || bytes > MOST_BYTES {
            return Err(Refusal::new("", RefusalReason::TooLarge));
        }
        let (mut chains, mut keys) = (Vec::new(), Vec::new());
        for file in files {
            read(file, &mut chains, &mut keys)?;
        }
        chains.sort_by(|a: &Chain<'_>, b| a.file.cmp(b.file));
        let pairs = keys.into_iter().map(|key| pair(key, &chains, unix)).collect::<Result<Vec<_>, _>>()?;
        if let Some(lone) = chains.iter().find(|chain| !chain.leaf.is_authority && !is_used(chain, &pairs)) {
            return Err(Refusal::new(lone.file, RefusalReason::NoKey));
        }
        let mut pairs = pairs;
        pairs.sort_by(|a, b| a.public.file.cmp(&b.public.file));
        if pairs.is_empty() { Err(Refusal::new("", RefusalReason::Nothing)) } else { Ok(Self(pairs)) }
    }

    /// What is known of them; no secrets.
    #[must_use]
    pub fn summary(&self) -> Vec<Identity> {
        self.0.iter().map(|pair| pair.public.clone()).collect()
    }
}

fn is_used(chain: &Chain<'_>, pairs: &[Pair]) -> bool {
    let leaf = chain.certificates.first();
    pairs.iter().any(|pair| pair.certified.cert.first() == leaf)
}

/// The bytes of the longest section: of the lines between two that begin or end one.
fn longest_section(bytes: &[u8]) -> usize {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let mut longest = 0;
    lines.fold(0_usize, |len, line| {
        let len = if line.starts_with(b"-----") { 0 } else { len.saturating_add(line.len()) };
        longest = longest.max(len);
        len
    });
    longest
}

/// Adds the chain and the keys of a file.
fn read<'a>(file: &'a Secret, chains: &mut Vec<Chain<'a>>, keys: &mut Vec<Key<'a>>) -> Result<(), Refusal> {
    let name = file.name.as_str();
    let refuse = |reason| Err(Refusal::new(name, reason));
    if file.bytes.windows(ENCRYPTED.len()).any(|text| text == ENCRYPTED) {
        return refuse(RefusalReason::EncryptedKey);
    }
    if longest_section(&file.bytes) > MOST_IN_SECTION {
        return refuse(RefusalReason::TooLarge);
    }
    let mut certificates = Vec::new();
    let before = keys.len();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&file.bytes) {
        let Ok((kind, der)) = section else { return refuse(RefusalReason::NotPem) };
        let der = Zeroizing::new(der);
        let key = match kind {
            SectionKind::Certificate => {
                certificates.push(CertificateDer::from(der.to_vec()));
                continue;
            }
            SectionKind::PrivateKey => PrivateKey::from_pkcs8(&der),
            SectionKind::EcPrivateKey => PrivateKey::from_sec1(&der),
            SectionKind::RsaPrivateKey => None,
            _ => continue,
        };
        let Some(key) = key else { return refuse(RefusalReason::UnusableKey) };
        keys.push(Key { file: name, key });
    }
    if let Some(first) = certificates.first() {
        let Some(leaf) = Leaf::parse(first) else { return refuse(RefusalReason::BadCertificate) };
        if certificates.len() > MOST_IN_CHAIN {
            return refuse(RefusalReason::TooLarge);
        }
        chains.push(Chain { file: name, certificates, leaf });
    } else if keys.len() == before {
        return refuse(RefusalReason::NotPem);
    }
    Ok(())
}

/// Of the labels `ENCRYPTED PRIVATE KEY` (RFC 5958) and `Proc-Type: 4,ENCRYPTED` (RFC 1421).
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// A key with its chain: the longest whose leaf has the public key.
fn pair(key: Key<'_>, chains: &[Chain<'_>], unix: u64) -> Result<Pair, Refusal> {
    let public_key = key.key.public_key();
    let fitting = chains.iter().filter(|chain| chain.leaf.public_key == public_key);
    let Some(chain) = fitting.max_by_key(|chain| chain.certificates.len()) else {
        return Err(Refusal::new(key.file, RefusalReason::NoCertificate));
    };
    let bytes =
        chain.certificates.iter().fold(0_usize, |sum, der| sum.saturating_add(der.len()).saturating_add(5));
    if bytes > CHAIN_LIMIT {
        return Err(Refusal::new(chain.file, RefusalReason::ChainTooLong(bytes)));
    }
    certificate::check(&chain.certificates, unix).map_err(|reason| Refusal::new(chain.file, reason))?;
    let Leaf { names, not_after, .. } = &chain.leaf;
    let public = Identity { file: chain.file.to_string(), names: names.clone(), not_after: *not_after };
    let shared = Arc::new(SharedKey(Arc::new(key.key)));
    Ok(Pair { public, certified: Arc::new(CertifiedKey::new(chain.certificates.clone(), shared)) })
}

impl ResolvesServerCert for Identities {
    /// The first certificate for the name whose key the client can verify; else the first one for the name; else the first
    /// that the client can verify, or of all.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pairs = &self.0;
        let named = |pair: &&Pair| hello.server_name().is_some_and(|name| is_for(&pair.public.names, name));
        let verifiable = |pair: &&Pair| pair.certified.key.choose_scheme(hello.signature_schemes()).is_some();
        let chosen = pairs.iter().filter(named).find(verifiable).or_else(|| pairs.iter().find(named));
        let chosen = chosen.or_else(|| pairs.iter().find(verifiable)).or_else(|| pairs.first());
        chosen.map(|pair| Arc::clone(&pair.certified))
    }
}

/// Whether one of the names of a certificate is the name of the host (RFC 9525 §6.3: `*` stands for one whole label).
fn is_for(names: &[String], host: &str) -> bool {
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
        None => host.eq_ignore_ascii_case(name),
    })
}
