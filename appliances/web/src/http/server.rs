//! The server: a site, what its connections share, and the answer to one request. `connection.rs` has the sequence of
//! requests on a connection.

use crate::http::clock::{Clock, Moment};
use crate::http::code::{Code, Refusal};
use crate::http::connection::Connection;
use crate::http::counts::{Counters, HttpCounts};
use crate::http::head::{Framing, Method, Request, parse, room};
use crate::http::limits::Limits;
use crate::http::reply::{ALLOW, Persist, Reply};
use alloc::rc::Rc;
use core::cell::Cell;
use embedded_io_async::{Read, Write};

/// The resources of a server.
pub trait Site {
    /// The reply to GET of `request.path`; `None` if there is no such resource. HEAD gets the head of the same reply.
    fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>>;
}

/// What a site may use besides the request.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: &'a Moment,
    counters: &'a Counters,
}

impl Context<'_> {
    /// The counters of the server.
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
    /// Memory of replies that are not sent yet.
    unsent: Cell<usize>,
}

/// A reply and how to send it.
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

    /// The counters.
    pub fn counts(&self) -> HttpCounts {
        self.counters.read()
    }

    /// The number of open connections.
    pub const fn connections_open(&self) -> u64 {
        self.counters.connections_open()
    }

    /// Sets the time: before a connection is served, and once a second while connections are open. `seconds` is monotonic;
    /// `unix_seconds` is the wall clock, 0 if it is unknown.
    pub fn tick(&self, seconds: u64, unix_seconds: u64) {
        self.clock.tick(seconds, unix_seconds);
    }

    /// Waits until a connection is open. Until then the time need not be set.
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
        self.serve_with(stream, "").await
    }

    /// As [`Server::serve`], with header lines that every reply gets, each ended by CR LF.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn serve_with<T: Read + Write>(&self, stream: &mut T, lines: &str) -> Result<(), T::Error> {
        let _open = Open::new(&self.counters);
        Connection::new(self, stream, lines).run().await
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
                    Some(_) => Refusal::new(Code::ServiceUnavailable, "too many replies wait to be sent"),
                    None => Refusal::new(Code::NotFound, "there is no resource at this path"),
                }
            }
            Method::Options => return Rc::new(Reply::bare(Code::NoContent, ALLOW, &now)),
            Method::NotAllowed => Refusal::new(Code::MethodNotAllowed, "the resource can only be read"),
            Method::Unknown => Refusal::new(Code::NotImplemented, "the method is unknown"),
        };
        Rc::new(Reply::refusal(refusal, &now))
    }

    /// The answer after which the connection ends: where the next request would begin is unknown.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Answer<'_> {
        let reply = Rc::new(Reply::refusal(refusal, &self.clock.moment()));
        self.answer(reply, Persist::Close, false)
    }

    fn answer(&self, reply: Rc<Reply>, persist: Persist, head_only: bool) -> Answer<'_> {
        let _unsent = Unsent::new(&self.unsent, reply.own_bytes());
        Answer { reply, persist, head_only, _unsent }
    }

    /// Whether a reply may wait to be sent: clients that ask and do not read must not exhaust the memory. Short replies
    /// always may, so that health checks are answered.
    fn affords(&self, reply: &Reply) -> bool {
        let len = reply.own_bytes();
        len <= SMALL || self.unsent.get().saturating_add(len) <= self.limits.unsent_bytes
    }
}

/// A reply up to this length costs no more than the connection itself.
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
