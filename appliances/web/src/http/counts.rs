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
pub(crate) struct Counters {
    connections_open: Cell<u64>,
    connections: Cell<u64>,
    replies_2xx: Cell<u64>,
    replies_4xx: Cell<u64>,
    replies_5xx: Cell<u64>,
    bytes_sent: Cell<u64>,
    timeouts: Cell<u64>,
}

fn add(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get().wrapping_add(by));
}

impl Counters {
    pub(crate) fn read(&self) -> HttpCounts {
        HttpCounts {
            connections_open: self.connections_open.get(),
            connections: self.connections.get(),
            replies_2xx: self.replies_2xx.get(),
            replies_4xx: self.replies_4xx.get(),
            replies_5xx: self.replies_5xx.get(),
            bytes_sent: self.bytes_sent.get(),
            timeouts: self.timeouts.get(),
        }
    }

    pub(crate) fn opened(&self) {
        add(&self.connections_open, 1);
        add(&self.connections, 1);
    }

    pub(crate) fn closed(&self) {
        self.connections_open.set(self.connections_open.get().wrapping_sub(1));
    }

    pub(crate) fn timed_out(&self) {
        add(&self.timeouts, 1);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.bytes_sent, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(crate) fn replied(&self, code: Code) {
        let class = match code.number() {
            ..400 => &self.replies_2xx,
            400..500 => &self.replies_4xx,
            500.. => &self.replies_5xx,
        };
        add(class, 1);
    }
}
