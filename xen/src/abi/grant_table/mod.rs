//! Grant tables: the version 1 entry, commands and their arguments. Header `grant_table.h`, Xen 4.17.
//!
//! To grant a page is to write an entry of the domain's own table, a shared page, in this order: `domid`, `frame`,
//! write barrier, `flags`. To end a grant is to exchange `flags` for 0 while neither `READING` nor `WRITING` is
//! set. To use a page of another domain is a hypercall, whose argument is an array of structs (file `args.rs`),
//! each with a [`GrantStatus`] of its own. Version 2 tables are not here.

mod args;

pub use args::{
    GntcopyFlags, GntmapFlags, GnttabCopy, GnttabCopyPtr, GnttabGetVersion, GnttabMapGrantRef,
    GnttabQuerySize, GnttabSetVersion, GnttabSetupTable, GnttabUnmapGrantRef,
};

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries at the start of the table that the toolstack may have written; kept when the version is set.
pub const GNTTAB_NR_RESERVED_ENTRIES: u32 = 8;
/// Reserved entry of the console's page.
pub const GNTTAB_RESERVED_CONSOLE: u32 = 0;
/// Reserved entry of xenstore's page.
pub const GNTTAB_RESERVED_XENSTORE: u32 = 1;

/// An entry of a version 1 grant table; 8 bytes. The table is shared with Xen: use [`offset`].
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | flags | both       | [`GrantFlags`]; Xen sets `READING` and `WRITING` |
/// |      2 |    2 | domid | guest      | who may use the page |
/// |      4 |    4 | frame | guest      | the page's gfn |
///
/// Source: `xen/include/public/grant_table.h`, `struct grant_entry_v1`, Xen 4.17.
#[doc(alias = "grant_entry_v1")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GrantEntryV1 {
    /// [`GrantFlags`].
    pub flags: u16,
    /// The domain that may use the page.
    pub domid: u16,
    /// The page's gfn.
    pub frame: u32,
}
assert_layout!(GrantEntryV1, 8, { flags: 0, domid: 2, frame: 4 });

/// Offsets in a grant table's page, in bytes, for access through shared memory.
pub mod offset {
    use super::GrantEntryV1;
    use core::mem::offset_of;

    /// From one entry to the next.
    pub const ENTRY_BYTES: usize = size_of::<GrantEntryV1>();
    /// Of `flags` in an entry.
    pub const FLAGS: usize = offset_of!(GrantEntryV1, flags);
    /// Of `domid` in an entry.
    pub const DOMID: usize = offset_of!(GrantEntryV1, domid);
    /// Of `frame` in an entry.
    pub const FRAME: usize = offset_of!(GrantEntryV1, frame);
}

bitflags! {
    /// `GTF_*`: type and flags of a grant. The type is the low two bits, all zero for an invalid entry.
    ///
    /// Source: `xen/include/public/grant_table.h`, `GTF_invalid` and following, Xen 4.17.
    #[doc(alias = "GTF_invalid")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct GrantFlags: u16 {
        /// Type: the page may be mapped and accessed.
        #[doc(alias = "GTF_permit_access")]
        const PERMIT_ACCESS = 0x1;
        /// Type: a frame may be transferred here; PV guests only.
        #[doc(alias = "GTF_accept_transfer")]
        const ACCEPT_TRANSFER = 0x2;
        /// All bits of the type; as a type, a transitive grant (version 2 only).
        #[doc(alias = "GTF_type_mask")]
        #[doc(alias = "GTF_transitive")]
        const TYPE_MASK = 0x3;
        /// The page may only be read.
        #[doc(alias = "GTF_readonly")]
        const READONLY = 0x4;
        /// Set by Xen: the page is in use for reading.
        #[doc(alias = "GTF_reading")]
        const READING = 0x8;
        /// Set by Xen: the page is in use for writing.
        #[doc(alias = "GTF_writing")]
        const WRITING = 0x10;
        /// Cache attribute.
        #[doc(alias = "GTF_PWT")]
        const PWT = 0x20;
        /// Cache attribute.
        #[doc(alias = "GTF_PCD")]
        const PCD = 0x40;
        /// Cache attribute.
        #[doc(alias = "GTF_PAT")]
        const PAT = 0x80;
        /// Only a part of the page is granted; version 2 only.
        #[doc(alias = "GTF_sub_page")]
        const SUB_PAGE = 0x100;
    }
}

numbers! {
    /// `GNTTABOP_*`: commands of `HYPERVISOR_grant_table_op`, (command, array, count).
    ///
    /// Source: `xen/include/public/grant_table.h`, `enum grant_table_op`, Xen 4.17.
    pub enum GrantTableOp: u32 {
        /// Arguments: [`GnttabMapGrantRef`].
        MapGrantRef = 0 => "GNTTABOP_map_grant_ref",
        /// Arguments: [`GnttabUnmapGrantRef`].
        UnmapGrantRef = 1 => "GNTTABOP_unmap_grant_ref",
        /// Argument: [`GnttabSetupTable`].
        SetupTable = 2 => "GNTTABOP_setup_table",
        /// Print a table on Xen's console.
        DumpTable = 3 => "GNTTABOP_dump_table",
        /// PV guests only.
        Transfer = 4 => "GNTTABOP_transfer",
        /// Arguments: [`GnttabCopy`].
        Copy = 5 => "GNTTABOP_copy",
        /// Argument: [`GnttabQuerySize`].
        QuerySize = 6 => "GNTTABOP_query_size",
        /// PV guests only.
        UnmapAndReplace = 7 => "GNTTABOP_unmap_and_replace",
        /// Argument: [`GnttabSetVersion`].
        SetVersion = 8 => "GNTTABOP_set_version",
        /// Version 2 only.
        GetStatusFrames = 9 => "GNTTABOP_get_status_frames",
        /// Argument: [`GnttabGetVersion`].
        GetVersion = 10 => "GNTTABOP_get_version",
        /// Exchange two entries.
        SwapGrantRef = 11 => "GNTTABOP_swap_grant_ref",
        /// ARM only.
        CacheFlush = 12 => "GNTTABOP_cache_flush",
    }
}

numbers! {
    /// `GNTST_*`: how one grant operation ended.
    ///
    /// Source: `xen/include/public/grant_table.h`, `enum grant_status`, Xen 4.17.
    #[doc(alias = "grant_status")]
    pub enum GrantStatus: i16 {
        /// Done.
        Okay = 0 => "GNTST_okay",
        /// Undefined error.
        GeneralError = -1 => "GNTST_general_error",
        /// No such domain.
        BadDomain = -2 => "GNTST_bad_domain",
        /// No such grant, or not for us.
        BadGntref = -3 => "GNTST_bad_gntref",
        /// No such mapping.
        BadHandle = -4 => "GNTST_bad_handle",
        /// Cannot be mapped at this virtual address.
        BadVirtAddr = -5 => "GNTST_bad_virt_addr",
        /// Not the device address of this mapping.
        BadDevAddr = -6 => "GNTST_bad_dev_addr",
        /// The I/O MMU has no room.
        NoDeviceSpace = -7 => "GNTST_no_device_space",
        /// Not permitted.
        PermissionDenied = -8 => "GNTST_permission_denied",
        /// The page cannot be used so.
        BadPage = -9 => "GNTST_bad_page",
        /// The copy crosses the end of a page.
        BadCopyArg = -10 => "GNTST_bad_copy_arg",
        /// The frame of a transfer is too high.
        AddressTooBig = -11 => "GNTST_address_too_big",
        /// Not done; try again.
        Eagain = -12 => "GNTST_eagain",
        /// No space, for handles among other things.
        NoSpace = -13 => "GNTST_no_space",
    }
}

#[cfg(test)]
mod tests {
    use super::{GrantEntryV1, GrantFlags, GrantStatus};
    use crate::abi::Unknown;
    use zerocopy::IntoBytes;

    #[test]
    fn an_entry_has_the_header_s_bytes() {
        let flags = GrantFlags::PERMIT_ACCESS | GrantFlags::READONLY;
        let entry = GrantEntryV1 { flags: flags.bits(), domid: 0x0201, frame: 0x0605_0403 };
        assert_eq!(entry.as_bytes(), &[5, 0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_status_is_parsed_and_an_undefined_one_is_refused() {
        assert_eq!(GrantStatus::try_from(-12), Ok(GrantStatus::Eagain));
        assert_eq!(GrantStatus::try_from(1), Err(Unknown(1)));
        assert_eq!(GrantStatus::try_from(-14), Err(Unknown(-14)));
    }
}
