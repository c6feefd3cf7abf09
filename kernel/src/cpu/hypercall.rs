//! The only hypercall instruction of the guest.
//!
//! ```text
//!   rax = number   rdi, rsi, rdx, r10 = arguments   ──VMCALL | VMMCALL──►   rax = result, or a negative errno
//! ```
//!
//! The instruction is chosen once, by the processor's vendor ([`vendor`](super::vendor)). There is no hypercall page:
//! nothing has to be mapped executable, and nothing has to be set up again after a restore (Xen's
//! `docs/guest-guide/x86/hypercall-abi.rst`).

#![allow(unsafe_code, reason = "the hypercall instruction; see docs/soundness.md")]

pub(crate) use super::hypercall_kind::Kind;
use super::vendor::HypercallInstruction;
use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::cell::Cell;
use xen::abi::xen::Hypercall;
use xen::{Counter, Errno};
use zerocopy::{FromBytes, IntoBytes};

/// The hypercall instruction and its counters.
#[derive(Debug)]
pub(crate) struct Instruction {
    instruction: HypercallInstruction,
    counts: [Cell<Counter>; Kind::ALL.len()],
}

impl Instruction {
    /// Chooses the instruction by the vendor in CPUID leaf 0.
    pub(crate) fn detect() -> Self {
        let leaf = __cpuid(0);
        let instruction = HypercallInstruction::of_vendor(leaf.ebx, leaf.edx, leaf.ecx);
        Self { instruction, counts: [const { Cell::new(Counter::new(0)) }; Kind::ALL.len()] }
    }

    /// Hypercalls by kind, in the order of [`Kind::ALL`].
    pub(crate) fn counts(&self) -> [u64; Kind::ALL.len()] {
        core::array::from_fn(|i| self.counts.get(i).map_or(0, |count| count.get().get()))
    }

    /// Counts a hypercall that is made by another instruction: `SCHEDOP_block` by HLT.
    pub(crate) fn count(&self, kind: Kind) {
        #[allow(clippy::as_conversions, reason = "a fieldless enum's number")]
        if let Some(count) = self.counts.get(kind as usize) {
            Counter::bump_in(count);
        }
    }

    /// Makes a hypercall with up to four arguments.
    ///
    /// # Safety
    /// The arguments are those of hypercall `number`, and its effect on this domain's memory is sound.
    pub(crate) unsafe fn call(&self, kind: Kind, number: Hypercall, args: [u64; 4]) -> Result<u64, Errno> {
        self.count(kind);
        let [a1, a2, a3, a4] = args;
        let number = u64::from(number);
        let ret: i64;
        // A debug build of Xen overwrites the argument registers, to find guests that rely on their contents.
        if self.instruction == HypercallInstruction::Vmcall {
            // SAFETY: Xen changes these registers only, and memory only where the arguments point (the caller).
            unsafe {
                asm!("vmcall", inlateout("rax") number => ret, inlateout("rdi") a1 => _, inlateout("rsi") a2 => _,
                     inlateout("rdx") a3 => _, inlateout("r10") a4 => _, options(nostack));
            }
        } else {
            // SAFETY: as above.
            unsafe {
                asm!("vmmcall", inlateout("rax") number => ret, inlateout("rdi") a1 => _, inlateout("rsi") a2 => _,
                     inlateout("rdx") a3 => _, inlateout("r10") a4 => _, options(nostack));
            }
        }
        Errno::from_ret(ret)
    }

    /// Makes a hypercall of the form (command, pointer to a structure). Xen reads the structure and may write to it.
    ///
    /// # Safety
    /// `T` is the structure of `command` of hypercall `number`, and the command's effect is sound.
    pub(crate) unsafe fn with_args<T: FromBytes + IntoBytes>(
        &self,
        kind: Kind,
        number: Hypercall,
        command: u32,
        args: &mut T,
    ) -> Result<u64, Errno> {
        let pointer = address(core::ptr::from_mut(args).cast_const());
        // SAFETY: the pointer is to a `T`, the command's structure (the caller); any bytes are a valid `T`.
        unsafe { self.call(kind, number, [u64::from(command), pointer, 0, 0]) }
    }
}

/// A linear address in the guest's current address space, as hypercalls take it.
#[allow(clippy::as_conversions, reason = "usize to u64; 64-bit only")]
pub(crate) fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<u8>().addr() as u64
}

/// Whether CPUID has Xen's signature, "XenVMMXenVMM", at one of the hypervisor leaves. With a Viridian interface
/// enabled it is not the first leaf (`arch-x86/cpuid.h`).
pub(crate) fn runs_on_xen() -> bool {
    use xen::abi::cpuid::{
        CPUID_FIRST_LEAF, CPUID_LEAF_STEP, CPUID_SIGNATURE_EBX, CPUID_SIGNATURE_ECX, CPUID_SIGNATURE_EDX,
    };
    const LEAVES: u32 = 0x1_0000;
    let step = usize::try_from(CPUID_LEAF_STEP).unwrap_or(0x100);
    (CPUID_FIRST_LEAF..CPUID_FIRST_LEAF.saturating_add(LEAVES)).step_by(step).any(|leaf| {
        let answer = __cpuid(leaf);
        (answer.ebx, answer.ecx, answer.edx)
            == (CPUID_SIGNATURE_EBX, CPUID_SIGNATURE_ECX, CPUID_SIGNATURE_EDX)
    })
}
