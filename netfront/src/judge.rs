//! Whether what a response says can be believed: its extent in the page, and what a whole frame may be.
//!
//! The terms of a connection are an [`RxPolicy`]; what does not keep to them is a `Refusal`, with which the frame is
//! dropped.

use crate::config::Clearing;
use crate::feature::Feature;
use crate::misbehaviour::Misbehaviour;
use xen::abi::io_netif::{NETIF_NR_SLOTS_MIN, NetRxFlags, NetifRsp, NetifRxResponse};
use xen::ids::PAGE_SIZE;
use xen::{DomId, TrustedBackend};

/// Bytes of an Ethernet header: no frame is shorter.
pub const ETHERNET_HEADER: u16 = 14;
/// Slots of the longest frame: what `netif.h` has for every frontend, and one for a head of its own.
pub const MAX_SLOTS: usize = NETIF_NR_SLOTS_MIN + 1;
/// Bytes of the longest frame of all: an IP packet can have 65,535, and a VLAN tag may come on top.
pub const LONGEST_FRAME: usize = 65_535 + 14 + 4;

/// How frames are received over one connection.
#[derive(Clone, Copy, Debug)]
pub struct RxPolicy {
    /// The toolstack's word that the backend can be trusted.
    pub trusted: Option<TrustedBackend>,
    /// Frames of this many bytes or more are lent, if the backend is trusted.
    pub threshold: usize,
    /// What is cleared before a page goes back.
    pub clearing: Clearing,
    /// Packets that may be held beyond the stack's turn.
    pub held_max: usize,
    /// The backend's domain.
    pub backend: DomId,
    /// Bytes of the longest frame that was not merged, with its Ethernet header.
    pub max_frame: usize,
    /// What the backend was told that we accept.
    pub features: Feature,
}

impl RxPolicy {
    /// The least clearing with which a frame of this many bytes is cleared once it was read.
    #[inline]
    pub(crate) const fn kind(&self, len: usize) -> Clearing {
        if len < self.threshold {
            Clearing::Small
        } else if self.trusted.is_none() {
            Clearing::Copied
        } else {
            Clearing::All
        }
    }

    /// The rules for a whole frame, which may have up to `longest` bytes.
    pub(crate) fn check_frame(&self, flags: NetRxFlags, len: usize, longest: usize) -> Result<(), Refusal> {
        if len > longest {
            return Err(Misbehaviour::RxLong(u32::try_from(len).unwrap_or(u32::MAX)).into());
        }
        if len < usize::from(ETHERNET_HEADER) {
            return Err(Misbehaviour::RxShort(u16::try_from(len).unwrap_or(u16::MAX)).into());
        }
        if flags.contains(NetRxFlags::CSUM_BLANK) && !self.features.intersects(Feature::CHECKSUM) {
            return Err(Misbehaviour::RxChecksumBlank.into());
        }
        Ok(())
    }
}

/// Why a frame does not go up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// The backend says that it failed: that is allowed.
    Backend,
    /// The backend broke a rule.
    Rule(Misbehaviour),
}

impl From<Misbehaviour> for Refusal {
    fn from(what: Misbehaviour) -> Self {
        Self::Rule(what)
    }
}

/// Where the data of a response lies in its page: offset and length in bytes, within the page and not empty.
pub(crate) fn extent(response: &NetifRxResponse) -> Result<(usize, usize), Refusal> {
    let Ok(len) = u16::try_from(response.status) else {
        return Err(match NetifRsp::try_from(response.status) {
            Ok(_) => Refusal::Backend,
            Err(_) => Misbehaviour::RxStatus(response.status).into(),
        });
    };
    if len == 0 {
        return Err(Misbehaviour::RxShort(0).into());
    }
    let (offset, bytes) = (usize::from(response.offset), usize::from(len));
    if offset.saturating_add(bytes) > PAGE_SIZE {
        return Err(Misbehaviour::RxBounds { offset: response.offset, len }.into());
    }
    Ok((offset, bytes))
}
