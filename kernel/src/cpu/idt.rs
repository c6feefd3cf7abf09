//! Interrupts and exceptions: naked stubs, since `extern "x86-interrupt"` is not stable.
//!
//! ```text
//!   exception ─► stub: error code or 0, vector ─► common: 15 registers ─► fault(&Frame) ─► the handler given to load()
//!   upcall    ─► stub: evtchn_upcall_pending = 0 ─► iretq
//! ```
//!
//! Interrupts are on only while the vCPU sleeps in `hlt`. The upcall stub clears `evtchn_upcall_pending`, by which Xen
//! would inject the vector again, and does nothing else: the loop reads the event channels after each sleep.

#![allow(unsafe_code, reason = "interrupt stubs; see docs/soundness.md")]

use super::gdt::FAULT_STACK;
use core::arch::naked_asm;
use core::ptr::NonNull;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;
use xen::Shared;

/// The vector that Xen injects for event channels.
pub(crate) const UPCALL_VECTOR: u8 = 0x20;

/// The registers at an exception, as the stub leaves them on the stack: the last one pushed comes first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) r15: u64,
    pub(crate) r14: u64,
    pub(crate) r13: u64,
    pub(crate) r12: u64,
    pub(crate) r11: u64,
    pub(crate) r10: u64,
    pub(crate) r9: u64,
    pub(crate) r8: u64,
    pub(crate) rbp: u64,
    pub(crate) rdi: u64,
    pub(crate) rsi: u64,
    pub(crate) rdx: u64,
    pub(crate) rcx: u64,
    pub(crate) rbx: u64,
    pub(crate) rax: u64,
    pub(crate) vector: u64,
    pub(crate) error: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
}

/// This vCPU's `vcpu_info` (`xen.h`): 64 bytes that must not cross a page.
#[repr(align(64))]
struct VcpuInfoArea(core::cell::UnsafeCell<[u8; 64]>);

// SAFETY: we access it by atomics only, through `Shared`; Xen is the other side.
unsafe impl Sync for VcpuInfoArea {}

static VCPU_INFO: VcpuInfoArea = VcpuInfoArea(core::cell::UnsafeCell::new([0; 64]));

/// The `vcpu_info` as shared memory, and its physical address for `VCPUOP_register_vcpu_info`.
pub(crate) fn vcpu_info() -> (Shared<'static>, u64) {
    let pointer = NonNull::from(&VCPU_INFO.0).cast::<u8>();
    // SAFETY: a static of 64 bytes, aligned to 64, inside an `UnsafeCell`, accessed through `Shared` alone.
    let shared = unsafe { Shared::new(pointer, 64) };
    (shared, super::hypercall::address(pointer.as_ptr()).saturating_sub(boot::image_layout().moved))
}

/// Sleeps until an upcall. Interrupts are off on return.
///
/// [`upcall_stub`] relies on `sti` and `hlt` being one byte each.
#[unsafe(naked)]
pub(crate) extern "C" fn sleep() {
    naked_asm!("sti", "hlt", "cli", "ret")
}

/// Clears `evtchn_upcall_pending`, byte 0 of `vcpu_info`. All registers are preserved.
///
/// Two details concern [`sleep`]:
/// - If the upcall comes between `sti` and `hlt`, the stub returns behind the `hlt`. Otherwise the vCPU would sleep
///   although an event is pending. The processor blocks interrupts for one instruction after `sti`, but a VM exit in
///   between ends that in QEMU's SVM, which does not restore `int_state` (`helper_vmrun` of QEMU 7.2: one start in
///   thirty hung).
/// - The stub clears IF (bit 9) in the saved RFLAGS, as the `cli` of [`sleep`] would. Xen injects the upcall while
///   `evtchn_upcall_pending` is still set, so it requests an exit for the next injection as soon as interrupts are on.
///   With interrupts off until the next `sti; hlt`, the exit of that `hlt` serves both: one exit less a wake-up.
#[unsafe(naked)]
extern "C" fn upcall_stub() {
    naked_asm!(
        "push rax",
        "lea rax, [rip + {sleep} + 1]",
        "cmp [rsp + 8], rax",
        "jne 2f",
        "inc qword ptr [rsp + 8]",
        "2:",
        "mov byte ptr [rip + {vcpu_info}], 0",
        "and byte ptr [rsp + 25], 0xfd",
        "pop rax",
        "iretq",
        sleep = sym sleep,
        vcpu_info = sym VCPU_INFO,
    )
}

/// Saves all registers and calls [`fault`], which does not return.
#[unsafe(naked)]
extern "C" fn fault_common() {
    naked_asm!(
        "cld",
        "push rax",
        "push rbx",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rbp",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {fault}",
        "ud2",
        fault = sym fault,
    )
}

/// What is called with the registers of an exception.
static HANDLER: Once<fn(&Frame) -> !> = Once::new();

extern "C" fn fault(frame: &Frame) -> ! {
    match HANDLER.get() {
        Some(handler) => handler(frame),
        // Not reached: `load` sets the handler before it loads the table.
        None => super::early_console::exit_qemu(super::early_console::CRASHED),
    }
}

macro_rules! stubs {
    ($($name:ident $vector:literal $error:literal;)*) => {
        $(
            #[unsafe(naked)]
            extern "C" fn $name() {
                naked_asm!(
                    // 0 where the processor pushes no error code.
                    concat!(".if ", $error, " == 0"),
                    "push 0",
                    ".endif",
                    concat!("push ", $vector),
                    "jmp {common}",
                    common = sym fault_common,
                )
            }
        )*

        /// Sets the gates of the exceptions.
        fn set_exceptions(gates: &mut Gates) {
            $( set(gates, $vector, $name); )*
        }
    };
}

stubs! {
    divide_error 0 0; debug 1 0; nmi 2 0; breakpoint 3 0; overflow 4 0; bound 5 0; invalid_opcode 6 0;
    no_fpu 7 0; double_fault 8 1; invalid_tss 10 1; no_segment 11 1; stack_fault 12 1; protection 13 1;
    page_fault 14 1; x87 16 0; alignment 17 1; machine_check 18 0; simd 19 0; control 21 1; spurious 33 0;
}

/// The table: 16 bytes a gate, up to the highest vector in use.
type Gates = [u128; NR_GATES];
const NR_GATES: usize = 34;

#[unsafe(link_section = ".bss.descriptors")]
static IDT: Once<Gates> = Once::new();

/// Sets the gate of a vector: a 64-bit interrupt gate in our code segment. NMIs, double faults and machine checks run on
/// the fault stack (AMD64 Architecture Programmer's Manual 2, 4.8.4).
#[allow(clippy::as_conversions, reason = "only a cast gives a function's address")]
fn set(gates: &mut Gates, vector: usize, stub: extern "C" fn()) {
    const PRESENT_INTERRUPT_GATE: u128 = 0x8e00;
    let address = u128::from(super::hypercall::address(stub as *const ()));
    let stack = if matches!(vector, 2 | 8 | 18) { u128::from(FAULT_STACK) + 1 } else { 0 };
    let code = u128::from(CS::get_reg().0);
    if let Some(gate) = gates.get_mut(vector) {
        *gate = (address & 0xffff)
            | (code << 16)
            | (stack << 32)
            | (PRESENT_INTERRUPT_GATE << 32)
            | ((address >> 16 & 0xffff) << 48)
            | ((address >> 32) << 64);
    }
}

/// Loads the table. Exceptions then call `handler`. To be called after [`gdt::load`](super::gdt::load): the gates name
/// the code segment in use.
pub(crate) fn load(handler: fn(&Frame) -> !) {
    HANDLER.call_once(|| handler);
    let gates = IDT.call_once(|| {
        let mut gates = [0; NR_GATES];
        set_exceptions(&mut gates);
        set(&mut gates, usize::from(UPCALL_VECTOR), upcall_stub);
        gates
    });
    let limit = u16::try_from(size_of::<Gates>().saturating_sub(1)).unwrap_or_default();
    let pointer = DescriptorTablePointer { limit, base: VirtAddr::from_ptr(gates.as_ptr()) };
    // SAFETY: the table is a static, and each gate leads to a stub that expects what the processor pushes for its
    // vector.
    unsafe { lidt(&pointer) };
}
