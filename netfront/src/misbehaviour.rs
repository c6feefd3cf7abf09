//! What a backend can do wrong: one variant per rule of the protocol, with the value that broke it.
//!
//! ```text
//!   rx, tx ──Misbehaviour──► consequence() ─┬─► DropFrame: the frame is gone, its pages are back, a counter moves
//!                                           ├─► Note:      only a counter moves
//!                                           └─► Break:     the rings are not touched again until a reconnect
//! ```
//!
//! The rules are those of Xen's `io/netif.h` and `io/ring.h`, and the checks of Linux's netfront. What breaks an index,
//! an id or a grant makes everything after it unbelievable, so the device stops; what spoils one frame costs that frame.

use core::fmt;
use xen::abi::io_netif::{NetifCtrlType, NetifExtraError, NetifExtraType};
use xen::ring::RingOverrun;

/// What follows from a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It is counted, nothing else.
    Note,
    /// The frame is dropped whole; every page behind it goes back.
    DropFrame,
    /// The device is broken: it leaves the rings alone until it is connected anew.
    Break,
}

/// A rule that the backend broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// `rsp_prod` of the rx ring lies outside what is outstanding, or went backwards.
    RxRing(RingOverrun),
    /// A response carries another id than the request in its slot.
    RxId {
        /// The id of the request at this ring position.
        expected: u8,
        /// The id in the response.
        found: u16,
    },
    /// Data that does not lie within the page.
    RxBounds {
        /// Of the data in the page.
        offset: u16,
        /// Its length.
        len: u16,
    },
    /// A negative status that `netif.h` does not define.
    RxStatus(i16),
    /// A frame shorter than an Ethernet header, or an empty fragment; the length.
    RxShort(u16),
    /// A frame longer than the interface takes; the length.
    RxLong(u32),
    /// A frame over several slots, though scatter-gather was not negotiated; how many.
    RxFragments(u32),
    /// A frame over more slots than the protocol knows; how many.
    RxSlots(u32),
    /// A frame that promises another slot which is not there; how many there were.
    RxIncomplete(u32),
    /// An extra that `netif.h` does not define.
    RxExtra(NetifExtraError),
    /// An extra for which nobody asked.
    RxExtraUnasked(NetifExtraType),
    /// A frame with a blank checksum, though checksum offload was refused.
    RxChecksumBlank,
    /// A merged frame whose segments have no size.
    RxGsoSize,
    /// `rsp_prod` of the tx ring lies outside what is outstanding, or went backwards.
    TxRing(RingOverrun),
    /// An id that no request can have.
    TxIdRange(u16),
    /// The id of a request that the backend was not shown, or that it has answered before.
    TxIdIdle(u8),
    /// `NETIF_RSP_NULL` without an extra that it would answer.
    TxNull,
    /// A status that `netif.h` does not define.
    TxStatus(i16),
    /// More pages that the backend does not let go of than the device may lose; how many.
    Quarantine(u32),
    /// `rsp_prod` of the control ring lies outside what is outstanding.
    CtrlRing(RingOverrun),
    /// An answer on the control ring to another request.
    CtrlId {
        /// The id of the request.
        expected: u16,
        /// The id in the response.
        found: u16,
    },
    /// An answer on the control ring to a request of another type.
    CtrlType {
        /// The type of the request.
        expected: NetifCtrlType,
        /// The type in the response.
        found: u16,
    },
    /// A status on the control ring that `netif.h` does not define.
    CtrlStatus(u32),
}

/// How many kinds of misbehaviour there are.
pub const KINDS: usize = 23;

impl Misbehaviour {
    /// The name of each kind, in the order of [`Misbehaviour::kind`].
    pub const NAMES: [&'static str; KINDS] = [
        "rx_ring",
        "rx_id",
        "rx_bounds",
        "rx_status",
        "rx_short",
        "rx_long",
        "rx_fragments",
        "rx_slots",
        "rx_incomplete",
        "rx_extra",
        "rx_extra_unasked",
        "rx_checksum_blank",
        "rx_gso_size",
        "tx_ring",
        "tx_id_range",
        "tx_id_idle",
        "tx_null",
        "tx_status",
        "quarantine",
        "ctrl_ring",
        "ctrl_id",
        "ctrl_type",
        "ctrl_status",
    ];

    /// The number of this kind, for counting.
    #[must_use]
    pub const fn kind(&self) -> usize {
        match self {
            Self::RxRing(_) => 0,
            Self::RxId { .. } => 1,
            Self::RxBounds { .. } => 2,
            Self::RxStatus(_) => 3,
            Self::RxShort(_) => 4,
            Self::RxLong(_) => 5,
            Self::RxFragments(_) => 6,
            Self::RxSlots(_) => 7,
            Self::RxIncomplete(_) => 8,
            Self::RxExtra(_) => 9,
            Self::RxExtraUnasked(_) => 10,
            Self::RxChecksumBlank => 11,
            Self::RxGsoSize => 12,
            Self::TxRing(_) => 13,
            Self::TxIdRange(_) => 14,
            Self::TxIdIdle(_) => 15,
            Self::TxNull => 16,
            Self::TxStatus(_) => 17,
            Self::Quarantine(_) => 18,
            Self::CtrlRing(_) => 19,
            Self::CtrlId { .. } => 20,
            Self::CtrlType { .. } => 21,
            Self::CtrlStatus(_) => 22,
        }
    }

    /// What follows: the one place where this is decided.
    #[must_use]
    pub const fn consequence(&self) -> Consequence {
        match self {
            Self::RxRing(_)
            | Self::RxId { .. }
            | Self::TxRing(_)
            | Self::TxIdRange(_)
            | Self::TxIdIdle(_)
            | Self::TxNull
            | Self::Quarantine(_) => Consequence::Break,
            Self::RxBounds { .. }
            | Self::RxStatus(_)
            | Self::RxShort(_)
            | Self::RxLong(_)
            | Self::RxFragments(_)
            | Self::RxSlots(_)
            | Self::RxIncomplete(_)
            | Self::RxExtra(_)
            | Self::RxExtraUnasked(_)
            | Self::RxChecksumBlank
            | Self::RxGsoSize => Consequence::DropFrame,
            // The control ring is given up, and packets do without it.
            Self::TxStatus(_)
            | Self::CtrlRing(_)
            | Self::CtrlId { .. }
            | Self::CtrlType { .. }
            | Self::CtrlStatus(_) => Consequence::Note,
        }
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RxRing(overrun) => write!(f, "rx ring: {overrun}"),
            Self::RxId { expected, found } => {
                write!(f, "rx response {found} in the slot of request {expected}")
            }
            Self::RxBounds { offset, len } => write!(f, "rx data of {len} bytes at {offset} leaves its page"),
            Self::RxStatus(status) => write!(f, "rx response with the unknown status {status}"),
            Self::RxShort(len) => write!(f, "rx frame or fragment of {len} bytes"),
            Self::RxLong(len) => write!(f, "rx frame of {len} bytes is longer than agreed"),
            Self::RxFragments(slots) => write!(f, "rx frame over {slots} slots without scatter-gather"),
            Self::RxSlots(slots) => write!(f, "rx frame over {slots} slots"),
            Self::RxIncomplete(slots) => write!(f, "rx frame ends after {slots} slots and promises another"),
            Self::RxExtra(error) => write!(f, "rx extra: {error}"),
            Self::RxExtraUnasked(kind) => write!(f, "rx extra {kind} that was not negotiated"),
            Self::RxChecksumBlank => write!(f, "rx frame with a blank checksum that was not negotiated"),
            Self::RxGsoSize => write!(f, "rx frame of segments without a size"),
            Self::TxRing(overrun) => write!(f, "tx ring: {overrun}"),
            Self::TxIdRange(id) => write!(f, "tx response with the id {id} that no request can have"),
            Self::TxIdIdle(id) => write!(f, "tx response to request {id} that is not in flight"),
            Self::TxNull => write!(f, "tx response NETIF_RSP_NULL without an extra"),
            Self::TxStatus(status) => write!(f, "tx response with the unknown status {status}"),
            Self::CtrlRing(overrun) => write!(f, "control ring: {overrun}"),
            Self::CtrlId { expected, found } => {
                write!(f, "control response {found} where {expected} was asked")
            }
            Self::CtrlType { expected, found } => {
                write!(f, "control response of type {found} to {expected}")
            }
            Self::CtrlStatus(status) => write!(f, "control response with the unknown status {status}"),
            Self::Quarantine(pages) => write!(f, "the backend does not let go of {pages} pages"),
        }
    }
}

/// Misbehaviour counted by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; KINDS]);

impl Tally {
    /// Counts one.
    pub fn count(&mut self, what: &Misbehaviour) {
        if let Some(count) = self.0.get_mut(what.kind()) {
            *count = count.wrapping_add(1);
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.wrapping_add(theirs);
        }
    }

    /// Each kind's name and count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Misbehaviour::NAMES.into_iter().zip(self.0)
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const OVERRUN: RingOverrun = RingOverrun { rsp_prod: 3, rsp_cons: 1, req_prod: 2 };

    /// One of each kind, in order.
    const ALL: [Misbehaviour; KINDS] = [
        Misbehaviour::RxRing(OVERRUN),
        Misbehaviour::RxId { expected: 1, found: 2 },
        Misbehaviour::RxBounds { offset: 65_535, len: 1 },
        Misbehaviour::RxStatus(-9),
        Misbehaviour::RxShort(13),
        Misbehaviour::RxLong(70_000),
        Misbehaviour::RxFragments(2),
        Misbehaviour::RxSlots(20),
        Misbehaviour::RxIncomplete(1),
        Misbehaviour::RxExtra(NetifExtraError::UnknownType(0)),
        Misbehaviour::RxExtraUnasked(NetifExtraType::Gso),
        Misbehaviour::RxChecksumBlank,
        Misbehaviour::RxGsoSize,
        Misbehaviour::TxRing(OVERRUN),
        Misbehaviour::TxIdRange(256),
        Misbehaviour::TxIdIdle(255),
        Misbehaviour::TxNull,
        Misbehaviour::TxStatus(7),
        Misbehaviour::Quarantine(64),
        Misbehaviour::CtrlRing(OVERRUN),
        Misbehaviour::CtrlId { expected: 1, found: 2 },
        Misbehaviour::CtrlType { expected: NetifCtrlType::SetHashKey, found: 0 },
        Misbehaviour::CtrlStatus(4),
    ];

    #[test]
    fn every_kind_has_its_own_counter_and_says_the_value() {
        for (number, what) in ALL.iter().enumerate() {
            assert_eq!(what.kind(), number);
            let mut tally = Tally::default();
            tally.count(what);
            assert_eq!(tally.iter().nth(number), Some((Misbehaviour::NAMES[number], 1)));
            assert_eq!(tally.total(), 1);
            assert!(!what.to_string().is_empty());
        }
    }

    #[test]
    fn what_spoils_indexes_ids_or_grants_breaks_the_device() {
        let broken = ALL.iter().filter(|what| what.consequence() == Consequence::Break).count();
        assert_eq!(broken, 7);
    }
}
