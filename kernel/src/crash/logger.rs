//! The `log` crate's output: `[seconds] LEVEL target: text`, one line an event, to the console. The last lines are kept.

use super::OUTPUTS;
use super::fixed_text::FixedText;
use super::log_ring::LogRing;
use crate::cpu::on_cpu::OnCpu;
use core::cell::RefCell;
use core::fmt::Write;
use log::{Level, LevelFilter, Log, Metadata, Record};
use xen::Clock;

/// Bytes of a line at most; a longer one is cut.
const LINE_BYTES: usize = 512;

struct Logger;

static LOGGER: Logger = Logger;
static RING: OnCpu<RefCell<LogRing>> = OnCpu::new();

/// Makes this the logger of the `log` crate.
pub(super) fn init(level: LevelFilter) {
    RING.set(RefCell::new(LogRing::new()));
    // A second logger would be refused; there is only this one.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

/// Passes the last lines to `show`, up to `count`, the oldest first. Allocates nothing.
pub(crate) fn recent(count: usize, mut show: impl FnMut(&str)) {
    // The ring is borrowed if the crash happens while a line is added.
    if let Some(ring) = RING.get().and_then(|ring| ring.try_borrow().ok()) {
        ring.last(count).for_each(&mut show);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let Some(outputs) = OUTPUTS.get() else { return };
        // smoltcp logs each packet at debug and trace; its lines are shown at trace only.
        let hidden = record.target().starts_with("smoltcp") && log::max_level() < LevelFilter::Trace;
        if !self.enabled(record.metadata()) || hidden {
            return;
        }
        let now = outputs.xen.machine.now().since(outputs.started);
        let (seconds, micros) = (now / 1_000_000_000, now / 1000 % 1_000_000);
        let target = record.target().split("::").next().unwrap_or_default();
        let level = match record.level() {
            Level::Error => "ERROR",
            Level::Warn => "WARN ",
            Level::Info => "INFO ",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        };
        let mut line = FixedText::<LINE_BYTES>::new();
        if writeln!(line, "[{seconds:5}.{micros:06}] {level} {target}: {}", record.args()).is_err() {
            line.end_with("…\n");
        }
        if let Some(mut ring) = RING.get().and_then(|ring| ring.try_borrow_mut().ok()) {
            ring.push(line.as_str());
        }
        outputs.console.write(line.as_str().as_bytes());
    }

    fn flush(&self) {}
}
