//! What Xen can do for this guest. Header `features.h`, Xen 4.17.
//!
//! Answered by `XENVER_get_features` ([`crate::abi::version`]) in words of 32 bits, of which there is one.

use bitflags::bitflags;

/// Words of features.
#[doc(alias = "XENFEAT_NR_SUBMAPS")]
pub const NR_SUBMAPS: u32 = 1;

bitflags! {
    /// `XENFEAT_*`: features of the first word, `1 << number`.
    ///
    /// Source: `xen/include/public/features.h`, `XENFEAT_writable_page_tables` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct XenFeatures: u32 {
        /// The guest may write its page tables.
        #[doc(alias = "XENFEAT_writable_page_tables")]
        const WRITABLE_PAGE_TABLES = 1 << 0;
        /// The guest may write its descriptor tables.
        #[doc(alias = "XENFEAT_writable_descriptor_tables")]
        const WRITABLE_DESCRIPTOR_TABLES = 1 << 1;
        /// Guest-physical addresses are translated by Xen.
        #[doc(alias = "XENFEAT_auto_translated_physmap")]
        const AUTO_TRANSLATED_PHYSMAP = 1 << 2;
        /// The guest's kernel runs in ring 0.
        #[doc(alias = "XENFEAT_supervisor_mode_kernel")]
        const SUPERVISOR_MODE_KERNEL = 1 << 3;
        /// PAE page directories may be above 4 GiB.
        #[doc(alias = "XENFEAT_pae_pgdir_above_4gb")]
        const PAE_PGDIR_ABOVE_4GB = 1 << 4;
        /// PV only.
        #[doc(alias = "XENFEAT_mmu_pt_update_preserve_ad")]
        const MMU_PT_UPDATE_PRESERVE_AD = 1 << 5;
        /// PV only.
        #[doc(alias = "XENFEAT_highmem_assist")]
        const HIGHMEM_ASSIST = 1 << 6;
        /// PV only.
        #[doc(alias = "XENFEAT_gnttab_map_avail_bits")]
        const GNTTAB_MAP_AVAIL_BITS = 1 << 7;
        /// Events can be delivered by a vector of the guest.
        #[doc(alias = "XENFEAT_hvm_callback_vector")]
        const HVM_CALLBACK_VECTOR = 1 << 8;
        /// `vcpu_time_info` gives the right time to an HVM guest.
        #[doc(alias = "XENFEAT_hvm_safe_pvclock")]
        const HVM_SAFE_PVCLOCK = 1 << 9;
        /// Physical interrupts can be events of an HVM guest.
        #[doc(alias = "XENFEAT_hvm_pirqs")]
        const HVM_PIRQS = 1 << 10;
        /// The guest is dom0.
        #[doc(alias = "XENFEAT_dom0")]
        const DOM0 = 1 << 11;
        /// Virtual NUMA nodes can be named when memory is allocated.
        #[doc(alias = "XENFEAT_memory_op_vnode_supported")]
        const MEMORY_OP_VNODE_SUPPORTED = 1 << 13;
        /// ARM only.
        #[doc(alias = "XENFEAT_ARM_SMCCC_supported")]
        const ARM_SMCCC_SUPPORTED = 1 << 14;
        /// A Linux dom0's ACPI root pointer may be anywhere.
        #[doc(alias = "XENFEAT_linux_rsdp_unrestricted")]
        const LINUX_RSDP_UNRESTRICTED = 1 << 15;
        /// Guest-physical addresses are not the host's.
        #[doc(alias = "XENFEAT_not_direct_mapped")]
        const NOT_DIRECT_MAPPED = 1 << 16;
        /// Guest-physical addresses are the host's.
        #[doc(alias = "XENFEAT_direct_mapped")]
        const DIRECT_MAPPED = 1 << 17;
    }
}
