//! Requests about nodes, within a transaction or not, as async functions.
//!
//! This file checks a request before it is sent (a zero byte in a path would end it on the wire), and an answer
//! before it is used. Other domains may write a node, so an error of a read names the path.

use crate::abi::io_xs_wire::{XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX, XsdSockmsgType as Kind};
use crate::ids::DomId;
use crate::xenstore::connection::Connection;
use crate::xenstore::error::{PathFault, ReplyFault, XsError, printable};
use crate::xenstore::recovery::ANSWER_LIMIT_NS;
use crate::xenstore::state::{Failure, RequestError};
use crate::xenstore::wire;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use core::str::FromStr;
use core::task::{Context, Poll};

/// How often a request that changes nothing is repeated when the connection is reset before its answer.
const REPEATS: u32 = 4;

/// The rights of one domain to a node. `docs/misc/xenstore.txt`, `SET_PERMS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `n`: nothing.
    Nothing(DomId),
    /// `r`: read.
    Read(DomId),
    /// `w`: write.
    Write(DomId),
    /// `b`: both.
    ReadWrite(DomId),
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(domid) => write!(f, "n{domid}"),
            Self::Read(domid) => write!(f, "r{domid}"),
            Self::Write(domid) => write!(f, "w{domid}"),
            Self::ReadWrite(domid) => write!(f, "b{domid}"),
        }
    }
}

/// The answer of a queued request. After a drop, no task waits for it.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    connection: &'a Connection,
    id: u32,
}

impl Future for Answer<'_> {
    type Output = Result<Vec<u8>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.connection.poll_reply(self.id, cx)
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.connection.abandon(self.id);
    }
}

/// Where requests go: to the store itself, or to a transaction's view of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nodes<'a> {
    pub(super) connection: &'a Connection,
    /// The transaction, and the epoch of the connection on which it was opened.
    pub(super) transaction: Option<(u32, u32)>,
}

impl<'a> Nodes<'a> {
    /// Queues a request whose payload is `path`, a zero byte, and `rest`.
    pub(super) fn send(&self, kind: Kind, path: &str, rest: &[&[u8]]) -> Result<Answer<'a>, XsError> {
        check_path(path)?;
        let mut parts: Vec<&[u8]> = Vec::with_capacity(rest.len().saturating_add(2));
        parts.extend([path.as_bytes(), b"\0"]);
        parts.extend(rest);
        self.queue(kind, path, &parts)
    }

    /// Queues a request with any payload; `path` only for an error to name.
    pub(super) fn queue(&self, kind: Kind, path: &str, parts: &[&[u8]]) -> Result<Answer<'a>, XsError> {
        let (tx_id, epoch) = self.transaction.map_or((0, None), |(id, epoch)| (id, Some(epoch)));
        let id = self.connection.with(|state| {
            if epoch.is_some_and(|epoch| !state.is_current(epoch)) && state.broken().is_none() {
                return Err(XsError::Interrupted);
            }
            state.request(kind, tx_id, parts).map_err(|error| match error {
                RequestError::Broken(broken) => XsError::Broken(broken),
                RequestError::Busy => XsError::Busy,
                RequestError::TooLong(len_bytes) => XsError::TooLong { path: shown(path), len_bytes },
            })
        })?;
        Ok(Answer { connection: self.connection, id })
    }

    pub(super) async fn ask(&self, kind: Kind, path: &str, rest: &[&[u8]]) -> Result<Vec<u8>, XsError> {
        let first = answered(self.send(kind, path, rest), kind, path).await;
        self.repeated(first, kind, path, rest).await
    }

    /// The outcome of a request, repeated if the connection was reset before its answer came and it changes nothing
    /// that another domain could have changed meanwhile.
    async fn repeated(
        &self,
        mut outcome: Result<Vec<u8>, XsError>,
        kind: Kind,
        path: &str,
        rest: &[&[u8]],
    ) -> Result<Vec<u8>, XsError> {
        let safe = matches!(
            kind,
            Kind::Read | Kind::Directory | Kind::GetDomainPath | Kind::Mkdir | Kind::SetPerms | Kind::Watch
        );
        let mut left = if safe && self.transaction.is_none() { REPEATS } else { 0 };
        while left > 0 && matches!(outcome, Err(XsError::Reset | XsError::Broken(_))) {
            left = left.saturating_sub(1);
            outcome = answered(self.send(kind, path, rest), kind, path).await;
        }
        outcome
    }

    async fn order(&self, kind: Kind, path: &str, rest: &[&[u8]]) -> Result<(), XsError> {
        acknowledged(&self.ask(kind, path, rest).await?, kind, path)
    }

    pub(super) async fn read(&self, path: &str) -> Result<String, XsError> {
        text(path, self.ask(Kind::Read, path, &[]).await?)
    }

    pub(super) async fn read_opt(&self, path: &str) -> Result<Option<String>, XsError> {
        absent_is_none(self.read(path).await)
    }

    pub(super) async fn read_number<T: FromStr>(&self, path: &str) -> Result<Option<T>, XsError> {
        let Some(value) = self.read_opt(path).await? else { return Ok(None) };
        number(path, &value).map(Some)
    }

    pub(super) async fn write(&self, path: &str, value: &[u8]) -> Result<(), XsError> {
        self.order(Kind::Write, path, &[value]).await
    }

    /// Reads several nodes: every request is queued before the first answer is awaited, so that one notification and
    /// one sleep do for all.
    pub(super) async fn read_all<const N: usize>(
        &self,
        paths: &[String; N],
    ) -> [Result<Option<String>, XsError>; N] {
        let answers = paths.each_ref().map(|path| self.send(Kind::Read, path, &[]));
        let mut values = [const { Ok(None) }; N];
        for ((value, path), answer) in values.iter_mut().zip(paths).zip(answers) {
            let payload = answered(answer, Kind::Read, path).await;
            let payload = self.repeated(payload, Kind::Read, path, &[]).await;
            *value = absent_is_none(payload.and_then(|payload| text(path, payload)));
        }
        values
    }

    /// Writes several nodes in order, as [`Nodes::read_all`] reads; returns the result of each.
    pub(super) async fn write_all(&self, nodes: &[(String, String)]) -> Vec<Result<(), XsError>> {
        let send = |(path, value): &(String, String)| self.send(Kind::Write, path, &[value.as_bytes()]);
        let answers: Vec<_> = nodes.iter().map(send).collect();
        let mut results = Vec::with_capacity(nodes.len());
        for ((path, _), answer) in nodes.iter().zip(answers) {
            let payload = answered(answer, Kind::Write, path).await;
            results.push(payload.and_then(|payload| acknowledged(&payload, Kind::Write, path)));
        }
        results
    }

    pub(super) async fn mkdir(&self, path: &str) -> Result<(), XsError> {
        self.order(Kind::Mkdir, path, &[]).await
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), XsError> {
        absent_is_none(self.order(Kind::Rm, path, &[]).await).map(|_| ())
    }

    pub(super) async fn exists(&self, path: &str) -> Result<bool, XsError> {
        absent_is_none(self.ask(Kind::Read, path, &[]).await).map(|found| found.is_some())
    }

    pub(super) async fn directory(&self, path: &str) -> Result<Vec<String>, XsError> {
        let payload = self.ask(Kind::Directory, path, &[]).await?;
        let names = wire::strings(&payload).ok_or_else(|| malformed(Kind::Directory, path))?;
        names
            .map(|name| match core::str::from_utf8(name) {
                Ok("") => Err(malformed(Kind::Directory, path)),
                Ok(name) => Ok(name.into()),
                Err(_) => Err(XsError::NotText { path: format!("{path}/{}", printable(name)) }),
            })
            .collect()
    }

    pub(super) async fn set_permissions(&self, path: &str, all: &[Permission]) -> Result<(), XsError> {
        let mut list = String::new();
        for permission in all {
            list.push_str(&format!("{permission}\0"));
        }
        self.order(Kind::SetPerms, path, &[list.as_bytes()]).await
    }

    pub(super) async fn domain_path(&self, domid: DomId) -> Result<String, XsError> {
        let shown = format!("{domid}");
        let payload = self.ask(Kind::GetDomainPath, &shown, &[]).await?;
        let path = wire::string(&payload).and_then(|path| core::str::from_utf8(path).ok());
        path.filter(|path| path.starts_with('/'))
            .map(String::from)
            .ok_or_else(|| malformed(Kind::GetDomainPath, &shown))
    }
}

/// The payload that a request was answered with, if it was sent at all.
async fn answered(answer: Result<Answer<'_>, XsError>, kind: Kind, path: &str) -> Result<Vec<u8>, XsError> {
    answer?.await.map_err(|failure| name(failure, kind, path))
}

/// A value as text.
fn text(path: &str, value: Vec<u8>) -> Result<String, XsError> {
    String::from_utf8(value).map_err(|_| XsError::NotText { path: path.into() })
}

/// A node's value as a number, with white space around it allowed.
///
/// # Errors
/// [`XsError::NotANumber`].
pub fn number<T: FromStr>(path: &str, value: &str) -> Result<T, XsError> {
    let not_a_number = |_| XsError::NotANumber { path: path.into(), value: printable(value.as_bytes()) };
    value.trim().parse().map_err(not_a_number)
}

/// The error of a failed request, with the path that the connection does not know.
pub(super) fn name(failure: Failure, request: Kind, path: &str) -> XsError {
    match failure {
        Failure::Refused(errno) => XsError::Refused { request, path: path.into(), errno },
        Failure::Fault(fault) => XsError::BadReply { request, path: path.into(), fault },
        Failure::Interrupted => XsError::Interrupted,
        Failure::Reset => XsError::Reset,
        Failure::NoAnswer => XsError::NoAnswer { after_s: ANSWER_LIMIT_NS / 1_000_000_000 },
        Failure::Broken(broken) => XsError::Broken(broken),
    }
}

/// Checks the payload of an answer that only says that it was done.
pub(super) fn acknowledged(payload: &[u8], request: Kind, path: &str) -> Result<(), XsError> {
    if payload == b"OK\0" { Ok(()) } else { Err(malformed(request, path)) }
}

pub(super) fn malformed(request: Kind, path: &str) -> XsError {
    XsError::BadReply { request, path: path.into(), fault: ReplyFault::Payload }
}

fn absent_is_none<T>(result: Result<T, XsError>) -> Result<Option<T>, XsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.errno() == Some(crate::Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_path(path: &str) -> Result<(), XsError> {
    let max = if path.starts_with('/') { XENSTORE_ABS_PATH_MAX } else { XENSTORE_REL_PATH_MAX };
    let fault = if path.is_empty() {
        PathFault::Empty
    } else if path.contains('\0') {
        PathFault::Zero
    } else if path.len() > max {
        PathFault::TooLong
    } else {
        return Ok(());
    };
    Err(XsError::BadPath { path: shown(path), fault })
}

fn shown(path: &str) -> String {
    printable(path.as_bytes())
}
