//! From the entry code to the loop: brings up the machine, then Xen, then the appliance.

#![allow(unsafe_code, reason = "maps Xen's pages; see docs/soundness.md")]

use crate::boot_memory::BootMemory;
use crate::config::{Config, ConfigError};
use crate::datafront::DOM0;
use crate::executor::Executor;
use crate::frames::Frames;
use crate::holes::find_hole;
use crate::hypercall::{Instruction, xen_is_beneath};
use crate::machine::{DomU, add_to_physmap, register_vcpu_info};
use crate::places::{FOREIGN_PAGES, Places as ForeignPlaces};
use crate::random::Pool;
use crate::regions::{FreeRegions, PAGE, Region};
use crate::run::Bells;
use crate::suspend::Places;
use crate::system::{Inner, System};
use crate::timer_queue::Timers;
use crate::watchdog::Watchdog;
use crate::{gdt, heap, idt, log_sink, paging};
use alloc::rc::Rc;
use alloc::vec::Vec;
use boot::{BootInfo, Loader};
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::ptr::NonNull;
use netfront::pool::Pond;
use xen::clock::PvClock;
use xen::console::Console;
use xen::evtchn::EventChannels;
use xen::gnttab::GrantTable;
use xen::hypervisor::{HvmParam, MapSpace, ShutdownReason, Virq};
use xen::ids::PAGE_SIZE;
use xen::signal::Signal;
use xen::xenstore::XenStore;
use xen::{Clock, Errno, EvtchnPort, Gfn, Hypervisor, Shared, VcpuId, Xen};

/// Frames of the grant table that are set up: 512 references each. Two pools of 4096 pages at their cap, twice over.
const MAX_GRANT_FRAMES: u32 = 32;
/// The least memory that the guest starts in, in bytes: image, page tables, a heap and the smallest pools.
const LEAST_MEMORY: u64 = 3 << 20;
/// Addresses of Xen's windows: shared info, grant table and pages of other domains in a hole, console and xenstore where
/// Xen put them.
const WINDOW_PAGES: u64 = 1 + 32 + FOREIGN_PAGES;

/// Why the guest cannot start; the line that the operator sees.
#[derive(Debug)]
enum StartError {
    Boot(boot::BootError),
    NoXen,
    NoMemoryMap,
    TooLittleMemory { have: u64 },
    NoHole,
    Paging(paging::PagingError),
    Xen(&'static str, Errno),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(error) => error.fmt(f),
            Self::NoXen => {
                write!(f, "there is no Xen beneath this guest; start it with xl create, or with make run")
            }
            Self::NoMemoryMap => write!(f, "the loader gave no memory map; Xen 4.11 or newer gives one"),
            Self::TooLittleMemory { have } => write!(
                f,
                "too little memory: {} KiB, at least {} KiB are needed; raise memory= in the domain's configuration",
                have >> 10,
                LEAST_MEMORY >> 10
            ),
            Self::NoHole => {
                write!(
                    f,
                    "no hole in the memory map for Xen's pages; lower memory= in the domain's configuration"
                )
            }
            Self::Paging(error) => error.fmt(f),
            Self::Xen(what, errno) => write!(f, "Xen refused {what}: {errno}"),
        }
    }
}

/// Starts the guest; called by the image's `kernel_main`.
pub fn start<F: Future<Output = ()> + 'static>(
    information: u32,
    magic: u32,
    name: &'static str,
    main: impl FnOnce(System) -> F + 'static,
) -> ! {
    gdt::load();
    idt::load();
    let instruction = Instruction::detect();
    let system = match bring_up((magic, information), name, instruction) {
        Ok(system) => system,
        Err(error) => {
            crate::panic::last_words(format_args!("millpond: {error}\n"));
            crate::panic::crash();
        }
    };
    crate::panic::set_system(system.clone());
    log::info!(
        "millpond {} {}: domain on Xen, {} KiB of memory, started by {}",
        env!("CARGO_PKG_VERSION"),
        name,
        system.0.memory_bytes >> 10,
        if system.0.loader == Loader::Multiboot2 { "multiboot2" } else { "PVH" }
    );
    report_rights();
    let system_main = system.clone();
    system.spawn(async move {
        crate::lifecycle::prepare(&system_main).await;
        main(system_main.clone()).await;
        log::info!("{name}: main has ended, powering off");
        system_main.shut_down(ShutdownReason::Poweroff);
    });
    crate::run::run(&system)
}

/// Says what the live page tables permit; a page that can be written and executed is a bug of ours, and the end.
fn report_rights() {
    let rights = paging::walk();
    log::info!(
        "memory: {} KiB writable, {} KiB executable, {} KiB both",
        rights.writable >> 10,
        rights.executable >> 10,
        rights.both >> 10
    );
    if rights.both != 0 {
        crate::panic::last_words(format_args!("millpond: pages are writable and executable\n"));
        crate::panic::crash();
    }
}

/// The memory of the guest, before there is Xen.
struct Machine {
    info: BootInfo,
    free: FreeRegions,
    hole: Region,
    /// RAM that is ours.
    memory_bytes: u64,
    /// RAM of the map that Xen did not have.
    given_back: u64,
}

/// Page tables and heap.
fn bring_up_memory(
    (magic, information): (u32, u32),
    instruction: &Instruction,
) -> Result<Machine, StartError> {
    let info = BootInfo::from_loader(&BootMemory, magic, u64::from(information)).map_err(StartError::Boot)?;
    if info.regions().is_empty() {
        return Err(StartError::NoMemoryMap);
    }
    if !xen_is_beneath() {
        return Err(StartError::NoXen);
    }
    let image = boot::image_layout();
    let limit = paging::address_limit();
    let hole = find_hole(&info, WINDOW_PAGES * PAGE, limit).ok_or(StartError::NoHole)?;
    let store = param_early(instruction, HvmParam::StorePfn)?;
    let console = param_early(instruction, HvmParam::ConsolePfn)?;
    let page = |gfn: u64| Region { start: gfn << 12, end: (gfn << 12).saturating_add(PAGE) };
    let windows = [hole, page(store), page(console)];
    let lies =
        Region { start: image.start.saturating_sub(image.moved), end: image.end.saturating_sub(image.moved) };
    // The image is mapped where it has moved to, and there alone.
    let mut mapped = FreeRegions::new(&info, limit, &[Region { start: 0, end: PAGE }, lies]);
    windows.iter().for_each(|window| mapped.insert(*window));
    let mut free = mapped.clone();
    windows.iter().for_each(|window| free.remove(*window));
    free.remove(Region { start: info.loader_data.start, end: info.loader_data.end });
    // What the map calls RAM, once however often it does.
    let ram = FreeRegions::new(&info, limit, &[]).total();
    let given_back = settle_memory(instruction, &mut free, ram)?;
    let memory_bytes = ram.saturating_sub(given_back);
    if memory_bytes < LEAST_MEMORY {
        return Err(StartError::TooLittleMemory { have: memory_bytes });
    }
    paging::install(&mapped, &image, &mut free).map_err(StartError::Paging)?;
    // Half of what is left is heap, half is pages; a heap needs no more than the longest stretch, nor 1 GiB.
    let size = (free.total() / 2).min(free.longest()).min(1 << 30);
    let heap = free.take(size, u64::MAX).ok_or(StartError::TooLittleMemory { have: memory_bytes })?;
    heap::init(heap);
    Ok(Machine { info, free, hole, memory_bytes, given_back })
}

/// Gives back what the memory map promises and Xen does not have; see [`crate::reservation`]. How many bytes went.
fn settle_memory(
    instruction: &Instruction,
    free: &mut FreeRegions,
    ram_bytes: u64,
) -> Result<u64, StartError> {
    let refused = |errno| StartError::Xen("XENMEM_current_reservation", errno);
    let reserved = crate::machine::current_reservation(instruction).map_err(refused)?;
    Ok(crate::reservation::settle(free, ram_bytes, reserved, |frames, order| {
        // SAFETY: the frames were free memory, taken out of `free` for good.
        // What Xen does not take stays as it is: unused by us.
        let _ = unsafe { crate::machine::decrease_reservation(instruction, frames, order) };
    }))
}

fn param_early(instruction: &Instruction, param: HvmParam) -> Result<u64, StartError> {
    crate::machine::hvm_get_param(instruction, param).map_err(|errno| StartError::Xen(param.c_name(), errno))
}

/// Memory at a physical address as shared memory.
fn shared_at(address: u64, len: usize) -> Result<Shared<'static>, StartError> {
    let base = usize::try_from(address)
        .ok()
        .and_then(|address| NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address)));
    let base = base.ok_or(StartError::NoHole)?;
    // SAFETY: the caller's address is one of Xen's windows, mapped for ever and used through `Shared` alone.
    Ok(unsafe { Shared::new(base, len) })
}

/// Maps `shared_info` at the start of the hole.
fn map_shared_info(instruction: &Instruction, at: u64) -> Result<Shared<'static>, StartError> {
    // SAFETY: the hole is ours: no RAM, no device, mapped for this.
    unsafe { add_to_physmap(instruction, MapSpace::SharedInfo, 0, Gfn(at / PAGE)) }
        .map_err(|errno| StartError::Xen("to map shared_info", errno))?;
    shared_at(at, PAGE_SIZE)
}

fn bring_up(loader: (u32, u32), name: &'static str, instruction: Instruction) -> Result<System, StartError> {
    let Machine { info, free, hole, memory_bytes, given_back } = bring_up_memory(loader, &instruction)?;
    let refused = |what| move |errno| StartError::Xen(what, errno);
    // Shared info first: the clock and the event channels are in it.
    let shared_info = map_shared_info(&instruction, hole.start)?;
    let (vcpu_info, vcpu_info_at) = idt::vcpu_info();
    register_vcpu_info(&instruction, vcpu_info_at).map_err(refused("VCPUOP_register_vcpu_info"))?;
    let tsc: fn() -> u64 = crate::timers::rdtsc;
    let clock = PvClock::new(vcpu_info, shared_info, tsc);
    let foreign = Region { start: hole.start.saturating_add(33 * PAGE), end: hole.end };
    let machine = DomU::new(instruction, Frames::new(free), ForeignPlaces::new(foreign), clock);
    let started = machine.now();

    let events = EventChannels::new(shared_info, vcpu_info);
    // Type 2: a vector, delivered without the local APIC, so that there is no EOI to pay for. (hvm/params.h)
    let callback = (2 << 56) | u64::from(idt::UPCALL_VECTOR);
    machine.hvm_set_param(HvmParam::CallbackIrq, callback).map_err(refused("HVM_PARAM_CALLBACK_IRQ"))?;
    let (store, console, ports, [store_at, console_at]) = bring_up_rings(&machine)?;
    let size = machine.grant_table_size().map_err(refused("GNTTABOP_query_size"))?;
    let nr_frames = size.max_nr_frames.min(MAX_GRANT_FRAMES);
    let window = hole.start.saturating_add(PAGE);
    let memory = shared_at(window, PAGE_SIZE.saturating_mul(usize::try_from(nr_frames).unwrap_or_default()))?;
    // SAFETY: the window is the rest of the hole, mapped, and used for this alone.
    let grants = unsafe { GrantTable::setup(&machine, Gfn(window / PAGE), memory, nr_frames) }
        .map_err(refused("to map the grant table"))?;
    let timer = machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)).map_err(refused("VIRQ_TIMER"))?;
    let bells = Bells::hang(&events, timer, ports);
    let xen = Rc::new(Xen { machine, grants, events, store });
    let (config, errors) = configure(&info);
    let mut pool = Pool::new();
    pool.add_seed(config.seed.as_deref().unwrap_or_default().as_bytes());
    let pond = Rc::new(Pond::new(&xen, DOM0));
    let system = System(Rc::new(Inner {
        name,
        xen,
        console,
        executor: Executor::new(),
        timers: Timers::default(),
        bells: RefCell::new(bells),
        interfaces: RefCell::default(),
        interface_up: Signal::new(),
        served: RefCell::default(),
        started,
        random: RefCell::new(pool.generator()),
        entropy: RefCell::new(pool),
        ending: Cell::new(None),
        suspending: Cell::new(None),
        watchdog: Watchdog::new(config.watchdog),
        places: Places {
            shared_info: (Gfn(hole.start / PAGE), shared_info),
            store: store_at,
            console: console_at,
            timer: Cell::new(timer),
        },
        domid: Cell::new(None),
        pond,
        resumes: Cell::new(0),
        memory_bytes,
        loader: info.loader,
        config,
    }));
    log_sink::init(system.clone(), system.config().log);
    refuse_bad_config(&system, &errors, info.cmdline_cut);
    remark(given_back, memory_bytes);
    Ok(system)
}

/// Says what is unusual about the machine.
fn remark(given_back: u64, memory_bytes: u64) {
    if given_back > 0 {
        log::info!(
            "memory: {} KiB that maxmem= promises beyond memory= are given back, {} KiB are kept",
            given_back >> 10,
            memory_bytes >> 10
        );
    }
}

/// Xenstore and console, their ports, and where their rings are.
type Rings = (XenStore, Console, [EvtchnPort; 2], [(Gfn, Shared<'static>); 2]);

/// Xenstore's and the console's rings, where Xen put them.
fn bring_up_rings(machine: &DomU) -> Result<Rings, StartError> {
    let param = |param: HvmParam| {
        machine.hvm_get_param(param).map_err(|errno| StartError::Xen(param.c_name(), errno))
    };
    let port = |value: u64| EvtchnPort(u32::try_from(value).unwrap_or_default());
    let ring = |gfn: u64| Ok::<_, StartError>((Gfn(gfn), shared_at(gfn << 12, 4096)?));
    let store_at = ring(param(HvmParam::StorePfn)?)?;
    let store_port = port(param(HvmParam::StoreEvtchn)?);
    let console_at = ring(param(HvmParam::ConsolePfn)?)?;
    let console_port = port(param(HvmParam::ConsoleEvtchn)?);
    let store = XenStore::new(store_at.1, store_port);
    let console = Console::new(console_at.1, console_port);
    Ok((store, console, [store_port, console_port], [store_at, console_at]))
}

/// The configuration, and what is wrong with the command line.
fn configure(info: &BootInfo) -> (Config, Vec<ConfigError>) {
    match Config::parse(info.cmdline()) {
        Ok(config) => (config, Vec::new()),
        Err(errors) => (Config::default(), errors),
    }
}

/// Says what is wrong with the command line, and ends: a guest with another address than the operator meant is worse
/// than none.
fn refuse_bad_config(system: &System, errors: &[ConfigError], cut: bool) {
    for error in errors {
        log::error!("{error}");
    }
    if cut {
        log::error!("command line: longer than {} bytes; shorten it", 4096);
    }
    if !errors.is_empty() || cut {
        log::error!("stopping: correct cmdline= in the domain's configuration");
        system.0.end(ShutdownReason::Poweroff);
    }
}
