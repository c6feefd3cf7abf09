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

use super::shell_commands::{COMMANDS, Command, help, numbers};
use crate::crash::{logger, panic};
use crate::stats::{InterfaceStats, Snapshot};
use crate::system::System;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write};
use xen::hypervisor::ShutdownReason;

/// The pause after each command.
const PAUSE_NS: u64 = 100_000_000;
/// Connections that `conns` lists, so that its answer fits on one screen.
const SHOWN: usize = 20;
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

fn answer(system: &System, word: &str, now: bool) -> String {
    let mut text = String::new();
    let name = if word == "?" { "help" } else { word };
    // Writing to a string cannot fail.
    let _ = match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => run_command(&mut text, system, command, now),
        None => text.write_str("unknown command; help lists the commands\n"),
    };
    text
}

fn run_command(text: &mut String, system: &System, command: &Command, now: bool) -> fmt::Result {
    match command.name {
        "help" => help(text),
        "log" => log(text),
        "crash" if now => panic::on_request(),
        "poweroff" if now => {
            system.shut_down(ShutdownReason::Poweroff);
            Ok(())
        }
        "crash" | "poweroff" => writeln!(text, "this ends the guest; to confirm, type: {} now", command.name),
        _ => state(text, system, command),
    }
}

/// The status in a few lines; `xl sysrq NAME s` prints it too.
pub(crate) fn status(system: &System) -> String {
    answer(system, "status", false)
}

/// Facts of the guest and its numbers, then those of each interface.
fn state(text: &mut String, system: &System, command: &Command) -> fmt::Result {
    let all = system.stats();
    if command.name == "status" {
        guest(text, system, &all)?;
    }
    numbers(text, "", &all.groups(), command)?;
    for (number, interface) in all.interfaces.iter().enumerate() {
        match command.name {
            "net" => addresses(text, number, interface)?,
            "conns" => connections(text, system, number)?,
            _ => {}
        }
        numbers(text, &format!("{number} "), &interface.groups(), command)?;
    }
    Ok(())
}

fn guest(text: &mut String, system: &System, all: &Snapshot) -> fmt::Result {
    writeln!(
        text,
        "millpond {} {}, domain {}, host {}, up {} s, watches {}, resumed {} times",
        all.version,
        all.name,
        all.domid.unwrap_or_default(),
        system.host(),
        all.uptime_ns / 1_000_000_000,
        system.xen().store.nr_watches(),
        system.resumes(),
    )
}

fn addresses(text: &mut String, number: usize, interface: &InterfaceStats) -> fmt::Result {
    let (net, features) = (&interface.net, &interface.frontend.features);
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
    writeln!(
        text,
        "\n   queues {}; features to receive: {}; to send: {}",
        features.queues, features.rx, features.tx
    )
}

fn connections(text: &mut String, system: &System, number: usize) -> fmt::Result {
    let interfaces = system.interfaces();
    let Some(interface) = interfaces.get(number) else { return Ok(()) };
    let net = interface.net();
    writeln!(text, "{number}: listening on {:?}", net.tcp_listeners())?;
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
    let more = net.status().connections.saturating_sub(shown.len());
    if more > 0 {
        writeln!(text, "   and {more} more")?;
    }
    Ok(())
}

fn log(text: &mut String) -> fmt::Result {
    logger::recent(usize::MAX, |line| text.push_str(&format!("{line}\n")));
    Ok(())
}
