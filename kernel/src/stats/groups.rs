//! The numbers of a [`Snapshot`] in groups.
//!
//! Sets of counters come with names and help texts of their own. Every other number is named here, once: a new one is
//! one line in this file.

use super::numbers::{Group, Groups, Shape};
use super::{InterfaceStats, Snapshot};
use alloc::vec::Vec;
use ledger::Usage;
use net::NetStatus;
use pool::PoolCounts;

impl Snapshot {
    /// The numbers of the guest, and the sums over its interfaces.
    #[must_use]
    pub fn groups(&self) -> Groups {
        let mut groups = Vec::from([
            Group::new("", "Guest").gauges([
                ("memory_bytes", "RAM of the guest.", self.memory_bytes),
                ("tasks", "Tasks that have not ended.", wide(self.tasks)),
            ]),
            Group::new("heap", "Heap").gauges([
                ("used_bytes", "Heap in use.", wide(self.heap.used)),
                ("free_bytes", "Free heap.", wide(self.heap.free)),
            ]),
            Group::new("pages", "Pages outside image and heap").gauges([
                ("taken", "Pages in pools and rings.", wide(self.pages.taken)),
                ("free", "Free pages.", wide(self.pages.free)),
            ]),
        ]);
        groups.extend(memory(self));
        groups.extend(sums(self));
        groups.extend(xen(self));
        Groups(groups)
    }
}

impl InterfaceStats {
    /// The numbers of the interface.
    #[must_use]
    pub fn groups(&self) -> Groups {
        let Self { frontend, net } = self;
        let bar = |key, title| Group::new(key, title).shaped(Shape::Bar);
        Groups(Vec::from([
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
            self.drops(),
            Group::new("misbehaviour", "Rules that the backend broke")
                .shaped(Shape::NonZero)
                .faults(frontend.misbehaviour.iter()),
            sockets(net),
            Group::new("stack", "Network stack").counters(net.counters.iter()),
            Group::new("tcp", "TCP engine").counters(net.tcp.described()),
        ]))
    }

    /// Every frame that was lost on its way, in the stack or in the frontend.
    fn drops(&self) -> Group {
        let (rx, tx) = (&self.frontend.rx, &self.frontend.tx);
        Group::new("drops", "Drops").by("reason").counters(self.net.drops.iter()).counters([
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
}

/// The memory whose size peers or dom0 decide, by consumer.
fn memory(now: &Snapshot) -> [Group; 3] {
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
fn sums(now: &Snapshot) -> [Group; 5] {
    let mut all = netfront::Stats::default();
    let mut drops = Group::new("drops", "Drops on all interfaces").by("reason").shaped(Shape::Hidden);
    for interface in &now.interfaces {
        let frontend = &interface.frontend;
        all.rx.add(&frontend.rx);
        all.tx.add(&frontend.tx);
        all.device.add(&frontend.device);
        all.rx_pool.add(&frontend.rx_pool);
        all.rx_pool.add(&frontend.tx_pool);
        drops.add(&interface.drops());
    }
    let netfront::Stats { rx, tx, device, rx_pool: pool, .. } = all;
    let notified = rx.notifications.get().wrapping_add(tx.notifications.get());
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

fn xen(now: &Snapshot) -> [Group; 6] {
    [
        Group::new("grants", "Grant table")
            .counters([
                (
                    "issued",
                    "Grants issued. Pages of pools are granted once, not for each packet.",
                    now.grants.issued.get(),
                ),
                ("ended", "Grants ended.", now.grants.ended.get()),
            ])
            .warnings([(
                "quarantined",
                "Grants that cannot be ended, because the other domain still uses them.",
                now.grants.quarantined,
            )])
            .gauges([("free_entries", "Unused entries of the grant table.", u64::from(now.grants.free))]),
        Group::new("events", "Events").counters(now.events.iter()),
        Group::new("hypercalls", "Hypercalls").by("kind").counters(now.hypercalls),
        Group::new("loop", "Loop").by("kind").counters(now.iterations.iter()),
        Group::new("xenstore", "Traffic with xenstore").by("kind").counters(now.xenstore.iter()).counters([
            (
                "iterations",
                "Loop iterations that an event of xenstore alone began; each of them ended a sleep.",
                now.xenstore_iterations.get(),
            ),
        ]),
        Group::new("console", "Console").by("kind").counters(now.console.iter()),
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

fn sockets(net: &NetStatus) -> Group {
    Group::new("sockets", "Sockets").gauges([
        ("connections", "TCP connections in all states.", wide(net.connections)),
        ("half_open", "TCP connections whose handshake is not finished.", wide(net.half_open)),
        ("time_wait", "TCP connections in TIME-WAIT.", wide(net.time_wait)),
        ("listeners", "TCP ports with a listener.", wide(net.listeners)),
        ("udp", "UDP sockets.", wide(net.udp_sockets)),
    ])
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
