//! A connection's life.
//!
//! ```text
//!   ┌─► read a head ──► decide ──► skip the body ──► write the reply ──┐
//!   │      │ end of stream, idle too long: done    close: done ◄───────┤
//!   └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Requests that came together are answered in order, each by one write; the network sends what was written in one go.
//! A reply to GET of a fixed resource costs no allocation: the buffer is the connection's, the reply the resource's.

use crate::http::body::Skipper;
use crate::http::buffer::Buffer;
use crate::http::clock::Patience;
use crate::http::code::{Code, Refusal};
use crate::http::head::{Body, Framing};
use crate::http::reply::Persist;
use crate::http::server::{Answer, Server, Site};
use embedded_io_async::{Read, Write};

/// Heads shorter than this are parsed at each arrival, so that nonsense is refused before its first line ends.
const LOOK_EARLY: usize = 16;

/// One connection.
pub(crate) struct Connection<'a, S, T> {
    server: &'a Server<S>,
    stream: &'a mut T,
    buffer: Buffer,
    patience: Patience<'a>,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Bytes,
    Timeout,
    EndOfStream,
}

impl<'a, S: Site, T: Read + Write> Connection<'a, S, T> {
    pub(crate) fn new(server: &'a Server<S>, stream: &'a mut T) -> Self {
        let buffer = Buffer::new(server.limits.head_bytes);
        Self { server, stream, buffer, patience: server.clock.enter() }
    }

    /// Answers requests until there are no more.
    pub(crate) async fn run(mut self) -> Result<(), T::Error> {
        while let Some(answer) = self.next().await? {
            if !self.write(&answer).await? || answer.persist == Persist::Close {
                break;
            }
        }
        Ok(())
    }

    /// Waits for a request; `None`: there is nothing to answer any more.
    async fn next(&mut self) -> Result<Option<Answer<'a>>, T::Error> {
        let server = self.server;
        let (mut begun, mut parse_due) = (false, true);
        self.patience.limit(server.limits.idle_seconds);
        loop {
            let bytes = self.buffer.filled();
            let before = bytes.len();
            // RFC 9112, 2.2: empty lines before a request are to be ignored.
            if !begun && let Some(b'\r' | b'\n') = bytes.first() {
                self.buffer.consume(1);
                continue;
            }
            if before > 0 {
                if !begun {
                    begun = true;
                    self.patience.limit(server.limits.request_seconds);
                }
                match if parse_due { server.decide(bytes) } else { Ok(None) } {
                    Ok(Some((answer, framing))) if framing.body == Body::NONE => {
                        self.buffer.consume(framing.head_len);
                        return Ok(Some(answer));
                    }
                    Ok(Some((answer, framing))) => return self.pass_body(answer, framing).await,
                    Ok(None) => {}
                    Err(refusal) => return Ok(Some(server.refuse(refusal))),
                }
            }
            match self.fill().await? {
                // A line that is not complete need not be looked at again, unless it grows too long.
                Got::Bytes => {
                    parse_due = !begun
                        || before < LOOK_EARLY
                        || self.buffer.is_full()
                        || self.buffer.filled().iter().skip(before).any(|byte| *byte == b'\n');
                }
                Got::Timeout if begun => return Ok(Some(self.too_slow())),
                Got::Timeout => {
                    self.server.counters.timed_out();
                    return Ok(None);
                }
                Got::EndOfStream => return Ok(None),
            }
        }
    }

    /// Reads past the body of a request, and gives the answer once that is done.
    async fn pass_body(
        &mut self,
        mut answer: Answer<'a>,
        framing: Framing,
    ) -> Result<Option<Answer<'a>>, T::Error> {
        self.buffer.consume(framing.head_len);
        let mut skipper = match Skipper::new(framing.body, self.server.limits.body_bytes) {
            Ok(skipper) => skipper,
            Err(refusal) => return Ok(Some(self.server.refuse(refusal))),
        };
        if framing.expects_continue && !skipper.is_done() {
            // The client may send the body or not, now that it has its answer: nobody could tell it from a request.
            answer.persist = Persist::Close;
            return Ok(Some(answer));
        }
        loop {
            match skipper.skip(self.buffer.filled()) {
                Ok(len) => self.buffer.consume(len),
                Err(refusal) => return Ok(Some(self.server.refuse(refusal))),
            }
            if skipper.is_done() {
                return Ok(Some(answer));
            }
            match self.fill().await? {
                Got::Bytes => {}
                Got::Timeout => return Ok(Some(self.too_slow())),
                Got::EndOfStream => return Ok(None),
            }
        }
    }

    fn too_slow(&self) -> Answer<'a> {
        self.server.counters.timed_out();
        self.server.refuse(Refusal::new(Code::RequestTimeout, "the request took too long to come"))
    }

    async fn fill(&mut self) -> Result<Got, T::Error> {
        Ok(match self.patience.within(self.stream.read(self.buffer.spare())).await {
            None => Got::Timeout,
            Some(read) => match read? {
                0 => Got::EndOfStream,
                len => {
                    self.buffer.fill(len);
                    Got::Bytes
                }
            },
        })
    }

    /// Writes a reply; `false` if the stream takes no more, or the client did not take it in time.
    async fn write(&mut self, answer: &Answer<'_>) -> Result<bool, T::Error> {
        let said;
        let reply = if answer.persist == Persist::Keep {
            &*answer.reply
        } else {
            said = answer.reply.saying(answer.persist);
            &said
        };
        let (bytes, tail) =
            if answer.head_only { (reply.head(), [].as_slice()) } else { (reply.whole(), reply.tail()) };
        let len = bytes.len().saturating_add(tail.len());
        let Server { limits, counters, .. } = self.server;
        counters.replied(reply.code());
        counters.sent(len);
        let extra = len.checked_div(limits.reply_bytes_a_second).unwrap_or(0);
        self.patience.limit(limits.request_seconds.saturating_add(u64::try_from(extra).unwrap_or(0)));
        // Not the trait's own `write_all`, which panics when the stream takes no more.
        let mut parts = [bytes, tail];
        while let Some(rest) = parts.iter_mut().find(|part| !part.is_empty()) {
            match self.patience.within(self.stream.write(rest)).await.transpose()? {
                Some(0) => return Ok(false),
                Some(len) => *rest = rest.get(len..).unwrap_or_default(),
                None => {
                    counters.timed_out();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
