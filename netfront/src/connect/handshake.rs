//! The handshake: the terms of a connection, and publishing rings and channels in one transaction.
//!
//! ```text
//!   B/feature-… ─► Offers ─► Terms ─► rings ─► QueueRings ──Connect──► device fills the rx ring
//!                                                                             │
//!   F/tx-ring-ref … F/request-rx-copy=1 … in one transaction ◄────────────────┘   then F/state=4
//! ```
//!
//! The order and the keys are those of Xen's `io/netif.h`, and those that Linux's netback reads
//! (`drivers/net/xen-netback/xenbus.c`, `connect` and `connect_data_rings`). The connection task decides when.

use super::store::{FEATURE_KEYS, FeatureKey, Meaning, Offers, Vif, clamp_mtu};
use crate::device::mailbox::Connection;
use crate::device::stats::Features;
use crate::queue::QueueRings;
use crate::queue::channel::{ChannelLayout, Channels};
use crate::wire::feature::Feature;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use xen::xenstore::{XenStore, XsError};
use xen::{DomId, Gref};

/// The grant references and ports of one queue, for xenstore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    tx_ring: Gref,
    rx_ring: Gref,
    /// The tx port, and the rx port if rx has its own.
    ports: (u32, Option<u32>),
}

impl Published {
    pub(super) const fn of(rings: &QueueRings) -> Self {
        let ports = match &rings.channels {
            Channels::Shared(channel) => (channel.port().0, None),
            Channels::Split { rx, tx } => (tx.port().0, Some(rx.port().0)),
        };
        Self { tx_ring: rings.tx.page().gref(), rx_ring: rings.rx.page().gref(), ports }
    }

    /// Keys and values of a queue, relative to the vif's directory.
    fn nodes(&self) -> Vec<(&'static str, u32)> {
        let mut nodes = vec![("tx-ring-ref", self.tx_ring.0), ("rx-ring-ref", self.rx_ring.0)];
        match self.ports {
            (port, None) => nodes.push(("event-channel", port)),
            (tx, Some(rx)) => nodes.extend([("event-channel-tx", tx), ("event-channel-rx", rx)]),
        }
        nodes
    }
}

/// The terms of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// The features that we advertise.
    pub(super) rx: Feature,
    /// The features of the backend that we use.
    pub(super) tx: Feature,
    /// The event channels of each queue.
    pub(super) channels: ChannelLayout,
    /// The number of queues.
    pub(super) queues: u32,
    /// Frames to multicast groups come only for groups that we joined.
    pub(super) multicast_control: bool,
    /// The backend is asked to choose queues by a hash.
    pub(super) hash: bool,
    /// The backend is asked to keep the pools' pages mapped.
    pub(super) gref: bool,
}

impl Terms {
    /// The features of both ends without those that the operator refuses.
    pub(super) fn new(offers: &Offers, refused: Feature, queues: usize) -> Self {
        let both = offers.features.difference(refused);
        let split = both.contains(Feature::SPLIT_EVENT_CHANNELS);
        let ours = Feature::FRAMES.difference(refused);
        // Never 0 (CVE-2026-45890), whatever the backend offers.
        let queues = u32::try_from(queues).unwrap_or(1).clamp(1, offers.max_queues.unwrap_or(1).max(1));
        Self {
            rx: ours.consistent(),
            tx: ours.intersection(offers.features).consistent(),
            channels: if split { ChannelLayout::Split } else { ChannelLayout::Shared },
            queues,
            hash: queues > 1 && both.contains(Feature::HASH),
            gref: both.contains(Feature::GREF_MAPPING),
            multicast_control: both.contains(Feature::MULTICAST_CONTROL),
        }
    }
}

/// The keys of the queues: those of a single queue at the top level, those of several each in its own directory.
fn queue_nodes(queues: &[Published]) -> Vec<(String, String)> {
    let all = queues.iter().enumerate().flat_map(|(number, queue)| {
        let prefix = if queues.len() == 1 { String::new() } else { format!("queue-{number}/") };
        queue.nodes().into_iter().map(move |(key, value)| (format!("{prefix}{key}"), value.to_string()))
    });
    all.collect()
}

/// Keys and values besides those of the queues.
fn nodes(offers: &Offers, terms: &Terms) -> Vec<(&'static str, String)> {
    let mut nodes: Vec<(&str, String)> = Vec::new();
    if offers.max_queues.is_some_and(|max| max >= 1) {
        // Only if the backend knows the key.
        nodes.push(("multi-queue-num-queues", terms.queues.to_string()));
    }
    if offers.xdp_headroom {
        // A former driver of the vif may have left another value.
        nodes.push(("xdp-headroom", "0".into()));
    }
    for key in ["request-rx-copy", "feature-rx-notify"] {
        nodes.push((key, "1".into()));
    }
    for FeatureKey { key, feature, one_means, .. } in FEATURE_KEYS.into_iter().filter(|row| row.advertised) {
        if terms.rx.contains(feature) == (one_means == Meaning::Offered) {
            nodes.push((key, "1".into()));
        }
    }
    if terms.multicast_control {
        nodes.push((MULTICAST_KEY, "1".into()));
    }
    nodes
}

/// The key that asks for multicast control.
pub(super) const MULTICAST_KEY: &str = "request-multicast-control";

/// Whether a key of our directory may come from a former driver of the vif: a feature that we do not use, or the directory
/// of a queue that we do not have.
fn is_left_over(key: &str, queues: usize) -> bool {
    // One queue has no directory of its own.
    let unused = if queues == 1 { 0 } else { queues };
    match key.strip_prefix("queue-") {
        Some(number) => number.parse().is_ok_and(|number: usize| number >= unused),
        None => OPTIONAL.contains(&key) || FEATURE_KEYS.iter().any(|row| row.advertised && row.key == key),
    }
}

/// Keys that say how we use the vif, besides the features. A former driver of the vif may have left them.
const OPTIONAL: [&str; 9] = [
    "multi-queue-num-queues",
    "tx-ring-ref",
    "rx-ring-ref",
    "event-channel",
    "event-channel-tx",
    "event-channel-rx",
    MULTICAST_KEY,
    "ctrl-ring-ref",
    "event-channel-ctrl",
];

/// Publishes the queues in one transaction.
pub(super) async fn publish(
    store: &XenStore,
    front: &str,
    offers: &Offers,
    terms: &Terms,
    queues: &[Published],
    control: Option<(Gref, u32)>,
) -> Result<(), XsError> {
    let mut nodes: Vec<(String, String)> =
        nodes(offers, terms).into_iter().map(|(key, value)| (key.into(), value)).collect();
    nodes.extend(queue_nodes(queues));
    if let Some((ring, port)) = control {
        nodes.extend([
            ("ctrl-ring-ref".into(), ring.0.to_string()),
            ("event-channel-ctrl".into(), port.to_string()),
        ]);
    }
    store
        .transaction(async |transaction| {
            for key in transaction.directory(front).await? {
                if is_left_over(&key, queues.len()) && !nodes.iter().any(|(ours, _)| *ours == key) {
                    transaction.remove(&format!("{front}/{key}")).await?;
                }
            }
            let nodes: Vec<_> =
                nodes.iter().map(|(key, value)| (format!("{front}/{key}"), value.clone())).collect();
            transaction.write_all(&nodes).await
        })
        .await
}

/// The connection over these rings, for the device.
pub(super) fn connection(
    backend: DomId,
    vif: &Vif,
    offers: &Offers,
    terms: &Terms,
    queues: Vec<QueueRings>,
) -> Connection {
    Connection {
        backend,
        trusted: vif.trusted,
        mac: vif.mac,
        rate: offers.rate,
        mtu: clamp_mtu(vif.mtu, terms.rx.intersection(terms.tx)),
        features: Features {
            rx_copy: offers.rx_copy,
            split_event_channels: terms.channels == ChannelLayout::Split,
            scatter_gather: terms.rx.contains(Feature::SCATTER_GATHER),
            queues: terms.queues,
            multicast_control: terms.multicast_control,
            // Known after the negotiation.
            hash: false,
            rx: terms.rx,
            tx: terms.tx,
        },
        queues,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Published = Published { tx_ring: Gref(8), rx_ring: Gref(9), ports: (5, None) };

    fn keys(offers: &Offers, refused: Feature, queue: &Published) -> Vec<(&'static str, String)> {
        let mut all = nodes(offers, &Terms::new(offers, refused, 1));
        let queues = queue_nodes(&[*queue]);
        all.extend(queues.into_iter().map(|(key, value)| (&*String::leak(key), value)));
        all.sort_unstable();
        all
    }

    #[test]
    fn a_plain_backend_gets_one_channel_and_no_queue_count() {
        let expected = [
            ("event-channel", "5"),
            ("feature-no-csum-offload", "1"),
            ("feature-rx-notify", "1"),
            ("request-rx-copy", "1"),
            ("rx-ring-ref", "9"),
            ("tx-ring-ref", "8"),
        ];
        let found = keys(&Offers { rx_copy: true, ..Offers::default() }, Feature::all(), &QUEUE);
        assert!(found.iter().map(|(key, value)| (*key, value.as_str())).eq(expected), "{found:?}");
    }

    #[test]
    fn a_modern_backend_gets_split_channels_and_no_headroom() {
        let offers = Offers {
            rx_copy: true,
            features: Feature::all(),
            max_queues: Some(8),
            xdp_headroom: true,
            rate: None,
        };
        let found = keys(&offers, Feature::empty(), &Published { ports: (5, Some(6)), ..QUEUE });
        for (key, value) in [
            ("event-channel-tx", "5"),
            ("event-channel-rx", "6"),
            ("multi-queue-num-queues", "1"),
            ("xdp-headroom", "0"),
            ("feature-sg", "1"),
            ("feature-gso-tcpv4", "1"),
            ("feature-gso-tcpv6", "1"),
            ("feature-ipv6-csum-offload", "1"),
            ("request-multicast-control", "1"),
        ] {
            assert!(found.contains(&(key, value.into())), "{key}");
        }
        assert!(!found.iter().any(|(key, _)| ["event-channel", "feature-no-csum-offload"].contains(key)));
    }

    #[test]
    fn refused_features_are_not_advertised() {
        let offers = Offers { rx_copy: true, features: Feature::all(), ..Offers::default() };
        for (refused, gone) in [
            (Feature::SCATTER_GATHER, &["feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6"][..]),
            (Feature::GSO_TCPV4, &["feature-gso-tcpv4"]),
            (Feature::CHECKSUM_IPV6, &["feature-ipv6-csum-offload", "feature-gso-tcpv6"]),
            (Feature::MULTICAST_CONTROL, &["request-multicast-control"]),
        ] {
            let found = keys(&offers, refused, &QUEUE);
            let all = keys(&offers, Feature::empty(), &QUEUE);
            let left = all.into_iter().filter(|(key, _)| !gone.contains(key));
            assert!(left.eq(found), "without {refused}");
        }
        let found = keys(&offers, Feature::CHECKSUM_IPV4, &QUEUE);
        assert!(found.contains(&("feature-no-csum-offload", "1".into())));
        assert_eq!(Terms::new(&offers, Feature::SPLIT_EVENT_CHANNELS, 1).channels, ChannelLayout::Shared);
    }

    #[test]
    fn the_number_of_queues_is_the_smaller_limit() {
        let terms =
            |max_queues| Terms::new(&Offers { max_queues, ..Offers::default() }, Feature::empty(), 4).queues;
        assert_eq!([None, Some(0), Some(1), Some(3), Some(8), Some(u32::MAX)].map(terms), [1, 1, 1, 3, 4, 4]);
        let nodes = queue_nodes(&[QUEUE, Published { ports: (7, Some(8)), ..QUEUE }]);
        let keys: Vec<&str> = nodes.iter().map(|(key, _)| key.as_str()).collect();
        let first = ["queue-0/tx-ring-ref", "queue-0/rx-ring-ref", "queue-0/event-channel"];
        let second = [
            "queue-1/tx-ring-ref",
            "queue-1/rx-ring-ref",
            "queue-1/event-channel-tx",
            "queue-1/event-channel-rx",
        ];
        assert!(keys.into_iter().eq(first.into_iter().chain(second)));
    }

    #[test]
    fn a_queue_count_of_zero_is_never_written() {
        let found = keys(&Offers { max_queues: Some(0), ..Offers::default() }, Feature::empty(), &QUEUE);
        assert!(!found.iter().any(|(key, _)| *key == "multi-queue-num-queues"));
    }
}
