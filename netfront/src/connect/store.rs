//! The nodes of a vif in xenstore: reading and parsing their values.
//!
//! ```text
//!   device/vif/<handle>/    ours:          backend, backend-id, state, mac, mtu, trusted      (written by the toolstack)
//!   <backend>/              the backend's: state, online, mac, feature-*, multi-queue-*
//! ```
//!
//! A value is text from another domain. It is parsed and clamped to its range, or refused with its path and value; a
//! feature with an invalid value counts as not offered. The names are those of Xen's `io/netif.h`.

use crate::device::config::OutOfRange;
use crate::wire::feature::Feature;
use crate::wire::rate::Rate;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use smoltcp::wire::EthernetAddress;
use xen::xenbus::{Frontend, XenbusError};
use xen::xenstore::{XenStore, XsErrno, XsError, number};
use xen::{Errno, TrustedBackend};

/// IP bytes of the longest packet, if the toolstack sets no MTU.
pub(super) const DEFAULT_MTU: u16 = 1500;
/// The smallest MTU: every host accepts packets of 576 bytes (RFC 791).
const MIN_MTU: u16 = 576;
/// The largest MTU: a frame has at most 65,535 bytes, its Ethernet header included.
const MAX_MTU: u16 = u16::MAX - 14;

/// Why a vif cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// xenstored refused a request, or broke its protocol.
    Store(XsError),
    /// The directory of the frontend or of the backend is not there.
    Xenbus(XenbusError),
    /// A required node is missing; its path.
    Missing(String),
    /// A node has an invalid value.
    Invalid {
        /// The node.
        path: String,
        /// Its value.
        value: String,
        /// What is expected.
        wanted: &'static str,
    },
    /// A value of the configuration is out of range.
    Config(OutOfRange),
    /// The guest lacks memory, grants or event channels; which, and what to do.
    Resources(String),
}

impl From<XsError> for ConnectError {
    fn from(error: XsError) -> Self {
        Self::Store(error)
    }
}

impl From<XenbusError> for ConnectError {
    fn from(error: XenbusError) -> Self {
        Self::Xenbus(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Xenbus(error) => error.fmt(f),
            Self::Missing(path) => {
                write!(f, "{path} is missing; the toolstack writes it when it attaches a vif")
            }
            Self::Invalid { path, value, wanted } => write!(f, "{path} is \"{value}\"; expected {wanted}"),
            Self::Config(error) => error.fmt(f),
            Self::Resources(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for ConnectError {}

/// The settings of a vif by the toolstack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vif {
    pub(super) mac: EthernetAddress,
    /// IP bytes of the longest packet, not clamped yet.
    pub(super) mtu: u32,
    pub(super) trusted: Option<TrustedBackend>,
}

/// The offers of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) rx_copy: bool,
    /// The features of the backend.
    pub(super) features: Feature,
    /// `multi-queue-max-queues`, if the key exists.
    pub(super) max_queues: Option<u32>,
    pub(super) xdp_headroom: bool,
    /// `rate`, if the toolstack has set a limit.
    pub(super) rate: Option<Rate>,
}

/// The directory of all vifs, relative to the guest's home directory.
pub const LIST: &str = "device/vif";

/// Whether a change at `path` may have added a vif to those of `known`, or removed one. A change within the directory of
/// a known vif has not.
#[must_use]
pub fn changes_list(path: &str, known: &[u32]) -> bool {
    let vif =
        path.strip_prefix(LIST).and_then(|rest| rest.strip_prefix('/')).and_then(|rest| rest.split_once('/'));
    !vif.is_some_and(|(handle, _)| handle.parse().is_ok_and(|handle| known.contains(&handle)))
}

/// The handles of all vifs of this domain, in order.
///
/// # Errors
/// What xenstore says; a domain without vifs is no error.
pub async fn list(store: &XenStore) -> Result<Vec<u32>, XsError> {
    let names = match store.directory(LIST).await {
        Err(XsError::Refused { errno: XsErrno::Known(Errno::ENOENT), .. }) => return Ok(Vec::new()),
        names => names?,
    };
    // There are a few, nearly always in order. The library's sort would add 4 KB of code.
    let mut handles = Vec::new();
    for handle in names.iter().filter_map(|name| name.parse().ok()) {
        let place = handles.partition_point(|other| *other < handle);
        handles.insert(place, handle);
    }
    Ok(handles)
}

impl Vif {
    /// Reads the frontend's directory.
    pub(super) async fn read(store: &XenStore, frontend: &Frontend) -> Result<Self, ConnectError> {
        let paths = [
            frontend.node("trusted"),
            frontend.node("mtu"),
            frontend.node("mac"),
            // A device model in a stub domain cannot write our directory.
            frontend.backend_node("mac"),
        ];
        let [_, mtu_path, mac_path, backend_mac_path] = &paths;
        let [trusted, mtu, mac, backend_mac] = store.read_all(&paths).await;
        Ok(Self {
            trusted: TrustedBackend::from_node(text_of(trusted)?.as_deref()),
            mtu: number_of(mtu_path, mtu)?.unwrap_or_else(|| u32::from(DEFAULT_MTU)),
            mac: mac_of(mac_path, [(mac_path, mac), (backend_mac_path, backend_mac)])?,
        })
    }
}

/// What the value 1 of a feature's key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The feature is there. It is not there without the key.
    Offered,
    /// The feature is not there. It is there without the key.
    Refused,
}

/// A key of a feature, in a backend's directory and in ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct FeatureKey {
    /// The key.
    pub(super) key: &'static str,
    /// The feature.
    pub(super) feature: Feature,
    /// What the value 1 says.
    pub(super) one_means: Meaning,
    /// Whether we write the key, too: it is about frames, which go both ways.
    pub(super) advertised: bool,
}

/// The keys of all features.
pub(super) const FEATURE_KEYS: [FeatureKey; 8] = {
    use Meaning::{Offered, Refused};
    const fn row(key: &'static str, feature: Feature, one_means: Meaning, advertised: bool) -> FeatureKey {
        FeatureKey { key, feature, one_means, advertised }
    }
    [
        row("feature-sg", Feature::SCATTER_GATHER, Offered, true),
        row("feature-gso-tcpv4", Feature::GSO_TCPV4, Offered, true),
        row("feature-gso-tcpv6", Feature::GSO_TCPV6, Offered, true),
        row("feature-no-csum-offload", Feature::CHECKSUM_IPV4, Refused, true),
        row("feature-ipv6-csum-offload", Feature::CHECKSUM_IPV6, Offered, true),
        row("feature-split-event-channels", Feature::SPLIT_EVENT_CHANNELS, Offered, false),
        row("feature-multicast-control", Feature::MULTICAST_CONTROL, Offered, false),
        row("feature-ctrl-ring", Feature::HASH.union(Feature::GREF_MAPPING), Offered, false),
    ]
};

/// The other keys of a backend's directory that we read.
const SETTINGS: [&str; 4] = ["feature-rx-copy", "multi-queue-max-queues", "feature-xdp-headroom", "rate"];

impl Offers {
    /// Reads the backend's directory.
    pub(super) async fn read(store: &XenStore, frontend: &Frontend) -> Result<Self, ConnectError> {
        let flag = |path: &str, value| {
            Ok::<_, ConnectError>(number_of(path, value)?.is_some_and(|value| value != 0))
        };
        let mut keys = SETTINGS.into_iter().chain(FEATURE_KEYS.iter().map(|row| row.key));
        let paths: [String; SETTINGS.len() + FEATURE_KEYS.len()] =
            core::array::from_fn(|_| frontend.backend_node(keys.next().unwrap_or_default()));
        // All together: one notification and one sleep.
        let [copy, queues, headroom, rate, values @ ..] = store.read_all(&paths).await;
        let [copy_path, queues_path, headroom_path, _, feature_paths @ ..] = &paths;
        let mut features = Feature::empty();
        for ((row, path), value) in FEATURE_KEYS.iter().zip(feature_paths).zip(values) {
            features.set(row.feature, flag(path, value)? == (row.one_means == Meaning::Offered));
        }
        Ok(Self {
            rx_copy: flag(copy_path, copy)?,
            features,
            max_queues: number_of(queues_path, queues)?,
            xdp_headroom: flag(headroom_path, headroom)?,
            rate: text_of(rate)?.as_deref().and_then(Rate::parse),
        })
    }
}

/// The value of a node. A value that is not text becomes a word that no key knows.
fn text_of(value: Result<Option<String>, XsError>) -> Result<Option<String>, ConnectError> {
    match value {
        Err(XsError::NotText { path }) => {
            log::warn!("{path} is not text");
            Ok(Some("?".into()))
        }
        value => Ok(value?),
    }
}

/// The value of a node as a number. A value that is not a number counts as missing.
fn number_of(path: &str, value: Result<Option<String>, XsError>) -> Result<Option<u32>, ConnectError> {
    match value.and_then(|value| value.map(|value| number(path, &value)).transpose()) {
        Err(error @ (XsError::NotANumber { .. } | XsError::NotText { .. })) => {
            log::warn!("{error}; treated as missing");
            Ok(None)
        }
        number => Ok(number?),
    }
}

/// Reads a node as a number; see [`number_of`].
pub(super) async fn read_number(store: &XenStore, path: &str) -> Result<Option<u32>, ConnectError> {
    number_of(path, store.read_opt(path).await)
}

/// The MAC address: that of the first node with a valid one. `ours` is the path to name if all are missing.
fn mac_of<const N: usize>(
    ours: &str,
    nodes: [(&String, Result<Option<String>, XsError>); N],
) -> Result<EthernetAddress, ConnectError> {
    let mut refused = None;
    for (path, value) in nodes {
        let Some(value) = text_of(value)? else { continue };
        match parse_mac(&value) {
            Some(mac) => return Ok(mac),
            None => {
                let wanted = "a unicast MAC address such as 00:16:3e:01:02:03";
                let error = ConnectError::Invalid { path: path.clone(), value, wanted };
                log::warn!("{error}");
                refused = Some(error);
            }
        }
    }
    Err(refused.unwrap_or_else(|| ConnectError::Missing(ours.into())))
}

/// Parses six hexadecimal bytes with colons: neither zero nor a multicast address.
fn parse_mac(text: &str) -> Option<EthernetAddress> {
    let mut bytes = [0; 6];
    let mut parts = text.trim().split(':');
    for byte in &mut bytes {
        let part = parts.next()?;
        if part.len() > 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    let mac = EthernetAddress(bytes);
    (parts.next().is_none() && mac.is_unicast() && bytes != [0; 6]).then_some(mac)
}

/// The MTU, clamped to the range for these features, which both ends have. Without scatter-gather a backend sends at most
/// 1500 bytes.
pub(super) fn clamp_mtu(value: u32, features: Feature) -> u16 {
    let most = if features.contains(Feature::SCATTER_GATHER) { MAX_MTU } else { DEFAULT_MTU };
    let mtu = u16::try_from(value).unwrap_or(u16::MAX).clamp(MIN_MTU, most);
    if u32::from(mtu) != value {
        log::warn!("the vif's mtu is {value}, outside {MIN_MTU} to {most}; using {mtu}");
    }
    mtu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_within_a_known_vif_do_not_change_the_list() {
        for news in ["device/vif", "device/vif/1", "device/vif/1/backend", "device/vif/x/y", "device/vif/0"] {
            assert!(changes_list(news, &[0, 2]), "{news}");
        }
        for own in ["device/vif/0/state", "device/vif/2/queue-1/tx-ring-ref"] {
            assert!(!changes_list(own, &[0, 2]), "{own}");
        }
    }

    #[test]
    fn a_mac_address_has_six_bytes_and_is_unicast() {
        let mac = parse_mac("00:16:3e:0a:0B:ff\n").unwrap();
        assert_eq!(mac.0, [0, 0x16, 0x3e, 0x0a, 0x0b, 0xff]);
        for bad in [
            "",
            "00:16:3e:0a:0b",
            "00:16:3e:0a:0b:0c:0d",
            "00:16:3e:0a:0b:xx",
            "00:16:3e:0a:0b:100",
            "00163e0a0b0c",
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
            "00:16:3e::0b:0c",
            "+1:16:3e:0a:0b:0c",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_mtu_out_of_range_is_clamped() {
        for (value, small, large) in [
            (0, 576, 576),
            (67, 576, 576),
            (576, 576, 576),
            (1400, 1400, 1400),
            (1500, 1500, 1500),
            (9000, 1500, 9000),
            (65_535, 1500, 65_521),
            (u32::MAX, 1500, 65_521),
        ] {
            assert_eq!(clamp_mtu(value, Feature::empty()), small, "{value}");
            assert_eq!(clamp_mtu(value, Feature::SCATTER_GATHER), large, "{value}");
        }
    }
}
