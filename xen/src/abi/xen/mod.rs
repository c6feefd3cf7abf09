//! Hypercall numbers, reserved domains, virtual interrupts, and what Xen shares with every guest. Headers
//! `xen.h`, `arch-x86/xen.h` and `arch-x86/xen-x86_64.h`, Xen 4.17.
//!
//! `shared_info` and `vcpu_info` are in the file `shared_info.rs`; numbers and flags are here.

mod shared_info;

pub use shared_info::{
    ArchSharedInfo, ArchVcpuInfo, EVTCHN_WORDS, PvclockFlags, SharedInfo, VcpuInfo, VcpuTimeInfo,
    XEN_LEGACY_MAX_VCPUS, offset,
};

use crate::abi::number::numbers;
use bitflags::bitflags;

/// Port of the debug console: Xen prints each byte written here, in builds and at log levels that allow it.
#[doc(alias = "XEN_HVM_DEBUGCONS_IOPORT")]
pub const HVM_DEBUGCONS_IOPORT: u16 = 0xe9;

numbers! {
    /// `__HYPERVISOR_*`: numbers of the hypercalls that a PVH guest may make.
    ///
    /// Source: `xen/include/public/xen.h`, `__HYPERVISOR_set_trap_table` and following, Xen 4.17.
    pub enum Hypercall: u64 {
        /// [`crate::abi::memory::MemoryOp`].
        MemoryOp = 12 => "__HYPERVISOR_memory_op",
        /// Several calls in one.
        Multicall = 13 => "__HYPERVISOR_multicall",
        /// A one-shot timer, without the errors of `VCPUOP_set_singleshot_timer`.
        SetTimerOp = 15 => "__HYPERVISOR_set_timer_op",
        /// [`crate::abi::version::XenVersionOp`].
        XenVersion = 17 => "__HYPERVISOR_xen_version",
        /// Xen's own console.
        ConsoleIo = 18 => "__HYPERVISOR_console_io",
        /// [`crate::abi::grant_table::GrantTableOp`].
        GrantTableOp = 20 => "__HYPERVISOR_grant_table_op",
        /// Assistance for guests; PVH needs one type at most.
        VmAssist = 21 => "__HYPERVISOR_vm_assist",
        /// [`crate::abi::vcpu::VcpuOp`].
        VcpuOp = 24 => "__HYPERVISOR_vcpu_op",
        /// Security modules.
        XsmOp = 27 => "__HYPERVISOR_xsm_op",
        /// [`crate::abi::sched::SchedOp`].
        SchedOp = 29 => "__HYPERVISOR_sched_op",
        /// [`crate::abi::event_channel::EventChannelOp`].
        EventChannelOp = 32 => "__HYPERVISOR_event_channel_op",
        /// Interrupts of hardware.
        PhysdevOp = 33 => "__HYPERVISOR_physdev_op",
        /// [`crate::abi::hvm_op::HvmOp`].
        HvmOp = 34 => "__HYPERVISOR_hvm_op",
        /// Performance counters.
        XenpmuOp = 40 => "__HYPERVISOR_xenpmu_op",
    }
}

numbers! {
    /// `DOMID_*`: domain ids that name no ordinary domain.
    ///
    /// Source: `xen/include/public/xen.h`, `DOMID_SELF` and following, Xen 4.17.
    pub enum ReservedDomId: u16 {
        /// The calling domain. Also the first reserved id, `DOMID_FIRST_RESERVED`.
        Own = 0x7ff0 => "DOMID_SELF",
        /// Owner of memory-mapped devices.
        Io = 0x7ff1 => "DOMID_IO",
        /// Owner of Xen's own memory.
        Xen = 0x7ff2 => "DOMID_XEN",
        /// Owner of shared (copy-on-write) memory.
        Cow = 0x7ff3 => "DOMID_COW",
        /// Owner of memory whose owner is not known.
        Invalid = 0x7ff4 => "DOMID_INVALID",
        /// The idle domain. Also the mask of valid ids, `DOMID_MASK`.
        Idle = 0x7fff => "DOMID_IDLE",
    }
}

/// The calling domain.
pub const DOMID_SELF: u16 = ReservedDomId::Own.raw();
/// Ids from here on name no ordinary domain.
pub const DOMID_FIRST_RESERVED: u16 = 0x7ff0;
/// The bits of a valid domain id.
pub const DOMID_MASK: u16 = 0x7fff;

numbers! {
    /// `VIRQ_*`: virtual interrupts that an ordinary guest may bind. "V": one a vCPU; "G": one a domain.
    ///
    /// Source: `xen/include/public/xen.h`, `enum virq`, Xen 4.17.
    #[doc(alias = "virq")]
    pub enum Virq: u32 {
        /// V. A requested timeout, or new time values.
        Timer = 0 => "VIRQ_TIMER",
        /// V. The administrator asks for debug output.
        Debug = 1 => "VIRQ_DEBUG",
        /// G. A message came by Argo.
        Argo = 11 => "VIRQ_ARGO",
        /// V. Performance counters.
        Xenpmu = 13 => "VIRQ_XENPMU",
    }
}

bitflags! {
    /// `SIF_*`: flags of `hvm_start_info` (and of PV's `start_info`).
    ///
    /// Source: `xen/include/public/xen.h`, `SIF_PRIVILEGED` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StartInfoFlags: u32 {
        /// The domain is privileged.
        #[doc(alias = "SIF_PRIVILEGED")]
        const PRIVILEGED = 0x1;
        /// The domain is the first control domain, dom0.
        #[doc(alias = "SIF_INITDOMAIN")]
        const INITDOMAIN = 0x2;
    }
}
