//! Rings, grants and event channels of a card: all of them, or none.
//!
//! ```text
//!   pages ─► sring ─► grant to backend-id ─┐
//!   EVTCHNOP_alloc_unbound ────────────────┴─► Wires of a queue, Control
//! ```

use crate::ctrl::Control;
use crate::queue::{Channel, Channels, Wires};
use crate::rx::RxPage;
use crate::storm::Storm;
use alloc::vec::Vec;
use core::fmt;
use xen::abi::io_netif::{NETIF_RX_RING_SIZE, NETIF_TX_RING_SIZE};
use xen::context::ShareError;
use xen::ring::FrontRing;
use xen::{DomId, Errno, Machine, Xen};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const _: () = assert!(NETIF_RX_RING_SIZE == NETIF_TX_RING_SIZE, "one way to make both");

/// Why rings and channels could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WiresError {
    /// No page for a ring.
    Page(ShareError),
    /// No event channel.
    Evtchn(Errno),
}

impl From<ShareError> for WiresError {
    fn from(error: ShareError) -> Self {
        Self::Page(error)
    }
}

impl fmt::Display for WiresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(ShareError::Memory) => write!(f, "no memory for the rings; raise memory="),
            Self::Page(ShareError::Grant(failure)) => failure.fmt(f),
            Self::Evtchn(errno) => write!(f, "EVTCHNOP_alloc_unbound: {errno:?}"),
        }
    }
}

/// Whether a queue has an event channel for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    /// One for both.
    Shared,
    /// One for each.
    Split,
}

/// Makes the rings and channels of every queue; all of them, or none.
pub(crate) fn make_all_wires<M: Machine>(
    xen: &Xen<M>,
    backend: DomId,
    queues: u32,
    wiring: Wiring,
    start: u32,
) -> Result<Vec<Wires>, WiresError> {
    let mut all = Vec::new();
    for _ in 0..queues {
        match make_wires(xen, backend, wiring, start) {
            Ok(wires) => all.push(wires),
            Err(error) => {
                for Wires { rx, tx, channels } in all {
                    channels.close(xen);
                    unmake(xen, rx.into_page());
                    unmake(xen, tx.into_page());
                }
                return Err(error);
            }
        }
    }
    Ok(all)
}

/// Makes the rings and channels of one queue. `start` is the first index of both rings.
fn make_wires<M: Machine>(
    xen: &Xen<M>,
    backend: DomId,
    wiring: Wiring,
    start: u32,
) -> Result<Wires, WiresError> {
    let rx = make_ring(xen, backend, start)?;
    let tx = match make_ring(xen, backend, start) {
        Ok(tx) => tx,
        Err(error) => {
            unmake(xen, rx.into_page());
            return Err(error);
        }
    };
    match make_channels(xen, backend, wiring) {
        Ok(channels) => Ok(Wires { rx, tx, channels }),
        Err(errno) => {
            unmake(xen, rx.into_page());
            unmake(xen, tx.into_page());
            Err(WiresError::Evtchn(errno))
        }
    }
}

fn make_ring<M, Req, Rsp, const SIZE: u32>(
    xen: &Xen<M>,
    backend: DomId,
    start: u32,
) -> Result<FrontRing<Req, Rsp, SIZE>, WiresError>
where
    M: Machine,
    Req: IntoBytes + Immutable,
    Rsp: FromBytes + IntoBytes,
{
    Ok(FrontRing::init(xen.share(backend)?, start))
}

/// Takes back a ring's page that the backend was never told of.
fn unmake<M: Machine>(xen: &Xen<M>, page: RxPage) {
    // Nobody knows its grant reference, so nobody can hold it; if so, the grant table has counted it.
    if xen.take_back(page).is_some() {
        log::error!("a ring page that nobody was told of is in use");
    }
}

/// Makes the control ring, its channel, and the page for its tables.
pub(crate) fn make_control<M: Machine>(xen: &Xen<M>, backend: DomId) -> Result<Control, WiresError> {
    let ring = make_ring(xen, backend, 0)?;
    let table = match xen.share(backend) {
        Ok(table) => table,
        Err(error) => {
            unmake(xen, ring.into_page());
            return Err(error.into());
        }
    };
    match make_channel(xen, backend) {
        Ok(channel) => Ok(Control::new(ring, channel, table)),
        Err(errno) => {
            unmake(xen, ring.into_page());
            unmake(xen, table);
            Err(WiresError::Evtchn(errno))
        }
    }
}

fn make_channel<M: Machine>(xen: &Xen<M>, backend: DomId) -> Result<Channel, Errno> {
    let port = xen.machine.evtchn_alloc_unbound(backend)?;
    Ok(Channel {
        port,
        signal: xen.events.listen(port),
        generation: xen.events.generation(),
        storm: Storm::default(),
    })
}

fn make_channels<M: Machine>(xen: &Xen<M>, backend: DomId, wiring: Wiring) -> Result<Channels, Errno> {
    let rx = make_channel(xen, backend)?;
    if wiring == Wiring::Shared {
        return Ok(Channels::Shared(rx));
    }
    match make_channel(xen, backend) {
        Ok(tx) => Ok(Channels::Split { rx, tx }),
        Err(errno) => {
            rx.close(xen);
            Err(errno)
        }
    }
}
