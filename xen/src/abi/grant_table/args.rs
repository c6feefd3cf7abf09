//! Arguments of `HYPERVISOR_grant_table_op`. Header `grant_table.h`, Xen 4.17.
//!
//! Each command takes an array of one of these structs; a hypercall that succeeds says nothing about an element,
//! whose own `status` does. "in" fields are the caller's, "out" fields are written by Xen.

use crate::abi::layout::assert_layout;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// `GNTMAP_*`: how a grant is mapped.
    ///
    /// Source: `xen/include/public/grant_table.h`, `GNTMAP_device_map` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct GntmapFlags: u32 {
        /// For access by devices.
        #[doc(alias = "GNTMAP_device_map")]
        const DEVICE_MAP = 0x1;
        /// For access by the CPU; `host_addr` is the guest-physical address for a PVH guest.
        #[doc(alias = "GNTMAP_host_map")]
        const HOST_MAP = 0x2;
        /// For reading only.
        #[doc(alias = "GNTMAP_readonly")]
        const READONLY = 0x4;
        /// PV guests only.
        #[doc(alias = "GNTMAP_application_map")]
        const APPLICATION_MAP = 0x8;
        /// PV guests only.
        #[doc(alias = "GNTMAP_contains_pte")]
        const CONTAINS_PTE = 0x10;
    }
}

/// `GNTTABOP_map_grant_ref`: maps a page of another domain; 32 bytes.
///
/// | offset | size | field        | written by | meaning |
/// |-------:|-----:|--------------|------------|---------|
/// |      0 |    8 | host_addr    | in         | where, guest-physical for a PVH guest |
/// |      8 |    4 | flags        | in         | [`GntmapFlags`] |
/// |     12 |    4 | gref         | in         | the grant (`ref` in C) |
/// |     16 |    2 | dom          | in         | who granted it |
/// |     18 |    2 | status       | out        | [`GrantStatus`](super::GrantStatus) |
/// |     20 |    4 | handle       | out        | to unmap it |
/// |     24 |    8 | dev_bus_addr | out        | where devices find it |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_map_grant_ref`, Xen 4.17.
#[doc(alias = "gnttab_map_grant_ref")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabMapGrantRef {
    /// In: where.
    pub host_addr: u64,
    /// In: [`GntmapFlags`].
    pub flags: u32,
    /// In: the grant.
    #[doc(alias = "ref")]
    pub gref: u32,
    /// In: who granted it.
    pub dom: u16,
    /// Out: [`GrantStatus`](super::GrantStatus).
    pub status: i16,
    /// Out: to unmap it.
    pub handle: u32,
    /// Out: where devices find it.
    pub dev_bus_addr: u64,
}
assert_layout!(GnttabMapGrantRef, 32, {
    host_addr: 0, flags: 8, gref: 12, dom: 16, status: 18, handle: 20, dev_bus_addr: 24,
});

/// `GNTTABOP_unmap_grant_ref`: ends a mapping; 24 bytes.
///
/// | offset | size | field        | written by | meaning |
/// |-------:|-----:|--------------|------------|---------|
/// |      0 |    8 | host_addr    | in         | where it is mapped |
/// |      8 |    8 | dev_bus_addr | in         | 0, or where devices find it |
/// |     16 |    4 | handle       | in         | of the mapping |
/// |     20 |    2 | status       | out        | [`GrantStatus`](super::GrantStatus) |
/// |     22 |    2 | pad          | –          | padding in C |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_unmap_grant_ref`, Xen 4.17.
#[doc(alias = "gnttab_unmap_grant_ref")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabUnmapGrantRef {
    /// In: where it is mapped.
    pub host_addr: u64,
    /// In: 0, or where devices find it.
    pub dev_bus_addr: u64,
    /// In: of the mapping.
    pub handle: u32,
    /// Out: [`GrantStatus`](super::GrantStatus).
    pub status: i16,
    /// Padding.
    pub pad: u16,
}
assert_layout!(GnttabUnmapGrantRef, 24, { host_addr: 0, dev_bus_addr: 8, handle: 16, status: 20, pad: 22 });

/// `GNTTABOP_setup_table`: makes the table at least so large; 24 bytes.
///
/// | offset | size | field      | written by | meaning |
/// |-------:|-----:|------------|------------|---------|
/// |      0 |    2 | dom        | in         | whose: `DOMID_SELF` |
/// |      2 |    2 | pad0       | –          | padding in C |
/// |      4 |    4 | nr_frames  | in         | pages |
/// |      8 |    2 | status     | out        | [`GrantStatus`](super::GrantStatus) |
/// |     10 |    6 | pad1       | –          | padding in C |
/// |     16 |    8 | frame_list | in         | address of an array of frame numbers, which Xen writes |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_setup_table`, Xen 4.17.
#[doc(alias = "gnttab_setup_table")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabSetupTable {
    /// In: whose.
    pub dom: u16,
    /// Padding.
    pub pad0: u16,
    /// In: pages.
    pub nr_frames: u32,
    /// Out: [`GrantStatus`](super::GrantStatus).
    pub status: i16,
    /// Padding.
    pub pad1: [u16; 3],
    /// In: address of the array for frame numbers.
    pub frame_list: u64,
}
assert_layout!(GnttabSetupTable, 24, { dom: 0, pad0: 2, nr_frames: 4, status: 8, pad1: 10, frame_list: 16 });

/// `GNTTABOP_query_size`: how large the table is and may become; 16 bytes.
///
/// | offset | size | field         | written by | meaning |
/// |-------:|-----:|---------------|------------|---------|
/// |      0 |    2 | dom           | in         | whose: `DOMID_SELF` |
/// |      2 |    2 | pad0          | –          | padding in C |
/// |      4 |    4 | nr_frames     | out        | pages that it has |
/// |      8 |    4 | max_nr_frames | out        | pages that it may have |
/// |     12 |    2 | status        | out        | [`GrantStatus`](super::GrantStatus) |
/// |     14 |    2 | pad1          | –          | padding in C |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_query_size`, Xen 4.17.
#[doc(alias = "gnttab_query_size")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabQuerySize {
    /// In: whose.
    pub dom: u16,
    /// Padding.
    pub pad0: u16,
    /// Out: pages that the table has.
    pub nr_frames: u32,
    /// Out: pages that it may have.
    pub max_nr_frames: u32,
    /// Out: [`GrantStatus`](super::GrantStatus).
    pub status: i16,
    /// Padding.
    pub pad1: u16,
}
assert_layout!(GnttabQuerySize, 16, { dom: 0, pad0: 2, nr_frames: 4, max_nr_frames: 8, status: 12, pad1: 14 });

bitflags! {
    /// `GNTCOPY_*`: which ends of a copy are grants; the others are frames of the caller.
    ///
    /// Source: `xen/include/public/grant_table.h`, `GNTCOPY_source_gref` and following, Xen 4.17.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct GntcopyFlags: u16 {
        /// The source is a grant.
        #[doc(alias = "GNTCOPY_source_gref")]
        const SOURCE_GREF = 0x1;
        /// The destination is a grant.
        #[doc(alias = "GNTCOPY_dest_gref")]
        const DEST_GREF = 0x2;
    }
}

/// One end of a [`GnttabCopy`]; 16 bytes.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    8 | u      | in         | a gref (the upper half is ignored) or a gfn |
/// |      8 |    2 | domid  | in         | whose |
/// |     10 |    2 | offset | in         | in the page, bytes |
/// |     12 |    4 | pad    | –          | padding in C |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_copy_ptr`, Xen 4.17.
#[doc(alias = "gnttab_copy_ptr")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabCopyPtr {
    /// In: a gref or a gfn.
    pub u: u64,
    /// In: whose.
    pub domid: u16,
    /// In: in the page, bytes.
    pub offset: u16,
    /// Padding.
    pub pad: u32,
}
assert_layout!(GnttabCopyPtr, 16, { u: 0, domid: 8, offset: 10, pad: 12 });

/// `GNTTABOP_copy`: Xen copies bytes from page to page; 40 bytes.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |   16 | source | in         | from |
/// |     16 |   16 | dest   | in         | to |
/// |     32 |    2 | len    | in         | bytes, within both pages |
/// |     34 |    2 | flags  | in         | [`GntcopyFlags`] |
/// |     36 |    2 | status | out        | [`GrantStatus`](super::GrantStatus) |
/// |     38 |    2 | pad    | –          | padding in C |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_copy`, Xen 4.17.
#[doc(alias = "gnttab_copy")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabCopy {
    /// In: from.
    pub source: GnttabCopyPtr,
    /// In: to.
    pub dest: GnttabCopyPtr,
    /// In: bytes.
    pub len: u16,
    /// In: [`GntcopyFlags`].
    pub flags: u16,
    /// Out: [`GrantStatus`](super::GrantStatus).
    pub status: i16,
    /// Padding.
    pub pad: u16,
}
assert_layout!(GnttabCopy, 40, { source: 0, dest: 16, len: 32, flags: 34, status: 36, pad: 38 });

/// `GNTTABOP_set_version`: which entry layout the table has; 4 bytes.
///
/// | offset | size | field   | written by | meaning |
/// |-------:|-----:|---------|------------|---------|
/// |      0 |    4 | version | both       | 1 or 2; Xen writes what holds now |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_set_version`, Xen 4.17.
#[doc(alias = "gnttab_set_version")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabSetVersion {
    /// In and out: 1 or 2.
    pub version: u32,
}
assert_layout!(GnttabSetVersion, 4, { version: 0 });

/// `GNTTABOP_get_version`: which entry layout a domain's table has; 8 bytes.
///
/// | offset | size | field   | written by | meaning |
/// |-------:|-----:|---------|------------|---------|
/// |      0 |    2 | dom     | in         | whose: `DOMID_SELF` |
/// |      2 |    2 | pad     | in         | zero |
/// |      4 |    4 | version | out        | 1 or 2 |
///
/// Source: `xen/include/public/grant_table.h`, `struct gnttab_get_version`, Xen 4.17.
#[doc(alias = "gnttab_get_version")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GnttabGetVersion {
    /// In: whose.
    pub dom: u16,
    /// Zero.
    pub pad: u16,
    /// Out: 1 or 2.
    pub version: u32,
}
assert_layout!(GnttabGetVersion, 8, { dom: 0, pad: 2, version: 4 });
