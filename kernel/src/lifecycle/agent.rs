//! Tells tools what they show of a guest: `xl`'s friends, XCP-ng, Xen Orchestra look into its directory.
//!
//! It looks every few seconds, writes only what changed, and takes away what is not so any more. Nothing is watched. A
//! node that may not be written is tried again when its value changes, and is no reason to stop.

use crate::facts::{Facts, Nodes, VifFacts, changes};
use crate::system::System;
use alloc::vec::Vec;
use net::Ipv6State;
use xen::xenstore::XsError;

/// An address that changed is told within this time.
const LOOK_NS: u64 = 5_000_000_000;
/// Looks between two of the free memory, which always changes.
const MEMORY_LOOKS: u32 = 12;

/// Tells, for ever.
pub(super) async fn run(system: &System) {
    let mut told = Nodes::new();
    let mut free_bytes = free(system);
    let mut looks = 0_u32;
    let mut resumes = system.0.resumes.get();
    loop {
        if resumes != system.0.resumes.get() {
            // A new domain has a new directory, with nothing in it.
            resumes = system.0.resumes.get();
            told.clear();
        }
        if looks.is_multiple_of(MEMORY_LOOKS) {
            free_bytes = free(system);
        }
        looks = looks.wrapping_add(1);
        let now = look(system, free_bytes);
        tell(system, &told, &now).await;
        told = now;
        system.sleep(LOOK_NS).await;
    }
}

fn look(system: &System, free_bytes: u64) -> Nodes {
    let interfaces = system.0.interfaces.borrow();
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
        memory_bytes: system.0.memory_bytes,
        free_bytes,
        vifs: &vifs,
    };
    facts.nodes()
}

/// Bytes that nobody uses: of the heap, and of the pages beside it.
fn free(system: &System) -> u64 {
    use xen::Memory;
    let pages = system.xen().machine.free_pages().saturating_mul(xen::ids::PAGE_SIZE);
    u64::try_from(pages.saturating_add(crate::heap::usage().free)).unwrap_or_default()
}

async fn tell(system: &System, told: &Nodes, now: &Nodes) {
    let store = &system.xen().store;
    let (written, gone) = changes(told, now);
    let mut any = false;
    for path in gone {
        any |= note(path, store.remove(path).await);
    }
    let written: Vec<_> = written.map(|(path, value)| (path.clone(), value.clone())).collect();
    for ((path, _), result) in written.iter().zip(store.write_all(&written).await) {
        any |= note(path, result);
    }
    if any {
        // Toolstacks watch this one, and then read the others.
        note("data/updated", store.write("data/updated", "1").await);
    }
}

/// Whether it went well.
fn note(path: &str, result: Result<(), XsError>) -> bool {
    if let Err(error) = &result {
        log::debug!("{path}: {error}");
    }
    result.is_ok()
}
