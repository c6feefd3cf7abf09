//! The guest's life as xenstore and the toolstack see it: who we are, our interfaces, `control/shutdown`.

use crate::config::Ip;
use crate::system::System;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::ToString;
use net::{Addressing, Limits, Stack};
use xen::hypervisor::ShutdownReason;

/// What there is to do before the appliance's own code runs: learns the domain's number, starts the interfaces.
pub(crate) async fn prepare(system: &System) {
    match system.xen().store.read_number::<u16>("domid").await {
        Ok(domid) => system.0.domid.set(domid),
        Err(error) => log::warn!("xenstore: {error}"),
    }
    let control = system.clone();
    system.spawn(async move { watch_shutdown(&control).await });
    let interfaces = system.clone();
    system.spawn(async move { start_interfaces(&interfaces).await });
}

/// Obeys `xl shutdown` and `xl reboot`: acknowledges by an empty value, then ends.
async fn watch_shutdown(system: &System) {
    let store = &system.xen().store;
    for feature in ["control/feature-poweroff", "control/feature-reboot"] {
        // The toolstack may have made the nodes read-only: no harm.
        if let Err(error) = store.write(feature, "1").await {
            log::debug!("{feature}: {error}");
        }
    }
    let watch = match store.watch("control/shutdown").await {
        Ok(watch) => watch,
        Err(error) => {
            log::warn!("xl shutdown will not be heard: {error}");
            return;
        }
    };
    loop {
        watch.changed().await;
        let request = store.read_opt("control/shutdown").await.ok().flatten().unwrap_or_default();
        let reason = match request.as_str() {
            "" => continue,
            "poweroff" | "halt" => ShutdownReason::Poweroff,
            "reboot" => ShutdownReason::Reboot,
            other => {
                log::warn!("control/shutdown asks for {other:?}, which this guest cannot do");
                continue;
            }
        };
        log::info!("control/shutdown: {request}");
        if let Err(error) = store.write("control/shutdown", "").await {
            log::warn!("control/shutdown cannot be acknowledged: {error}");
        }
        system.shut_down(reason);
        return;
    }
}

/// Brings up the network interfaces that the toolstack gave us.
async fn start_interfaces(system: &System) {
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
    let config = pool_config(system);
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
    system.0.interfaces.borrow_mut().push(Box::new(stack));
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

/// The pools as configured; by default a sixteenth of the memory each, 512 pages at most.
fn pool_config(system: &System) -> netfront::Config {
    let pages = usize::try_from(system.0.memory_bytes / 4096).unwrap_or(usize::MAX);
    let default = (pages / 16).clamp(*crate::config::POOL_PAGES.start(), 512);
    let mut config = netfront::Config::default();
    config.pool_rx = system.config().pool_rx.unwrap_or(default);
    config.pool_tx = system.config().pool_tx.unwrap_or(default);
    // A pool may double when it runs dry.
    config.pool_rx_max = config.pool_rx.saturating_mul(2);
    config.pool_tx_max = config.pool_tx.saturating_mul(2);
    if let Some(threshold) = system.config().threshold {
        config.threshold = threshold;
    }
    config
}
