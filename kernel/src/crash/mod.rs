//! The log, and the report of a crash: to the console, to xenstore, and to the debug port.
//!
//! ```text
//!   log::info!(…) ─► logger ─► log_ring (last 32 lines), console
//!   panic, exception, failed resume ─► panic::report ─► debug port, console, data/crash in xenstore ─► SHUTDOWN_crash
//! ```
//!
//! Both format into memory of their own ([`fixed_text`]): the heap may be exhausted or damaged.

#[cfg(bare)]
pub(crate) mod exceptions;
#[cfg(any(test, bare))]
mod fixed_text;
#[cfg(any(test, bare))]
mod log_ring;
#[cfg(bare)]
pub(crate) mod logger;
#[cfg(bare)]
pub(crate) mod panic;

#[cfg(bare)]
use crate::{cpu::on_cpu::OnCpu, domain::domu::DomU};
#[cfg(bare)]
use alloc::rc::Rc;
#[cfg(bare)]
use xen::{SystemTime, Xen, console::Console};

/// Where log lines and reports go.
#[cfg(bare)]
pub(crate) struct Outputs {
    /// The clock, xenstore, and the hypercall that ends the domain.
    pub(crate) xen: Rc<Xen<DomU>>,
    /// The console.
    pub(crate) console: Rc<Console>,
    /// When the kernel started; log lines show the time since then.
    pub(crate) started: SystemTime,
}

#[cfg(bare)]
static OUTPUTS: OnCpu<Outputs> = OnCpu::new();

/// Sends log lines of `level` and above, and reports, to `outputs` from now on. To be called once.
#[cfg(bare)]
pub(crate) fn init(outputs: Outputs, level: log::LevelFilter) {
    OUTPUTS.set(outputs);
    logger::init(level);
}
