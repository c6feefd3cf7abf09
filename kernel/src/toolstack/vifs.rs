//! The network interfaces: for each vif in `device/vif` a device, a stack, and the task that keeps it connected.
//!
//! The first interface is the appliance's, unless it asks for all of them ([`System::each_net`]). Interfaces may be
//! attached later. The sizes of the pools are those of the command line, or follow from the memory.

use crate::config::address::{Ip, Ip6};
use crate::system::System;
use crate::system::interface::Vif;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use net::{Addressing, Ipv6Addressing, Limits, Stack};
use xen::backoff::Backoff;

/// Starts the interfaces that exist, and a task that starts those that are attached later; none for an appliance that has
/// stacks of its own.
pub(super) async fn start(system: &System) {
    if system.is_bare() {
        return;
    }
    let mut vifs = Vifs { started: Vec::new(), backoff: Backoff::new() };
    let retry = vifs.look(system).await;
    if vifs.started.is_empty() && retry.is_none() {
        log::warn!("no network interface: add vif = [ 'bridge=...' ] to the domain's configuration");
    }
    let system = system.clone();
    system.clone().spawn(async move { vifs.follow(&system, retry).await });
}

/// The interfaces that were started.
struct Vifs {
    /// N of `device/vif/N`. A detached interface stays in the list: its connection task waits until it is attached again.
    started: Vec<u32>,
    /// The pauses between attempts to start those that fail.
    backoff: Backoff<Vec<String>>,
}

impl Vifs {
    /// Starts interfaces that are attached later. `retry` is the pause until a failed start is tried again.
    async fn follow(&mut self, system: &System, mut retry: Option<u64>) {
        let watch = system.watch(netfront::LIST, "xl network-attach").await;
        loop {
            // The first event comes at once, so that an interface attached meanwhile is found.
            let changed = match retry {
                None => Some(watch.changed().await),
                Some(pause) => system.timeout(pause, watch.changed()).await,
            };
            if changed.is_none_or(|path| netfront::changes_list(&path, &self.started)) {
                retry = self.look(system).await;
            }
        }
    }

    /// Starts the interfaces that are not started yet. Returns the pause after which a failed start is tried again.
    async fn look(&mut self, system: &System) -> Option<u64> {
        let mut errors = Vec::new();
        let handles = netfront::list(&system.xen().store).await.unwrap_or_else(|error| {
            errors.push(format!("device/vif: {error}"));
            Vec::new()
        });
        let new: Vec<u32> = handles.into_iter().filter(|handle| !self.started.contains(handle)).collect();
        for handle in &new {
            // Interfaces that start together share the memory for pools. A later one gets what is free.
            match start_interface(system, *handle, new.len()).await {
                Ok(()) => self.started.push(*handle),
                Err(error) => errors.push(format!("vif {handle}: {error}")),
            }
        }
        if errors.is_empty() {
            self.backoff.reset();
            return None;
        }
        let wait = self.backoff.failed(errors.clone());
        if wait.is_news {
            errors.iter().for_each(|error| log::error!("{error}; it is tried again"));
        }
        Some(wait.ns)
    }
}

async fn start_interface(system: &System, handle: u32, sharers: usize) -> Result<(), netfront::ConnectError> {
    let sharers = u64::try_from(sharers.max(1)).unwrap_or(1);
    let device = system.open_vif(handle, sharers).await?;
    let first = system.interfaces().is_empty();
    let addressing = match system.config().addresses.of(handle, first) {
        Ip::Dhcp => Addressing::Dhcp,
        Ip::Static { address, prefix, gateway, dns } => Addressing::Static {
            address: net::Ipv4Cidr::new(*address, *prefix),
            gateway: *gateway,
            dns: dns.clone(),
        },
    };
    let ipv6 = match system.config().addresses.of6(handle, first) {
        Ip6::Off => Ipv6Addressing::Off,
        Ip6::Auto => Ipv6Addressing::Auto,
        Ip6::Static { address, prefix, gateway } => {
            Ipv6Addressing::Static { address: net::Ipv6Cidr::new(address, prefix), gateway }
        }
    };
    let stack_config = net::Config {
        addressing,
        ipv6,
        hostname: system.host().to_string(),
        seed: system.random_bytes(),
        probing: net::Probing::On,
        limits: Limits::for_memory(system.ledger().bytes()),
        ledger: system.ledger().clone(),
    };
    let stack = Stack::new(device, stack_config, system.now());
    system.add_interface(Box::new(Vif::new(handle, stack)));
    Ok(())
}
