//! Blocks for dom0: an outbox with a task that sends what is in it, on a channel that dom0's `pull` takes it from.
//!
//! ```text
//!   application ─ put ─► Outbox ─► send ─► vchan::Server at /local/domain/<this domain>/data/vchan/0/<port> ══► pull
//! ```

use super::System;
use super::channels::vchan::{Channel, Sizes, Stats};
use super::serve_channel::ChannelHandler;
use crate::domain::domu::DomU;
use alloc::rc::Rc;
use alloc::string::String;
use core::fmt::Display;
use datafront::block::{Outbox, WhenFull, send};
use ledger::Consumer;

/// Bytes of an outbox from which on its ring is large: it is an eighth of them at most.
const LARGE_BYTES: usize = 2 << 20;

/// How blocks for dom0 are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendSettings {
    /// Bytes of memory for blocks that dom0 does not have yet. The ledger's limit for them holds too.
    pub limit: usize,
    /// What happens when it is used up.
    pub when_full: WhenFull,
}

impl System {
    /// Offers the channel `port`, on which dom0's `pull` takes the blocks that are put into the outbox: exactly once and in
    /// order, over its restarts, and over suspends of this guest. The memory of blocks comes from the ledger.
    ///
    /// What is in the outbox when this guest ends is lost.
    #[must_use]
    pub fn send_blocks(&self, port: &str, settings: SendSettings) -> Rc<Outbox> {
        let account = self.ledger().open(Consumer::Outgoing);
        let outbox = Outbox::new(self.random_u64(), settings.limit, settings.when_full, &account);
        let outbox = Rc::new(outbox);
        let sizes = if outbox.stats().limit < LARGE_BYTES { Sizes::PULL } else { Sizes::PULL_LARGE };
        let (system, mut sending) = (self.clone(), Sending { port: port.into(), outbox: Rc::clone(&outbox) });
        self.spawn(async move {
            let port = sending.port.clone();
            system.serve_channel(&port, sizes, &mut sending).await;
        });
        outbox
    }
}

/// Sends what is in an outbox to whoever is connected.
struct Sending {
    port: String,
    outbox: Rc<Outbox>,
}

impl ChannelHandler for Sending {
    fn opened(&mut self, path: &str) {
        log::info!("dom0 pulls at {path}");
    }

    async fn serve(&mut self, channel: &mut Channel<'_, DomU>) {
        if let Err(error) = send(channel, &self.outbox).await {
            self.failed(&error);
        }
    }

    fn ended(&mut self, _stats: Stats) {}

    fn failed(&mut self, error: &dyn Display) {
        log::warn!("datafront, {}: {error}", self.port);
    }
}
