//! Last words: a report of one screen, and the end as a crash that the toolstack sees.

use crate::hypercall::Instruction;
use crate::on_cpu::OnCpu;
use crate::system::System;
use core::cell::Cell;
use core::fmt::{self, Write};
use xen::Hypervisor;
use xen::hypervisor::ShutdownReason;

static SYSTEM: OnCpu<System> = OnCpu::new();
static REPORTING: OnCpu<Cell<bool>> = OnCpu::new();

/// From now on reports go to the console too.
pub(crate) fn set_system(system: System) {
    SYSTEM.set(system);
}

/// A report of fixed size: the heap may be what broke.
struct Report {
    text: [u8; 2048],
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
    let mut report = Report { text: [0; 2048], len: 0 };
    let _ = report.write_fmt(args);
    let text = report.text.get(..report.len).unwrap_or_default();
    #[cfg(target_os = "none")]
    let _ = crate::early::Early.write_str(str::from_utf8(text).unwrap_or("(no text)"));
    // A console that broke on the way here is left alone the second time.
    let first = !REPORTING.set(Cell::new(false)).replace(true);
    if let Some(system) = SYSTEM.with().filter(|_| first) {
        system.0.console.write_sync_best_effort(&system.0.xen.machine, text, 10_000);
    }
    if let Some(reporting) = REPORTING.with() {
        reporting.set(false);
    }
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
    last_words(format_args!(
        "\n=== millpond panic ===\nreason: {}\nat: {}:{}\nbacktrace:{}\n=== end of report ===\n",
        info.message(),
        place.map_or("?", |place| place.file()),
        place.map_or(0, |place| place.line()),
        Backtrace(crate::boot_memory::frame_pointer()),
    ));
    crash()
}
