//! The nodes of a vif in xenstore, and what we make of their values.
//!
//! ```text
//!   device/vif/<handle>/    ours:          backend, backend-id, state, mac, mtu, trusted      (the toolstack wrote them)
//!   <backend>/              the backend's: state, online, mac, feature-*, multi-queue-*
//! ```
//!
//! A value is text from somebody else: it is parsed, brought into range, or refused with its path and value; a feature
//! that makes no sense counts as not offered. Names are those of Xen's `io/netif.h`.

use crate::feature::Feature;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use smoltcp::wire::EthernetAddress;
use xen::xenbus::{Frontend, XenbusError};
use xen::xenstore::{XenStore, XsErrno, XsError, number};
use xen::{Errno, TrustedBackend};

/// IP bytes of the longest packet, if the toolstack does not say otherwise.
pub(crate) const DEFAULT_MTU: u16 = 1500;
/// The smallest MTU with which the stack works (RFC 791 has every host take 576 bytes).
const MIN_MTU: u16 = 576;
/// The largest: a frame is at most 65,535 bytes long, its Ethernet header included.
const MAX_MTU: u16 = u16::MAX - 14;

/// Why a vif cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Xenstore refused, or its daemon is broken.
    Store(XsError),
    /// One of the two ends is not there.
    Xenbus(XenbusError),
    /// A node that must be there is not.
    Missing(String),
    /// A node's value makes no sense.
    Nonsense {
        /// The node.
        path: String,
        /// Its value.
        value: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// A value of the configuration is out of range.
    Config(crate::config::OutOfRange),
    /// The guest lacks memory, grants or event channels; which, and what helps.
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
            Self::Nonsense { path, value, wanted } => write!(f, "{path} is \"{value}\", not {wanted}"),
            Self::Config(error) => error.fmt(f),
            Self::Resources(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for ConnectError {}

/// What the toolstack says about a vif.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vif {
    pub(crate) mac: EthernetAddress,
    /// IP bytes of the longest packet, as the toolstack has it.
    pub(crate) mtu: u32,
    pub(crate) trusted: Option<TrustedBackend>,
}

/// What the backend offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    pub(crate) rx_copy: bool,
    /// What the backend accepts from us, and how it can be connected.
    pub(crate) features: Feature,
    /// `multi-queue-max-queues`, if it is there at all.
    pub(crate) max_queues: Option<u32>,
    pub(crate) xdp_headroom: bool,
    /// `rate`, if the toolstack limits us.
    pub(crate) rate: Option<Rate>,
}

/// How much a backend takes from us: so many bytes in so much time. Beyond that it leaves requests in the ring, which is
/// no sign of anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes.
    pub bytes: u64,
    /// In so many microseconds.
    pub microseconds: u64,
}

impl Rate {
    /// Reads `BYTES,MICROSECONDS`, as xl writes it. As netback does, anything else is taken for no limit, and so is a
    /// time of zero.
    fn parse(text: &str) -> Option<Self> {
        let (bytes, microseconds) = text.trim().split_once(',')?;
        let rate = Self { bytes: bytes.parse().ok()?, microseconds: microseconds.parse().ok()? };
        (rate.microseconds > 0).then_some(rate)
    }
}

/// The directory of all vifs.
pub const LIST: &str = "device/vif";

/// Whether a change at `path` of the list may be another vif than those of `known`, or one that is gone. What a vif does
/// itself, in its own directory, is none.
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
    // A handful, in order almost always: the library's sort would be 4 KB of code.
    let mut handles = Vec::new();
    for handle in names.iter().filter_map(|name| name.parse().ok()) {
        let place = handles.partition_point(|other| *other < handle);
        handles.insert(place, handle);
    }
    Ok(handles)
}

impl Vif {
    /// Reads the frontend's directory.
    pub(crate) async fn read(store: &XenStore, frontend: &Frontend) -> Result<Self, ConnectError> {
        let paths = [
            frontend.node("trusted"),
            frontend.node("mtu"),
            frontend.node("mac"),
            // A stub device model cannot write ours.
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

/// What a backend's directory says of what it offers, by key; the features are behind four others.
const OFFERS: [(&str, Feature); 12] = [
    ("feature-rx-copy", Feature::empty()),
    ("multi-queue-max-queues", Feature::empty()),
    ("feature-xdp-headroom", Feature::empty()),
    ("rate", Feature::empty()),
    ("feature-sg", Feature::SCATTER_GATHER),
    ("feature-gso-tcpv4", Feature::GSO_TCPV4),
    ("feature-gso-tcpv6", Feature::GSO_TCPV6),
    // The one that is there unless the backend says no.
    ("feature-no-csum-offload", Feature::CHECKSUM_IPV4),
    ("feature-ipv6-csum-offload", Feature::CHECKSUM_IPV6),
    ("feature-split-event-channels", Feature::SPLIT_EVENT_CHANNELS),
    ("feature-multicast-control", Feature::MULTICAST_CONTROL),
    ("feature-ctrl-ring", Feature::HASH.union(Feature::GREF_MAPPING)),
];

impl Offers {
    /// Reads the backend's directory.
    pub(crate) async fn read(store: &XenStore, frontend: &Frontend) -> Result<Self, ConnectError> {
        let flag = |path: &str, value| {
            Ok::<_, ConnectError>(number_of(path, value)?.is_some_and(|value| value != 0))
        };
        // All together: one notification and one sleep.
        let paths = OFFERS.map(|(key, _)| frontend.backend_node(key));
        let [copy, queues, headroom, rate, values @ ..] = store.read_all(&paths).await;
        let [copy_path, queues_path, headroom_path, _, feature_paths @ ..] = &paths;
        let [_, _, _, _, keys @ ..] = &OFFERS;
        let mut features = Feature::empty();
        for (((key, feature), path), value) in keys.iter().zip(feature_paths).zip(values) {
            features.set(*feature, flag(path, value)? != key.starts_with("feature-no-"));
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

/// A node's value; one that is not text reads as a word that no key knows.
fn text_of(value: Result<Option<String>, XsError>) -> Result<Option<String>, ConnectError> {
    match value {
        Err(XsError::NotText { path }) => {
            log::warn!("{path} is not text");
            Ok(Some("?".into()))
        }
        value => Ok(value?),
    }
}

/// A node's value as a number; one that is none counts as missing.
fn number_of(path: &str, value: Result<Option<String>, XsError>) -> Result<Option<u32>, ConnectError> {
    match value.and_then(|value| value.map(|value| number(path, &value)).transpose()) {
        Err(error @ (XsError::NotANumber { .. } | XsError::NotText { .. })) => {
            log::warn!("{error}; taken as missing");
            Ok(None)
        }
        number => Ok(number?),
    }
}

/// Reads a node as [`number_of`] has it.
pub(crate) async fn read_number(store: &XenStore, path: &str) -> Result<Option<u32>, ConnectError> {
    number_of(path, store.read_opt(path).await)
}

/// Our address: the first of these nodes that has one; `ours` is the one to name if there is none.
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
                let wanted = "the Ethernet address of one interface, as 00:16:3e:01:02:03";
                let error = ConnectError::Nonsense { path: path.clone(), value, wanted };
                log::warn!("{error}");
                refused = Some(error);
            }
        }
    }
    Err(refused.unwrap_or_else(|| ConnectError::Missing(ours.into())))
}

/// Six bytes in hexadecimal, with colons; neither zero nor a group address.
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

/// The MTU, brought into the range that both ends can do with these features both ways. Without scatter-gather a backend
/// sends no more than 1500 bytes.
pub(crate) fn clamp_mtu(value: u32, features: Feature) -> u16 {
    let most = if features.contains(Feature::SCATTER_GATHER) { MAX_MTU } else { DEFAULT_MTU };
    let mtu = u16::try_from(value).unwrap_or(u16::MAX).clamp(MIN_MTU, most);
    if u32::from(mtu) != value {
        log::warn!("the vif's mtu is {value}, outside {MIN_MTU} to {most}; {mtu} is used");
    }
    mtu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_known_vif_writes_changes_no_list() {
        for news in ["device/vif", "device/vif/1", "device/vif/1/backend", "device/vif/x/y", "device/vif/0"] {
            assert!(changes_list(news, &[0, 2]), "{news}");
        }
        for own in ["device/vif/0/state", "device/vif/2/queue-1/tx-ring-ref"] {
            assert!(!changes_list(own, &[0, 2]), "{own}");
        }
    }

    #[test]
    fn an_address_has_six_bytes_and_belongs_to_one_interface() {
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
    fn a_rate_is_bytes_in_microseconds() {
        let rate = |bytes, microseconds| Some(Rate { bytes, microseconds });
        for (text, found) in [
            ("1250000,50000", rate(1_250_000, 50_000)),
            ("0,1\n", rate(0, 1)),
            ("1,0", None),
            ("1250000", None),
            ("-1,5", None),
            ("1,2,3", None),
            ("99999999999999999999,5", None),
            ("", None),
        ] {
            assert_eq!(Rate::parse(text), found, "{text}");
        }
    }

    #[test]
    fn an_mtu_out_of_range_is_brought_into_it() {
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
