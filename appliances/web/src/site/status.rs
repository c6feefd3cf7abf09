//! What the guest tells of itself, as plain data: the one source of `/status.json`, `/metrics` and the page.
//!
//! Every field and every name of a counter is a key of `/status.json`; `STATUS.md` explains them. Numbers are whole
//! numbers: they are exact, and the image needs no code to print fractions.

use crate::http::HttpCounts;
pub use crate::site::counts::Counts;
use alloc::string::String;
use alloc::vec::Vec;

/// Declares data that is published, and nothing else.
macro_rules! published {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
            pub struct $name {
                $($(#[$doc])* pub $field: $type,)*
            }
        )*
    };
}

published! {
    /// Something that goes both ways.
    BothWays {
        /// To us.
        received: u64,
        /// From us.
        sent: u64,
    }

    /// The heap.
    Heap {
        /// In use.
        used_bytes: u64,
        /// Free.
        free_bytes: u64,
    }

    /// Which build it is.
    Build {
        /// The linker's hash of it, in hexadecimal.
        id: String,
        /// The commit that it was built from.
        commit: &'static str,
        /// Name and version of each crate in it.
        dependencies: Vec<&'static str>,
    }

    /// Pages of the guest outside image and heap.
    Pages {
        /// In pools and rings.
        taken: u64,
        /// Free.
        free: u64,
    }

    /// The pages of a pool, by where they are.
    Pool {
        /// In the pool.
        free: u64,
        /// In the ring: posted, queued or in flight.
        in_ring: u64,
        /// With the stack, or with the application.
        lent: u64,
        /// Lost to a backend that does not let go.
        quarantined: u64,
        /// All of them.
        total: u64,
        /// What growing stops at.
        max: u64,
    }

    /// The grant table.
    Grants {
        /// Grants issued since boot.
        issued: u64,
        /// Grants ended since boot.
        ended: u64,
        /// Grants that could not be ended.
        quarantined: u64,
        /// Entries that could still be used.
        free_entries: u64,
    }

    /// Events from Xen.
    Events {
        /// Taken since boot.
        received: u64,
        /// On ports that nobody listened to.
        stray: u64,
    }

    /// The DHCP client.
    Dhcp {
        /// `off`, `discovering` or `bound`.
        state: &'static str,
        /// The server of the lease.
        server: Option<String>,
        /// The lease's whole length.
        lease_seconds: Option<u64>,
        /// What is left of it.
        expires_in_seconds: Option<u64>,
    }

    /// An IPv6 address of an interface.
    OwnIpv6 {
        /// Address with the length of its network's prefix.
        address: String,
        /// `tentative`, `valid`, or `duplicate`: another host has it.
        state: &'static str,
    }

    /// So much in so long.
    Rate {
        /// Bytes.
        bytes: u64,
        /// In so many microseconds.
        microseconds: u64,
    }

    /// What was agreed with the backend.
    Features {
        /// The backend copies into our pages.
        rx_copy: bool,
        /// An event channel for each direction.
        split_event_channels: bool,
        /// Frames over several slots.
        scatter_gather: bool,
        /// Queues in use.
        queues: u64,
        /// Frames to groups come only where we joined them.
        multicast_control: bool,
        /// The backend chooses queues by a hash whose key is ours.
        hash: bool,
        /// What the backend was told that we accept.
        rx: Vec<&'static str>,
        /// What the backend accepts, and we use.
        tx: Vec<&'static str>,
    }

    /// What the command line says of the pools, or what it left at its default.
    Policy {
        /// `pool.rx=`: pages to receive into at the start.
        rx_pages: u64,
        /// `pool.rx.max=`.
        rx_max_pages: u64,
        /// `pool.tx=`: pages to send from at the start.
        tx_pages: u64,
        /// `pool.tx.max=`.
        tx_max_pages: u64,
        /// `pool.threshold=`.
        threshold_bytes: u64,
        /// `pool.clearing=`: `small`, `copied`, `all` or `off`.
        clearing: String,
        /// `pool.quarantine=`.
        quarantine_max_pages: u64,
        /// `pool.held=`.
        held_max_packets: u64,
        /// `pool.trust=`: `toolstack` or `never`.
        trust: String,
    }

    /// TCP connections and other users of the stack, now.
    Sockets {
        /// TCP connections in all states.
        connections: u64,
        /// Those whose handshake is not finished.
        half_open: u64,
        /// Those in TIME-WAIT that nobody holds.
        time_wait: u64,
        /// TCP ports that are listened on.
        listeners: u64,
        /// UDP sockets.
        udp: u64,
        /// Deadlines of the stack.
        timers: u64,
    }

    /// One network interface.
    InterfaceStatus {
        /// Whether frames can flow.
        link_up: bool,
        /// Whether the link behind the backend is up.
        carrier: bool,
        /// What the backend takes from us at most; nothing if there is no limit.
        rate: Option<Rate>,
        /// Times that the link came up.
        link_generation: u64,
        /// Hardware address.
        mac: String,
        /// Address with the length of its network's prefix.
        address: Option<String>,
        /// Default gateway.
        gateway: Option<String>,
        /// IPv6 addresses, the link-local one first; none: IPv6 is off.
        ipv6: Vec<OwnIpv6>,
        /// Default gateway for IPv6.
        ipv6_gateway: Option<String>,
        /// Name servers.
        dns: Vec<String>,
        /// The DHCP client.
        dhcp: Dhcp,
        /// The largest IP packet, bytes.
        mtu: u64,
        /// The backend's domain, while there is one.
        backend: Option<u16>,
        /// Whether the toolstack trusts the backend.
        trusted: bool,
        /// Pages of the pools that the backend keeps mapped, so that their frames cost no grant operation.
        mapped_pages: u64,
        /// Frames of so many bytes or more are lent in place, if the backend is trusted.
        threshold_bytes: u64,
        /// What was chosen for the pools.
        policy: Policy,
        /// What was agreed with the backend.
        features: Features,
        /// Frames of each queue, since this connection to a backend began.
        queues: Vec<BothWays>,
        /// The pages to receive into.
        rx_pool: Pool,
        /// The pages to send from.
        tx_pool: Pool,
        /// The pages in a row, for frames that are longer than a page.
        tx_strip: Pool,
        /// What the pools to receive into have done.
        rx_pool_changes: Counts,
        /// What the pools to send from have done.
        tx_pool_changes: Counts,
        /// The way in, in the frontend.
        rx: Counts,
        /// The way out, in the frontend.
        tx: Counts,
        /// The frontend itself.
        device: Counts,
        /// Rules that the backend broke, by kind.
        misbehaviour: Counts,
        /// Where the pages' account does not balance: a bug of ours.
        mismatch: Option<String>,
        /// TCP connections and other users of the stack.
        sockets: Sockets,
        /// The stack.
        stack: Counts,
        /// Frames and datagrams dropped, by reason.
        drops: Counts,
    }

    /// A channel on which dom0 pushes, one sender after another.
    Channel {
        /// Its name, the last part of its path.
        name: String,
        /// Where dom0 finds it.
        path: String,
        /// Whether a sender is connected.
        connected: bool,
        /// The shared pages: senders that came, bytes, events, senders that broke the rules.
        link: Counts,
        /// The blocks: accepted, refused and so on.
        blocks: Counts,
        /// The last completed block's number.
        last_seq: u64,
        /// A check over all accepted blocks, see `docs/datafront.md`.
        chain: u64,
        /// What went wrong last.
        last_error: Option<String>,
    }

    /// What dom0 pushes, and what became of it.
    Datafront {
        /// The channels that are open.
        channels: Vec<Channel>,
        /// The pages of their rings, by where they are.
        pages: Counts,
        /// What is published: editions, files, bytes, budget.
        published: Counts,
    }

    /// The guest at one moment.
    Status {
        /// The version of these keys: a higher number when one changes its meaning or goes.
        format: u32,
        /// The appliance.
        name: &'static str,
        /// Its version.
        version: &'static str,
        /// Which build it is.
        build: Build,
        /// The host name.
        hostname: String,
        /// The domain's number, once known.
        domid: Option<u16>,
        /// Milliseconds since the kernel started.
        uptime_ms: u64,
        /// The wall clock, milliseconds since 1970 UTC; 0 if unknown.
        unix_ms: u64,
        /// RAM that the guest was given.
        memory_bytes: u64,
        /// The heap.
        heap: Heap,
        /// The pages.
        pages: Pages,
        /// Tasks that have not ended.
        tasks: u64,
        /// Addresses of all interfaces.
        addresses: Vec<String>,
        /// Frames of all interfaces.
        packets: BothWays,
        /// Their bytes.
        bytes: BothWays,
        /// Pages of all pools.
        pool: Pool,
        /// The grant table.
        grants: Grants,
        /// Events from Xen.
        events: Events,
        /// Notifications between frontends and backends.
        notifications: BothWays,
        /// Hypercalls by kind.
        hypercalls: Counts,
        /// What was asked of xenstore and told by it, and how often the guest looked for nothing else.
        xenstore: Counts,
        /// Frames and datagrams dropped on all interfaces, by reason.
        drops: Counts,
        /// The HTTP server.
        http: HttpCounts,
        /// What dom0 pushes; nothing as long as there is no channel.
        datafront: Option<Datafront>,
        /// The interfaces, one by one.
        interfaces: Vec<InterfaceStatus>,
    }
}

/// The version of the keys.
pub const FORMAT: u32 = 3;

impl Pool {
    fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.free, other.free),
            (&mut self.in_ring, other.in_ring),
            (&mut self.lent, other.lent),
            (&mut self.quarantined, other.quarantined),
            (&mut self.total, other.total),
            (&mut self.max, other.max),
        ] {
            *mine = mine.wrapping_add(theirs);
        }
    }
}

impl BothWays {
    const fn add(&mut self, received: u64, sent: u64) {
        self.received = self.received.wrapping_add(received);
        self.sent = self.sent.wrapping_add(sent);
    }
}

impl InterfaceStatus {
    /// The addresses in use, of both families.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let v6 = self.ipv6.iter().filter(|own| own.state == "valid").map(|own| own.address.as_str());
        self.address.as_deref().into_iter().chain(v6)
    }
}

impl Status {
    /// Fills in what is the sum of the interfaces.
    #[must_use]
    pub fn summed(mut self) -> Self {
        self.format = FORMAT;
        self.addresses =
            self.interfaces.iter().flat_map(InterfaceStatus::addresses).map(String::from).collect();
        for interface in &self.interfaces {
            let InterfaceStatus { rx, tx, device, .. } = interface;
            self.packets.add(rx.count("packets"), tx.count("packets"));
            self.bytes.add(rx.count("bytes"), tx.count("bytes"));
            let sent = rx.count("notifications").wrapping_add(tx.count("notifications"));
            self.notifications.add(device.count("events"), sent);
            self.pool.add(&interface.rx_pool);
            self.pool.add(&interface.tx_pool);
            self.drops.add(&interface.drops);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn sums_are_sums_of_the_interfaces() {
        let mut one = InterfaceStatus {
            address: Some("192.0.2.1/24".into()),
            ipv6: [("fe80::1/64", "valid"), ("2001:db8::1/64", "tentative")]
                .map(|(address, state)| OwnIpv6 { address: address.into(), state })
                .into(),
            rx: Counts(vec![("packets", 3), ("bytes", 30), ("notifications", 1)]),
            tx: Counts(vec![("packets", 5), ("bytes", 50), ("notifications", 2)]),
            device: Counts(vec![("events", 7)]),
            rx_pool: Pool { free: 1, total: 1, ..Pool::default() },
            tx_pool: Pool { lent: 1, total: 1, ..Pool::default() },
            drops: Counts(vec![("malformed", 2)]),
            ..InterfaceStatus::default()
        };
        let other = one.clone();
        one.address = None;
        one.ipv6.clear();
        one.drops.0.push(("ipv6", 9));
        let status = Status { interfaces: vec![one, other], ..Status::default() }.summed();
        assert_eq!(status.addresses, ["192.0.2.1/24", "fe80::1/64"]);
        assert_eq!(status.packets, BothWays { received: 6, sent: 10 });
        assert_eq!(status.bytes, BothWays { received: 60, sent: 100 });
        assert_eq!(status.notifications, BothWays { received: 14, sent: 6 });
        assert_eq!(status.pool, Pool { free: 2, lent: 2, total: 4, ..Pool::default() });
        assert_eq!(status.drops, Counts(vec![("malformed", 4), ("ipv6", 9)]));
    }
}
