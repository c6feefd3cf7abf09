//! Hostile and broken clients: each ends with an error that has a name, and with bounded memory.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use std::io::Write;
use std::sync::Arc;
use support::*;
use tls::{Error, HANDSHAKE_LIMIT, RECORD_LIMIT, Session};

const HANDSHAKE: u8 = 22;
const APPLICATION: u8 = 23;

fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3, len[0], len[1]], bytes].concat()
}

/// Gives the session everything; the error, and the kind of the record that it sends last.
fn end(session: &mut Session, bytes: &[u8]) -> (Option<Error>, Option<u8>) {
    let _ = receive(session, bytes, usize::MAX);
    let output = session.take_output();
    let mut rest = output.as_slice();
    let mut last = None;
    while let [kind, _, _, high, low, ..] = rest {
        last = Some(*kind);
        rest = &rest[5 + usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    (session.error(), last)
}

struct World {
    server: tls::Server,
    config: Arc<rustls::ClientConfig>,
}

fn world() -> World {
    let pair = Pair::p256("a.test");
    World { server: server(&[&pair]), config: Arc::new(client_config(&[&pair])) }
}

impl World {
    fn session(&self) -> Session {
        self.server.accept().unwrap()
    }

    fn hello(&self) -> Vec<u8> {
        sent(&mut connect(&self.config, "a.test"))
    }
}

const ALERT: Option<u8> = Some(21);

#[test]
fn a_client_hello_of_64_kib_is_refused_early() {
    let world = world();
    let long = |len: u32| [&[1], &len.to_be_bytes()[1..], &vec![0; len as usize][..]].concat();
    for len in [HANDSHAKE_LIMIT as u32, 0xffff, 0xff_ffff] {
        let mut session = world.session();
        let message = long(len.min(0xffff));
        let records: Vec<u8> = message.chunks(16_384).flat_map(|part| record(HANDSHAKE, part)).collect();
        let mut taken = 0;
        let error = loop {
            match session.receive(&records[taken..]) {
                Ok(len) => taken += len,
                Err(error) => break error,
            }
        };
        assert_eq!((error, taken <= HANDSHAKE_LIMIT), (Error::HandshakeTooLong, true), "{len}");
        assert_eq!(session.take_output(), [21, 3, 3, 0, 2, 2, 50]);
        assert_eq!(session.receive(b"more"), Err(Error::HandshakeTooLong));
    }
    // In records of one byte each, too.
    let mut session = world.session();
    let records: Vec<u8> = long(0xffff).iter().flat_map(|byte| record(HANDSHAKE, &[*byte])).collect();
    assert_eq!(end(&mut session, &records), (Some(Error::HandshakeTooLong), ALERT));
}

#[test]
fn a_long_client_hello_below_the_limit_is_taken() {
    let pair = Pair::p256("a.test");
    let server = server(&[&pair]);
    let mut config = client_config(&[&pair]);
    config.alpn_protocols = (0..28).map(|n| vec![b'a' + n; 250]).chain([b"http/1.1".to_vec()]).collect();
    let mut client = connect(&Arc::new(config), "a.test");
    let mut session = server.accept().unwrap();
    shake(&mut client, &mut session).unwrap();
    assert_eq!(client.alpn_protocol(), Some(b"http/1.1".as_slice()));
}

#[test]
fn what_is_not_tls_is_named() {
    let world = world();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(end(&mut world.session(), request).0, Some(Error::NotTls));
    assert_eq!(end(&mut world.session(), b"SSH-2.0-OpenSSH_9.2\r\n").0, Some(Error::NotTls));
    assert_eq!(end(&mut world.session(), &[0; 100]).0, Some(Error::NotTls));
}

#[test]
fn tls_1_2_alone_is_refused() {
    let pair = Pair::p256("a.test");
    let server = server(&[&pair]);
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let (mut client, mut session) = (connect(&Arc::new(config), "a.test"), server.accept().unwrap());
    let refused = shake(&mut client, &mut session).unwrap_err();
    assert_eq!(session.error(), Some(Error::Version), "{refused}");
    let mut again = server.accept().unwrap();
    let _ = receive(&mut again, &sent(&mut connect(&Arc::new(client_config(&[])), "a.test")), usize::MAX);
    assert_eq!(again.error(), None);
}

#[test]
fn without_a_common_suite_or_group_it_is_refused() {
    let pair = Pair::p256("a.test");
    let server = server(&[&pair]);
    let with = |change: fn(&mut rustls::crypto::CryptoProvider)| {
        let mut provider = rustls::crypto::ring::default_provider();
        change(&mut provider);
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        end(&mut server.accept().unwrap(), &sent(&mut connect(&Arc::new(config), "a.test")))
    };
    let refused = (Some(Error::NoCommonParameters), ALERT);
    let neither = |provider: &mut rustls::crypto::CryptoProvider| {
        provider.cipher_suites.retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
    };
    let no_x25519 = |provider: &mut rustls::crypto::CryptoProvider| {
        provider.kx_groups.retain(|group| group.name() != rustls::NamedGroup::X25519);
    };
    assert_eq!((with(neither), with(no_x25519)), (refused, refused));
}

#[test]
fn records_too_long_are_refused() {
    let world = world();
    for len in [16_384 + 257, 0xffff] {
        let bytes = record(HANDSHAKE, &vec![1; len]);
        let error = end(&mut world.session(), &bytes).0.unwrap();
        assert!(matches!(error, Error::RecordTooLong | Error::HandshakeTooLong), "{error:?}");
        let (_, mut session) = open(&world.server, &world.config, "a.test");
        assert_eq!(end(&mut session, &record(APPLICATION, &vec![1; len])).0, Some(Error::RecordTooLong));
    }
    // The longest record that there may be, but for somebody else's key.
    let (_, mut session) = open(&world.server, &world.config, "a.test");
    let bytes = record(APPLICATION, &vec![1; 16_384 + 256]);
    assert_eq!(bytes.len(), RECORD_LIMIT);
    assert_eq!(end(&mut session, &bytes), (Some(Error::BadRecord), Some(APPLICATION)));
}

#[test]
fn a_changed_record_ends_the_session() {
    let world = world();
    for (at, expected) in
        [(0, Error::BadRecord), (1, Error::Malformed), (5, Error::BadRecord), (40, Error::BadRecord)]
    {
        let (mut client, mut session) = open(&world.server, &world.config, "a.test");
        client.writer().write_all(&[b'x'; 30]).unwrap();
        let mut bytes = sent(&mut client);
        bytes[at] ^= 1;
        let (error, alert) = end(&mut session, &bytes);
        assert_eq!((error, alert), (Some(expected), Some(APPLICATION)), "at {at}; the alert is encrypted");
        assert_eq!((session.write(b"x"), session.is_readable()), (Err(Error::NotOpen), false));
    }
}

#[test]
fn a_repeated_record_ends_the_session() {
    let world = world();
    let (mut client, mut session) = open(&world.server, &world.config, "a.test");
    client.writer().write_all(b"once").unwrap();
    let bytes = sent(&mut client);
    assert_eq!(receive(&mut session, &bytes, usize::MAX).unwrap(), b"once");
    assert_eq!(end(&mut session, &bytes).0, Some(Error::BadRecord));
}

#[test]
fn a_stream_that_is_cut_is_told_from_one_that_is_closed() {
    let world = world();
    let (mut client, mut session) = open(&world.server, &world.config, "a.test");
    client.writer().write_all(b"GET /").unwrap();
    let bytes = sent(&mut client);
    assert_eq!(receive(&mut session, &bytes[..bytes.len() - 1], usize::MAX).unwrap(), b"");
    assert_eq!(session.receive_end(), Err(Error::Truncated));
    let mut half = world.session();
    receive(&mut half, &world.hello()[..100], usize::MAX).unwrap();
    assert_eq!(half.receive_end(), Err(Error::Truncated));
}

#[test]
fn a_second_client_hello_is_refused() {
    let world = world();
    // In the clear while the first is being answered, and in the clear on an open session.
    let mut session = world.session();
    receive(&mut session, &world.hello(), usize::MAX).unwrap();
    let error = end(&mut session, &world.hello()).0.unwrap();
    assert!(matches!(error, Error::Unexpected | Error::BadRecord | Error::Misbehaved), "{error:?}");
    let (_, mut session) = open(&world.server, &world.config, "a.test");
    let error = end(&mut session, &world.hello()).0.unwrap();
    assert!(matches!(error, Error::Unexpected | Error::BadRecord | Error::Misbehaved), "{error:?}");
}

#[test]
fn alerts_and_messages_out_of_order_end_the_session() {
    let world = world();
    assert_eq!(end(&mut world.session(), &record(21, &[2, 40])).0, Some(Error::Alert(40)));
    assert_eq!(end(&mut world.session(), &record(APPLICATION, b"x")).0, Some(Error::Unexpected));
    // Finished before ClientHello; an empty record; a flood of ChangeCipherSpec.
    assert_eq!(end(&mut world.session(), &record(HANDSHAKE, &[20, 0, 0, 0])).0, Some(Error::Unexpected));
    assert!(end(&mut world.session(), &record(HANDSHAKE, &[])).0.is_some());
    let mut session = world.session();
    receive(&mut session, &world.hello(), usize::MAX).unwrap();
    let flood: Vec<u8> = (0..100).flat_map(|_| record(20, &[1])).collect();
    assert!(end(&mut session, &flood).0.is_some());
}

#[test]
fn early_data_is_not_taken() {
    let pair = Pair::p256("a.test");
    let server = server(&[&pair]);
    let mut config = client_config(&[&pair]);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let (mut client, mut session) = open(&server, &config, "a.test");
    echo(&mut client, &mut session, b"for a ticket");
    // The ticket allows none, so an honest client sends none.
    let mut client = connect(&config, "a.test");
    assert!(client.early_data().is_none());
    // Whoever sends some all the same is refused by a bound or by the keys.
    let mut session = server.accept().unwrap();
    receive(&mut session, &sent(&mut client), usize::MAX).unwrap();
    let early: Vec<u8> = (0..10).flat_map(|_| record(APPLICATION, &[7; 1000])).collect();
    assert_eq!(end(&mut session, &early).0, Some(Error::BadRecord));
}

#[test]
fn each_byte_of_a_client_hello_may_be_wrong() {
    let world = world();
    let hello = world.hello();
    for at in 0..hello.len() {
        let mut bytes = hello.clone();
        bytes[at] ^= 0x55;
        let mut session = world.session();
        let _ = receive(&mut session, &bytes, usize::MAX);
        assert!(session.take_output().len() < 4096, "at {at}");
    }
}

#[test]
fn key_updates_without_end_are_refused() {
    let world = world();
    let (mut client, mut session) = open(&world.server, &world.config, "a.test");
    let mut flood = Vec::new();
    for _ in 0..100 {
        client.refresh_traffic_keys().unwrap();
        flood.extend(sent(&mut client));
    }
    let (error, _) = end(&mut session, &flood);
    assert_eq!(error, Some(Error::Misbehaved));
}
