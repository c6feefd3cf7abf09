//! Tests of the console against another end that reads, does not, or writes nonsense.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a test that overflows fails"
)]

use super::input::{LINE_MAX, LINES_MAX, Lines};
use super::output::{Output, QUEUE_BYTES};
use super::{Console, ConsoleStats};
use crate::ids::EvtchnPort;
use crate::memory::shared::Shared;
use crate::tests::{Random, STARTS, TestXen, context, page};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::pin::pin;
use core::sync::atomic::Ordering::SeqCst;
use core::task::Poll;

/// The other end: reads and writes the ring on its own.
#[derive(Clone, Copy)]
struct Terminal(Shared<'static>);

impl Terminal {
    fn load(self, offset: usize) -> u32 {
        self.0.load(offset, SeqCst)
    }

    fn store(self, offset: usize, value: u32) {
        self.0.store(offset, value, SeqCst);
    }

    /// Reads up to `max` bytes of output.
    fn take(self, max: usize) -> String {
        let mut text = Vec::new();
        while text.len() < max && self.load(3080) != self.load(3084) {
            let cons = self.load(3080);
            text.push(self.0.load(1024 + (cons % 2048) as usize, SeqCst));
            self.store(3080, cons.wrapping_add(1));
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Types the bytes that fit; returns their number.
    fn type_in(self, bytes: &[u8]) -> usize {
        let mut typed = 0;
        for byte in bytes {
            let prod = self.load(3076);
            if prod.wrapping_sub(self.load(3072)) >= 1024 {
                break;
            }
            self.0.store((prod % 1024) as usize, *byte, SeqCst);
            self.store(3076, prod.wrapping_add(1));
            typed += 1;
        }
        typed
    }
}

fn console_at(start: u32) -> (Console, TestXen, Terminal) {
    let page = page();
    for index in [3072, 3076, 3080, 3084] {
        page.store(index, start, SeqCst);
    }
    (Console::new(page, EvtchnPort(2)), TestXen::default(), Terminal(page))
}

fn read_line(console: &Console) -> Poll<String> {
    pin!(console.read_line()).poll(&mut context())
}

/// Pumps until everything is sent; returns it.
fn drain(console: &Console, xen: &TestXen, terminal: Terminal) -> String {
    let mut text = terminal.take(usize::MAX);
    while console.pump(xen) {
        text += &terminal.take(usize::MAX);
    }
    text
}

#[test]
fn text_has_carriage_returns_and_one_notification_a_pump() {
    for start in STARTS {
        let (console, xen, terminal) = console_at(start);
        write!(&console, "hello\nworld\r\nno end").unwrap();
        assert!(!console.is_flushed());
        assert!(console.pump(&xen));
        assert_eq!(xen.notifications.get(), 1);
        assert!(console.is_flushed());
        assert_eq!(terminal.take(usize::MAX), "hello\r\nworld\r\nno end");
        assert!(!console.pump(&xen));
        assert_eq!(xen.notifications.get(), 1, "nothing moved");
    }
}

#[test]
fn text_longer_than_the_ring_goes_out_in_pieces() {
    for start in STARTS {
        let (console, xen, terminal) = console_at(start);
        let text: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        console.write(text.as_bytes());
        assert_eq!(drain(&console, &xen, terminal), text.replace('\n', "\r\n"));
        assert_eq!(console.stats().lines_lost, 0);
    }
}

#[test]
fn h62_a_full_ring_loses_whole_lines_the_oldest_first() {
    for start in STARTS {
        let (console, xen, terminal) = console_at(start);
        for i in 0..10_000 {
            writeln!(&console, "line {i:05}").unwrap();
            console.pump(&xen);
        }
        assert!(xen.notifications.get() < 300, "a full ring is no reason to notify");
        let text = drain(&console, &xen, terminal);
        let lines: Vec<_> = text.lines().collect();
        let mark = lines.iter().position(|line| line.ends_with("lines lost]")).unwrap();
        let lost: usize = lines[mark].trim_matches(['[', ']']).split(' ').next().unwrap().parse().unwrap();
        assert_eq!(console.stats().lines_lost, lost as u64);
        for (i, line) in lines[..mark].iter().enumerate() {
            assert_eq!(*line, format!("line {i:05}"), "before the gap");
        }
        for (i, line) in lines[mark + 1..].iter().enumerate() {
            assert_eq!(*line, format!("line {:05}", mark + lost + i), "after the gap");
        }
        assert_eq!(lines.len() - 1 + lost, 10_000);
        assert!(lines.len() > 2048 / 12 + 30_000 / 12);
    }
}

#[test]
fn a_gap_within_a_line_that_had_no_end_begins_on_a_new_line() {
    let mut output = Output::default();
    output.write(b"prompt> ");
    let mut all = Vec::new();
    let mut take = |bytes: &[u8]| -> Result<usize, ()> {
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    };
    output.send(&mut take).unwrap();
    output.write(b"rest\n");
    output.write(&[b'x'; QUEUE_BYTES - 2]);
    output.write(b"\nlast\n");
    output.send(&mut take).unwrap();
    assert_eq!(String::from_utf8(all).unwrap(), "prompt> \r\n[2 lines lost]\r\nlast\r\n");
    assert!(output.is_empty());
}

#[test]
fn a_single_line_without_end_does_not_grow_without_end() {
    let mut output = Output::default();
    for _ in 0..10 {
        output.write(&[b'x'; QUEUE_BYTES]);
    }
    let mut all = Vec::new();
    let taken = output.send(|bytes| -> Result<usize, ()> {
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    });
    assert_eq!(taken, Ok(all.len()));
    assert!(all.len() <= QUEUE_BYTES + 20, "{} bytes", all.len());
    assert!(all.starts_with(b"[1 line lost]\r\nxxx"), "its beginning is gone, and that is said");
    assert_eq!(output.lines_lost(), 0, "the line has not ended");
}

#[test]
fn a_ring_that_takes_a_byte_at_a_time_gets_every_byte() {
    let mut output = Output::default();
    output.write(b"one\ntwo\n");
    let mut all: Vec<u8> = Vec::new();
    while !output.is_empty() {
        let taken = output.send(|bytes| -> Result<usize, ()> {
            all.extend(bytes.first());
            Ok(1)
        });
        assert!(taken.is_ok());
    }
    assert_eq!(all, b"one\r\ntwo\r\n");
}

#[test]
fn h62_bad_indexes_are_counted_and_the_console_goes_on() {
    for start in STARTS {
        for garbage in [2049, 0x8000_0000, u32::MAX] {
            let (console, xen, terminal) = console_at(start);
            console.write(b"lost in the ring\n");
            console.pump(&xen);
            terminal.store(3080, terminal.load(3084).wrapping_sub(garbage));
            terminal.store(3076, terminal.load(3072).wrapping_add(garbage));
            console.write(b"printed\n");
            assert!(!console.pump(&xen));
            assert_eq!(console.stats().bad_indexes, 2);
            assert!(console.pump(&xen));
            assert_eq!(terminal.take(usize::MAX), "printed\r\n");
            terminal.type_in(b"typed\n");
            console.pump(&xen);
            assert_eq!(read_line(&console), Poll::Ready("typed".into()));
        }
    }
}

#[test]
fn h62_random_indexes_neither_panic_nor_hang() {
    let mut random = Random(62);
    let (console, xen, terminal) = console_at(0);
    for _ in 0..20_000 {
        let index = [3072, 3076, 3080, 3084][random.below(4) as usize];
        terminal.store(index, random.next() as u32);
        writeln!(&console, "some text").unwrap();
        console.pump(&xen);
        let _ = read_line(&console);
    }
    assert!(console.stats().bad_indexes > 1000);
    assert!(!console.write_sync_best_effort(&xen, &[b'x'; 3000], 10) || xen.yields.get() <= 10);
}

#[test]
fn input_comes_in_lines() {
    for start in STARTS {
        let (console, xen, terminal) = console_at(start);
        assert!(read_line(&console).is_pending());
        terminal.type_in(b"one\ntwo\rthree\r\n\nfi");
        assert!(console.pump(&xen));
        assert_eq!(xen.notifications.get(), 1, "the other end may wait for room");
        for line in ["one", "two", "three", ""] {
            assert_eq!(read_line(&console), Poll::Ready(line.into()));
        }
        assert!(read_line(&console).is_pending());
        terminal.type_in(b"ve\r");
        console.pump(&xen);
        assert_eq!(read_line(&console), Poll::Ready("five".into()));
        terminal.type_in(b"\nsix\n");
        console.pump(&xen);
        assert_eq!(read_line(&console), Poll::Ready("six".into()), "\\r and \\n may come apart");
    }
}

#[test]
fn input_for_a_former_owner_is_read() {
    for start in STARTS {
        let page = page();
        for index in [3072, 3076, 3080, 3084] {
            page.store(index, start, SeqCst);
        }
        Terminal(page).type_in(b"early\n");
        let console = Console::new(page, EvtchnPort(2));
        console.pump(&TestXen::default());
        assert_eq!(read_line(&console), Poll::Ready("early".into()));
    }
}

#[test]
fn a_reader_is_woken_by_a_line_and_not_before() {
    let (console, xen, terminal) = console_at(0);
    let woken = alloc::sync::Arc::new(Flag::default());
    let waker = woken.clone().into();
    let mut cx = core::task::Context::from_waker(&waker);
    let mut line = pin!(console.read_line());
    assert!(line.as_mut().poll(&mut cx).is_pending());
    terminal.type_in(b"ab");
    console.pump(&xen);
    assert!(!woken.0.load(SeqCst));
    terminal.type_in(b"c\n");
    console.pump(&xen);
    assert!(woken.0.load(SeqCst));
    assert_eq!(line.as_mut().poll(&mut cx), Poll::Ready("abc".into()));
}

#[derive(Default)]
struct Flag(core::sync::atomic::AtomicBool);
impl alloc::task::Wake for Flag {
    fn wake(self: alloc::sync::Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn h63_lines_are_bounded_in_length_and_number() {
    let mut lines = Lines::default();
    lines.push(&[b'x'; 10_000]);
    lines.push(b"\nshort\n");
    assert_eq!(lines.take().unwrap(), "x".repeat(LINE_MAX));
    assert_eq!(lines.take().unwrap(), "short");
    assert_eq!(lines.cut(), 1);
    lines.push(&[b'\n'; LINES_MAX + 5]);
    assert_eq!(lines.refused(), 5);
    assert_eq!(core::iter::from_fn(|| lines.take()).count(), LINES_MAX);
    lines.push(&[b'y'; LINE_MAX]);
    lines.push(b"\n");
    assert_eq!((lines.take().unwrap().len(), lines.cut().get()), (LINE_MAX, 1));
}

#[test]
fn h63_control_characters_and_broken_text_are_dropped() {
    let mut lines = Lines::default();
    lines.push(b"\x1b[31mr\0e\x07d\x7f\x08\tx\n");
    assert_eq!(lines.take().unwrap(), "[31mredx");
    lines.push(b"a\xffb\xc3\xa9\xe2\x82\n\xc2\x9bc\n");
    assert_eq!(lines.take().unwrap(), "abé");
    assert_eq!(lines.take().unwrap(), "c", "C1 controls too");
    lines.push(&[0x1b; 300]);
    lines.push(b"x\n");
    assert_eq!((lines.take().unwrap().as_str(), lines.cut().get()), ("x", 0), "they take no room");
}

#[test]
fn h63_random_input_neither_panics_nor_grows() {
    let mut random = Random(63);
    let (console, xen, terminal) = console_at(u32::MAX - 3);
    for _ in 0..100_000 {
        let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.next() as u8).collect();
        assert_eq!(terminal.type_in(&bytes), bytes.len(), "what was typed was taken");
        console.pump(&xen);
        if random.below(16) == 0
            && let Poll::Ready(line) = read_line(&console)
        {
            assert!(line.len() <= LINE_MAX);
            assert!(!line.chars().any(char::is_control));
        }
    }
    assert!(console.stats().lines_refused > 0);
}

#[test]
fn h62_last_words_do_not_wait_for_ever() {
    for start in STARTS {
        let (console, xen, _) = console_at(start);
        console.write(&[b'q'; 10_000]);
        assert!(!console.write_sync_best_effort(&xen, &[b'x'; 5000], 100));
        assert!(xen.yields.get() <= 100);
        assert!(!console.write_sync_best_effort(&xen, b"more", 0));
    }
}

#[test]
fn last_words_come_after_what_is_queued_if_the_other_end_reads() {
    let (console, xen, terminal) = console_at(0);
    let read = alloc::rc::Rc::new(core::cell::RefCell::new(String::new()));
    let into = read.clone();
    *xen.on_yield.borrow_mut() = Some(Box::new(move || *into.borrow_mut() += &terminal.take(700)));
    let text: String = (0..500).map(|i| format!("line {i}\n")).collect();
    console.write(text.as_bytes());
    assert!(console.write_sync_best_effort(&xen, b"last words\n", 1000));
    let mut all = read.borrow().clone();
    all += &terminal.take(usize::MAX);
    assert_eq!(all, (text + "last words\n").replace('\n', "\r\n"));
}

#[test]
fn last_words_are_worth_more_than_old_ones_to_a_slow_reader() {
    let (console, xen, terminal) = console_at(0);
    let read = alloc::rc::Rc::new(core::cell::RefCell::new(String::new()));
    let into = read.clone();
    *xen.on_yield.borrow_mut() = Some(Box::new(move || *into.borrow_mut() += &terminal.take(40)));
    let text: String = (0..3000).map(|i| format!("line {i}\n")).collect();
    console.write(text.as_bytes());
    assert!(console.write_sync_best_effort(&xen, b"last words\n", 200));
    let mut all = read.borrow().clone();
    all += &terminal.take(usize::MAX);
    assert!(all.contains("lines lost]\r\nlast words\r\n"), "{all}");
}

#[test]
fn last_words_are_printed_while_the_console_is_in_use() {
    let (console, xen, terminal) = console_at(u32::MAX - 3);
    console.write(b"before\n");
    console.pump(&xen);
    let in_use = console.state.borrow_mut();
    console.write(b"nowhere\n");
    assert!(!console.pump(&xen));
    assert_eq!(console.stats(), ConsoleStats::default());
    assert!(console.write_sync_best_effort(&xen, b"panic\n", 10));
    drop(in_use);
    assert_eq!(terminal.take(usize::MAX), "before\r\npanic\r\n");
}

#[test]
fn after_a_restore_the_queue_goes_to_the_new_page() {
    let (console, xen, old) = console_at(0);
    console.write(&[b'x'; 2048]);
    console.write(b"\nafter\n");
    console.pump(&xen);
    let page = page();
    for index in [3072, 3076, 3080, 3084] {
        page.store(index, 77_u32, SeqCst);
    }
    console.reconnect(page, EvtchnPort(3));
    console.pump(&xen);
    assert_eq!(Terminal(page).take(usize::MAX), "\r\nafter\r\n");
    assert_eq!(old.take(usize::MAX).len(), 2048);
}

#[test]
fn a_refused_notification_is_counted() {
    let (console, xen, _) = console_at(0);
    xen.refuse.set(true);
    console.write(b"x\n");
    assert!(console.pump(&xen));
    assert_eq!(console.stats().notify_failures, 1);
}

#[test]
fn a_console_that_says_it_is_disconnected_is_not_waited_for() {
    let (console, xen, terminal) = console_at(0);
    terminal.0.store(3088, 1_u8, SeqCst);
    let line = [b'x'; 1000];
    console.write(&line);
    console.pump(&xen);
    assert!(console.is_flushed(), "it fits into the ring");
    // More than the ring takes: no yield for it, and nothing left to do.
    console.write(&line);
    console.write(&line);
    assert!(!console.is_flushed());
    console.pump(&xen);
    assert!(console.is_flushed(), "the ring is full, and nobody reads it");
    assert!(!console.write_sync_best_effort(&xen, b"last", 1000));
    assert_eq!(xen.yields.get(), 0);
    // It connects: everything that was kept comes out.
    terminal.0.store(3088, 0_u8, SeqCst);
    assert!(!console.is_flushed());
    *xen.on_yield.borrow_mut() = Some(Box::new(move || drop(terminal.take(700))));
    assert!(console.write_sync_best_effort(&xen, b"more", 1000));
    assert!(xen.yields.get() > 0);
}
