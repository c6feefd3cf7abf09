//! What a person, a log or a program sees of a pull.

use crate::failure::Failure;
use push::console::Console;
use receive::{Done, End, Report};
use serde_json::json;
use std::time::{Duration, Instant};

/// Between two lines about what has come.
const LINE: Duration = Duration::from_secs(60);

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Screen {
    console: Console,
    domain: String,
    /// Blocks and bytes that were accepted: since the start, and since the last line.
    total: (u64, u64),
    recent: (u64, u64),
    told: Instant,
    /// The bytes of the block that is coming.
    coming: u64,
    /// An interruption was reported, and nothing has come since.
    interrupted: bool,
}

impl Screen {
    pub(crate) fn new(json: bool, domain: &str) -> Self {
        Self {
            console: Console::new("pull", json, None),
            domain: domain.to_owned(),
            total: (0, 0),
            recent: (0, 0),
            told: Instant::now(),
            coming: 0,
            interrupted: false,
        }
    }

    pub(crate) fn report(&mut self, report: &Report<'_>) {
        match report {
            Report::Done(done) => self.done(done),
            Report::Coming(name, come, len) => {
                if *len != self.coming {
                    self.coming = *len;
                    self.console.begin();
                }
                let event = || json!({"event": "progress", "name": name, "come_bytes": come, "bytes": len});
                self.console.progress(*come, *len, event);
            }
        }
    }

    fn done(&mut self, done: &Done) {
        let Done { name, stream, seq, len, status } = done;
        self.console
            .event(&json!({"event": "block", "name": name, "stream": stream, "seq": seq, "bytes": len,
            "status": status.0, "accepted": status.is_accepted(), "text": status.to_string()}));
        self.console.clear();
        (self.coming, self.interrupted) = (0, false);
        if !status.is_accepted() {
            self.console.say(&format!("{name}: block {seq} refused: {status}"));
            return;
        }
        for (blocks, bytes) in [&mut self.total, &mut self.recent] {
            *blocks = blocks.saturating_add(1);
            *bytes = bytes.saturating_add(*len);
        }
        if self.told.elapsed() >= LINE {
            let (blocks, bytes) = std::mem::take(&mut self.recent);
            self.console.say(&format!("{}: {blocks} blocks, {bytes} bytes", self.domain));
            self.told = Instant::now();
        }
    }

    /// A connection ended, and another one is tried. It is said once, until something comes.
    pub(crate) fn interrupted(&mut self, end: &End) {
        let why = match end {
            End::Broke(fault) => format!("the guest broke a rule: {fault}"),
            End::Gone => "the guest has gone".to_owned(),
            End::Silent => "no HELLO".to_owned(),
            _ => "the connection was closed".to_owned(),
        };
        self.console.event(&json!({"event": "interrupted", "why": why}));
        self.console.clear();
        if !std::mem::replace(&mut self.interrupted, true) {
            self.console.say(&format!("{}: interrupted, trying again: {why}", self.domain));
        }
    }

    /// It ends as it was asked to.
    pub(crate) fn finished(&self) {
        let (blocks, bytes) = self.total;
        self.console.event(&json!({"event": "finished", "blocks": blocks, "bytes": bytes}));
        self.console.say(&format!("{}: {blocks} blocks accepted, {bytes} bytes", self.domain));
    }

    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.console.failed(failure.name(), failure.exit_code(), &failure.to_string());
    }
}
