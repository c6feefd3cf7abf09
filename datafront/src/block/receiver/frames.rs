//! What complete frames mean: how far a stream has come, what the application says to a block, and the answers.

use super::{Current, Receiver, Skip, State, WINDOW, answer};
use crate::block::application::{Application, BlockHead};
use crate::block::check::check;
use crate::block::fault::Fault;
use crate::block::status::Status;
use crate::block::streams::{MAX_KEPT, Stream};
use crate::block::wire::{
    Fate, Form, Frame, HEADER_BYTES, Kind, MAX_BLOCK_BYTES, TRAILER_BYTES, WANTS_BOUND, WANTS_STOP,
    parse_trailer,
};
use alloc::vec::Vec;

/// Bytes that are still to come of a block for which a sender is stopped: it makes another connection for that.
const WORTH_A_STOP: u64 = 1 << 20;

impl Receiver {
    /// A head that is complete, and looked at by [`Frame::head_len`].
    pub(super) fn frame(
        &mut self,
        head: &[u8; HEADER_BYTES],
        name: &[u8],
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let frame = Frame::verify(head, name).map_err(Fault::Malformed)?;
        match (frame.kind, self.session) {
            (Kind::Hello, None) => self.hello(&frame, answers),
            (Kind::Hello, Some(_)) => Err(Fault::SecondHello),
            (Kind::Block, Some(stream)) => self.block(stream, &frame, name, application, answers),
            (Kind::Block, None) => Err(Fault::NoHello),
            (Kind::Welcome | Kind::Ack | Kind::Error | Kind::Stop, _) => Err(Fault::NotForUs),
        }
    }

    /// Says how far the stream has come, and again what may not have been heard.
    fn hello(&mut self, frame: &Frame, answers: &mut Vec<u8>) -> Result<(), Fault> {
        let stream: &mut Stream = self.streams.enter(frame.length, frame.seq);
        let completed = stream.completed();
        if frame.seq > completed.saturating_add(1) {
            return Err(Fault::Gap { seq: frame.seq, completed });
        }
        self.session = Some(frame.length);
        self.wants_stop = frame.aux & WANTS_STOP != 0;
        if frame.aux & WANTS_BOUND == 0 {
            answer(answers, Kind::Welcome, completed, self.instance, WINDOW);
        } else {
            let welcome = Frame { kind: Kind::Welcome, seq: completed, length: self.instance, aux: WINDOW };
            answers.extend_from_slice(&welcome.to_bytes_bound(frame.length));
        }
        if frame.seq > 0 {
            let kept = completed.saturating_sub(u64::try_from(MAX_KEPT).unwrap_or(0)).saturating_add(1);
            for seq in frame.seq.max(kept)..=completed {
                let (status, len) = stream.kept(seq).unwrap_or((Status::FORGOTTEN, 0));
                answer(answers, Kind::Ack, seq, len, status.0);
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        id: u64,
        frame: &Frame,
        name: &[u8],
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let completed = self.streams.get(id).map_or(0, |stream| stream.completed());
        if frame.seq == 0 || frame.seq == u64::MAX {
            return Err(Fault::Number);
        }
        if frame.seq > completed.saturating_add(1) {
            return Err(Fault::Gap { seq: frame.seq, completed });
        }
        if frame.length > MAX_BLOCK_BYTES {
            return Err(Fault::TooLong(frame.length));
        }
        let name = core::str::from_utf8(name).map_err(|_| Fault::Name)?;
        let skip = if frame.seq <= completed {
            Some(Skip::Duplicate)
        } else {
            let begun = Form::from_aux(frame.aux).ok_or(Status::BAD_FORM).and_then(|(form, part)| {
                let (seq, len) = (frame.seq, frame.length);
                application.begin(&BlockHead { stream: id, seq, name, len, form, part })
            });
            begun.err().map(Skip::Refused)
        };
        let secret = Form::from_aux(frame.aux).is_some_and(|(form, _)| form == Form::Secret);
        let mut current =
            Current { seq: frame.seq, len: frame.length, left: frame.length, sum: check(), secret, skip };
        self.stop_early(&mut current, application, answers);
        self.state = if frame.length == 0 { State::Trailer(current) } else { State::Payload(current) };
        Ok(())
    }

    /// Completes a block that was refused, if the sender takes STOP and many of its bytes are still to come. Sent all the
    /// same, they are skipped.
    pub(super) fn stop_early(
        &mut self,
        current: &mut Current,
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) {
        let Some(Skip::Refused(status)) = current.skip else { return };
        if !self.wants_stop || current.left < WORTH_A_STOP {
            return;
        }
        let Some(stream) = self.session.and_then(|id| self.streams.get(id)) else { return };
        stream.complete(status, 0);
        self.stats.last_seq = current.seq;
        self.stats.counts.refused.bump();
        current.skip = Some(Skip::Stopped(status));
        application.completed(&self.streams);
        answer(answers, Kind::Stop, current.seq, 0, status.0);
    }

    /// The block is complete: the application's word becomes the acknowledgement.
    pub(super) fn end_of_block(
        &mut self,
        current: &Current,
        trailer: [u8; TRAILER_BYTES],
        application: &mut impl Application,
        answers: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let (sum, fate) = parse_trailer(trailer);
        let right = current.sum.clone().finalize();
        let fault = match fate {
            _ if sum != right => Some(Fault::BlockCheck(current.seq)),
            None => Some(Fault::Fate),
            Some(_) => None,
        };
        if let Some(fault) = fault {
            if current.skip.is_none() {
                application.abandon();
            }
            return Err(fault);
        }
        let stream = self.session.and_then(|id| self.streams.get(id)).ok_or(Fault::NoHello)?;
        let status = match (current.skip, fate) {
            (Some(Skip::Duplicate), _) => {
                self.stats.counts.duplicates.bump();
                let (status, len) = stream.kept(current.seq).unwrap_or((Status::FORGOTTEN, 0));
                answer(answers, Kind::Ack, current.seq, len, status.0);
                return Ok(());
            }
            (Some(Skip::Stopped(status)), _) => {
                answer(answers, Kind::Ack, current.seq, 0, status.0);
                return Ok(());
            }
            (Some(Skip::Refused(status)), _) => status,
            (None, Some(Fate::Aborted)) => {
                application.abandon();
                Status::ABORTED
            }
            (None, _) => application.finish(),
        };
        let len = if status.is_accepted() { current.len } else { 0 };
        stream.complete(status, len);
        self.stats.last_seq = current.seq;
        self.stats.counts.bytes.add(len);
        if status.is_accepted() {
            // A check of secret bytes tells 32 bits of them.
            self.stats.chain = chain(self.stats.chain, current.seq, if current.secret { 0 } else { right });
        }
        let counts = &mut self.stats.counts;
        if status.is_accepted() {
            counts.accepted.bump()
        } else {
            counts.refused.bump()
        }
        application.completed(&self.streams);
        answer(answers, Kind::Ack, current.seq, len, status.0);
        Ok(())
    }
}

/// CRC-32C over the chain so far, the block's number and its check, little endian, 16 bytes.
fn chain(before: u32, seq: u64, sum: u32) -> u32 {
    let words = [u64::from(before) | seq << 32, seq >> 32 | u64::from(sum) << 32];
    let mut next = check();
    next.update(words.map(u64::to_le_bytes).as_flattened());
    next.finalize()
}
