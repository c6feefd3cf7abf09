//! Features of the protocol: those that both ends offer, without those that the operator refuses.
//!
//! ```text
//!   ours (all of them) − refused ─┬─► rx: the features that we advertise to the backend
//!   the backend's feature-* ──────┴─► tx: the features that both ends have
//! ```
//!
//! Some features depend on others: segmentation needs scatter-gather and checksum offload. [`Feature::consistent`]
//! removes a feature whose dependency is missing. The names of nodes are those of Xen's `io/netif.h`.

use bitflags::bitflags;
use core::fmt;

bitflags! {
    /// A set of features.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Feature: u16 {
        /// Packets over several slots.
        #[doc(alias = "feature-sg")]
        const SCATTER_GATHER = 1;
        /// Checksum offload: TCP and UDP over IPv4 with an unfinished checksum.
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
        /// Frames to multicast groups come only for groups that we joined.
        #[doc(alias = "feature-multicast-control")]
        const MULTICAST_CONTROL = 1 << 6;
        /// The backend chooses queues by a hash with our key.
        #[doc(alias = "feature-ctrl-ring")]
        const HASH = 1 << 7;
        /// The backend keeps the pools' pages mapped: no grant operation for each frame.
        #[doc(alias = "XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING")]
        const GREF_MAPPING = 1 << 8;
    }
}

impl Feature {
    /// The names on the command line and in `/status.json`.
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

    /// The features of frames. The others are features of the connection.
    pub const FRAMES: Self = Self::SCATTER_GATHER.union(Self::CHECKSUM).union(Self::GSO);

    /// Checksum offload over IPv4 and IPv6.
    pub const CHECKSUM: Self = Self::CHECKSUM_IPV4.union(Self::CHECKSUM_IPV6);
    /// Segmentation offload over IPv4 and IPv6.
    pub const GSO: Self = Self::GSO_TCPV4.union(Self::GSO_TCPV6);

    /// The feature with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, feature)| *feature)
    }

    /// The names of the features in the set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, feature)| self.contains(*feature)).map(|(name, _)| name)
    }

    /// The set without the features that depend on one outside of it.
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
    fn segmentation_needs_scatter_gather_and_checksum_offload() {
        assert_eq!(Feature::all().consistent(), Feature::all());
        let without = |feature| (Feature::all() - feature).consistent();
        let others = Feature::all() - Feature::FRAMES;
        assert_eq!(without(Feature::SCATTER_GATHER), Feature::CHECKSUM | others);
        assert!(!without(Feature::CHECKSUM_IPV4).contains(Feature::GSO_TCPV4));
        assert!(without(Feature::CHECKSUM_IPV4).contains(Feature::GSO_TCPV6));
        assert!(!without(Feature::CHECKSUM_IPV6).contains(Feature::GSO_TCPV6));
    }
}
