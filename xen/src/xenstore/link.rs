//! The ring page as a connection: when it can be used, and how bytes get in and out of it.
//!
//! ```text
//!   Attaching ──indexes read, no reset under way──► Up ──the daemon breaks a rule──► Broken
//!       ▲                                            │                                 │
//!       └───────────── another page, or a reset of this one ◄──────────────────────────┘
//! ```
//!
//! Newer daemons offer a reset of the ring (`server_features`, `connection`) and say when they have given a connection
//! up (`error`). Where those features are not announced, the fields hold nothing and are not read.

use crate::abi::io_xs_wire::{
    XENSTORE_RING_SIZE, XenstoreConnection, XenstoreServerFeatures as Features, offset,
};
use crate::memory::shared::Shared;
use crate::ring::byte_ring::{Incoming, Layout, Outgoing};
use crate::xenstore::error::Broken;
use crate::xenstore::wire::{Assembler, Message};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Acquire, Release};

const SIZE: u32 = 1024;
const _: () = assert!(XENSTORE_RING_SIZE == 1024);
const REQUESTS: Layout =
    Layout { data: offset::REQ, size: SIZE, cons: offset::REQ_CONS, prod: offset::REQ_PROD };
const REPLIES: Layout =
    Layout { data: offset::RSP, size: SIZE, cons: offset::RSP_CONS, prod: offset::RSP_PROD };

/// Whether the ring can be used.
#[derive(Debug)]
pub(super) enum Link {
    /// Not yet: nothing was read from the page, or the daemon is still resetting it.
    Attaching,
    /// Yes.
    Up(Rings),
    /// No more.
    Broken(Broken),
}

/// The result of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    /// Bytes went either way.
    pub(super) any: bool,
    /// The daemon has work: requests, or room for bytes that it could not write.
    pub(super) tell: bool,
}

/// A request of which some bytes are not in the ring yet.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) id: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
}

/// Both rings of the page, in use.
#[derive(Debug)]
pub(super) struct Rings {
    requests: Outgoing,
    replies: Incoming,
    assembler: Assembler,
    leftover: u32,
}

impl Link {
    /// Whether the daemon is about to reset the ring: until it has, no other field means anything.
    pub(super) fn is_resetting(page: &Shared<'static>) -> bool {
        features(page).contains(Features::RECONNECTION)
            && page.load::<u32>(offset::CONNECTION, Acquire) != XenstoreConnection::Connected.raw()
    }

    /// Asks the daemon to reset the ring; `false` if it cannot.
    pub(super) fn ask_for_reset(page: &Shared<'static>) -> bool {
        let can = features(page).contains(Features::RECONNECTION);
        if can {
            page.store(offset::CONNECTION, XenstoreConnection::Reconnect.raw(), Release);
        }
        can
    }
}

impl Rings {
    /// Takes the ring over where its last user stopped; bytes for that user are discarded. Also returns
    /// whether there was one. `None` while the daemon resets the ring.
    pub(super) fn attach(page: &Shared<'static>) -> Option<(Self, bool)> {
        if Link::is_resetting(page) {
            return None;
        }
        let indexes = [offset::REQ_PROD, offset::REQ_CONS, offset::RSP_PROD, offset::RSP_CONS];
        let used_before = indexes.into_iter().any(|index| page.load::<u32>(index, Acquire) != 0);
        let mut replies = Incoming::attach(*page, REPLIES);
        // As Linux does; an impossible `rsp_prod` is as good a start as any other, as nothing before it concerns us.
        let leftover = replies.discard();
        let requests = Outgoing::attach(*page, REQUESTS);
        Some((Self { requests, replies, assembler: Assembler::default(), leftover }, used_before))
    }

    /// Whether a page has this ring, as after a resume in the same domain: our indexes are in it, and the daemon's
    /// are valid.
    pub(super) fn are_those_of(&self, page: &Shared<'static>) -> bool {
        !Link::is_resetting(page) && self.requests.is_at(page) && self.replies.is_at(page)
    }

    /// Bytes of replies that were in the ring when we came.
    pub(super) const fn leftover(&self) -> u32 {
        self.leftover
    }

    /// Takes the bytes of the reply ring and fills the request ring.
    ///
    /// # Errors
    /// The rule that the daemon broke. Messages that were whole before are in `messages` nevertheless.
    pub(super) fn exchange(
        &mut self,
        page: &Shared<'static>,
        messages: &mut Vec<Message>,
        queue: &mut VecDeque<Outbound>,
    ) -> Result<Moved, Broken> {
        if features(page).contains(Features::ERROR) {
            match page.load::<u32>(offset::ERROR, Acquire) {
                0 => {}
                number => return Err(Broken::GivenUp(number)),
            }
        }
        // One look at each index in a pump: the daemon sends an event for later bytes.
        let received = self.receive(messages)?;
        let sent = self.send(queue)?;
        Ok(Moved { any: received.any || sent, tell: received.tell || sent })
    }

    fn receive(&mut self, messages: &mut Vec<Message>) -> Result<Moved, Broken> {
        // In most iterations there is nothing: then no buffer is made.
        if !self.replies.has_news() {
            return Ok(Moved::default());
        }
        let mut buffer = [0; XENSTORE_RING_SIZE];
        let mut bytes = self.replies.read(&mut buffer).map_err(Broken::ReplyIndex)?;
        let taken = bytes.len();
        while let Some(message) = self.assembler.take(&mut bytes).map_err(Broken::MessageTooLong)? {
            messages.push(message);
        }
        Ok(Moved { any: taken != 0, tell: self.replies.was_full(taken) })
    }

    fn send(&mut self, queue: &mut VecDeque<Outbound>) -> Result<bool, Broken> {
        self.requests.unread().map_err(Broken::RequestIndex)?;
        let mut any = false;
        while let Some(out) = queue.front_mut() {
            let rest = out.bytes.get(out.sent..).unwrap_or_default();
            let len = rest.len();
            let sent = self.requests.write(rest).map_err(Broken::RequestIndex)?;
            any |= sent != 0;
            if sent < len {
                out.sent = out.sent.saturating_add(sent);
                break;
            }
            queue.pop_front();
        }
        Ok(any)
    }
}

fn features(page: &Shared<'static>) -> Features {
    Features::from_bits_truncate(page.load(offset::SERVER_FEATURES, Acquire))
}
