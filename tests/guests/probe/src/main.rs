//! A guest for tests: it does what `app.do=` says, writes its verdict, and ends.
//!
//! | `app.do=` | action | end |
//! |---|---|---|
//! | `poweroff` | nothing | verdict |
//! | `console` | waits for a line on the console and writes it back in capitals | verdict |
//! | `talk` | talks to an echo service, see [`talk`] | verdict |
//! | `chatter` | the same, while another task logs without end | verdict |
//! | `fill` | uses all its memory, see [`fill`] | verdict |
//! | `work` | works in pieces without end, see [`work`] | none |
//! | `hang` | never returns to the loop | by the watchdog |
//! | `shout` | sends frames to the groups in `app.to=`, see [`shout`] | verdict |
//! | `sink`, `source`, `vchan-server`, `vchan-client` | datafront, see [`front`] | none |
//! | `copy` | counts the cost of copies and checksums, see [`copy`] | verdict |
//! | `put` | takes HTTP PUT, see [`put`] | none |
//! | `panic`, `heap`, `exhaust` | panics; asks for more memory than there is, in large and in small blocks | report, crash |
//! | `null`, `stack`, `exec`, `write-text` and more | a forbidden access, see [`faults`] | report, crash |
//! | `touch` | writes to the memory at the addresses in `app.at=` and reads it back | verdict |
//!
//! The verdict is the last line on the console, in the words of XTF, Xen's own test guests: `Test result: SUCCESS` or
//! `Test result: FAILURE: why`. A guest without one has crashed.

#![no_std]
#![no_main]

extern crate alloc;

mod copy;
mod faults;
mod fill;
mod front;
mod pattern;
mod put;
mod shout;
mod talk;
mod touch;
mod work;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::task::Poll;
use kernel::System;
use kernel::xen::hypervisor::ShutdownReason;

/// Nothing that a test waits for takes longer.
const TIMEOUT_NS: u64 = 60_000_000_000;
/// The life of a guest that hangs.
const HANG_AFTER_NS: u64 = 500_000_000;

async fn run(system: System) {
    let verdict = match act(&system).await {
        Ok(()) => "Test result: SUCCESS\n".to_owned(),
        Err(why) => format!("Test result: FAILURE: {why}\n"),
    };
    system.console().write(verdict.as_bytes());
    system.shut_down(ShutdownReason::Poweroff);
    // A task that ends is announced on the console, and the verdict is to be the last line.
    core::future::pending::<()>().await;
}

async fn act(system: &System) -> Result<(), String> {
    let what = system.config().app("do").unwrap_or_default();
    kernel::log::info!("app.do={what}");
    match what {
        "poweroff" => Ok(()),
        "console" => console(system).await,
        "talk" => talk::talk(system).await,
        "chatter" => chatter(system).await,
        "fill" => fill::fill(system),
        "hang" => {
            // Until then the log is written out.
            system.sleep(HANG_AFTER_NS).await;
            hang()
        }
        "work" => work::work(system).await,
        "shout" => shout::shout(system).await,
        "sink" => front::sink(system).await,
        "source" => front::source(system).await,
        "vchan-server" => front::server(system).await,
        "vchan-client" => front::client(system).await,
        "copy" => copy::measure(system),
        "put" => put::put(system).await,
        "panic" => panic_on_purpose(),
        "heap" => exhaust_heap(),
        "exhaust" => exhaust_in_small_blocks(),
        "null" => Err(faults::write_to_null()),
        "stack" => Err(faults::overflow_stack()),
        "exec" => Err(faults::execute_heap()),
        "exec-stack" => Err(faults::execute_stack()),
        "exec-page" => Err(faults::execute_page(&system.xen().machine)),
        "read-null" => Err(faults::read_null()),
        "double" => Err(faults::double_fault()),
        "write-text" => Err(faults::write_to_text()),
        "write-rodata" => Err(faults::write_to_rodata()),
        "write-idt" => Err(faults::write_to_descriptors(false)),
        "write-gdt" => Err(faults::write_to_descriptors(true)),
        "touch" => touch::touch(system),
        _ => Err(format!("app.do={what} is wrong: see the head of main.rs")),
    }
}

/// Answers a line typed on the console.
async fn console(system: &System) -> Result<(), String> {
    system.console().write(b"type a line\n");
    let line = system.timeout(TIMEOUT_NS, system.console().read_line()).await;
    let line = line.ok_or("no line was typed")?;
    system.console().write(format!("typed: {}\n", line.to_ascii_uppercase()).as_bytes());
    Ok(())
}

/// Talks to an echo service while another task logs whenever it runs.
async fn chatter(system: &System) -> Result<(), String> {
    let stop = Rc::new(Cell::new(false));
    let stopped = Rc::clone(&stop);
    system.spawn(async move {
        for line in 0_u64.. {
            if stopped.get() {
                return;
            }
            kernel::log::info!("chatter {line}: one more line");
            // To the end of the queue, after all other tasks that are ready.
            yield_now().await;
        }
    });
    let outcome = talk::talk(system).await;
    stop.set(true);
    outcome
}

/// Lets every other task run once.
async fn yield_now() {
    let mut yielded = false;
    core::future::poll_fn(|cx| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Keeps the vCPU, as a bug that loops for ever would.
fn hang() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[allow(clippy::panic, reason = "it is what this guest is for")]
fn panic_on_purpose() -> Result<(), String> {
    panic!("on purpose, with a number: {}", 42)
}

/// Takes the heap in blocks until there is none left: the allocator's failure must end in a report too.
fn exhaust_heap() -> Result<(), String> {
    const BLOCK: usize = 64 << 10;
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for _ in 0..1 << 20 {
        blocks.push(Vec::with_capacity(BLOCK));
    }
    Err(format!("{} blocks of {BLOCK} bytes were there", blocks.len()))
}

/// A block of the list by which the heap is exhausted.
struct Node {
    next: Option<alloc::boxed::Box<Self>>,
    bytes: [u8; 48],
}

/// Takes the heap in small blocks, which may use the last byte.
fn exhaust_in_small_blocks() -> Result<(), String> {
    let mut head = None;
    for number in 0..1_u32 << 28 {
        head = Some(alloc::boxed::Box::new(Node { next: head, bytes: [number.to_le_bytes()[0]; 48] }));
    }
    let first = head.as_ref().map(|node| (node.bytes, node.next.is_some()));
    Err(format!("the heap has no end: {first:?}"))
}

kernel::main!(run);
