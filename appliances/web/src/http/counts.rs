//! The counters of the server.

use crate::http::code::Code;
use core::cell::Cell;

kernel::xen::counters! {
    /// The server's counters since the start.
    pub struct HttpCounts {
        /// Connections since boot.
        connections,
        /// Replies with a code below 400.
        replies_2xx,
        /// Replies with a code of 400 to 499.
        replies_4xx,
        /// Replies with a code of 500 to 599.
        replies_5xx,
        /// Bytes of replies, heads included.
        bytes_sent,
        /// Connections closed because a request did not come in time, or its reply was not taken.
        timeouts,
        /// Requests that waited for longest when there was no memory for another one to wait: their connections end.
        gave_way,
    }
}

/// The counters, shared by the connections.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    since_boot: Cell<HttpCounts>,
    serving: Cell<u64>,
}

impl Counters {
    pub(crate) const fn read(&self) -> HttpCounts {
        self.since_boot.get()
    }

    pub(crate) const fn serving(&self) -> u64 {
        self.serving.get()
    }

    fn count(&self, change: impl FnOnce(&mut HttpCounts)) {
        let mut counts = self.since_boot.get();
        change(&mut counts);
        self.since_boot.set(counts);
    }

    pub(crate) fn opened(&self) {
        self.count(|counts| counts.connections.bump());
    }

    pub(crate) fn begun(&self) {
        self.serving.set(self.serving.get().saturating_add(1));
    }

    pub(crate) fn ended(&self) {
        self.serving.set(self.serving.get().saturating_sub(1));
    }

    pub(crate) fn gave_way(&self, requests: u64) {
        self.count(|counts| counts.gave_way.add(requests));
    }

    pub(crate) fn timed_out(&self) {
        self.count(|counts| counts.timeouts.bump());
    }

    /// Counts a reply of `bytes` bytes.
    pub(crate) fn replied(&self, code: Code, bytes: usize) {
        self.count(|counts| {
            counts.bytes_sent.add_len(bytes);
            match code.number() {
                ..400 => counts.replies_2xx.bump(),
                400..500 => counts.replies_4xx.bump(),
                500.. => counts.replies_5xx.bump(),
            }
        });
    }
}
