//! The start of the guest's tasks, its seed, and how it introduces itself to the toolstack.

use super::{agent, console_shell, control, vifs};
use crate::config::LEAST_SEED;
use crate::run::Resumed;
use crate::system::System;
use xen::hypervisor::ShutdownReason;

/// Runs before the appliance's main task: reads the domain's number and the seed, and starts the tasks of the kernel.
pub(crate) async fn prepare(system: &System) {
    // First, so that an appliance that reads the console later takes it over.
    let shell = system.clone();
    system.spawn(async move { console_shell::run(&shell).await });
    introduce(system).await;
    seed(system).await;
    for request in [control::Request::Shutdown, control::Request::SysRq] {
        let system = system.clone();
        system.clone().spawn(async move { control::obey(&system, request).await });
    }
    let memory = system.clone();
    system.spawn(async move { control::keep_memory(&memory).await });
    let interfaces = system.clone();
    system.spawn(async move { vifs::start(&interfaces).await });
    let agent = system.clone();
    system.spawn(async move { agent::run(&agent).await });
}

/// The node for a secret of at least [`LEAST_SEED`] characters, relative to the domain's directory.
const SEED: &str = "vm-data/random-seed";

/// Adds the seed in xenstore to the entropy. Without any source of entropy the guest powers off: with predictable
/// sequence numbers, ports and keys it would be unsafe. To be called before anything that needs a random number, and in
/// each new domain.
async fn seed(system: &System) {
    let mut entropy = system.entropy();
    match system.xen().store.read_opt(SEED).await {
        Ok(given) => entropy.add_store_seed(given.unwrap_or_default().as_bytes()),
        Err(error) => log::warn!("{SEED}: {error}"),
    }
    if !entropy.is_sufficient() {
        log::error!(
            "no entropy: the processor offers neither RDRAND nor RDSEED, and there is no seed of {} characters or more",
            LEAST_SEED
        );
        log::error!(
            "stopping: permit rdrand in the domain's cpuid=, or add seed=SECRET to its cmdline=, or write SECRET to {SEED} \
             in its xenstore directory before it runs"
        );
        system.end(ShutdownReason::Poweroff);
    }
    system.set_entropy(entropy);
}

/// What follows a resume: another domain has another number and an empty directory in xenstore.
///
/// Two domains may be restored from one file, and must not share their secrets. All secrets are renewed at once from the
/// processor's entropy, and again with the seed of the new domain. Without either the guest powers off, as at the start.
pub(crate) fn resumed(system: &System, domain: Resumed) {
    if domain == Resumed::Another {
        let mut entropy = system.entropy();
        entropy.renew();
        system.set_entropy(entropy);
    }
    let again = system.clone();
    system.spawn(async move {
        introduce(&again).await;
        if domain == Resumed::Another {
            seed(&again).await;
        }
    });
}

/// Reads the domain's number, and writes which requests the guest obeys.
async fn introduce(system: &System) {
    let store = &system.xen().store;
    match store.read_number::<u16>("domid").await {
        Ok(domid) => system.set_domid(domid),
        Err(error) => log::warn!("xenstore: {error}"),
    }
    let features = control::FEATURES.map(|feature| (feature.into(), "1".into()));
    for ((feature, _), result) in features.iter().zip(store.write_all(&features).await) {
        // The toolstack may have made the nodes read-only, which does no harm.
        if let Err(error) = result {
            log::debug!("{feature}: {error}");
        }
    }
}
