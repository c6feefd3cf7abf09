//! Watches: notice that a node, or one below it, may have changed.
//!
//! ```text
//!   Watch::new ──WATCH path token──► xenstored          changed() ◄── Watches[token] ◄── events
//!   drop ──UNWATCH──► xenstored; events that it had sent before are dropped when they arrive
//! ```

use crate::abi::io_xs_wire::XsdSockmsgType as Kind;
use crate::xenstore::connection::Connection;
use crate::xenstore::error::XsError;
use crate::xenstore::nodes::{Nodes, acknowledged};
use crate::xenstore::watches::{AtDaemon, token};
use alloc::rc::Rc;
use alloc::string::String;
use core::future::poll_fn;
use core::task::{Context, Poll};

/// A watch on a node and all below it, until it is dropped.
///
/// For one task: of two that wait for the same watch, only the later one is woken.
#[derive(Debug)]
pub struct Watch {
    connection: Rc<Connection>,
    number: u64,
}

impl Watch {
    pub(super) async fn new(connection: &Rc<Connection>, path: &str) -> Result<Self, XsError> {
        let number = connection.with(|state| state.watches.add(path));
        let watch = Self { connection: Rc::clone(connection), number };
        let nodes = Nodes { connection, transaction: None };
        watch.set(AtDaemon::Asked);
        match nodes.ask(Kind::Watch, path, &[token(number).as_bytes(), b"\0"]).await {
            Ok(payload) => {
                acknowledged(&payload, Kind::Watch, path)?;
                watch.set(AtDaemon::Confirmed);
                Ok(watch)
            }
            Err(error) => {
                if matches!(
                    error,
                    XsError::Refused { .. }
                        | XsError::BadPath { .. }
                        | XsError::TooLong { .. }
                        | XsError::Busy
                ) {
                    watch.set(AtDaemon::Unknown);
                }
                Err(error)
            }
        }
    }

    fn set(&self, at_daemon: AtDaemon) {
        self.connection.with(|state| state.watches.set(self.number, at_daemon));
    }

    /// Waits for the next event: the path that may have changed, or the watched path when more happened than a watch
    /// keeps. The first event comes at once. Relative paths stay relative.
    ///
    /// There is also an event when the connection is replaced or breaks: the next read then gets the error.
    pub async fn changed(&self) -> String {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    /// [`Watch::changed`] for a hand-written future.
    pub fn poll_changed(&self, cx: &Context<'_>) -> Poll<String> {
        let waker = cx.waker().clone();
        let (poll, _dropped_outside) = self.connection.with(|state| state.watches.poll(self.number, waker));
        poll
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _dropped_outside = self.connection.with(|state| {
            let (path, waiter) = state.watches.remove(self.number);
            if let Some(path) = path {
                let token = token(self.number);
                let parts: [&[u8]; 4] = [path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
                state.request_unattended(Kind::Unwatch, 0, &parts);
            }
            waiter
        });
    }
}
