//! Validation of our own packets, before their requests go into the ring.
//!
//! ```text
//!   requests + extras of a packet ──check_tx_chain──► Ok: written to the ring   │ Err(TxViolation): refused and counted
//! ```
//!
//! A backend drops an invalid packet, or disables the interface, or crashes (CVE-2022-3643, CVE-2023-34319,
//! CVE-2023-46838). The rules are those of Xen's `io/netif.h` and the stricter ones of Linux's netback (`netback.c`,
//! `xenvif_count_requests` and `xenvif_tx_build_gops`).

use crate::wire::check_rx::ETHERNET_HEADER;
use core::fmt;
use xen::abi::io_netif::{NETIF_NR_SLOTS_MIN, NetTxFlags, NetifExtra, NetifGsoType, NetifTxRequest};
use xen::ids::PAGE_SIZE;

/// The rule that a packet of ours would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxViolation {
    /// The packet has no slot.
    Empty,
    /// The packet has more than 18 slots of data; how many.
    Slots(usize),
    /// The fragments leave less than an Ethernet header for the first slot; the bytes that are left. (The size of a whole
    /// packet cannot exceed 65,535 bytes: the field has 16 bits.)
    Sizes(i64),
    /// A fragment is empty; its position in the chain.
    EmptySlot(usize),
    /// Data crosses the end of its page; its position in the chain.
    CrossesPage(usize),
    /// `more_data` is set on the last slot, or missing on another; the position.
    MoreData(usize),
    /// `extra_info` is set without extras, missing with extras, or set on a later slot.
    ExtraInfo,
    /// A GSO extra has no size or no type.
    Gso,
    /// A multicast request carries data, or names a unicast address.
    Group,
}

impl fmt::Display for TxViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a packet without slots"),
            Self::Slots(slots) => write!(f, "a packet of {slots} slots"),
            Self::Sizes(first) => write!(f, "a packet whose first slot would hold {first} bytes"),
            Self::EmptySlot(at) => write!(f, "slot {at} is empty"),
            Self::CrossesPage(at) => write!(f, "slot {at} crosses its page"),
            Self::MoreData(at) => write!(f, "slot {at} has more_data wrong"),
            Self::ExtraInfo => write!(f, "extra_info does not fit the extras"),
            Self::Gso => write!(f, "a GSO extra without size or type"),
            Self::Group => write!(f, "a multicast request with data, or for a unicast address"),
        }
    }
}

/// Validates a packet: its requests in order, and the extras that go between the first and the second.
///
/// # Errors
/// The first rule that it breaks.
#[inline]
pub fn check_tx_chain(requests: &[NetifTxRequest], extras: &[NetifExtra]) -> Result<(), TxViolation> {
    if let ([request], []) = (requests, extras) {
        return check_single(request);
    }
    check_many(requests, extras)
}

/// Validates a multicast request: it carries only its extra.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_group(request: &NetifTxRequest, extra: &NetifExtra) -> Result<(), TxViolation> {
    let (NetifExtra::McastAdd(group) | NetifExtra::McastDel(group)) = extra else {
        return Err(TxViolation::ExtraInfo);
    };
    let is_group = group.first().is_some_and(|first| first & 1 == 1);
    if request.flags != NetTxFlags::EXTRA_INFO.bits() {
        return Err(TxViolation::ExtraInfo);
    }
    if is_group && request.size == 0 { Ok(()) } else { Err(TxViolation::Group) }
}

/// Validates the common packet: one slot, no extras.
#[inline]
fn check_single(request: &NetifTxRequest) -> Result<(), TxViolation> {
    let flags = NetTxFlags::from_bits_retain(request.flags);
    if flags.contains(NetTxFlags::MORE_DATA) {
        return Err(TxViolation::MoreData(0));
    }
    if flags.contains(NetTxFlags::EXTRA_INFO) {
        return Err(TxViolation::ExtraInfo);
    }
    check_first(request, i64::from(request.size))
}

/// Validates the first slot: at least an Ethernet header, within the page.
#[inline]
fn check_first(first: &NetifTxRequest, own_len: i64) -> Result<(), TxViolation> {
    let Ok(len) = usize::try_from(own_len) else { return Err(TxViolation::Sizes(own_len)) };
    if len < usize::from(ETHERNET_HEADER) {
        return Err(TxViolation::Sizes(own_len));
    }
    if usize::from(first.offset).saturating_add(len) > PAGE_SIZE {
        return Err(TxViolation::CrossesPage(0));
    }
    Ok(())
}

fn check_many(requests: &[NetifTxRequest], extras: &[NetifExtra]) -> Result<(), TxViolation> {
    let Some((first, fragments)) = requests.split_first() else { return Err(TxViolation::Empty) };
    if requests.len() > NETIF_NR_SLOTS_MIN {
        return Err(TxViolation::Slots(requests.len()));
    }
    check_extras(first, extras)?;
    let mut first_len = i64::from(first.size);
    for (at, fragment) in (1..).zip(fragments) {
        if fragment.size == 0 {
            return Err(TxViolation::EmptySlot(at));
        }
        if usize::from(fragment.offset).saturating_add(usize::from(fragment.size)) > PAGE_SIZE {
            return Err(TxViolation::CrossesPage(at));
        }
        if fragment.flags & NetTxFlags::EXTRA_INFO.bits() != 0 {
            return Err(TxViolation::ExtraInfo);
        }
        first_len = first_len.saturating_sub(i64::from(fragment.size));
    }
    let last = requests.len().saturating_sub(1);
    for (at, request) in requests.iter().enumerate() {
        if (request.flags & NetTxFlags::MORE_DATA.bits() != 0) != (at < last) {
            return Err(TxViolation::MoreData(at));
        }
    }
    check_first(first, first_len)
}

/// Validates that the first slot announces the extras, and that a GSO extra is complete.
fn check_extras(first: &NetifTxRequest, extras: &[NetifExtra]) -> Result<(), TxViolation> {
    if (first.flags & NetTxFlags::EXTRA_INFO.bits() != 0) == extras.is_empty() {
        return Err(TxViolation::ExtraInfo);
    }
    for extra in extras {
        if let NetifExtra::Gso(gso) = extra
            && (gso.size == 0 || gso.kind == NetifGsoType::None)
        {
            return Err(TxViolation::Gso);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen::abi::io_netif::NetifExtraGso;

    fn slot(offset: u16, size: u16, flags: NetTxFlags) -> NetifTxRequest {
        NetifTxRequest { gref: 9, offset, flags: flags.bits(), id: 0, size }
    }

    const MORE: NetTxFlags = NetTxFlags::MORE_DATA;
    const LAST: NetTxFlags = NetTxFlags::empty();

    #[test]
    fn one_slot_holds_a_header_at_least_and_a_page_at_most() {
        for (offset, size, verdict) in [
            (0, 14, Ok(())),
            (0, 4096, Ok(())),
            (4082, 14, Ok(())),
            (0, 13, Err(TxViolation::Sizes(13))),
            (0, 0, Err(TxViolation::Sizes(0))),
            (0, 4097, Err(TxViolation::CrossesPage(0))),
            (4083, 14, Err(TxViolation::CrossesPage(0))),
        ] {
            assert_eq!(check_tx_chain(&[slot(offset, size, LAST)], &[]), verdict, "{offset} {size}");
        }
        assert_eq!(check_tx_chain(&[slot(0, 60, MORE)], &[]), Err(TxViolation::MoreData(0)));
        assert_eq!(check_tx_chain(&[slot(0, 60, NetTxFlags::EXTRA_INFO)], &[]), Err(TxViolation::ExtraInfo));
        assert_eq!(check_tx_chain(&[], &[]), Err(TxViolation::Empty));
    }

    #[test]
    fn the_first_slot_has_the_size_of_the_packet() {
        let good = [slot(0, 5000, MORE), slot(0, 904, LAST)];
        assert_eq!(check_tx_chain(&good, &[]), Ok(()));
        let crossing = [slot(0, 5001, MORE), slot(0, 904, LAST)];
        assert_eq!(check_tx_chain(&crossing, &[]), Err(TxViolation::CrossesPage(0)));
        let short_head = [slot(0, 917, MORE), slot(0, 904, LAST)];
        assert_eq!(check_tx_chain(&short_head, &[]), Err(TxViolation::Sizes(13)));
        let too_much = [slot(0, 900, MORE), slot(0, 904, LAST)];
        assert_eq!(check_tx_chain(&too_much, &[]), Err(TxViolation::Sizes(-4)));
    }

    #[test]
    fn chains_are_linked_filled_and_short_enough() {
        assert_eq!(
            check_tx_chain(&[slot(0, 100, LAST), slot(0, 50, LAST)], &[]),
            Err(TxViolation::MoreData(0))
        );
        assert_eq!(
            check_tx_chain(&[slot(0, 100, MORE), slot(0, 50, MORE)], &[]),
            Err(TxViolation::MoreData(1))
        );
        assert_eq!(
            check_tx_chain(&[slot(0, 100, MORE), slot(0, 0, LAST)], &[]),
            Err(TxViolation::EmptySlot(1))
        );
        let crossing = [slot(0, 200, MORE), slot(4000, 97, LAST)];
        assert_eq!(check_tx_chain(&crossing, &[]), Err(TxViolation::CrossesPage(1)));
        let mut many = [slot(0, 100, MORE); 19];
        many[18] = slot(0, 1, LAST);
        assert_eq!(check_tx_chain(&many, &[]), Err(TxViolation::Slots(19)));
    }

    #[test]
    fn extras_are_announced_and_complete() {
        let head = slot(0, 100, NetTxFlags::EXTRA_INFO);
        let gso = |size, kind| NetifExtra::Gso(NetifExtraGso { size, kind, features: 0 });
        assert_eq!(check_tx_chain(&[head], &[gso(1448, NetifGsoType::Tcpv4)]), Ok(()));
        assert_eq!(check_tx_chain(&[head], &[gso(0, NetifGsoType::Tcpv4)]), Err(TxViolation::Gso));
        assert_eq!(check_tx_chain(&[head], &[gso(1448, NetifGsoType::None)]), Err(TxViolation::Gso));
        let silent = slot(0, 100, LAST);
        assert_eq!(check_tx_chain(&[silent], &[gso(1448, NetifGsoType::Tcpv4)]), Err(TxViolation::ExtraInfo));
    }
}
