//! Another connection: at boot after a former user, after a restore, after a reset.

use super::stub::{Msg, Stub, World};
use crate::ids::{EvtchnPort, SystemTime};
use crate::tests::{STARTS, context, page};
use crate::xenstore::state::{Recovered, State};
use crate::xenstore::{Broken, XenStore, XsError};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::Future as _;
use core::pin::pin;
use core::sync::atomic::Ordering::SeqCst;
use core::task::Poll;

/// Nanoseconds of a second.
const S: u64 = 1_000_000_000;

#[test]
fn a_former_users_bytes_and_watches_are_dropped() {
    for start in STARTS {
        let page = page();
        for index in [2048, 2052, 2056, 2060] {
            page.store(index, start, SeqCst);
        }
        let mut w =
            World { stub: Stub::new(page), store: XenStore::new(page, EvtchnPort(1)), ..World::new() };
        w.stub.watches.push(("a".into(), "w1".into()));
        w.stub.set("a", "A");
        // The event of its watch, which names a token that we are going to use, is in the ring.
        w.stub.step();
        let store = w.store.clone();
        let watch = w.run(store.watch("a")).unwrap();
        assert_eq!(w.stub.seen[0].kind, 21, "XS_RESET_WATCHES comes first");
        assert_eq!(w.stub.watches.len(), 1);
        assert_eq!(w.run(watch.changed()), "a");
        assert_eq!(w.store.stats().leftover_bytes, 16 + 5);
        assert_eq!(w.run(store.read("a")).unwrap(), "A");
    }
}

#[test]
fn a_fresh_ring_is_used_without_a_reset() {
    let mut w = World::new();
    let store = w.store.clone();
    w.run(store.write("a", "1")).unwrap();
    assert_eq!(w.stub.seen[0].kind, 11);
}

#[test]
fn a_daemon_that_does_not_know_the_reset_is_no_problem() {
    let mut w = World::starting_at(5);
    w.stub.refuse.insert(21, "ENOSYS");
    let store = w.store.clone();
    assert_eq!(w.run(store.write("a", "1")), Ok(()));
    w.run_until_idle();
    assert!(w.store.idle());
    assert_eq!(w.store.stats().refused_silently, 0, "that is as it should be");
}

#[test]
fn after_a_restore_requests_fail_and_watches_come_back() {
    for start in STARTS {
        let mut w = World::new();
        let store = w.store.clone();
        let watch = w.run(store.watch("dev/state")).unwrap();
        assert_eq!(w.run(watch.changed()), "dev/state");
        w.stub.silent = true;
        let mut read = pin!(store.read("a"));
        assert!(read.as_mut().poll(&mut context()).is_pending());
        w.iterate();

        let page = page();
        for index in [2048, 2052, 2056, 2060] {
            page.store(index, start, SeqCst);
        }
        w.stub = Stub::new(page);
        w.stub.set("a", "A");
        w.store.reconnect(page, EvtchnPort(2));
        assert_eq!(read.as_mut().poll(&mut context()), Poll::Ready(Err(XsError::Interrupted)));
        w.run_until_idle();
        assert_eq!(w.stub.watches.len(), 1, "the watch is registered again");
        assert_eq!(w.run(watch.changed()), "dev/state", "who waits looks again");
        w.run_until_idle();
        assert!(watch.poll_changed(&context()).is_pending() || start == 0 || w.store.stats().events > 1);
        w.stub.set("dev/state", "4");
        assert_eq!(w.run(watch.changed()), "dev/state");
        assert_eq!(w.run(store.read("a")).unwrap(), "A");
        assert_eq!(w.store.stats().reconnects, 1);
    }
}

#[test]
fn a_resume_in_the_same_domain_finds_its_watches_still_there() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    w.run_until_idle();
    // Suspend was cancelled the slow way: same page, and the daemon has forgotten nothing.
    w.store.reconnect(w.stub.page, EvtchnPort(1));
    w.run_until_idle();
    assert_eq!(w.stub.watches.len(), 1);
    while watch.poll_changed(&context()).is_ready() {}
    assert_eq!(w.store.stats().refused_silently, 0, "EEXIST is as it should be");
    w.stub.set("a", "1");
    assert_eq!(w.run(watch.changed()), "a");
    drop(watch);
    w.run_until_idle();
    assert!(w.stub.watches.is_empty() && w.store.idle());
}

#[test]
fn a_watch_that_the_new_daemon_refuses_fires_and_is_counted() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    w.run_until_idle();
    while watch.poll_changed(&context()).is_ready() {}
    let page = page();
    w.stub = Stub::new(page);
    w.stub.refuse.insert(4, "E2BIG");
    w.store.reconnect(page, EvtchnPort(2));
    w.run_until_idle();
    assert_eq!(watch.poll_changed(&context()), Poll::Ready("a".into()));
    assert!(watch.poll_changed(&context()).is_pending());
    assert_eq!(w.store.stats().refused_silently, 1);
}

#[test]
fn a_watch_dropped_across_a_restore_is_ended() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    let page = page();
    w.stub = Stub::new(page);
    w.store.reconnect(page, EvtchnPort(2));
    drop(watch);
    w.run_until_idle();
    assert_eq!((w.stub.watches.len(), w.store.nr_watches()), (0, 0));
    assert!(w.store.idle());
}

#[test]
fn a_request_dropped_across_a_restore_is_forgotten() {
    let mut w = World::new();
    w.stub.silent = true;
    let store = w.store.clone();
    w.start_and_drop(store.read("a"), 1);
    assert!(!w.store.idle());
    let page = page();
    w.stub = Stub::new(page);
    w.store.reconnect(page, EvtchnPort(2));
    assert!(w.store.idle());
    // The old daemon's answer in the new ring belongs to no request.
    w.iterate();
    w.stub.send(&Msg::new(2, 1, 0, b"x"));
    w.run_until_idle();
    assert_eq!(w.store.stats().stray_replies, 1);
}

#[test]
fn h59_a_ring_under_reset_is_left_alone_until_it_is_connected() {
    let mut w = World::new();
    w.stub.store(2064, 1);
    w.stub.store(2068, 1);
    // Until then the other fields mean nothing.
    w.stub.store(2060, 0xdead_beef);
    let store = w.store.clone();
    let mut write = pin!(store.write("a", "1"));
    assert!(write.as_mut().poll(&mut context()).is_pending());
    for _ in 0..5 {
        assert!(!w.store.pump(&w.xen));
    }
    assert_eq!((w.store.broken(), w.xen.notifications.get()), (None, 0));
    w.stub.store(2060, 0);
    w.stub.store(2068, 0);
    assert_eq!(w.run(write), Ok(()));
}

#[test]
fn h59_a_broken_connection_is_reset_where_the_daemon_can() {
    for start in STARTS {
        let mut w = World::starting_at(start);
        w.stub.set("a", "A");
        let store = w.store.clone();
        let watch = w.run(store.watch("a")).unwrap();
        w.run_until_idle();
        while watch.poll_changed(&context()).is_ready() {}
        w.stub.store(2060, 0x1234_5678);
        w.iterate();
        assert!(matches!(w.store.broken(), Some(Broken::ReplyIndex(_))));
        assert_eq!(watch.poll_changed(&context()), Poll::Ready("a".into()), "who waits is told");
        w.stub.store(2064, 1);
        assert_eq!(w.store.maintain(&w.xen, SystemTime(5)), Some(SystemTime(5 + S)));
        assert_eq!(w.stub.load(2068), 1, "XENSTORE_RECONNECT");
        let mut read = pin!(store.read("a"));
        assert!(read.as_mut().poll(&mut context()).is_pending());
        assert!(!w.store.pump(&w.xen));
        // The daemon empties the ring and forgets.
        let nodes = core::mem::take(&mut w.stub.nodes);
        w.stub = Stub::new(w.stub.page);
        w.stub.nodes = nodes;
        for index in [2048, 2052, 2056, 2060, 2068] {
            w.stub.store(index, 0);
        }
        assert_eq!(w.run(read).unwrap(), "A");
        w.run_until_idle();
        assert_eq!(w.stub.watches.len(), 1);
        while watch.poll_changed(&context()).is_ready() {}
        w.stub.set("a", "B");
        assert_eq!(w.run(watch.changed()), "a");
    }
}

#[test]
fn h59_a_daemon_that_resets_the_ring_by_itself_is_followed() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    w.run_until_idle();
    w.stub.store(2064, 1);
    w.stub.store(2068, 1);
    let mut read = pin!(store.read("a"));
    assert!(read.as_mut().poll(&mut context()).is_pending());
    w.iterate();
    let mut write = pin!(store.write("a", "1"));
    assert!(write.as_mut().poll(&mut context()).is_pending());
    w.iterate();
    w.stub = Stub::new(w.stub.page);
    w.stub.set("a", "A");
    for index in [2048, 2052, 2056, 2060, 2068] {
        w.stub.store(index, 0);
    }
    assert_eq!(w.run(read), Ok("1".into()), "a read is repeated, behind the write");
    w.run_until_idle();
    assert_eq!(w.stub.watches.len(), 1);
    drop(watch);
}

/// The daemon resets the ring: it empties the ring and forgets watches and transactions.
fn reset_by_daemon(w: &mut World) {
    assert_eq!(w.stub.load(2068), 1, "the client asks for a reset");
    let nodes = core::mem::take(&mut w.stub.nodes);
    w.stub = Stub::new(w.stub.page);
    w.stub.nodes = nodes;
    for index in [2048, 2052, 2056, 2060, 2068] {
        w.stub.store(index, 0);
    }
}

#[test]
fn h59_a_request_under_way_at_a_reset_is_repeated_or_named() {
    World::each(|mut w| {
        w.stub.set("a", "A");
        w.stub.store(2064, 1);
        let store = w.store.clone();
        let watch = w.run(store.watch("b")).unwrap();
        w.run_until_idle();
        w.stub.silent = true;
        let mut read = pin!(store.read("a"));
        let mut list = pin!(store.directory("c"));
        let mut write = pin!(store.write("d", "D"));
        let mut second = pin!(store.watch("e"));
        let both = ["a".into(), "none".into()];
        let mut several = pin!(store.read_all(&both));
        let mut commit = pin!(store.transaction(async |t| t.write("f", "F").await));
        assert!(read.as_mut().poll(&mut context()).is_pending());
        assert!(list.as_mut().poll(&mut context()).is_pending());
        assert!(write.as_mut().poll(&mut context()).is_pending());
        assert!(second.as_mut().poll(&mut context()).is_pending());
        assert!(several.as_mut().poll(&mut context()).is_pending());
        assert!(commit.as_mut().poll(&mut context()).is_pending());
        w.iterate();
        // The daemon is silent: after 30 s without a byte the client asks for a reset.
        let first = w.store.maintain(&w.xen, SystemTime(7)).expect("a time limit");
        assert_eq!(first, SystemTime(7 + 30 * S));
        assert_eq!(w.store.maintain(&w.xen, SystemTime(first.0 - 1)), Some(first));
        assert_eq!(w.stub.load(2068), 0);
        w.store.maintain(&w.xen, first);
        reset_by_daemon(&mut w);
        w.stub.set("c/x", "");
        assert_eq!(w.run(write), Err(XsError::Reset), "a write is not repeated, and says so");
        assert_eq!(w.run(read), Ok("A".into()));
        assert_eq!(w.run(list), Ok(["x".into()].into()));
        assert_eq!(w.run(several), [Ok(Some("A".into())), Ok(None)]);
        assert_eq!(w.run(commit), Ok(()));
        let second = w.run(second).expect("the watch is asked for again");
        w.run_until_idle();
        assert_eq!(w.stub.watches.len(), 2);
        assert_eq!(w.store.maintain(&w.xen, SystemTime(first.0 + S)), None, "nothing waits any more");
        while second.poll_changed(&context()).is_ready() {}
        w.stub.set("e", "1");
        assert_eq!(w.run(second.changed()), "e");
        drop((watch, second));
        w.run_until_idle();
        assert!(w.stub.watches.is_empty() && w.store.idle());
    });
}

#[test]
fn h59_without_a_reset_a_broken_ring_is_taken_up_again() {
    World::each(|mut w| {
        let store = w.store.clone();
        let watch = w.run(store.watch("a")).unwrap();
        w.run_until_idle();
        while watch.poll_changed(&context()).is_ready() {}
        // A request that is half in the ring when the connection breaks.
        w.stub.pace = 0;
        let long = "x".repeat(2000);
        let mut write = pin!(store.write("b", &long));
        assert!(write.as_mut().poll(&mut context()).is_pending());
        w.store.pump(&w.xen);
        let honest = w.stub.load(2060);
        w.stub.store(2060, honest.wrapping_add(0x1234_5678));
        w.store.pump(&w.xen);
        assert!(matches!(w.store.broken(), Some(Broken::ReplyIndex(_))));
        assert!(matches!(write.as_mut().poll(&mut context()), Poll::Ready(Err(XsError::Broken(_)))));
        w.stub.store(2060, honest);
        w.stub.pace = usize::MAX;
        assert!(w.store.maintain(&w.xen, SystemTime(0)).is_some());
        // The daemon sees the complete request, and then the next one.
        w.run_until_idle();
        assert_eq!(w.store.broken(), None);
        assert_eq!(w.stub.nodes.get("b").map(Vec::len), Some(2000));
        assert_eq!(w.run(store.write("c", "1")), Ok(()));
        w.run_until_idle();
        assert_eq!(w.stub.watches.len(), 1);
        while watch.poll_changed(&context()).is_ready() {}
        w.stub.set("a", "2");
        assert_eq!(w.run(watch.changed()), "a");
        assert!(w.store.idle());
    });
}

#[test]
fn h59_without_a_reset_silence_ends_in_a_named_error() {
    let mut w = World::new();
    let store = w.store.clone();
    w.stub.silent = true;
    let mut write = pin!(store.write("a", "1"));
    let mut start = pin!(store.transaction(async |t| t.write("f", "F").await));
    assert!(write.as_mut().poll(&mut context()).is_pending());
    assert!(start.as_mut().poll(&mut context()).is_pending());
    w.iterate();
    let requests = w.stub.seen.clone();
    w.store.maintain(&w.xen, SystemTime(0));
    let before = w.xen.notifications.get();
    w.store.maintain(&w.xen, SystemTime(30 * S));
    assert_eq!(w.xen.notifications.get(), before + 1, "in case that an event was lost");
    let no_answer = XsError::NoAnswer { after_s: 30 };
    assert_eq!(write.as_mut().poll(&mut context()), Poll::Ready(Err(no_answer.clone())));
    assert_eq!(start.as_mut().poll(&mut context()), Poll::Ready(Err(no_answer)));
    assert!(!w.store.idle(), "the answers may still come");
    // They come late: the transaction that was started is ended.
    w.stub.silent = false;
    w.stub.transactions.insert(9, <_>::default());
    for request in &requests {
        let payload: &[u8] = if request.kind == 6 { b"9\0" } else { b"OK\0" };
        w.stub.send(&Msg::new(request.kind, request.req_id, 0, payload));
    }
    w.run_until_idle();
    assert!(w.stub.transactions.is_empty());
    assert!(w.store.idle());
    assert_eq!(w.run(store.write("a", "2")), Ok(()));
}

#[test]
fn h59_silence_is_told_once_until_something_is_answered() {
    let mut w = World::new();
    let store = w.store.clone();
    let write = |w: &mut World| {
        let mut write = Box::pin(store.write("a", "1"));
        assert!(write.as_mut().poll(&mut context()).is_pending());
        w.iterate();
        write
    };
    let look = |s: u64| {
        let due = |state: &mut State| state.recover_when_due(SystemTime(s * S), &mut Vec::new()).0;
        store.connection.with(due)
    };
    w.stub.silent = true;
    let _first = write(&mut w);
    assert_eq!((look(0), look(30)), (None, Some(Recovered::GaveUp)));
    // A later request moves bytes, but nobody answers.
    let _second = write(&mut w);
    assert_eq!((look(31), look(61)), (None, Some(Recovered::StillSilent)));
    w.stub.silent = false;
    for request in w.stub.seen.clone() {
        w.stub.send(&Msg::new(request.kind, request.req_id, 0, b"OK\0"));
    }
    w.run_until_idle();
    assert_eq!(look(62), None);
    w.stub.silent = true;
    let _third = write(&mut w);
    assert_eq!((look(63), look(93)), (None, Some(Recovered::GaveUp)));
}

#[test]
fn h59_a_resume_in_the_same_domain_goes_on_in_half_a_message() {
    World::each(|mut w| {
        let store = w.store.clone();
        let watch = w.run(store.watch("a")).unwrap();
        w.run_until_idle();
        while watch.poll_changed(&context()).is_ready() {}
        for pace in 1..60 {
            // The daemon writes the part that fits, and the rest a moment later.
            w.stub.pace = pace;
            w.stub.set("a", "1");
            w.stub.step();
            w.store.pump(&w.xen);
            assert!(w.store.idle(), "nothing is under way: a suspend may begin");
            w.store.reconnect(w.stub.page, EvtchnPort(1));
            assert_eq!(watch.poll_changed(&context()), Poll::Ready("a".into()), "every watch has an event");
            w.stub.pace = usize::MAX;
            w.run_until_idle();
            assert_eq!(w.store.broken(), None);
            assert_eq!(w.run(store.read("a")), Ok("1".into()));
            while watch.poll_changed(&context()).is_ready() {}
        }
        assert_eq!((w.stub.watches.len(), w.store.stats().reconnects.get()), (1, 0));
    });
}

#[test]
fn h59_a_resume_in_the_same_domain_ends_a_request_half_sent() {
    World::each(|mut w| {
        let store = w.store.clone();
        w.stub.pace = 100;
        let long = "x".repeat(3000);
        let mut write = pin!(store.write("b", &long));
        assert!(write.as_mut().poll(&mut context()).is_pending());
        w.iterate();
        w.store.reconnect(w.stub.page, EvtchnPort(1));
        w.stub.pace = usize::MAX;
        assert_eq!(w.run(write), Ok(()));
        assert_eq!(w.stub.nodes.get("b").map(Vec::len), Some(3000));
    });
}
