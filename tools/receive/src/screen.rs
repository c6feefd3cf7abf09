//! What a person, a log or a program sees of a receiver.

use push::console::Console;
use receive::{Done, End, Error, Report};
use serde_json::json;

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Screen {
    console: Console,
    /// Of this connection: blocks and bytes that were accepted, and the last one's name.
    accepted: (u64, u64),
    last: String,
    /// The bytes of the block that is coming.
    coming: u64,
    offered: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        let console = Console::new("receive", json, None);
        Self { console, accepted: (0, 0), last: String::new(), coming: 0, offered: false }
    }

    /// The channel is there. It is said once: it is offered again for each sender.
    pub(crate) fn offers(&mut self, path: &str) {
        self.console.event(&json!({"event": "offers", "path": path}));
        if !std::mem::replace(&mut self.offered, true) {
            self.console.say(&format!("offers {path}"));
        }
        self.accepted = (0, 0);
        self.console.begin();
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
        self.coming = 0;
        if status.is_accepted() {
            self.accepted = (self.accepted.0.saturating_add(1), self.accepted.1.saturating_add(*len));
            self.last.clone_from(name);
        } else {
            self.console.say(&format!("{name}: block {seq} refused: {status}"));
        }
    }

    /// The end of a connection: what was received on it, and the error if the sender did not end it.
    pub(crate) fn ended(&mut self, end: &End) {
        self.console.clear();
        let (blocks, bytes) = self.accepted;
        let why = match end {
            End::Left | End::Enough | End::Failed(_) | End::Gone | End::Silent | End::Idle => None,
            End::Broke(fault) => Some(format!("the sender broke a rule: {fault}")),
            End::Suspended => Some("the guest was suspended".to_owned()),
        };
        self.console.event(&json!({"event": "disconnected", "accepted": blocks, "bytes": bytes, "why": why}));
        match blocks {
            0 => {}
            1 => self.console.say(&format!("{}: accepted, {bytes} bytes", self.last)),
            _ => self.console.say(&format!("{blocks} blocks accepted, {bytes} bytes")),
        }
        if let Some(why) = why {
            self.console.say(&why);
        }
    }

    pub(crate) fn failed(&mut self, error: &Error) {
        self.console.failed(error.name(), error.exit_code(), &error.to_string());
    }
}
