//! The final page tables: each page has the access rights that it needs, and no others.
//!
//! ```text
//!   page 0               not mapped                 RAM               read, write
//!   image: rodata        read                       Xen's windows     read, write   (shared info, grant table,
//!   image: text          read, execute                                               console and xenstore rings)
//!   image: data, stack   read, write                everything else   not mapped
//!   image: GDT, IDT      read
//!   below the stack      not mapped (guard)
//! ```
//!
//! Virtual addresses are physical addresses (an identity map), in 2 MiB pages where alignment permits. Only the image is
//! mapped at the address to which the boot code has moved it.

#![allow(unsafe_code, reason = "writes page tables; see docs/soundness.md")]

use super::regions::{FreeRegions, PAGE, Region};
use boot::ImageLayout;
use core::fmt;
use x86_64::registers::control::{Cr3, Cr3Flags, Cr4, Cr4Flags};
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageSize, PageTable, PageTableFlags, PhysFrame, Size2MiB,
    Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

/// The boot code maps memory below this address; page tables have to lie there.
pub(crate) const BOOT_MAPPED: u64 = 1 << 32;

/// Why the tables could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PagingError {
    /// No memory for page tables.
    NoMemory,
    /// A page would be mapped twice: the memory map contradicts itself.
    Overlap(u64),
}

impl fmt::Display for PagingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => {
                write!(f, "no memory for page tables; raise memory= in the domain's configuration")
            }
            Self::Overlap(address) => write!(f, "the memory map lists {address:#x} twice"),
        }
    }
}

/// Allocates page table frames from the free regions.
struct Tables<'a>(&'a mut FreeRegions);

// SAFETY: the regions hold unused frames, and `take` gives each of them once.
unsafe impl FrameAllocator<Size4KiB> for Tables<'_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let region = self.0.take(PAGE, BOOT_MAPPED)?;
        PhysFrame::from_start_address(PhysAddr::try_new(region.start).ok()?).ok()
    }
}

const DATA: PageTableFlags =
    PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).union(PageTableFlags::NO_EXECUTE);
const RODATA: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::NO_EXECUTE);
const TEXT: PageTableFlags = PageTableFlags::PRESENT;

/// One past the last physical address that the processor has and an identity map reaches.
pub(crate) fn address_limit() -> u64 {
    let width = core::arch::x86_64::__cpuid(0x8000_0008).eax & 0xff;
    // A virtual address with bit 47 set and zeros above it is not canonical.
    1 << width.clamp(32, 47)
}

/// Whether the processor has the NX bit. Without it the bit is reserved, and data is executable.
pub(crate) fn has_no_execute() -> bool {
    core::arch::x86_64::__cpuid(0x8000_0001).edx & (1 << 20) != 0
}

/// Builds tables for the regions in `mapped` and for the image, and loads them.
pub(crate) fn install(
    mapped: &FreeRegions,
    image: &ImageLayout,
    free: &mut FreeRegions,
) -> Result<(), PagingError> {
    let root = Tables(free).allocate_frame().ok_or(PagingError::NoMemory)?;
    let table = core::ptr::with_exposed_provenance_mut::<PageTable>(
        usize::try_from(root.start_address().as_u64()).unwrap_or_default(),
    );
    // SAFETY: a free frame below 4 GiB, which the boot code's identity map covers; nothing else refers to it.
    let table = unsafe { &mut *table };
    table.zero();
    // SAFETY: physical memory is mapped at offset 0, now by the boot code's tables and later by these.
    let mapper = unsafe { OffsetPageTable::new(table, VirtAddr::zero()) };
    let usable = PageTableFlags::all();
    let usable = if has_no_execute() { usable } else { usable.difference(PageTableFlags::NO_EXECUTE) };
    let mut builder = Builder { mapper, free, usable };
    for region in mapped.iter() {
        builder.map(region)?;
    }
    builder.map_image(image)?;
    protect();
    // SAFETY: the new tables map the image, the stack and all RAM at the addresses in use.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
    Ok(())
}

/// Enables SMEP, SMAP and UMIP where the processor has them. No page is mapped for user mode.
fn protect() {
    let leaf = core::arch::x86_64::__cpuid_count(7, 0);
    let features = [
        (leaf.ebx & (1 << 7) != 0, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (leaf.ebx & (1 << 20) != 0, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (leaf.ecx & (1 << 2) != 0, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
    ];
    let on = features.iter().filter(|(has, _)| *has).fold(Cr4::read(), |flags, (_, flag)| flags | *flag);
    // SAFETY: CPUID lists each of these features, and no page is mapped for user mode.
    unsafe { Cr4::write(on) };
}

/// Bytes by access right, from a walk of the live tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Writable: RAM, not counting `windows`.
    pub(crate) writable: u64,
    /// Executable.
    pub(crate) executable: u64,
    /// Both writable and executable: 0, unless the processor has no NX bit.
    pub(crate) both: u64,
    /// Writable address space for frames that Xen maps, whether Xen has mapped one there or not.
    pub(crate) windows: u64,
}

/// Walks the tables in use and adds up the bytes of each access right. `windows` is the address space for frames that Xen
/// maps: it has no RAM, and is counted by itself.
pub(crate) fn walk(windows: Region) -> Rights {
    let mut rights = Rights::default();
    let (root, _) = Cr3::read();
    walk_table(root, (4, windows), (true, true), &mut rights);
    rights
}

fn walk_table(
    frame: PhysFrame,
    (level, windows): (u32, Region),
    (writable, executable): (bool, bool),
    rights: &mut Rights,
) {
    let address = usize::try_from(frame.start_address().as_u64()).unwrap_or_default();
    let table = core::ptr::with_exposed_provenance::<PageTable>(address);
    // SAFETY: the tables in use lie in RAM, mapped at their physical address, and do not change after the start.
    let table = unsafe { &*table };
    let bytes = PAGE << 9_u32.saturating_mul(level.saturating_sub(1));
    for entry in table.iter().filter(|entry| entry.flags().contains(PageTableFlags::PRESENT)) {
        let writable = writable && entry.flags().contains(PageTableFlags::WRITABLE);
        let executable = executable && !entry.flags().contains(PageTableFlags::NO_EXECUTE);
        let leaf = level == 1 || entry.flags().contains(PageTableFlags::HUGE_PAGE);
        match entry.frame() {
            Ok(next) if !leaf => {
                let below = (level.saturating_sub(1), windows);
                walk_table(next, below, (writable, executable), rights);
            }
            _ => {
                let physical = entry.addr().as_u64();
                let window = windows.start <= physical && physical < windows.end;
                let kind = if window { &mut rights.windows } else { &mut rights.writable };
                *kind = kind.saturating_add(if writable { bytes } else { 0 });
                rights.executable = rights.executable.saturating_add(if executable { bytes } else { 0 });
                rights.both = rights.both.saturating_add(if writable && executable { bytes } else { 0 });
            }
        }
    }
}

/// The access rights of a 4 KiB page of the image; `None` for the guard page.
const fn rights(image: &ImageLayout, address: u64) -> Option<PageTableFlags> {
    if address < image.text_start {
        Some(RODATA)
    } else if address < image.text_end {
        Some(TEXT)
    } else if address >= image.descriptors_start && address < image.descriptors_end {
        Some(RODATA)
    } else if address == image.stack_guard {
        None
    } else {
        Some(DATA)
    }
}

/// Page tables that are not in use yet.
struct Builder<'a> {
    mapper: OffsetPageTable<'a>,
    free: &'a mut FreeRegions,
    /// The flags that the processor has.
    usable: PageTableFlags,
}

impl<'a> Builder<'a> {
    /// Maps each page of the image with its rights, at its virtual address.
    fn map_image(&mut self, image: &ImageLayout) -> Result<(), PagingError> {
        let mut address = image.start;
        while address < image.end {
            if let Some(flags) = rights(image, address) {
                self.map_page::<Size4KiB>(address, address.saturating_sub(image.moved), flags)?;
            }
            address = address.saturating_add(PAGE);
        }
        Ok(())
    }

    /// Maps a region of memory at its physical address.
    fn map(&mut self, region: Region) -> Result<(), PagingError> {
        let mut address = region.start & !(PAGE - 1);
        while address < region.end {
            let left = region.end.saturating_sub(address);
            let large = address.is_multiple_of(Size2MiB::SIZE) && left >= Size2MiB::SIZE;
            if large {
                self.map_page::<Size2MiB>(address, address, DATA)?;
            } else {
                self.map_page::<Size4KiB>(address, address, DATA)?;
            }
            address = address.saturating_add(if large { Size2MiB::SIZE } else { PAGE });
        }
        Ok(())
    }

    /// Maps one page.
    fn map_page<S: PageSize>(
        &mut self,
        virtual_address: u64,
        address: u64,
        flags: PageTableFlags,
    ) -> Result<(), PagingError>
    where
        OffsetPageTable<'a>: Mapper<S>,
    {
        let physical = PhysAddr::try_new(address).map_err(|_| PagingError::Overlap(address))?;
        let frame = PhysFrame::<S>::containing_address(physical);
        let page = Page::<S>::containing_address(VirtAddr::new_truncate(virtual_address));
        let flags = flags & self.usable;
        // SAFETY: the guest's own memory, at its physical address or, for the image, where it runs, with the rights of
        // its kind. The tables are not in use yet.
        let mapped = unsafe { self.mapper.map_to(page, frame, flags, &mut Tables(self.free)) };
        match mapped {
            // The tables are not loaded, so there is nothing to flush.
            Ok(flush) => {
                flush.ignore();
                Ok(())
            }
            Err(MapToError::FrameAllocationFailed) => Err(PagingError::NoMemory),
            Err(_) => Err(PagingError::Overlap(address)),
        }
    }
}
