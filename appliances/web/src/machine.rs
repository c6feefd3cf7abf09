//! The kernel's counters as the site wants them.

use crate::pushes::Pushes;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec::Vec;
use kernel::System;
use kernel::net::{DhcpStatus, Ipv6Status, NetStatus};
use kernel::netfront;
use kernel::stats::InterfaceStats;
use kernel::xen;
use web::site::Source;
use web::site::status::{
    BothWays, Build, Counts, Dhcp, Events, Features, Grants, Heap, InterfaceStatus, OwnIpv6, Pages, Policy,
    Pool, Rate, Sockets, Status,
};

/// The running guest.
#[derive(Debug)]
pub(crate) struct Machine(System, Rc<Pushes>);

impl Machine {
    pub(crate) fn new(system: &System, pushes: &Rc<Pushes>) -> Self {
        Self(system.clone(), Rc::clone(pushes))
    }
}

impl Source for Machine {
    fn status(&self) -> Status {
        let now = self.0.stats();
        Status {
            name: now.name,
            version: now.version,
            build: build(),
            hostname: self.0.host().to_string(),
            domid: now.domid,
            uptime_ms: now.uptime_ns / 1_000_000,
            unix_ms: self.0.xen().machine.unix_time_ns().unwrap_or(0) / 1_000_000,
            memory_bytes: now.memory_bytes,
            heap: Heap { used_bytes: wide(now.heap.used), free_bytes: wide(now.heap.free) },
            pages: Pages { taken: wide(now.pages.taken), free: wide(now.pages.free) },
            tasks: wide(now.tasks),
            grants: Grants {
                issued: now.grants.issued,
                ended: now.grants.ended,
                quarantined: now.grants.quarantined,
                free_entries: u64::from(now.grants.free),
            },
            events: Events { received: now.events_received, stray: now.events_stray },
            hypercalls: Counts(now.hypercalls.to_vec()),
            xenstore: Counts(now.xenstore.to_vec()),
            datafront: self.1.status(&self.0),
            interfaces: now.interfaces.iter().map(interface).collect(),
            ..Status::default()
        }
    }
}

fn build() -> Build {
    let kernel::build::Build { commit, dependencies } = kernel::build::build();
    Build { id: kernel::build::BuildId.to_string(), commit, dependencies }
}

/// A set of counters by their names.
fn counters(set: &impl xen::Counters) -> Counts {
    Counts(set.iter().map(|(name, _, count)| (name, count)).collect())
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
        ipv6: net.ipv6.iter().map(own_ipv6).collect(),
        ipv6_gateway: net.ipv6_gateway.map(|gateway| gateway.to_string()),
        dns: net.dns.iter().map(ToString::to_string).collect(),
        dhcp: dhcp(net.dhcp),
        mtu: u64::from(frontend.mtu),
        backend: frontend.backend.map(|domid| domid.0),
        trusted: frontend.trusted,
        mapped_pages: wide(frontend.mapped_pages),
        threshold_bytes: wide(frontend.config.threshold),
        policy: policy(&frontend.config),
        features: Features {
            rx_copy: frontend.features.rx_copy,
            split_event_channels: frontend.features.split_event_channels,
            scatter_gather: frontend.features.scatter_gather,
            queues: u64::from(frontend.features.queues),
            multicast_control: frontend.features.multicast_control,
            hash: frontend.features.hash,
            rx: frontend.features.rx.words().collect(),
            tx: frontend.features.tx.words().collect(),
        },
        queues: queues(frontend),
        rx_pool: pool(frontend.rx_pool),
        tx_pool: pool(frontend.tx_pool),
        tx_strip: pool(frontend.tx_contiguous),
        rx_pool_changes: counters(&frontend.rx_pool_stats),
        tx_pool_changes: counters(&frontend.tx_pool_stats),
        rx: counters(&frontend.rx),
        tx: counters(&frontend.tx),
        device: counters(&frontend.device),
        misbehaviour: counters(&frontend.misbehaviour),
        mismatch: frontend.mismatch.map(|mismatch| mismatch.to_string()),
        sockets: sockets(net),
        stack: Counts(net.counters.iter().map(|(name, _, count)| (name, count)).collect()),
        drops: drops(frontend, net),
    }
}

/// The queues that there are, one by one.
fn queues(frontend: &netfront::Stats) -> Vec<BothWays> {
    let count = usize::try_from(frontend.features.queues).unwrap_or(0);
    let one = |queue: &netfront::stats::QueueStats| BothWays {
        received: queue.rx_packets.get(),
        sent: queue.tx_packets.get(),
    };
    frontend.queues.iter().take(count).map(one).collect()
}

fn own_ipv6(own: &Ipv6Status) -> OwnIpv6 {
    OwnIpv6 { address: own.address.to_string(), state: own.state.as_str() }
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
        held_max_packets: wide(config.retained_max),
        trust: config.trust.to_string(),
    }
}

/// Everything that was lost on the way, wherever that was.
fn drops(frontend: &netfront::Stats, net: &NetStatus) -> Counts {
    let netfront::Stats { rx, tx, .. } = frontend;
    let mut drops = Counts(net.drops.by_reason().map(|(reason, count)| (reason.name(), count)).collect());
    drops.0.extend([
        ("rx_frontend", rx.dropped.get()),
        ("rx_backend_error", rx.backend_errors.get()),
        ("tx_refused", tx.refused.get()),
        ("tx_backend_dropped", tx.backend_dropped.get()),
        ("tx_backend_error", tx.backend_errors.get()),
        ("tx_backend_gone", tx.lost_queued.get().wrapping_add(tx.lost_in_flight.get())),
    ]);
    drops
}

fn pool(counts: kernel::pool::PoolCounts) -> Pool {
    Pool {
        free: wide(counts.free),
        in_ring: wide(counts.in_ring),
        lent: wide(counts.in_use),
        quarantined: wide(counts.quarantined),
        total: wide(counts.total),
        max: wide(counts.max),
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

fn sockets(net: &NetStatus) -> Sockets {
    Sockets {
        connections: wide(net.connections),
        half_open: wide(net.half_open),
        time_wait: wide(net.time_wait),
        listeners: wide(net.listeners),
        udp: wide(net.udp_sockets),
        timers: wide(net.timers),
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
