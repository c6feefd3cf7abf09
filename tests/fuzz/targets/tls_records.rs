//! Any records at a session of TLS, before, in and after a handshake with a real client: nothing panics, no byte is read that
//! the client did not write, an error stays, and buffers stay within a record of each direction.
//!
//! ```text
//!   0: a new session   1: one that is open, with rustls's client over ring at the other end; then operations:
//!   0 n bytes: as they are   1 kind version n bytes: a record   2 n at mask: the client writes, one byte is changed
//!   3 n: the client writes   4 n: the server writes   5: read   6: close   7: the client's new keys   8: the client closes
//! ```

#![no_main]

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock};
use tls::{Error, Identities, RECORD_LIMIT, Secret, Server, Session};
use zeroize::Zeroizing;

/// Operations that one input may have.
const MOST: usize = 60;
const CERTIFICATE: &str = include_str!("tls/site.crt");
const KEY: &str = include_str!("tls/site.key");

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let server = Server::new([1; 32]);
    let bytes = Zeroizing::new(format!("{CERTIFICATE}{KEY}").into_bytes());
    let identities = Identities::from_files(&[Secret { name: "site".into(), bytes }], 0).expect("a pair");
    server.set_identities(identities).expect("a configuration");
    server
});

static CLIENT: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).expect("a certificate"))
        .expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
});

struct World {
    session: Session,
    client: ClientConnection,
    /// The error of the session, which stays.
    error: Option<Error>,
}

impl World {
    fn new(open: bool) -> Self {
        let name = ServerName::try_from("a.test").expect("a name");
        let client = ClientConnection::new(Arc::clone(&CLIENT), name).expect("a client");
        let mut world = Self { session: SERVER.accept().expect("a session"), client, error: None };
        while open && (world.session.is_handshaking() || world.client.is_handshaking()) {
            let bytes = world.sent();
            world.give(&bytes);
            world.deliver();
            assert_eq!(world.error, None, "an honest handshake");
        }
        world
    }

    /// What the client sends.
    fn sent(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("a vector takes all");
        }
        bytes
    }

    /// Gives the session bytes, and reads what it makes of them.
    fn give(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.session.receive(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) => {
                    assert!(self.error.is_none_or(|before| before == error), "another error than before");
                    self.error = Some(error);
                    break;
                }
            }
            assert!(self.session.buffered() <= 3 * RECORD_LIMIT, "{:?}", self.session);
            if self.read() == 0 && self.session.is_peer_closed() {
                break;
            }
        }
        assert_eq!(self.session.error(), self.error);
    }

    fn read(&mut self) -> usize {
        let mut bytes = [0; 3000];
        let mut all = 0;
        loop {
            let len = self.session.read(&mut bytes);
            assert!(bytes[..len].iter().all(|byte| *byte == b'c'), "bytes that the client did not write");
            all += len;
            if len == 0 {
                return all;
            }
        }
    }

    /// Gives the client what the session has to say. A client that is confused by that is done.
    fn deliver(&mut self) {
        let output = self.session.take_output();
        self.tell(&output);
    }

    fn tell(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.client.read_tls(&mut bytes).is_ok() {
            if self.client.process_new_packets().is_err() {
                return;
            }
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 9 {
            0 => {
                let len = usize::from(input.short() % 2000);
                self.give(input.bytes(len));
            }
            1 => {
                let (kind, version, len) = (input.byte(), input.byte(), usize::from(input.short()) % 17_000);
                let bytes = input.bytes(len);
                let said = u16::try_from(len).unwrap_or(0).to_be_bytes();
                self.give(&[&[kind, 3, version, said[0], said[1]], bytes].concat());
            }
            op @ (2 | 3) => {
                let len = usize::from(input.short());
                let _ = self.client.writer().write_all(&vec![b'c'; len]);
                let mut bytes = self.sent();
                if op == 2 && !bytes.is_empty() {
                    let at = usize::from(input.short()) % bytes.len();
                    bytes[at] ^= input.byte();
                }
                self.give(&bytes);
            }
            4 => {
                let text = vec![b's'; usize::from(input.short())];
                self.deliver();
                if let Ok((records, len)) = self.session.write(&text) {
                    assert!(len <= text.len() && records.len() >= len);
                    self.tell(&records);
                    let mut bytes = Vec::new();
                    let _ = self.client.reader().read_to_end(&mut bytes);
                    assert!(bytes.iter().all(|byte| *byte == b's'), "other bytes than were written");
                }
            }
            5 => drop(self.read()),
            6 => self.session.close(),
            7 if !self.client.is_handshaking() => drop(self.client.refresh_traffic_keys()),
            8 if input.byte() > 128 => self.client.send_close_notify(),
            _ => {}
        }
        self.deliver();
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut world = World::new(input.byte() & 1 == 1);
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.read();
    let ended = world.session.receive_end();
    assert_eq!(ended.is_ok(), world.session.is_peer_closed());
});
