//! Last words: a report of one screen, and the end as a crash that the toolstack sees.

use crate::hypercall::Instruction;
use crate::on_cpu::OnCpu;
use crate::system::System;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use xen::Hypervisor;
use xen::hypervisor::ShutdownReason;

static SYSTEM: OnCpu<System> = OnCpu::new();
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Bytes of a report; xenstore takes 4096 with the node's name.
const REPORT_BYTES: usize = 3584;
/// Lines of the log in a report: with the registers it is one screen.
const LOG_LINES: usize = 10;
/// Yields while xenstore takes the report; it takes a handful, unless nobody is there.
const STORE_SPINS: u32 = 10_000;

/// From now on reports go to the console and to xenstore too.
pub(crate) fn set_system(system: System) {
    SYSTEM.set(system);
}

/// A report of fixed size: the heap may be what broke.
struct Report {
    text: [u8; REPORT_BYTES],
    len: usize,
}

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(slot) = self.text.get_mut(self.len) {
                *slot = byte;
                self.len = self.len.saturating_add(1);
            }
        }
        Ok(())
    }
}

/// Writes to the debug port and, as far as it is there, to the console. What does not fit is cut.
pub(crate) fn last_words(args: fmt::Arguments<'_>) {
    let mut report = Report { text: [0; REPORT_BYTES], len: 0 };
    let _ = report.write_fmt(args);
    publish(report.text.get(..report.len).unwrap_or_default());
}

/// Writes a report of what happened, with the build and the last lines of the log, wherever somebody may look.
pub(crate) fn report(kind: &str, what: fmt::Arguments<'_>) {
    // A report that breaks has been heard as far as it came.
    if REPORTING.swap(true, Relaxed) {
        crash();
    }
    let mut report = Report { text: [0; REPORT_BYTES], len: 0 };
    let _ = writeln!(report, "\n=== millpond {kind} ===\n{what}\nbuild: {}\nlog:", crate::build::BuildId);
    crate::log_sink::recent(LOG_LINES, |line| {
        let _ = writeln!(report, "  {}", line.get(..line.floor_char_boundary(118)).unwrap_or_default());
    });
    // The end is worth more than the last of the lines before it.
    let end = b"=== end of report ===\n";
    report.len = report.len.min(REPORT_BYTES.saturating_sub(end.len()));
    let _ = report.write_str("=== end of report ===\n");
    let text = report.text.get(..report.len).unwrap_or_default();
    publish(text);
    if let Some(system) = SYSTEM.with() {
        let xen = &system.0.xen;
        xen.store.write_sync_best_effort(&xen.machine, "data/crash", text, STORE_SPINS);
    }
}

fn publish(text: &[u8]) {
    #[cfg(target_os = "none")]
    let _ = crate::early::Early.write_str(str::from_utf8(text).unwrap_or("(no text)"));
    if let Some(system) = SYSTEM.with() {
        system.0.console.write_sync_best_effort(&system.0.xen.machine, text, 10_000);
    }
}

/// A crash that the operator asked for, to see what one looks like.
pub(crate) fn on_request() -> ! {
    report(
        "crash",
        format_args!(
            "reason: asked for on the console\nbacktrace:{}",
            Backtrace(crate::boot_memory::frame_pointer())
        ),
    );
    crash()
}

/// Ends the domain with `SHUTDOWN_crash`. Without Xen beneath, QEMU's `isa-debug-exit` device, if there is one, ends
/// the machine with exit code 71 (`35 << 1 | 1`); else the vCPU stops.
pub(crate) fn crash() -> ! {
    if !crate::hypercall::xen_is_beneath() {
        crate::early::exit_qemu(35);
    }
    loop {
        match SYSTEM.with() {
            Some(system) => drop(system.0.xen.machine.sched_shutdown(ShutdownReason::Crash)),
            None => drop(crate::machine::shutdown(&Instruction::detect(), ShutdownReason::Crash)),
        }
    }
}

/// Return addresses on the stack, by frame pointers, as far as they lie within the image's stack. Printing it
/// allocates nothing: the heap may be what broke.
#[derive(Debug)]
pub(crate) struct Backtrace(pub(crate) u64);

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = boot::image_layout();
        let mut frame = self.0;
        for _ in 0..16 {
            let inside = frame >= image.stack_bottom && frame.saturating_add(16) <= image.stack_top;
            if !inside || !frame.is_multiple_of(8) {
                return Ok(());
            }
            let (next, back) = crate::boot_memory::read_frame(frame);
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

#[cfg(target_os = "none")]
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
            Backtrace(crate::boot_memory::frame_pointer()),
        ),
    );
    crash()
}
