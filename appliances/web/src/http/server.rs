//! The server: a site, the state that its connections share, and the answer to one request. `connection.rs` has the
//! sequence of requests on a connection.

use crate::http::clock::{Clock, Moment};
use crate::http::connection::Connection;
use crate::http::counters::{Counters, HttpCounts};
use crate::http::limits::Limits;
use crate::http::reply::{ALLOW, Persist, Reply};
use crate::http::request_head::{Framing, Method, Request, parse, room};
use crate::http::request_log::{Entry, RequestLog};
use crate::http::status_code::{Code, Refusal};
use crate::http::stream::Stream;
use crate::http::waiting::{Begun, Waiting};
use alloc::rc::Rc;
use core::future::Future;
use core::task::{Context as CallContext, Poll};
use kernel::ledger::{Account, Consumer, Ledger};
use kernel::net::{Bytes, IpEndpoint};

/// The resources of a server.
pub trait Site {
    /// The reply to GET of `request.path`; `None` if there is no such resource. HEAD gets the head of the same reply.
    fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>>;
}

/// Where a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Where everybody comes.
    Public,
    /// Where only the guest's own pages are.
    Admin,
}

/// What a site may use besides the request.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: &'a Moment,
    /// Where the request came in.
    pub port: Port,
    counters: &'a Counters,
    waiting: usize,
}

impl Context<'_> {
    /// The counters of the server.
    #[must_use]
    pub fn counts(&self) -> HttpCounts {
        self.counters.read()
    }

    /// The number of connections that are being served.
    #[must_use]
    pub const fn serving(&self) -> u64 {
        self.counters.serving()
    }

    /// The number of requests that wait, each of which has a task.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.waiting).unwrap_or(u64::MAX)
    }
}

/// Bytes of the ledger outside of a guest, whose part requests that wait may use.
const WAITING_BYTES: usize = 4 << 20;

/// A server.
#[derive(Debug)]
pub struct Server<S> {
    site: S,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    waiting: Rc<Waiting>,
    log: Option<Rc<dyn RequestLog>>,
}

/// What becomes of a connection that was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It may rest until there is something to read.
    Idle,
    /// It ends: in order (FIN, and what still comes in is thrown away), or a client that is being refused may lose the reply
    /// to a reset.
    End,
}

/// A reply and how to send it.
pub(crate) struct Answer {
    pub(crate) reply: Rc<Reply>,
    pub(crate) persist: Persist,
    pub(crate) head_only: bool,
    /// What a log keeps of the request; none without a log.
    pub(crate) entry: Option<Entry>,
}

/// The pieces of a reply that is sent at once, at most.
pub(crate) const AT_ONCE: usize = 4;

/// A reply as it is sent: head and inline body in one piece, then the tail of the body.
pub(crate) struct Pieces {
    /// Without its bytes.
    reply: Reply,
    first: Bytes,
    /// Bytes of [`Reply::tail`].
    tail_len: usize,
    /// Bytes of all of them.
    pub(crate) len: usize,
    said: Said,
}

/// What is counted and logged of a reply.
pub(crate) struct Said {
    code: Code,
    len: usize,
    body_len: usize,
    entry: Option<Entry>,
}

impl Pieces {
    /// The pieces in their order. An empty one: the body ends before its length.
    pub(crate) fn each(self) -> impl Iterator<Item = Bytes> {
        let Self { reply, first, tail_len, .. } = self;
        let mut sent = 0_usize;
        let tail = core::iter::from_fn(move || {
            let piece = (sent < tail_len).then(|| reply.tail(sent))?;
            sent = if piece.is_empty() { tail_len } else { sent.saturating_add(piece.len()) };
            Some(piece)
        });
        core::iter::once(first).chain(tail)
    }

    /// Whether there are [`AT_ONCE`] pieces at most.
    pub(crate) fn are_few(&self) -> bool {
        let mut sent = 0_usize;
        for _ in 1..AT_ONCE {
            sent = sent.saturating_add(self.reply.tail(sent).len());
            if sent >= self.tail_len {
                return true;
            }
        }
        false
    }

    /// The first piece.
    pub(crate) fn take_first(&mut self) -> Bytes {
        core::mem::take(&mut self.first)
    }

    /// What is counted and logged.
    pub(crate) const fn said(&self) -> &Said {
        &self.said
    }

    /// Whether the first piece is all of them.
    pub(crate) const fn is_one(&self) -> bool {
        self.tail_len == 0
    }
}

impl Answer {
    /// All bytes of a reply that the site keeps, if it goes out as it is: the usual case.
    #[inline]
    pub(crate) fn kept(&mut self, lines: &[u8]) -> Option<(Bytes, Said)> {
        let Self { reply, persist, head_only, entry } = self;
        let as_it_is = *persist == Persist::Keep && lines.is_empty() && !*head_only;
        (as_it_is && Rc::strong_count(reply) > 1 && reply.tail_len() == 0).then(|| {
            let whole = reply.whole();
            let said = Said {
                code: reply.code(),
                len: whole.len(),
                body_len: reply.body_len(),
                entry: entry.take(),
            };
            (whole, said)
        })
    }

    /// Head with `lines`, each ended by CR LF, and body. Unless the site keeps the reply, nobody else has a handle of its
    /// bytes: they count for the connection.
    pub(crate) fn into_pieces(self, lines: &[u8]) -> Pieces {
        let Self { reply, persist, head_only, entry } = self;
        let mut reply = Rc::unwrap_or_clone(reply);
        let first = reply.take_first(lines, persist, head_only);
        let (tail_len, body_len) = if head_only { (0, 0) } else { (reply.tail_len(), reply.body_len()) };
        let len = tail_len.saturating_add(first.len());
        let said = Said { code: reply.code(), len, body_len, entry };
        Pieces { reply, first, tail_len, len, said }
    }
}

impl<S: Site> Server<S> {
    /// A server for a site.
    #[must_use]
    pub fn new(site: S, limits: Limits) -> Self {
        let account = Ledger::new(WAITING_BYTES).open(Consumer::Appliance);
        let (clock, counters) = (Clock::default(), Counters::default());
        Self { site, limits, clock, counters, waiting: Waiting::new(account), log: None }
    }

    /// With an account for the requests that wait.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        Self { waiting: Waiting::new(account), ..self }
    }

    /// With a log of its requests.
    #[must_use]
    pub fn with_log(self, log: Option<Rc<dyn RequestLog>>) -> Self {
        Self { log, ..self }
    }

    /// Whether the log has room for a request's line; always without one.
    pub(crate) fn log_has_room(&self) -> bool {
        self.log.as_ref().is_none_or(|log| log.has_room())
    }

    /// The same, waiting.
    pub(crate) fn poll_log(&self, cx: &CallContext<'_>) -> Poll<()> {
        self.log.as_ref().map_or(Poll::Ready(()), |log| log.poll_room(cx))
    }

    /// An answer goes out: counts and logs it.
    pub(crate) fn replied(&self, said: &Said, peer: Option<IpEndpoint>) {
        self.counters.replied(said.code, said.len);
        if let (Some(log), Some(entry)) = (&self.log, &said.entry) {
            log.answered(peer, entry, (said.code, said.body_len), &self.clock.moment());
        }
    }

    /// Runs a request, which is a call of [`Server::attend`], as far as it goes at once. If it then waits, a task must
    /// do the rest, which is returned. Without memory for the task, the request that has waited longest gives way.
    pub async fn begin<F>(&self, request: F) -> Option<impl Future<Output = ()> + use<F, S>>
    where
        F: Future<Output = ()> + 'static,
    {
        let Begun { task, gave_way } = self.waiting.begin(request).await;
        self.counters.gave_way(gave_way);
        task
    }

    /// The counters.
    pub fn counts(&self) -> HttpCounts {
        self.counters.read()
    }

    /// The number of connections that are being served.
    pub const fn serving(&self) -> u64 {
        self.counters.serving()
    }

    /// Sets the time: once a second while [`Server::in_use`]. `seconds` is monotonic; `unix_seconds` is the wall clock, 0 if
    /// it is unknown.
    pub fn tick(&self, seconds: u64, unix_seconds: u64) {
        self.clock.tick(seconds, unix_seconds);
    }

    /// Waits until the time must be set again in a second.
    pub async fn in_use(&self) {
        self.clock.in_use().await;
    }

    /// Must be called before a connection is served. `true`: the time must be set first, nobody ticks.
    pub fn begins(&self, is_new: bool) -> bool {
        if is_new {
            self.counters.opened();
        }
        self.clock.use_time()
    }

    /// Answers the requests that are there. An idle connection is not waited for.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn serve<T: Stream>(&self, stream: &mut T, port: Port) -> Result<Next, T::Error> {
        self.serve_with(stream, port, &Bytes::new(), None).await
    }

    /// As [`Server::serve`], with header lines for every reply, each ended by CR LF, and from bytes on that were
    /// received already.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn serve_with<T: Stream>(
        &self,
        stream: &mut T,
        port: Port,
        lines: &Bytes,
        received: Option<T::Chunk>,
    ) -> Result<Next, T::Error> {
        let _serving = Serving::new(&self.counters);
        Connection::new(self, stream, port, lines, received).run().await
    }

    /// Answers the requests that are there, from `received` on, and parks the connection or ends it. `lines` are header lines
    /// for every reply, each ended by CR LF.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn attend<T: Stream>(
        &self,
        mut stream: T,
        port: Port,
        lines: &Bytes,
        received: Option<T::Chunk>,
    ) -> Result<(), T::Error> {
        let next = self.serve_with(&mut stream, port, lines, received).await;
        match next {
            Ok(Next::Idle) => stream.park(),
            Ok(Next::End) | Err(_) => stream.end(),
        }
        next.map(drop)
    }

    /// The answer to the request at the front of `bytes`, if its head is complete.
    pub(crate) fn decide(&self, bytes: &[u8], port: Port) -> Result<Option<(Answer, Framing)>, Refusal> {
        let mut room = room();
        let parsed = parse(bytes, &mut room, &self.limits)?;
        let Some((request, framing)) = &parsed else { return Ok(None) };
        let head_only = request.method == Method::Head;
        let entry = self.log.as_ref().map(|_| Entry::new(bytes, request));
        let answer = Answer { reply: self.reply(request, port), persist: framing.persist, head_only, entry };
        Ok(Some((answer, *framing)))
    }

    fn reply(&self, request: &Request<'_>, port: Port) -> Rc<Reply> {
        let now = self.clock.moment();
        let refusal = match request.method {
            Method::Get | Method::Head => {
                let waiting = self.waiting.len();
                let context = Context { now: &now, port, counters: &self.counters, waiting };
                match self.site.get(request, &context) {
                    Some(reply) => return reply,
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
    pub(crate) fn refuse(&self, refusal: Refusal) -> Answer {
        let reply = Rc::new(Reply::refusal(refusal, &self.clock.moment()));
        let entry = self.log.as_ref().map(|_| Entry::default());
        Answer { reply, persist: Persist::Close, head_only: false, entry }
    }
}

/// Counts a connection for as long as it is being served.
pub(crate) struct Serving<'a>(&'a Counters);

impl<'a> Serving<'a> {
    pub(crate) fn new(counters: &'a Counters) -> Self {
        counters.begun();
        Self(counters)
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}
