//! The GDT: a code segment, a data segment, and a task state segment that names the stack for double faults.

#![allow(unsafe_code, reason = "loads descriptor tables; see docs/soundness.md")]

use core::cell::UnsafeCell;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

/// The index in the interrupt stack table of the stack for double faults, NMIs and machine checks. After a stack
/// overflow there is no other stack.
pub(crate) const FAULT_STACK: u16 = 0;
const FAULT_STACK_BYTES: usize = 16 * 1024;

/// The fault stack. The `UnsafeCell` keeps it out of the read-only data: a write to a read-only fault stack would be a
/// triple fault.
#[repr(align(16))]
struct Stack(UnsafeCell<[u8; FAULT_STACK_BYTES]>);

// SAFETY: only the processor accesses it, one fault at a time.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; FAULT_STACK_BYTES]));
/// In a section that the page tables make read-only after it is filled; see `linker.ld` and `mem::paging`.
#[unsafe(link_section = ".bss.descriptors")]
static TSS: Once<TaskStateSegment> = Once::new();
#[unsafe(link_section = ".bss.descriptors")]
static GDT: Once<(GlobalDescriptorTable, SegmentSelector, SegmentSelector, SegmentSelector)> = Once::new();

/// Loads the GDT, the segment registers and the task register.
pub(crate) fn load() {
    let tss = TSS.call_once(|| {
        let mut tss = TaskStateSegment::new();
        let top = VirtAddr::from_ptr(STACK.0.get().wrapping_add(1));
        // The table is a field of a packed structure, so it is written as a whole.
        let mut stacks = tss.interrupt_stack_table;
        if let Some(entry) = stacks.get_mut(usize::from(FAULT_STACK)) {
            *entry = top;
        }
        tss.interrupt_stack_table = stacks;
        tss
    });
    let (gdt, code, data, task) = GDT.call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(tss));
        (gdt, code, data, task)
    });
    gdt.load();
    // SAFETY: the selector names the 64-bit code segment of the table just loaded.
    unsafe { CS::set_reg(*code) };
    // SAFETY: the selector names its data segment.
    unsafe { SS::set_reg(*data) };
    // SAFETY: as above.
    unsafe { DS::set_reg(*data) };
    // SAFETY: as above.
    unsafe { ES::set_reg(*data) };
    // SAFETY: the selector names a task state segment in a static.
    unsafe { load_tss(*task) };
}
