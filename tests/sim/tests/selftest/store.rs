//! xenstored: the protocol over the guest's ring, permissions, quotas, transactions, watches, and its tricks.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use xen::xenstore::{Permission, XsErrno, XsError};
use xen::{DomId, Errno, Xen};
use xen_sim::{Delivery, Guest, Quota, Sim, Store, block_on, iterate};

const GUEST: DomId = DomId(1);

fn booted() -> (Sim, Rc<Xen<Guest>>, Store) {
    let machine = Sim::builder().memory_pages(32).build();
    let (xen, store) = (machine.xen(), machine.store());
    (machine, xen, store)
}

fn refused(result: Result<impl std::fmt::Debug, XsError>) -> Errno {
    match result {
        Err(XsError::Refused { errno: XsErrno::Known(errno), .. }) => errno,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_are_written_read_listed_and_removed() {
    let (_machine, xen, store) = booted();
    block_on(&xen, async {
        xen.store.write("data/a/b", "1").await.unwrap();
        xen.store.mkdir("data/c").await.unwrap();
        assert_eq!(xen.store.read("data/a/b").await.unwrap(), "1");
        assert_eq!(xen.store.read("data/a").await.unwrap(), "", "parents are made, empty");
        assert_eq!(xen.store.directory("data").await.unwrap(), ["a", "c"]);
        xen.store.remove("data/a").await.unwrap();
        xen.store.remove("data/never-was").await.unwrap();
        assert_eq!(refused(xen.store.read("data/a/b").await), Errno::ENOENT);
        assert_eq!(xen.store.domain_path(DomId(7)).await.unwrap(), "/local/domain/7");
    });
    assert_eq!(store.children("/local/domain/1/data"), ["c"]);
}

#[test]
fn a_guest_may_do_what_permissions_say() {
    let (machine, xen, store) = booted();
    store.write("/secret/of/dom0", "x");
    store.write("/for/guest", "y");
    store.set_perms("/for/guest", &[('n', 0), ('r', 1)]);
    block_on(&xen, async {
        assert_eq!(refused(xen.store.read("/secret/of/dom0").await), Errno::EACCES);
        assert_eq!(
            refused(xen.store.read("/secret/missing").await),
            Errno::EACCES,
            "no word on what is missing"
        );
        assert_eq!(xen.store.read("/for/guest").await.unwrap(), "y");
        assert_eq!(refused(xen.store.write("/for/guest", "z").await), Errno::EACCES);
        assert_eq!(
            refused(xen.store.write("name", "mine").await),
            Errno::EACCES,
            "its own name it may only read"
        );
        assert_eq!(refused(xen.store.write("/local/domain/2/data/x", "").await), Errno::EACCES);
        let perms = [Permission::Nothing(GUEST), Permission::Read(DomId(2))];
        xen.store.write("data/shared", "").await.unwrap();
        xen.store.set_permissions("data/shared", &perms).await.unwrap();
    });
    assert!(store.tree().contains("/local/domain/1/data/shared = \"\" (n1,r2)"), "{}", store.tree());
    drop(machine);
}

#[test]
fn a_watch_fires_at_once_and_then_at_changes() {
    let (machine, xen, store) = booted();
    block_on(&xen, async {
        let watch = xen.store.watch("data/x").await.unwrap();
        assert_eq!(watch.changed().await, "data/x", "at registration, though there is no such node");
        store.write("/local/domain/1/data/x/below", "1");
        assert_eq!(watch.changed().await, "data/x/below");
        store.write("/local/domain/1/data/xy", "1");
        store.remove("/local/domain/1/data");
        assert_eq!(watch.changed().await, "data/x", "gone with its parent; xy is another node");
    });
    machine.run();
    iterate(&xen);
    assert_eq!(store.watches(GUEST), 0, "the watch was dropped");
}

#[test]
fn a_guest_hears_nothing_of_what_it_may_not_read() {
    let (_machine, xen, store) = booted();
    block_on(&xen, async {
        let watch = xen.store.watch("/secret").await.unwrap();
        watch.changed().await;
        store.write("/secret", "1");
        store.write("/local/domain/1/data", "1");
        let pending = poll_fn(|cx| Poll::Ready(pin!(watch.changed()).poll(cx).is_pending()));
        xen.store.read("data").await.unwrap();
        assert!(pending.await);
    });
}

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let (machine, xen, store) = booted();
    block_on(&xen, async {
        let result = xen
            .store
            .transaction(async |tx| {
                tx.write("data/a", "1").await?;
                assert_eq!(tx.read("data/a").await?, "1");
                assert_eq!(store.read("/local/domain/1/data/a"), None, "not yet for others");
                tx.write("data/b", "2").await
            })
            .await;
        result.unwrap();
        let failed = xen.store.transaction(async |tx| {
            tx.write("data/a", "9").await?;
            tx.read("data/none").await
        });
        assert_eq!(refused(failed.await), Errno::ENOENT);
    });
    assert_eq!(store.read("/local/domain/1/data/a").as_deref(), Some("1"));
    assert_eq!(store.read("/local/domain/1/data/b").as_deref(), Some("2"));
    machine.run();
    assert_eq!(store.open_transactions(GUEST), 0);
}

#[test]
fn a_transaction_conflicts_with_what_others_change_meanwhile() {
    let (_machine, xen, store) = booted();
    let tries = Cell::new(0);
    block_on(&xen, async {
        let result = xen.store.transaction(async |tx| {
            let value: u32 = tx.read_number("data/count").await?.unwrap_or(0);
            if tries.replace(tries.get() + 1) == 0 {
                store.write("/local/domain/1/data/count", "10");
            }
            tx.write("data/count", (value + 1).to_string()).await
        });
        result.await.unwrap();
    });
    assert_eq!((tries.get(), store.read("/local/domain/1/data/count").as_deref()), (2, Some("11")));
}

#[test]
fn a_change_elsewhere_is_no_conflict() {
    let (_machine, xen, store) = booted();
    let tries = Cell::new(0);
    block_on(&xen, async {
        let result = xen.store.transaction(async |tx| {
            tries.set(tries.get() + 1);
            store.write("/local/domain/1/attr/other", "x");
            tx.write("data/a", "1").await
        });
        result.await.unwrap();
    });
    assert_eq!(tries.get(), 1);
}

#[test]
fn commits_fail_as_often_as_asked() {
    let (_machine, xen, store) = booted();
    store.fail_commits(3);
    let tries = Cell::new(0);
    block_on(&xen, async {
        let result = xen.store.transaction(async |tx| {
            tries.set(tries.get() + 1);
            tx.write("data/a", "1").await
        });
        result.await.unwrap();
    });
    assert_eq!(tries.get(), 4);
}

#[test]
fn quotas_hold_for_guests() {
    let (_machine, xen, store) = booted();
    store.set_quota(Quota { watches: 1, nodes: 25, value_bytes: 10, ..Quota::default() });
    block_on(&xen, async {
        let _watch = xen.store.watch("data").await.unwrap();
        assert_eq!(refused(xen.store.watch("attr").await), Errno::E2BIG);
        assert_eq!(refused(xen.store.write("data/long", "12345678901").await), Errno::ENOSPC);
        let mut made = 0;
        let error = loop {
            match xen.store.write(&format!("data/{made}"), "").await {
                Ok(()) => made += 1,
                error => break refused(error),
            }
        };
        assert_eq!(error, Errno::ENOSPC);
        assert!((5..25).contains(&made), "{made}");
    });
}

#[test]
fn any_message_can_be_refused_by_any_name() {
    let (_machine, xen, store) = booted();
    store.refuse(|_, operation, path| (operation == "XS_WRITE" && path == "data/x").then_some("EQUOTA"));
    block_on(&xen, async {
        let error = xen.store.write("data/x", "1").await.unwrap_err();
        assert!(matches!(error, XsError::Refused { errno: XsErrno::Unknown(name), .. } if name == "EQUOTA"));
        xen.store.write("data/y", "1").await.unwrap();
        store.refuse_nothing();
        xen.store.write("data/x", "1").await.unwrap();
    });
    let log = store.log();
    assert_eq!(log.iter().filter(|entry| entry.operation == "XS_WRITE").count(), 3);
}

#[test]
fn answers_come_byte_by_byte_and_the_ring_starts_anywhere() {
    for (start, delivery) in
        [(0, Delivery::Pieces(1)), (u32::MAX - 40, Delivery::Pieces(7)), (1000, Delivery::Whole)]
    {
        let machine = Sim::builder().memory_pages(32).ring_start(start).build();
        let (xen, store) = (machine.xen(), machine.store());
        store.set_delivery(GUEST, delivery);
        let value = "0123456789".repeat(200);
        let read = block_on(&xen, async {
            xen.store.write("data/x", &value).await.unwrap();
            xen.store.read("data/x").await.unwrap()
        });
        assert_eq!(read, value, "start {start}, {delivery:?}");
    }
}

#[test]
fn a_silent_daemon_answers_later() {
    let (machine, xen, store) = booted();
    store.set_delivery(GUEST, Delivery::Silent);
    let mut read = pin!(xen.store.read("name"));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..10 {
        assert!(read.as_mut().poll(&mut cx).is_pending());
        iterate(&xen);
        machine.run();
    }
    store.set_delivery(GUEST, Delivery::Whole);
    machine.run();
    iterate(&xen);
    assert_eq!(read.as_mut().poll(&mut cx), Poll::Ready(Ok("guest".to_owned())));
}

#[test]
fn what_nobody_asked_for_reaches_the_guest_too() {
    let (machine, xen, store) = booted();
    block_on(&xen, async {
        xen.store.read("name").await.unwrap();
        store.send_event(GUEST, "data", "no such token");
        xen.store.read("name").await.unwrap();
        assert_eq!(xen.store.stats().stale_events, 1);
    });
    store.send_raw(GUEST, &[0xff; 16]);
    machine.run();
    iterate(&xen);
    assert!(xen.store.broken().is_some(), "a header with a length of 4 GiB");
}

#[test]
fn answers_can_be_falsified() {
    let (_machine, xen, store) = booted();
    let falsified = Cell::new(0);
    store.mangle(GUEST, move |header, payload| {
        falsified.set(falsified.get() + 1);
        match falsified.get() {
            1 => header.kind = 99,
            2 => header.tx_id = 77,
            3 => *payload = b"another".to_vec(),
            _ => {}
        }
        header.len = payload.len() as u32;
    });
    block_on(&xen, async {
        assert!(matches!(xen.store.read("name").await, Err(XsError::BadReply { .. })), "kind");
        assert!(matches!(xen.store.read("name").await, Err(XsError::BadReply { .. })), "transaction");
        assert_eq!(xen.store.read("name").await.unwrap(), "another");
        assert_eq!(xen.store.read("name").await.unwrap(), "guest");
    });
}
