//! The usual request: a whole head in one chunk, no body, and room for the reply. It is answered by calls alone, without a
//! future, a task, or a copy.
//!
//! ```text
//!   ready ─► try_recv ─► decide ─► try_send ─► park
//!               └────────────┴─ anything else ─► Connection, a future, with the chunk
//! ```

use crate::http::reply::Persist;
use crate::http::request_head::Body;
use crate::http::server::{Answer, Port, Server, Serving, Site};
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
        match self.send_at_once(stream, &answer, lines) {
            Sent::All if answer.persist == Persist::Close => AtOnce::End,
            Sent::All => AtOnce::Idle,
            Sent::No => AtOnce::Later(Some(chunk)),
            Sent::End => AtOnce::End,
        }
    }

    /// Sends a reply, or nothing if there is no room for it.
    fn send_at_once<T: Stream>(&self, stream: &mut T, answer: &Answer, lines: &Bytes) -> Sent {
        if lines.is_empty()
            && let Some(piece) = answer.one_piece()
        {
            let len = piece.len();
            let sent = send(stream, piece);
            if matches!(sent, Sent::All) {
                self.replied(answer, len, stream.peer());
            }
            return sent;
        }
        let pieces = answer.pieces(lines);
        // A piece that finds any room is taken whole: all of them find it.
        if stream.room() <= pieces.len {
            return Sent::No;
        }
        self.replied(answer, pieces.len, stream.peer());
        for piece in pieces.iter() {
            if piece.is_empty() || !matches!(send(stream, piece), Sent::All) {
                return Sent::End;
            }
        }
        Sent::All
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
