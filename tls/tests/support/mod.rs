//! Certificates made by rcgen, and a client: rustls over ring, which shares no cryptography with the server.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tls::{Error, Identities, Secret, Server, Session};
use zeroize::Zeroizing;

/// A certificate that signs itself.
pub(crate) struct Pair {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn new(names: &[&str], algorithm: &'static SignatureAlgorithm) -> Self {
        Self::with(names, algorithm, |_| {})
    }

    pub(crate) fn with(
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl Fn(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn p256(name: &str) -> Self {
        Self::new(&[name], &PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn ed25519(name: &str) -> Self {
        Self::new(&[name], &PKCS_ED25519)
    }

    /// Both in one file.
    pub(crate) fn file(&self, name: &str) -> Secret {
        secret(name, &format!("{}{}", self.certificate, self.key))
    }
}

/// A chain with its key in one file: for each number a certificate with an extension of this length, the leaf first. And
/// the bytes of the certificates.
pub(crate) fn chain(extensions: &[usize]) -> (Secret, usize) {
    let params = |name: &str, len| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5; len]));
        params
    };
    let (leaf, authorities) = extensions.split_first().unwrap();
    let mut issuer: Option<CertifiedIssuer<'static, KeyPair>> = None;
    let (mut text, mut bytes) = (String::new(), 0);
    for (number, len) in authorities.iter().enumerate().rev() {
        let mut params = params(&format!("authority{number}.test"), *len);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let made = match &issuer {
            Some(issuer) => CertifiedIssuer::signed_by(params, key, issuer),
            None => CertifiedIssuer::self_signed(params, key),
        };
        let made = made.unwrap();
        text = made.pem() + &text;
        bytes += made.der().len();
        issuer = Some(made);
    }
    let key = KeyPair::generate().unwrap();
    let leaf = params("leaf.test", *leaf);
    let leaf = issuer.map_or_else(|| leaf.self_signed(&key), |issuer| leaf.signed_by(&key, &issuer)).unwrap();
    (secret("chain.pem", &(leaf.pem() + &text + &key.serialize_pem())), bytes + leaf.der().len())
}

pub(crate) fn secret(name: &str, text: &str) -> Secret {
    Secret { name: name.into(), bytes: Zeroizing::new(text.as_bytes().to_vec()) }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn server(pairs: &[&Pair]) -> Server {
    let server = Server::new([7; 32]);
    server.tick(1, now());
    server.set_identities(identities(pairs)).unwrap();
    server
}

pub(crate) fn identities(pairs: &[&Pair]) -> Identities {
    let files: Vec<Secret> =
        pairs.iter().enumerate().map(|(n, pair)| pair.file(&format!("{n}.pem"))).collect();
    Identities::from_files(&files, now()).unwrap()
}

/// A client that trusts these certificates.
pub(crate) fn client_config(pairs: &[&Pair]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    pairs.iter().for_each(|pair| roots.add(pair.der.clone()).unwrap());
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
}

pub(crate) fn connect(config: &Arc<ClientConfig>, name: &str) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap()
}

/// What the client sends now.
pub(crate) fn sent(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Gives the client what the server sends.
pub(crate) fn deliver(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

/// Gives the session all bytes, in parts of `step`, and collects the plaintext.
pub(crate) fn receive(session: &mut Session, bytes: &[u8], step: usize) -> Result<Vec<u8>, Error> {
    let mut plaintext = Vec::new();
    for part in bytes.chunks(step) {
        let mut rest = part;
        while !rest.is_empty() {
            let taken = session.receive(rest)?;
            rest = &rest[taken..];
            let mut buffer = [0; 1000];
            let len = session.read(&mut buffer);
            plaintext.extend_from_slice(&buffer[..len]);
            assert!(taken > 0 || len > 0, "nothing taken and nothing to read");
        }
    }
    while session.is_readable() {
        let mut buffer = [0; 1000];
        let len = session.read(&mut buffer);
        plaintext.extend_from_slice(&buffer[..len]);
    }
    Ok(plaintext)
}

/// Exchanges bytes until both are silent.
pub(crate) fn shake(client: &mut ClientConnection, session: &mut Session) -> Result<(), String> {
    for _ in 0..10 {
        let bytes = sent(client);
        let received = receive(session, &bytes, usize::MAX);
        let output = session.take_output();
        let silent = bytes.is_empty() && output.is_empty();
        let delivered = deliver(client, &output);
        assert_eq!(received.map_err(|error| format!("server: {error:?}"))?, b"", "plaintext in a handshake");
        delivered.map_err(|error| format!("client: {error:?}"))?;
        if silent {
            return Ok(());
        }
    }
    Err("never silent".into())
}

/// A session and its client after the handshake.
pub(crate) fn open(server: &Server, config: &Arc<ClientConfig>, name: &str) -> (ClientConnection, Session) {
    let (mut client, mut session) = (connect(config, name), server.accept().unwrap());
    shake(&mut client, &mut session).unwrap();
    assert!(!session.is_handshaking() && !client.is_handshaking());
    (client, session)
}

/// The client's bytes as the server reads them, and back.
pub(crate) fn echo(client: &mut ClientConnection, session: &mut Session, bytes: &[u8]) {
    client.writer().write_all(bytes).unwrap();
    let records = sent(client);
    let plaintext = receive(session, &records, usize::MAX).unwrap();
    assert!(plaintext == bytes, "other bytes were read");
    let mut rest = plaintext.as_slice();
    let mut back = Vec::new();
    while !rest.is_empty() {
        let (records, len) = session.write(rest).unwrap();
        rest = &rest[len..];
        deliver(client, &records).unwrap();
        let mut part = vec![0; len];
        client.reader().read_exact(&mut part).unwrap();
        back.extend_from_slice(&part);
    }
    assert!(back == bytes, "other bytes came back");
}
