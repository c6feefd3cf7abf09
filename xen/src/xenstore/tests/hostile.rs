//! A daemon, or a writer of nodes, that breaks the rules.

use super::stub::{Msg, Stub, World};
use crate::Errno;
use crate::ids::{DomId, EvtchnPort};
use crate::tests::{Random, STARTS, context, page};
use crate::xenstore::{Broken, Overrun, ReplyFault, XenStore, XsErrno, XsError};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::pin::pin;
use core::task::Poll;

fn fault(result: Result<String, XsError>) -> ReplyFault {
    match result {
        Err(XsError::BadReply { path, fault, .. }) if path == "a" => fault,
        other => panic!("{other:?}"),
    }
}

/// A world in which `tamper` makes other answers of the right one.
fn tampered(tamper: impl FnMut(&Msg, Msg) -> Vec<Msg> + 'static) -> World {
    let mut w = World::new();
    w.stub.set("a", "A");
    w.stub.tamper = Some(Box::new(tamper));
    w
}

/// Lets the daemon behave again and checks that the connection works.
fn works_on(w: &mut World) {
    w.stub.tamper = None;
    let store = w.store.clone();
    assert_eq!(w.run(store.read("a")).unwrap(), "A");
    assert_eq!(store.broken(), None);
}

#[test]
fn h56_bad_numbers_are_errors_that_name_path_and_value() {
    let mut w = World::new();
    let store = w.store.clone();
    for (value, expected) in [("1500", Some(1500)), (" 0\n", Some(0)), ("65535", Some(65535))] {
        w.stub.set("mtu", value);
        assert_eq!(w.run(store.read_number::<u16>("mtu")), Ok(expected));
    }
    for value in ["", "x", "-1", "65536", "4294967296", "0x10", "1 2", "1\0", "\u{1b}[31m"] {
        w.stub.set("mtu", value);
        match w.run(store.read_number::<u16>("mtu")) {
            Err(XsError::NotANumber { path, value: shown }) => {
                assert_eq!(path, "mtu");
                assert!(shown.is_ascii() && !shown.contains(|c: char| c.is_control()), "{shown:?}");
            }
            other => panic!("{value:?}: {other:?}"),
        }
    }
    w.stub.set("mtu", &"9".repeat(4096));
    match w.run(store.read_number::<u16>("mtu")) {
        Err(XsError::NotANumber { value, .. }) => assert_eq!(value.len(), 64),
        other => panic!("{other:?}"),
    }
}

#[test]
fn h56_a_value_that_is_not_utf8_is_an_error_that_names_the_path() {
    let mut w = World::new();
    w.stub.nodes.insert("a".into(), vec![0xff, 0xfe]);
    let store = w.store.clone();
    assert_eq!(w.run(store.read("a")), Err(XsError::NotText { path: "a".into() }));
    assert_eq!(w.run(store.read_number::<u8>("a")), Err(XsError::NotText { path: "a".into() }));
    assert!(w.run(store.exists("a")).unwrap());
    w.stub.nodes.insert("d/\u{fffd}".into(), vec![]);
    w.stub.tamper = Some(Box::new(|_, mut reply| {
        reply.payload = b"ok\0\xff\0".to_vec();
        vec![reply]
    }));
    assert_eq!(w.run(store.directory("d")), Err(XsError::NotText { path: "d/\\xff".into() }));
}

#[test]
fn h56_a_value_of_4096_bytes_is_read_whole() {
    World::each(|mut w| {
        w.stub.set("a", &"x".repeat(4096));
        let store = w.store.clone();
        assert_eq!(w.run(store.read("a")).unwrap().len(), 4096);
    });
}

#[test]
fn h59_an_answer_with_a_wrong_request_id_reaches_nobody() {
    let mut w = tampered(|_, reply| vec![Msg { req_id: reply.req_id ^ 0x8000_0000, ..reply }]);
    let store = w.store.clone();
    assert_eq!(w.try_run(store.read("a")), None);
    assert_eq!(w.store.stats().stray_replies, 1);
    works_on(&mut w);
}

#[test]
fn h59_a_second_answer_to_the_same_request_reaches_nobody() {
    let mut w = tampered(|_, reply| vec![reply.clone(), Msg { payload: b"other".to_vec(), ..reply }]);
    let store = w.store.clone();
    assert_eq!(w.run(store.read("a")).unwrap(), "A");
    w.run_until_idle();
    assert_eq!(w.store.stats().stray_replies, 1);
    works_on(&mut w);
}

#[test]
fn h59_a_wrong_transaction_fails_its_request_only() {
    let mut w = tampered(|_, reply| vec![Msg { tx_id: 7, ..reply }]);
    let store = w.store.clone();
    assert_eq!(fault(w.run(store.read("a"))), ReplyFault::Transaction(7));
    assert_eq!(w.store.stats().bad_replies, 1);
    works_on(&mut w);
}

#[test]
fn h59_an_answer_of_a_wrong_type_fails_its_request_only() {
    for kind in [20, 11, 0xffff, 12_345] {
        let mut w = tampered(move |_, reply| vec![Msg { kind, ..reply }]);
        let store = w.store.clone();
        assert_eq!(fault(w.run(store.read("a"))), ReplyFault::Kind(kind));
        works_on(&mut w);
    }
}

#[test]
fn h59_payloads_that_are_not_what_was_asked_for_are_refused() {
    for payload in [&b""[..], b"OK", b"NO\0", b"OK\0\0", b"\0"] {
        let mut w = tampered(move |_, reply| vec![Msg { payload: payload.to_vec(), ..reply }]);
        let store = w.store.clone();
        assert_eq!(fault(w.run(store.write("a", "1")).map(|()| String::new())), ReplyFault::Payload);
        let list = w.run(store.directory("a"));
        match payload {
            b"" => assert_eq!(list, Ok(vec![])),
            b"NO\0" => assert_eq!(list, Ok(vec!["NO".into()])),
            _ => assert_eq!(fault(list.map(|_| String::new())), ReplyFault::Payload),
        }
        match w.run(store.domain_path(DomId(1))) {
            Err(XsError::BadReply { fault: ReplyFault::Payload, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn h59_an_impossible_length_breaks_the_connection_by_name() {
    for start in STARTS {
        let mut w = World::starting_at(start);
        let store = w.store.clone();
        w.stub.silent = true;
        let mut read = pin!(store.read("a"));
        assert!(read.as_mut().poll(&mut context()).is_pending());
        w.iterate();
        let mut bytes = Msg::new(2, 1, 0, b"").bytes();
        bytes[12..].copy_from_slice(&4097_u32.to_le_bytes());
        w.stub.output.extend(bytes);
        w.iterate();
        w.iterate();
        let broken = XsError::Broken(Broken::MessageTooLong(4097));
        assert_eq!(read.as_mut().poll(&mut context()), Poll::Ready(Err(broken.clone())));
        // A new request fails at once.
        assert_eq!(pin!(store.write("a", "1")).poll(&mut context()), Poll::Ready(Err(broken)));
        assert!(!w.store.pump(&w.xen));
        assert!(w.store.idle());
    }
}

#[test]
fn h59_impossible_indexes_break_the_connection_by_name() {
    for start in STARTS {
        for ahead in [1025, 0x8000_0000, u32::MAX] {
            let mut w = World::starting_at(start);
            w.iterate();
            w.stub.store(2060, start.wrapping_add(ahead));
            assert!(!w.store.pump(&w.xen));
            let overrun = Overrun { prod: start.wrapping_add(ahead), cons: start, size: 1024 };
            assert_eq!(w.store.broken(), Some(Broken::ReplyIndex(overrun)));

            let mut w = World::starting_at(start);
            w.iterate();
            w.run_until_idle();
            let prod = w.stub.load(2052);
            w.stub.store(2048, prod.wrapping_add(ahead.wrapping_neg()));
            assert!(!w.store.pump(&w.xen));
            let overrun = Overrun { prod, cons: prod.wrapping_sub(ahead), size: 1024 };
            assert_eq!(w.store.broken(), Some(Broken::RequestIndex(overrun)));
            let store = w.store.clone();
            assert!(matches!(w.run(store.read("a")), Err(XsError::Broken(Broken::RequestIndex(_)))));
        }
    }
}

#[test]
fn h59_a_stream_byte_by_byte_is_understood() {
    World::each(|mut w| {
        w.stub.pace = 1;
        w.stub.set("a", "A");
        let store = w.store.clone();
        w.run(async {
            let watch = store.watch("a").await.unwrap();
            assert_eq!(watch.changed().await, "a");
            assert_eq!(store.read("a").await.unwrap(), "A");
            store.transaction(async |t| t.write("b", "1").await).await.unwrap();
        });
        assert_eq!(w.stub.nodes["b"], b"1");
    });
}

#[test]
fn h59_a_daemon_that_reports_an_error_has_given_up() {
    let mut w = World::new();
    w.stub.store(2072, 3);
    w.iterate();
    assert_eq!(w.store.broken(), None, "an older daemon: the field holds nothing");
    w.stub.store(2064, 2);
    w.iterate();
    assert_eq!(w.store.broken(), Some(Broken::GivenUp(3)));
    let store = w.store.clone();
    assert_eq!(w.run(store.read("a")), Err(XsError::Broken(Broken::GivenUp(3))));
}

#[test]
fn h59_random_replies_neither_panic_nor_confuse_the_client() {
    let mut random = Random(0xfee1_dead);
    let page = page();
    let xen = crate::tests::TestXen::default();
    let mut stub = Stub::new(page);
    stub.silent = true;
    let store = XenStore::new(page, EvtchnPort(1));
    for _ in 0..100_000 {
        if store.broken().is_some() {
            store.reconnect(page, EvtchnPort(1));
            stub.output.clear();
            stub.store(2048, stub.load(2052));
        }
        let mut read = pin!(store.read("a"));
        let mut watch = pin!(store.watch("b"));
        let reading = read.as_mut().poll(&mut context()).is_pending();
        let watching = watch.as_mut().poll(&mut context()).is_pending();
        store.pump(&xen);
        stub.step();
        let last = stub.seen.last().map_or(0, |seen| seen.req_id);
        for _ in 0..random.below(3) {
            let kind = [2, 4, 15, 16, 7, random.next() as u32][random.below(6) as usize];
            let id = [0, last, last.wrapping_sub(1), random.next() as u32][random.below(4) as usize];
            let payload: Vec<u8> =
                (0..random.below(24)).map(|_| b"w12\0OK\xffa"[random.below(8) as usize]).collect();
            let mut bytes = Msg::new(kind, id, (random.below(8) == 0).into(), &payload).bytes();
            if random.below(16) == 0 {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next() as u8;
            }
            stub.output.extend(bytes);
        }
        if random.below(1000) == 0 {
            stub.store(2060, random.next() as u32);
        }
        stub.step();
        store.pump(&xen);
        if reading {
            let _ = read.as_mut().poll(&mut context());
        }
        if watching {
            let _ = watch.as_mut().poll(&mut context());
        }
        stub.seen.clear();
        assert!(store.nr_watches() <= 1);
    }
    store.reconnect(page, EvtchnPort(1));
    assert_eq!(store.nr_watches(), 0);
    assert!(store.stats().reconnects > 50);
}

#[test]
fn h60_each_error_comes_back_with_its_path() {
    let names = ["EINVAL", "EACCES", "ENOSPC", "ENOENT", "EPERM", "EIO", "E2BIG", "EAGAIN"];
    for name in names {
        let mut w = World::new();
        w.stub.refuse.insert(11, name);
        let store = w.store.clone();
        let error = w.run(store.write("data/x", "1")).unwrap_err();
        assert_eq!(error.errno().and_then(Errno::name), Some(name));
        assert!(error.to_string().contains("data/x"), "{error}");
    }
    let mut w = World::new();
    w.stub.refuse.insert(11, "EQUOTA");
    let store = w.store.clone();
    match w.run(store.write("data/x", "1")) {
        Err(XsError::Refused { errno: XsErrno::Unknown(name), .. }) => assert_eq!(name, "EQUOTA"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn h60_an_error_that_is_no_name_is_shown_harmlessly_and_in_part() {
    let mut w = tampered(|_, reply| vec![Msg { kind: 16, payload: [b'\x1b'; 4096].to_vec(), ..reply }]);
    let store = w.store.clone();
    match w.run(store.read("a")) {
        Err(XsError::Refused { errno: XsErrno::Unknown(name), .. }) => {
            assert_eq!(name.len(), 64);
            assert!(name.starts_with("\\x1b\\x1b"));
        }
        other => panic!("{other:?}"),
    }
}
