//! How a guest finds Xen. Header `arch-x86/cpuid.h`, Xen 4.17.
//!
//! Xen's leaves begin at [`CPUID_FIRST_LEAF`], or, when another hypervisor is imitated there, at one of the next
//! multiples of [`CPUID_LEAF_STEP`]. The first of them has the signature.

use bitflags::bitflags;

/// The first place where Xen's leaves may begin.
#[doc(alias = "XEN_CPUID_FIRST_LEAF")]
pub const CPUID_FIRST_LEAF: u32 = 0x4000_0000;
/// From one such place to the next.
pub const CPUID_LEAF_STEP: u32 = 0x100;

/// "XenV": `ebx` of the first leaf; `eax` is the highest leaf.
#[doc(alias = "XEN_CPUID_SIGNATURE_EBX")]
pub const CPUID_SIGNATURE_EBX: u32 = 0x566e_6558;
/// "MMXe": `ecx` of the first leaf.
#[doc(alias = "XEN_CPUID_SIGNATURE_ECX")]
pub const CPUID_SIGNATURE_ECX: u32 = 0x6558_4d4d;
/// "nVMM": `edx` of the first leaf.
#[doc(alias = "XEN_CPUID_SIGNATURE_EDX")]
pub const CPUID_SIGNATURE_EDX: u32 = 0x4d4d_566e;

/// Offset of the leaf whose `eax` is the version: [`crate::abi::version::XenVersion`].
pub const CPUID_LEAF_VERSION: u32 = 1;
/// Offset of the leaf of the hypercall page: `eax` pages, `ebx` the MSR.
pub const CPUID_LEAF_HYPERCALL: u32 = 2;
/// Offset of the leaf of time: sub-leaf 0, `ecx` is the guest's TSC frequency in kHz.
pub const CPUID_LEAF_TIME: u32 = 3;
/// Offset of the leaf of HVM guests: `eax` is [`HvmCpuidFlags`], `ebx` the vCPU id, `ecx` the domain id.
pub const CPUID_LEAF_HVM: u32 = 4;

/// Highest offset of a leaf.
#[doc(alias = "XEN_CPUID_MAX_NUM_LEAVES")]
pub const CPUID_MAX_NUM_LEAVES: u32 = 5;

bitflags! {
    /// `XEN_HVM_CPUID_*`: what [`CPUID_LEAF_HVM`] says of the machine.
    ///
    /// Source: `xen/include/public/arch-x86/cpuid.h`, `XEN_HVM_CPUID_APIC_ACCESS_VIRT` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct HvmCpuidFlags: u32 {
        /// The CPU virtualises the APIC's registers.
        #[doc(alias = "XEN_HVM_CPUID_APIC_ACCESS_VIRT")]
        const APIC_ACCESS_VIRT = 1 << 0;
        /// The CPU virtualises the x2APIC.
        #[doc(alias = "XEN_HVM_CPUID_X2APIC_VIRT")]
        const X2APIC_VIRT = 1 << 1;
        /// Foreign pages are mapped for devices too.
        #[doc(alias = "XEN_HVM_CPUID_IOMMU_MAPPINGS")]
        const IOMMU_MAPPINGS = 1 << 2;
        /// `ebx` is the vCPU's id.
        #[doc(alias = "XEN_HVM_CPUID_VCPU_ID_PRESENT")]
        const VCPU_ID_PRESENT = 1 << 3;
        /// `ecx` is the domain's id.
        #[doc(alias = "XEN_HVM_CPUID_DOMID_PRESENT")]
        const DOMID_PRESENT = 1 << 4;
        /// Interrupts can be sent to APIC ids of 15 bits.
        #[doc(alias = "XEN_HVM_CPUID_EXT_DEST_ID")]
        const EXT_DEST_ID = 1 << 5;
        /// Per-vCPU upcall vectors work with physical interrupts bound to events.
        #[doc(alias = "XEN_HVM_CPUID_UPCALL_VECTOR")]
        const UPCALL_VECTOR = 1 << 6;
    }
}

#[cfg(test)]
mod tests {
    use super::{CPUID_SIGNATURE_EBX, CPUID_SIGNATURE_ECX, CPUID_SIGNATURE_EDX};

    #[test]
    fn the_signature_spells_xen() {
        let words = [CPUID_SIGNATURE_EBX, CPUID_SIGNATURE_ECX, CPUID_SIGNATURE_EDX].map(u32::to_le_bytes);
        assert_eq!(words.as_flattened(), b"XenVMMXenVMM");
    }
}
