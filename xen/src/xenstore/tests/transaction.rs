//! Transactions: committed once, tried again, always ended.

use super::stub::{Msg, World};
use crate::Errno;
use crate::ids::EvtchnPort;
use crate::tests::context;
use crate::xenstore::transaction::ATTEMPTS;
use crate::xenstore::{ReplyFault, XsError};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use core::cell::Cell;
use core::pin::pin;

#[test]
fn changes_are_seen_within_and_by_others_only_after_the_commit() {
    World::each(|mut w| {
        w.stub.set("a", "old");
        let store = w.store.clone();
        let result = w.run(store.transaction(async |t| {
            t.write("a", "new").await?;
            t.mkdir("d/x").await?;
            assert_eq!(t.read("a").await?, "new");
            assert_eq!(t.read_opt("none").await?, None);
            assert_eq!(t.directory("d").await?, ["x"]);
            assert!(t.exists("d/x").await?);
            assert_eq!(store.read("a").await?, "old");
            t.remove("d/x").await?;
            t.read_number::<u8>("none").await
        }));
        assert_eq!(result, Ok(None));
        assert_eq!(w.stub.nodes["a"], b"new");
        assert!(!w.stub.nodes.contains_key("d/x"));
        assert!(w.stub.transactions.is_empty());
        assert!(w.store.idle());
    });
}

#[test]
fn h60_a_conflict_is_tried_again_from_the_start() {
    let mut w = World::new();
    w.stub.conflicts = 5;
    let store = w.store.clone();
    let runs = Cell::new(0_u32);
    let result = w.run(store.transaction(async |t| {
        runs.set(runs.get() + 1);
        t.write("a", runs.get().to_string()).await
    }));
    assert_eq!(result, Ok(()));
    assert_eq!(runs.get(), 6);
    assert_eq!(w.stub.nodes["a"], b"6");
}

#[test]
fn h60_conflicts_without_end_are_an_error_after_a_while() {
    let mut w = World::new();
    w.stub.conflicts = u32::MAX;
    let store = w.store.clone();
    let result = w.run(store.transaction(async |t| t.write("a", "1").await));
    assert_eq!(result, Err(XsError::Conflicts { attempts: ATTEMPTS }));
    assert_eq!(w.stub.seen.iter().filter(|seen| seen.kind == 6).count(), 64);
    assert!(w.stub.transactions.is_empty() && w.store.idle());
}

#[test]
fn h60_refused_writes_abort_the_transaction() {
    for name in ["EACCES", "ENOSPC", "EQUOTA"] {
        let mut w = World::new();
        w.stub.refuse.insert(11, name);
        let store = w.store.clone();
        let error = w.run(store.transaction(async |t| t.write("a", "1").await)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        w.run_until_idle();
        assert_eq!(w.stub.seen.last().unwrap().payload, b"F\0");
        assert!(w.stub.transactions.is_empty() && w.store.idle());
    }
}

#[test]
fn a_start_that_is_refused_is_an_error() {
    let mut w = World::new();
    w.stub.refuse.insert(6, "ENOSPC");
    let store = w.store.clone();
    let error = w.run(store.transaction(async |_| Ok(()))).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOSPC));
}

#[test]
fn a_start_without_a_number_is_refused() {
    for payload in [&b""[..], b"0\0", b"-1\0", b"x\0", b"4294967296\0", b"1\x002\0", b"\xff\0"] {
        let mut w = World::new();
        w.stub.tamper = Some(Box::new(move |_, reply| vec![Msg { payload: payload.to_vec(), ..reply }]));
        let store = w.store.clone();
        match w.run(store.transaction(async |_| Ok(()))) {
            Err(XsError::BadReply { fault: ReplyFault::Payload, .. }) => {}
            other => panic!("{payload:?}: {other:?}"),
        }
    }
}

#[test]
fn a_transaction_dropped_at_any_point_is_ended_at_the_daemon() {
    let mut committed = 0;
    for iterations in 0..12 {
        let mut w = World::new();
        let store = w.store.clone();
        {
            let mut transaction = pin!(store.transaction(async |t| {
                t.write("a", "1").await?;
                t.write("b", "2").await
            }));
            for _ in 0..iterations {
                if transaction.as_mut().poll(&mut context()).is_ready() {
                    committed += 1;
                    break;
                }
                w.iterate();
            }
        }
        w.run_until_idle();
        assert!(w.stub.transactions.is_empty(), "dropped after {iterations} iterations");
        assert!(w.store.idle(), "dropped after {iterations} iterations");
        assert_eq!(w.stub.nodes.contains_key("a"), w.stub.nodes.contains_key("b"));
    }
    assert!((1..11).contains(&committed));
}

#[test]
fn an_open_transaction_is_not_idle() {
    let mut w = World::new();
    let store = w.store.clone();
    let mut transaction = pin!(store.transaction(async |_| core::future::pending::<Result<(), _>>().await));
    for _ in 0..10 {
        assert!(transaction.as_mut().poll(&mut context()).is_pending());
        w.iterate();
    }
    assert_eq!(w.stub.transactions.len(), 1);
    assert!(!w.store.idle(), "a suspend now would lose the transaction");
}

#[test]
fn a_new_connection_voids_the_transaction_and_it_runs_again() {
    for iterations in 1..8 {
        let mut w = World::new();
        let store = w.store.clone();
        let runs = Cell::new(0_u32);
        let mut transaction = pin!(store.transaction(async |t| {
            runs.set(runs.get() + 1);
            t.write("a", "1").await?;
            t.write("b", "2").await
        }));
        let mut done = false;
        for _ in 0..iterations {
            done = transaction.as_mut().poll(&mut context()).is_ready();
            if done {
                break;
            }
            w.iterate();
        }
        if done {
            break;
        }
        // As after a restore: another page, and a daemon that knows nothing.
        let page = crate::tests::page();
        w.stub = super::stub::Stub::new(page);
        w.store.reconnect(page, EvtchnPort(2));
        assert_eq!(w.run(transaction), Ok(()), "after {iterations} iterations");
        assert_eq!(w.stub.nodes.len(), 2);
        for seen in &w.stub.seen {
            assert!(seen.tx_id <= 1, "an id of the old connection was used on the new one");
        }
        assert!(w.stub.transactions.is_empty() && w.store.idle());
    }
}

#[test]
fn an_old_transaction_is_not_ended_on_the_new_connection() {
    let mut w = World::new();
    let store = w.store.clone();
    {
        let mut transaction =
            pin!(store.transaction(async |_| core::future::pending::<Result<(), _>>().await));
        for _ in 0..10 {
            assert!(transaction.as_mut().poll(&mut context()).is_pending());
            w.iterate();
        }
        let page = crate::tests::page();
        w.stub = super::stub::Stub::new(page);
        w.store.reconnect(page, EvtchnPort(2));
        assert!(w.store.idle());
    }
    w.run_until_idle();
    assert!(w.stub.seen.is_empty(), "{:?}", w.stub.seen);
}
