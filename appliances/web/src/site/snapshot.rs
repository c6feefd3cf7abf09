//! The kernel's snapshot of the guest as a [`Status`]: facts as texts, and the groups of numbers that the kernel names.

use crate::site::status::{
    Build, Dhcp, FORMAT, Features, InterfaceStatus, Ipv6Address, Policy, QueueFrames, Rate, Status,
};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use kernel::net::{DhcpStatus, Ipv6Status};
use kernel::netfront;
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
        groups: now.groups(),
        interfaces,
    }
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
        groups: stats.groups(),
    }
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
