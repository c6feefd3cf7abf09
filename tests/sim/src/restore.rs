//! Save and restore: the guest goes on, with its memory, in a new domain.
//!
//! ```text
//!   rings, channels, mappings, nodes of the old domain ─► gone
//!   new domain: grant table and shared info empty, no channel but xenstore's and the console's, vifs in state 1
//!   the guest ─► `resume`, as the kernel does it ─► its vifs notice that their rings are invalid
//! ```
//!
//! The console's new port has no other end.

use crate::boot::listen_to_store;
use crate::builder::furnish;
use crate::guest::Guest;
use crate::machine::Sim;
use crate::memory::map_shared_info;
use crate::netback::Netback;
use xen::{DomId, Gfn, Xen};

/// What a guest has to know of itself after a restore.
#[derive(Clone, Copy, Debug)]
pub struct Restored {
    /// Where it had its shared info.
    shared_info: Gfn,
}

impl Sim {
    /// Saves a guest, and restores it as domain `id` with these vifs, each with a backend in that domain. From then
    /// on it is to do nothing before [`resume`].
    #[must_use]
    pub fn restore(&self, guest: &Guest, id: DomId, vifs: &[(&Netback, DomId)]) -> Restored {
        let (world, domain) = (self.world(), guest.shared_domain());
        let (old, shared_info) = (domain.id(), domain.shared_info.get());
        vifs.iter().for_each(|(vif, _)| vif.leave());
        world.store.release(old);
        world.evtchn_close_all(&domain);
        world.remove_domain(old);
        world.store.remove(&format!("/local/domain/{old}"));
        domain.begin_anew(id);
        world.enter_domain(&domain);
        furnish(world, &domain, 0, "restored");
        vifs.iter().for_each(|(vif, backend)| vif.follow(id, *backend));
        Restored { shared_info }
    }
}

/// As the kernel after a suspend, except for its timer.
pub fn resume(xen: &Xen<Guest>, restored: Restored) {
    map_shared_info(&xen.machine, restored.shared_info).expect("the shared info page");
    let _void = xen.events.resume();
    xen.grants.resume(&xen.machine).expect("the grant table");
    let port = listen_to_store(&xen.machine, &xen.events);
    xen.store.reconnect(xen.machine.xenstore_ring(), port);
}
