//! A connection: requests in, replies out.
//!
//! ```text
//!   ┌─► look: head complete? ──► decide ──► body passed? ──► write the reply ──┐
//!   │      │ no                                │ no             close: done ◄──┤
//!   ├──────┴── fill ◄── end of stream: done ───┘                               │
//!   └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Pipelined requests are answered in order. A reply whose body lies behind its head is one write. GET of a fixed resource
//! costs no allocation: the buffer belongs to the connection, the reply to the resource.

use crate::http::body::Skipper;
use crate::http::buffer::Buffer;
use crate::http::clock::TimeLimit;
use crate::http::code::{Code, Refusal};
use crate::http::head::{Body, Framing};
use crate::http::reply::{Persist, Reply};
use crate::http::server::{Answer, Server, Site};
use alloc::vec::Vec;
use core::pin::pin;
use embedded_io_async::{Read, Write};

/// Shorter heads are parsed at each arrival, so that nonsense is refused before its first line ends.
const LOOK_EARLY: usize = 16;

/// One connection.
pub(crate) struct Connection<'a, S, T> {
    server: &'a Server<S>,
    stream: &'a mut T,
    /// Header lines of every reply on this connection.
    lines: &'a str,
    buffer: Buffer,
    time_limit: TimeLimit<'a>,
    /// Bytes of the unfinished request at the last look; `None` between requests.
    seen: Option<usize>,
    /// The answer to a request whose body has not arrived yet.
    pending: Option<(Answer<'a>, Skipper)>,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Bytes,
    Timeout,
    EndOfStream,
}

impl<'a, S: Site, T: Read + Write> Connection<'a, S, T> {
    pub(crate) fn new(server: &'a Server<S>, stream: &'a mut T, lines: &'a str) -> Self {
        let buffer = Buffer::new(server.limits.head_bytes);
        Self { server, stream, lines, buffer, time_limit: server.clock.enter(), seen: None, pending: None }
    }

    /// Answers requests until there are no more.
    pub(crate) async fn run(mut self) -> Result<(), T::Error> {
        self.rest();
        loop {
            let answer = match self.look() {
                Some(answer) => answer,
                None => match self.fill().await? {
                    Got::Bytes => continue,
                    Got::EndOfStream => return Ok(()),
                    Got::Timeout => {
                        self.server.counters.timed_out();
                        if self.seen.is_none() {
                            return Ok(());
                        }
                        self.too_slow()
                    }
                },
            };
            if !self.write(&answer).await? || answer.persist == Persist::Close {
                return Ok(());
            }
            self.rest();
        }
    }

    /// Begins the time between two requests.
    fn rest(&mut self) {
        self.seen = None;
        self.time_limit.set(self.server.limits.idle_seconds);
    }

    /// The answer to the next request in the buffer, if it is complete.
    fn look(&mut self) -> Option<Answer<'a>> {
        if self.pending.is_some() {
            return self.pass_body();
        }
        let server = self.server;
        // RFC 9112, 2.2: empty lines before a request are to be ignored.
        while self.seen.is_none() && matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
            self.buffer.consume(1);
        }
        if self.buffer.is_empty() {
            return None;
        }
        let bytes = self.buffer.filled();
        let seen = self.seen.unwrap_or_else(|| {
            self.time_limit.set(server.limits.request_seconds);
            0
        });
        self.seen = Some(bytes.len());
        // A line that is not complete need not be looked at again, unless it grows too long.
        let ends = |bytes: &[u8]| bytes.iter().skip(seen).any(|byte| *byte == b'\n');
        if seen >= LOOK_EARLY && !self.buffer.is_full() && !ends(bytes) {
            return None;
        }
        match server.decide(bytes) {
            Ok(Some((answer, framing))) => {
                self.buffer.consume(framing.head_len);
                if framing.body == Body::NONE { Some(answer) } else { self.begin_body(answer, framing) }
            }
            Ok(None) => None,
            Err(refusal) => Some(server.refuse(refusal)),
        }
    }

    /// Begins to skip the body of a request; its answer, if the body is complete already or will not be read.
    fn begin_body(&mut self, mut answer: Answer<'a>, framing: Framing) -> Option<Answer<'a>> {
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
    fn pass_body(&mut self) -> Option<Answer<'a>> {
        let (answer, mut skipper) = self.pending.take()?;
        match skipper.skip(self.buffer.filled()) {
            Ok(len) => self.buffer.consume(len),
            Err(refusal) => return Some(self.server.refuse(refusal)),
        }
        if skipper.is_done() {
            return Some(answer);
        }
        self.pending = Some((answer, skipper));
        None
    }

    fn too_slow(&self) -> Answer<'a> {
        self.server.refuse(Refusal::new(Code::RequestTimeout, "the request took too long to come"))
    }

    async fn fill(&mut self) -> Result<Got, T::Error> {
        let read = self.time_limit.within(pin!(self.stream.read(self.buffer.spare()))).await;
        Ok(match read.transpose()? {
            None => Got::Timeout,
            Some(0) => Got::EndOfStream,
            Some(len) => {
                self.buffer.fill(len);
                Got::Bytes
            }
        })
    }

    /// Writes a reply; `false` if the stream takes no more bytes, or the client did not take them in time.
    async fn write(&mut self, answer: &Answer<'_>) -> Result<bool, T::Error> {
        let Answer { reply, persist, head_only, .. } = answer;
        let said;
        let first = match (persist, head_only) {
            (Persist::Keep, false) if self.lines.is_empty() => reply.whole(),
            (Persist::Keep, true) if self.lines.is_empty() => reply.head(),
            _ => {
                said = saying(reply, *persist, self.lines, *head_only);
                &said
            }
        };
        let tail_len = if *head_only { 0 } else { reply.tail_len() };
        let len = first.len().saturating_add(tail_len);
        let Server { limits, counters, .. } = self.server;
        counters.replied(reply.code(), len);
        let extra = len.checked_div(limits.reply_bytes_a_second).unwrap_or(0);
        self.time_limit.set(limits.request_seconds.saturating_add(u64::try_from(extra).unwrap_or(0)));
        // Not the trait's own `write_all`, which panics when the stream takes no more.
        let (mut rest, mut sent) = (first, 0_usize);
        loop {
            if rest.is_empty() {
                rest = if sent < tail_len { reply.tail(sent) } else { &[] };
                sent = sent.saturating_add(rest.len());
            }
            if rest.is_empty() {
                return Ok(true);
            }
            let written = self.time_limit.within(pin!(self.stream.write(rest))).await;
            match written.transpose()? {
                Some(0) => return Ok(false),
                Some(len) => rest = rest.get(len..).unwrap_or_default(),
                None => {
                    counters.timed_out();
                    return Ok(false);
                }
            }
        }
    }
}

/// The head with a `Connection` line and others, and behind it the part of the body that lies behind the head: a short copy.
fn saying(reply: &Reply, persist: Persist, lines: &str, head_only: bool) -> Vec<u8> {
    let body = if head_only { &[] } else { reply.inline() };
    [reply.open_head(), persist.header(), lines.as_bytes(), b"\r\n", body].concat()
}
