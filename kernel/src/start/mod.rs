//! From the entry code to the loop: brings up the machine, then Xen, then the appliance.
//!
//! ```text
//!   kernel_main ─► GDT, IDT ─► memory: map, page tables, heap ─► shared_info, clock ─► event channels, console, xenstore
//!               ─► grant table ─► command line ─► System ─► tasks: toolstack::prepare, the appliance's main ─► loop
//! ```

#![allow(unsafe_code, reason = "maps Xen's pages; see docs/soundness.md")]

mod error;
mod memory;

use crate::config::{Config, ConfigError};
use crate::cpu::hypercall::Instruction;
use crate::cpu::tsc::rdtsc;
use crate::cpu::{gdt, idt};
use crate::crash::{self, exceptions, panic};
use crate::domain::domu::{DomU, add_to_physmap, register_vcpu_info};
use crate::mem::foreign_frames::ForeignFrames;
use crate::mem::frames::Frames;
use crate::mem::heap_reserve::ledger_bytes;
use crate::mem::regions::PAGE;
use crate::mem::{heap, paging};
use crate::run;
use crate::system::loop_signals::LoopSignals;
use crate::system::xen_pages::XenPages;
use crate::system::{Parts, System};
use crate::task::entropy::Entropy;
use crate::toolstack;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use boot::{Loader, MAX_CMDLINE};
use core::future::Future;
use core::ptr::NonNull;
use error::StartError;
use ledger::Ledger;
use memory::{GuestMemory, MAX_GRANT_FRAMES, Ring};
use xen::abi::hvm_params::callback_vector;
use xen::clock::PvClock;
use xen::console::Console;
use xen::evtchn::EventChannels;
use xen::gnttab::GrantTable;
use xen::hypervisor::{HvmParam, MapSpace, ShutdownReason, Virq};
use xen::ids::PAGE_SIZE;
use xen::xenstore::XenStore;
use xen::{Clock, Gfn, Hypervisor, Shared, VcpuId, Xen};

/// Starts the guest; called by the image's `kernel_main`. `magic` and `information` are what the loader left in registers,
/// `name` is the appliance's, and `main` its main task.
pub fn start<F: Future<Output = ()> + 'static>(
    information: u32,
    magic: u32,
    name: &'static str,
    main: impl FnOnce(System) -> F + 'static,
) -> ! {
    gdt::load();
    idt::load(exceptions::report);
    let system = bring_up((magic, information), name).unwrap_or_else(|error| {
        panic::write_error(format_args!("millpond: {error}\n"));
        panic::crash();
    });
    let system_main = system.clone();
    system.spawn(async move {
        toolstack::prepare(&system_main).await;
        main(system_main.clone()).await;
        log::info!("{name}: main has ended, powering off");
        system_main.shut_down(ShutdownReason::Poweroff);
    });
    run::run(&system, toolstack::resumed)
}

fn bring_up(loader: (u32, u32), name: &'static str) -> Result<System, StartError> {
    let instruction = Instruction::detect();
    let memory = memory::bring_up(loader, &instruction)?;
    let refused = |what| move |errno| StartError::Xen(what, errno);
    // First `shared_info`: the clock and the event channels are in it.
    let shared_info = map_shared_info(&instruction, memory.windows.shared_info())?;
    let (vcpu_info, vcpu_info_at) = idt::vcpu_info();
    register_vcpu_info(&instruction, vcpu_info_at).map_err(refused("VCPUOP_register_vcpu_info"))?;
    let tsc: fn() -> u64 = rdtsc;
    let clock = PvClock::new(vcpu_info, shared_info, tsc);
    let foreign_frames = ForeignFrames::new(memory.windows.foreign_pages());
    let machine = DomU::new(instruction, Frames::new(memory.free.clone()), foreign_frames, clock);
    let started = machine.now();
    let events = EventChannels::new(shared_info, vcpu_info);
    machine
        .hvm_set_param(HvmParam::CallbackIrq, callback_vector(idt::UPCALL_VECTOR))
        .map_err(refused(HvmParam::CallbackIrq.c_name()))?;
    let Ring { gfn: store_gfn, port: store_port } = memory.store;
    let Ring { gfn: console_gfn, port: console_port } = memory.console;
    let store_page = (store_gfn, shared_at(store_gfn.0.saturating_mul(PAGE), PAGE_SIZE)?);
    let console_page = (console_gfn, shared_at(console_gfn.0.saturating_mul(PAGE), PAGE_SIZE)?);
    let grants = set_up_grants(&machine, memory.windows.grant_table())?;
    let timer = machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)).map_err(refused("VIRQ_TIMER"))?;
    let loop_signals = LoopSignals::bind(&events, timer, [store_port, console_port]);
    let store = XenStore::new(store_page.1, store_port);
    let console = Rc::new(Console::new(console_page.1, console_port));
    let xen = Rc::new(Xen { machine, grants, events, store });
    let (config, errors) = match Config::parse(memory.info.cmdline()) {
        Ok(config) => (config, Vec::new()),
        Err(errors) => (Config::default(), errors),
    };
    crash::init(crash::Outputs { xen: Rc::clone(&xen), console: Rc::clone(&console), started }, config.log);
    let mut entropy = Entropy::new();
    entropy.add_seed(config.seed.as_deref().unwrap_or_default().as_bytes());
    let shared_info_page = (Gfn(memory.windows.shared_info() / PAGE), shared_info);
    let system = System::new(Parts {
        name,
        xen,
        console,
        config,
        loop_signals,
        xen_pages: XenPages::new(shared_info_page, store_page, console_page, timer),
        entropy,
        started,
        memory_bytes: memory.ram_bytes,
        ledger: Ledger::new(ledger_bytes(heap::usage().free)),
    });
    introduce(&system, &memory);
    refuse_bad_config(&system, &errors, memory.info.cmdline_cut);
    Ok(system)
}

/// Memory at a physical address, as shared memory.
fn shared_at(address: u64, len: usize) -> Result<Shared<'static>, StartError> {
    let base = usize::try_from(address)
        .ok()
        .and_then(|address| NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address)));
    let base = base.ok_or(StartError::NoHole)?;
    // SAFETY: `address` is one of Xen's windows (the callers), mapped for ever and used through `Shared` only.
    Ok(unsafe { Shared::new(base, len) })
}

/// Maps `shared_info` at a physical address.
fn map_shared_info(instruction: &Instruction, at: u64) -> Result<Shared<'static>, StartError> {
    // SAFETY: the frame is in the hole, which has no RAM and no device, and is reserved for this.
    unsafe { add_to_physmap(instruction, MapSpace::SharedInfo, 0, Gfn(at / PAGE)) }
        .map_err(|errno| StartError::Xen("to map shared_info", errno))?;
    shared_at(at, PAGE_SIZE)
}

/// Maps the grant table at a physical address, as many frames as Xen permits and the window holds.
fn set_up_grants(machine: &DomU, at: u64) -> Result<GrantTable, StartError> {
    let size = machine.grant_table_size().map_err(|errno| StartError::Xen("GNTTABOP_query_size", errno))?;
    let nr_frames = size.max_nr_frames.min(MAX_GRANT_FRAMES);
    let memory = shared_at(at, PAGE_SIZE.saturating_mul(usize::try_from(nr_frames).unwrap_or_default()))?;
    // SAFETY: the window is in the hole, mapped, and reserved for this.
    unsafe { GrantTable::setup(machine, Gfn(at / PAGE), memory, nr_frames) }
        .map_err(|errno| StartError::Xen("to map the grant table", errno))
}

/// The first lines of the log: version, memory, loader.
fn introduce(system: &System, memory: &GuestMemory) {
    log::info!(
        "millpond {} {}: domain on Xen, {} KiB of memory, started by {}",
        env!("CARGO_PKG_VERSION"),
        system.name(),
        memory.ram_bytes >> 10,
        if memory.info.loader == Loader::Multiboot2 { "multiboot2" } else { "PVH" }
    );
    if memory.returned_bytes > 0 {
        log::info!(
            "memory: returned {} KiB to Xen (maxmem= beyond memory=), kept {} KiB",
            memory.returned_bytes >> 10,
            memory.ram_bytes >> 10
        );
    }
    let rights = paging::walk(memory.windows.all());
    log::info!(
        "memory: {} KiB writable, {} KiB executable, {} KiB both; {} KiB of address space for Xen's pages",
        rights.writable >> 10,
        rights.executable >> 10,
        rights.both >> 10,
        rights.windows >> 10
    );
    let ledger = system.ledger();
    let limits: Vec<String> =
        ledger.usage().iter().map(|usage| format!("{} {} KiB", usage.name, usage.limit >> 10)).collect();
    log::info!("memory: {} KiB for clients, at most: {}", ledger.bytes() >> 10, limits.join(", "));
    if !paging::has_no_execute() {
        log::warn!(
            "memory: the processor, or cpuid= in the domain's configuration, has no NX bit: data is executable"
        );
    } else if rights.both != 0 {
        panic::write_error(format_args!("millpond: pages are writable and executable\n"));
        panic::crash();
    }
}

/// Logs the errors of the command line, and powers off if there are any: a guest with another address than the operator
/// meant would do more harm.
fn refuse_bad_config(system: &System, errors: &[ConfigError], cut: bool) {
    for error in errors {
        log::error!("{error}");
    }
    if cut {
        log::error!("command line: longer than {MAX_CMDLINE} bytes; shorten it");
    }
    if !errors.is_empty() || cut {
        log::error!("stopping: correct cmdline= in the domain's configuration");
        system.end(ShutdownReason::Poweroff);
    }
}
