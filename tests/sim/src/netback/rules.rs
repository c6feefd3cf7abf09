//! Netback's requirements of a frontend, each rule with a name.

use std::fmt;

/// What Linux's netback does to a frontend that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// "fatal error; disabling device": no queue works until the frontend connects again.
    Fatal,
    /// The packet is dropped and answered with `NETIF_RSP_ERROR`.
    Drop,
    /// Nothing; but some other backend may, or it is a leak, or a waste.
    None,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident => $penalty:ident,)+) => {
        /// A rule that the frontend broke.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Violation {
            $($(#[$doc])* $name,)+
        }

        impl Violation {
            /// The reaction of Linux 6.1's netback.
            #[must_use]
            pub const fn penalty(self) -> Penalty {
                match self {
                    $(Self::$name => Penalty::$penalty,)+
                }
            }
        }
    };
}

rules! {
    /// `req_prod` of the transmit ring is more than a ring ahead of the responses.
    TxRingOverrun => Fatal,
    /// A request says `more_data`, and there is no further one.
    MoreDataWithoutSlot => Fatal,
    /// More than 20 slots after the first.
    FatalSlots => Fatal,
    /// A slot exceeds its page.
    SlotCrossesPage => Fatal,
    /// A request says `extra_info`, and no extra follows.
    MissingExtra => Fatal,
    /// An extra of type 0 or of one that is not defined.
    ExtraType => Fatal,
    /// A GSO extra with segments of no bytes.
    GsoSizeZero => Fatal,
    /// A GSO extra of a type that is not TCPv4 or TCPv6.
    GsoType => Fatal,
    /// The first slot has less than an Ethernet header.
    FirstSlotShort => Drop,
    /// A fragment is larger than the rest of the packet's size.
    FragmentTooLarge => Drop,
    /// More than 18 slots.
    TooManySlots => Drop,
    /// A slot of no bytes.
    EmptySlot => None,
    /// The protocol headers are not all in the first slot (CVE-2022-3643).
    HeadersSplit => None,
    /// An id that is not answered yet is used again.
    TxIdInFlight => None,
    /// A flag that `netif.h` does not define, or one that only a first request can have.
    UnknownFlags => None,
    /// GSO without `csum_blank`, or without `data_validated`.
    GsoWithoutBlankChecksum => None,
    /// Longer than the MTU without GSO.
    LongerThanMtu => None,
    /// A packet of several slots, or GSO, to a backend that did not offer it.
    NotOffered => None,
    /// The page of a transmit request is not granted to the backend.
    TxGrant => Drop,
    /// The bytes of a packet changed between request and response.
    ChangedInFlight => None,
    /// A request about a group that carries anything else, is about no group, or was not negotiated.
    GroupRequest => None,
    /// `req_prod` of the receive ring is more than a ring ahead of the responses.
    RxRingOverrun => Fatal,
    /// An id that is not answered yet is posted again.
    RxIdInFlight => None,
    /// A page that is posted already is posted again.
    RxPageTwice => None,
    /// The page of a receive request is not granted to the backend for writing.
    RxGrant => None,
    /// The padding of a receive request is not zero (XSA-216).
    RxPad => None,
    /// The frontend wrote to a page between posting it and getting it back.
    WroteToPostedPage => None,
    /// A page was posted with bytes of something else in it (XSA-403).
    NotCleared => None,
    /// A key without which netback cannot connect is missing or no number.
    MissingKey => Fatal,
    /// `request-rx-copy` is not 1.
    RxCopyNotRequested => None,
    /// The number of queues is 0, or more than the backend offers.
    QueueCount => Fatal,
    /// A ring page is not granted for writing, or its channel cannot be bound.
    RingUnusable => Fatal,
    /// A state that no frontend has.
    FrontendState => Fatal,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Violation::{self:?} ({:?} in Linux)", self.penalty())
    }
}
