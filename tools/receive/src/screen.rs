//! What a person, a log or a program sees of a receiver.

use push::console::Console;
use receive::{BlockConsole, Done, End, Error, Report};
use serde_json::json;

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Screen {
    blocks: BlockConsole,
    /// Of this connection: blocks and bytes that were accepted, and the last one's name.
    accepted: (u64, u64),
    last: String,
    offered: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        let blocks = BlockConsole::new(Console::new("receive", json, None));
        Self { blocks, accepted: (0, 0), last: String::new(), offered: false }
    }

    /// The channel is there. It is said once: it is offered again for each sender.
    pub(crate) fn offers(&mut self, path: &str) {
        self.blocks.console.event(&json!({"event": "offers", "path": path}));
        if !std::mem::replace(&mut self.offered, true) {
            self.blocks.console.say(&format!("offers {path}"));
        }
        self.accepted = (0, 0);
        self.blocks.console.begin();
    }

    pub(crate) fn report(&mut self, report: &Report<'_>) {
        if let Some(Done { name, len, .. }) = self.blocks.report(report) {
            self.accepted = (self.accepted.0.saturating_add(1), self.accepted.1.saturating_add(*len));
            self.last.clone_from(name);
        }
    }

    /// The end of a connection: what was received on it, and the error if the sender did not end it.
    pub(crate) fn ended(&mut self, end: &End) {
        self.blocks.console.clear();
        let (blocks, bytes) = self.accepted;
        let why = match end {
            End::Left | End::Enough | End::Failed(_) | End::Gone | End::Silent | End::Idle => None,
            End::Broke(fault) => Some(format!("the sender broke a rule: {fault}")),
            End::Suspended => Some("the guest was suspended".to_owned()),
        };
        self.blocks
            .console
            .event(&json!({"event": "disconnected", "accepted": blocks, "bytes": bytes, "why": why}));
        match blocks {
            0 => {}
            1 => self.blocks.console.say(&format!("{}: accepted, {bytes} bytes", self.last)),
            _ => self.blocks.console.say(&format!("{blocks} blocks accepted, {bytes} bytes")),
        }
        if let Some(why) = why {
            self.blocks.console.say(&why);
        }
    }

    pub(crate) fn failed(&mut self, error: &Error) {
        self.blocks.console.failed(error.name(), error.exit_code(), &error.to_string());
    }
}
