//! The numbers of channels and store, in groups.

use super::StoreStatus;
use alloc::vec::Vec;
use datafront::block::ReceiverStats;
use datafront::block::outbox::OutboxStats;
use datafront::vchan::Stats;
use kernel::pool::PoolCounts;
use kernel::stats::numbers::{Group, Groups};

/// The numbers of a channel.
#[must_use]
pub fn channel(blocks: &ReceiverStats, link: &Stats) -> Groups {
    Groups(Vec::from([
        Group::new("", "Channel").gauges([(
            "last_seq",
            "The number of the last completed block in its stream.",
            blocks.last_seq,
        )]),
        Group::new("blocks", "Blocks").counters(blocks.counts.iter()),
        Group::new("link", "Link").counters(link.iter()),
    ]))
}

/// The numbers of all channels together: the pages of their rings, the published content, and the blocks for dom0, if any
/// are sent.
#[must_use]
pub fn all(pages: &PoolCounts, store: &StoreStatus, outgoing: Option<&OutboxStats>) -> Groups {
    let mut groups = Groups(Vec::from([
                Group::new("pages", "Pages of the channels").parts([
                    ("in_use", "Pages in use by channels.", wide(pages.in_use)),
                    ("quarantined", "Pages that a former sender still has mapped.", wide(pages.quarantined)),
                    ("free", "Free pages.", wide(pages.free)),
                ]).sum(("total", "Pages of the pool: the sum of those above.", wide(pages.total)))
                .gauges([("max", "The size at which the pool stops growing.", wide(pages.max))]),
                Group::new("published", "Published content").gauges([
                    ("revision", "How often the published content has changed.", store.revision),
                    ("files", "Published files.", wide(store.files)),
                    ("bytes", "Bytes of published content, of pushes in progress, and of former revisions that clients still read.", wide(store.bytes)),
                    ("budget_bytes", "The limit on `bytes`.", wide(store.budget_bytes)),
                ]),
            ]));
    groups.0.extend(outgoing.map(self::outgoing));
    groups
}

/// The numbers of an outbox.
fn outgoing(outbox: &OutboxStats) -> Group {
    Group::new("outgoing", "Blocks for dom0")
        .gauges([
            ("connected", "1 while dom0 is connected.", u64::from(outbox.connected)),
            ("blocks", "Blocks that dom0 has not acknowledged.", wide(outbox.blocks)),
            ("bytes", "The memory that they take.", wide(outbox.bytes)),
            ("limit_bytes", "The limit on `bytes`.", wide(outbox.limit)),
        ])
        .counters(outbox.counts.iter())
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
