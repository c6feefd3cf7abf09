//! The server's view of a channel: indexes, liveness, and who wants to hear of what.
//!
//! ```text
//!   take: prod (acquire) ─ once ─► prod − cons ≤ size? ─► copy out ─► cons (release) ─► barrier ─► READ wished for? event
//!   put:  cons (acquire) ─ once ─► prod − cons ≤ size? ─► copy in  ─► prod (release) ─► barrier ─► WRITE wished for? event
//!   before sleep: set the wish, barrier, look again
//! ```
//!
//! `cli_notify` is what the *client* is to tell the server of, so the server sets bits there and the client takes them;
//! `srv_notify` mirrors it. (`tools/libs/vchan/io.c`, `request_notify`, `send_notify`)

use super::order::Sizes;
use super::ring::{Rings, SharedPage};
use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use xen::Shared;
use xen::abi::io_libxenvchan::{VchanLive, VchanNotify, offset};
use xen::shared::full_barrier;

/// A rule that the other side broke. The channel is closed; the next one starts clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// More bytes to read than the ring has: `prod − cons > size`.
    ReadIndex {
        /// The peer's `prod`.
        prod: u32,
        /// Our `cons`.
        cons: u32,
    },
    /// More bytes taken than were written, or given back: `prod − cons > size`.
    WriteIndex {
        /// Our `prod`.
        prod: u32,
        /// The peer's `cons`.
        cons: u32,
    },
    /// A liveness that is none, or that no connected client can have.
    Live(u8),
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadIndex { prod, cons } => {
                write!(f, "the peer's prod {prod} is no index of a ring read up to {cons}")
            }
            Self::WriteIndex { prod, cons } => {
                write!(f, "the peer's cons {cons} is no index of a ring written up to {prod}")
            }
            Self::Live(value) => write!(f, "the peer's liveness is {value}"),
        }
    }
}

impl core::error::Error for Misbehaviour {}

/// Whether the other side is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It has not come yet.
    Awaited,
    /// It is there.
    Here,
    /// It was there, and will not come back to this channel.
    Gone,
}

/// The server's side of a channel: reads left, writes right.
#[derive(Debug)]
pub(crate) struct Endpoint<P> {
    control: P,
    rings: Rings<P>,
    /// One past the last byte that we took.
    cons: u32,
    /// One past the last byte that we put.
    prod: u32,
    peer: Peer,
}

impl<P: SharedPage> Endpoint<P> {
    /// The server's side of a new channel: fills a control page that is all zero but for the list of grefs.
    pub(crate) fn serve(control: P, rings: Rings<P>, sizes: Sizes, first_index: u32) -> Self {
        let page = control.shared();
        for at in [offset::LEFT_CONS, offset::LEFT_PROD, offset::RIGHT_CONS, offset::RIGHT_PROD] {
            page.store(at, first_index, Relaxed);
        }
        page.store(offset::LEFT_ORDER, sizes.left().raw(), Relaxed);
        page.store(offset::RIGHT_ORDER, sizes.right().raw(), Relaxed);
        page.store(offset::CLI_LIVE, VchanLive::NotYetConnected.raw(), Relaxed);
        page.store(offset::CLI_NOTIFY, VchanNotify::WRITE.bits(), Relaxed);
        page.store(offset::SRV_LIVE, VchanLive::Connected.raw(), SeqCst);
        let index = first_index;
        Self { control, rings, cons: index, prod: index, peer: Peer::Awaited }
    }

    /// Gives the pages back.
    pub(crate) fn into_parts(self) -> (P, Rings<P>) {
        (self.control, self.rings)
    }

    fn page(&self) -> Shared<'_> {
        self.control.shared()
    }

    /// Reads the other side's liveness once. Gone stays gone: a flag that comes back is nobody (H68).
    pub(crate) fn look_at_peer(&mut self) -> Result<Peer, Misbehaviour> {
        let at = offset::CLI_LIVE;
        let value = self.page().load::<u8>(at, SeqCst);
        let now = VchanLive::try_from(value).map_err(|_| Misbehaviour::Live(value))?;
        self.peer = match (self.peer, now) {
            (Peer::Gone, _) | (_, VchanLive::Exited) => Peer::Gone,
            (_, VchanLive::Connected) => Peer::Here,
            (Peer::Awaited, VchanLive::NotYetConnected) => Peer::Awaited,
            (Peer::Here, VchanLive::NotYetConnected) => return Err(Misbehaviour::Live(value)),
        };
        Ok(self.peer)
    }

    /// Says that we have gone.
    pub(crate) fn leave(&self) {
        let at = offset::SRV_LIVE;
        self.page().store(at, VchanLive::Exited.raw(), SeqCst);
    }

    /// Takes bytes out of the ring, as many as are there and fit.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> Result<usize, Misbehaviour> {
        let (prod_at, cons_at) = (offset::LEFT_PROD, offset::LEFT_CONS);
        let prod = self.page().load::<u32>(prod_at, Acquire);
        let ring = &self.rings.left;
        let available = prod.wrapping_sub(self.cons);
        if available > ring.size_bytes() {
            return Err(Misbehaviour::ReadIndex { prod, cons: self.cons });
        }
        let len = narrow(into.len()).min(available);
        let into = into.get_mut(..wide(len)).unwrap_or_default();
        ring.read(&self.control, self.cons, into);
        self.cons = self.cons.wrapping_add(len);
        self.page().store(cons_at, self.cons, Release);
        Ok(into.len())
    }

    /// Puts bytes into the ring, as many as there is room for.
    pub(crate) fn put(&mut self, from: &[u8]) -> Result<usize, Misbehaviour> {
        let (prod_at, cons_at) = (offset::RIGHT_PROD, offset::RIGHT_CONS);
        let cons = self.page().load::<u32>(cons_at, Acquire);
        let ring = &self.rings.right;
        let used = self.prod.wrapping_sub(cons);
        let room = ring.size_bytes().checked_sub(used);
        let room = room.ok_or(Misbehaviour::WriteIndex { prod: self.prod, cons })?;
        let len = narrow(from.len()).min(room);
        let from = from.get(..wide(len)).unwrap_or_default();
        ring.write(&self.control, self.prod, from);
        self.prod = self.prod.wrapping_add(len);
        self.page().store(prod_at, self.prod, Release);
        Ok(from.len())
    }

    /// Asks the other side for an event after its next such action. The caller looks at the ring once more.
    pub(crate) fn wish(&self, what: VchanNotify) {
        let at = offset::CLI_NOTIFY;
        self.page().fetch_or(at, what.bits());
        full_barrier();
    }

    /// Whether the other side wished to hear of this action of ours; the wish is taken.
    pub(crate) fn is_wished(&self, what: VchanNotify) -> bool {
        let at = offset::SRV_NOTIFY;
        full_barrier();
        // A plain load first: the exchange would take the cache line for nothing, most of the time.
        let set = self.page().load::<u8>(at, SeqCst) & what.bits() != 0;
        set && self.page().fetch_and(at, !what.bits()) & what.bits() != 0
    }
}

fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn wide(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
