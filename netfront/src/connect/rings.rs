//! Making the ring resources of a connection: rings, grants and event channels of all queues, or none.
//!
//! ```text
//!   pages ─► sring ─► granted to backend-id ─┐
//!   EVTCHNOP_alloc_unbound ──────────────────┴─► QueueRings, Control
//! ```

use super::control_ring::Control;
use crate::queue::QueueRings;
use crate::queue::channel::{Channel, ChannelLayout, Channels};
use alloc::vec::Vec;
use core::fmt;
use nic::HashKey;
use xen::abi::io_netif::{NETIF_RX_RING_SIZE, NETIF_TX_RING_SIZE};
use xen::context::ShareError;
use xen::ring::FrontRing;
use xen::{DomId, Errno, GrantedPage, Machine, Xen};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const _: () = assert!(NETIF_RX_RING_SIZE == NETIF_TX_RING_SIZE, "one function makes both");

/// Why ring resources could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RingsError {
    /// No page for a ring.
    Page(ShareError),
    /// No event channel.
    Evtchn(Errno),
}

impl From<ShareError> for RingsError {
    fn from(error: ShareError) -> Self {
        Self::Page(error)
    }
}

impl fmt::Display for RingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(ShareError::Memory) => write!(f, "no memory for the rings; raise memory="),
            Self::Page(ShareError::Grant(failure)) => failure.fmt(f),
            Self::Evtchn(errno) => write!(f, "EVTCHNOP_alloc_unbound: {errno:?}"),
        }
    }
}

/// Makes the ring resources of every queue; all of them, or none. `start` is the first index of the rings.
pub(super) fn make_rings<M: Machine>(
    xen: &Xen<M>,
    backend: DomId,
    queues: u32,
    layout: ChannelLayout,
    start: u32,
) -> Result<Vec<QueueRings>, RingsError> {
    let mut all = Vec::new();
    for _ in 0..queues {
        match make_queue_rings(xen, backend, layout, start) {
            Ok(rings) => all.push(rings),
            Err(error) => {
                for QueueRings { rx, tx, channels } in all {
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

/// Makes the ring resources of one queue.
fn make_queue_rings<M: Machine>(
    xen: &Xen<M>,
    backend: DomId,
    layout: ChannelLayout,
    start: u32,
) -> Result<QueueRings, RingsError> {
    let rx = make_ring(xen, backend, start)?;
    let tx = match make_ring(xen, backend, start) {
        Ok(tx) => tx,
        Err(error) => {
            unmake(xen, rx.into_page());
            return Err(error);
        }
    };
    match Channels::open(xen, backend, layout) {
        Ok(channels) => Ok(QueueRings { rx, tx, channels }),
        Err(errno) => {
            unmake(xen, rx.into_page());
            unmake(xen, tx.into_page());
            Err(RingsError::Evtchn(errno))
        }
    }
}

fn make_ring<M, Req, Rsp, const SIZE: u32>(
    xen: &Xen<M>,
    backend: DomId,
    start: u32,
) -> Result<FrontRing<Req, Rsp, SIZE>, RingsError>
where
    M: Machine,
    Req: IntoBytes + Immutable,
    Rsp: FromBytes + IntoBytes,
{
    Ok(FrontRing::init(xen.share(backend)?, start))
}

/// Takes back the page of a ring of which the backend was not told.
fn unmake<M: Machine>(xen: &Xen<M>, page: GrantedPage) {
    // The backend does not know the grant reference. If it uses the page all the same, the grant table has counted it.
    if xen.take_back(page).is_some() {
        log::error!("the backend uses a ring page of which it was not told");
    }
}

/// Makes the control ring, its channel, and the page for its tables.
pub(super) fn make_control<M: Machine>(
    xen: &Xen<M>,
    backend: DomId,
    hash: Option<(HashKey, u32)>,
    mapping_queues: u32,
) -> Result<Control, RingsError> {
    let ring = make_ring(xen, backend, 0)?;
    let table = match xen.share(backend) {
        Ok(table) => table,
        Err(error) => {
            unmake(xen, ring.into_page());
            return Err(error.into());
        }
    };
    match Channel::open(xen, backend) {
        Ok(channel) => Ok(Control::new(ring, channel, table, hash, mapping_queues)),
        Err(errno) => {
            unmake(xen, ring.into_page());
            unmake(xen, table);
            Err(RingsError::Evtchn(errno))
        }
    }
}
