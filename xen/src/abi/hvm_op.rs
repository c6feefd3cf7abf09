//! What only HVM and PVH guests ask for. Header `hvm/hvm_op.h`, Xen 4.17.
//!
//! A guest asks with `HYPERVISOR_hvm_op(command, argument)`.

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

numbers! {
    /// `HVMOP_*`: commands of `HYPERVISOR_hvm_op` that a guest may use.
    ///
    /// Source: `xen/include/public/hvm/hvm_op.h`, `HVMOP_set_param` and following, Xen 4.17.
    pub enum HvmOp: u32 {
        /// Argument: [`XenHvmParam`].
        SetParam = 0 => "HVMOP_set_param",
        /// Argument: [`XenHvmParam`].
        GetParam = 1 => "HVMOP_get_param",
        /// No argument.
        FlushTlbs = 5 => "HVMOP_flush_tlbs",
        /// A hint for Xen's shadow page tables.
        PagetableDying = 9 => "HVMOP_pagetable_dying",
        /// Argument: [`XenHvmGetTime`].
        GetTime = 10 => "HVMOP_get_time",
        /// What a guest frame is.
        GetMemType = 15 => "HVMOP_get_mem_type",
        /// Argument: [`XenHvmEvtchnUpcallVector`].
        SetEvtchnUpcallVector = 23 => "HVMOP_set_evtchn_upcall_vector",
    }
}

/// `HVMOP_{get,set}_param`: a parameter of the domain; 16 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | domid | in         | whose: `DOMID_SELF` |
/// |      2 |    2 | pad   | in         | zero |
/// |      4 |    4 | index | in         | [`crate::abi::hvm_params::HvmParam`] |
/// |      8 |    8 | value | both       | in to set, out to get |
///
/// Source: `xen/include/public/hvm/hvm_op.h`, `struct xen_hvm_param`, Xen 4.17.
#[doc(alias = "xen_hvm_param")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenHvmParam {
    /// In: whose.
    pub domid: u16,
    /// Zero.
    pub pad: u16,
    /// In: which.
    pub index: u32,
    /// In or out: its value.
    pub value: u64,
}
assert_layout!(XenHvmParam, 16, { domid: 0, pad: 2, index: 4, value: 8 });

/// `HVMOP_get_time`: Xen's system time; 8 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    8 | now   | out        | ns since boot |
///
/// Source: `xen/include/public/hvm/hvm_op.h`, `struct xen_hvm_get_time`, Xen 4.17.
#[doc(alias = "xen_hvm_get_time")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenHvmGetTime {
    /// Out: nanoseconds since boot.
    pub now: u64,
}
assert_layout!(XenHvmGetTime, 8, { now: 0 });

/// `HVMOP_set_evtchn_upcall_vector`: the vector by which events interrupt one vCPU; 8 bytes.
///
/// It comes before the domain-wide `HVM_PARAM_CALLBACK_IRQ`, and is delivered through the vCPU's local APIC, which
/// must be enabled. Not kept over save and restore.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    4 | vcpu   | in         | whose |
/// |      4 |    1 | vector | in         | 0x10 or higher |
/// |      5 |    3 | pad    | –          | padding in C |
///
/// Source: `xen/include/public/hvm/hvm_op.h`, `struct xen_hvm_evtchn_upcall_vector`, Xen 4.17.
#[doc(alias = "xen_hvm_evtchn_upcall_vector")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenHvmEvtchnUpcallVector {
    /// In: whose.
    pub vcpu: u32,
    /// In: the vector.
    pub vector: u8,
    /// Padding.
    pub pad: [u8; 3],
}
assert_layout!(XenHvmEvtchnUpcallVector, 8, { vcpu: 0, vector: 4, pad: 5 });
