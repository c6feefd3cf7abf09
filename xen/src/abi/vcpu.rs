//! One vCPU: its timers, its state, and where Xen writes its information. Header `vcpu.h`, Xen 4.17.
//!
//! A guest asks with `HYPERVISOR_vcpu_op(command, vcpu, argument)`.

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

numbers! {
    /// `VCPUOP_*`: commands of `HYPERVISOR_vcpu_op`.
    ///
    /// Source: `xen/include/public/vcpu.h`, `VCPUOP_initialise` and following, Xen 4.17.
    pub enum VcpuOp: u32 {
        /// Argument: the first state of a vCPU.
        Initialise = 0 => "VCPUOP_initialise",
        /// No argument. Starts an initialised vCPU.
        Up = 1 => "VCPUOP_up",
        /// No argument. Stops a vCPU.
        Down = 2 => "VCPUOP_down",
        /// No argument. Returns 1 if it runs.
        IsUp = 3 => "VCPUOP_is_up",
        /// Argument: [`VcpuRunstateInfo`].
        GetRunstateInfo = 4 => "VCPUOP_get_runstate_info",
        /// Argument: [`VcpuRegisterRunstateMemoryArea`].
        RegisterRunstateMemoryArea = 5 => "VCPUOP_register_runstate_memory_area",
        /// Argument: [`VcpuSetPeriodicTimer`].
        SetPeriodicTimer = 6 => "VCPUOP_set_periodic_timer",
        /// No argument.
        StopPeriodicTimer = 7 => "VCPUOP_stop_periodic_timer",
        /// Argument: [`VcpuSetSingleshotTimer`].
        SetSingleshotTimer = 8 => "VCPUOP_set_singleshot_timer",
        /// No argument.
        StopSingleshotTimer = 9 => "VCPUOP_stop_singleshot_timer",
        /// Argument: [`VcpuRegisterVcpuInfo`].
        RegisterVcpuInfo = 10 => "VCPUOP_register_vcpu_info",
        /// No argument.
        SendNmi = 11 => "VCPUOP_send_nmi",
        /// Which CPU of the host a pinned vCPU runs on.
        GetPhysid = 12 => "VCPUOP_get_physid",
        /// Argument: [`VcpuRegisterTimeMemoryArea`].
        RegisterVcpuTimeMemoryArea = 13 => "VCPUOP_register_vcpu_time_memory_area",
    }
}

numbers! {
    /// `RUNSTATE_*`: what a vCPU does.
    ///
    /// Source: `xen/include/public/vcpu.h`, `RUNSTATE_running` and following, Xen 4.17.
    pub enum Runstate: i32 {
        /// It runs.
        Running = 0 => "RUNSTATE_running",
        /// It could run, but another one does: "stolen" time.
        Runnable = 1 => "RUNSTATE_runnable",
        /// It waits for an event.
        Blocked = 2 => "RUNSTATE_blocked",
        /// It is stopped from outside.
        Offline = 3 => "RUNSTATE_offline",
    }
}

/// Bit of [`VcpuRunstateInfo::state_entry_time`] that is set while Xen writes, if the guest asked for that.
#[doc(alias = "XEN_RUNSTATE_UPDATE")]
pub const RUNSTATE_UPDATE: u64 = 1 << 63;

/// `VCPUOP_get_runstate_info`: time that a vCPU spent in each state; 48 bytes.
///
/// | offset | size | field            | written by | meaning |
/// |-------:|-----:|------------------|------------|---------|
/// |      0 |    4 | state            | Xen        | [`Runstate`] |
/// |      4 |    4 | pad              | –          | padding in C |
/// |      8 |    8 | state_entry_time | Xen        | system time when it began, ns; with [`RUNSTATE_UPDATE`] |
/// |     16 |   32 | time             | Xen        | ns spent in each [`Runstate`] |
///
/// Source: `xen/include/public/vcpu.h`, `struct vcpu_runstate_info`, Xen 4.17.
#[doc(alias = "vcpu_runstate_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuRunstateInfo {
    /// [`Runstate`].
    pub state: i32,
    /// Padding.
    pub pad: u32,
    /// System time when the state began.
    pub state_entry_time: u64,
    /// Nanoseconds in each state.
    pub time: [u64; 4],
}
assert_layout!(VcpuRunstateInfo, 48, { state: 0, pad: 4, state_entry_time: 8, time: 16 });

/// `VCPUOP_register_runstate_memory_area`: where Xen keeps a [`VcpuRunstateInfo`] up to date; 8 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    8 | addr  | in         | virtual address |
///
/// Source: `xen/include/public/vcpu.h`, `struct vcpu_register_runstate_memory_area`, Xen 4.17.
#[doc(alias = "vcpu_register_runstate_memory_area")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuRegisterRunstateMemoryArea {
    /// In: virtual address.
    pub addr: u64,
}
assert_layout!(VcpuRegisterRunstateMemoryArea, 8, { addr: 0 });

/// `VCPUOP_set_periodic_timer`: a tick; 8 bytes.
///
/// | offset | size | field     | written by | meaning |
/// |-------:|-----:|-----------|------------|---------|
/// |      0 |    8 | period_ns | in         | ns, at least a millisecond |
///
/// Source: `xen/include/public/vcpu.h`, `struct vcpu_set_periodic_timer`, Xen 4.17.
#[doc(alias = "vcpu_set_periodic_timer")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuSetPeriodicTimer {
    /// In: nanoseconds.
    pub period_ns: u64,
}
assert_layout!(VcpuSetPeriodicTimer, 8, { period_ns: 0 });

bitflags! {
    /// `VCPU_SSHOTTMR_*`: flags of [`VcpuSetSingleshotTimer`].
    ///
    /// Source: `xen/include/public/vcpu.h`, `VCPU_SSHOTTMR_future`, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct VcpuSshottmrFlags: u32 {
        /// Refuse a deadline in the past with `ETIME`, where Xen knows how to.
        #[doc(alias = "VCPU_SSHOTTMR_future")]
        const FUTURE = 0x1;
    }
}

/// `VCPUOP_set_singleshot_timer`: `VIRQ_TIMER` at a system time; 16 bytes.
///
/// | offset | size | field          | written by | meaning |
/// |-------:|-----:|----------------|------------|---------|
/// |      0 |    8 | timeout_abs_ns | in         | system time, ns |
/// |      8 |    4 | flags          | in         | [`VcpuSshottmrFlags`] |
/// |     12 |    4 | pad            | –          | padding in C |
///
/// Source: `xen/include/public/vcpu.h`, `struct vcpu_set_singleshot_timer`, Xen 4.17.
#[doc(alias = "vcpu_set_singleshot_timer")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuSetSingleshotTimer {
    /// In: system time in nanoseconds.
    pub timeout_abs_ns: u64,
    /// In: [`VcpuSshottmrFlags`].
    pub flags: u32,
    /// Padding.
    pub pad: u32,
}
assert_layout!(VcpuSetSingleshotTimer, 16, { timeout_abs_ns: 0, flags: 8, pad: 12 });

/// `VCPUOP_register_vcpu_info`: where [`crate::abi::xen::VcpuInfo`] is from now on; 16 bytes.
///
/// It must not cross the end of a page. Once a vCPU, and again after a restore.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    8 | mfn    | in         | the page; the gfn for a PVH guest |
/// |      8 |    4 | offset | in         | in the page, bytes |
/// |     12 |    4 | rsvd   | in         | zero |
///
/// Source: `xen/include/public/vcpu.h`, `struct vcpu_register_vcpu_info`, Xen 4.17.
#[doc(alias = "vcpu_register_vcpu_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuRegisterVcpuInfo {
    /// In: the page; the gfn for a PVH guest.
    pub mfn: u64,
    /// In: in the page, bytes.
    pub offset: u32,
    /// Zero.
    pub rsvd: u32,
}
assert_layout!(VcpuRegisterVcpuInfo, 16, { mfn: 0, offset: 8, rsvd: 12 });

/// `VCPUOP_register_vcpu_time_memory_area`: where Xen keeps a second [`crate::abi::xen::VcpuTimeInfo`]; 8 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    8 | addr  | in         | virtual address |
///
/// Source: `xen/include/public/vcpu.h`, `struct vcpu_register_time_memory_area`, Xen 4.17.
#[doc(alias = "vcpu_register_time_memory_area")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuRegisterTimeMemoryArea {
    /// In: virtual address.
    pub addr: u64,
}
assert_layout!(VcpuRegisterTimeMemoryArea, 8, { addr: 0 });
