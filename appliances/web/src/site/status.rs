//! The state of the guest as plain data: the one source of `/status.json`, `/metrics`, the page and `STATUS.md`.
//!
//! ```text
//!   Status ─┬─ facts: names, addresses, features (fields below)
//!           ├─ groups: every number (kernel::stats::groups)
//!           ├─ datafront ─ channels ─ groups
//!           └─ interfaces ─ facts and groups of each
//! ```
//!
//! A field's name is its key in `/status.json`, and its doc comment is its description in `STATUS.md`. All numbers are
//! whole numbers: they are exact, and the image needs no code to print fractions.

use crate::site::json;
use alloc::string::String;
use alloc::vec::Vec;
pub use kernel::stats::numbers::{Group, Groups, Kind, Number, Shape};

/// Name and description of each key of a structure.
pub type Keys = &'static [(&'static str, &'static str)];

/// Declares structures of facts. `+ groups` adds a member whose groups stand beside them in the JSON.
macro_rules! facts {
    ($($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)* } $(+ $groups:ident)?)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
            pub struct $name {
                $($(#[doc = $doc])+ pub $field: $type,)*
                $(
                    /// The numbers, in groups.
                    #[serde(flatten, serialize_with = "json::groups")]
                    pub $groups: Groups,
                )?
            }

            impl $name {
                /// Name and description of each key.
                pub const KEYS: Keys = &[$((stringify!($field), concat!($($doc),+).trim_ascii()),)*];
            }
        )*
    };
}

facts! {
    /// The build of the image.
    Build {
        /// The linker's hash of the image, in hexadecimal; `readelf -n` and a crash report show the same.
        id: String,
        /// The commit that the image was built from; it ends in `-dirty` if files had been changed.
        commit: &'static str,
        /// Name and version of each crate in the image.
        dependencies: Vec<&'static str>,
    }

    /// The DHCP client.
    Dhcp {
        /// `off` (static address), `discovering` or `bound`.
        state: &'static str,
        /// The address of the server that granted the lease.
        server: Option<String>,
        /// The length of the lease.
        lease_seconds: Option<u64>,
        /// The rest of the lease.
        expires_in_seconds: Option<u64>,
    }

    /// An IPv6 address of an interface.
    Ipv6Address {
        /// The address with its prefix length.
        address: String,
        /// `tentative`, `valid`, or `duplicate` if another host has it.
        state: &'static str,
    }

    /// The limit that the toolstack sets on what the guest sends.
    Rate {
        /// Bytes in each period.
        bytes: u64,
        /// The length of the period.
        microseconds: u64,
    }

    /// What frontend and backend have negotiated.
    Features {
        /// The backend copies received frames into the guest's pages.
        rx_copy: bool,
        /// Each direction has an event channel of its own.
        split_event_channels: bool,
        /// Received frames may take several slots.
        scatter_gather: bool,
        /// The number of queues in use.
        queues: u64,
        /// The backend passes multicast frames only for groups that the guest has joined.
        multicast_control: bool,
        /// The backend chooses queues by a Toeplitz hash whose key the guest has set.
        hash: bool,
        /// What the guest accepts: `sg` (several slots), `csum4`, `csum6` (blank checksums), `gso4`, `gso6` (merged TCP segments).
        rx: Vec<&'static str>,
        /// What the backend accepts and the guest uses, in the same words.
        tx: Vec<&'static str>,
    }

    /// The policy of the page pools, from the command line or by default.
    Policy {
        /// `pool.rx=`: rx pages at the start.
        rx_pages: u64,
        /// `pool.rx.max=`: rx pages at most.
        rx_max_pages: u64,
        /// `pool.tx=`: tx pages at the start.
        tx_pages: u64,
        /// `pool.tx.max=`: tx pages at most.
        tx_max_pages: u64,
        /// `pool.threshold=`: the length from which a frame is received without a copy.
        threshold_bytes: u64,
        /// `pool.clearing=`: `small`, `copied`, `all` or `off`.
        clearing: String,
        /// `pool.quarantine=`: quarantined pages at most.
        quarantine_max_pages: u64,
        /// `pool.retained=`: packets that applications may retain at most.
        retained_max_packets: u64,
        /// `pool.trust=`: `toolstack` or `never`.
        trust: String,
    }

    /// The frames of one queue.
    QueueFrames {
        /// Frames that this queue has received since the guest connected to this backend.
        received: u64,
        /// Frames that this queue has sent since the guest connected to this backend.
        sent: u64,
    }

    /// A network interface.
    InterfaceStatus {
        /// Whether frames can flow.
        link_up: bool,
        /// Whether the link behind the backend is up, by the backend's node `carrier`; true if there is none.
        carrier: bool,
        /// The limit on what the guest sends; `null` without a limit.
        rate: Option<Rate>,
        /// How often the link has come up.
        link_generation: u64,
        /// The hardware address.
        mac: String,
        /// The IPv4 address with its prefix length.
        address: Option<String>,
        /// The default gateway.
        gateway: Option<String>,
        /// The IPv6 addresses, the link-local one first; empty if IPv6 is off.
        ipv6: Vec<Ipv6Address>,
        /// The default router for IPv6.
        ipv6_gateway: Option<String>,
        /// The name servers.
        dns: Vec<String>,
        /// The DHCP client.
        dhcp: Dhcp,
        /// The length of the longest IP packet, in bytes.
        mtu: u64,
        /// The domain of the backend, while there is one.
        backend: Option<u16>,
        /// Whether the toolstack trusts the backend (`device/vif/N/trusted`).
        trusted: bool,
        /// Pages of the pools that the backend keeps mapped; their frames cost it no grant operation.
        mapped_pages: u64,
        /// The length from which frames of a trusted backend are received without a copy.
        threshold_bytes: u64,
        /// The policy of the pools.
        policy: Policy,
        /// What frontend and backend have negotiated.
        features: Features,
        /// The frames of each queue.
        queues: Vec<QueueFrames>,
        /// `null`, or which account of pages does not balance; a defect of the guest.
        mismatch: Option<String>,
    } + groups

    /// A channel on which dom0 pushes, one sender after another.
    Channel {
        /// The channel's name, the last part of its path.
        name: String,
        /// The node in xenstore where dom0 finds the channel.
        path: String,
        /// Whether a sender is connected.
        connected: bool,
        /// The error that ended the last failed connection, or `null`.
        last_error: Option<String>,
        /// A checksum over numbers and contents of all accepted blocks, in order; see docs/datafront.md.
        chain: u64,
    } + groups

    /// What dom0 pushes; `null` until a channel is open.
    Datafront {
        /// The open channels, in the order of `app.push=`.
        channels: Vec<Channel>,
    } + groups

    /// The guest at one moment.
    Status {
        /// The version of this format.
        format: u32,
        /// The name of the appliance.
        name: &'static str,
        /// The version of the appliance.
        version: &'static str,
        /// The build of the image.
        build: Build,
        /// The host name: `host=` of the command line, or the appliance's name.
        hostname: String,
        /// The number of this domain; `null` until xenstore has told it.
        domid: Option<u16>,
        /// The time since the kernel started, in milliseconds.
        uptime_ms: u64,
        /// The wall clock in milliseconds since 1970 UTC; 0 if Xen has none.
        unix_ms: u64,
        /// The addresses of all interfaces with their prefix lengths.
        addresses: Vec<String>,
        /// What dom0 pushes; `null` until a channel is open.
        datafront: Option<Datafront>,
        /// The network interfaces.
        interfaces: Vec<InterfaceStatus>,
    } + groups
}

/// The version of the format of `/status.json`.
pub const FORMAT: u32 = 5;

impl InterfaceStatus {
    /// The addresses in use, of both families.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let v6 = self.ipv6.iter().filter(|own| own.state == "valid").map(|own| own.address.as_str());
        self.address.as_deref().into_iter().chain(v6)
    }
}
