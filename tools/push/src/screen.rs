//! What a person, a log or a program sees of a push.

use datafront::block::Status;
use indicatif::HumanBytes;
use push::console::Console;
use push::tree::LeftOut;
use push::{Done, Error, Report};
use serde_json::json;
use std::io::{self, Write};

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Screen {
    console: Console,
    /// Bytes sent, and to be sent, before this push.
    before: (u64, u64),
    sent: u64,
    total: u64,
}

impl Screen {
    pub(crate) fn new(json: bool, domain: Option<String>) -> Self {
        Self { console: Console::new("push", json, domain), before: (0, 0), sent: 0, total: 0 }
    }

    pub(crate) fn begin(&mut self) {
        self.console.begin();
        self.before = (self.sent, self.total);
    }

    pub(crate) fn report(&mut self, report: &Report<'_>) {
        match report {
            Report::Connected { completed } => {
                self.console.event(&json!({"event": "connected", "completed": completed}));
            }
            Report::Done(done) => self.done(done),
            Report::Interrupted(why) => {
                self.console.event(&json!({"event": "interrupted", "why": why}));
                self.console.say(&format!("interrupted, trying again: {why}"));
            }
            Report::Sent(sent, total) => {
                (self.sent, self.total) = (*sent, *total);
                self.progress();
            }
        }
    }

    fn progress(&mut self) {
        let total = self.total.saturating_sub(self.before.1);
        // Headers are sent too, and what was under way when a connection ended twice.
        let sent = self.sent.saturating_sub(self.before.0).min(total);
        let so_far = (self.sent, self.total);
        self.console.progress(
            sent,
            total,
            || json!({"event": "progress", "sent_bytes": so_far.0, "total_bytes": so_far.1}),
        );
    }

    fn done(&mut self, done: &Done) {
        let Done { name, seq, len, status } = done;
        let word = status.to_string();
        self.console
            .event(&json!({"event": "block", "name": **name, "seq": seq, "bytes": len, "status": status.0,
            "accepted": status.is_accepted(), "text": word}));
    }

    pub(crate) fn finished(&mut self, done: &[Done]) {
        let bytes: u64 = done.iter().map(|done| done.len).sum();
        let ms = self.console.elapsed_ms();
        self.console.event(&json!({"event": "finished", "blocks": done.len(), "bytes": bytes, "ms": ms}));
        let rate = HumanBytes(self.console.rate(bytes));
        self.console.clear();
        match done {
            [one] => self.console.say(&format!(
                "{}: {}, {} bytes, {ms} ms, {rate}/s",
                show(&one.name),
                Status::ACCEPTED,
                bytes
            )),
            _ => {
                self.console.say(&format!("{} blocks accepted, {bytes} bytes, {ms} ms, {rate}/s", done.len()))
            }
        }
    }

    pub(crate) fn failed(&mut self, error: &Error) {
        self.console.failed(error.name(), error.exit_code(), &error.to_string());
    }

    /// Each of several guests has a result: its exit code, 0 if it has everything.
    pub(crate) fn all_ended(&self, results: &[(&str, u8)]) {
        for (domain, code) in results {
            self.console
                .event(&json!({"event": "result", "domain": domain, "accepted": *code == 0, "code": code}));
        }
        let failed: Vec<String> = results
            .iter()
            .filter(|(_, code)| *code != 0)
            .map(|(domain, code)| format!("{domain} (exit code {code})"))
            .collect();
        let accepted = results.len() - failed.len();
        let failed =
            if failed.is_empty() { String::new() } else { format!("; failed: {}", failed.join(", ")) };
        self.console.say(&format!("accepted by {accepted} of {} guests{failed}", results.len()));
    }

    /// Something of a folder that is not published.
    pub(crate) fn left_out(&self, one: &LeftOut) {
        self.console.event(&json!({"event": "left-out", "path": one.path, "why": one.reason.to_string()}));
        self.console.say(&format!("left out: {one}"));
    }

    /// A file that would be pushed.
    pub(crate) fn listed(&self, name: &str, bytes: Option<u64>) {
        self.console.event(&json!({"event": "would-push", "name": name, "bytes": bytes}));
        if !self.console.is_json() {
            let bytes = bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
            let _ = writeln!(io::stdout(), "{bytes:>12} {name}");
        }
    }
}

/// A folder at the root has no name.
const fn show(name: &str) -> &str {
    if name.is_empty() { "/" } else { name }
}
