//! A connection's life.
//!
//! ```text
//!   ┌─► read a head ──► skip its body ──► ask the site ──► write the reply ──┐
//!   │      │ end of stream, idle too long: done      close: done ◄───────────┤
//!   └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Requests that came together are answered in order, each by one write; the network sends what was written in one go.
//! A reply to GET of a fixed resource costs no allocation: the buffer is the connection's, the reply the resource's.
//!
//! The stream is not closed here, it is the caller's: it must close in order (FIN, and what still comes in is thrown
//! away), or a client that is being refused may lose the reply to a reset.

use crate::http::body::Skipper;
use crate::http::buffer::Buffer;
use crate::http::clock::{Clock, Moment, Patience};
use crate::http::code::{Code, Refusal};
use crate::http::counts::{Counters, HttpCounts};
use crate::http::head::{Framing, Method, Request, parse, room};
use crate::http::limits::Limits;
use crate::http::reply::{Persist, Reply};
use alloc::rc::Rc;
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
    /// What the server counted so far.
    pub counts: HttpCounts,
}

/// A server: a site, and what its connections share.
#[derive(Debug)]
pub struct Server<S> {
    site: S,
    limits: Limits,
    clock: Clock,
    counters: Counters,
}

/// What a request leads to.
struct Answer {
    reply: Rc<Reply>,
    persist: Persist,
    head_only: bool,
}

/// How waiting for a request ended.
enum Next<E> {
    Answer(Answer),
    /// There is nothing to answer any more.
    End,
    Failed(E),
}

/// What reading brought.
enum Got<E> {
    Bytes,
    Timeout,
    EndOfStream,
    Failed(E),
}

impl<S: Site> Server<S> {
    /// A server for a site.
    #[must_use]
    pub fn new(site: S, limits: Limits) -> Self {
        Self { site, limits, clock: Clock::default(), counters: Counters::default() }
    }

    /// What was counted so far.
    pub fn counts(&self) -> HttpCounts {
        self.counters.read()
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
    /// # Errors
    /// What the stream says.
    pub async fn serve<T: Read + Write>(&self, stream: &mut T) -> Result<(), T::Error> {
        let patience = self.clock.enter();
        let _open = Open::new(&self.counters);
        let mut buffer = Buffer::new(self.limits.head_bytes);
        loop {
            let answer = match self.next(stream, &mut buffer, &patience).await {
                Next::Answer(answer) => answer,
                Next::End => return Ok(()),
                Next::Failed(error) => return Err(error),
            };
            if !self.write(stream, &answer, &patience).await? || answer.persist == Persist::Close {
                return Ok(());
            }
        }
    }

    /// Waits for a request and decides on its answer.
    async fn next<T: Read>(
        &self,
        stream: &mut T,
        buffer: &mut Buffer,
        patience: &Patience<'_>,
    ) -> Next<T::Error> {
        let (mut begun, mut parse_due) = (false, true);
        patience.limit(self.limits.idle_seconds);
        loop {
            if !begun {
                skip_empty_lines(buffer);
            }
            if !buffer.is_empty() {
                if !begun {
                    begun = true;
                    patience.limit(self.limits.request_seconds);
                }
                match if parse_due { self.decide(buffer.filled()) } else { Ok(None) } {
                    Ok(Some((answer, framing))) => {
                        return self.pass_body(stream, buffer, patience, answer, framing).await;
                    }
                    Ok(None) => {}
                    Err(refusal) => return self.refuse(refusal),
                }
            }
            let before = buffer.filled().len();
            match fill(stream, buffer, patience).await {
                // A line that is not complete need not be looked at again, unless it grows too long.
                Got::Bytes => {
                    let fresh = buffer.filled().get(before..).unwrap_or_default();
                    parse_due = !begun || buffer.is_full() || fresh.contains(&b'\n') || before < LOOK_EARLY;
                }
                Got::Timeout if begun => return self.too_slow(),
                Got::Timeout => {
                    self.counters.timed_out();
                    return Next::End;
                }
                Got::EndOfStream => return Next::End,
                Got::Failed(error) => return Next::Failed(error),
            }
        }
    }

    /// Reads past the body of a request, and gives the answer once that is done.
    async fn pass_body<T: Read>(
        &self,
        stream: &mut T,
        buffer: &mut Buffer,
        patience: &Patience<'_>,
        mut answer: Answer,
        framing: Framing,
    ) -> Next<T::Error> {
        buffer.consume(framing.head_len);
        let mut skipper = match Skipper::new(framing.body, self.limits.body_bytes) {
            Ok(skipper) => skipper,
            Err(refusal) => return self.refuse(refusal),
        };
        if framing.expects_continue && !skipper.is_done() {
            // The client may send the body or not, now that it has its answer: nobody could tell it from a request.
            answer.persist = Persist::Close;
            return Next::Answer(answer);
        }
        loop {
            match skipper.skip(buffer.filled()) {
                Ok(len) => buffer.consume(len),
                Err(refusal) => return self.refuse(refusal),
            }
            if skipper.is_done() {
                return Next::Answer(answer);
            }
            match fill(stream, buffer, patience).await {
                Got::Bytes => {}
                Got::Timeout => return self.too_slow(),
                Got::EndOfStream => return Next::End,
                Got::Failed(error) => return Next::Failed(error),
            }
        }
    }

    /// The answer to the request at the front of `bytes`, if its head is complete.
    fn decide(&self, bytes: &[u8]) -> Result<Option<(Answer, Framing)>, Refusal> {
        let mut room = room();
        let Some((request, framing)) = parse(bytes, &mut room, &self.limits)? else { return Ok(None) };
        let now = self.clock.moment();
        let context = Context { now: &now, counts: self.counters.read() };
        let refused = match request.method {
            Method::Get | Method::Head => None,
            Method::NotAllowed => Some(Refusal::new(Code::MethodNotAllowed, "what is here can only be read")),
            Method::Unknown => Some(Refusal::new(Code::NotImplemented, "the method is not known")),
        };
        let reply = match refused {
            Some(refusal) => Rc::new(Reply::refusal(refusal, &now)),
            None => self.site.get(&request, &context).unwrap_or_else(|| {
                Rc::new(Reply::refusal(
                    Refusal::new(Code::NotFound, "nothing is published at this path"),
                    &now,
                ))
            }),
        };
        let answer = Answer { reply, persist: framing.persist, head_only: request.method == Method::Head };
        Ok(Some((answer, framing)))
    }

    fn too_slow<E>(&self) -> Next<E> {
        self.counters.timed_out();
        self.refuse(Refusal::new(Code::RequestTimeout, "the request took too long to come"))
    }

    /// Nobody knows where the next request would begin: the connection ends.
    fn refuse<E>(&self, refusal: Refusal) -> Next<E> {
        let reply = Rc::new(Reply::refusal(refusal, &self.clock.moment()));
        Next::Answer(Answer { reply, persist: Persist::Close, head_only: false })
    }

    /// Writes a reply; `false` if the client did not take it in time.
    async fn write<T: Write>(
        &self,
        stream: &mut T,
        answer: &Answer,
        patience: &Patience<'_>,
    ) -> Result<bool, T::Error> {
        let said;
        let reply = if answer.persist == Persist::Keep {
            &*answer.reply
        } else {
            said = answer.reply.saying(answer.persist);
            &said
        };
        let bytes = if answer.head_only { reply.head() } else { reply.whole() };
        self.counters.replied(reply.code());
        self.counters.sent(bytes.len());
        let extra = bytes.len().checked_div(self.limits.reply_bytes_a_second).unwrap_or(0);
        patience.limit(self.limits.request_seconds.saturating_add(u64::try_from(extra).unwrap_or(0)));
        match patience.within(write_all(stream, bytes)).await {
            Some(written) => written,
            None => {
                self.counters.timed_out();
                Ok(false)
            }
        }
    }
}

/// Heads shorter than this are parsed at each arrival, so that nonsense is refused before its first line ends.
const LOOK_EARLY: usize = 16;

/// RFC 9112, 2.2: empty lines before a request are to be ignored.
fn skip_empty_lines(buffer: &mut Buffer) {
    let empty = buffer.filled().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if empty > 0 {
        buffer.consume(empty);
    }
}

/// Writes everything; `false` if the stream takes no more. (The trait's own `write_all` panics then.)
async fn write_all<T: Write>(stream: &mut T, bytes: &[u8]) -> Result<bool, T::Error> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match stream.write(rest).await? {
            0 => return Ok(false),
            len => rest = rest.get(len..).unwrap_or_default(),
        }
    }
    Ok(true)
}

async fn fill<T: Read>(stream: &mut T, buffer: &mut Buffer, patience: &Patience<'_>) -> Got<T::Error> {
    let read = patience.within(stream.read(buffer.spare())).await;
    match read {
        None => Got::Timeout,
        Some(Ok(0)) => Got::EndOfStream,
        Some(Ok(len)) => {
            buffer.fill(len);
            Got::Bytes
        }
        Some(Err(error)) => Got::Failed(error),
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
