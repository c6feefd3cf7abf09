//! What an operator asks for by `xl shutdown`, `reboot`, `save` and `sysrq`: acknowledged by an empty value, then done.
//!
//! ```text
//!   xl ──► control/shutdown = "reboot" ──watch──► read ──► write "" ──► do it
//!   xl ──► control/sysrq    = "s"      ──watch──► read ──► write "" ──► do it
//! ```
//!
//! xl waits for the empty value: a request that this guest cannot follow is acknowledged too, and named on the console.

use crate::system::System;
use xen::hypervisor::ShutdownReason;

/// What this guest says that it obeys.
pub(super) const FEATURES: [&str; 3] =
    ["control/feature-poweroff", "control/feature-reboot", "control/feature-suspend"];

/// A node by which the toolstack asks for something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    /// `control/shutdown`.
    Shutdown,
    /// `control/sysrq`.
    SysRq,
}

impl Request {
    const fn node(self) -> &'static str {
        match self {
            Self::Shutdown => "control/shutdown",
            Self::SysRq => "control/sysrq",
        }
    }

    /// The command of the toolstack that is lost when the node cannot be watched.
    const fn command(self) -> &'static str {
        match self {
            Self::Shutdown => "xl shutdown, reboot and save",
            Self::SysRq => "xl sysrq",
        }
    }
}

/// Watches a node and does what it asks for, for ever.
pub(super) async fn obey(system: &System, request: Request) {
    let (store, node) = (&system.xen().store, request.node());
    let watch = match store.watch(node).await {
        Ok(watch) => watch,
        Err(error) => {
            log::warn!("{} will not be heard: {error}", request.command());
            return;
        }
    };
    loop {
        watch.changed().await;
        let asked = store.read_opt(node).await.ok().flatten().unwrap_or_default();
        let asked = asked.trim_matches('\0');
        if asked.is_empty() {
            continue;
        }
        log::info!("{node}: {}", asked.escape_debug());
        if let Err(error) = store.write(node, "").await {
            log::warn!("{node} cannot be acknowledged: {error}");
        }
        match request {
            Request::Shutdown => shut_down(system, asked),
            Request::SysRq => show(system, asked),
        }
    }
}

fn shut_down(system: &System, asked: &str) {
    match asked {
        "poweroff" | "halt" => system.shut_down(ShutdownReason::Poweroff),
        "reboot" => system.shut_down(ShutdownReason::Reboot),
        "suspend" => system.0.suspending.set(Some(system.now())),
        other => log::warn!(
            "control/shutdown asks for {:?}, which this guest cannot do: it knows poweroff, halt, reboot and suspend",
            other
        ),
    }
}

/// The letters of Linux's magic keys, as far as they make sense for a guest without processes and disks.
fn show(system: &System, asked: &str) {
    match asked {
        "s" | "m" | "t" | "w" => system.console().write(crate::shell::status(system).as_bytes()),
        "b" => system.shut_down(ShutdownReason::Reboot),
        "o" => system.shut_down(ShutdownReason::Poweroff),
        _ => log::info!("sysrq: s prints the status, b reboots, o powers off"),
    }
}

/// Answers `xl mem-set`: the pages are in pools, rings and connections, so what was given is kept. Xen holds the guest
/// to no less than it has; it is only not given more.
pub(super) async fn keep_memory(system: &System) {
    let store = &system.xen().store;
    let Ok(watch) = store.watch("memory/target").await else { return };
    let mut known = None;
    loop {
        watch.changed().await;
        let Ok(Some(kib)) = store.read_number::<u64>("memory/target").await else { continue };
        if known.replace(kib).is_some_and(|before| before != kib) {
            let have = system.0.memory_bytes >> 10;
            log::info!("memory/target is {kib} KiB: this guest keeps the {have} KiB that it has");
        }
    }
}
