//! Tests of both ends' states against a backend that behaves, jumps, vanishes and moves.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use super::{Backend, BackendChange, BackendWatch, Frontend, Online, Phase, Step, XenbusError};
use crate::abi::io_xenbus::XenbusState;
use crate::ids::DomId;
use crate::tests::context;
use crate::xenstore::XsError;
use crate::xenstore::tests::stub::World;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::pin::pin;
use core::task::Poll;

const FRONTEND: &str = "device/vif/0";
const BACKEND: &str = "/local/domain/0/backend/vif/1/0";

fn device(ours: &str, theirs: &str) -> (World, Frontend) {
    let mut w = World::new();
    w.stub.set("device/vif/0/backend", BACKEND);
    w.stub.set("device/vif/0/backend-id", "0");
    w.stub.set("device/vif/0/state", ours);
    w.stub.set(&format!("{BACKEND}/state"), theirs);
    let store = w.store.clone();
    let frontend = w.run(Frontend::open(&store, FRONTEND)).unwrap();
    (w, frontend)
}

fn set_backend(w: &mut World, state: &str) {
    w.stub.set(&format!("{BACKEND}/state"), state);
}

/// What the watch tells until it has nothing more to say.
fn told(w: &mut World, watch: &BackendWatch) -> Vec<BackendChange> {
    let mut all: Vec<BackendChange> = Vec::new();
    for _ in 0..20 {
        let mut changed = pin!(watch.changed());
        for _ in 0..30 {
            if let Poll::Ready(change) = changed.as_mut().poll(&mut context()) {
                all.push(change.unwrap());
                break;
            }
            w.iterate();
        }
    }
    all.dedup();
    all
}

/// A netback: answers each state of the frontend as Linux does, after it was written.
fn run_with_netback<T>(w: &mut World, future: impl Future<Output = T>) -> (T, Vec<u8>) {
    let mut future = pin!(future);
    let mut written = Vec::new();
    for _ in 0..2000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context()) {
            return (value, written);
        }
        w.iterate();
        let news: Vec<u8> = w
            .stub
            .seen
            .drain(..)
            .filter(|seen| seen.kind == 11 && seen.payload.starts_with(b"device/vif/0/state\0"))
            .map(|seen| *seen.payload.last().unwrap())
            .collect();
        for state in news {
            written.push(state - b'0');
            match state {
                b'1' => set_backend(w, "2"),
                b'4' => set_backend(w, "4"),
                b'5' => set_backend(w, "5"),
                b'6' => set_backend(w, "6"),
                other => panic!("state {other}"),
            }
        }
    }
    panic!("it does not end: {written:?}")
}

#[test]
fn a_device_is_opened_with_its_backend_of_any_domain() {
    let (mut w, mut frontend) = device("1", "2");
    assert_eq!(frontend.backend(), &Backend { path: BACKEND.into(), domid: DomId(0) });
    assert_eq!(frontend.path(), FRONTEND);
    assert_eq!(frontend.node("mac"), "device/vif/0/mac");
    assert_eq!(frontend.backend_node("state"), format!("{BACKEND}/state"));
    w.stub.set("device/vif/0/backend-id", "5");
    w.stub.set("device/vif/0/backend", "/local/domain/5/backend/vif/1/0");
    let found = w.run(frontend.find_backend()).unwrap().clone();
    assert_eq!(found, Backend { path: "/local/domain/5/backend/vif/1/0".into(), domid: DomId(5) });
    assert_eq!(w.run(frontend.backend_state()), Ok(None));
}

#[test]
fn a_device_without_a_backend_is_removed_and_says_so() {
    for missing in ["backend", "backend-id"] {
        let (mut w, _) = device("1", "2");
        w.stub.delete(&format!("{FRONTEND}/{missing}"));
        let store = w.store.clone();
        let error = w.run(Frontend::open(&store, FRONTEND)).unwrap_err();
        assert_eq!(error, XenbusError::Removed { path: format!("{FRONTEND}/{missing}") });
        assert!(error.to_string().contains("attach it again"));
    }
}

#[test]
fn h56_nodes_that_make_no_sense_are_errors_or_unknown_states() {
    let (mut w, frontend) = device("1", "2");
    for value in ["", "x", "9", "-1", "4294967296", "0"] {
        set_backend(&mut w, value);
        assert_eq!(w.run(frontend.backend_state()), Ok(Some(XenbusState::Unknown)), "{value:?}");
    }
    w.stub.nodes.insert(format!("{BACKEND}/state"), vec![0xff]);
    assert_eq!(w.run(frontend.backend_state()), Ok(Some(XenbusState::Unknown)));
    for value in ["x", "65536", "-1", ""] {
        w.stub.set("device/vif/0/backend-id", value);
        let store = w.store.clone();
        match w.run(Frontend::open(&store, FRONTEND)) {
            Err(XenbusError::Store(XsError::NotANumber { path, .. })) => {
                assert_eq!(path, "device/vif/0/backend-id");
            }
            other => panic!("{other:?}"),
        }
    }
    for (value, online) in [("1", Online::Yes), ("0", Online::No), ("x", Online::No)] {
        w.stub.set(&format!("{BACKEND}/online"), value);
        assert_eq!(w.run(frontend.online()), Ok(online));
    }
}

#[test]
fn our_state_is_written_as_a_number() {
    let (mut w, frontend) = device("1", "2");
    w.run(frontend.switch_state(XenbusState::Connected)).unwrap();
    assert_eq!(w.stub.nodes["device/vif/0/state"], b"4");
    assert_eq!(w.run(frontend.state()), Ok(XenbusState::Connected));
}

#[test]
fn waiting_ends_at_a_state_that_is_there_or_comes_late() {
    let (mut w, frontend) = device("1", "2");
    assert_eq!(w.run(frontend.wait_backend(&[XenbusState::InitWait])), Ok(XenbusState::InitWait));
    let mut wait = pin!(frontend.wait_backend(&[XenbusState::Connected, XenbusState::Closed]));
    for state in ["2", "3", "x"] {
        set_backend(&mut w, state);
        for _ in 0..20 {
            assert!(wait.as_mut().poll(&mut context()).is_pending());
            w.iterate();
        }
    }
    set_backend(&mut w, "6");
    assert_eq!(w.run(wait), Ok(XenbusState::Closed));
    w.run_until_idle();
    assert!(w.stub.watches.is_empty(), "waiting leaves no watch");
}

#[test]
fn h51_a_backend_that_jumps_is_told_as_it_stands() {
    let (mut w, frontend) = device("1", "2");
    let watch = w.run(frontend.watch()).unwrap();
    assert_eq!(told(&mut w, &watch), [BackendChange::Ready]);
    set_backend(&mut w, "6");
    set_backend(&mut w, "4");
    assert_eq!(told(&mut w, &watch), [BackendChange::Connected], "what it was in between is gone");
    set_backend(&mut w, "6");
    assert_eq!(told(&mut w, &watch), [BackendChange::Closed]);
}

#[test]
fn h54_a_backend_that_vanishes_behind_eacces_is_noticed() {
    for error in [None, Some("EACCES"), Some("ENOENT")] {
        let (mut w, frontend) = device("4", "4");
        let watch = w.run(frontend.watch()).unwrap();
        assert_eq!(told(&mut w, &watch), [BackendChange::Connected]);
        w.stub.delete("/local/domain/0/backend/vif/1");
        if let Some(error) = error {
            w.stub.tamper = Some(Box::new(move |request, mut reply| {
                if request.kind == 2 && request.payload.starts_with(BACKEND.as_bytes()) {
                    reply.kind = 16;
                    reply.payload = [error.as_bytes(), b"\0"].concat();
                }
                vec![reply]
            }));
        }
        assert_eq!(told(&mut w, &watch), [BackendChange::Vanished]);
        let gone = Err(XenbusError::BackendGone { path: BACKEND.into() });
        assert_eq!(w.run(frontend.wait_backend(&[XenbusState::InitWait])), gone);
        assert_eq!(w.run(frontend.reset()), Err(XenbusError::BackendGone { path: BACKEND.into() }));
        assert_eq!(w.run(frontend.online()), Ok(Online::No));
    }
}

#[test]
fn h54_a_device_that_is_removed_is_told() {
    let (mut w, frontend) = device("4", "4");
    let watch = w.run(frontend.watch()).unwrap();
    assert_eq!(told(&mut w, &watch), [BackendChange::Connected]);
    w.stub.delete(FRONTEND);
    assert_eq!(told(&mut w, &watch), [BackendChange::Vanished]);
}

#[test]
fn h55_a_backend_in_another_domain_is_told_with_its_place() {
    let (mut w, mut frontend) = device("4", "4");
    let watch = w.run(frontend.watch()).unwrap();
    assert_eq!(told(&mut w, &watch), [BackendChange::Connected]);
    let moved = Backend { path: "/local/domain/9/backend/vif/1/0".into(), domid: DomId(9) };
    w.stub.set("device/vif/0/backend-id", "9");
    w.stub.set("device/vif/0/backend", &moved.path);
    assert_eq!(told(&mut w, &watch), [BackendChange::Moved(moved.clone())]);
    assert_eq!(frontend.backend().domid, DomId(0), "the old one is still named");
    assert_eq!(w.run(frontend.find_backend()).unwrap(), &moved);
    w.stub.set("/local/domain/9/backend/vif/1/0/state", "2");
    let watch = w.run(frontend.watch()).unwrap();
    assert_eq!(told(&mut w, &watch), [BackendChange::Ready]);
}

#[test]
fn a_fresh_device_needs_no_reset() {
    for theirs in ["1", "2", "3"] {
        let (mut w, frontend) = device("1", theirs);
        let mut reset = pin!(frontend.reset());
        for _ in 0..30 {
            if reset.as_mut().poll(&mut context()).is_ready() {
                assert_eq!(theirs, "2");
                break;
            }
            w.iterate();
        }
        if theirs != "2" {
            set_backend(&mut w, "2");
            w.run(reset).unwrap();
        }
        assert!(w.stub.seen.iter().all(|seen| seen.kind != 11), "nothing is written");
    }
}

#[test]
fn h52_a_device_is_reset_from_any_state() {
    let cases: [(&str, &str, &[u8]); 10] = [
        ("4", "4", &[5, 6, 1]),
        ("6", "4", &[5, 6, 1]),
        ("1", "4", &[5, 6, 1]),
        ("4", "7", &[5, 6, 1]),
        ("4", "5", &[6, 1]),
        ("6", "5", &[6, 1]),
        ("6", "6", &[1]),
        ("1", "6", &[1]),
        ("4", "2", &[1]),
        ("x", "1", &[1]),
    ];
    for (ours, theirs, expected) in cases {
        let (mut w, frontend) = device(ours, theirs);
        w.stub.seen.clear();
        let (result, written) = run_with_netback(&mut w, frontend.reset());
        assert_eq!((result, &written[..]), (Ok(()), expected), "ours {ours}, theirs {theirs}");
        assert_eq!(w.stub.nodes[&format!("{BACKEND}/state")], b"2");
        w.run_until_idle();
        assert!(w.stub.watches.is_empty());
    }
}

#[test]
fn h51_a_backend_that_is_ahead_ends_the_reset_early() {
    let (mut w, frontend) = device("4", "4");
    let mut reset = pin!(frontend.reset());
    for _ in 0..40 {
        assert!(reset.as_mut().poll(&mut context()).is_pending());
        w.iterate();
    }
    assert_eq!(w.stub.nodes["device/vif/0/state"], b"5");
    // It was restarted meanwhile, and waits for a new frontend.
    set_backend(&mut w, "2");
    w.run(reset).unwrap();
    assert_eq!(w.stub.nodes["device/vif/0/state"], b"1");
}

#[test]
fn every_state_of_a_backend_means_one_thing() {
    let meanings = [
        BackendChange::NotReady,
        BackendChange::NotReady,
        BackendChange::Ready,
        BackendChange::NotReady,
        BackendChange::Connected,
        BackendChange::Closing,
        BackendChange::Closed,
        BackendChange::Connected,
        BackendChange::Connected,
    ];
    for (number, meaning) in (0_u32..).zip(meanings) {
        assert_eq!(BackendChange::from_state(XenbusState::try_from(number).ok()), meaning, "{number}");
    }
    assert_eq!(BackendChange::from_state(None), BackendChange::Vanished);
}

#[test]
fn h53_what_a_frontend_does_is_the_table_of_phase_next() {
    use BackendChange as B;
    use Step::{Close, Detach, Publish, Restart, Up, Wait};
    let moved = || B::Moved(Backend { path: "x".into(), domid: DomId(1) });
    let changes = [B::NotReady, B::Ready, B::Connected, B::Closing, B::Closed, B::Vanished, moved()];
    let table = [
        (Phase::Initialising, [Wait, Publish, Restart, Restart, Restart, Detach, Restart]),
        (Phase::Published, [Wait, Wait, Up, Close, Close, Detach, Restart]),
        (Phase::Connected, [Close, Close, Wait, Close, Close, Detach, Restart]),
        (Phase::Closed, [Wait, Restart, Restart, Wait, Wait, Wait, Restart]),
    ];
    for (phase, steps) in table {
        for (change, step) in changes.iter().zip(steps) {
            assert_eq!(phase.next(change, Online::No), step, "{phase:?} {change:?}");
            let online = if (phase, change) == (Phase::Closed, &B::Closed) { Restart } else { step };
            assert_eq!(phase.next(change, Online::Yes), online, "{phase:?} {change:?} online");
        }
    }
    // Closing twice, and Closed without Closing: taken down once, then nothing.
    assert_eq!(Phase::Connected.next(&B::Closing, Online::No), Close);
    assert_eq!(Phase::Closed.next(&B::Closing, Online::No), Wait);
    assert_eq!(Phase::Connected.next(&B::Closed, Online::No), Close);
    assert_eq!(Phase::Closed.next(&B::Closed, Online::No), Wait);
}
