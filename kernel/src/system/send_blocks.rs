//! Blocks for dom0: an outbox with a task that sends what is in it, on a channel that dom0's `pull` takes it from.
//!
//! ```text
//!   application ─ put ─► Outbox ─► send ─► vchan::Server at /local/domain/<this domain>/data/vchan/0/<port> ══► pull
//! ```

use super::System;
use super::channels::vchan::{Server, ServerError, Sizes};
use crate::domain::domu::DomU;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use datafront::block::{Outbox, WhenFull, send};
use ledger::Consumer;
use xen::backoff::Backoff;

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
        self.spawn(offer(self.clone(), port.into(), Rc::clone(&outbox)));
        outbox
    }
}

/// Offers the channel as long as the guest runs. After a suspend it has a new path.
async fn offer(system: System, port: String, outbox: Rc<Outbox>) {
    let mut backoff = Backoff::new();
    loop {
        match system.data_channel(&port, Sizes::PULL).await {
            Ok(mut server) => {
                backoff.reset();
                serve(&system, &port, &mut server, &outbox).await;
            }
            Err(error) => {
                let text = error.to_string();
                let wait = backoff.failed(text.clone());
                if wait.is_news {
                    log::warn!("datafront, {port}: {text}");
                }
                system.sleep(wait.ns).await;
            }
        }
    }
}

/// Serves one receiver after another until the domain has a new number.
async fn serve(system: &System, port: &str, server: &mut Server<DomU>, outbox: &Outbox) {
    let sleep = async |ns| system.sleep(ns).await;
    let warn = |error: &dyn core::fmt::Display| log::warn!("datafront, {port}: {error}");
    let mut is_told = false;
    loop {
        if server.offer(&sleep, |error| warn(error)).await.is_err() {
            return;
        }
        if !core::mem::replace(&mut is_told, true) {
            log::info!("dom0 pulls at {}", server.path().as_str());
        }
        match server.accept().await {
            Ok(mut channel) => {
                if let Err(error) = send(&mut channel, outbox).await {
                    warn(&error);
                }
            }
            Err(ServerError::Moved) => return,
            Err(error) => warn(&error),
        }
    }
}
