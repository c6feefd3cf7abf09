//! Watches: fired on changes, bounded, never leaked.

use super::stub::{Msg, World};
use crate::Errno;
use crate::tests::context;
use crate::xenstore::XsError;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::pin::pin;
use core::task::Poll;

/// The events that wait in a watch.
fn waiting(watch: &crate::xenstore::Watch) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Ready(path) = watch.poll_changed(&context()) {
        all.push(path);
    }
    all
}

#[test]
fn a_watch_fires_at_once_and_at_each_change() {
    World::each(|mut w| {
        let store = w.store.clone();
        let watch = w.run(store.watch("dev")).unwrap();
        assert_eq!(w.run(watch.changed()), "dev");
        assert!(watch.poll_changed(&context()).is_pending());
        w.stub.set("dev/state", "2");
        w.stub.set("other", "2");
        w.stub.set("dev/mac", "x");
        assert_eq!(w.run(watch.changed()), "dev/state");
        assert_eq!(w.run(watch.changed()), "dev/mac");
        assert!(watch.poll_changed(&context()).is_pending());
        assert_eq!(w.store.stats().events, 3);
    });
}

#[test]
fn an_event_that_nobody_waits_for_is_kept() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    w.run_until_idle();
    assert_eq!(waiting(&watch), ["a"]);
    let woken = alloc::sync::Arc::new(Flag::default());
    let waker = woken.clone().into();
    assert!(watch.poll_changed(&core::task::Context::from_waker(&waker)).is_pending());
    assert!(!woken.0.load(core::sync::atomic::Ordering::SeqCst));
    w.stub.set("a", "1");
    w.run_until_idle();
    assert!(woken.0.load(core::sync::atomic::Ordering::SeqCst));
    assert_eq!(waiting(&watch), ["a"]);
}

#[derive(Default)]
struct Flag(core::sync::atomic::AtomicBool);
impl alloc::task::Wake for Flag {
    fn wake(self: alloc::sync::Arc<Self>) {
        self.0.store(true, core::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn the_same_path_waits_once() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    for i in 0..100 {
        w.stub.set("a/x", &format!("{i}"));
        w.stub.set("a/y", &format!("{i}"));
    }
    w.run_until_idle();
    assert_eq!(waiting(&watch), ["a", "a/x", "a/y"]);
}

#[test]
fn h58_many_events_take_bounded_memory() {
    World::each(|mut w| {
        let store = w.store.clone();
        let watch = w.run(store.watch("a")).unwrap();
        w.run_until_idle();
        assert_eq!(waiting(&watch), ["a"]);
        let notifications = w.xen.notifications.get();
        for i in 0..10_000 {
            w.stub.fire(&format!("a/{i}"));
            w.iterate();
        }
        w.run_until_idle();
        assert_eq!(w.store.stats().events, 10_001);
        assert!(w.xen.notifications.get() - notifications <= 10_001);
        let events = waiting(&watch);
        assert_eq!(events.len(), 65);
        assert_eq!(events[63], "a/63");
        assert_eq!(events[64], "a");
        // The watch works on.
        w.stub.set("a/b", "1");
        assert_eq!(w.run(watch.changed()), "a/b");
    });
}

#[test]
fn h58_a_storm_of_long_paths_is_bounded_by_bytes() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    w.run_until_idle();
    for i in 0..100 {
        w.stub.fire(&format!("a/{i:04000}"));
    }
    w.run_until_idle();
    let events = waiting(&watch);
    assert_eq!(events.len(), 5, "the first and the overflow are the same path");
    assert!(events.iter().map(String::len).sum::<usize>() <= 16 * 1024);
}

#[test]
fn dropping_a_watch_ends_it_at_the_daemon() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    assert_eq!((w.stub.watches.len(), w.store.nr_watches()), (1, 1));
    drop(watch);
    w.run_until_idle();
    assert_eq!((w.stub.watches.len(), w.store.nr_watches()), (0, 0));
    assert!(w.store.idle());
}

#[test]
fn h61_events_after_the_end_of_a_watch_are_dropped_and_counted() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    let (_, token) = w.stub.watches[0].clone();
    drop(watch);
    // On their way when the watch ended.
    let event = Msg::new(15, 0, 0, &[b"a\0", token.as_bytes(), b"\0"].concat());
    w.run_until_idle();
    let before = w.store.stats().stale_events.get();
    w.stub.send(&event);
    w.stub.send(&event);
    w.run_until_idle();
    assert_eq!(w.store.stats().stale_events, before + 2);
    // A watch on the same path is another watch: late events of the first do not reach it.
    let watch = w.run(store.watch("a")).unwrap();
    w.run_until_idle();
    waiting(&watch);
    w.stub.send(&event);
    w.run_until_idle();
    assert_eq!(waiting(&watch), Vec::<String>::new());
    assert_eq!(w.store.stats().stale_events, before + 3);
}

#[test]
fn h61_events_without_a_token_of_ours_are_dropped_and_counted() {
    let mut w = World::new();
    let store = w.store.clone();
    let watch = w.run(store.watch("a")).unwrap();
    w.run_until_idle();
    waiting(&watch);
    let payloads: [&[u8]; 12] = [
        b"",
        b"\0",
        b"a\0",
        b"a\0w1",
        b"a\0w2\0",
        b"a\0w01\0",
        b"a\0w+1\0",
        b"a\0w\0",
        b"a\x001\0",
        b"a\0W1\0",
        b"a\0w1\0x\0",
        b"a\0\xff\0",
    ];
    for payload in payloads {
        w.stub.send(&Msg::new(15, 0, 0, payload));
    }
    w.run_until_idle();
    assert_eq!(waiting(&watch), Vec::<String>::new());
    assert_eq!(w.store.stats().stale_events, 12);
    // A path that is not UTF-8 becomes the watched one.
    w.stub.send(&Msg::new(15, 0, 0, b"\xff\0w1\0"));
    w.run_until_idle();
    assert_eq!(waiting(&watch), ["a"]);
}

#[test]
fn tokens_are_unique() {
    let mut w = World::new();
    let store = w.store.clone();
    let mut tokens = BTreeSet::new();
    let mut kept = Vec::new();
    for i in 0..50 {
        let watch = w.run(store.watch("a")).unwrap();
        tokens.insert(w.stub.watches.last().unwrap().1.clone());
        if i % 2 == 0 {
            kept.push(watch);
        }
    }
    assert_eq!(tokens.len(), 50);
    w.run_until_idle();
    assert_eq!(w.stub.watches.len(), kept.len());
}

#[test]
fn a_watch_that_is_refused_leaves_nothing() {
    let mut w = World::new();
    w.stub.refuse.insert(4, "E2BIG");
    let store = w.store.clone();
    let error = w.run(store.watch("a")).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::E2BIG));
    w.run_until_idle();
    assert_eq!(w.store.nr_watches(), 0);
    assert!(w.stub.seen.iter().all(|seen| seen.kind != 5), "there is nothing to end");
    assert!(matches!(w.run(store.watch("")), Err(XsError::BadPath { .. })));
    assert_eq!(w.store.nr_watches(), 0);
}

#[test]
fn a_watch_whose_answer_makes_no_sense_is_ended_to_be_sure() {
    let mut w = World::new();
    w.stub.tamper = Some(Box::new(|request, reply| {
        let payload = if request.kind == 4 { b"??".to_vec() } else { reply.payload.clone() };
        [Msg { payload, ..reply }].into()
    }));
    let store = w.store.clone();
    assert!(matches!(w.run(store.watch("a")), Err(XsError::BadReply { .. })));
    w.run_until_idle();
    assert!(w.stub.watches.is_empty() && w.store.idle());
}

#[test]
fn a_watch_dropped_during_its_registration_does_not_leak() {
    for iterations in 0..6 {
        for pace in [7, usize::MAX] {
            let mut w = World::new();
            w.stub.pace = pace;
            let store = w.store.clone();
            {
                let mut watch = pin!(store.watch("a"));
                for _ in 0..iterations {
                    if watch.as_mut().poll(&mut context()).is_ready() {
                        break;
                    }
                    w.iterate();
                }
            }
            w.stub.pace = usize::MAX;
            w.run_until_idle();
            assert_eq!((w.stub.watches.len(), w.store.nr_watches()), (0, 0), "after {iterations} iterations");
            assert!(w.store.idle());
        }
    }
}
