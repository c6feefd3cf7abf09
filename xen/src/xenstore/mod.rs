//! The xenstore client: the small tree of names and values through which domains find each other.
//!
//! ```text
//!   tasks:  store.read("device/vif/0/mac").await        loop:  store.pump(&hypervisor)
//!              │   queue bytes, wait                              │   moves bytes, never waits
//!              ▼                                                  ▼
//!           Connection ◄──────────────────────────────────► ring page ◄──► xenstored
//! ```
//!
//! Futures only queue bytes and wait; [`XenStore::pump`] moves them, hands answers out by request id, and notifies the
//! daemon at most once. It is called once in an iteration of the loop, and before the domain blocks. Nothing here
//! waits by itself; a daemon that does not answer is noticed by [`XenStore::maintain`].
//!
//! | file | idea |
//! |------|------|
//! | `wire` | messages from and to bytes |
//! | `link` | the page: attach, exchange, errors |
//! | `state` | requests, answers, ids, clean-up |
//! | `recovery` | when a connection is to be reset |
//! | `connection` | the state, shared; wakers |
//! | `stats` | counters |
//! | `nodes` | requests about nodes |
//! | `transaction` | several changes as one |
//! | `watches` | watched paths and their waiting events |
//! | `watch` | the handle of a watch |
//! | `error` | errors, and the next step for each |
//!
//! The daemon is checked, not trusted: an impossible index or length breaks the connection with a named reason
//! ([`Broken`]); an answer of the wrong kind fails its request only; an unsolicited one is counted. Values come
//! from every domain that may write the node, and are only text.

mod connection;
mod error;
mod link;
mod nodes;
mod recovery;
mod state;
mod stats;
mod transaction;
mod watch;
mod watches;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

pub use crate::ring::byte_ring::Overrun;
pub use error::{Broken, PathFault, ReplyFault, XsErrno, XsError};
pub use nodes::{Permission, number};
pub use stats::XsStats;
pub use transaction::Transaction;
pub use watch::Watch;

use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, EvtchnPort, SystemTime};
use crate::memory::shared::Shared;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use connection::Connection;
use core::str::FromStr;
use nodes::Nodes;

/// The xenstore client. A clone is another handle on the same connection.
#[derive(Clone, Debug)]
pub struct XenStore {
    connection: Rc<Connection>,
}

impl XenStore {
    /// A client over the ring page that the toolstack set up (`HVM_PARAM_STORE_PFN`, `HVM_PARAM_STORE_EVTCHN`).
    ///
    /// The page is first looked at by [`XenStore::pump`]. Its indexes are taken as they are; replies that a former
    /// user of the ring has left are discarded, its watches and transactions ended.
    #[must_use]
    pub fn new(ring: Shared<'static>, port: EvtchnPort) -> Self {
        Self { connection: Rc::new(Connection::new(ring, port)) }
    }

    /// Moves bytes: requests out, answers and events in and to their tasks. Sends at most one
    /// notification, and only if something moved. Returns whether there was progress.
    ///
    /// # Ordering
    /// Bytes are written before `req_prod` (release) and that before the notification; `rsp_prod` is read once
    /// (acquire) before the bytes, and those before `rsp_cons` is written (release).
    pub fn pump(&self, h: &impl Hypervisor) -> bool {
        self.connection.pump(h)
    }

    /// Whether a request waits to be sent: then [`XenStore::pump`] is due before a sleep.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.connection.with(|state| state.has_unsent())
    }

    /// Whether nothing is under way: no byte to send, no answer to come, no transaction open. Asked before a suspend.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.connection.with(|state| state.is_idle())
    }

    /// Why the connection cannot be used any more, if so.
    #[must_use]
    pub fn broken(&self) -> Option<Broken> {
        self.connection.with(|state| state.broken())
    }

    /// Goes on over another page and port, as after a suspend.
    ///
    /// In another domain, requests and transactions under way fail with [`XsError::Interrupted`]
    /// ([`XenStore::transaction`] then tries again by itself), and every watch is registered again. In the same domain
    /// (its page has our indexes) the connection goes on where it was. Every watch has an event in both cases.
    pub fn reconnect(&self, ring: Shared<'static>, port: EvtchnPort) {
        self.connection.reconnect(ring, port);
    }

    /// Resets a connection that broke, or on which an answer has not come for 30 s; the time at which to call again, if
    /// there is one. It is called after each [`XenStore::pump`], and costs a look where nothing waits.
    ///
    /// Where the daemon offers the reset of the ring (`XENSTORE_SERVER_FEATURE_RECONNECTION`), it is asked for it, and
    /// everything starts over when that is done: watches are registered again and have an event, requests that change
    /// nothing are repeated, others fail with [`XsError::Reset`]. Where it does not, a broken ring is taken up again as
    /// it is, and requests without an answer fail with [`XsError::NoAnswer`]. Resets are at least 1 s apart, then twice
    /// that, up to 60 s.
    pub fn maintain(&self, h: &impl Hypervisor, now: SystemTime) -> Option<SystemTime> {
        self.connection.maintain(h, now)
    }

    /// The client's counters since boot.
    #[must_use]
    pub fn stats(&self) -> XsStats {
        self.connection.with(|state| state.stats)
    }

    /// Watches that exist.
    #[must_use]
    pub fn nr_watches(&self) -> usize {
        self.connection.with(|state| state.watches.len())
    }

    fn nodes(&self) -> Nodes<'_> {
        Nodes { connection: &self.connection, transaction: None }
    }

    /// A node's value.
    ///
    /// # Errors
    /// [`XsError::Refused`] with `ENOENT` if there is no such node; [`XsError::NotText`] if it is not UTF-8.
    pub async fn read(&self, path: &str) -> Result<String, XsError> {
        self.nodes().read(path).await
    }

    /// A node's value, `None` if there is no such node.
    ///
    /// # Errors
    /// As [`XenStore::read`], without `ENOENT`.
    pub async fn read_opt(&self, path: &str) -> Result<Option<String>, XsError> {
        self.nodes().read_opt(path).await
    }

    /// The values of several nodes, each as [`XenStore::read_opt`] has it, with one notification for all.
    pub async fn read_all<const N: usize>(
        &self,
        paths: &[String; N],
    ) -> [Result<Option<String>, XsError>; N] {
        self.nodes().read_all(paths).await
    }

    /// Writes several nodes in order, with one notification for all; returns the result of each.
    pub async fn write_all(&self, nodes: &[(String, String)]) -> Vec<Result<(), XsError>> {
        self.nodes().write_all(nodes).await
    }

    /// A node's value as a number, with white space around it allowed; `None` if there is no such node.
    ///
    /// # Errors
    /// [`XsError::NotANumber`] names the path and the value; else as [`XenStore::read_opt`].
    pub async fn read_number<T: FromStr>(&self, path: &str) -> Result<Option<T>, XsError> {
        self.nodes().read_number(path).await
    }

    /// Writes a node, and makes it and its parents if need be.
    ///
    /// # Errors
    /// [`XsError::Refused`], most often with `EACCES` or `ENOSPC`; [`XsError::TooLong`].
    pub async fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<(), XsError> {
        self.nodes().write(path, value.as_ref()).await
    }

    /// Makes a node and its parents, unless it exists.
    ///
    /// # Errors
    /// [`XsError::Refused`].
    pub async fn mkdir(&self, path: &str) -> Result<(), XsError> {
        self.nodes().mkdir(path).await
    }

    /// Removes a node and all below it; none there is no error.
    ///
    /// # Errors
    /// [`XsError::Refused`].
    pub async fn remove(&self, path: &str) -> Result<(), XsError> {
        self.nodes().remove(path).await
    }

    /// The names of a node's children. A directory of more than 4096 bytes is refused with `E2BIG`.
    ///
    /// # Errors
    /// [`XsError::Refused`] with `ENOENT` if there is no such node.
    pub async fn directory(&self, path: &str) -> Result<Vec<String>, XsError> {
        self.nodes().directory(path).await
    }

    /// For a crash report: writes a node at any moment, also while the client is in use, and pumps until the daemon has
    /// answered, at most `max_spins` times. Returns whether it has, with any answer. It allocates.
    pub fn write_sync_best_effort(
        &self,
        h: &impl Hypervisor,
        path: &str,
        value: &[u8],
        max_spins: u32,
    ) -> bool {
        self.connection.write_sync(h, path, value, max_spins)
    }

    /// Whether the node exists.
    ///
    /// # Errors
    /// [`XsError::Refused`] if we may not know.
    pub async fn exists(&self, path: &str) -> Result<bool, XsError> {
        self.nodes().exists(path).await
    }

    /// Sets the permissions of a node. The first entry has the owner, and the rights of domains that are not listed.
    ///
    /// # Errors
    /// [`XsError::Refused`] with `EACCES` if the node is not ours.
    pub async fn set_permissions(&self, path: &str, all: &[Permission]) -> Result<(), XsError> {
        self.nodes().set_permissions(path, all).await
    }

    /// The directory of a domain: for our own, the base of relative paths.
    ///
    /// # Errors
    /// [`XsError::Refused`].
    pub async fn domain_path(&self, domid: DomId) -> Result<String, XsError> {
        self.nodes().domain_path(domid).await
    }

    /// Runs `body` in a transaction and commits it; again from the start while others change the same nodes, or if
    /// the connection was replaced. An error of `body` aborts the transaction.
    ///
    /// # Errors
    /// The error of `body`; [`XsError::Conflicts`] after too many attempts; errors of start and end.
    pub async fn transaction<T>(
        &self,
        body: impl AsyncFn(&Transaction<'_>) -> Result<T, XsError>,
    ) -> Result<T, XsError> {
        transaction::run(&self.connection, body).await
    }

    /// Watches a node and all below it. It need not exist.
    ///
    /// # Errors
    /// [`XsError::Refused`], most often with `E2BIG`: too many watches.
    pub async fn watch(&self, path: &str) -> Result<Watch, XsError> {
        Watch::new(&self.connection, path).await
    }
}
