//! A guest that does not run: every key of the status, with its real name, and numbers that differ and grow.

use kernel::ledger::Ledger;
use kernel::net::{DhcpStatus, Ipv6State, Ipv6Status, NetStatus};
use kernel::netfront;
use kernel::pool::PoolCounts;
use kernel::stats::numbers::{Groups, Kind};
use kernel::stats::{HeapStats, InterfaceStats, Kind as Hypercall, PageStats, Snapshot};
use kernel::xen::DomId;
use kernel::xen::gnttab::GrantStats;
use web::publish::{StoreStatus, numbers};
use web::site::status::{Build, Channel, Datafront, Rate, Status};
use web::site::{Source, snapshot};

/// The guest in the n-th second after its start.
pub(crate) struct Fake(pub(crate) u64);

impl Fake {
    /// A noisy number that grows by about `rate` a second and starts where no other does.
    fn grown(&self, rate: u64, salt: u64) -> u64 {
        let wave = |second: u64| 60 + (second * (7 + salt) % 41) + (second / 9 * 13) % 37;
        17 + salt + (0..self.0).map(|second| rate * wave(second) / 100).sum::<u64>()
    }

    /// Gives each counter a value of its own. Alarms stay at 0, but for the first of a group.
    fn fill(&self, groups: &mut Groups) {
        for (place, group) in groups.0.iter_mut().enumerate() {
            for (number, salt) in group.numbers.iter_mut().zip(0..) {
                let rate =
                    if number.name.contains("bytes") { 900_000 } else { 2100 / (1 + salt + place as u64) };
                if number.kind == Kind::Counter && (!number.alarm || salt == 0) {
                    number.value = self.grown(rate, salt + 40 * place as u64);
                }
            }
        }
    }

    fn datafront(&self) -> Datafront {
        let channel = |name: &str, seed: u64| {
            let mut groups = numbers::channel(&Default::default(), &Default::default());
            Self(self.0 + seed).fill(&mut groups);
            groups.0[0].numbers[0].value = 4711 + self.0 + seed;
            Channel {
                name: name.to_owned(),
                path: format!("/local/domain/5/data/vchan/0/{name}"),
                connected: seed == 0,
                last_error: Some("a block's check is <wrong>".to_owned()),
                chain: 77,
                groups,
            }
        };
        let pages = PoolCounts { free: 11, in_ring: 0, in_use: 37, quarantined: 2, total: 50, max: 128 };
        let store = StoreStatus { revision: 9, files: 31, bytes: 1 << 20, budget_bytes: 8 << 20 };
        Datafront {
            channels: vec![channel("push", 0), channel("logs", 11)],
            groups: numbers::all(&pages, &store, Some(&Default::default())),
        }
    }

    fn interface(&self) -> InterfaceStats {
        let in_use = 3 + self.0 as usize * 7 % 60;
        let frontend = netfront::Stats {
            link_up: true,
            carrier: true,
            link_generation: 1,
            mtu: 1500,
            backend: Some(DomId(0)),
            trusted: true,
            rx_pool: PoolCounts {
                free: 256 - in_use,
                in_ring: 255,
                in_use,
                quarantined: 1,
                total: 512,
                max: 1024,
            },
            tx_pool: PoolCounts { free: 490, in_ring: 22, in_use: 0, quarantined: 0, total: 512, max: 1024 },
            tx_contiguous: PoolCounts {
                free: 96,
                in_ring: 32,
                in_use: 0,
                quarantined: 0,
                total: 128,
                max: 128,
            },
            features: netfront::stats::Features { queues: 1, rx_copy: true, ..Default::default() },
            ..netfront::Stats::default()
        };
        let ipv6 = |address: &str, state| Ipv6Status { address: address.parse().unwrap(), state };
        let second = core::time::Duration::from_secs(1);
        let net = NetStatus {
            mac: "00-16-3e-5e-6c-00".parse().unwrap(),
            hostname: String::new(),
            link_up: true,
            mtu: 1500,
            address: Some("10.0.2.15/24".parse().unwrap()),
            gateway: Some("10.0.2.2".parse().unwrap()),
            ipv6: vec![
                ipv6("2001:db8::15/64", Ipv6State::Valid),
                ipv6("2001:db8::16/64", Ipv6State::Tentative),
            ],
            ipv6_gateway: Some("fe80::2".parse().unwrap()),
            dns: vec!["10.0.2.3".parse().unwrap()],
            ntp: vec![],
            neighbours: 3,
            dhcp: DhcpStatus::Bound {
                server: "10.0.2.2".parse().unwrap(),
                lease: 86_400 * second,
                expires_in: 86_000 * second,
            },
            connections: 18,
            half_open: 2,
            time_wait: 5,
            listeners: 1,
            udp_sockets: 1,
            counters: Default::default(),
            tcp: Default::default(),
            drops: Default::default(),
        };
        InterfaceStats { frontend, net }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            uptime_ns: (93_784_567 + 1000 * self.0) * 1_000_000,
            unix_ns: Some((1_790_000_000_123 + 1000 * self.0) * 1_000_000),
            name: "web",
            version: "0.1.0",
            domid: Some(5),
            memory_bytes: 64 << 20,
            heap: HeapStats { used: (5 << 20) + (self.0 as usize * 977) % 400_000, free: 21 << 20 },
            pages: PageStats { taken: 1040, free: 6021 },
            grants: GrantStats { issued: 1026.into(), free: 1014, ..Default::default() },
            events: Default::default(),
            hypercalls: Hypercall::ALL.map(|kind| (kind.name(), kind.help(), 0)),
            xenstore: Default::default(),
            xenstore_iterations: Default::default(),
            console: Default::default(),
            iterations: Default::default(),
            ledger: Ledger::new(32 << 20).usage(),
            tasks: 23,
            interfaces: vec![self.interface()],
        }
    }
}

impl Source for Fake {
    fn status(&self) -> Status {
        let build = Build { id: "12".repeat(20), commit: "unknown", dependencies: vec!["smoltcp 0.14.0"] };
        let mut status = snapshot::status(&self.snapshot(), "web <&> \"mill\"", build);
        status.datafront = Some(self.datafront());
        for interface in &mut status.interfaces {
            interface.rate = Some(Rate { bytes: 1_000_000, microseconds: 50_000 });
            self.fill(&mut interface.groups);
        }
        self.fill(&mut status.groups);
        status
    }
}
