//! Requests of the toolstack: `xl shutdown`, `reboot`, `save`, `sysrq` and `mem-set`.
//!
//! ```text
//!   xl ──► control/shutdown = "reboot" ──watch──► read ──► write "" ──► reboot
//!   xl ──► control/sysrq    = "s"      ──watch──► read ──► write "" ──► print the status
//! ```
//!
//! xl waits for the empty value, so an unknown request is acknowledged too, and named on the console.

use crate::system::System;
use xen::hypervisor::ShutdownReason;

/// The requests that this guest obeys.
pub(super) const FEATURES: [&str; 3] =
    ["control/feature-poweroff", "control/feature-reboot", "control/feature-suspend"];

/// A node with requests of the toolstack.
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

    /// The commands that need the node.
    const fn command(self) -> &'static str {
        match self {
            Self::Shutdown => "xl shutdown, reboot and save",
            Self::SysRq => "xl sysrq",
        }
    }
}

/// Obeys the requests in a node, for ever.
pub(super) async fn obey(system: &System, request: Request) {
    let (store, node) = (&system.xen().store, request.node());
    let watch = system.watch(node, request.command()).await;
    loop {
        watch.changed().await;
        let value = store.read_opt(node).await.ok().flatten().unwrap_or_default();
        let value = value.trim_matches('\0');
        if value.is_empty() {
            continue;
        }
        log::info!("{node}: {}", value.escape_debug());
        if let Err(error) = store.write(node, "").await {
            log::warn!("{node} cannot be acknowledged: {error}");
        }
        match request {
            Request::Shutdown => shut_down(system, value),
            Request::SysRq => obey_sysrq(system, value),
        }
    }
}

fn shut_down(system: &System, value: &str) {
    match value {
        "poweroff" | "halt" => system.shut_down(ShutdownReason::Poweroff),
        "reboot" => system.shut_down(ShutdownReason::Reboot),
        "suspend" => system.request_suspend(),
        other => log::warn!(
            "control/shutdown is {other:?}, which is unknown; known are poweroff, halt, reboot and suspend"
        ),
    }
}

/// The keys of Linux's magic SysRq that apply to a guest without processes and disks.
fn obey_sysrq(system: &System, value: &str) {
    match value {
        "s" | "m" | "t" | "w" => system.console().write(super::console_shell::status(system).as_bytes()),
        "b" => system.shut_down(ShutdownReason::Reboot),
        "o" => system.shut_down(ShutdownReason::Poweroff),
        _ => log::info!("sysrq: s prints the status, b reboots, o powers off"),
    }
}

/// Answers `xl mem-set` with a log line: the guest keeps its memory, since the pages are in pools, rings and connections.
/// Xen then permits no more than the target, and takes nothing away.
pub(super) async fn keep_memory(system: &System) {
    let store = &system.xen().store;
    let watch = system.watch("memory/target", "xl mem-set").await;
    let mut known = None;
    loop {
        watch.changed().await;
        let Ok(Some(kib)) = store.read_number::<u64>("memory/target").await else { continue };
        if known.replace(kib).is_some_and(|before| before != kib) {
            let have = system.memory_bytes() >> 10;
            log::info!("memory/target is {kib} KiB; this guest cannot balloon and keeps its {have} KiB");
        }
    }
}
