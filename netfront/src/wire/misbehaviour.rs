//! The rules of the protocol that a backend can break: one variant for each, with the value that broke it.
//!
//! ```text
//!   rx, tx ──Misbehaviour──► consequence() ─┬─► DropFrame: the frame is dropped, its pages return, it is counted
//!                                           ├─► Note:      it is counted
//!                                           └─► Break:     the device does not touch the rings until it reconnects
//! ```
//!
//! The rules are those of Xen's `io/netif.h` and `io/ring.h`, and the checks of Linux's netfront. After a wrong index, id
//! or grant, no later response can be believed, so the device stops. An error in one frame drops that frame.

use core::fmt;
use xen::abi::io_netif::{NetifCtrlType, NetifExtraError, NetifExtraType};
use xen::ring::RingOverrun;

/// The consequence of a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It is counted.
    Note,
    /// The whole frame is dropped, and all its pages return.
    DropFrame,
    /// The device is broken: it does not touch the rings until it reconnects.
    Break,
}

/// A rule that the backend broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// `rsp_prod` of the rx ring is out of range, or went backwards.
    RxRing(RingOverrun),
    /// An rx response has another id than the request in its slot.
    RxId {
        /// The id of the request at this ring position.
        expected: u8,
        /// The id in the response.
        found: u16,
    },
    /// Received data leaves its page.
    RxBounds {
        /// The offset of the data in the page.
        offset: u16,
        /// The length of the data.
        len: u16,
    },
    /// An rx response has a negative status that `netif.h` does not define.
    RxStatus(i16),
    /// A frame is shorter than an Ethernet header, or a fragment is empty; the length.
    RxShort(u16),
    /// A frame is longer than the interface takes; the length.
    RxLong(u32),
    /// A frame has several slots although scatter-gather was not negotiated; how many.
    RxFragments(u32),
    /// A frame has more slots than the protocol allows; how many.
    RxSlots(u32),
    /// A frame promises another slot that does not follow; how many slots it has.
    RxIncomplete(u32),
    /// A frame has an extra that `netif.h` does not define.
    RxExtra(NetifExtraError),
    /// A frame has an extra that was not negotiated.
    RxExtraUnasked(NetifExtraType),
    /// A frame has a blank checksum although checksum offload was refused.
    RxChecksumBlank,
    /// A frame was merged from segments without a size.
    RxGsoSize,
    /// `rsp_prod` of the tx ring is out of range, or went backwards.
    TxRing(RingOverrun),
    /// A tx response has an id that no request can have.
    TxIdRange(u16),
    /// A tx response has the id of a request that the backend was not shown, or that it answered before.
    TxIdIdle(u8),
    /// `NETIF_RSP_NULL` without an extra that it answers.
    TxNull,
    /// A tx response has a status that `netif.h` does not define.
    TxStatus(i16),
    /// The backend keeps more pages in use than the limit; how many.
    Quarantine(u32),
    /// `rsp_prod` of the control ring is out of range.
    CtrlRing(RingOverrun),
    /// A control response has the id of another request.
    CtrlId {
        /// The id of the request.
        expected: u16,
        /// The id in the response.
        found: u16,
    },
    /// A control response has the type of another request.
    CtrlType {
        /// The type of the request.
        expected: NetifCtrlType,
        /// The type in the response.
        found: u16,
    },
    /// A control response has a status that `netif.h` does not define.
    CtrlStatus(u32),
}

xen::counters! {
    /// Broken rules, counted by kind.
    pub struct MisbehaviourCounts by
    /// The kind of a broken rule: [`Misbehaviour`] without its value.
    pub enum MisbehaviourKind {
        /// `rsp_prod` of the rx ring is out of range, or went backwards.
        RxRing = "rx_ring",
        /// An rx response has another id than the request in its slot.
        RxId = "rx_id",
        /// Received data leaves its page.
        RxBounds = "rx_bounds",
        /// An rx response has a status that `netif.h` does not define.
        RxStatus = "rx_status",
        /// A received frame is shorter than an Ethernet header, or a fragment is empty.
        RxShort = "rx_short",
        /// A received frame is longer than the interface takes.
        RxLong = "rx_long",
        /// A received frame has several slots without scatter-gather.
        RxFragments = "rx_fragments",
        /// A received frame has more slots than the protocol allows.
        RxSlots = "rx_slots",
        /// A received frame promises a slot that does not follow.
        RxIncomplete = "rx_incomplete",
        /// A received frame has an extra that `netif.h` does not define.
        RxExtra = "rx_extra",
        /// A received frame has an extra that was not negotiated.
        RxExtraUnasked = "rx_extra_unasked",
        /// A received frame has a blank checksum without checksum offload.
        RxChecksumBlank = "rx_checksum_blank",
        /// A received frame was merged from segments without a size.
        RxGsoSize = "rx_gso_size",
        /// `rsp_prod` of the tx ring is out of range, or went backwards.
        TxRing = "tx_ring",
        /// A tx response has an id that no request can have.
        TxIdRange = "tx_id_range",
        /// A tx response has the id of a request that is not in flight.
        TxIdIdle = "tx_id_idle",
        /// `NETIF_RSP_NULL` without an extra that it answers.
        TxNull = "tx_null",
        /// A tx response has a status that `netif.h` does not define.
        TxStatus = "tx_status",
        /// The backend keeps more pages in use than the limit.
        Quarantine = "quarantine",
        /// `rsp_prod` of the control ring is out of range.
        CtrlRing = "ctrl_ring",
        /// A control response has the id of another request.
        CtrlId = "ctrl_id",
        /// A control response has the type of another request.
        CtrlType = "ctrl_type",
        /// A control response has a status that `netif.h` does not define.
        CtrlStatus = "ctrl_status",
    }
}

impl MisbehaviourCounts {
    /// Counts a broken rule.
    pub fn count(&mut self, what: &Misbehaviour) {
        self.bump(what.kind());
    }
}

impl Misbehaviour {
    /// The kind, for counting.
    #[must_use]
    pub const fn kind(&self) -> MisbehaviourKind {
        use MisbehaviourKind as Kind;
        match self {
            Self::RxRing(_) => Kind::RxRing,
            Self::RxId { .. } => Kind::RxId,
            Self::RxBounds { .. } => Kind::RxBounds,
            Self::RxStatus(_) => Kind::RxStatus,
            Self::RxShort(_) => Kind::RxShort,
            Self::RxLong(_) => Kind::RxLong,
            Self::RxFragments(_) => Kind::RxFragments,
            Self::RxSlots(_) => Kind::RxSlots,
            Self::RxIncomplete(_) => Kind::RxIncomplete,
            Self::RxExtra(_) => Kind::RxExtra,
            Self::RxExtraUnasked(_) => Kind::RxExtraUnasked,
            Self::RxChecksumBlank => Kind::RxChecksumBlank,
            Self::RxGsoSize => Kind::RxGsoSize,
            Self::TxRing(_) => Kind::TxRing,
            Self::TxIdRange(_) => Kind::TxIdRange,
            Self::TxIdIdle(_) => Kind::TxIdIdle,
            Self::TxNull => Kind::TxNull,
            Self::TxStatus(_) => Kind::TxStatus,
            Self::Quarantine(_) => Kind::Quarantine,
            Self::CtrlRing(_) => Kind::CtrlRing,
            Self::CtrlId { .. } => Kind::CtrlId,
            Self::CtrlType { .. } => Kind::CtrlType,
            Self::CtrlStatus(_) => Kind::CtrlStatus,
        }
    }

    /// The consequence. This is the only place that decides it.
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
            // The control ring is closed; packets do not need it.
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
            Self::TxIdRange(id) => write!(f, "tx response with id {id}, which no request can have"),
            Self::TxIdIdle(id) => write!(f, "tx response to request {id} that is not in flight"),
            Self::TxNull => write!(f, "tx response NETIF_RSP_NULL without an extra"),
            Self::TxStatus(status) => write!(f, "tx response with the unknown status {status}"),
            Self::CtrlRing(overrun) => write!(f, "control ring: {overrun}"),
            Self::CtrlId { expected, found } => {
                write!(f, "control response {found} to request {expected}")
            }
            Self::CtrlType { expected, found } => {
                write!(f, "control response of type {found} to {expected}")
            }
            Self::CtrlStatus(status) => write!(f, "control response with the unknown status {status}"),
            Self::Quarantine(pages) => write!(f, "the backend keeps {pages} pages in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const OVERRUN: RingOverrun = RingOverrun { rsp_prod: 3, rsp_cons: 1, req_prod: 2 };

    /// One of each kind, in order.
    const ALL: [Misbehaviour; MisbehaviourKind::ALL.len()] = [
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
    fn every_kind_has_its_own_counter_and_message() {
        for (what, kind) in ALL.iter().zip(MisbehaviourKind::ALL) {
            assert_eq!(what.kind(), kind);
            let mut counts = MisbehaviourCounts::default();
            counts.count(what);
            assert_eq!((counts.get(kind), counts.total()), (1, 1));
            assert!(!what.to_string().is_empty());
        }
    }

    #[test]
    fn wrong_indexes_ids_or_grants_break_the_device() {
        let broken = ALL.iter().filter(|what| what.consequence() == Consequence::Break).count();
        assert_eq!(broken, 7);
    }
}
