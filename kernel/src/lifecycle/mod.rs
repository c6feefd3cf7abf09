//! The guest's life as the toolstack sees it: who we are, our interfaces, and what an operator asks for.
//!
//! | file | idea |
//! |---|---|
//! | `control` | `control/shutdown`, `control/sysrq`: what is asked is acknowledged and done |
//! | `interfaces` | the network interfaces that the toolstack gave us |
//! | `agent` | what tools show of a guest: addresses, system, memory |
//!
//! Everything here is a task that waits for xenstore or for time, and none of it is in the way of a packet. What
//! xenstore holds was written by others: it is compared, never believed; a write that is refused costs a debug line.

mod agent;
mod control;
mod interfaces;

use crate::system::System;
use xen::hypervisor::ShutdownReason;

/// What there is to do before the appliance's own code runs: learns the domain's number, starts what runs beside it.
pub(crate) async fn prepare(system: &System) {
    // Before all others: an appliance that reads the console later takes it over.
    let shell = system.clone();
    system.spawn(async move { crate::shell::run(&shell).await });
    introduce(system).await;
    seed(system).await;
    for request in [control::Request::Shutdown, control::Request::SysRq] {
        let system = system.clone();
        system.clone().spawn(async move { control::obey(&system, request).await });
    }
    let memory = system.clone();
    system.spawn(async move { control::keep_memory(&memory).await });
    let interfaces = system.clone();
    system.spawn(async move { interfaces::start(&interfaces).await });
    let agent = system.clone();
    system.spawn(async move { agent::run(&agent).await });
}

/// Where the toolstack may put a secret of at least 32 characters, below the domain's own directory.
const SEED: &str = "vm-data/random-seed";

/// Takes a seed from xenstore. Before anything that needs a random number: without any source of them the guest ends
/// here, since with sequence numbers and ports that can be guessed it would be worse than none.
async fn seed(system: &System) {
    let mut pool = system.0.entropy.borrow().clone();
    match system.xen().store.read_opt(SEED).await {
        Ok(given) => pool.add_seed(given.unwrap_or_default().as_bytes()),
        Err(error) => log::warn!("{SEED}: {error}"),
    }
    if !pool.good() {
        log::error!(
            "no entropy: the processor offers neither RDRAND nor RDSEED, and there is no seed of {} characters or more",
            crate::config::LEAST_SEED
        );
        log::error!(
            "stopping: permit rdrand in the domain's cpuid=, or add seed=SECRET to its cmdline=, or write SECRET to {SEED} \
             in its xenstore directory before it runs"
        );
        system.0.end(ShutdownReason::Poweroff);
    }
    *system.0.random.borrow_mut() = pool.generator();
    system.0.entropy.replace(pool);
}

/// Learns the domain's number, and says which requests are obeyed: at the start, and after a resume.
pub(crate) async fn introduce(system: &System) {
    let store = &system.xen().store;
    match store.read_number::<u16>("domid").await {
        Ok(domid) => system.0.domid.set(domid),
        Err(error) => log::warn!("xenstore: {error}"),
    }
    let features = control::FEATURES.map(|feature| (feature.into(), "1".into()));
    for ((feature, _), result) in features.iter().zip(store.write_all(&features).await) {
        // The toolstack may have made the nodes read-only: no harm.
        if let Err(error) = result {
            log::debug!("{feature}: {error}");
        }
    }
}
