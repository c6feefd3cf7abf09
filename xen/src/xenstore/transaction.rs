//! Transactions: several changes as one, tried again while others are in the way.
//!
//! ```text
//!   TRANSACTION_START ──► id ──► body's requests, with that id ──► TRANSACTION_END "T" ──► done
//!          ▲                         │ error or drop: "F"                  │
//!          └─────────────────── EAGAIN or a new connection ◄───────────────┘      at most ATTEMPTS times
//! ```
//!
//! Once opened, a transaction is always ended: by its commit, or by [`Transaction`]'s drop, also when the future is
//! dropped half way. Its id is never used on another connection than the one it was opened on.

use crate::Errno;
use crate::abi::io_xs_wire::XsdSockmsgType as Kind;
use crate::xenstore::connection::Connection;
use crate::xenstore::error::XsError;
use crate::xenstore::nodes::{Nodes, acknowledged, malformed, name};
use crate::xenstore::state::transaction_id;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

/// The number of attempts after which a transaction fails.
pub(super) const ATTEMPTS: u32 = 64;

/// An open transaction: its requests see the store as it was at the start, and its own changes.
#[derive(Debug)]
pub struct Transaction<'a> {
    nodes: Nodes<'a>,
    id: u32,
    epoch: u32,
    open: bool,
}

impl<'a> Transaction<'a> {
    async fn open(connection: &'a Connection) -> Result<Self, XsError> {
        let nodes = Nodes { connection, transaction: None };
        let request = Kind::TransactionStart;
        let payload =
            nodes.queue(request, "", &[b"\0"])?.await.map_err(|failure| name(failure, request, ""))?;
        let id = transaction_id(&payload).ok_or_else(|| malformed(request, ""))?;
        let epoch = connection.with(|state| state.transaction_opened());
        Ok(Self { nodes: Nodes { connection, transaction: Some((id, epoch)) }, id, epoch, open: true })
    }

    async fn commit(mut self) -> Result<(), XsError> {
        let request = Kind::TransactionEnd;
        let answer = self.nodes.queue(request, "", &[b"T\0"])?;
        // Queued: from here on the daemon ends it, one way or the other, also if we are dropped.
        self.open = false;
        self.nodes.connection.with(|state| state.transaction_closed(self.epoch));
        let payload = answer.await.map_err(|failure| name(failure, request, ""))?;
        acknowledged(&payload, request, "")
    }

    /// As [`XenStore::read`](crate::xenstore::XenStore::read).
    ///
    /// # Errors
    /// As there.
    pub async fn read(&self, path: &str) -> Result<String, XsError> {
        self.nodes.read(path).await
    }

    /// As [`XenStore::read_opt`](crate::xenstore::XenStore::read_opt).
    ///
    /// # Errors
    /// As there.
    pub async fn read_opt(&self, path: &str) -> Result<Option<String>, XsError> {
        self.nodes.read_opt(path).await
    }

    /// As [`XenStore::read_number`](crate::xenstore::XenStore::read_number).
    ///
    /// # Errors
    /// As there.
    pub async fn read_number<T: FromStr>(&self, path: &str) -> Result<Option<T>, XsError> {
        self.nodes.read_number(path).await
    }

    /// As [`XenStore::write`](crate::xenstore::XenStore::write).
    ///
    /// # Errors
    /// As there.
    pub async fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<(), XsError> {
        self.nodes.write(path, value.as_ref()).await
    }

    /// As [`XenStore::write_all`](crate::xenstore::XenStore::write_all); the first error.
    ///
    /// # Errors
    /// As [`XenStore::write`](crate::xenstore::XenStore::write).
    pub async fn write_all(&self, nodes: &[(String, String)]) -> Result<(), XsError> {
        self.nodes.write_all(nodes).await.into_iter().collect()
    }

    /// As [`XenStore::mkdir`](crate::xenstore::XenStore::mkdir).
    ///
    /// # Errors
    /// As there.
    pub async fn mkdir(&self, path: &str) -> Result<(), XsError> {
        self.nodes.mkdir(path).await
    }

    /// As [`XenStore::remove`](crate::xenstore::XenStore::remove).
    ///
    /// # Errors
    /// As there.
    pub async fn remove(&self, path: &str) -> Result<(), XsError> {
        self.nodes.remove(path).await
    }

    /// As [`XenStore::directory`](crate::xenstore::XenStore::directory).
    ///
    /// # Errors
    /// As there.
    pub async fn directory(&self, path: &str) -> Result<Vec<String>, XsError> {
        self.nodes.directory(path).await
    }

    /// As [`XenStore::exists`](crate::xenstore::XenStore::exists).
    ///
    /// # Errors
    /// As there.
    pub async fn exists(&self, path: &str) -> Result<bool, XsError> {
        self.nodes.exists(path).await
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        self.nodes.connection.with(|state| {
            if state.transaction_closed(self.epoch) {
                state.request_unattended(Kind::TransactionEnd, self.id, &[b"F\0"]);
            }
        });
    }
}

/// See [`XenStore::transaction`](crate::xenstore::XenStore::transaction).
pub(super) async fn run<T>(
    connection: &Connection,
    body: impl AsyncFn(&Transaction<'_>) -> Result<T, XsError>,
) -> Result<T, XsError> {
    for _ in 0..ATTEMPTS {
        match attempt(connection, &body).await {
            Err(XsError::Interrupted | XsError::Reset) => {}
            Err(error) if error.errno() == Some(Errno::EAGAIN) => {}
            result => return result,
        }
    }
    Err(XsError::Conflicts { attempts: ATTEMPTS })
}

async fn attempt<T>(
    connection: &Connection,
    body: &impl AsyncFn(&Transaction<'_>) -> Result<T, XsError>,
) -> Result<T, XsError> {
    let transaction = Transaction::open(connection).await?;
    let value = body(&transaction).await?;
    transaction.commit().await?;
    Ok(value)
}
