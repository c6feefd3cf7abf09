//! A connection: the engine's TCB, its owner, and the tasks that wait for it.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::task::Waker;

use bitflags::bitflags;
use tcp::{CloseReason, State, Tcb};

use crate::base::chunk::Chunk;
use crate::base::error::NetError;
use crate::link::neighbours::Pin;
use crate::tcp::options::ConnOptions;

/// The owner of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A listener: the connection waits to be accepted.
    Ready,
    /// An application.
    Held,
    /// A listener: the connection waits for received bytes.
    Parked,
    /// None: the connection is being closed.
    Orphan,
}

/// The state of a connection while an application uses it.
#[derive(Debug, Default)]
pub(crate) struct Io {
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    /// The rest of the slice that the last zero-copy write got.
    pub(crate) front: Option<Chunk>,
}

/// The memory of a connection at two times, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) before: usize,
    pub(super) now: usize,
}

/// A period without a request on a parked connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// The end of the period, in seconds of the engine's time; 0: none.
    pub(super) end: u32,
    /// Bytes that were unacknowledged when the period began.
    pub(super) queued: u32,
}

bitflags! {
    /// Where a connection is listed, and what has happened to it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct ConnFlags: u8 {
        /// In the list of connections with something to send.
        const QUEUED = 1;
        /// Its timer and its memory are updated at the end of the iteration.
        const TOUCHED = 1 << 1;
        /// In the list of connections that wait for their neighbour.
        const WAITS_FOR_NEIGHBOUR = 1 << 2;
        /// An application has had it before.
        const WAS_HELD = 1 << 3;
        /// An application has taken bytes of the peer.
        const HAS_ASKED = 1 << 4;
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) tcb: Tcb<Chunk>,
    pub(crate) options: Rc<ConnOptions>,
    io: Option<Box<Io>>,
    /// Bytes of memory at the last look, see [`Conn::memory`].
    pub(crate) charged: u32,
    /// The flow hash, by which an interface chooses a queue.
    pub(crate) flow: u32,
    pub(crate) owner: Owner,
    pub(crate) flags: ConnFlags,
    /// The current period, while it is parked.
    pub(super) rest: Rest,
    /// The pinned entry of the neighbour table.
    pub(crate) pin: Option<Pin>,
    /// The reason for its end, if the engine does not know it.
    pub(crate) fault: Option<NetError>,
}

// Its places in the table, the timer wheel and the counts of sources take at most 64 bytes more.
const _: () = assert!(size_of::<Conn>() <= 200);

impl Conn {
    pub(crate) const fn new(tcb: Tcb<Chunk>, options: Rc<ConnOptions>, owner: Owner) -> Self {
        Self {
            tcb,
            options,
            io: None,
            charged: 0,
            flow: 0,
            owner,
            flags: ConnFlags::empty(),
            rest: Rest { end: 0, queued: 0 },
            pin: None,
            fault: None,
        }
    }

    #[inline]
    pub(crate) const fn is(&self, flag: ConnFlags) -> bool {
        self.flags.contains(flag)
    }

    pub(crate) fn io(&mut self) -> &mut Io {
        self.io.get_or_insert_with(Box::default)
    }

    /// Whether there is nothing to follow after a call into the engine: it has no news, and the rest of the iteration
    /// refreshes it anyway.
    #[inline]
    pub(super) fn is_followed(&self) -> bool {
        self.is(ConnFlags::TOUCHED)
            && !self.tcb.has_events()
            && self.tcb.state() == State::Established
            && !(self.owner == Owner::Parked && self.is_readable())
            && (self.is(ConnFlags::QUEUED) || !self.tcb.wants_transmit())
    }

    /// The bytes that were put back.
    pub(crate) fn take_front(&mut self) -> Option<Chunk> {
        self.io.as_mut().and_then(|io| io.front.take())
    }

    /// Frees the state that only an application in use needs.
    pub(crate) fn rest(&mut self) {
        if self.io.as_ref().is_some_and(|io| io.front.is_none()) {
            self.io = None;
        }
    }

    /// What it uses now and what it was charged for, which is set to that.
    #[inline]
    pub(super) fn charge(&mut self) -> Memory {
        let now = self.memory();
        let charged = u32::try_from(now).unwrap_or(u32::MAX);
        let before = core::mem::replace(&mut self.charged, charged);
        Memory { before: usize::try_from(before).unwrap_or(usize::MAX), now }
    }

    /// Bytes of memory beside its place in the table.
    fn memory(&self) -> usize {
        let own = self.tcb.memory();
        let Some(io) = &self.io else { return own };
        let front = io.front.as_ref().map_or(0, |chunk| chunk.len());
        own.saturating_add(size_of::<Io>()).saturating_add(front)
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

    /// The reason for its end, unless it was closed in order.
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

    /// The name of the state in RFC 9293.
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
