//! The output of datafront's programs: a bar on a terminal, plain lines elsewhere, or JSON, one object a line.
//!
//! Lines and the bar go to the standard error, JSON to the standard output.

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two events of progress in JSON.
const EVENT: Duration = Duration::from_secs(1);
/// Between two lines of progress where the output is no terminal.
const LINE: Duration = Duration::from_secs(5);
/// Between two updates of the bar, and how long something moves before there is one: many small blocks one after the other
/// would keep a slow terminal, such as a guest's console, busy with bars.
const BAR_UPDATE: Duration = Duration::from_millis(100);
/// The bar, followed by the same words as on a line.
const BAR: &str = "[{bar:20}] {percent:>3} %, {msg}";

/// Where lines and events go.
#[derive(Debug)]
pub struct Console {
    program: &'static str,
    json: bool,
    /// The domain, where there are several: it stands in every line.
    domain: Option<String>,
    terminal: bool,
    /// While something moves, on a terminal.
    bar: Option<ProgressBar>,
    begun: Instant,
    told: Instant,
}

impl Console {
    /// For a program of this name; with a `domain`, it stands in every line, and there is no bar.
    #[must_use]
    pub fn new(program: &'static str, json: bool, domain: Option<String>) -> Self {
        let now = Instant::now();
        // Several bars would be drawn over each other.
        let terminal = !json && domain.is_none() && io::stderr().is_terminal();
        Self { program, json, domain, terminal, bar: None, begun: now, told: now }
    }

    /// Whether it writes JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Something begins: rates count from here.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
        self.told = self.begun;
    }

    /// This many of `total` bytes have moved. `event` makes the event for JSON.
    pub fn progress(&mut self, moved: u64, total: u64, event: impl FnOnce() -> Value) {
        let pause = match (self.terminal, self.json) {
            (true, _) => BAR_UPDATE,
            (false, true) => EVENT,
            (false, false) => LINE,
        };
        if self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        if self.json {
            self.event(&event());
        }
        let rate = self.rate(moved);
        let left = HumanDuration(Duration::from_secs(total.saturating_sub(moved).div_ceil(rate.max(1))));
        let words =
            format!("{} of {}, {}/s, {left} left", HumanBytes(moved), HumanBytes(total), HumanBytes(rate));
        if self.terminal {
            let bar = self.bar.get_or_insert_with(|| {
                let style =
                    ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
                ProgressBar::new(total).with_style(style.progress_chars("## "))
            });
            bar.update(|bar| {
                bar.set_len(total);
                bar.set_pos(moved);
            });
            bar.set_message(words);
        } else {
            let percent = moved.saturating_mul(100).checked_div(total).unwrap_or(100);
            self.say(&format!("{percent} %, {words}"));
        }
    }

    /// Milliseconds since it began.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Bytes a second since it began.
    #[must_use]
    pub fn rate(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(1000) / self.elapsed_ms().max(1)
    }

    /// The program ends, or does not go on, for this reason.
    pub fn failed(&mut self, name: &str, code: u8, text: &str) {
        self.event(&json!({"event": "error", "error": name, "code": code, "text": text}));
        self.clear();
        for line in text.lines() {
            self.say(line);
        }
    }

    /// An object, if it writes JSON.
    pub fn event(&self, event: &Value) {
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
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line that stays, above the bar if there is one.
    pub fn say(&self, line: &str) {
        let write = || {
            let domain = self.domain.as_ref().map(|domain| format!("{domain}: ")).unwrap_or_default();
            let _ = writeln!(io::stderr(), "{}: {domain}{line}", self.program);
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None if self.json => {}
            None => write(),
        }
    }
}
