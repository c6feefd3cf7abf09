//! The receiver of blocks: a trait of four calls, and a status for each block.

use super::stats::ReceiverStats;
use super::status::Status;
use super::streams::Streams;
use super::wire::{Form, Part};

/// What is known of a block before its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead<'a> {
    /// The stream that it belongs to.
    pub stream: u64,
    /// Its number in the stream, from 1.
    pub seq: u64,
    /// Its name.
    pub name: &'a str,
    /// Its bytes.
    pub len: u64,
    /// What they are.
    pub form: Form,
    /// All of it, or a part.
    pub part: Part,
}

/// What gets the blocks. Calls come in the order `begin`, `data` …, and then `finish` or `abandon`.
pub trait Application {
    /// A block begins.
    ///
    /// # Errors
    /// A status refuses it: its bytes are skipped and the status is acknowledged.
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status>;
    /// Some of its bytes, in order.
    ///
    /// # Errors
    /// A status refuses it, as in `begin`; `abandon` is not called any more.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Status>;
    /// It is whole and its check is right. What is returned is acknowledged.
    fn finish(&mut self) -> Status;
    /// It will not be completed now: the sender gave up, or the connection ended. It may come again.
    fn abandon(&mut self);
    /// A block was completed, whatever its status, and is acknowledged next. An application that survives a restart keeps
    /// `streams` here, for [`Receiver::with_streams`](super::Receiver::with_streams).
    fn completed(&mut self, _streams: &Streams) {}
    /// Called after each [`Receiver::feed`](super::Receiver::feed), with what the receiver has done so far.
    fn progress(&mut self, _stats: &ReceiverStats) {}
}
