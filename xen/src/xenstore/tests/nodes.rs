//! Requests about nodes, with a correct daemon.

use super::stub::{Msg, World};
use crate::Errno;
use crate::ids::DomId;
use crate::xenstore::{Overrun, PathFault, Permission, XsErrno, XsError};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::pin::pin;
use futures_util::future::join_all;

#[test]
fn every_request_does_what_it_says_at_every_start() {
    World::each(|mut w| {
        let store = w.store.clone();
        w.run(async {
            store.write("data/a", "1").await.unwrap();
            store.write("data/b", String::from("two")).await.unwrap();
            store.mkdir("data/c").await.unwrap();
            assert_eq!(store.read("data/a").await.unwrap(), "1");
            assert_eq!(store.read("data/c").await.unwrap(), "");
            assert_eq!(store.read_opt("data/b").await.unwrap().as_deref(), Some("two"));
            assert_eq!(store.read_opt("data/x").await.unwrap(), None);
            assert_eq!(store.read_number::<u16>("data/a").await.unwrap(), Some(1));
            assert_eq!(store.read_number::<u16>("data/x").await.unwrap(), None);
            assert_eq!(store.directory("data").await.unwrap(), ["a", "b", "c"]);
            assert!(store.exists("data/a").await.unwrap());
            store.remove("data/a").await.unwrap();
            assert!(!store.exists("data/a").await.unwrap());
            assert_eq!(store.domain_path(DomId(7)).await.unwrap(), "/local/domain/7");
            let permissions = [Permission::Nothing(DomId(1)), Permission::Read(DomId(0))];
            store.set_permissions("data/b", &permissions).await.unwrap();
        });
        assert_eq!(w.stub.seen.last().unwrap().payload, b"data/b\0n1\0r0\0");
        assert!(w.store.idle());
        assert_eq!(w.store.stats().stray_replies, 0);
    });
}

#[test]
fn permissions_are_written_as_xenstore_writes_them() {
    let all = [
        Permission::Nothing(DomId(1)),
        Permission::Read(DomId(2)),
        Permission::Write(DomId(3)),
        Permission::ReadWrite(DomId(4)),
    ];
    assert_eq!(all.map(|one| one.to_string()), ["n1", "r2", "w3", "b4"]);
}

#[test]
fn removing_what_is_not_there_is_no_error() {
    let mut w = World::new();
    w.stub.refuse.insert(13, "ENOENT");
    let store = w.store.clone();
    assert_eq!(w.run(store.remove("data/x")), Ok(()));
}

#[test]
fn a_request_longer_than_the_ring_goes_out_in_pieces() {
    World::each(|mut w| {
        let value: String = (0..4000).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
        let store = w.store.clone();
        w.run(async {
            store.write("data/long", &value).await.unwrap();
            assert_eq!(store.read("data/long").await.unwrap(), value);
        });
    });
}

#[test]
fn many_requests_at_once_each_get_their_own_answer() {
    World::each(|mut w| {
        for i in 0..100 {
            w.stub.set(&format!("n/{i}"), &format!("value {i}"));
        }
        let store = w.store.clone();
        let answers = w.run(async {
            let paths: Vec<_> = (0..100).map(|i| format!("n/{i}")).collect();
            join_all(paths.iter().map(|path| store.read(path))).await
        });
        for (i, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), format!("value {i}"));
        }
    });
}

#[test]
fn a_batch_costs_one_notification_and_has_one_result_a_node() {
    World::each(|mut w| {
        let store = w.store.clone();
        // The first request of a connection differs from the next ones.
        w.run(async { store.mkdir("n").await }).unwrap();
        w.stub.set("n/text", "one");
        w.stub.nodes.insert("n/bytes".into(), vec![0xff, 0xfe]);
        let before = w.store.stats().notifications;
        let paths = ["n/text", "n/none", "n/bytes", ""].map(String::from);
        let [text, none, bytes, nonsense] = w.run(store.read_all(&paths));
        assert_eq!(text, Ok(Some("one".into())));
        assert_eq!(none, Ok(None));
        assert_eq!(bytes, Err(XsError::NotText { path: "n/bytes".into() }));
        assert!(matches!(nonsense, Err(XsError::BadPath { .. })), "{nonsense:?}");
        // For the requests; that answers were taken is of no interest to a daemon that had room for them.
        assert_eq!(w.store.stats().notifications.since(before), 1);

        let before = w.store.stats().notifications;
        let nodes = [("w/a", "1"), ("", "2"), ("w/c", "3")].map(|(path, value)| (path.into(), value.into()));
        let outcomes = w.run(store.write_all(&nodes));
        assert!(matches!(outcomes[..], [Ok(()), Err(XsError::BadPath { .. }), Ok(())]), "{outcomes:?}");
        assert_eq!(w.run(store.read("w/c")), Ok("3".into()));
        // One for the writes, one for the read after them.
        assert_eq!(w.store.stats().notifications.since(before), 2);
    });
}

#[test]
fn answers_in_another_order_still_find_their_request() {
    let mut w = World::new();
    w.stub.set("a", "A");
    w.stub.set("b", "B");
    let mut kept: Option<Msg> = None;
    w.stub.tamper = Some(alloc::boxed::Box::new(move |_, reply| match kept.take() {
        None => {
            kept = Some(reply);
            vec![]
        }
        Some(first) => vec![reply, first],
    }));
    let store = w.store.clone();
    let (a, b) = w.run(futures_util::future::join(store.read("a"), store.read("b")));
    assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("A", "B"));
}

#[test]
fn paths_that_no_node_can_have_are_refused_before_they_are_sent() {
    let mut w = World::new();
    let store = w.store.clone();
    let fault = |path: String| async move {
        match store.read(&path).await {
            Err(XsError::BadPath { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(w.run(fault.clone()(String::new())), PathFault::Empty);
    assert_eq!(w.run(fault.clone()("a\0b".into())), PathFault::Zero);
    assert_eq!(w.run(fault.clone()("a".repeat(2049))), PathFault::TooLong);
    assert_eq!(w.run(fault("/".to_string() + &"a".repeat(3072))), PathFault::TooLong);
    let store = w.store.clone();
    let error = w.run(store.write("data/x", "v".repeat(4096))).unwrap_err();
    assert_eq!(error, XsError::TooLong { path: "data/x".into(), len_bytes: 7 + 4096 });
    assert!(w.stub.seen.is_empty());
    assert!(w.store.idle());
}

#[test]
fn at_most_one_notification_a_pump_and_none_for_nothing() {
    let mut w = World::new();
    let store = w.store.clone();
    let mut both = pin!(futures_util::future::join(store.write("a", "1"), store.write("b", "2")));
    assert!(both.as_mut().poll(&mut crate::tests::context()).is_pending());
    assert!(w.store.pump(&w.xen));
    assert_eq!(w.xen.notifications.get(), 1);
    assert!(!w.store.pump(&w.xen));
    assert_eq!(w.xen.notifications.get(), 1, "nothing moved");
    w.stub.step();
    assert!(w.store.pump(&w.xen));
    assert_eq!(w.xen.notifications.get(), 1, "the daemon had room");
    assert!(both.as_mut().poll(&mut crate::tests::context()).is_ready());
    assert_eq!(w.store.stats().notifications, 1);
}

#[test]
fn a_refused_notification_is_counted_and_changes_nothing() {
    let mut w = World::new();
    w.xen.refuse.set(true);
    let store = w.store.clone();
    assert_eq!(w.run(store.write("a", "1")), Ok(()));
    assert_eq!(w.store.stats().notify_failures, 1);
}

#[test]
fn a_dropped_request_that_was_not_sent_is_taken_back() {
    let mut w = World::new();
    let store = w.store.clone();
    w.start_and_drop(store.write("a", "1"), 0);
    assert!(w.store.idle());
    w.run_until_idle();
    assert!(w.stub.seen.is_empty());
}

#[test]
fn a_dropped_request_that_was_sent_keeps_its_id() {
    World::each(|mut w| {
        w.stub.set("a", "A");
        w.stub.set("b", "B");
        let store = w.store.clone();
        w.iterate();
        w.run_until_idle();
        w.stub.silent = true;
        w.start_and_drop(store.read("a"), 1);
        assert!(!w.store.idle());
        w.stub.silent = false;
        // Its answer comes late, between others.
        let late = w.stub.seen.iter().find(|seen| seen.kind == 2).unwrap().clone();
        w.stub.send(&Msg::new(2, late.req_id, 0, b"late"));
        assert_eq!(w.run(store.read("b")).unwrap(), "B");
        assert_ne!(w.stub.seen.last().unwrap().req_id, late.req_id);
        assert!(w.store.idle());
        assert_eq!(w.store.stats().stray_replies, 0);
    });
}

#[test]
fn ids_that_wrap_around_skip_0_and_those_in_use() {
    let mut w = World::new();
    w.stub.set("a", "A");
    w.stub.silent = true;
    let store = w.store.clone();
    w.start_and_drop(store.read("a"), 1);
    store.connection.with(|state| state.set_last_id(u32::MAX - 1));
    w.stub.silent = false;
    for _ in 0..3 {
        assert_eq!(w.run(store.read("a")).unwrap(), "A");
    }
    let ids: Vec<_> = w.stub.seen.iter().map(|seen| seen.req_id).collect();
    assert_eq!(ids, [1, u32::MAX, 2, 3], "1 was never answered");
}

#[test]
fn a_dropped_request_that_is_half_sent_goes_out_whole() {
    let mut w = World::new();
    let store = w.store.clone();
    let value = "v".repeat(4000);
    // One pump: 1 KiB of it is in the ring.
    w.start_and_drop(store.write("a", &value), 1);
    assert_eq!(w.run(store.read("a")).unwrap(), value);
    assert!(w.store.idle());
}

#[test]
fn too_many_requests_are_refused_and_memory_stays_bounded() {
    let mut w = World::new();
    w.stub.silent = true;
    let store = w.store.clone();
    let paths: Vec<_> = (0..200).map(|i| format!("n/{i}")).collect();
    let mut refused = 0;
    let mut waiting = Vec::new();
    for path in &paths {
        let mut read = alloc::boxed::Box::pin(store.read(path));
        match read.as_mut().poll(&mut crate::tests::context()) {
            core::task::Poll::Ready(Err(XsError::Busy)) => refused += 1,
            core::task::Poll::Ready(other) => panic!("{other:?}"),
            core::task::Poll::Pending => waiting.push(read),
        }
    }
    assert_eq!((waiting.len(), refused), (128, 72));
    drop(waiting);
    assert!(w.store.idle());
}

#[test]
fn errors_say_what_happened_where_and_what_to_do() {
    let mut w = World::new();
    w.stub.refuse.insert(11, "EACCES");
    let store = w.store.clone();
    let error = w.run(store.write("data/x", "1")).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EACCES));
    let text = error.to_string();
    assert_eq!(
        text,
        "XS_WRITE data/x: EACCES (Permission denied): the toolstack must give this domain access to the node"
    );
    let errors = [
        (XsError::NotText { path: "p".into() }, "p: the value is not UTF-8"),
        (XsError::NotANumber { path: "p".into(), value: "x".into() }, "p: \"x\" is not a number"),
        (XsError::Conflicts { attempts: 64 }, "conflicted 64 times"),
        (XsError::Interrupted, "ask again"),
        (XsError::Busy, "ask again when some are answered"),
        (
            XsError::Broken(crate::xenstore::Broken::ReplyIndex(Overrun { prod: 9, cons: 1, size: 4 })),
            "replies: prod is 9 and cons 1 in a ring of 4 bytes",
        ),
        (XsError::Broken(crate::xenstore::Broken::GivenUp(2)), "gave it up: XENSTORE_ERROR_RINGIDX"),
        (XsError::BadPath { path: "p".into(), fault: PathFault::Zero }, "contains a zero byte"),
        (
            XsError::Refused {
                request: crate::abi::io_xs_wire::XsdSockmsgType::Watch,
                path: "p".into(),
                errno: XsErrno::Known(Errno::E2BIG),
            },
            "quota",
        ),
    ];
    for (error, part) in errors {
        assert!(error.to_string().contains(part), "{error}");
    }
}
