//! A connection: the engine's part, who owns it, and the tasks that wait for it.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::task::Waker;

use tcp::{CloseReason, State, Tcb};

use crate::base::chunk::Chunk;
use crate::base::error::NetError;
use crate::base::options::TcpOptions;

/// Who answers for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A listener: it waits to be accepted.
    Ready,
    /// An application.
    Held,
    /// A listener: it waits for something to read.
    Parked,
    /// Nobody: it is being closed.
    Orphan,
}

/// What a connection has while an application works with it.
#[derive(Debug, Default)]
pub(crate) struct Io {
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    /// What is left of the bytes that were lent last.
    pub(crate) front: Option<Chunk>,
    /// Bytes to be sent that were copied here; what is sent by reference belongs to the application.
    pub(crate) copied: u32,
}

/// A period without a request on a parked connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// When it ends, in seconds of the engine's time; 0: it has no end.
    pub(super) end: u32,
    /// Bytes that were unacknowledged at its beginning.
    pub(super) queued: u32,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) tcb: Tcb<Chunk>,
    pub(crate) options: Rc<TcpOptions>,
    io: Option<Box<Io>>,
    /// Bytes of memory that it was last found to take, [`Conn::memory`].
    pub(crate) charged: u32,
    /// The hash of its flow, by which an interface with several queues chooses one.
    pub(crate) flow: u32,
    pub(crate) owner: Owner,
    /// In the list of connections with something to send.
    pub(crate) queued: bool,
    /// In the list of connections that wait for their neighbour.
    pub(crate) waits_for_neighbour: bool,
    /// An application had it already.
    pub(crate) was_held: bool,
    /// While it is parked.
    pub(super) rest: Rest,
    /// The neighbour's entry that it holds.
    pub(crate) pin: Option<u32>,
    /// Why it ended, if the engine does not know.
    pub(crate) fault: Option<NetError>,
}

// Beside it at most 64 bytes in the table, the wheel and the counts of sources.
const _: () = assert!(size_of::<Conn>() <= 216);

impl Conn {
    pub(crate) const fn new(tcb: Tcb<Chunk>, options: Rc<TcpOptions>, owner: Owner) -> Self {
        Self {
            tcb,
            options,
            io: None,
            charged: 0,
            flow: 0,
            owner,
            queued: false,
            waits_for_neighbour: false,
            was_held: false,
            rest: Rest { end: 0, queued: 0 },
            pin: None,
            fault: None,
        }
    }

    pub(crate) fn io(&mut self) -> &mut Io {
        self.io.get_or_insert_with(Box::default)
    }

    /// Nobody works with it for a while: what that needs goes.
    pub(crate) fn rest(&mut self) {
        if self.io.as_ref().is_some_and(|io| io.front.is_none() && io.copied == 0) {
            self.io = None;
        }
    }

    /// Bytes of memory that it takes beside its place in the table.
    pub(crate) fn memory(&mut self) -> usize {
        let own = self.tcb.memory();
        let queued = self.tcb.send_queued();
        let Some(io) = &mut self.io else { return own };
        io.copied = io.copied.min(queued);
        let front = io.front.as_ref().map_or(0, |chunk| chunk.len());
        let copied = usize::try_from(io.copied).unwrap_or(usize::MAX);
        own.saturating_add(size_of::<Io>()).saturating_add(front).saturating_add(copied)
    }

    pub(crate) fn wake_reader(&mut self) {
        let io = self.io.as_mut();
        io.and_then(|io| io.reader.take()).into_iter().for_each(Waker::wake);
    }

    pub(crate) fn wake_writer(&mut self) {
        let io = self.io.as_mut();
        io.and_then(|io| io.writer.take()).into_iter().for_each(Waker::wake);
    }

    /// Whether a read would not wait.
    pub(crate) fn is_readable(&self) -> bool {
        let front = self.io.as_ref().is_some_and(|io| io.front.is_some());
        front || self.tcb.receive_queued() > 0 || self.tcb.at_end()
    }

    /// Why it ended, unless orderly.
    pub(crate) fn error(&self) -> Option<NetError> {
        self.fault.or(match self.tcb.close_reason()? {
            CloseReason::Finished => None,
            CloseReason::Reset => Some(NetError::Reset),
            CloseReason::Refused => Some(NetError::Refused),
            CloseReason::TimedOut => Some(NetError::TimedOut),
            CloseReason::Aborted => Some(NetError::Closed),
            CloseReason::Unreachable => Some(NetError::NoRoute),
        })
    }

    /// The state's name in RFC 9293.
    pub(crate) const fn state_name(&self) -> &'static str {
        match self.tcb.state() {
            State::Closed => "closed",
            State::SynSent => "syn-sent",
            State::SynReceived => "syn-received",
            State::Established => "established",
            State::FinWait1 => "fin-wait-1",
            State::FinWait2 => "fin-wait-2",
            State::CloseWait => "close-wait",
            State::Closing => "closing",
            State::LastAck => "last-ack",
            State::TimeWait => "time-wait",
        }
    }
}
