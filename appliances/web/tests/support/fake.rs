//! A guest that does not exist: every key of the status, each number another.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test"
)]

use web::site::Source;
use web::site::status::{
    BothWays, Channel, Counts, Datafront, Dhcp, Events, Features, Grants, Heap, InterfaceStatus, OwnIpv6,
    Pages, Policy, Pool, Rate, Sockets, Status,
};

/// Numbers that grow: with `Fake(n)`, those of the n-th second.
pub(crate) struct Fake(pub(crate) u64);

const RX: &[&str] = &[
    "packets",
    "bytes",
    "copied_packets",
    "copied_bytes",
    "lent_packets",
    "lent_bytes",
    "held_packets",
    "held_refused",
    "cleared_bytes",
    "dropped",
    "backend_errors",
    "responses",
    "requests",
    "notifications",
    "starved",
];
const TX: &[&str] = &[
    "packets",
    "bytes",
    "responses",
    "backend_dropped",
    "backend_errors",
    "refused",
    "lost_queued",
    "lost_in_flight",
    "notifications",
    "exhausted",
];
const DEVICE: &[&str] = &[
    "turns",
    "events",
    "idle_events",
    "event_masks",
    "connects",
    "breaks",
    "notify_errors",
    "quarantined_rings",
    "recovered_rings",
    "mismatches",
];
const POOL: &[&str] = &["grows", "shrinks", "grow_failures", "regranted"];
const MISBEHAVIOUR: &[&str] = &["rx_ring", "rx_id", "rx_bounds", "tx_id_range", "quarantine"];
const STACK: &[&str] = &["turns", "rx_arp", "rx_tcp", "rx_udp", "accepted", "refused", "reset", "timed_out"];
const DROPS: &[&str] = &[
    "not_for_us",
    "malformed",
    "ipv6",
    "forged_source",
    "backlog",
    "rx_frontend",
    "rx_backend_error",
    "tx_refused",
    "tx_backend_dropped",
    "tx_backend_error",
    "tx_backend_gone",
];
const HYPERCALLS: &[&str] =
    &["evtchn_send", "evtchn_other", "block", "sched_other", "set_timer", "grant_table", "memory", "other"];

impl Fake {
    /// A noisy number that grows by about `rate` a second and starts where no other does.
    fn grown(&self, rate: u64, salt: usize) -> u64 {
        let wave = |second: u64| 60 + (second * (7 + salt as u64) % 41) + (second / 9 * 13) % 37;
        17 + salt as u64 + (0..self.0).map(|second| rate * wave(second) / 100).sum::<u64>()
    }

    fn counts(&self, names: &[&'static str], rate: u64) -> Counts {
        let one = |(index, name): (usize, &&'static str)| {
            let rate = if name.contains("bytes") { rate * 900 } else { rate / (1 + index as u64) };
            (*name, self.grown(rate, index))
        };
        Counts(names.iter().enumerate().map(one).collect())
    }

    fn datafront(&self) -> Datafront {
        let link = &["clients", "read_bytes", "written_bytes", "events", "broken"];
        let blocks = &["accepted", "refused", "bytes", "duplicates", "cut_off", "faults"];
        let channel = |name: &str, seed: u64| Channel {
            name: name.to_owned(),
            path: format!("/local/domain/5/data/vchan/0/{name}"),
            connected: seed == 0,
            link: self.counts(link, 700 + seed),
            blocks: self.counts(blocks, 90 + seed),
            last_seq: 4711 + self.0 + seed,
            chain: 77,
            last_error: Some("a block's check is <wrong>".to_owned()),
        };
        Datafront {
            channels: vec![channel("push", 0), channel("logs", 11)],
            pages: self.counts(&["free", "lent", "quarantined", "total", "max"], 3),
            published: self.counts(&["edition", "files", "bytes", "budget_bytes"], 30),
        }
    }

    #[allow(clippy::too_many_lines, reason = "one table of everything that the page can show")]
    fn interface(&self) -> InterfaceStatus {
        let some = |text: &str| Some(text.to_owned());
        let rare = |names: &[&'static str], every: u64| {
            Counts(
                names.iter().enumerate().map(|(i, name)| (*name, (self.0 * i as u64 / every) % 5)).collect(),
            )
        };
        let lent = 3 + self.0 * 7 % 60;
        InterfaceStatus {
            link_up: true,
            carrier: true,
            rate: Some(Rate { bytes: 1_000_000, microseconds: 50_000 }),
            link_generation: 1,
            mac: "00:16:3e:5e:6c:00".to_owned(),
            address: some("10.0.2.15/24"),
            gateway: some("10.0.2.2"),
            ipv6: vec![OwnIpv6 { address: "2001:db8::15/64".to_owned(), state: "valid" }],
            ipv6_gateway: some("fe80::2"),
            dns: vec!["10.0.2.3".to_owned()],
            dhcp: Dhcp {
                state: "bound",
                server: some("10.0.2.2"),
                lease_seconds: Some(86_400),
                expires_in_seconds: Some(86_000),
            },
            mtu: 1500,
            backend: Some(0),
            trusted: true,
            mapped_pages: 0,
            threshold_bytes: 256,
            policy: policy(),
            features: features(),
            queues: vec![BothWays { received: 3, sent: 4 }],
            rx_pool: Pool { free: 256 - lent, in_ring: 255, lent, quarantined: 1, total: 512, max: 1024 },
            tx_pool: Pool {
                free: 490 - lent / 4,
                in_ring: 22 + lent / 4,
                lent: 0,
                quarantined: 0,
                total: 512,
                max: 1024,
            },
            tx_strip: Pool { free: 96, in_ring: 32, lent: 0, quarantined: 0, total: 128, max: 128 },
            rx_pool_changes: rare(POOL, 90),
            tx_pool_changes: rare(POOL, 80),
            rx: self.counts(RX, 1900),
            tx: self.counts(TX, 2100),
            device: self.counts(DEVICE, 700),
            misbehaviour: rare(MISBEHAVIOUR, 1000),
            mismatch: None,
            sockets: Sockets {
                connections: 18,
                half_open: 2,
                time_wait: 5,
                listeners: 1,
                udp: 1,
                timers: 21,
            },
            stack: self.counts(STACK, 1900),
            drops: rare(DROPS, 50),
        }
    }
}

impl Source for Fake {
    fn status(&self) -> Status {
        Status {
            name: "web",
            version: "0.1.0",
            hostname: "pond <&> \"mill\"".to_owned(),
            domid: Some(5),
            uptime_ms: 93_784_567 + 1000 * self.0,
            unix_ms: 1_790_000_000_123 + 1000 * self.0,
            memory_bytes: 64 << 20,
            heap: Heap { used_bytes: (5 << 20) + self.grown(1, 3) * 977 % 400_000, free_bytes: 21 << 20 },
            pages: Pages { taken: 1040, free: 6021 },
            tasks: 23,
            grants: Grants { issued: 1026, ended: 0, quarantined: 0, free_entries: 1014 },
            events: Events { received: self.grown(640, 1), stray: 0 },
            hypercalls: self.counts(HYPERCALLS, 900),
            interfaces: vec![self.interface()],
            datafront: Some(self.datafront()),
            ..Status::default()
        }
    }
}

fn features() -> Features {
    Features {
        rx_copy: true,
        split_event_channels: true,
        scatter_gather: false,
        queues: 1,
        multicast_control: true,
        hash: false,
        rx: vec!["sg", "csum4", "gso4"],
        tx: vec!["sg"],
    }
}

fn policy() -> Policy {
    Policy {
        rx_pages: 512,
        rx_max_pages: 1024,
        tx_pages: 256,
        tx_max_pages: 512,
        threshold_bytes: 256,
        clearing: "small".to_owned(),
        quarantine_max_pages: 64,
        held_max_packets: 256,
        trust: "toolstack".to_owned(),
    }
}
