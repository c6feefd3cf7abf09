//! The `log` crate to the console: `[seconds] LEVEL target: text`, one line an event.

use crate::on_cpu::OnCpu;
use crate::system::System;
use alloc::format;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Sink {
    system: OnCpu<System>,
}

static SINK: Sink = Sink { system: OnCpu::new() };

/// Sends the log to the system's console from now on.
pub(crate) fn init(system: System, level: LevelFilter) {
    SINK.system.set(system);
    // A second logger is refused; there is only this one.
    let _ = log::set_logger(&SINK);
    log::set_max_level(level);
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
        system.console().write(line.as_bytes());
    }

    fn flush(&self) {}
}
