//! The only hypercall instruction of the guest.
//!
//! `VMMCALL` on AMD, `VMCALL` on Intel, chosen once by CPUID vendor; no hypercall page, so nothing to map executable
//! and nothing to make anew after a restore (Xen's `docs/guest-guide/x86/hypercall-abi.rst`). Arguments go in rdi, rsi,
//! rdx, r10, r8, the number in rax, the answer comes in rax.

#![allow(unsafe_code, reason = "the hypercall instruction; see docs/soundness.md")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::cell::Cell;
use xen::Errno;
use xen::abi::xen::Hypercall;
use zerocopy::{FromBytes, IntoBytes};

/// What kinds of hypercalls are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Kind {
    /// `EVTCHNOP_send`: notifications.
    EvtchnSend,
    /// Other event channel operations.
    Evtchn,
    /// `SCHEDOP_block`, by hypercall or by HLT.
    Block,
    /// Other scheduler operations.
    Sched,
    /// `VCPUOP_set_singleshot_timer`.
    Timer,
    /// Grant table operations.
    GrantTable,
    /// Memory operations.
    Memory,
    /// Everything else.
    Other,
}

/// Names of the kinds, in order, as `/status.json` has them.
pub(crate) const KIND_NAMES: [&str; 8] =
    ["evtchn_send", "evtchn_other", "block", "sched_other", "set_timer", "grant_table", "memory", "other"];

/// The hypercall instruction and its counters.
#[derive(Debug)]
pub(crate) struct Instruction {
    intel: bool,
    counts: [Cell<u64>; KIND_NAMES.len()],
}

impl Instruction {
    /// Chooses by CPUID leaf 0: "GenuineIntel" (and its clones) have VMCALL; AMD and Hygon have VMMCALL.
    pub(crate) fn detect() -> Self {
        let leaf = __cpuid(0);
        let intel = leaf.ebx == u32::from_le_bytes(*b"Genu") || leaf.ebx == u32::from_le_bytes(*b"Cent");
        Self { intel, counts: [const { Cell::new(0) }; KIND_NAMES.len()] }
    }

    pub(crate) fn counts(&self) -> [u64; KIND_NAMES.len()] {
        core::array::from_fn(|i| self.counts.get(i).map_or(0, Cell::get))
    }

    pub(crate) fn count(&self, kind: Kind) {
        #[allow(clippy::as_conversions, reason = "a fieldless enum's number")]
        if let Some(count) = self.counts.get(kind as usize) {
            count.set(count.get().wrapping_add(1));
        }
    }

    /// Makes a hypercall.
    ///
    /// # Safety
    /// The arguments are what the call takes, and what it does is sound for the memory of this domain.
    pub(crate) unsafe fn call(&self, kind: Kind, number: Hypercall, args: [u64; 4]) -> Result<u64, Errno> {
        self.count(kind);
        let [a1, a2, a3, a4] = args;
        let number = u64::from(number);
        let ret: i64;
        // A debug build of Xen overwrites the registers of the arguments, to find guests that rely on them.
        if self.intel {
            // SAFETY: Xen changes no register but these, and of memory only what the arguments name (the caller).
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

    /// Makes a hypercall of the form (command, pointer to arguments): Xen reads the arguments, and may write to them.
    ///
    /// # Safety
    /// `T` is the structure that `command` of `number` takes, and what it does is sound.
    pub(crate) unsafe fn with_args<T: FromBytes + IntoBytes>(
        &self,
        kind: Kind,
        number: Hypercall,
        command: u32,
        args: &mut T,
    ) -> Result<u64, Errno> {
        let pointer = address(core::ptr::from_mut(args).cast_const());
        // SAFETY: the pointer is to a `T`, which is what the command takes (the caller); any bytes are a valid `T`.
        unsafe { self.call(kind, number, [u64::from(command), pointer, 0, 0]) }
    }
}

/// The address of something, as Xen takes it: linear in the guest's current address space.
#[allow(clippy::as_conversions, reason = "usize to u64; 64-bit only")]
pub(crate) fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<u8>().addr() as u64
}

/// Whether Xen answers at the hypervisor leaves of CPUID: "XenVMMXenVMM", at the first leaf or, below another
/// interface, at a later one. (`arch-x86/cpuid.h`)
pub(crate) fn xen_is_beneath() -> bool {
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
