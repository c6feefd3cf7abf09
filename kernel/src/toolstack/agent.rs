//! The guest agent: keeps the nodes up to date that XCP-ng, Xen Orchestra and others read in the domain's directory.
//!
//! Every few seconds it writes the values that changed and removes stale nodes. A write that fails is repeated when the
//! value changes.

use super::facts::{Facts, Nodes, VifFacts, changes};
use crate::mem::heap;
use crate::system::System;
use alloc::vec::Vec;
use net::Ipv6State;
use xen::xenstore::XsError;

/// The interval between updates.
const INTERVAL_NS: u64 = 5_000_000_000;
/// Updates between two updates of the free memory, which always changes.
const MEMORY_UPDATES: u32 = 12;

/// Updates the nodes, for ever.
pub(super) async fn run(system: &System) {
    let mut written = Nodes::new();
    let mut free_bytes = free(system);
    let mut updates = 0_u32;
    let mut resumes = system.resumes();
    loop {
        if resumes != system.resumes() {
            // A new domain has a new directory, with nothing in it.
            resumes = system.resumes();
            written.clear();
        }
        if updates.is_multiple_of(MEMORY_UPDATES) {
            free_bytes = free(system);
        }
        updates = updates.wrapping_add(1) % MEMORY_UPDATES;
        let now = nodes(system, free_bytes);
        update(system, &written, &now).await;
        written = now;
        system.sleep(INTERVAL_NS).await;
    }
}

fn nodes(system: &System, free_bytes: u64) -> Nodes {
    let interfaces = system.interfaces();
    let vifs: Vec<_> = interfaces
        .iter()
        .map(|interface| {
            let status = interface.net().status();
            let v4 = status.address.iter().map(|cidr| cidr.address().into());
            let v6 = status.ipv6.iter().filter(|own| own.state == Ipv6State::Valid);
            let addresses = v4.chain(v6.map(|own| own.address.address().into())).collect();
            VifFacts { handle: interface.handle(), mac: status.mac.0, addresses }
        })
        .collect();
    drop(interfaces);
    let facts = Facts {
        name: system.name(),
        version: env!("CARGO_PKG_VERSION"),
        memory_bytes: system.memory_bytes(),
        free_bytes,
        vifs: &vifs,
    };
    facts.nodes()
}

/// Free bytes: of the heap, and of the pages outside.
fn free(system: &System) -> u64 {
    use xen::Memory;
    let pages = system.xen().machine.free_pages().saturating_mul(xen::ids::PAGE_SIZE);
    u64::try_from(pages.saturating_add(heap::usage().free)).unwrap_or_default()
}

async fn update(system: &System, before: &Nodes, now: &Nodes) {
    let store = &system.xen().store;
    let (written, gone) = changes(before, now);
    let mut any = false;
    for path in gone {
        any |= succeeded(path, store.remove(path).await);
    }
    let written: Vec<_> = written.map(|(path, value)| (path.clone(), value.clone())).collect();
    for ((path, _), result) in written.iter().zip(store.write_all(&written).await) {
        any |= succeeded(path, result);
    }
    if any {
        // Toolstacks watch this node, and then read the others.
        succeeded("data/updated", store.write("data/updated", "1").await);
    }
}

/// Logs an error. Returns whether there was none.
fn succeeded(path: &str, result: Result<(), XsError>) -> bool {
    if let Err(error) = &result {
        log::debug!("{path}: {error}");
    }
    result.is_ok()
}
