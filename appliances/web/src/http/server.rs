//! The server: a site, and what its connections share. What it decides about one request is here; how requests follow
//! each other on a connection is in `connection.rs`.

use crate::http::clock::{Clock, Moment};
use crate::http::code::{Code, Refusal};
use crate::http::connection::Connection;
use crate::http::counts::{Counters, HttpCounts};
use crate::http::head::{Framing, Method, Request, parse, room};
use crate::http::limits::Limits;
use crate::http::reply::{Persist, Reply};
use alloc::rc::Rc;
use core::cell::Cell;
use embedded_io_async::{Read, Write};

/// What is published.
pub trait Site {
    /// The reply to GET of `request.path`; `None`: nothing is there. HEAD is answered with the head of the same reply.
    fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>>;
}

/// What a site may want to know besides the request.
#[derive(Debug)]
pub struct Context<'a> {
    /// The present.
    pub now: &'a Moment,
    counters: &'a Counters,
}

impl Context<'_> {
    /// What the server counted so far.
    #[must_use]
    pub fn counts(&self) -> HttpCounts {
        self.counters.read()
    }

    /// The number of open connections.
    #[must_use]
    pub const fn connections_open(&self) -> u64 {
        self.counters.connections_open()
    }
}

/// A server.
#[derive(Debug)]
pub struct Server<S> {
    site: S,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    /// Bytes of replies that are made and not sent.
    unsent: Cell<usize>,
}

/// What a request leads to.
pub(crate) struct Answer<'a> {
    pub(crate) reply: Rc<Reply>,
    pub(crate) persist: Persist,
    pub(crate) head_only: bool,
    _unsent: Unsent<'a>,
}

impl<S: Site> Server<S> {
    /// A server for a site.
    #[must_use]
    pub fn new(site: S, limits: Limits) -> Self {
        Self { site, limits, clock: Clock::default(), counters: Counters::default(), unsent: Cell::new(0) }
    }

    /// What was counted so far.
    pub fn counts(&self) -> HttpCounts {
        self.counters.read()
    }

    /// The number of open connections.
    pub const fn connections_open(&self) -> u64 {
        self.counters.connections_open()
    }

    /// Tells the time: to be called before a connection is served and once a second while there are any. `seconds` never
    /// go back; `unix_seconds` is the wall clock, 0 if nobody knows it.
    pub fn tick(&self, seconds: u64, unix_seconds: u64) {
        self.clock.tick(seconds, unix_seconds);
    }

    /// Waits until a connection is open: time need not be told before.
    pub async fn occupied(&self) {
        self.clock.occupied().await;
    }

    /// Serves a connection until its end.
    ///
    /// The stream is not closed here, it is the caller's. It must close in order (FIN, and what still comes in is thrown
    /// away), or a client that is being refused may lose the reply to a reset.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn serve<T: Read + Write>(&self, stream: &mut T) -> Result<(), T::Error> {
        let _open = Open::new(&self.counters);
        Connection::new(self, stream).run().await
    }

    /// The answer to the request at the front of `bytes`, if its head is complete.
    pub(crate) fn decide(&self, bytes: &[u8]) -> Result<Option<(Answer<'_>, Framing)>, Refusal> {
        let mut room = room();
        let Some((request, framing)) = parse(bytes, &mut room, &self.limits)? else { return Ok(None) };
        let head_only = request.method == Method::Head;
        let answer = self.answer(self.reply(&request), framing.persist, head_only);
        Ok(Some((answer, framing)))
    }

    fn reply(&self, request: &Request<'_>) -> Rc<Reply> {
        let now = self.clock.moment();
        let refusal = match request.method {
            Method::Get | Method::Head => {
                let context = Context { now: &now, counters: &self.counters };
                match self.site.get(request, &context) {
                    Some(reply) if self.affords(&reply) => return reply,
                    Some(_) => Refusal::new(Code::ServiceUnavailable, "too much waits to be sent already"),
                    None => Refusal::new(Code::NotFound, "nothing is published at this path"),
                }
            }
            Method::NotAllowed => Refusal::new(Code::MethodNotAllowed, "what is here can only be read"),
            Method::Unknown => Refusal::new(Code::NotImplemented, "the method is not known"),
        };
        Rc::new(Reply::refusal(refusal, &now))
    }

    /// The answer after which the connection ends, because nobody knows where the next request would begin.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Answer<'_> {
        let reply = Rc::new(Reply::refusal(refusal, &self.clock.moment()));
        self.answer(reply, Persist::Close, false)
    }

    fn answer(&self, reply: Rc<Reply>, persist: Persist, head_only: bool) -> Answer<'_> {
        let _unsent = Unsent::new(&self.unsent, reply.whole().len());
        Answer { reply, persist, head_only, _unsent }
    }

    /// Whether a reply may wait to be sent: clients that ask and do not read must not take the guest's memory. Small ones
    /// always may, so that the guest still tells of its health.
    fn affords(&self, reply: &Reply) -> bool {
        let len = reply.whole().len();
        len <= SMALL || self.unsent.get().saturating_add(len) <= self.limits.unsent_bytes
    }
}

/// Bytes of a reply that costs no more than what a connection takes anyway.
const SMALL: usize = 2048;

/// Counts the bytes of a reply until it is sent, or given up.
struct Unsent<'a> {
    all: &'a Cell<usize>,
    len: usize,
}

impl<'a> Unsent<'a> {
    fn new(all: &'a Cell<usize>, len: usize) -> Self {
        all.set(all.get().saturating_add(len));
        Self { all, len }
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(self.len));
    }
}

/// Counts a connection for as long as it is open.
struct Open<'a>(&'a Counters);

impl<'a> Open<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.opened();
        Self(counters)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}
