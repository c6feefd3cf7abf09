//! The `log` crate to the console: `[seconds] LEVEL target: text`, one line an event; the last lines are kept.

use crate::on_cpu::OnCpu;
use crate::recent::Recent;
use crate::system::System;
use alloc::format;
use core::cell::RefCell;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Sink {
    system: OnCpu<System>,
}

static SINK: Sink = Sink { system: OnCpu::new() };
static RECENT: OnCpu<RefCell<Recent>> = OnCpu::new();

/// Sends the log to the system's console from now on.
pub(crate) fn init(system: System, level: LevelFilter) {
    RECENT.set(RefCell::new(Recent::new()));
    SINK.system.set(system);
    // A second logger is refused; there is only this one.
    let _ = log::set_logger(&SINK);
    log::set_max_level(level);
}

/// Shows the last lines, up to `count`, the oldest first. Allocates nothing.
pub(crate) fn recent(count: usize, mut show: impl FnMut(&str)) {
    // Borrowed only if a crash comes from within.
    if let Some(recent) = RECENT.with().and_then(|recent| recent.try_borrow().ok()) {
        recent.last(count).for_each(&mut show);
    }
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let Some(system) = self.system.with() else { return };
        // smoltcp tells what it does with every packet at debug and trace; its own words are for trace only.
        let foreign = record.target().starts_with("smoltcp") && log::max_level() < LevelFilter::Trace;
        if !self.enabled(record.metadata()) || foreign {
            return;
        }
        let now = system.since_boot();
        let (seconds, micros) = (now / 1_000_000_000, now / 1000 % 1_000_000);
        let target = record.target().split("::").next().unwrap_or_default();
        let level = match record.level() {
            Level::Error => "ERROR",
            Level::Warn => "WARN ",
            Level::Info => "INFO ",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        };
        let line = format!("[{seconds:5}.{micros:06}] {level} {target}: {}\n", record.args());
        if let Some(mut recent) = RECENT.with().and_then(|recent| recent.try_borrow_mut().ok()) {
            recent.push(&line);
        }
        system.console().write(line.as_bytes());
    }

    fn flush(&self) {}
}
