//! Suspend and resume: `xl save`, `xl restore`, `xl migrate`.
//!
//! ```text
//!   control/shutdown = suspend, acknowledged ─► xenstore idle ─► SCHEDOP_shutdown(suspend)
//!        ┌───────────────────────────────────────────────────────────┤
//!        │ returns 1: cancelled, nothing changed                     │ returns 0: in a new domain, or in the same one
//!        ▼                                                           ▼
//!   callback, timer                  shared_info, vcpu_info, clock, ports, callback, grants, timer, console, xenstore
//!        └───────────────────────────► continue ◄────────────────────┘
//! ```
//!
//! Memory is preserved, and so are connections. What lies in Xen is new: `shared_info`, event channels, the grant table,
//! the rings of console and xenstore. Until all of it is connected again nothing may read the clock or use a port, so
//! nothing may log. Watches then fire, and the connection task of each vif finds its rings void and makes new ones.
//!
//! A slow resume in the same domain finds everything in place: `EEXIST` is no error then, and the ports of devices are
//! closed, since they belong to connections that are made again.

use crate::cpu::idt;
use crate::crash::panic;
use crate::system::System;
use crate::system::loop_signals::LoopSignals;
use xen::abi::hvm_params::callback_vector;
use xen::hypervisor::{HvmParam, ShutdownReason, Virq};
use xen::{Clock, Errno, EvtchnPort, Gfn, Hypervisor, SystemTime, VcpuId};

/// How long xenstore may take to answer the requests under way. xl gives the guest 60 seconds in all.
const STORE_TIMEOUT_NS: u64 = 5_000_000_000;
/// How long the console may take to read what it still holds.
const CONSOLE_TIMEOUT_NS: u64 = 200_000_000;

/// Where the guest was resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// In the same domain, with new rings.
    Same,
    /// In another domain. There may be a second one with the same memory.
    Another,
}

/// What a look at the suspend request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// No suspend was requested, or xenstore still has requests to answer.
    NotDue,
    /// The suspend was cancelled or refused: the domain goes on as it was.
    Cancelled,
    /// The guest was resumed.
    Resumed(Resumed),
}

/// Suspends if that was requested and can be done now.
pub(super) fn when_due(system: &System) -> Outcome {
    let Some(deadline) = deadline(system) else { return Outcome::NotDue };
    // Requests that are still under way at the deadline fail, and are made again after the resume.
    if !system.xen().store.idle() && system.now() < deadline {
        return Outcome::NotDue;
    }
    system.clear_suspend_request();
    suspend(system)
}

/// When a requested suspend takes place at the latest.
pub(super) fn deadline(system: &System) -> Option<SystemTime> {
    system.suspend_requested().map(|requested| requested.after(STORE_TIMEOUT_NS))
}

fn suspend(system: &System) -> Outcome {
    let machine = &system.xen().machine;
    log::info!("suspending");
    system.flush(CONSOLE_TIMEOUT_NS);
    // The clock continues from its last reading.
    machine.now();
    match machine.sched_shutdown(ShutdownReason::Suspend) {
        Ok(true) => match set_callback(system) {
            Ok(()) => {
                log::info!("the suspend was cancelled");
                Outcome::Cancelled
            }
            Err(errno) => fail("HVM_PARAM_CALLBACK_IRQ", errno),
        },
        Ok(false) => match resume(system) {
            Ok(resumed) => {
                system.count_resume();
                log::info!(
                    "resumed in {}",
                    if resumed == Resumed::Same { "the same domain" } else { "a new domain" }
                );
                Outcome::Resumed(resumed)
            }
            Err((what, errno)) => fail(what, errno),
        },
        Err(errno) => {
            log::error!("Xen refused to suspend the domain (SCHEDOP_shutdown): {errno}");
            Outcome::Cancelled
        }
    }
}

/// Reports that a resume failed at `what`, and ends the domain: it has no event channels.
fn fail(what: &str, errno: Errno) -> ! {
    panic::report("resume", format_args!("reason: {what}: {errno}"));
    panic::crash()
}

fn set_callback(system: &System) -> Result<(), Errno> {
    system.xen().machine.hvm_set_param(HvmParam::CallbackIrq, callback_vector(idt::UPCALL_VECTOR))
}

/// Connects everything that lies in Xen. On failure returns what failed.
fn resume(system: &System) -> Result<Resumed, (&'static str, Errno)> {
    let refused = |what| move |errno| (what, errno);
    let (xen, pages) = (system.xen(), system.xen_pages());
    let machine = &xen.machine;
    let (gfn, shared_info) = pages.shared_info();
    let registered = machine.resume(gfn, shared_info).map_err(refused("Xen refused to map shared_info"))?;
    let stale = xen.events.resume();
    set_callback(system).map_err(refused("HVM_PARAM_CALLBACK_IRQ"))?;
    xen.grants.resume(machine).map_err(refused("Xen refused to map the grant table"))?;
    let store = port(system, pages.store().0, HvmParam::StorePfn, HvmParam::StoreEvtchn)?;
    let console = port(system, pages.console().0, HvmParam::ConsolePfn, HvmParam::ConsoleEvtchn)?;
    let same = match machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)) {
        Ok(port) => {
            pages.set_timer(port);
            false
        }
        Err(Errno::EEXIST) => true,
        Err(errno) => return Err(("Xen refused VIRQ_TIMER", errno)),
    };
    let kept = [store, console, pages.timer()];
    if same {
        for port in stale.into_iter().filter(|port| !kept.contains(port)) {
            // A port that is closed already needs nothing.
            let _ = machine.evtchn_close(port);
        }
    } else {
        registered.map_err(refused("Xen refused VCPUOP_register_vcpu_info"))?;
    }
    system.set_loop_signals(LoopSignals::bind(&xen.events, pages.timer(), [store, console]));
    system.console().reconnect(pages.console().1, console);
    xen.store.reconnect(pages.store().1, store);
    Ok(if same { Resumed::Same } else { Resumed::Another })
}

/// The port of a ring. Its page must be at the frame where it was. A parameter that the toolstack has not set is 0, which
/// is no port.
fn port(
    system: &System,
    page: Gfn,
    pfn: HvmParam,
    evtchn: HvmParam,
) -> Result<EvtchnPort, (&'static str, Errno)> {
    let param =
        |param: HvmParam| system.xen().machine.hvm_get_param(param).map_err(|errno| (param.c_name(), errno));
    if param(pfn)? != page.0 {
        return Err((pfn.c_name(), Errno::EINVAL));
    }
    match u32::try_from(param(evtchn)?) {
        Ok(port) if port != 0 => Ok(EvtchnPort(port)),
        _ => Err((evtchn.c_name(), Errno::EINVAL)),
    }
}
