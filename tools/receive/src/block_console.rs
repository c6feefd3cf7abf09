//! What a person, a log or a program sees of the blocks that come, the same in every program that takes some.

use crate::keeper::Done;
use crate::serve::Report;
use push::console::Console;
use serde_json::json;

/// A console that follows blocks.
#[derive(Debug)]
pub struct BlockConsole {
    /// For what is not about a block.
    pub console: Console,
    /// The bytes of the block that is coming.
    coming: u64,
}

impl BlockConsole {
    /// A console on which no block has come.
    #[must_use]
    pub const fn new(console: Console) -> Self {
        Self { console, coming: 0 }
    }

    /// Shows a report. Returns the block that it is about, if that is at its end and was accepted.
    pub fn report<'r>(&mut self, report: &Report<'r>) -> Option<&'r Done> {
        match report {
            Report::Done(done) => self.done(done).then_some(*done),
            Report::Coming(name, come, len) => {
                if *len != self.coming {
                    self.coming = *len;
                    self.console.begin();
                }
                let event = || json!({"event": "progress", "name": name, "come_bytes": come, "bytes": len});
                self.console.progress(*come, *len, event);
                None
            }
        }
    }

    /// Whether a block that is at its end was accepted.
    fn done(&mut self, done: &Done) -> bool {
        let Done { name, stream, seq, len, status } = done;
        self.console
            .event(&json!({"event": "block", "name": name, "stream": stream, "seq": seq, "bytes": len,
            "status": status.0, "accepted": status.is_accepted(), "text": status.to_string()}));
        self.console.clear();
        self.coming = 0;
        if !status.is_accepted() {
            self.console.say(&format!("{name}: block {seq} refused: {status}"));
        }
        status.is_accepted()
    }
}
