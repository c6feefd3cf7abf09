//! One side's view of a channel: indexes, liveness, and which side asked for which events.
//!
//! ```text
//!   take: prod (acquire) ─ once ─► prod − cons ≤ size? ─► copy out ─► cons (release) ─► barrier ─► READ wished for? event
//!   put:  cons (acquire) ─ once ─► prod − cons ≤ size? ─► copy in  ─► prod (release) ─► barrier ─► WRITE wished for? event
//!   before sleep: set the wish, barrier, look again
//! ```
//!
//! `cli_notify` are the events that the *client* is to send, so the server sets bits there and the client takes them;
//! `srv_notify` mirrors it. (`tools/libs/vchan/io.c`, `request_notify`, `send_notify`)
//!
//! Both roles are the same code over another list of fields, [`Fields`].

use super::order::{Order, Sizes};
use super::ring::{Ring, Rings};
use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use xen::abi::io_libxenvchan::{VchanLive, VchanNotify, offset};
use xen::shared::full_barrier;
use xen::{Shared, SharedPage};

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
    /// A liveness that is none, or that no connected peer can have.
    Live(u8),
    /// Impossible sizes of rings: no such order, or two that exclude each other.
    Orders {
        /// Of the client's way to the server.
        left: u16,
        /// Of the server's way to the client.
        right: u16,
    },
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
            Self::Orders { left, right } => {
                write!(f, "rings of order {left} and {right} cannot be (10 to 20, 10 and 11 once each)")
            }
        }
    }
}

impl core::error::Error for Misbehaviour {}

/// The state of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It has not come yet.
    Awaited,
    /// It is connected.
    Here,
    /// It was connected, and will not return to this channel.
    Gone,
}

/// The fields of the control page for one side: the two roles mirror each other.
#[derive(Debug)]
struct Fields {
    own_live: usize,
    peer_live: usize,
    /// The events that the peer is to send.
    own_wishes: usize,
    /// The events that we are to send.
    peer_wishes: usize,
    in_prod: usize,
    in_cons: usize,
    out_prod: usize,
    out_cons: usize,
}

const SERVER: Fields = Fields {
    own_live: offset::SRV_LIVE,
    peer_live: offset::CLI_LIVE,
    own_wishes: offset::CLI_NOTIFY,
    peer_wishes: offset::SRV_NOTIFY,
    in_prod: offset::LEFT_PROD,
    in_cons: offset::LEFT_CONS,
    out_prod: offset::RIGHT_PROD,
    out_cons: offset::RIGHT_CONS,
};

const CLIENT: Fields = Fields {
    own_live: offset::CLI_LIVE,
    peer_live: offset::SRV_LIVE,
    own_wishes: offset::SRV_NOTIFY,
    peer_wishes: offset::CLI_NOTIFY,
    in_prod: offset::RIGHT_PROD,
    in_cons: offset::RIGHT_CONS,
    out_prod: offset::LEFT_PROD,
    out_cons: offset::LEFT_CONS,
};

/// What a client finds in a control page, each field read once and checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) sizes: Sizes,
    cons: u32,
    prod: u32,
}

impl Offer {
    /// Reads the server's offer.
    pub(crate) fn read(page: Shared<'_>) -> Result<Self, Misbehaviour> {
        let left = page.load::<u16>(offset::LEFT_ORDER, Acquire);
        let right = page.load::<u16>(offset::RIGHT_ORDER, Acquire);
        let sizes = Order::new(left).zip(Order::new(right)).and_then(|(left, right)| Sizes::new(left, right));
        let sizes = sizes.ok_or(Misbehaviour::Orders { left, right })?;
        let (cons, prod) = (page.load(CLIENT.in_cons, Acquire), page.load(CLIENT.out_prod, Acquire));
        Ok(Self { sizes, cons, prod })
    }
}

/// One side of a channel.
#[derive(Debug)]
pub(crate) struct Endpoint<P> {
    control: P,
    rings: Rings<P>,
    fields: &'static Fields,
    /// One past the last byte that we took.
    cons: u32,
    /// One past the last byte that we put.
    prod: u32,
    peer: Peer,
}

impl<P: SharedPage> Endpoint<P> {
    /// The server's side of a new channel: fills the head of a control page whose list of grefs is complete.
    pub(crate) fn serve(control: P, rings: Rings<P>, sizes: Sizes, first_index: u32) -> Self {
        let page = control.shared();
        for at in [offset::LEFT_CONS, offset::LEFT_PROD, offset::RIGHT_CONS, offset::RIGHT_PROD] {
            page.store(at, first_index, Relaxed);
        }
        page.store(offset::LEFT_ORDER, sizes.left().raw(), Relaxed);
        page.store(offset::RIGHT_ORDER, sizes.right().raw(), Relaxed);
        page.store(offset::CLI_LIVE, VchanLive::NotYetConnected.raw(), Relaxed);
        page.store(offset::CLI_NOTIFY, VchanNotify::WRITE.bits(), Relaxed);
        page.store(offset::SRV_NOTIFY, VchanNotify::empty().bits(), Relaxed);
        page.store(offset::SRV_LIVE, VchanLive::Connected.raw(), SeqCst);
        let index = first_index;
        Self { control, rings, fields: &SERVER, cons: index, prod: index, peer: Peer::Awaited }
    }

    /// The client's side of an offered channel: sets its liveness, and requests events for written bytes.
    /// The caller sends the event.
    pub(crate) fn join(control: P, rings: Rings<P>, offer: Offer) -> Self {
        let page = control.shared();
        page.store(offset::CLI_LIVE, VchanLive::Connected.raw(), SeqCst);
        page.store(offset::SRV_NOTIFY, VchanNotify::WRITE.bits(), SeqCst);
        Self { control, rings, fields: &CLIENT, cons: offer.cons, prod: offer.prod, peer: Peer::Here }
    }

    /// Gives the pages back.
    pub(crate) fn into_parts(self) -> (P, Rings<P>) {
        (self.control, self.rings)
    }

    fn page(&self) -> Shared<'_> {
        self.control.shared()
    }

    const fn is_server(&self) -> bool {
        self.fields.in_prod == offset::LEFT_PROD
    }

    const fn incoming(&self) -> &Ring<P> {
        if self.is_server() { &self.rings.left } else { &self.rings.right }
    }

    const fn outgoing(&self) -> &Ring<P> {
        if self.is_server() { &self.rings.right } else { &self.rings.left }
    }

    /// Reads the other side's liveness once. A side that has gone stays gone: a flag that is set again is ignored
    /// (H68).
    pub(crate) fn look_at_peer(&mut self) -> Result<Peer, Misbehaviour> {
        let at = self.fields.peer_live;
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
        let at = self.fields.own_live;
        self.page().store(at, VchanLive::Exited.raw(), SeqCst);
    }

    /// Takes bytes out of the ring, as many as are available and fit.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> Result<usize, Misbehaviour> {
        let (prod_at, cons_at) = (self.fields.in_prod, self.fields.in_cons);
        let prod = self.page().load::<u32>(prod_at, Acquire);
        let ring = self.incoming();
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
        let (prod_at, cons_at) = (self.fields.out_prod, self.fields.out_cons);
        let cons = self.page().load::<u32>(cons_at, Acquire);
        let ring = self.outgoing();
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
        let at = self.fields.own_wishes;
        self.page().fetch_or(at, what.bits());
        full_barrier();
    }

    /// Takes the other side's request for an event after this action. Returns whether there was one.
    pub(crate) fn is_wished(&self, what: VchanNotify) -> bool {
        let at = self.fields.peer_wishes;
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
