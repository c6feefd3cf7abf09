//! Features of the protocol: what both ends offer, what the operator refuses, and what is left.
//!
//! ```text
//!   ours (all of them) − refused ─┬─► rx: what we tell the backend that we accept
//!   the backend's feature-* ──────┴─► tx: what both have
//! ```
//!
//! Some stand on others: no segmentation without scatter-gather and a blank checksum. [`Feature::consistent`] takes
//! away what has lost its footing. Names of nodes are those of Xen's `io/netif.h`.

use bitflags::bitflags;
use core::fmt;

bitflags! {
    /// A set of features.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Feature: u16 {
        /// Packets over several slots.
        #[doc(alias = "feature-sg")]
        const SCATTER_GATHER = 1;
        /// TCP and UDP over IPv4 with the checksum left to be done.
        #[doc(alias = "feature-no-csum-offload")]
        const CHECKSUM_IPV4 = 1 << 1;
        /// The same over IPv6.
        #[doc(alias = "feature-ipv6-csum-offload")]
        const CHECKSUM_IPV6 = 1 << 2;
        /// TCP segments over IPv4 of up to 64 KiB.
        #[doc(alias = "feature-gso-tcpv4")]
        const GSO_TCPV4 = 1 << 3;
        /// The same over IPv6.
        #[doc(alias = "feature-gso-tcpv6")]
        const GSO_TCPV6 = 1 << 4;
        /// An event channel for each direction.
        #[doc(alias = "feature-split-event-channels")]
        const SPLIT_EVENT_CHANNELS = 1 << 5;
        /// Frames to groups only where we joined them.
        #[doc(alias = "feature-multicast-control")]
        const MULTICAST_CONTROL = 1 << 6;
        /// Queues chosen by a hash whose key is ours.
        #[doc(alias = "feature-ctrl-ring")]
        const HASH = 1 << 7;
        /// The pools' pages stay mapped by the backend: no grant operation a frame.
        #[doc(alias = "XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING")]
        const GREF_MAPPING = 1 << 8;
    }
}

impl Feature {
    /// The words of the command line, and in `/status.json`.
    pub const NAMES: [(&str, Self); 9] = [
        ("sg", Self::SCATTER_GATHER),
        ("csum4", Self::CHECKSUM_IPV4),
        ("csum6", Self::CHECKSUM_IPV6),
        ("gso4", Self::GSO_TCPV4),
        ("gso6", Self::GSO_TCPV6),
        ("split", Self::SPLIT_EVENT_CHANNELS),
        ("mcast", Self::MULTICAST_CONTROL),
        ("hash", Self::HASH),
        ("gref", Self::GREF_MAPPING),
    ];

    /// What frames can be like. The others are about how both ends are connected.
    pub const FRAMES: Self = Self::SCATTER_GATHER.union(Self::CHECKSUM).union(Self::GSO);

    /// Checksums over either protocol.
    pub const CHECKSUM: Self = Self::CHECKSUM_IPV4.union(Self::CHECKSUM_IPV6);
    /// Segmentation over either protocol.
    pub const GSO: Self = Self::GSO_TCPV4.union(Self::GSO_TCPV6);

    /// The feature of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, feature)| *feature)
    }

    /// The names of those that are in the set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, feature)| self.contains(*feature)).map(|(name, _)| name)
    }

    /// The set without features that need one which is not in it.
    #[must_use]
    pub fn consistent(mut self) -> Self {
        for (feature, needs) in [
            (Self::GSO_TCPV4, Self::SCATTER_GATHER.union(Self::CHECKSUM_IPV4)),
            (Self::GSO_TCPV6, Self::SCATTER_GATHER.union(Self::CHECKSUM_IPV6)),
        ] {
            if !self.contains(needs) {
                self.remove(feature);
            }
        }
        self
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.words().enumerate() {
            f.write_str(if at == 0 { "" } else { " " })?;
            f.write_str(word)?;
        }
        if self.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_feature_has_one_name() {
        for (name, feature) in Feature::NAMES {
            assert_eq!(Feature::named(name), Some(feature));
            assert_eq!(feature.to_string(), name);
        }
        assert_eq!(Feature::named("tso"), None);
        let all = Feature::NAMES.into_iter().fold(Feature::empty(), |set, (_, feature)| set | feature);
        assert_eq!(all, Feature::all());
        assert_eq!((Feature::CHECKSUM_IPV4 | Feature::SCATTER_GATHER).to_string(), "sg csum4");
        assert_eq!(Feature::empty().to_string(), "none");
    }

    #[test]
    fn segmentation_needs_several_slots_and_a_blank_checksum() {
        assert_eq!(Feature::all().consistent(), Feature::all());
        let without = |feature| (Feature::all() - feature).consistent();
        let others = Feature::all() - Feature::FRAMES;
        assert_eq!(without(Feature::SCATTER_GATHER), Feature::CHECKSUM | others);
        assert!(!without(Feature::CHECKSUM_IPV4).contains(Feature::GSO_TCPV4));
        assert!(without(Feature::CHECKSUM_IPV4).contains(Feature::GSO_TCPV6));
        assert!(!without(Feature::CHECKSUM_IPV6).contains(Feature::GSO_TCPV6));
    }
}
