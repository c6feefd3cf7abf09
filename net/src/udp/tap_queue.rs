//! The queues of a tap: whole Ethernet frames of one protocol, each way.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::Waker;

use nic::Packet;

/// A tap on the stack's side.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) protocol: u16,
    received: VecDeque<Packet>,
    outgoing: VecDeque<Vec<u8>>,
    /// Frames that may wait, each way.
    room: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Entry {
    pub(crate) fn new(protocol: u16, room: usize) -> Self {
        let (received, outgoing) = (VecDeque::new(), VecDeque::new());
        Self { protocol, received, outgoing, room: room.max(1), reader: None, writer: None }
    }

    /// Whether no received frame fits any more.
    pub(crate) fn is_full(&self) -> bool {
        self.received.len() >= self.room
    }

    pub(crate) fn push(&mut self, packet: Packet) {
        self.received.push_back(packet);
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Takes a received frame, or registers the task that waits for one.
    pub(crate) fn pop(&mut self, waker: &Waker) -> Option<Packet> {
        self.reader = Some(waker.clone());
        self.received.pop_front()
    }

    /// Queues the frame that is in `frame`, or registers the task that waits for room.
    pub(crate) fn queue(&mut self, frame: &mut Option<Vec<u8>>, waker: &Waker) -> Option<()> {
        if self.outgoing.len() >= self.room {
            self.writer = Some(waker.clone());
            return None;
        }
        self.outgoing.push_back(frame.take()?);
        Some(())
    }

    /// The next frame to send.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        self.outgoing.front().map(Vec::as_slice)
    }

    /// The next frame was sent.
    pub(crate) fn sent(&mut self) {
        self.outgoing.pop_front();
        self.writer.take().into_iter().for_each(Waker::wake);
    }
}
