//! The guest's memory: what is RAM, page tables, the heap, and the address space for Xen's pages.
//!
//! ```text
//!   RAM of the map:  [ page tables │ heap: half of the rest, or more │ pages for pools and rings ]
//!   hole:            [ shared_info │ grant table │ foreign pages ]       rings of xenstore and console: where Xen put them
//! ```

#![allow(unsafe_code, reason = "returns memory to Xen; see docs/soundness.md")]

use super::error::StartError;
use crate::cpu::hypercall::{Instruction, runs_on_xen};
use crate::domain::domu::{current_reservation, decrease_reservation, hvm_get_param};
use crate::mem::boot_memory::BootMemory;
use crate::mem::foreign_frames::FOREIGN_PAGES;
use crate::mem::holes::find_hole;
use crate::mem::regions::{FreeRegions, PAGE, Region};
use crate::mem::{heap, heap_reserve, paging, reservation};
use boot::BootInfo;
use xen::hypervisor::HvmParam;
use xen::{EvtchnPort, Gfn};

/// The memory that the guest needs at least, in bytes: image, page tables, a heap and the smallest pools.
const LEAST_MEMORY: u64 = 3 << 20;
/// Frames of the grant table at most, 512 references each: two pools of 4096 pages at their limit, twice.
pub(super) const MAX_GRANT_FRAMES: u32 = 32;
/// Pages of `shared_info`.
const SHARED_INFO_PAGES: u64 = 1;

/// The guest's memory, before Xen's pages are mapped.
pub(super) struct GuestMemory {
    /// What the loader passed on.
    pub(super) info: BootInfo,
    /// RAM without image, page tables and heap.
    pub(super) free: FreeRegions,
    /// Address space for Xen's pages.
    pub(super) windows: Windows,
    /// The ring of xenstore.
    pub(super) store: Ring,
    /// The ring of the console.
    pub(super) console: Ring,
    /// RAM of the guest in bytes.
    pub(super) ram_bytes: u64,
    /// RAM of the map that was returned to Xen, in bytes.
    pub(super) returned_bytes: u64,
}

/// A ring that the toolstack set up: its frame and its event channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub(super) gfn: Gfn,
    pub(super) port: EvtchnPort,
}

/// The hole in the address space for frames that Xen maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows(Region);

impl Windows {
    /// Finds the hole.
    fn find(info: &BootInfo, limit: u64) -> Option<Self> {
        let pages =
            SHARED_INFO_PAGES.saturating_add(u64::from(MAX_GRANT_FRAMES)).saturating_add(FOREIGN_PAGES);
        find_hole(info, pages.saturating_mul(PAGE), limit).map(Self)
    }

    /// All of it.
    pub(super) const fn all(self) -> Region {
        self.0
    }

    /// The address of `shared_info`.
    pub(super) const fn shared_info(self) -> u64 {
        self.0.start
    }

    /// The address of the grant table.
    pub(super) const fn grant_table(self) -> u64 {
        self.shared_info().saturating_add(SHARED_INFO_PAGES * PAGE)
    }

    /// The frames for foreign pages.
    pub(super) fn foreign_pages(self) -> Region {
        let grant_table = u64::from(MAX_GRANT_FRAMES).saturating_mul(PAGE);
        Region { start: self.grant_table().saturating_add(grant_table), end: self.0.end }
    }
}

/// Reads the memory map, builds the page tables and the heap. `loader` is the magic number and the address of its
/// information.
pub(super) fn bring_up(
    (magic, information): (u32, u32),
    instruction: &Instruction,
) -> Result<GuestMemory, StartError> {
    let info = BootInfo::from_loader(&BootMemory, magic, u64::from(information)).map_err(StartError::Boot)?;
    if info.regions().is_empty() {
        return Err(StartError::NoMemoryMap);
    }
    if !runs_on_xen() {
        return Err(StartError::NoXen);
    }
    let image = boot::image_layout();
    let limit = paging::address_limit();
    let windows = Windows::find(&info, limit).ok_or(StartError::NoHole)?;
    let store = ring(instruction, HvmParam::StorePfn, HvmParam::StoreEvtchn)?;
    let console = ring(instruction, HvmParam::ConsolePfn, HvmParam::ConsoleEvtchn)?;
    let xen_pages = [windows.all(), page(store.gfn), page(console.gfn)];
    let physical_image =
        Region { start: image.start.saturating_sub(image.moved), end: image.end.saturating_sub(image.moved) };
    // The image is mapped at its virtual address only.
    let mut mapped = FreeRegions::new(&info, limit, &[Region { start: 0, end: PAGE }, physical_image]);
    xen_pages.iter().for_each(|region| mapped.insert(*region));
    let mut free = mapped.clone();
    xen_pages.iter().for_each(|region| free.remove(*region));
    free.remove(Region { start: info.loader_data.start, end: info.loader_data.end });
    // The RAM of the map; a page that is listed twice counts once.
    let ram = FreeRegions::new(&info, limit, &[]).total();
    let returned_bytes = return_excess(instruction, &mut free, ram)?;
    let ram_bytes = ram.saturating_sub(returned_bytes);
    let too_little = || StartError::TooLittleMemory { have: ram_bytes, least: LEAST_MEMORY };
    if ram_bytes < LEAST_MEMORY {
        return Err(too_little());
    }
    paging::install(&mapped, &image, &mut free).map_err(StartError::Paging)?;
    let size = heap_reserve::heap_bytes(free.total(), free.longest());
    heap::init(free.take(size, u64::MAX).ok_or_else(too_little)?);
    Ok(GuestMemory { info, free, windows, store, console, ram_bytes, returned_bytes })
}

/// The page at a frame.
const fn page(gfn: Gfn) -> Region {
    let start = gfn.0.saturating_mul(PAGE);
    Region { start, end: start.saturating_add(PAGE) }
}

/// Returns memory to Xen that the map lists and the domain does not have; see [`reservation`]. Returns the bytes.
fn return_excess(
    instruction: &Instruction,
    free: &mut FreeRegions,
    ram_bytes: u64,
) -> Result<u64, StartError> {
    let refused = |errno| StartError::Xen("XENMEM_current_reservation", errno);
    let reserved = current_reservation(instruction).map_err(refused)?;
    Ok(reservation::return_excess(free, ram_bytes, reserved, |frames, order| {
        // SAFETY: the frames were free memory and were removed from `free` for good.
        // Frames that Xen does not take stay unused.
        let _ = unsafe { decrease_reservation(instruction, frames, order) };
    }))
}

/// Reads frame and event channel of a ring.
fn ring(instruction: &Instruction, pfn: HvmParam, evtchn: HvmParam) -> Result<Ring, StartError> {
    // Frame 0 and port 0 are never a ring's: 0 is the value of a parameter that nobody has set.
    let param = |param: HvmParam| match hvm_get_param(instruction, param) {
        Ok(0) => Err(StartError::ParamNotSet(param.c_name())),
        Ok(value) => Ok(value),
        Err(errno) => Err(StartError::Xen(param.c_name(), errno)),
    };
    let port = u32::try_from(param(evtchn)?).map_err(|_| StartError::ParamNotSet(evtchn.c_name()))?;
    Ok(Ring { gfn: Gfn(param(pfn)?), port: EvtchnPort(port) })
}
