//! The access log: a line in Combined Log Format for each answered request, in blocks for dom0.
//!
//! ```text
//!   answered ─► line ─► batch of up to 16 KiB ─ full, or a second old while dom0 is connected ─► Outbox ─► pull
//!   192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "GET /a.html HTTP/1.1" 200 4711 "-" "curl/8.5.0"
//! ```
//!
//! Blocks are named `access.log` and are appended in dom0. The time is that of the reply, to the second. A body's length is
//! that of the reply, whether or not the client takes all of it.

use crate::http::{Code, Entry, HttpCounts, Moment, RequestLog};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt::{self, Write};
use core::task::{Context, Poll};
use datafront::block::outbox::OutboxStats;
use datafront::block::{Form, Outbox, OutgoingBlock};
use kernel::ledger::{Account, Reservation};
use kernel::net::IpEndpoint;
use kernel::xen::signal::Signal;

/// Bytes of a batch.
pub const BATCH_BYTES: usize = 16 * 1024;
/// The name of its blocks.
const NAME: &str = "access.log";
/// Bytes of a line beside the texts of the client, at most.
const BESIDE: usize = 256;
/// A line is at most this long: three texts of 1 KiB, of which every byte may be escaped, and the rest. An empty batch has
/// room for it.
const _: () = assert!(3 * 4 * 1024 + BESIDE < BATCH_BYTES);

/// Lines that wait to be sent.
#[derive(Debug)]
pub struct AccessLog {
    outbox: Rc<Outbox>,
    name: Rc<str>,
    batch: RefCell<Batch>,
    /// The batch has got its first line.
    begun: Signal,
    lines: Cell<u64>,
    lost: Cell<u64>,
}

#[derive(Debug)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    /// For the bytes.
    _memory: Option<Reservation>,
}

impl AccessLog {
    /// A log that goes into an outbox; the batch is charged to an account.
    #[must_use]
    pub fn new(outbox: Rc<Outbox>, account: &Account) -> Self {
        let batch = Batch { bytes: Vec::new(), lines: 0, _memory: account.reserve(BATCH_BYTES).ok() };
        Self {
            outbox,
            name: NAME.into(),
            batch: RefCell::new(batch),
            begun: Signal::new(),
            lines: Cell::new(0),
            lost: Cell::new(0),
        }
    }

    /// Waits for the first line of a batch.
    pub async fn begun(&self) {
        self.begun.wait().await;
    }

    /// Hands the batch over, complete or not.
    pub fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        let (bytes, records) = (core::mem::take(&mut batch.bytes), core::mem::take(&mut batch.lines));
        if !bytes.is_empty() {
            self.outbox.put(OutgoingBlock {
                name: Rc::clone(&self.name),
                form: Form::Append,
                bytes,
                records,
            });
        }
    }

    /// Where it goes.
    #[must_use]
    pub const fn outbox(&self) -> &Rc<Outbox> {
        &self.outbox
    }

    /// Lines since the start, and those of them for which there was no memory at once.
    #[must_use]
    pub const fn lines(&self) -> (u64, u64) {
        (self.lines.get(), self.lost.get())
    }

    /// Adds a line with `texts` bytes of the client.
    fn add(&self, texts: usize, line: fmt::Arguments<'_>) {
        self.lines.set(self.lines.get().wrapping_add(1));
        let mut text = String::new();
        if text.try_reserve(texts.saturating_add(BESIDE)).is_err() {
            self.lost.set(self.lost.get().wrapping_add(1));
            return;
        }
        // Writing to a string does not fail.
        let _ = text.write_fmt(line);
        let is_full = self.batch.borrow().bytes.len().saturating_add(text.len()) > BATCH_BYTES;
        if is_full {
            self.flush();
        }
        let mut batch = self.batch.borrow_mut();
        if batch.bytes.is_empty() && batch.bytes.try_reserve_exact(BATCH_BYTES).is_err() {
            self.lost.set(self.lost.get().wrapping_add(1));
            return;
        }
        batch.bytes.extend_from_slice(text.as_bytes());
        batch.lines = batch.lines.wrapping_add(1);
        if batch.lines == 1 {
            self.begun.set();
        }
    }
}

impl RequestLog for AccessLog {
    fn has_room(&self) -> bool {
        self.outbox.has_room(BATCH_BYTES)
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.outbox.poll_room(BATCH_BYTES, cx)
    }

    fn answered(&self, peer: Option<IpEndpoint>, entry: &Entry, (code, len): (Code, usize), now: &Moment) {
        let (line, origin, code) = (entry.line(), entry.origin(), code.number());
        let (time, texts) = (time(&now.date), line.len().saturating_add(origin.len()));
        match peer {
            Some(peer) => {
                self.add(texts, format_args!("{} - - [{time}] {line} {code} {len} {origin}\n", peer.addr));
            }
            None => self.add(texts, format_args!("- - - [{time}] {line} {code} {len} {origin}\n")),
        }
    }
}

/// The time of a `Date` header as the Common Log Format has it.
fn time(date: &str) -> String {
    let part = |range| date.get(range).unwrap_or("-");
    if date.is_empty() {
        return String::from("-");
    }
    format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
}

/// The counters of this run of the guest as a line of JSON, for dom0 to keep. They begin at 0 with each run.
#[must_use]
pub fn counters(
    run: u64,
    (unix_ms, uptime_ms): (u64, u64),
    http: &HttpCounts,
    log: (u64, u64),
    outbox: &OutboxStats,
) -> String {
    let mut text = format!("{{\"run\":\"{run:016x}\",\"unix_ms\":{unix_ms},\"uptime_ms\":{uptime_ms}");
    let log = [("lines", log.0), ("lost_lines", log.1)];
    group(&mut text, "log", log.into_iter());
    group(&mut text, "http", http.iter().map(|(name, _, value)| (name, value)));
    group(&mut text, "outgoing", outbox.counts.iter().map(|(name, _, value)| (name, value)));
    text.push_str("}\n");
    text
}

fn group(text: &mut String, name: &str, numbers: impl Iterator<Item = (&'static str, u64)>) {
    // Writing to a string does not fail.
    let _ = write!(text, ",\"{name}\":{{");
    for (n, (name, value)) in numbers.enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\"{name}\":{value}");
    }
    text.push('}');
}
