//! What a guest finds and is told: `xen.h`, `errno.h`, start info, CPUID, ELF notes, features, version.

use crate::Table;
use crate::table::{flags, layout, numbers, values};
use xen::abi::cpuid::{
    CPUID_FIRST_LEAF, CPUID_MAX_NUM_LEAVES, CPUID_SIGNATURE_EBX, CPUID_SIGNATURE_ECX, CPUID_SIGNATURE_EDX,
    HvmCpuidFlags,
};
use xen::abi::elfnote::ElfNote;
use xen::abi::errno::Errno;
use xen::abi::features::{NR_SUBMAPS, XenFeatures};
use xen::abi::hvm_start_info::{
    HVM_START_INFO_V0_BYTES, HVM_START_MAGIC_VALUE, HvmMemmapTableEntry, HvmMemmapType, HvmModlistEntry,
    HvmStartInfo,
};
use xen::abi::version::{
    CAPABILITIES_INFO_BYTES, CHANGESET_INFO_BYTES, EXTRAVERSION_BYTES, XenCompileInfo, XenFeatureInfo,
    XenVersionOp,
};
use xen::abi::xen::{
    ArchSharedInfo, ArchVcpuInfo, DOMID_FIRST_RESERVED, DOMID_MASK, DOMID_SELF, EVTCHN_WORDS,
    HVM_DEBUGCONS_IOPORT, Hypercall, PvclockFlags, ReservedDomId, SharedInfo, StartInfoFlags, VcpuInfo,
    VcpuTimeInfo, Virq, XEN_LEGACY_MAX_VCPUS, offset,
};

pub(super) fn add(table: &mut Table) {
    xen(table);
    shared_info(table);
    errno(table);
    start_info(table);
    cpuid(table);
    numbers!(table, ElfNote);
    features(table);
    version(table);
}

fn xen(table: &mut Table) {
    numbers!(table, Hypercall, ReservedDomId, Virq);
    values!(table,
        "DOMID_SELF" => DOMID_SELF,
        "DOMID_FIRST_RESERVED" => DOMID_FIRST_RESERVED,
        "DOMID_MASK" => DOMID_MASK,
        "DOMID_SELF" => xen::ids::DomId::SELF.0,
        "XEN_HVM_DEBUGCONS_IOPORT" => HVM_DEBUGCONS_IOPORT,
        "XEN_LEGACY_MAX_VCPUS" => XEN_LEGACY_MAX_VCPUS,
        "sizeof(((struct shared_info *)0)->evtchn_pending) / 8" => EVTCHN_WORDS,
    );
    flags!(table, StartInfoFlags { PRIVILEGED: "SIF_PRIVILEGED", INITDOMAIN: "SIF_INITDOMAIN" });
    flags!(
        table,
        PvclockFlags { TSC_STABLE: "XEN_PVCLOCK_TSC_STABLE_BIT", GUEST_STOPPED: "XEN_PVCLOCK_GUEST_STOPPED" }
    );
}

fn shared_info(table: &mut Table) {
    layout!(table, "struct vcpu_time_info" => VcpuTimeInfo {
        version, pad0, tsc_timestamp, system_time, tsc_to_system_mul, tsc_shift, flags, pad1
    });
    layout!(table, "struct arch_vcpu_info" => ArchVcpuInfo { cr2, pad });
    layout!(table, "struct vcpu_info" => VcpuInfo {
        evtchn_upcall_pending, evtchn_upcall_mask, evtchn_pending_sel, arch, time; pad
    });
    layout!(table, "struct arch_shared_info" => ArchSharedInfo {
        max_pfn, pfn_to_mfn_frame_list_list, nmi_reason, p2m_cr3, p2m_vaddr, p2m_generation
    });
    layout!(table, "struct shared_info" => SharedInfo {
        vcpu_info, evtchn_pending, evtchn_mask, wc_version, wc_sec, wc_nsec, wc_sec_hi, arch
    });
    values!(table,
        "offsetof(struct shared_info, vcpu_info)" => offset::shared_info::VCPU_INFO,
        "offsetof(struct shared_info, vcpu_info[1])" => offset::shared_info::VCPU_INFO_BYTES,
        "offsetof(struct shared_info, evtchn_pending)" => offset::shared_info::EVTCHN_PENDING,
        "offsetof(struct shared_info, evtchn_mask)" => offset::shared_info::EVTCHN_MASK,
        "offsetof(struct shared_info, wc_version)" => offset::shared_info::WC_VERSION,
        "offsetof(struct shared_info, wc_sec)" => offset::shared_info::WC_SEC,
        "offsetof(struct shared_info, wc_nsec)" => offset::shared_info::WC_NSEC,
        "offsetof(struct shared_info, wc_sec_hi)" => offset::shared_info::WC_SEC_HI,
        "offsetof(struct vcpu_info, evtchn_upcall_pending)" => offset::vcpu_info::EVTCHN_UPCALL_PENDING,
        "offsetof(struct vcpu_info, evtchn_upcall_mask)" => offset::vcpu_info::EVTCHN_UPCALL_MASK,
        "offsetof(struct vcpu_info, evtchn_pending_sel)" => offset::vcpu_info::EVTCHN_PENDING_SEL,
        "offsetof(struct vcpu_info, time)" => offset::vcpu_info::TIME,
        "offsetof(struct vcpu_time_info, version)" => offset::vcpu_time_info::VERSION,
        "offsetof(struct vcpu_time_info, tsc_timestamp)" => offset::vcpu_time_info::TSC_TIMESTAMP,
        "offsetof(struct vcpu_time_info, system_time)" => offset::vcpu_time_info::SYSTEM_TIME,
        "offsetof(struct vcpu_time_info, tsc_to_system_mul)" => offset::vcpu_time_info::TSC_TO_SYSTEM_MUL,
        "offsetof(struct vcpu_time_info, tsc_shift)" => offset::vcpu_time_info::TSC_SHIFT,
        "offsetof(struct vcpu_time_info, flags)" => offset::vcpu_time_info::FLAGS,
    );
}

fn errno(table: &mut Table) {
    for &(errno, c_name, _) in Errno::C_NAMES {
        table.value(c_name, format!("Errno::{errno:?}"), errno.raw());
    }
    values!(table,
        "XEN_EWOULDBLOCK" => Errno::EWOULDBLOCK.raw(),
        "XEN_EDEADLOCK" => Errno::EDEADLOCK.raw(),
    );
}

fn start_info(table: &mut Table) {
    layout!(table, "struct hvm_start_info" => HvmStartInfo {
        magic, version, flags, nr_modules, modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr,
        memmap_entries, reserved
    });
    layout!(table, "struct hvm_modlist_entry" => HvmModlistEntry { paddr, size, cmdline_paddr, reserved });
    layout!(table, "struct hvm_memmap_table_entry" => HvmMemmapTableEntry {
        addr, size, kind as "type", reserved
    });
    values!(table,
        "XEN_HVM_START_MAGIC_VALUE" => HVM_START_MAGIC_VALUE,
        "offsetof(struct hvm_start_info, memmap_paddr)" => HVM_START_INFO_V0_BYTES,
    );
    numbers!(table, HvmMemmapType);
}

fn cpuid(table: &mut Table) {
    values!(table,
        "XEN_CPUID_FIRST_LEAF" => CPUID_FIRST_LEAF,
        "XEN_CPUID_SIGNATURE_EBX" => CPUID_SIGNATURE_EBX,
        "XEN_CPUID_SIGNATURE_ECX" => CPUID_SIGNATURE_ECX,
        "XEN_CPUID_SIGNATURE_EDX" => CPUID_SIGNATURE_EDX,
        "XEN_CPUID_MAX_NUM_LEAVES" => CPUID_MAX_NUM_LEAVES,
    );
    flags!(
        table,
        HvmCpuidFlags {
            APIC_ACCESS_VIRT: "XEN_HVM_CPUID_APIC_ACCESS_VIRT",
            X2APIC_VIRT: "XEN_HVM_CPUID_X2APIC_VIRT",
            IOMMU_MAPPINGS: "XEN_HVM_CPUID_IOMMU_MAPPINGS",
            VCPU_ID_PRESENT: "XEN_HVM_CPUID_VCPU_ID_PRESENT",
            DOMID_PRESENT: "XEN_HVM_CPUID_DOMID_PRESENT",
            EXT_DEST_ID: "XEN_HVM_CPUID_EXT_DEST_ID",
            UPCALL_VECTOR: "XEN_HVM_CPUID_UPCALL_VECTOR",
        }
    );
}

fn features(table: &mut Table) {
    values!(table, "XENFEAT_NR_SUBMAPS" => NR_SUBMAPS);
    flags!(
        table,
        XenFeatures {
            WRITABLE_PAGE_TABLES: "1u << XENFEAT_writable_page_tables",
            WRITABLE_DESCRIPTOR_TABLES: "1u << XENFEAT_writable_descriptor_tables",
            AUTO_TRANSLATED_PHYSMAP: "1u << XENFEAT_auto_translated_physmap",
            SUPERVISOR_MODE_KERNEL: "1u << XENFEAT_supervisor_mode_kernel",
            PAE_PGDIR_ABOVE_4GB: "1u << XENFEAT_pae_pgdir_above_4gb",
            MMU_PT_UPDATE_PRESERVE_AD: "1u << XENFEAT_mmu_pt_update_preserve_ad",
            HIGHMEM_ASSIST: "1u << XENFEAT_highmem_assist",
            GNTTAB_MAP_AVAIL_BITS: "1u << XENFEAT_gnttab_map_avail_bits",
            HVM_CALLBACK_VECTOR: "1u << XENFEAT_hvm_callback_vector",
            HVM_SAFE_PVCLOCK: "1u << XENFEAT_hvm_safe_pvclock",
            HVM_PIRQS: "1u << XENFEAT_hvm_pirqs",
            DOM0: "1u << XENFEAT_dom0",
            MEMORY_OP_VNODE_SUPPORTED: "1u << XENFEAT_memory_op_vnode_supported",
            ARM_SMCCC_SUPPORTED: "1u << XENFEAT_ARM_SMCCC_supported",
            LINUX_RSDP_UNRESTRICTED: "1u << XENFEAT_linux_rsdp_unrestricted",
            NOT_DIRECT_MAPPED: "1u << XENFEAT_not_direct_mapped",
            DIRECT_MAPPED: "1u << XENFEAT_direct_mapped",
        }
    );
}

fn version(table: &mut Table) {
    numbers!(table, XenVersionOp);
    values!(table,
        "XEN_EXTRAVERSION_LEN" => EXTRAVERSION_BYTES,
        "XEN_CAPABILITIES_INFO_LEN" => CAPABILITIES_INFO_BYTES,
        "XEN_CHANGESET_INFO_LEN" => CHANGESET_INFO_BYTES,
    );
    layout!(table, "struct xen_compile_info" => XenCompileInfo {
        compiler, compile_by, compile_domain, compile_date
    });
    layout!(table, "struct xen_feature_info" => XenFeatureInfo { submap_idx, submap });
}
