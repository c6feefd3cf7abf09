//! The network interfaces that the toolstack gave us: device, stack, and the task that keeps it connected.
//!
//! The first is the appliance's. Pools are as large as the command line says, else as the memory allows.

use crate::config::Ip;
use crate::run::Vif;
use crate::system::System;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::ToString;
use net::{Addressing, Limits, Stack};

/// Brings up the network interfaces that the toolstack gave us.
pub(super) async fn start(system: &System) {
    let store = &system.xen().store;
    let mut handles: alloc::vec::Vec<u32> = match store.directory("device/vif").await {
        Ok(names) => names.iter().filter_map(|name| name.parse().ok()).collect(),
        Err(error) => {
            log::debug!("device/vif: {error}");
            alloc::vec::Vec::new()
        }
    };
    handles.sort_unstable();
    let Some(handle) = handles.first() else {
        log::warn!("no network interface: add vif = [ 'bridge=...' ] to the domain's configuration");
        return;
    };
    if let Err(error) = start_interface(system, *handle).await {
        log::error!("vif {handle}: {error}");
    }
}

async fn start_interface(system: &System, handle: u32) -> Result<(), netfront::ConnectError> {
    let choices = system.config().pool.choices(system.0.memory_bytes);
    let config =
        netfront::Config { refuse: system.config().refuse, queues: system.config().queues, ..choices };
    let (device, life) = netfront::open(Rc::clone(system.xen()), handle, config).await?;
    let addressing = match &system.config().ip {
        Ip::Dhcp => Addressing::Dhcp,
        Ip::Static { address, prefix, gateway, dns } => Addressing::Static {
            address: net::Ipv4Cidr::new(*address, *prefix),
            gateway: *gateway,
            dns: dns.clone(),
        },
    };
    let stack_config = net::Config {
        addressing,
        hostname: system.host().to_string(),
        seed: system.random_bytes(),
        limits: Limits::default(),
    };
    let stack = Stack::new(device, stack_config, system.now());
    system.0.interfaces.borrow_mut().push(Box::new(Vif { handle, stack }));
    system.0.interface_up.set();
    let sleeper = system.clone();
    system.spawn(async move {
        life.run(move |ns| {
            let sleeper = sleeper.clone();
            async move { sleeper.sleep(ns).await }
        })
        .await;
    });
    Ok(())
}
