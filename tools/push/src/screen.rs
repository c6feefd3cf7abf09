//! What a person, a log or a program sees: a bar on a terminal, plain lines elsewhere, or JSON.

use datafront::block::Status;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use push::tree::LeftOut;
use push::{Done, Error, Report};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two events of progress in JSON.
const EVENT: Duration = Duration::from_secs(1);
/// Between two lines of progress where the output is no terminal.
const LINE: Duration = Duration::from_secs(5);
/// The bar, and behind it the same words as on a line.
const BAR: &str = "[{bar:20}] {percent:>3} %, {msg}";

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Screen {
    json: bool,
    /// The domain, where there are several: it stands in every line.
    domain: Option<String>,
    terminal: bool,
    /// While something is pushed, on a terminal.
    bar: Option<ProgressBar>,
    begun: Instant,
    told: Instant,
    /// Bytes sent, and to be sent, before this push.
    before: (u64, u64),
    sent: u64,
    total: u64,
}

impl Screen {
    pub(crate) fn new(json: bool, domain: Option<String>) -> Self {
        let now = Instant::now();
        // Several bars would be drawn over each other.
        let terminal = !json && domain.is_none() && io::stderr().is_terminal();
        Self { json, domain, terminal, bar: None, begun: now, told: now, before: (0, 0), sent: 0, total: 0 }
    }

    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
        self.told = self.begun;
        self.before = (self.sent, self.total);
    }

    pub(crate) fn report(&mut self, report: &Report<'_>) {
        match report {
            Report::Connected { completed } => {
                self.event(&json!({"event": "connected", "completed": completed}));
            }
            Report::Done(done) => self.done(done),
            Report::Interrupted(why) => {
                self.event(&json!({"event": "interrupted", "why": why}));
                self.say(&format!("interrupted, trying again: {why}"));
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
        if !self.terminal && self.told.elapsed() < if self.json { EVENT } else { LINE } {
            return;
        }
        self.told = Instant::now();
        self.event(&json!({"event": "progress", "sent_bytes": self.sent, "total_bytes": self.total}));
        let rate = self.rate(sent);
        let left = HumanDuration(Duration::from_secs((total - sent).div_ceil(rate.max(1))));
        let words =
            format!("{} of {}, {}/s, {left} left", HumanBytes(sent), HumanBytes(total), HumanBytes(rate));
        if self.terminal {
            let bar = self.bar.get_or_insert_with(|| {
                let style =
                    ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
                ProgressBar::new(total).with_style(style.progress_chars("## "))
            });
            bar.update(|bar| {
                bar.set_len(total);
                bar.set_pos(sent);
            });
            bar.set_message(words);
        } else {
            let percent = sent.saturating_mul(100).checked_div(total).unwrap_or(100);
            self.say(&format!("{percent} %, {words}"));
        }
    }

    /// Bytes a second since this push began.
    fn rate(&self, bytes: u64) -> u64 {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        bytes.saturating_mul(1000) / ms
    }

    fn done(&mut self, done: &Done) {
        let Done { name, seq, len, status } = done;
        let word = status.to_string();
        self.event(&json!({"event": "block", "name": **name, "seq": seq, "bytes": len, "status": status.0,
            "accepted": status.is_accepted(), "text": word}));
    }

    pub(crate) fn finished(&mut self, done: &[Done]) {
        let bytes: u64 = done.iter().map(|done| done.len).sum();
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.event(&json!({"event": "finished", "blocks": done.len(), "bytes": bytes, "ms": ms}));
        let rate = HumanBytes(self.rate(bytes));
        self.clear();
        match done {
            [one] => self.say(&format!(
                "{}: {}, {} bytes, {ms} ms, {rate}/s",
                show(&one.name),
                Status::ACCEPTED,
                bytes
            )),
            _ => self.say(&format!("{} blocks accepted, {bytes} bytes, {ms} ms, {rate}/s", done.len())),
        }
    }

    pub(crate) fn failed(&mut self, error: &Error) {
        let text = error.to_string();
        self.event(
            &json!({"event": "error", "error": error.name(), "code": error.exit_code(), "text": text}),
        );
        self.clear();
        for line in text.lines() {
            self.say(line);
        }
    }

    /// Something of a folder that is not published.
    pub(crate) fn left_out(&self, one: &LeftOut) {
        self.event(&json!({"event": "left-out", "path": one.path, "why": one.reason.to_string()}));
        self.say(&format!("left out: {one}"));
    }

    /// A file that would be pushed.
    pub(crate) fn listed(&self, name: &str, bytes: Option<u64>) {
        self.event(&json!({"event": "would-push", "name": name, "bytes": bytes}));
        if !self.json {
            let bytes = bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
            let _ = writeln!(io::stdout(), "{bytes:>12} {name}");
        }
    }

    fn event(&self, event: &Value) {
        if self.json {
            // A reader that has gone ends us at the next write that matters.
            let mut event = event.clone();
            if let (Some(domain), Some(fields)) = (&self.domain, event.as_object_mut()) {
                fields.insert("domain".to_owned(), json!(domain));
            }
            let _ = writeln!(io::stdout(), "{event}");
        }
    }

    /// Takes the bar away.
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line that stays, above the bar if there is one.
    fn say(&self, line: &str) {
        let write = || {
            let domain = self.domain.as_ref().map(|domain| format!("{domain}: ")).unwrap_or_default();
            let _ = writeln!(io::stderr(), "push: {domain}{line}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None if self.json => {}
            None => write(),
        }
    }
}

/// A folder at the root has no name.
const fn show(name: &str) -> &str {
    if name.is_empty() { "/" } else { name }
}
