//! Suspend and resume: `xl save`, `restore`, `migrate`, in the order that Xen asks for.
//!
//! ```text
//!   control/shutdown = suspend, acknowledged ─► xenstore idle ─► SCHEDOP_shutdown(suspend)
//!        ┌───────────────────────────────────────────────────────────┤
//!        │ true: cancelled, nothing changed                          │ false: a new domain, or the same one anew
//!        ▼                                                           ▼
//!   callback, timer                  shared_info, vcpu_info, clock, ports, callback, grants, timer, console, xenstore
//!        └──────────────────────────► go on ◄────────────────────────┘
//! ```
//!
//! Memory is as it was, so connections are; what lies in Xen is new: shared info, event channels, the grant table, the
//! rings of console and xenstore. Until it is all back nothing may look at the clock or at a port, hence not log.
//! Watches fire when xenstore is back, and the vifs' lives then find that their rings are void and make new ones.
//!
//! In the same domain resumed the slow way everything still exists: "already there" is no error then, and the ports of
//! our devices are closed, as their numbers mean nothing to us any more.

use crate::idt;
use crate::run::Bells;
use crate::system::{Inner, System};
use core::cell::Cell;
use xen::abi::hvm_params::callback_vector;
use xen::hypervisor::{HvmParam, ShutdownReason, Virq};
use xen::{Clock, Errno, EvtchnPort, Gfn, Hypervisor, Shared, VcpuId};

/// How long xenstore may take to answer what is under way. xl gives the guest 60 seconds in all.
const PATIENCE_NS: u64 = 5_000_000_000;
/// For what the console still holds.
const CONSOLE_NS: u64 = 200_000_000;

/// Where Xen's pages are in the guest, and the ports that it has from the start.
#[derive(Debug)]
pub(crate) struct Places {
    /// Of `shared_info`.
    pub(crate) shared_info: (Gfn, Shared<'static>),
    /// Of xenstore's ring.
    pub(crate) store: (Gfn, Shared<'static>),
    /// Of the console's ring.
    pub(crate) console: (Gfn, Shared<'static>),
    /// The port of `VIRQ_TIMER`.
    pub(crate) timer: Cell<EvtchnPort>,
}

/// Suspends if that was asked for and can be done now; whether it was.
pub(crate) fn when_due(system: &System) -> bool {
    let inner = &*system.0;
    let Some(asked) = inner.suspending.get() else { return false };
    // Requests that are still under way then fail, and are made again.
    if !inner.xen.store.idle() && inner.xen.machine.now().since(asked) < PATIENCE_NS {
        return false;
    }
    inner.suspending.set(None);
    suspend(system);
    true
}

fn suspend(system: &System) {
    let inner = &*system.0;
    log::info!("suspending");
    inner.flush(CONSOLE_NS);
    // The time to go on from.
    inner.xen.machine.now();
    match inner.xen.machine.sched_shutdown(ShutdownReason::Suspend) {
        Ok(true) => match set_callback(inner) {
            Ok(()) => log::info!("the suspend was cancelled"),
            Err(errno) => fail("to set HVM_PARAM_CALLBACK_IRQ again", errno),
        },
        Ok(false) => match resume(inner) {
            Ok(where_to) => {
                inner.resumes.set(inner.resumes.get().wrapping_add(1));
                // Two domains may have been restored from the same file: they must not share their secrets.
                inner.entropy.borrow_mut().refresh();
                *inner.random.borrow_mut() = inner.entropy.borrow().generator();
                log::info!("resumed in {where_to}");
                let system_later = system.clone();
                system.spawn(async move { crate::lifecycle::introduce(&system_later).await });
            }
            Err((what, errno)) => fail(what, errno),
        },
        Err(errno) => log::error!("Xen refused to suspend the domain: {errno}"),
    }
}

/// Without event channels there is nothing left but to say so.
fn fail(what: &str, errno: Errno) -> ! {
    crate::panic::report("resume", format_args!("reason: Xen refused {what}: {errno}"));
    crate::panic::crash()
}

fn set_callback(inner: &Inner) -> Result<(), Errno> {
    inner.xen.machine.hvm_set_param(HvmParam::CallbackIrq, callback_vector(idt::UPCALL_VECTOR))
}

/// Takes possession of everything again; where we are now.
fn resume(inner: &Inner) -> Result<&'static str, (&'static str, Errno)> {
    let refused = |what| move |errno| (what, errno);
    let (xen, places) = (&inner.xen, &inner.places);
    let machine = &xen.machine;
    let (gfn, shared_info) = places.shared_info;
    let registered = machine.resume(gfn, shared_info).map_err(refused("to map shared_info"))?;
    let stale = xen.events.resume();
    set_callback(inner).map_err(refused("HVM_PARAM_CALLBACK_IRQ"))?;
    xen.grants.resume(machine).map_err(refused("to map the grant table"))?;
    let store = port(inner, places.store.0, HvmParam::StorePfn, HvmParam::StoreEvtchn)?;
    let console = port(inner, places.console.0, HvmParam::ConsolePfn, HvmParam::ConsoleEvtchn)?;
    let same = match machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)) {
        Ok(port) => {
            places.timer.set(port);
            false
        }
        Err(Errno::EEXIST) => true,
        Err(errno) => return Err(("VIRQ_TIMER", errno)),
    };
    let kept = [store, console, places.timer.get()];
    if same {
        for port in stale.into_iter().filter(|port| !kept.contains(port)) {
            // One that is closed already is as it should be.
            let _ = machine.evtchn_close(port);
        }
    } else {
        registered.map_err(refused("VCPUOP_register_vcpu_info"))?;
    }
    *inner.bells.borrow_mut() = Bells::hang(&xen.events, places.timer.get(), [store, console]);
    inner.console.reconnect(places.console.1, console);
    xen.store.reconnect(places.store.1, store);
    Ok(if same { "the same domain" } else { "a new domain" })
}

/// The port of a ring whose page must be where it was.
fn port(
    inner: &Inner,
    page: Gfn,
    pfn: HvmParam,
    evtchn: HvmParam,
) -> Result<EvtchnPort, (&'static str, Errno)> {
    let param =
        |param: HvmParam| inner.xen.machine.hvm_get_param(param).map_err(|errno| (param.c_name(), errno));
    if param(pfn)? != page.0 {
        return Err((pfn.c_name(), Errno::EINVAL));
    }
    Ok(EvtchnPort(u32::try_from(param(evtchn)?).unwrap_or_default()))
}
