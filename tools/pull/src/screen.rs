//! What a person, a log or a program sees of a pull.

use crate::failure::Failure;
use push::console::Console;
use receive::{BlockConsole, Done, End, Report};
use serde_json::json;
use std::time::{Duration, Instant};

/// Between two lines about what has come.
const LINE: Duration = Duration::from_secs(60);

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Screen {
    blocks: BlockConsole,
    domain: String,
    /// Blocks and bytes that were accepted: since the start, and since the last line.
    total: (u64, u64),
    recent: (u64, u64),
    told: Instant,
    /// An interruption was reported, and nothing has come since.
    interrupted: bool,
}

impl Screen {
    pub(crate) fn new(json: bool, domain: &str) -> Self {
        Self {
            blocks: BlockConsole::new(Console::new("pull", json, None)),
            domain: domain.to_owned(),
            total: (0, 0),
            recent: (0, 0),
            told: Instant::now(),
            interrupted: false,
        }
    }

    pub(crate) fn report(&mut self, report: &Report<'_>) {
        let done = self.blocks.report(report);
        self.interrupted &= !matches!(report, Report::Done(_));
        let Some(Done { len, .. }) = done else { return };
        for (blocks, bytes) in [&mut self.total, &mut self.recent] {
            *blocks = blocks.saturating_add(1);
            *bytes = bytes.saturating_add(*len);
        }
        if self.told.elapsed() >= LINE {
            let (blocks, bytes) = std::mem::take(&mut self.recent);
            self.blocks.console.say(&format!("{}: {blocks} blocks, {bytes} bytes", self.domain));
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
        self.blocks.console.event(&json!({"event": "interrupted", "why": why}));
        self.blocks.console.clear();
        if !std::mem::replace(&mut self.interrupted, true) {
            self.blocks.console.say(&format!("{}: interrupted, trying again: {why}", self.domain));
        }
    }

    /// It ends as it was asked to.
    pub(crate) fn finished(&self) {
        let (blocks, bytes) = self.total;
        self.blocks.console.event(&json!({"event": "finished", "blocks": blocks, "bytes": bytes}));
        self.blocks.console.say(&format!("{}: {blocks} blocks accepted, {bytes} bytes", self.domain));
    }

    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.blocks.console.failed(failure.name(), failure.exit_code(), &failure.to_string());
    }
}
