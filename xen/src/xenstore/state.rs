//! Requests out, answers and events in, each answer to the task that waits for it.
//!
//! ```text
//!   task ──request()──► queue ──pump──► req ring ──► xenstored
//!     ▲                                                  │
//!     └──waker── requests[req_id] ◄──route── Assembler ◄─┴─ rsp ring
//!                watches[token]   ◄──┘
//! ```
//!
//! A request for which no task waits any more stays in `requests` until it is answered, so that its id is not
//! reused; if not a byte of it was sent, it is removed. An operation that the daemon began for such a request (a
//! transaction) is ended here.
//!
//! Nothing here calls or drops a waker: they are handed out, to [`Connection`](super::connection::Connection).

use crate::Errno;
use crate::abi::io_xs_wire::XsdSockmsgType as Kind;
use crate::ids::{EvtchnPort, SystemTime};
use crate::memory::shared::Shared;
use crate::xenstore::error::{Broken, ReplyFault, XsErrno};
use crate::xenstore::link::{Link, Moved, Outbound, Rings};
use crate::xenstore::recovery::{Observed, Recovery, Step};
use crate::xenstore::stats::XsStats;
use crate::xenstore::watches::Watches;
use crate::xenstore::wire::{self, Message};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::{Poll, Waker};
use litemap::LiteMap;

/// Requests that may wait for an answer. Those that we send to clean up come on top, at most one for each.
const NR_REQUESTS_MAX: usize = 128;

/// Why a request has no proper answer; becomes an [`XsError`] where the path is known.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Refused(XsErrno),
    Fault(ReplyFault),
    Interrupted,
    Reset,
    NoAnswer,
    Broken(Broken),
}

pub(super) type Reply = Result<Vec<u8>, Failure>;

/// The receiver of an answer.
#[derive(Debug)]
pub(super) enum Owner {
    /// A task, once it has come by.
    Task(Option<Waker>),
    /// A task, which gets a timeout. The answer then belongs to no task.
    GaveUp,
    /// No task: the answer is only checked for what has to be cleaned up.
    Nobody,
}

/// The recovery of a connection that does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovered {
    /// The daemon was asked to reset the ring.
    Reset,
    /// The ring was taken up again as it is.
    AttachedAgain,
    /// The requests that waited have failed; the daemon has answered something since the last time that this was so.
    GaveUp,
    /// The same, and nothing was answered since.
    StillSilent,
}

/// A request without an answer, or with one that the task has not taken yet.
#[derive(Debug)]
struct Pending {
    kind: Kind,
    tx_id: u32,
    reply: Option<Reply>,
    owner: Owner,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) page: Shared<'static>,
    pub(super) port: EvtchnPort,
    link: Link,
    queue: VecDeque<Outbound>,
    requests: LiteMap<u32, Pending>,
    last_id: u32,
    /// Counts connections: operations that began on another one are void.
    epoch: u32,
    open_transactions: usize,
    pub(super) watches: Watches,
    pub(super) stats: XsStats,
    /// Changes whenever bytes move either way.
    activity: u64,
    recovery: Recovery,
    /// The replies so far when waiting requests failed last.
    silent_at: Option<u64>,
}

impl State {
    pub(super) fn new(page: Shared<'static>, port: EvtchnPort) -> Self {
        Self {
            page,
            port,
            link: Link::Attaching,
            queue: VecDeque::new(),
            requests: LiteMap::new(),
            last_id: 0,
            epoch: 0,
            open_transactions: 0,
            watches: Watches::default(),
            stats: XsStats::default(),
            activity: 0,
            recovery: Recovery::new(),
            silent_at: None,
        }
    }

    /// The answer of a request, if there is one, else keeps the waker; and what must be dropped outside the borrow.
    pub(super) fn poll_reply(&mut self, id: u32, waker: Waker) -> (Poll<Reply>, Option<Owner>) {
        let Some(pending) = self.requests.get_mut(&id) else {
            return (Poll::Ready(Err(Failure::Interrupted)), None);
        };
        let Some(reply) = pending.reply.take() else {
            if matches!(pending.owner, Owner::GaveUp) {
                pending.owner = Owner::Nobody;
                return (Poll::Ready(Err(Failure::NoAnswer)), None);
            }
            let before = core::mem::replace(&mut pending.owner, Owner::Task(Some(waker)));
            return (Poll::Pending, Some(before));
        };
        let pending = self.requests.remove(&id);
        (Poll::Ready(reply), pending.map(|pending| pending.owner))
    }

    /// Whether a request has its answer.
    pub(super) fn is_answered(&self, id: u32) -> bool {
        self.requests.get(&id).is_none_or(|pending| pending.reply.is_some())
    }

    /// Queues a request of a task; its id.
    pub(super) fn request(&mut self, kind: Kind, tx_id: u32, parts: &[&[u8]]) -> Result<u32, RequestError> {
        if let Link::Broken(broken) = self.link {
            return Err(RequestError::Broken(broken));
        }
        if self.requests.len() >= NR_REQUESTS_MAX {
            return Err(RequestError::Busy);
        }
        self.queue(kind, tx_id, parts, Owner::Task(None)).map_err(RequestError::TooLong)
    }

    /// Queues a request for whose answer no task waits. None is sent on a broken connection: there is nothing to
    /// clean up.
    pub(super) fn request_unattended(&mut self, kind: Kind, tx_id: u32, parts: &[&[u8]]) {
        if matches!(self.link, Link::Broken(_)) {
            return;
        }
        // Its parts went through `request` before, with a longer or equal payload: it fits.
        if self.queue(kind, tx_id, parts, Owner::Nobody).is_err() {
            self.stats.refused_silently.bump();
        }
    }

    fn queue(&mut self, kind: Kind, tx_id: u32, parts: &[&[u8]], owner: Owner) -> Result<u32, usize> {
        let mut id = self.last_id.wrapping_add(1);
        // 0 is the id of watch events; an id in use belongs to a request that was never answered.
        while id == 0 || self.requests.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        let bytes = wire::encode(kind, id, tx_id, parts)?;
        self.last_id = id;
        self.queue.push_back(Outbound { id, bytes, sent: 0 });
        self.requests.insert(id, Pending { kind, tx_id, reply: None, owner });
        self.stats.requests.bump();
        Ok(id)
    }

    pub(super) fn abandon(&mut self, id: u32) -> Option<Owner> {
        let pending = self.requests.get_mut(&id)?;
        let owner = core::mem::replace(&mut pending.owner, Owner::Nobody);
        let unsent = self.queue.iter().position(|out| out.id == id && out.sent == 0);
        if let Some(at) = unsent {
            self.queue.remove(at);
            self.requests.remove(&id);
        } else if pending.reply.is_some() {
            self.clean_up(id);
        }
        Some(owner)
    }

    /// Ends what an unwanted answer has started.
    fn clean_up(&mut self, id: u32) {
        let Some(Pending { kind, reply, .. }) = self.requests.remove(&id) else { return };
        match (kind, reply) {
            (Kind::TransactionStart, Some(Ok(payload))) => {
                if let Some(tx_id) = transaction_id(&payload) {
                    self.request_unattended(Kind::TransactionEnd, tx_id, &[b"F\0"]);
                }
            }
            // The daemon has the watch already, or no more, or has nothing to reset: as it should be.
            (Kind::Watch, Some(Err(Failure::Refused(XsErrno::Known(Errno::EEXIST)))))
            | (Kind::Unwatch, Some(Err(Failure::Refused(XsErrno::Known(Errno::ENOENT)))))
            | (Kind::ResetWatches, Some(Err(Failure::Refused(XsErrno::Known(Errno::ENOSYS))))) => {}
            (_, Some(Err(Failure::Refused(_) | Failure::Fault(_)))) => {
                self.stats.refused_silently.bump();
            }
            _ => {}
        }
    }

    /// Moves bytes.
    ///
    /// # Errors
    /// Once, when the connection breaks.
    pub(super) fn pump(&mut self, wakers: &mut Vec<Waker>) -> Result<Moved, Broken> {
        match self.link {
            Link::Attaching => self.attach(),
            // The daemon resets the ring by itself: it has forgotten unanswered requests.
            Link::Up(_) if Link::is_resetting(&self.page) => self.start_over(&Failure::Reset, wakers),
            _ => {}
        }
        let moved = match &mut self.link {
            Link::Up(rings) => {
                let mut messages = Vec::new();
                let moved = rings.exchange(&self.page, &mut messages, &mut self.queue);
                for message in messages {
                    self.route(message, wakers);
                }
                moved
            }
            Link::Attaching | Link::Broken(_) => Ok(Moved::default()),
        };
        let moved = moved.inspect_err(|broken| self.break_down(*broken, wakers));
        if moved.is_ok_and(|moved| moved.any) {
            self.activity = self.activity.wrapping_add(1);
        }
        moved
    }

    fn attach(&mut self) {
        let Some((rings, used_before)) = Rings::attach(&self.page) else { return };
        self.stats.leftover_bytes.add(u64::from(rings.leftover()));
        self.link = Link::Up(rings);
        if used_before {
            // A former user of the connection (a boot loader, another kernel) may have left watches and transactions.
            self.request_unattended(Kind::ResetWatches, 0, &[b"\0"]);
            // Before everything that was queued, and after a request that is half in the ring.
            let begun = self.queue.iter().take_while(|out| out.sent > 0).count();
            if let Some(reset) = self.queue.pop_back() {
                self.queue.insert(begun, reset);
            }
        }
    }

    /// Gives a message to whom it belongs.
    fn route(&mut self, message: Message, wakers: &mut Vec<Waker>) {
        let Message { header, payload } = message;
        if header.kind == Kind::WatchEvent.raw() {
            let fired = self.watches.fire(&payload, wakers);
            let count = if fired { &mut self.stats.events } else { &mut self.stats.stale_events };
            count.bump();
            return;
        }
        let Some(pending) = self.requests.get_mut(&header.req_id).filter(|pending| pending.reply.is_none())
        else {
            self.stats.stray_replies.bump();
            return;
        };
        let reply = if header.tx_id != pending.tx_id {
            Err(Failure::Fault(ReplyFault::Transaction(header.tx_id)))
        } else if header.kind == Kind::Error.raw() {
            Err(Failure::Refused(XsErrno::parse(wire::string(&payload).unwrap_or(&payload))))
        } else if header.kind == pending.kind.raw() {
            Ok(payload)
        } else {
            Err(Failure::Fault(ReplyFault::Kind(header.kind)))
        };
        if matches!(reply, Err(Failure::Fault(_))) {
            self.stats.bad_replies.bump();
        }
        self.stats.replies.bump();
        pending.reply = Some(reply);
        match &mut pending.owner {
            Owner::Task(waker) => wakers.extend(waker.take()),
            Owner::GaveUp => {}
            Owner::Nobody => {
                // Answered before its last byte was taken: a daemon may refuse by the header alone. The rest of the
                // request still has to go out, so only the bookkeeping ends here.
                self.clean_up(header.req_id);
            }
        }
    }

    /// Ends the connection: nothing in the ring can be used any more. Every request that waits fails.
    fn break_down(&mut self, broken: Broken, wakers: &mut Vec<Waker>) {
        self.link = Link::Broken(broken);
        // A request that is half in the ring may have to be written to its end.
        self.queue.retain(|out| out.sent > 0);
        self.fail_all(&Failure::Broken(broken), wakers);
        // A task that waits for a watch reads again, and gets the error.
        self.watches.fire_all(wakers);
    }

    /// Goes on over another page and port, as after a suspend.
    ///
    /// In a new domain the ring is another one, and everything starts over. In the same domain, resumed the slow way,
    /// the ring is as we left it: our indexes are in it, and half a message may be. Then the connection goes on.
    pub(super) fn reconnect(&mut self, page: Shared<'static>, port: EvtchnPort, wakers: &mut Vec<Waker>) {
        let goes_on = matches!(&self.link, Link::Up(rings) if rings.are_those_of(&page));
        (self.page, self.port) = (page, port);
        if goes_on {
            // The domain's state in Xen is new in any case: every watch has an event.
            self.watches.fire_all(wakers);
        } else {
            self.start_over(&Failure::Interrupted, wakers);
        }
    }

    /// A new connection: old requests and transactions are void and fail as given, watches are asked for again.
    pub(super) fn start_over(&mut self, failure: &Failure, wakers: &mut Vec<Waker>) {
        self.queue.clear();
        self.link = Link::Attaching;
        self.begin_epoch(failure, wakers);
    }

    /// Takes the ring up again after it broke, where the daemon does not offer a reset: replies are read from where the
    /// daemon is now, and a request that is half in the ring is written to its end.
    fn attach_again(&mut self, wakers: &mut Vec<Waker>) {
        self.queue.retain(|out| out.sent > 0);
        self.link = Link::Attaching;
        self.begin_epoch(&Failure::Reset, wakers);
    }

    fn begin_epoch(&mut self, failure: &Failure, wakers: &mut Vec<Waker>) {
        self.epoch = self.epoch.wrapping_add(1);
        self.open_transactions = 0;
        self.stats.reconnects.bump();
        self.fail_all(failure, wakers);
        for (path, token) in self.watches.renew() {
            self.request_unattended(Kind::Watch, 0, &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"]);
        }
        // Events between the two connections are lost: every watch has one.
        self.watches.fire_all(wakers);
    }

    /// Looks whether the connection is to be reset, and does so: whether the daemon must be notified, and when to look
    /// again.
    pub(super) fn recover_when_due(
        &mut self,
        now: SystemTime,
        wakers: &mut Vec<Waker>,
    ) -> (Option<Recovered>, Option<SystemTime>) {
        let waiting = self.requests.values().any(|pending| pending.reply.is_none());
        let observed = Observed { waiting, broken: self.broken().is_some(), activity: self.activity };
        let (step, next) = self.recovery.look(now, observed);
        let recovered = match step {
            Step::Nothing => return (None, next),
            Step::Broken | Step::NoAnswer if self.ask_for_reset(wakers) => Recovered::Reset,
            Step::Broken => {
                self.attach_again(wakers);
                Recovered::AttachedAgain
            }
            Step::NoAnswer => {
                self.give_up_waiting(wakers);
                let replies = self.stats.replies.get();
                let before = self.silent_at.replace(replies);
                if before == Some(replies) { Recovered::StillSilent } else { Recovered::GaveUp }
            }
        };
        (Some(recovered), next)
    }

    /// Asks the daemon to reset the ring, if it offers that, and starts over.
    pub(super) fn ask_for_reset(&mut self, wakers: &mut Vec<Waker>) -> bool {
        let asked = Link::ask_for_reset(&self.page);
        if asked {
            self.start_over(&Failure::Reset, wakers);
        }
        asked
    }

    /// Fails the waiting requests. Their answers may still come, and end what they began.
    fn give_up_waiting(&mut self, wakers: &mut Vec<Waker>) {
        self.stats.given_up.bump();
        for (_, pending) in self.requests.iter_mut().filter(|(_, pending)| pending.reply.is_none()) {
            if let Owner::Task(waker) = &mut pending.owner {
                wakers.extend(waker.take());
                pending.owner = Owner::GaveUp;
            }
        }
    }

    fn fail_all(&mut self, failure: &Failure, wakers: &mut Vec<Waker>) {
        self.requests.retain(|_, pending| !matches!(pending.owner, Owner::Nobody));
        for (_, pending) in self.requests.iter_mut() {
            // An answer that came is an answer, but not one that starts a transaction which is void now.
            if pending.reply.is_none() || pending.kind == Kind::TransactionStart {
                pending.reply = Some(Err(failure.clone()));
            }
            if let Owner::Task(waker) = &mut pending.owner {
                wakers.extend(waker.take());
            }
        }
    }

    /// See [`XenStore::idle`](crate::xenstore::XenStore::idle).
    pub(super) fn is_idle(&self) -> bool {
        !self.has_unsent() && self.requests.is_empty() && self.open_transactions == 0
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.broken().is_none() && !self.queue.is_empty()
    }

    pub(super) const fn broken(&self) -> Option<Broken> {
        match self.link {
            Link::Broken(broken) => Some(broken),
            Link::Attaching | Link::Up(_) => None,
        }
    }

    /// Notes a transaction that the daemon has opened; the epoch in which its id means something.
    pub(super) fn transaction_opened(&mut self) -> u32 {
        self.open_transactions = self.open_transactions.saturating_add(1);
        self.epoch
    }

    /// Notes the end of a transaction; whether it belonged to this connection.
    pub(super) const fn transaction_closed(&mut self, epoch: u32) -> bool {
        let current = epoch == self.epoch;
        if current {
            self.open_transactions = self.open_transactions.saturating_sub(1);
        }
        current
    }

    /// Makes the ids go on after `id`.
    #[cfg(test)]
    pub(super) const fn set_last_id(&mut self, id: u32) {
        self.last_id = id;
    }

    pub(super) const fn is_current(&self, epoch: u32) -> bool {
        epoch == self.epoch
    }
}

/// Why a request was not queued.
#[derive(Debug)]
pub(super) enum RequestError {
    Broken(Broken),
    Busy,
    TooLong(usize),
}

/// The number that starts a transaction, never 0.
pub(super) fn transaction_id(payload: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(wire::string(payload)?).ok()?;
    text.parse().ok().filter(|id| *id != 0)
}
