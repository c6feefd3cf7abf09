//! A connection while requests come: requests in, replies out.
//!
//! ```text
//!   ┌─► look: head complete? ──► decide ──► body passed? ──► send the reply ──┐
//!   │      │ no                                │ no           close: End ◄────┤
//!   ├──────┴── fill ◄── end of stream: End ────┘                              │
//!   └───────────────────────────── more is there ◄────────────────────────────┴─► nothing is there: Idle
//! ```
//!
//! Pipelined requests are answered in order. GET of a fixed resource costs no allocation: the head is parsed in the memory
//! in which it came, and the reply is the resource's.

use crate::http::clock::TimeLimit;
use crate::http::reply::Persist;
use crate::http::request_body::Skipper;
use crate::http::request_buffer::Input;
use crate::http::request_head::{Body, Framing};
use crate::http::server::{Answer, Next, Port, Server, Site};
use crate::http::status_code::{Code, Refusal};
use crate::http::stream::Stream;
use core::future::{Future as _, poll_fn};
use core::pin::pin;
use core::task::Poll;
use kernel::net::Bytes;

/// Shorter heads are parsed at each arrival, so that nonsense is refused before its first line ends.
const LOOK_EARLY: usize = 16;

/// One connection.
pub(crate) struct Connection<'a, S, T: Stream> {
    server: &'a Server<S>,
    stream: &'a mut T,
    port: Port,
    /// Header lines of every reply.
    lines: &'a Bytes,
    input: Input<T::Chunk>,
    time_limit: TimeLimit<'a>,
    /// Bytes of the unfinished request at the last look; `None` between requests.
    seen: Option<usize>,
    /// The answer to a request whose body has not arrived yet.
    pending: Option<(Answer, Skipper)>,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Bytes,
    Timeout,
    EndOfStream,
    NoMemory,
}

impl<'a, S: Site, T: Stream> Connection<'a, S, T> {
    pub(crate) fn new(
        server: &'a Server<S>,
        stream: &'a mut T,
        port: Port,
        lines: &'a Bytes,
        received: Option<T::Chunk>,
    ) -> Self {
        let input = Input::new(server.limits.head_bytes, received);
        Self {
            server,
            stream,
            port,
            lines,
            input,
            time_limit: server.clock.limit(),
            seen: None,
            pending: None,
        }
    }

    /// Answers the requests that are there.
    pub(crate) async fn run(mut self) -> Result<Next, T::Error> {
        loop {
            let answer = match self.look() {
                Some(answer) => answer,
                None => match self.more().await? {
                    None => return Ok(Next::Idle),
                    Some(Got::Bytes) => continue,
                    Some(Got::EndOfStream) => return Ok(Next::End),
                    Some(Got::NoMemory) => self.server.refuse(NO_MEMORY),
                    Some(Got::Timeout) => {
                        self.server.counters.timed_out();
                        self.server.refuse(TOO_SLOW)
                    }
                },
            };
            let answer = self.complete(answer).await;
            let persist = answer.persist;
            if !self.write(answer).await? || persist == Persist::Close {
                return Ok(Next::End);
            }
            self.seen = None;
            if self.input.is_empty() {
                return Ok(Next::Idle);
            }
        }
    }

    /// Waits for a reply that is made later.
    async fn complete(&self, mut answer: Answer) -> Answer {
        let Some(deferred) = answer.reply.deferred().cloned() else { return answer };
        self.time_limit.set(deferred.seconds());
        self.time_limit.within(pin!(poll_fn(|cx| deferred.poll_ready(cx)))).await;
        answer.reply = deferred.reply(&self.server.clock.moment());
        answer
    }

    /// More bytes of a request, or of the next one; `None` if no request has begun and nothing is there.
    async fn more(&mut self) -> Result<Option<Got>, T::Error> {
        if self.seen.is_some() {
            return Ok(Some(self.fill().await?));
        }
        let polled = {
            let mut next = pin!(self.stream.recv());
            poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await
        };
        let Poll::Ready(received) = polled else { return Ok(None) };
        Ok(Some(match received? {
            Some(chunk) => self.take(chunk),
            None => Got::EndOfStream,
        }))
    }

    /// The answer to the next request, if it is complete.
    fn look(&mut self) -> Option<Answer> {
        if self.pending.is_some() {
            return self.pass_body();
        }
        let server = self.server;
        // RFC 9112, 2.2: empty lines before a request are to be ignored.
        while self.seen.is_none() && matches!(self.input.first(), Some(b'\r' | b'\n')) {
            self.input.consume(1);
        }
        let bytes = self.input.filled();
        if bytes.is_empty() {
            return None;
        }
        let seen = self.seen.unwrap_or_else(|| {
            self.time_limit.set(server.limits.request_seconds);
            0
        });
        self.seen = Some(bytes.len());
        // A line that is not complete need not be looked at again, unless it grows too long.
        let ends = |bytes: &[u8]| bytes.iter().skip(seen).any(|byte| *byte == b'\n');
        if seen >= LOOK_EARLY && !self.input.is_full() && !ends(bytes) {
            return None;
        }
        match server.decide(bytes, self.port) {
            Ok(Some((answer, framing))) => {
                self.input.consume(framing.head_len);
                if framing.body == Body::NONE { Some(answer) } else { self.begin_body(answer, framing) }
            }
            Ok(None) => None,
            Err(refusal) => Some(server.refuse(refusal)),
        }
    }

    /// Begins to skip the body of a request; its answer, if the body is complete already or will not be read.
    fn begin_body(&mut self, mut answer: Answer, framing: Framing) -> Option<Answer> {
        match Skipper::new(framing.body, self.server.limits.body_bytes) {
            Ok(_) if framing.expects_continue => {
                // The client may send the body or not after this answer, so the next bytes are ambiguous.
                answer.persist = Persist::Close;
                Some(answer)
            }
            Ok(skipper) => {
                self.pending = Some((answer, skipper));
                self.pass_body()
            }
            Err(refusal) => Some(self.server.refuse(refusal)),
        }
    }

    /// Skips what has arrived of the body; the answer at its end.
    fn pass_body(&mut self) -> Option<Answer> {
        let (answer, mut skipper) = self.pending.take()?;
        while !skipper.is_done() && !self.input.is_empty() {
            match skipper.skip(self.input.filled()) {
                Ok(len) => self.input.consume(len),
                Err(refusal) => return Some(self.server.refuse(refusal)),
            }
        }
        if skipper.is_done() {
            return Some(answer);
        }
        self.pending = Some((answer, skipper));
        None
    }

    fn take(&mut self, chunk: T::Chunk) -> Got {
        if self.input.add(chunk) { Got::Bytes } else { Got::NoMemory }
    }

    async fn fill(&mut self) -> Result<Got, T::Error> {
        let hidden = self.input.has_hidden();
        // What is there of a head is copied, so that a slow client does not hold a page.
        if !self.input.keep() {
            return Ok(Got::NoMemory);
        }
        // The rest of the head may have come already, in the last chunk.
        if hidden {
            return Ok(Got::Bytes);
        }
        let received = self.time_limit.within(pin!(self.stream.recv())).await;
        Ok(match received.transpose()? {
            None => Got::Timeout,
            Some(None) => Got::EndOfStream,
            Some(Some(chunk)) => self.take(chunk),
        })
    }

    /// Sends a reply; `false` if the client did not take it in time.
    async fn write(&mut self, answer: Answer) -> Result<bool, T::Error> {
        let pieces = answer.into_pieces(self.lines);
        let len = pieces.len;
        let limits = self.server.limits;
        if !self.server.log_has_room() && !self.wait_for_log().await {
            return Ok(false);
        }
        self.server.replied(pieces.said(), self.stream.peer());
        let extra = len.checked_div(limits.reply_bytes_a_second).unwrap_or(0);
        self.time_limit.set(limits.request_seconds.saturating_add(u64::try_from(extra).unwrap_or(0)));
        for piece in pieces.each() {
            if piece.is_empty() || !self.send(piece).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for room in the log, for as long as a request may take; `false`: there was none.
    async fn wait_for_log(&mut self) -> bool {
        self.time_limit.set(self.server.limits.request_seconds);
        let room = pin!(poll_fn(|cx| self.server.poll_log(cx)));
        let has_room = self.time_limit.within(room).await.is_some();
        if !has_room {
            self.server.counters.timed_out();
        }
        has_room
    }

    async fn send(&mut self, bytes: Bytes) -> Result<bool, T::Error> {
        let sent = self.time_limit.within(pin!(self.stream.send(bytes))).await.transpose()?;
        if sent.is_none() {
            self.server.counters.timed_out();
        }
        Ok(sent.is_some())
    }
}

const NO_MEMORY: Refusal = Refusal::new(Code::ServiceUnavailable, "memory is short");
const TOO_SLOW: Refusal = Refusal::new(Code::RequestTimeout, "the request took too long to come");
