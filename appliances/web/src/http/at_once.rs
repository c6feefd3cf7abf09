//! The usual request: a whole head in one chunk, no body, and room for the reply. It is answered by calls alone, without a
//! future, a task, or a copy.
//!
//! ```text
//!   ready ─► try_recv ─► decide ─► try_send ─► park
//!               └────────────┴─ anything else ─► Connection, a future, with the chunk
//! ```

use crate::http::reply::Persist;
use crate::http::request_head::Body;
use crate::http::server::{Port, Server, Serving, Site};
use crate::http::stream::Stream;
use core::task::Poll;
use kernel::net::Bytes;

/// The outcome of [`Server::answer_at_once`].
#[derive(Debug)]
pub enum AtOnce<C> {
    /// A request was answered, and nothing else has come: the connection is idle.
    Idle,
    /// The connection ended while the reply was sent.
    End,
    /// [`Server::attend`] must do it, from these bytes on if there are any.
    Later(Option<C>),
}

impl<S: Site> Server<S> {
    /// Answers the request that is there, if it is a usual one.
    pub fn answer_at_once<T: Stream>(&self, stream: &mut T, port: Port) -> AtOnce<T::Chunk> {
        // An end or an error is found again by whoever reads next.
        let Poll::Ready(Ok(Some(chunk))) = stream.try_recv() else { return AtOnce::Later(None) };
        let _serving = Serving::new(&self.counters);
        let bytes: &[u8] = chunk.get(..self.limits.head_bytes).unwrap_or(&chunk);
        let Ok(Some((answer, framing))) = self.decide(bytes, port) else { return AtOnce::Later(Some(chunk)) };
        let is_usual = framing.head_len == chunk.len()
            && framing.body == Body::NONE
            && answer.persist == Persist::Keep;
        if !is_usual {
            return AtOnce::Later(Some(chunk));
        }
        let reply = &answer.reply;
        let first = if answer.head_only { reply.head() } else { reply.whole() };
        let tail_len = if answer.head_only { 0 } else { reply.tail_len() };
        let len = first.len().saturating_add(tail_len);
        // All but the last piece must fit: a piece that finds any room is taken whole.
        if tail_len > 0 && stream.room() <= len {
            return AtOnce::Later(Some(chunk));
        }
        match send(stream, first) {
            Sent::All => {}
            Sent::No => return AtOnce::Later(Some(chunk)),
            Sent::End => return AtOnce::End,
        }
        self.counters.replied(reply.code(), len);
        let mut sent = 0_usize;
        while sent < tail_len {
            let part = reply.tail(sent);
            sent = sent.saturating_add(part.len());
            if part.is_empty() || !matches!(send(stream, part), Sent::All) {
                return AtOnce::End;
            }
        }
        AtOnce::Idle
    }
}

enum Sent {
    All,
    No,
    End,
}

fn send<T: Stream>(stream: &mut T, mut bytes: Bytes) -> Sent {
    match stream.try_send(&mut bytes) {
        Poll::Ready(Ok(())) => Sent::All,
        Poll::Ready(Err(_)) => Sent::End,
        Poll::Pending => Sent::No,
    }
}
