//! The shell on `xl console`: commands that show the state of the guest, and two that end it.
//!
//! ```text
//!   xl console ──► Console::read_line ──► command ──► at most one screen of text ──► Console::write ──► xl console
//! ```
//!
//! It answers at most ten commands a second. The console keeps 16 lines of input, and drops the oldest output if nobody
//! reads. Neither a flood of commands nor an absent reader delays the network noticeably.
//!
//! An appliance that reads the console replaces the shell: a line goes to the latest reader, and the shell is the first.

use crate::crash::{logger, panic};
use crate::stats::Snapshot;
use crate::system::System;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use xen::hypervisor::ShutdownReason;

/// The pause after each command.
const PAUSE_NS: u64 = 100_000_000;
/// Connections that `conns` lists, so that its answer fits on one screen.
const SHOWN: usize = 20;
const HELP: &str = "\
help      this list
status    name, memory, tasks, events, hypercalls
net       addresses, packets, drops
pool      pages by state
grants    the grant table
conns     listeners, and the first 20 connections
tcp       counters of the stack since the start
log       the last lines of the log
crash     'crash now' ends the guest with a crash report
poweroff  'poweroff now' powers the guest off
";

/// Answers commands, for ever.
pub(crate) async fn run(system: &System) {
    loop {
        let line = system.console().read_line().await;
        let mut words = line.split_ascii_whitespace();
        let Some(command) = words.next() else { continue };
        let answer = answer(system, command, words.next() == Some("now"));
        // The command is repeated before its answer: `xl console` does not echo it.
        system.console().write(format!("> {command}\n{answer}").as_bytes());
        system.sleep(PAUSE_NS).await;
    }
}

fn answer(system: &System, command: &str, now: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match command {
        "help" | "?" => text.write_str(HELP),
        "status" => text.write_str(&status(system)),
        "net" => net(&mut text, &system.stats()),
        "pool" => pool(&mut text, &system.stats()),
        "grants" => grants(&mut text, &system.stats()),
        "conns" => conns(&mut text, system),
        "tcp" => tcp(&mut text, &system.stats()),
        "log" => log(&mut text),
        "crash" if now => panic::on_request(),
        "poweroff" if now => {
            system.shut_down(ShutdownReason::Poweroff);
            Ok(())
        }
        "crash" | "poweroff" => writeln!(text, "this ends the guest; to confirm, type: {command} now"),
        _ => text.write_str("unknown command; help lists the commands\n"),
    };
    text
}

/// The status in a few lines; `xl sysrq NAME s` prints it too.
pub(crate) fn status(system: &System) -> String {
    let all = system.stats();
    let mut text = format!(
        "millpond {} {}, domain {}, host {}, up {} s\nmemory {} KiB: heap {} KiB used, {} free; pages {} used, {} free\n",
        all.version,
        all.name,
        all.domid.unwrap_or_default(),
        system.host(),
        all.uptime_ns / 1_000_000_000,
        all.memory_bytes >> 10,
        all.heap.used >> 10,
        all.heap.free >> 10,
        all.pages.taken,
        all.pages.free,
    );
    let _ = writeln!(
        text,
        "tasks {}, loop iterations {} ({} without work), events {} ({} stray), watches {}, resumed {} times\nhypercalls:{}",
        all.tasks,
        all.iterations.iterations,
        all.iterations.without_work,
        all.events_received,
        all.events_stray,
        system.xen().store.nr_watches(),
        system.resumes(),
        all.hypercalls.iter().fold(String::new(), |line, (name, _, count)| format!("{line} {name} {count}")),
    );
    text
}

fn net(text: &mut String, all: &Snapshot) -> core::fmt::Result {
    for (number, interface) in all.interfaces.iter().enumerate() {
        let (net, front) = (&interface.net, &interface.frontend);
        let link = if net.link_up { "up" } else { "down" };
        write!(text, "{number}: {} {link}, mtu {}, {}", net.mac, net.mtu, net.dhcp)?;
        if let Some(address) = net.address {
            write!(text, ", {address}")?;
        }
        if let Some(gateway) = net.gateway {
            write!(text, " by {gateway}")?;
        }
        for own in &net.ipv6 {
            write!(text, "\n   {} {}", own.address, own.state.as_str())?;
        }
        if let Some(gateway) = net.ipv6_gateway {
            write!(text, " by {gateway}")?;
        }
        writeln!(text, "\n   in  {} packets, {} bytes", front.rx.packets, front.rx.bytes)?;
        writeln!(text, "   out {} packets, {} bytes", front.tx.packets, front.tx.bytes)?;
        let (rx, tx) = (&front.rx, &front.tx);
        for (way, features, chains, gso, blank) in [
            ("rx", front.features.rx, rx.chains, rx.gso_packets, rx.checksum_blank),
            ("tx", front.features.tx, tx.chains, tx.gso_packets, tx.checksum_blank),
        ] {
            writeln!(
                text,
                "   {way} {features}: {chains} over several slots, {gso} merged, {blank} without checksum"
            )?;
        }
        write!(
            text,
            "   {} queues, connected {} times; dropped:",
            front.features.queues, front.device.connects
        )?;
        for (reason, count) in net.drops.by_reason().filter(|(_, count)| *count > 0) {
            write!(text, " {} {count}", reason.name())?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn pool(text: &mut String, all: &Snapshot) -> core::fmt::Result {
    for (number, interface) in all.interfaces.iter().enumerate() {
        let front = &interface.frontend;
        for (name, pool) in [("rx", &front.rx_pool), ("tx", &front.tx_pool)] {
            writeln!(
                text,
                "{number} {name}: {} pages of at most {}: {} free, {} in the ring, {} in use, {} quarantined",
                pool.total, pool.max, pool.free, pool.in_ring, pool.in_use, pool.quarantined
            )?;
        }
        let stats = &front.rx;
        writeln!(
            text,
            "{number}: received {} in place, {} copied, {} retained by applications, {} refused to them; mismatches {}",
            stats.zero_copy_packets,
            stats.copied_packets,
            stats.retained_packets,
            stats.retained_refused,
            front.device.mismatches
        )?;
    }
    Ok(())
}

fn grants(text: &mut String, all: &Snapshot) -> core::fmt::Result {
    let grants = &all.grants;
    writeln!(
        text,
        "issued {}, ended {}, quarantined {}, free entries {}",
        grants.issued, grants.ended, grants.quarantined, grants.free
    )
}

fn conns(text: &mut String, system: &System) -> core::fmt::Result {
    for (number, interface) in system.interfaces().iter().enumerate() {
        let net = interface.net();
        let all = net.status();
        writeln!(
            text,
            "{number}: tcp {} ({} half open), {} in time-wait, {} udp sockets; listening on {:?}",
            all.connections,
            all.half_open,
            all.time_wait,
            all.udp_sockets,
            net.tcp_listeners()
        )?;
        let shown = net.tcp_connections(SHOWN);
        for one in &shown {
            writeln!(
                text,
                "   :{} <- {} {}, unread {}, unacknowledged {}, silent for {} s",
                one.local.port,
                one.remote,
                one.state,
                one.unread,
                one.unacknowledged,
                one.silent_for.as_secs()
            )?;
        }
        let more = all.connections.saturating_sub(shown.len());
        if more > 0 {
            writeln!(text, "   and {more} more")?;
        }
    }
    Ok(())
}

fn tcp(text: &mut String, all: &Snapshot) -> core::fmt::Result {
    for interface in &all.interfaces {
        let all = interface.net.counters.iter().chain(interface.net.tcp.described());
        for (name, _, count) in all.filter(|(_, _, count)| *count > 0) {
            writeln!(text, "{name:20} {count}")?;
        }
    }
    Ok(())
}

fn log(text: &mut String) -> core::fmt::Result {
    logger::recent(usize::MAX, |line| text.push_str(&format!("{line}\n")));
    Ok(())
}
