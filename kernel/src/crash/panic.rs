//! The crash report: one screen of text, and the end of the domain with `SHUTDOWN_crash`.
//!
//! ```text
//!   === millpond KIND ===
//!   reason: …                 what happened, with registers or place
//!   backtrace: 0x… 0x…        return addresses; `make symbolize` names them
//!   build: …                  build id of the image
//!   log:                      the last lines of the log
//!   === end of report ===
//! ```

use super::OUTPUTS;
use super::fixed_text::FixedText;
use crate::cpu::early_console::{CRASHED, EarlyConsole, exit_qemu};
use crate::cpu::hypercall::{Instruction, runs_on_xen};
use crate::domain::domu;
use crate::image::build::BuildId;
use crate::mem::boot_memory::{frame_pointer, read_frame};
use crate::mem::heap;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use xen::Hypervisor;
use xen::hypervisor::ShutdownReason;

/// Set while a report is made.
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Bytes of a report. A message to xenstore holds 4096 with the node's path.
const REPORT_BYTES: usize = 3584;
/// Lines of the log in a report: with the registers they fill one screen.
const LOG_LINES: usize = 10;
/// Bytes of each of these lines.
const LOG_LINE_BYTES: usize = 118;
/// Yields to wait for xenstored, which needs a handful.
const STORE_YIELDS: u32 = 10_000;
/// Yields to wait for xenconsoled.
const CONSOLE_YIELDS: u32 = 10_000;
/// Return addresses in a backtrace.
const BACKTRACE_FRAMES: usize = 16;

/// Writes a message to the debug port and, if it is connected, to the console. A message that does not fit into a report
/// is cut.
pub(crate) fn write_error(args: fmt::Arguments<'_>) {
    let mut text = FixedText::<REPORT_BYTES>::new();
    let _ = text.write_fmt(args);
    publish(text.as_str());
}

/// Writes a report with the build and the last lines of the log to the debug port, the console and xenstore.
///
/// Nothing is allocated on the heap: what console and xenstore allocate comes from memory that is kept for a report.
/// An allocation that failed is reported like any other panic.
pub(crate) fn report(kind: &str, what: fmt::Arguments<'_>) {
    // A fault during a report ends the domain: part of the report is out.
    if REPORTING.swap(true, Relaxed) {
        crash();
    }
    heap::enter_crash();
    let mut report = FixedText::<REPORT_BYTES>::new();
    let _ = writeln!(report, "\n=== millpond {kind} ===\n{what}\nbuild: {BuildId}\nlog:");
    super::logger::recent(LOG_LINES, |line| {
        let _ = writeln!(
            report,
            "  {}",
            line.get(..line.floor_char_boundary(LOG_LINE_BYTES)).unwrap_or_default()
        );
    });
    report.end_with("=== end of report ===\n");
    publish(report.as_str());
    if let Some(outputs) = OUTPUTS.get() {
        let (xen, text) = (&outputs.xen, report.as_str().as_bytes());
        xen.store.write_sync_best_effort(&xen.machine, "data/crash", text, STORE_YIELDS);
    }
}

/// Writes text to the debug port and to the console.
fn publish(text: &str) {
    let _ = EarlyConsole.write_str(text);
    if let Some(outputs) = OUTPUTS.get() {
        outputs.console.write_sync_best_effort(&outputs.xen.machine, text.as_bytes(), CONSOLE_YIELDS);
    }
}

/// A crash that was requested on the console, to see what a report looks like.
pub(crate) fn on_request() -> ! {
    let backtrace = Backtrace(frame_pointer());
    report("crash", format_args!("reason: requested on the console\nbacktrace:{backtrace}"));
    crash()
}

/// Ends the domain with `SHUTDOWN_crash`. Without Xen, QEMU's `isa-debug-exit` device, if there is one, ends the machine
/// with exit code 71 (`35 << 1 | 1`); otherwise the vCPU stops.
pub(crate) fn crash() -> ! {
    if !runs_on_xen() {
        exit_qemu(CRASHED);
    }
    loop {
        match OUTPUTS.get() {
            Some(outputs) => drop(outputs.xen.machine.sched_shutdown(ShutdownReason::Crash)),
            None => drop(domu::shutdown(&Instruction::detect(), ShutdownReason::Crash)),
        }
    }
}

/// Prints the return addresses on the stack, by frame pointers, as far as they lie within the image's stack. Holds the
/// frame pointer to begin with.
#[derive(Debug)]
pub(super) struct Backtrace(pub(super) u64);

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = boot::image_layout();
        let mut frame = self.0;
        for _ in 0..BACKTRACE_FRAMES {
            let inside = frame >= image.stack_bottom && frame.saturating_add(16) <= image.stack_top;
            if !inside || !frame.is_multiple_of(8) {
                return Ok(());
            }
            let (next, back) = read_frame(frame);
            if back < image.text_start || back >= image.text_end {
                return Ok(());
            }
            write!(f, " {back:#x}")?;
            if next <= frame {
                return Ok(());
            }
            frame = next;
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let place = info.location();
    report(
        "panic",
        format_args!(
            "reason: {}\nat: {}:{}\nbacktrace:{}",
            info.message(),
            place.map_or("?", |place| place.file()),
            place.map_or(0, |place| place.line()),
            Backtrace(frame_pointer()),
        ),
    );
    crash()
}
