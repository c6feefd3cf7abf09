//! The usual request: a whole head in one chunk, no body, and room for the reply. It is answered by calls alone, without a
//! future, a task, or a copy.
//!
//! ```text
//!   ready ─► try_recv ─► decide ─► try_send ─► park
//!               └────────────┴─ anything else ─► Connection, a future, with the chunk
//! ```

use crate::http::reply::Persist;
use crate::http::request_head::Body;
use crate::http::server::{Answer, Port, Said, Server, Serving, Site};
use crate::http::stream::Stream;
use core::task::Poll;
use kernel::net::Bytes;

/// The outcome of [`Server::answer_at_once`].
#[derive(Debug)]
pub enum AtOnce<C> {
    /// A request was answered, and nothing else has come: the connection is idle.
    Idle,
    /// The connection ends: a request was answered whose reply is the last one, or the stream has failed.
    End,
    /// [`Server::attend`] must do it, from these bytes on if there are any.
    Later(Option<C>),
}

impl<S: Site> Server<S> {
    /// Answers the request that is there, if it is a usual one. `lines` are header lines for every reply, each ended by CR LF.
    pub fn answer_at_once<T: Stream>(&self, stream: &mut T, port: Port, lines: &Bytes) -> AtOnce<T::Chunk> {
        // A log without room is waited for.
        if !self.log_has_room() {
            return AtOnce::Later(None);
        }
        // An end or an error is found again by whoever reads next.
        let Poll::Ready(Ok(Some(chunk))) = stream.try_recv() else { return AtOnce::Later(None) };
        let _serving = Serving::new(&self.counters);
        let bytes: &[u8] = chunk.get(..self.limits.head_bytes).unwrap_or(&chunk);
        let Ok(Some((answer, framing))) = self.decide(bytes, port) else { return AtOnce::Later(Some(chunk)) };
        let later = answer.reply.deferred().is_some();
        if framing.head_len != chunk.len() || framing.body != Body::NONE || later {
            return AtOnce::Later(Some(chunk));
        }
        let persist = answer.persist;
        match self.send_at_once(stream, answer, lines) {
            Sent::All if persist == Persist::Close => AtOnce::End,
            Sent::All => AtOnce::Idle,
            Sent::No => AtOnce::Later(Some(chunk)),
            Sent::End => AtOnce::End,
        }
    }

    /// Sends a reply, or nothing if there is no room for it.
    fn send_at_once<T: Stream>(&self, stream: &mut T, mut answer: Answer, lines: &[u8]) -> Sent {
        if let Some((whole, said)) = answer.kept(lines) {
            return self.send_one(stream, whole, &said);
        }
        let mut pieces = answer.into_pieces(lines);
        if pieces.is_one() {
            let first = pieces.take_first();
            return self.send_one(stream, first, pieces.said());
        }
        // A piece that finds any room is taken whole: all of them find it.
        if stream.room() <= pieces.len || !pieces.are_few() {
            return Sent::No;
        }
        self.replied(pieces.said(), stream.peer());
        for piece in pieces.each() {
            if piece.is_empty() || !matches!(send(stream, piece), Sent::All) {
                return Sent::End;
            }
        }
        Sent::All
    }

    #[inline]
    fn send_one<T: Stream>(&self, stream: &mut T, piece: Bytes, said: &Said) -> Sent {
        let sent = send(stream, piece);
        if matches!(sent, Sent::All) {
            self.replied(said, stream.peer());
        }
        sent
    }
}

/// How far a reply was sent.
enum Sent {
    /// All of it.
    All,
    /// Nothing: there is no room.
    No,
    /// The stream has failed.
    End,
}

fn send<T: Stream>(stream: &mut T, mut bytes: Bytes) -> Sent {
    match stream.try_send(&mut bytes) {
        Poll::Ready(Ok(())) => Sent::All,
        Poll::Ready(Err(_)) => Sent::End,
        Poll::Pending => Sent::No,
    }
}
