//! What the server counts.

use crate::http::code::Code;
use core::cell::Cell;
use serde::Serialize;

/// Counters of the server at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpCounts {
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections since the start.
    pub connections: u64,
    /// Replies with a code of 200 to 299.
    pub replies_2xx: u64,
    /// Replies with a code of 400 to 499.
    pub replies_4xx: u64,
    /// Replies with a code of 500 to 599.
    pub replies_5xx: u64,
    /// Bytes of replies that were handed to the network.
    pub bytes_sent: u64,
    /// Connections closed because a time limit was over.
    pub timeouts: u64,
}

/// The counters where they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters(Cell<HttpCounts>);

impl Counters {
    pub(crate) fn read(&self) -> HttpCounts {
        self.0.get()
    }

    fn change(&self, change: impl FnOnce(&mut HttpCounts)) {
        let mut counts = self.0.get();
        change(&mut counts);
        self.0.set(counts);
    }

    pub(crate) fn opened(&self) {
        self.change(|counts| {
            counts.connections_open = counts.connections_open.wrapping_add(1);
            counts.connections = counts.connections.wrapping_add(1);
        });
    }

    pub(crate) fn closed(&self) {
        self.change(|counts| counts.connections_open = counts.connections_open.wrapping_sub(1));
    }

    pub(crate) fn timed_out(&self) {
        self.change(|counts| counts.timeouts = counts.timeouts.wrapping_add(1));
    }

    pub(crate) fn sent(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.change(|counts| counts.bytes_sent = counts.bytes_sent.wrapping_add(bytes));
    }

    pub(crate) fn replied(&self, code: Code) {
        self.change(|counts| {
            let class = match code.number() {
                ..400 => &mut counts.replies_2xx,
                400..500 => &mut counts.replies_4xx,
                500.. => &mut counts.replies_5xx,
            };
            *class = class.wrapping_add(1);
        });
    }
}
