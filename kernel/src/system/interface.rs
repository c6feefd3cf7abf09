//! A network interface as the loop, the status page and the shell see it.

use crate::domain::domu::DomU;
use net::{Iteration, Net, Stack};
use netfront::HashKey;
use xen::SystemTime;

/// A network interface with its stack.
pub(crate) trait Interface {
    /// Receives frames, within the stack's budget. Returns whether more are waiting.
    fn receive(&mut self, now: SystemTime) -> bool;
    /// Sends what connections have to send. Returns whether more is waiting, and the next deadline.
    fn send(&mut self, now: SystemTime) -> Iteration;
    /// The stack's handle for sockets and status.
    fn net(&self) -> Net;
    /// The counters of the frontend.
    fn stats(&self) -> netfront::Stats;
    /// The N of `device/vif/N`.
    fn handle(&self) -> u32;
    /// Renews all secrets: the stack's from a seed that nobody else has, and the key by which flows are hashed.
    fn renew_secrets(&mut self, seed: [u8; 32], hash_key: HashKey);
}

/// A stack over a vif.
pub(crate) struct Vif {
    handle: u32,
    stack: Stack<netfront::NetDevice<DomU>>,
}

impl Vif {
    /// The interface of `device/vif/<handle>`.
    pub(crate) const fn new(handle: u32, stack: Stack<netfront::NetDevice<DomU>>) -> Self {
        Self { handle, stack }
    }
}

impl Interface for Vif {
    fn receive(&mut self, now: SystemTime) -> bool {
        self.stack.receive(now)
    }
    fn send(&mut self, now: SystemTime) -> Iteration {
        let Iteration { next, more } = self.stack.send();
        Iteration { next: earliest(next, self.stack.nic_mut().maintain(now)), more }
    }
    fn net(&self) -> Net {
        self.stack.net()
    }
    fn stats(&self) -> netfront::Stats {
        self.stack.nic().stats()
    }
    fn handle(&self) -> u32 {
        self.handle
    }
    fn renew_secrets(&mut self, seed: [u8; 32], hash_key: HashKey) {
        self.stack.renew_secrets(seed);
        self.stack.nic_mut().renew_hash_key(hash_key);
    }
}

/// The earlier of two deadlines.
pub(crate) fn earliest(a: Option<SystemTime>, b: Option<SystemTime>) -> Option<SystemTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
