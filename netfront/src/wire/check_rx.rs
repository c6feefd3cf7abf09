//! Validation of what a backend delivers: where a response's data lies in its page, and what a whole frame may be.
//!
//! ```text
//!   response {offset, status} ─► extent(): 0 < status, offset + status <= 4096 ─► check_frame(): length, checksum flag
//!                                  └ else Refusal: the backend's own error, or a broken rule ◄──┘
//! ```
//!
//! [`RxPolicy`] holds the terms of a connection. A frame that does not keep to them is dropped with a `Refusal`.

use crate::wire::feature::Feature;
use crate::wire::misbehaviour::Misbehaviour;
use crate::wire::policy::Clearing;
use xen::abi::io_netif::{NETIF_NR_SLOTS_MIN, NetRxFlags, NetifRsp, NetifRxResponse};
use xen::ids::PAGE_SIZE;
use xen::{DomId, TrustedBackend};

/// Bytes of an Ethernet header: the minimum length of a frame.
pub const ETHERNET_HEADER: u16 = 14;
/// Bytes of a VLAN tag, which a received frame may carry in addition to its header and the MTU.
pub const VLAN_TAG: usize = 4;
/// Slots of the longest frame: what `netif.h` asks of every frontend, and one more for a head in its own slot.
pub const MAX_SLOTS: usize = NETIF_NR_SLOTS_MIN + 1;
/// Bytes of the longest frame: an IP packet of 65,535 bytes, the Ethernet header and a VLAN tag.
pub const MAX_FRAME: usize = 65_535 + 14 + 4;

/// How frames are received over one connection.
#[derive(Clone, Copy, Debug)]
pub struct RxPolicy {
    /// The proof that the toolstack trusts the backend.
    pub trusted: Option<TrustedBackend>,
    /// Frames of at least this many bytes are read in their page (zero-copy), if the backend is trusted.
    pub threshold: usize,
    /// What is cleared before a page goes back to the backend.
    pub clearing: Clearing,
    /// The retention limit, in packets.
    pub retained_max: usize,
    /// The backend's domain.
    pub backend: DomId,
    /// Bytes of the longest frame that was not merged from segments, with its Ethernet header and a VLAN tag.
    pub max_frame: usize,
    /// The features that the backend was told.
    pub features: Feature,
}

impl RxPolicy {
    /// The least value of [`Clearing`] with which a frame of `len` bytes is cleared after it was read.
    #[inline]
    pub(crate) const fn clearing_of(&self, len: usize) -> Clearing {
        if len < self.threshold {
            Clearing::Small
        } else if self.trusted.is_none() {
            Clearing::Copied
        } else {
            Clearing::All
        }
    }

    /// Validates a whole frame of at most `longest` bytes.
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

/// Why a frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The backend reports an error of its own, which the protocol allows.
    Backend,
    /// The backend broke a rule.
    Rule(Misbehaviour),
}

impl From<Misbehaviour> for Refusal {
    fn from(what: Misbehaviour) -> Self {
        Self::Rule(what)
    }
}

/// The offset and the length in bytes of a response's data: within the page, and not empty.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RxPolicy {
        RxPolicy {
            trusted: None,
            threshold: 64,
            clearing: Clearing::Small,
            retained_max: 0,
            backend: DomId(0),
            max_frame: 1518,
            features: Feature::empty(),
        }
    }

    #[test]
    fn a_frame_of_the_threshold_is_not_a_small_one() {
        let mut policy = policy();
        let kinds = |policy: &RxPolicy| [63, 64, 65].map(|len| policy.clearing_of(len));
        assert_eq!(kinds(&policy), [Clearing::Small, Clearing::Copied, Clearing::Copied]);
        policy.trusted = TrustedBackend::from_node(Some("1"));
        assert_eq!(kinds(&policy), [Clearing::Small, Clearing::All, Clearing::All]);
    }

    #[test]
    fn a_frame_has_a_header_at_least_and_the_limit_at_most() {
        let check = |len| policy().check_frame(NetRxFlags::empty(), len, 1518);
        assert_eq!(check(13), Err(Misbehaviour::RxShort(13).into()));
        assert_eq!([check(14), check(1518)], [Ok(()), Ok(())]);
        assert_eq!(check(1519), Err(Misbehaviour::RxLong(1519).into()));
        let blank = policy().check_frame(NetRxFlags::CSUM_BLANK, 64, 1518);
        assert_eq!(blank, Err(Misbehaviour::RxChecksumBlank.into()));
    }

    #[test]
    fn data_lies_within_its_page_and_is_not_empty() {
        let response = |offset, status| extent(&NetifRxResponse { id: 0, offset, flags: 0, status });
        assert_eq!(response(0, 4096), Ok((0, 4096)));
        assert_eq!(response(4095, 1), Ok((4095, 1)));
        assert_eq!(response(4096, 1), Err(Misbehaviour::RxBounds { offset: 4096, len: 1 }.into()));
        assert_eq!(response(1, 4096), Err(Misbehaviour::RxBounds { offset: 1, len: 4096 }.into()));
        assert_eq!(response(0, 0), Err(Misbehaviour::RxShort(0).into()));
        assert_eq!(response(0, -1), Err(Refusal::Backend));
        assert_eq!(response(0, -9), Err(Misbehaviour::RxStatus(-9).into()));
    }
}
