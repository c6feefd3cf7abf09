//! What Xen shares with a guest: `shared_info`, `vcpu_info` and the clock in it. Headers `xen.h`,
//! `arch-x86/xen.h` and `arch-x86/xen-x86_64.h`, Xen 4.17.
//!
//! `shared_info` is one page that Xen and all vCPUs of the guest write at any time: the types say where fields
//! are, and code reaches them through [`offset`], never through a reference.
//!
//! ```text
//! 0              2048              2560           3072
//! | vcpu_info×32 | evtchn_pending  | evtchn_mask  | wall clock | arch |
//! ```

use crate::abi::layout::assert_layout;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// vCPUs that have a `vcpu_info` in `shared_info`; those above must register one elsewhere.
pub const XEN_LEGACY_MAX_VCPUS: usize = 32;
/// 64-bit words of `evtchn_pending` and of `evtchn_mask`.
pub const EVTCHN_WORDS: usize = 64;

/// Time of one vCPU, a sequence lock over a linear function of the TSC; 32 bytes.
///
/// `version` is odd while Xen writes, and another value after it wrote: read it, read the fields, read it again.
/// System time in ns = `system_time + (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32)`.
///
/// | offset | size | field             | written by | meaning |
/// |-------:|-----:|-------------------|------------|---------|
/// |      0 |    4 | version           | Xen        | sequence lock |
/// |      4 |    4 | pad0              | –          | |
/// |      8 |    8 | tsc_timestamp     | Xen        | TSC when it wrote |
/// |     16 |    8 | system_time       | Xen        | ns since boot at that time |
/// |     24 |    4 | tsc_to_system_mul | Xen        | ns per 2^32 shifted ticks |
/// |     28 |    1 | tsc_shift         | Xen        | shift left, or right if negative |
/// |     29 |    1 | flags             | Xen        | [`PvclockFlags`] |
/// |     30 |    2 | pad1              | –          | |
///
/// Source: `xen/include/public/xen.h`, `struct vcpu_time_info`, Xen 4.17.
#[doc(alias = "vcpu_time_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuTimeInfo {
    /// Sequence lock; odd while Xen writes.
    pub version: u32,
    /// Padding.
    pub pad0: u32,
    /// TSC when Xen wrote.
    pub tsc_timestamp: u64,
    /// Nanoseconds since boot at that time.
    pub system_time: u64,
    /// Nanoseconds per 2^32 shifted ticks.
    pub tsc_to_system_mul: u32,
    /// Shift of the ticks: left, or right if negative.
    pub tsc_shift: i8,
    /// [`PvclockFlags`].
    pub flags: u8,
    /// Padding.
    pub pad1: [u8; 2],
}
assert_layout!(VcpuTimeInfo, 32, {
    version: 0, pad0: 4, tsc_timestamp: 8, system_time: 16, tsc_to_system_mul: 24, tsc_shift: 28, flags: 29,
    pad1: 30,
});

bitflags! {
    /// `XEN_PVCLOCK_*`: flags of [`VcpuTimeInfo`].
    ///
    /// Source: `xen/include/public/xen.h`, `XEN_PVCLOCK_TSC_STABLE_BIT` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PvclockFlags: u8 {
        /// The TSC is the same on all vCPUs.
        #[doc(alias = "XEN_PVCLOCK_TSC_STABLE_BIT")]
        const TSC_STABLE = 0x1;
        /// The guest was stopped by its host.
        #[doc(alias = "XEN_PVCLOCK_GUEST_STOPPED")]
        const GUEST_STOPPED = 0x2;
    }
}

/// Architecture's part of [`VcpuInfo`]; 16 bytes, for PV guests only.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    8 | cr2   | Xen        | address of a PV page fault |
/// |      8 |    8 | pad   | –          | |
///
/// Source: `xen/include/public/arch-x86/xen-x86_64.h`, `struct arch_vcpu_info`, Xen 4.17.
#[doc(alias = "arch_vcpu_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ArchVcpuInfo {
    /// Address of a PV guest's page fault.
    pub cr2: u64,
    /// Padding.
    pub pad: u64,
}
assert_layout!(ArchVcpuInfo, 16, { cr2: 0, pad: 8 });

/// What Xen shares with one vCPU: its events and its time; 64 bytes.
///
/// | offset | size | field                 | written by | meaning |
/// |-------:|-----:|-----------------------|------------|---------|
/// |      0 |    1 | evtchn_upcall_pending | both       | an upcall is due; cleared by the guest before it looks |
/// |      1 |    1 | evtchn_upcall_mask    | guest      | no upcalls; PV guests only |
/// |      2 |    6 | pad                   | –          | padding in C |
/// |      8 |    8 | evtchn_pending_sel    | both       | a bit for each word of `evtchn_pending` that may have one |
/// |     16 |   16 | arch                  | Xen        | [`ArchVcpuInfo`] |
/// |     32 |   32 | time                  | Xen        | [`VcpuTimeInfo`] |
///
/// Source: `xen/include/public/xen.h`, `struct vcpu_info`, Xen 4.17.
#[doc(alias = "vcpu_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuInfo {
    /// An upcall is due.
    pub evtchn_upcall_pending: u8,
    /// No upcalls; PV guests only.
    pub evtchn_upcall_mask: u8,
    /// Padding.
    pub pad: [u8; 6],
    /// A bit for each word of `evtchn_pending` that may have a bit set.
    pub evtchn_pending_sel: u64,
    /// The architecture's part.
    pub arch: ArchVcpuInfo,
    /// System time.
    pub time: VcpuTimeInfo,
}
assert_layout!(VcpuInfo, 64, {
    evtchn_upcall_pending: 0, evtchn_upcall_mask: 1, pad: 2, evtchn_pending_sel: 8, arch: 16, time: 32,
});

/// Architecture's part of [`SharedInfo`]; 48 bytes, for PV guests only.
///
/// | offset | size | field                      | written by | meaning |
/// |-------:|-----:|----------------------------|------------|---------|
/// |      0 |    8 | max_pfn                    | guest      | PV |
/// |      8 |    8 | pfn_to_mfn_frame_list_list | guest      | PV |
/// |     16 |    8 | nmi_reason                 | Xen        | dom0 |
/// |     24 |    8 | p2m_cr3                    | guest      | PV |
/// |     32 |    8 | p2m_vaddr                  | guest      | PV |
/// |     40 |    8 | p2m_generation             | guest      | PV |
///
/// Source: `xen/include/public/arch-x86/xen.h`, `struct arch_shared_info`, Xen 4.17.
#[doc(alias = "arch_shared_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ArchSharedInfo {
    /// PV only.
    pub max_pfn: u64,
    /// PV only.
    pub pfn_to_mfn_frame_list_list: u64,
    /// dom0 only.
    pub nmi_reason: u64,
    /// PV only.
    pub p2m_cr3: u64,
    /// PV only.
    pub p2m_vaddr: u64,
    /// PV only.
    pub p2m_generation: u64,
}
assert_layout!(ArchSharedInfo, 48, {
    max_pfn: 0, pfn_to_mfn_frame_list_list: 8, nmi_reason: 16, p2m_cr3: 24, p2m_vaddr: 32, p2m_generation: 40,
});

/// What Xen shares with a domain, in a page of its own; 3136 bytes.
///
/// | offset | size | field          | written by | meaning |
/// |-------:|-----:|----------------|------------|---------|
/// |      0 | 2048 | vcpu_info      | both       | [`VcpuInfo`] of the first 32 vCPUs |
/// |   2048 |  512 | evtchn_pending | both       | a bit a port: set by Xen, cleared by the guest |
/// |   2560 |  512 | evtchn_mask    | guest      | a bit a port: no upcall |
/// |   3072 |    4 | wc_version     | Xen        | sequence lock, as [`VcpuTimeInfo::version`] |
/// |   3076 |    4 | wc_sec         | Xen        | Unix time at system time 0, low half |
/// |   3080 |    4 | wc_nsec        | Xen        | and its nanoseconds |
/// |   3084 |    4 | wc_sec_hi      | Xen        | Unix time at system time 0, high half |
/// |   3088 |   48 | arch           | both       | [`ArchSharedInfo`] |
///
/// Source: `xen/include/public/xen.h`, `struct shared_info`, Xen 4.17.
#[doc(alias = "shared_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SharedInfo {
    /// Of the first 32 vCPUs.
    pub vcpu_info: [VcpuInfo; XEN_LEGACY_MAX_VCPUS],
    /// A bit a port: an event came.
    pub evtchn_pending: [u64; EVTCHN_WORDS],
    /// A bit a port: no upcall.
    pub evtchn_mask: [u64; EVTCHN_WORDS],
    /// Sequence lock of the wall clock.
    pub wc_version: u32,
    /// Unix time at system time 0, low half.
    pub wc_sec: u32,
    /// Its nanoseconds.
    pub wc_nsec: u32,
    /// Unix time at system time 0, high half.
    pub wc_sec_hi: u32,
    /// The architecture's part.
    pub arch: ArchSharedInfo,
}
assert_layout!(SharedInfo, 3136, {
    vcpu_info: 0, evtchn_pending: 2048, evtchn_mask: 2560, wc_version: 3072, wc_sec: 3076, wc_nsec: 3080,
    wc_sec_hi: 3084, arch: 3088,
});

/// Offsets in bytes, for access through shared memory.
pub mod offset {
    /// In the page of [`SharedInfo`](super::SharedInfo).
    pub mod shared_info {
        use super::super::{SharedInfo, VcpuInfo};
        use core::mem::offset_of;

        /// Of the first [`VcpuInfo`]; the others follow, [`VCPU_INFO_BYTES`] apart.
        pub const VCPU_INFO: usize = offset_of!(SharedInfo, vcpu_info);
        /// From one [`VcpuInfo`] to the next.
        pub const VCPU_INFO_BYTES: usize = size_of::<VcpuInfo>();
        /// Of the first 64-bit word of `evtchn_pending`.
        pub const EVTCHN_PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
        /// Of the first 64-bit word of `evtchn_mask`.
        pub const EVTCHN_MASK: usize = offset_of!(SharedInfo, evtchn_mask);
        /// Of `wc_version`.
        pub const WC_VERSION: usize = offset_of!(SharedInfo, wc_version);
        /// Of `wc_sec`.
        pub const WC_SEC: usize = offset_of!(SharedInfo, wc_sec);
        /// Of `wc_nsec`.
        pub const WC_NSEC: usize = offset_of!(SharedInfo, wc_nsec);
        /// Of `wc_sec_hi`.
        pub const WC_SEC_HI: usize = offset_of!(SharedInfo, wc_sec_hi);
    }

    /// In a [`VcpuInfo`](super::VcpuInfo).
    pub mod vcpu_info {
        use super::super::VcpuInfo;
        use core::mem::offset_of;

        /// Of `evtchn_upcall_pending`, one byte.
        pub const EVTCHN_UPCALL_PENDING: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);
        /// Of `evtchn_upcall_mask`, one byte.
        pub const EVTCHN_UPCALL_MASK: usize = offset_of!(VcpuInfo, evtchn_upcall_mask);
        /// Of `evtchn_pending_sel`.
        pub const EVTCHN_PENDING_SEL: usize = offset_of!(VcpuInfo, evtchn_pending_sel);
        /// Of `time`, a [`VcpuTimeInfo`](super::super::VcpuTimeInfo).
        pub const TIME: usize = offset_of!(VcpuInfo, time);
    }

    /// In a [`VcpuTimeInfo`](super::VcpuTimeInfo).
    pub mod vcpu_time_info {
        use super::super::VcpuTimeInfo;
        use core::mem::offset_of;

        /// Of `version`.
        pub const VERSION: usize = offset_of!(VcpuTimeInfo, version);
        /// Of `tsc_timestamp`.
        pub const TSC_TIMESTAMP: usize = offset_of!(VcpuTimeInfo, tsc_timestamp);
        /// Of `system_time`.
        pub const SYSTEM_TIME: usize = offset_of!(VcpuTimeInfo, system_time);
        /// Of `tsc_to_system_mul`.
        pub const TSC_TO_SYSTEM_MUL: usize = offset_of!(VcpuTimeInfo, tsc_to_system_mul);
        /// Of `tsc_shift`, one signed byte.
        pub const TSC_SHIFT: usize = offset_of!(VcpuTimeInfo, tsc_shift);
        /// Of `flags`, one byte.
        pub const FLAGS: usize = offset_of!(VcpuTimeInfo, flags);
    }
}
