//! A data channel that this domain offers to dom0 as long as it runs: one connection after another.
//!
//! ```text
//!   open ─► offer ─► accept ─► ChannelHandler::serve ─► offer …        after a suspend: open, at a new path
//!     └─ failed: told once, tried again later
//! ```

use super::System;
use super::channels::vchan::{Channel, Server, ServerError, Sizes, Stats};
use crate::domain::domu::DomU;
use alloc::string::ToString;
use core::fmt::Display;
use core::future::Future;
use xen::backoff::Backoff;

/// What is done with the connections of a data channel.
pub trait ChannelHandler {
    /// dom0 finds the channel at this path in xenstore. After a suspend it is another one.
    fn opened(&mut self, path: &str);

    /// Serves a peer until it has left.
    fn serve(&mut self, channel: &mut Channel<'_, DomU>) -> impl Future<Output = ()>;

    /// A peer has left, or could not be connected. These are the channel's counters since it was opened.
    fn ended(&mut self, stats: Stats);

    /// Something failed. It is tried again.
    fn failed(&mut self, error: &dyn Display);
}

impl System {
    /// Offers the channel `port` to dom0 and gives each connection to the handler, one after another. It does not return.
    pub async fn serve_channel(&self, port: &str, sizes: Sizes, handler: &mut impl ChannelHandler) {
        let mut backoff = Backoff::new();
        loop {
            match self.data_channel(port, sizes).await {
                Ok(mut server) => {
                    backoff.reset();
                    self.serve_peers(&mut server, handler).await;
                }
                Err(error) => {
                    let wait = backoff.failed(error.to_string());
                    if wait.is_news {
                        handler.failed(&error);
                    }
                    self.sleep(wait.ns).await;
                }
            }
        }
    }

    /// Serves one peer after another until the domain has a new number.
    async fn serve_peers(&self, server: &mut Server<DomU>, handler: &mut impl ChannelHandler) {
        let sleep = async |ns| self.sleep(ns).await;
        let mut is_open = false;
        loop {
            if server.offer(&sleep, |error| handler.failed(error)).await.is_err() {
                return;
            }
            if !core::mem::replace(&mut is_open, true) {
                handler.opened(server.path().as_str());
            }
            match server.accept().await {
                Ok(mut channel) => handler.serve(&mut channel).await,
                Err(ServerError::Moved) => return,
                Err(error) => handler.failed(&error),
            }
            handler.ended(server.stats());
        }
    }
}
