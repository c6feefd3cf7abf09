//! The guest's physical memory. Header `memory.h`, Xen 4.17.
//!
//! A PVH guest asks with `HYPERVISOR_memory_op(command, argument)`, to put Xen's own frames (`shared_info`, the
//! grant table) into its physical map, to make holes in it and to fill them. Guest frame numbers are called
//! `gpfn` in this header. Addresses of arrays are 64-bit numbers here.

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

numbers! {
    /// `XENMEM_*`: commands of `HYPERVISOR_memory_op` that a PVH guest may use.
    ///
    /// Source: `xen/include/public/memory.h`, `XENMEM_increase_reservation` and following, Xen 4.17.
    pub enum MemoryOp: u32 {
        /// Argument: [`XenMemoryReservation`]. Returns how many extents were done.
        IncreaseReservation = 0 => "XENMEM_increase_reservation",
        /// Argument: [`XenMemoryReservation`]. Returns how many extents were done.
        DecreaseReservation = 1 => "XENMEM_decrease_reservation",
        /// No argument. Returns the host's highest frame of memory.
        MaximumRamPage = 2 => "XENMEM_maximum_ram_page",
        /// Argument: [`XenMemoryDomain`]. Returns pages.
        CurrentReservation = 3 => "XENMEM_current_reservation",
        /// Argument: [`XenMemoryDomain`]. Returns pages.
        MaximumReservation = 4 => "XENMEM_maximum_reservation",
        /// Argument: [`XenMemoryReservation`]. Returns how many extents were done.
        PopulatePhysmap = 6 => "XENMEM_populate_physmap",
        /// Argument: [`XenAddToPhysmap`].
        AddToPhysmap = 7 => "XENMEM_add_to_physmap",
        /// Argument: [`XenMemoryMap`].
        MemoryMap = 9 => "XENMEM_memory_map",
        /// Argument: [`XenMemoryDomain`]. Returns the highest frame in use.
        MaximumGpfn = 14 => "XENMEM_maximum_gpfn",
        /// Argument: [`XenRemoveFromPhysmap`].
        RemoveFromPhysmap = 15 => "XENMEM_remove_from_physmap",
        /// Argument: [`XenAddToPhysmapBatch`].
        AddToPhysmapBatch = 23 => "XENMEM_add_to_physmap_batch",
    }
}

numbers! {
    /// `XENMAPSPACE_*`: where a frame comes from that is put into the physical map.
    ///
    /// Source: `xen/include/public/memory.h`, `enum phys_map_space`, Xen 4.17.
    #[doc(alias = "phys_map_space")]
    pub enum MapSpace: u32 {
        /// The page of `shared_info`.
        SharedInfo = 0 => "XENMAPSPACE_shared_info",
        /// A page of the grant table; the table grows as far as the index needs.
        GrantTable = 1 => "XENMAPSPACE_grant_table",
        /// A frame of the same domain: it moves.
        Gmfn = 2 => "XENMAPSPACE_gmfn",
        /// Frames of the same domain in a row; not in batches.
        GmfnRange = 3 => "XENMAPSPACE_gmfn_range",
        /// A frame of another domain; in batches only.
        GmfnForeign = 4 => "XENMAPSPACE_gmfn_foreign",
        /// ARM only.
        DevMmio = 5 => "XENMAPSPACE_dev_mmio",
    }
}

bitflags! {
    /// `XENMEMF_*`: how memory is to be allocated. The low 8 bits limit the width of addresses.
    ///
    /// Source: `xen/include/public/memory.h`, `XENMEMF_populate_on_demand` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct XenMemFlags: u32 {
        /// Allocate at first use; for toolstacks.
        #[doc(alias = "XENMEMF_populate_on_demand")]
        const POPULATE_ON_DEMAND = 0x1_0000;
        /// From the given NUMA node or not at all.
        #[doc(alias = "XENMEMF_exact_node_request")]
        const EXACT_NODE_REQUEST = 0x2_0000;
        /// The given NUMA node is a virtual one.
        #[doc(alias = "XENMEMF_vnode")]
        const VNODE = 0x4_0000;
    }
}

/// `XENMEM_add_to_physmap`: puts a frame into the physical map; 24 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | domid | in         | whose map: `DOMID_SELF` |
/// |      2 |    2 | size  | in         | frames, for [`MapSpace::GmfnRange`] only |
/// |      4 |    4 | space | in         | [`MapSpace`] |
/// |      8 |    8 | idx   | in         | index in that space |
/// |     16 |    8 | gpfn  | in         | where: guest frame number |
///
/// Source: `xen/include/public/memory.h`, `struct xen_add_to_physmap`, Xen 4.17.
#[doc(alias = "xen_add_to_physmap")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenAddToPhysmap {
    /// In: whose map.
    pub domid: u16,
    /// In: frames, for a range only.
    pub size: u16,
    /// In: [`MapSpace`].
    pub space: u32,
    /// In: index in that space.
    pub idx: u64,
    /// In: where.
    pub gpfn: u64,
}
assert_layout!(XenAddToPhysmap, 24, { domid: 0, size: 2, space: 4, idx: 8, gpfn: 16 });

/// `XENMEM_add_to_physmap_batch`: puts frames into the physical map; 32 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | domid | in         | whose map: `DOMID_SELF` |
/// |      2 |    2 | space | in         | [`MapSpace`], as 16 bits |
/// |      4 |    2 | size  | in         | frames |
/// |      6 |    2 | u     | in         | for [`MapSpace::GmfnForeign`] the other domain, else 0 |
/// |      8 |    8 | idxs  | in         | address of the indexes, `u64` each |
/// |     16 |    8 | gpfns | in         | address of the guest frame numbers, `u64` each |
/// |     24 |    8 | errs  | in         | address of the results, `i32` each, which Xen writes |
///
/// Source: `xen/include/public/memory.h`, `struct xen_add_to_physmap_batch`, Xen 4.17.
#[doc(alias = "xen_add_to_physmap_batch")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenAddToPhysmapBatch {
    /// In: whose map.
    pub domid: u16,
    /// In: [`MapSpace`], as 16 bits.
    pub space: u16,
    /// In: frames.
    pub size: u16,
    /// In: the other domain, or 0.
    #[doc(alias = "foreign_domid")]
    pub u: u16,
    /// In: address of the indexes.
    pub idxs: u64,
    /// In: address of the guest frame numbers.
    pub gpfns: u64,
    /// In: address of the results.
    pub errs: u64,
}
assert_layout!(XenAddToPhysmapBatch, 32, { domid: 0, space: 2, size: 4, u: 6, idxs: 8, gpfns: 16, errs: 24 });

/// `XENMEM_remove_from_physmap`: makes a hole in the physical map; 16 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | domid | in         | whose map: `DOMID_SELF` |
/// |      2 |    6 | pad   | –          | padding in C |
/// |      8 |    8 | gpfn  | in         | where: guest frame number |
///
/// Source: `xen/include/public/memory.h`, `struct xen_remove_from_physmap`, Xen 4.17.
#[doc(alias = "xen_remove_from_physmap")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenRemoveFromPhysmap {
    /// In: whose map.
    pub domid: u16,
    /// Padding.
    pub pad: [u16; 3],
    /// In: where.
    pub gpfn: u64,
}
assert_layout!(XenRemoveFromPhysmap, 16, { domid: 0, pad: 2, gpfn: 8 });

/// `XENMEM_{increase,decrease}_reservation`, `XENMEM_populate_physmap`; 32 bytes.
///
/// | offset | size | field        | written by | meaning |
/// |-------:|-----:|--------------|------------|---------|
/// |      0 |    8 | extent_start | in         | address of guest frame numbers, `u64` each |
/// |      8 |    8 | nr_extents   | in         | how many |
/// |     16 |    4 | extent_order | in         | each is 2^this pages |
/// |     20 |    4 | mem_flags    | in         | [`XenMemFlags`] |
/// |     24 |    2 | domid        | in         | whose: `DOMID_SELF` |
/// |     26 |    6 | pad          | –          | padding in C |
///
/// Source: `xen/include/public/memory.h`, `struct xen_memory_reservation`, Xen 4.17.
#[doc(alias = "xen_memory_reservation")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenMemoryReservation {
    /// In: address of the guest frame numbers.
    pub extent_start: u64,
    /// In: how many.
    pub nr_extents: u64,
    /// In: each is 2^this pages.
    pub extent_order: u32,
    /// In: [`XenMemFlags`].
    pub mem_flags: u32,
    /// In: whose.
    pub domid: u16,
    /// Padding.
    pub pad: [u16; 3],
}
assert_layout!(XenMemoryReservation, 32, {
    extent_start: 0, nr_extents: 8, extent_order: 16, mem_flags: 20, domid: 24, pad: 26,
});

/// `XENMEM_{current,maximum}_reservation`, `XENMEM_maximum_gpfn`; 2 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | domid | in         | whose: `DOMID_SELF` |
///
/// Source: `xen/include/public/memory.h`, `struct xen_memory_domain`, Xen 4.17.
#[doc(alias = "xen_memory_domain")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenMemoryDomain {
    /// In: whose.
    pub domid: u16,
}
assert_layout!(XenMemoryDomain, 2, { domid: 0 });

/// `XENMEM_memory_map`: the memory map that the domain was started with; 16 bytes.
///
/// An entry is what BIOS call 0x15, `E820` returns: address (8 bytes), size (8 bytes) and type (4 bytes), 20 bytes
/// in all. A PVH guest finds the same map in [`crate::abi::hvm_start_info`].
///
/// | offset | size | field      | written by | meaning |
/// |-------:|-----:|------------|------------|---------|
/// |      0 |    4 | nr_entries | both       | in: entries that fit; out: entries |
/// |      4 |    4 | pad        | –          | padding in C |
/// |      8 |    8 | buffer     | in         | address of the entries, which Xen writes |
///
/// Source: `xen/include/public/memory.h`, `struct xen_memory_map`, Xen 4.17.
#[doc(alias = "xen_memory_map")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenMemoryMap {
    /// In: entries that fit. Out: entries.
    pub nr_entries: u32,
    /// Padding.
    pub pad: u32,
    /// In: address of the entries.
    pub buffer: u64,
}
assert_layout!(XenMemoryMap, 16, { nr_entries: 0, pad: 4, buffer: 8 });
