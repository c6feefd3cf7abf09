//! What a person, a log or a program sees: a line that is drawn anew on a terminal, plain lines elsewhere, or JSON.

use datafront::block::Status;
use push::{Done, Error, Report};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two drawings of the progress.
const REDRAW: Duration = Duration::from_millis(100);
/// Between two lines of progress where nothing can be drawn anew.
const LINE: Duration = Duration::from_secs(10);

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Screen {
    json: bool,
    terminal: bool,
    begun: Instant,
    drawn: Instant,
    /// Bytes sent before this push.
    before: u64,
    sent: u64,
    dirty: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        let now = Instant::now();
        let terminal = !json && io::stderr().is_terminal();
        Self { json, terminal, begun: now, drawn: now, before: 0, sent: 0, dirty: false }
    }

    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
        self.drawn = self.begun;
        self.before = self.sent;
    }

    pub(crate) fn report(&mut self, report: &Report<'_>) {
        match report {
            Report::Connected { completed } => {
                self.event(&json!({"event": "connected", "completed": completed}))
            }
            Report::Done(done) => self.done(done),
            Report::Interrupted(why) => {
                self.event(&json!({"event": "interrupted", "why": why}));
                self.say(&format!("push: interrupted, trying again: {why}"));
            }
            Report::Sent(sent, total) => {
                self.sent = *sent;
                self.progress(*sent, *total);
            }
        }
    }

    fn progress(&mut self, sent: u64, total: u64) {
        if self.drawn.elapsed() < if self.terminal { REDRAW } else { LINE } {
            return;
        }
        self.drawn = Instant::now();
        self.event(&json!({"event": "progress", "sent_bytes": sent, "total_bytes": total}));
        // Headers are sent too, so the end may be passed by a little.
        let percent = sent.min(total).saturating_mul(100).checked_div(total).unwrap_or(100);
        let rate = self.rate(sent - self.before);
        let line = format!("{percent:3} %  {} of {}  {rate}", size(sent.min(total)), size(total));
        if self.terminal {
            let filled = usize::try_from(percent / 5).unwrap_or(0);
            let _ = write!(io::stderr(), "\r\x1b[K[{:<20}] {line}", "#".repeat(filled));
            self.dirty = true;
        } else {
            self.say(&format!("push: {}", line.trim_start()));
        }
    }

    fn rate(&self, bytes: u64) -> String {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        format!("{}/s", size(bytes.saturating_mul(1000) / ms))
    }

    fn done(&mut self, done: &Done) {
        let Done { name, seq, len, status } = done;
        let word = status.to_string();
        self.event(&json!({"event": "block", "name": name, "seq": seq, "bytes": len, "status": status.0,
            "accepted": status.is_accepted(), "text": word}));
    }

    pub(crate) fn finished(&mut self, done: &[Done]) {
        let bytes: u64 = done.iter().map(|done| done.len).sum();
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.event(&json!({"event": "finished", "blocks": done.len(), "bytes": bytes, "ms": ms}));
        let rate = self.rate(bytes);
        match done {
            [one] => self.say(&format!(
                "push: {}: {}, {} bytes, {ms} ms, {rate}",
                show(&one.name),
                Status::ACCEPTED,
                bytes
            )),
            _ => self.say(&format!("push: {} blocks accepted, {bytes} bytes, {ms} ms, {rate}", done.len())),
        }
    }

    pub(crate) fn failed(&mut self, error: &Error) {
        let text = error.to_string();
        self.event(
            &json!({"event": "error", "error": error.name(), "code": error.exit_code(), "text": text}),
        );
        self.clear();
        for line in text.lines().filter(|_| !self.json) {
            eprintln!("push: {line}");
        }
    }

    fn event(&self, event: &Value) {
        if self.json {
            // A reader that has gone ends us at the next write that matters.
            let _ = writeln!(io::stdout(), "{event}");
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.dirty) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn say(&mut self, line: &str) {
        self.clear();
        if !self.json {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// A folder at the root has no name.
const fn show(name: &str) -> &str {
    if name.is_empty() { "/" } else { name }
}

/// Bytes for a person: three digits at most before the unit.
fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let (mut whole, mut tenths) = (bytes, 0);
    while whole >= 1000 && unit + 1 < units.len() {
        (tenths, whole) = ((whole % 1024) * 10 / 1024, whole / 1024);
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit > 0 && whole < 100 { format!("{whole}.{tenths} {name}") } else { format!("{whole} {name}") }
}
