//! The kernel's snapshot of the guest as a [`Status`].
//!
//! Sets of counters come with names and help texts of their own. Every other number is named here, once: a new one is one
//! line in this file.

use crate::site::numbers::{Group, Groups, Shape};
use crate::site::status::{
    Build, Dhcp, FORMAT, Features, InterfaceStatus, Ipv6Address, Policy, QueueFrames, Rate, Status,
};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use kernel::ledger::Usage;
use kernel::net::{DhcpStatus, Ipv6Status, NetStatus};
use kernel::netfront;
use kernel::pool::PoolCounts;
use kernel::stats::{InterfaceStats, Snapshot};

/// The guest as `now` shows it.
#[must_use]
pub fn status(now: &Snapshot, hostname: &str, build: Build) -> Status {
    let interfaces: Vec<_> = now.interfaces.iter().map(interface).collect();
    let addresses = interfaces.iter().flat_map(InterfaceStatus::addresses).map(String::from).collect();
    Status {
        format: FORMAT,
        name: now.name,
        version: now.version,
        build,
        hostname: hostname.to_string(),
        domid: now.domid,
        uptime_ms: now.uptime_ns / 1_000_000,
        unix_ms: now.unix_ns.unwrap_or(0) / 1_000_000,
        addresses,
        datafront: None,
        groups: Groups(groups(now, &interfaces)),
        interfaces,
    }
}

fn groups(now: &Snapshot, interfaces: &[InterfaceStatus]) -> Vec<Group> {
    let mut groups = Vec::from([
        Group::new("", "Guest").gauges([
            ("memory_bytes", "RAM of the guest.", now.memory_bytes),
            ("tasks", "Tasks that have not ended.", wide(now.tasks)),
        ]),
        Group::new("heap", "Heap").gauges([
            ("used_bytes", "Heap in use.", wide(now.heap.used)),
            ("free_bytes", "Free heap.", wide(now.heap.free)),
        ]),
        Group::new("pages", "Pages outside image and heap").gauges([
            ("taken", "Pages in pools and rings.", wide(now.pages.taken)),
            ("free", "Free pages.", wide(now.pages.free)),
        ]),
    ]);
    groups.extend(ledger(now));
    groups.extend(sums(now, interfaces));
    groups.extend(xen(now));
    groups
}

/// The memory of each consumer whose size somebody outside the guest decides.
fn ledger(now: &Snapshot) -> [Group; 3] {
    let of =
        |help, value: fn(&Usage) -> u64| now.ledger.each_ref().map(|usage| (usage.name, help, value(usage)));
    [
        Group::new("ledger_used", "Memory in use, bytes")
            .by("consumer")
            .gauges(of("Bytes in use.", |usage| wide(usage.used))),
        Group::new("ledger_limit", "Memory limits, bytes")
            .by("consumer")
            .gauges(of("Bytes that the consumer may use at most.", |usage| wide(usage.limit))),
        Group::new("ledger_refused", "Refused reservations of memory")
            .by("consumer")
            .counters(of("Reservations that were refused: at the limit, or without memory.", |usage| {
                usage.refused
            })),
    ]
}

/// The sums over all interfaces.
fn sums(now: &Snapshot, interfaces: &[InterfaceStatus]) -> [Group; 5] {
    let mut all = netfront::Stats::default();
    for InterfaceStats { frontend, .. } in &now.interfaces {
        all.rx.add(&frontend.rx);
        all.tx.add(&frontend.tx);
        all.device.add(&frontend.device);
        all.rx_pool.add(&frontend.rx_pool);
        all.rx_pool.add(&frontend.tx_pool);
    }
    let netfront::Stats { rx, tx, device, rx_pool: pool, .. } = all;
    let notified = rx.notifications.get().wrapping_add(tx.notifications.get());
    let mut drops = Group::new("drops", "Drops on all interfaces").by("reason").shaped(Shape::Hidden);
    for interface in interfaces.iter().filter_map(|interface| interface.groups.group("drops")) {
        drops.add(interface);
    }
    [
        Group::new("packets", "Packets of all interfaces").shaped(Shape::Hidden).counters([
            ("received", "Frames passed to the network stack.", rx.packets.get()),
            ("sent", "Frames queued to a backend.", tx.packets.get()),
        ]),
        Group::new("bytes", "Bytes of all interfaces").shaped(Shape::Hidden).counters([
            ("received", "Bytes of the received frames.", rx.bytes.get()),
            ("sent", "Bytes of the sent frames.", tx.bytes.get()),
        ]),
        Group::new("notifications", "Notifications").counters([
            ("sent", "Notifications to backends.", notified),
            ("received", "Events from backends.", device.events.get()),
        ]),
        pages(Group::new("pool", "Pages of all rx and tx pools").shaped(Shape::Hidden), &pool),
        drops,
    ]
}

fn xen(now: &Snapshot) -> [Group; 5] {
    [
        Group::new("grants", "Grant table")
            .counters([
                (
                    "issued",
                    "Grants issued. Pages of pools are granted once, not for each packet.",
                    now.grants.issued,
                ),
                ("ended", "Grants ended.", now.grants.ended),
            ])
            .warnings([(
                "quarantined",
                "Grants that cannot be ended, because the other domain still uses them.",
                now.grants.quarantined,
            )])
            .gauges([("free_entries", "Unused entries of the grant table.", u64::from(now.grants.free))]),
        Group::new("events", "Events").counters([
            ("received", "Events taken, on all ports.", now.events_received),
            ("stray", "Events on ports without a handler.", now.events_stray),
        ]),
        Group::new("hypercalls", "Hypercalls").by("kind").counters(now.hypercalls),
        Group::new("xenstore", "Traffic with xenstore").by("kind").counters(now.xenstore.iter()),
        Group::new("loop", "Iterations of the loop").by("kind").counters(now.iterations.iter()),
    ]
}

/// The pages of a pool, by where they are.
fn pages(group: Group, counts: &PoolCounts) -> Group {
    group
        .parts([
            ("in_ring", "Pages that are posted, queued or in flight.", wide(counts.in_ring)),
            ("in_use", "Pages in use by the network stack or the application.", wide(counts.in_use)),
            ("quarantined", "Pages that a backend does not release.", wide(counts.quarantined)),
            ("free", "Free pages.", wide(counts.free)),
        ])
        .sum(("total", "Pages of the pool: the sum of those above.", wide(counts.total)))
        .gauges([("max", "The size at which the pool stops growing.", wide(counts.max))])
}

fn interface(stats: &InterfaceStats) -> InterfaceStatus {
    let InterfaceStats { frontend, net } = stats;
    InterfaceStatus {
        link_up: frontend.link_up,
        carrier: frontend.carrier,
        rate: frontend.rate.map(|rate| Rate { bytes: rate.bytes, microseconds: rate.microseconds }),
        link_generation: u64::from(frontend.link_generation),
        mac: net.mac.to_string(),
        address: net.address.map(|address| address.to_string()),
        gateway: net.gateway.map(|gateway| gateway.to_string()),
        ipv6: net.ipv6.iter().map(ipv6).collect(),
        ipv6_gateway: net.ipv6_gateway.map(|gateway| gateway.to_string()),
        dns: net.dns.iter().map(ToString::to_string).collect(),
        dhcp: dhcp(net.dhcp),
        mtu: u64::from(frontend.mtu),
        backend: frontend.backend.map(|domid| domid.0),
        trusted: frontend.trusted,
        mapped_pages: wide(frontend.mapped_pages),
        threshold_bytes: wide(frontend.config.threshold),
        policy: policy(&frontend.config),
        features: features(&frontend.features),
        queues: queues(frontend),
        mismatch: frontend.mismatch.map(|mismatch| mismatch.to_string()),
        groups: Groups(interface_groups(frontend, net)),
    }
}

fn interface_groups(frontend: &netfront::Stats, net: &NetStatus) -> Vec<Group> {
    let bar = |key, title| Group::new(key, title).shaped(Shape::Bar);
    Vec::from([
        pages(bar("rx_pool", "Pages to receive into"), &frontend.rx_pool),
        pages(bar("tx_pool", "Pages to send from"), &frontend.tx_pool),
        pages(
            bar("tx_contiguous", "Contiguous buffer for frames of more than a page"),
            &frontend.tx_contiguous,
        ),
        Group::new("rx_pool_changes", "Changes of the rx pools").counters(frontend.rx_pool_stats.iter()),
        Group::new("tx_pool_changes", "Changes of the tx pools").counters(frontend.tx_pool_stats.iter()),
        Group::new("rx", "Received").counters(frontend.rx.iter()),
        Group::new("tx", "Sent").counters(frontend.tx.iter()),
        Group::new("device", "Frontend").counters(frontend.device.iter()),
        drops(frontend, net),
        Group::new("misbehaviour", "Rules that the backend broke")
            .shaped(Shape::NonZero)
            .faults(frontend.misbehaviour.iter()),
        sockets(net),
        Group::new("stack", "Network stack").counters(net.counters.iter()),
        Group::new("tcp", "TCP engine").counters(net.tcp.described()),
    ])
}

/// Every frame that was lost on its way, in the stack or in the frontend.
fn drops(frontend: &netfront::Stats, net: &NetStatus) -> Group {
    let netfront::Stats { rx, tx, .. } = frontend;
    Group::new("drops", "Drops").by("reason").counters(net.drops.iter()).counters([
        ("rx_frontend", "Frames that the frontend dropped (`rx.dropped`).", rx.dropped.get()),
        ("rx_backend_error", "Frames that the backend could not deliver.", rx.backend_errors.get()),
        ("tx_refused", "Frames that are too short or too long to send.", tx.refused.get()),
        ("tx_backend_dropped", "Frames that the backend dropped.", tx.backend_dropped.get()),
        ("tx_backend_error", "Frames that the backend failed to send.", tx.backend_errors.get()),
        (
            "tx_backend_gone",
            "Frames lost when the backend went away.",
            tx.lost_queued.get().wrapping_add(tx.lost_in_flight.get()),
        ),
    ])
}

fn sockets(net: &NetStatus) -> Group {
    Group::new("sockets", "Sockets").gauges([
        ("connections", "TCP connections in all states.", wide(net.connections)),
        ("half_open", "TCP connections whose handshake is not finished.", wide(net.half_open)),
        ("time_wait", "TCP connections in TIME-WAIT.", wide(net.time_wait)),
        ("listeners", "TCP ports with a listener.", wide(net.listeners)),
        ("udp", "UDP sockets.", wide(net.udp_sockets)),
    ])
}

/// The queues in use.
fn queues(frontend: &netfront::Stats) -> Vec<QueueFrames> {
    let count = usize::try_from(frontend.features.queues).unwrap_or(0);
    let frames = |queue: &netfront::stats::QueueStats| QueueFrames {
        received: queue.rx_packets.get(),
        sent: queue.tx_packets.get(),
    };
    frontend.queues.iter().take(count).map(frames).collect()
}

fn ipv6(own: &Ipv6Status) -> Ipv6Address {
    Ipv6Address { address: own.address.to_string(), state: own.state.as_str() }
}

fn features(features: &netfront::stats::Features) -> Features {
    Features {
        rx_copy: features.rx_copy,
        split_event_channels: features.split_event_channels,
        scatter_gather: features.scatter_gather,
        queues: u64::from(features.queues),
        multicast_control: features.multicast_control,
        hash: features.hash,
        rx: features.rx.words().collect(),
        tx: features.tx.words().collect(),
    }
}

fn policy(config: &netfront::Config) -> Policy {
    Policy {
        rx_pages: wide(config.pool_rx),
        rx_max_pages: wide(config.pool_rx_max),
        tx_pages: wide(config.pool_tx),
        tx_max_pages: wide(config.pool_tx_max),
        threshold_bytes: wide(config.threshold),
        clearing: config.clearing.to_string(),
        quarantine_max_pages: wide(config.quarantine_max),
        retained_max_packets: wide(config.retained_max),
        trust: config.trust.to_string(),
    }
}

fn dhcp(status: DhcpStatus) -> Dhcp {
    match status {
        DhcpStatus::Off => Dhcp { state: "off", ..Dhcp::default() },
        DhcpStatus::Discovering => Dhcp { state: "discovering", ..Dhcp::default() },
        DhcpStatus::Bound { server, lease, expires_in } => Dhcp {
            state: "bound",
            server: Some(server.to_string()),
            lease_seconds: Some(lease.as_secs()),
            expires_in_seconds: Some(expires_in.as_secs()),
        },
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
