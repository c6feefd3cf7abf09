//! Captures on demand: where they are, what they hold, when they end, and that nothing of them stays.

mod support;

use core::cell::{Cell, RefCell};
use core::task::{Context, Waker};
use kernel::net::Observer;
use kernel::xen::SystemTime;
use std::rc::Rc;
use support::Does::{Sends, Waits};
use support::{Outcome, connect, run_at, store_with};
use web::http::{Limits, Port, Server};
use web::memory::Memory;
use web::publish::StoreOptions;
use web::site::capture::Frames;
use web::site::status::Status;
use web::site::{Admin, Source, StatusSite};

/// An interface that sees some frames as soon as somebody observes it.
struct Wire {
    frames: Vec<Vec<u8>>,
    observer: RefCell<Option<Rc<dyn Observer>>>,
    changes: Cell<u32>,
}

impl Frames for Wire {
    fn observe(&self, observer: Option<Rc<dyn Observer>>) {
        self.changes.set(self.changes.get() + 1);
        for (frame, at) in self.frames.iter().zip(1..) {
            if let Some(observer) = &observer {
                observer.frame(SystemTime(at * 1_000_000_000), frame);
            }
        }
        *self.observer.borrow_mut() = observer;
    }

    fn boot_unix_us(&self) -> u64 {
        1_790_000_000_000_000
    }
}

struct Guest(Rc<Wire>);

impl Source for Guest {
    fn status(&self) -> Status {
        Status::default()
    }

    fn frames(&self) -> Option<Rc<dyn Frames>> {
        let frames: Rc<dyn Frames> = Rc::<Wire>::clone(&self.0);
        Some(frames)
    }
}

/// A server whose own pages are there, with memory for replies.
fn server(frames: Vec<Vec<u8>>, admin: Admin, memory: &Rc<Memory>) -> (Server<StatusSite<Guest>>, Rc<Wire>) {
    let wire = Rc::new(Wire { frames, observer: RefCell::default(), changes: Cell::default() });
    let store = store_with(1 << 20, StoreOptions { admin, ..StoreOptions::default() });
    let site = StatusSite::new(Guest(Rc::clone(&wire)), store, Rc::clone(memory));
    let server = Server::new(site, Limits::default());
    support::tell_time(&server);
    (server, wire)
}

fn request(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The head of the only reply, and its body.
fn parts(outcome: &Outcome) -> (String, Vec<u8>) {
    let end = outcome.got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(outcome.got[..end].to_vec()).unwrap(), outcome.got[end..].to_vec())
}

#[test]
fn a_capture_is_a_file_of_the_frames_of_its_seconds() {
    let memory = Rc::new(Memory::limited(1 << 20));
    let (server, wire) = server(vec![vec![7; 60], vec![8; 1500]], Admin::Port(9090), &memory);
    let asked = || Sends(request("/debug/pcap?seconds=3&bytes=96"));
    let early = run_at(&server, vec![asked(), Waits(2)], usize::MAX, Port::Admin);
    assert_eq!(early.got, b"", "its time is not over");
    // The client that went away took its capture with it.
    assert!(wire.observer.borrow().is_none() && memory.used() == 0);
    let outcome = run_at(&server, vec![asked(), Waits(4)], usize::MAX, Port::Admin);
    let (head, file) = parts(&outcome);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nX-Frames: 2\r\nX-Frames-Missed: 0\r\n")
    );
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", 24 + 16 + 60 + 16 + 96)), "{head}");
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!([word(0), word(16), word(20)], [0xa1b2_c3d4, 96, 1], "magic, length, Ethernet");
    assert_eq!([word(24), word(28), word(32), word(36)], [1_790_000_001, 0, 60, 60]);
    assert_eq!([word(100), word(104), word(108), word(112)], [1_790_000_002, 0, 96, 1500]);
    assert_eq!(&file[116..], [8; 96]);
    assert!(outcome.open && wire.observer.borrow().is_none());
    assert_eq!((memory.used(), wire.changes.get()), (0, 4));
}

#[test]
fn a_capture_ends_early_when_its_memory_is_used_up() {
    let memory = Rc::new(Memory::limited(64 << 10));
    let (server, _) = server(vec![vec![7; 1500]; 100], Admin::Port(9090), &memory);
    let outcome = run_at(&server, vec![Sends(request("/debug/pcap"))], usize::MAX, Port::Admin);
    let (head, file) = parts(&outcome);
    let kept = (32 * 1024 - 24) / 1516;
    assert!(head.contains(&format!("\r\nX-Frames: {kept}\r\nX-Frames-Missed: {}\r\n", 100 - kept)), "{head}");
    assert_eq!(file.len(), 24 + kept * 1516);
    // The status still has its half.
    assert!(memory.used() == 0);
}

#[test]
fn captures_are_made_one_at_a_time() {
    let memory = Rc::new(Memory::limited(1 << 20));
    let (server, _) = server(Vec::new(), Admin::Port(9090), &memory);
    let mut waiting = connect(vec![Sends(request("/debug/pcap"))], usize::MAX);
    let mut serving = Box::pin(server.serve(&mut waiting, Port::Admin));
    assert!(serving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let code = |target: &str| {
        let outcome = run_at(&server, vec![Sends(request(target)), Waits(11)], usize::MAX, Port::Admin);
        parts(&outcome).0.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(code("/debug/pcap"), "503", "another one is in progress");
    drop(serving);
    assert_eq!((code("/debug/pcap"), code("/debug/pcap?seconds=61"), code("/debug/pcap?x=1")), {
        let [whole, bad] = ["200", "400"].map(str::to_owned);
        (whole, bad.clone(), bad)
    });
}

/// Nobody who comes to the public port gets one unless the operator has put the own pages there.
#[test]
fn captures_are_where_the_operator_put_the_own_pages() {
    let path = || Admin::Path("/-/".into());
    for (admin, port, target, code) in [
        (Admin::Port(9090), Port::Admin, "/debug/pcap?seconds=1", "200"),
        (Admin::Port(9090), Port::Public, "/debug/pcap?seconds=1", "404"),
        (path(), Port::Public, "/-/debug/pcap?seconds=1", "200"),
        (path(), Port::Public, "/debug/pcap?seconds=1", "404"),
        (Admin::Off, Port::Public, "/debug/pcap?seconds=1", "404"),
        (Admin::Off, Port::Public, "/-/debug/pcap?seconds=1", "404"),
    ] {
        let memory = Rc::new(Memory::limited(1 << 20));
        let (server, _) = server(Vec::new(), admin.clone(), &memory);
        let outcome = run_at(&server, vec![Sends(request(target)), Waits(2)], usize::MAX, port);
        assert_eq!(parts(&outcome).0.split(' ').nth(1), Some(code), "{admin:?} {port:?} {target}");
    }
}
