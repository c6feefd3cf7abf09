//! Sessions with rustls's client over ring: both kinds of keys, names, resumption, exchange of certificates, the end.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::{CipherSuite, ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore};
use std::io::{Read, Write};
use std::sync::Arc;
use support::*;
use tls::{Error, Server, Session};

#[test]
fn both_kinds_of_keys_serve_bytes_of_any_length() {
    for pair in [Pair::p256("a.test"), Pair::ed25519("a.test")] {
        let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
        let (mut client, mut session) = open(&server, &config, "a.test");
        assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519);
        echo_any_length(&mut client, &mut session);
    }
}

fn echo_any_length(client: &mut ClientConnection, session: &mut Session) {
    for len in [1, 2, 1024, 16_383, 16_384, 16_385, 60_000] {
        let bytes: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[(n % 3) as usize]).collect();
        echo(client, session, &bytes);
    }
}

/// The suite of a client that has these, in its order of preference.
fn suite_of(server: &Server, pair: &Pair, suites: &[CipherSuite]) -> CipherSuite {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
    provider.cipher_suites.sort_by_key(|suite| suites.iter().position(|wanted| *wanted == suite.suite()));
    let mut roots = RootCertStore::empty();
    roots.add(pair.der.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let (mut client, mut session) = open(server, &config, "a.test");
    echo_any_length(&mut client, &mut session);
    client.negotiated_cipher_suite().unwrap().suite()
}

#[test]
fn the_processor_decides_between_two_suites() {
    let (aes, chacha) = (CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    let pair = Pair::p256("a.test");
    let server = server(&[&pair]);
    for suite in [aes, chacha] {
        assert_eq!(suite_of(&server, &pair, &[suite]), suite);
    }
    let has_aes = std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
    let preferred = if has_aes { aes } else { chacha };
    assert_eq!(suite_of(&server, &pair, &[aes, chacha]), preferred);
    assert_eq!(suite_of(&server, &pair, &[chacha, aes]), preferred);
}

#[test]
fn a_handshake_byte_by_byte() {
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    let (mut client, mut session) = (connect(&config, "a.test"), server.accept().unwrap());
    for _ in 0..3 {
        let bytes = sent(&mut client);
        assert_eq!(receive(&mut session, &bytes, 1).unwrap(), b"");
        for byte in session.take_output() {
            deliver(&mut client, &[byte]).unwrap();
        }
    }
    assert!(!client.is_handshaking() && !session.is_handshaking());
    client.writer().write_all(b"request").unwrap();
    assert_eq!(receive(&mut session, &sent(&mut client), 1).unwrap(), b"request");
}

#[test]
fn the_certificate_follows_the_server_name() {
    let first = Pair::new(&["first.test", "*.wild.test"], &PKCS_ECDSA_P256_SHA256);
    let second = Pair::new(&["second.test"], &PKCS_ED25519);
    let (server, config) = (server(&[&first, &second]), Arc::new(client_config(&[&first, &second])));
    for (name, expected) in
        [("first.test", &first), ("second.test", &second), ("SECOND.test", &second), ("a.wild.test", &first)]
    {
        let (client, _) = open(&server, &config, name);
        assert_eq!(client.peer_certificates().unwrap()[0], expected.der, "{name}");
    }
    // An unknown name, and no name at all, get the first: the client says what it makes of it.
    for name in ["b.a.wild.test", "192.0.2.1"] {
        let error = shake(&mut connect(&config, name), &mut server.accept().unwrap()).unwrap_err();
        assert!(error.contains("NotValidForName"), "{error}");
    }
}

#[test]
fn of_two_certificates_the_client_gets_what_it_can_verify() {
    let (modern, common) = (Pair::ed25519("a.test"), Pair::p256("a.test"));
    let server = server(&[&modern, &common]);
    let mut provider = rustls::crypto::ring::default_provider();
    let (client, _) = open(&server, &Arc::new(client_config(&[&modern])), "a.test");
    assert_eq!(client.peer_certificates().unwrap()[0], modern.der);
    let p256 = rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
    let mapping = provider.signature_verification_algorithms.mapping;
    let place = mapping.iter().position(|(scheme, _)| *scheme == p256).unwrap();
    provider.signature_verification_algorithms.mapping = &mapping[place..=place];
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(common.der.clone()).unwrap();
    let restricted = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let (client, _) = open(&server, &restricted, "a.test");
    assert_eq!(client.peer_certificates().unwrap()[0], common.der);
}

#[test]
fn the_protocol_is_http_1_1_or_none() {
    let pair = Pair::p256("a.test");
    let server = server(&[&pair]);
    let with = |protocols: &[&str]| {
        let mut config = client_config(&[&pair]);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (mut client, mut session) = (connect(&Arc::new(config), "a.test"), server.accept().unwrap());
        let shaken = shake(&mut client, &mut session);
        (shaken.is_ok(), client.alpn_protocol().map(<[u8]>::to_vec), session.error())
    };
    assert_eq!(with(&[]), (true, None, None));
    assert_eq!(with(&["h2", "http/1.1"]), (true, Some(b"http/1.1".to_vec()), None));
    assert_eq!(with(&["h2"]), (false, None, Some(Error::NoCommonProtocol)));
}

#[test]
fn a_ticket_resumes_until_certificates_or_seed_change() {
    let (pair, next) = (Pair::p256("a.test"), Pair::p256("a.test"));
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair, &next])));
    let kind = || {
        let (mut client, mut session) = open(&server, &config, "a.test");
        echo(&mut client, &mut session, b"request");
        let resumed = client.handshake_kind() == Some(HandshakeKind::Resumed);
        assert_eq!(session.is_resumed(), resumed);
        resumed
    };
    assert_eq!([kind(), kind(), kind()], [false, true, true]);
    server.reseed([8; 32]);
    assert_eq!([kind(), kind()], [false, true]);
    server.set_identities(identities(&[&next])).unwrap();
    assert_eq!([kind(), kind()], [false, true]);
    // The key of tickets is replaced every six hours, and used for twelve.
    server.tick(6 * 3600 + 1, now() + 6 * 3600);
    assert_eq!([kind(), kind()], [true, true]);
    server.tick(19 * 3600, now() + 19 * 3600);
    assert_eq!([kind(), kind()], [false, true]);
}

#[test]
fn an_exchange_of_certificates_breaks_no_session() {
    let (old, new) = (Pair::p256("a.test"), Pair::ed25519("a.test"));
    let (server, config) = (server(&[&old]), Arc::new(client_config(&[&old, &new])));
    let (mut client, mut session) = open(&server, &config, "a.test");
    let (mut half, mut half_session) = (connect(&config, "a.test"), server.accept().unwrap());
    receive(&mut half_session, &sent(&mut half), usize::MAX).unwrap();
    server.set_identities(identities(&[&new])).unwrap();
    echo(&mut client, &mut session, b"on the former certificate");
    deliver(&mut half, &half_session.take_output()).unwrap();
    shake(&mut half, &mut half_session).unwrap();
    assert_eq!(half.peer_certificates().unwrap()[0], old.der);
    echo(&mut half, &mut half_session, b"begun before");
    let (later, _) = open(&server, &config, "a.test");
    assert_eq!(
        (later.peer_certificates().unwrap()[0].clone(), server.identities().len()),
        (new.der.clone(), 1)
    );
}

#[test]
fn both_sides_close_in_order() {
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    let (mut client, mut session) = open(&server, &config, "a.test");
    let (records, _) = session.write(b"last").unwrap();
    session.close();
    assert_eq!(session.write(b"more"), Err(Error::NotOpen));
    deliver(&mut client, &[records, session.take_output()].concat()).unwrap();
    let mut text = String::new();
    client.reader().read_to_string(&mut text).unwrap();
    assert_eq!(text, "last");
    // The other direction stays open.
    client.writer().write_all(b"request").unwrap();
    client.send_close_notify();
    assert_eq!(receive(&mut session, &sent(&mut client), usize::MAX).unwrap(), b"request");
    assert!(session.is_peer_closed());
    assert_eq!((session.receive_end(), session.receive(b"x"), session.error()), (Ok(()), Ok(0), None));
}

#[test]
fn no_alert_follows_close_notify() {
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    let (mut client, mut session) = open(&server, &config, "a.test");
    session.close();
    deliver(&mut client, &session.take_output()).unwrap();
    assert_eq!(
        session.receive(&[23, 3, 3, 0, 20].iter().copied().chain([9; 20]).collect::<Vec<_>>()),
        Err(Error::BadRecord)
    );
    assert_eq!(session.take_output(), b"");
}

#[test]
fn a_client_updates_its_keys() {
    let pair = Pair::p256("a.test");
    let (server, config) = (server(&[&pair]), Arc::new(client_config(&[&pair])));
    let (mut client, mut session) = open(&server, &config, "a.test");
    for round in 0..5_u8 {
        client.refresh_traffic_keys().unwrap();
        echo(&mut client, &mut session, &[round; 100]);
    }
}

#[test]
fn without_a_certificate_nothing_is_accepted() {
    let server = Server::new([1; 32]);
    assert_eq!(server.accept().unwrap_err(), Error::NoIdentity);
}
