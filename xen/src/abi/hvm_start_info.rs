//! What a PVH guest is started with. Header `arch-x86/hvm/start_info.h`, Xen 4.17.
//!
//! At entry `ebx` holds the physical address of [`HvmStartInfo`]. Nothing is ever loaded at physical address 0,
//! so that 0 in an address field means "not there". Version 0 ends after `rsdp_paddr`; what follows must be
//! read only from version 1 on. This file is the layout; the boot crate reads and checks it.

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `magic` of [`HvmStartInfo`]: "xEn3" with the top bit of the "E" set.
#[doc(alias = "XEN_HVM_START_MAGIC_VALUE")]
pub const HVM_START_MAGIC_VALUE: u32 = 0x336e_c578;
/// Bytes of version 0 of [`HvmStartInfo`], without the memory map.
pub const HVM_START_INFO_V0_BYTES: usize = core::mem::offset_of!(HvmStartInfo, memmap_paddr);

/// Start of day structure of a PVH guest; 56 bytes, of which version 0 has 40.
///
/// | offset | size | field          | written by | meaning |
/// |-------:|-----:|----------------|------------|---------|
/// |      0 |    4 | magic          | loader     | [`HVM_START_MAGIC_VALUE`] |
/// |      4 |    4 | version        | loader     | 0, 1, …; newer ones only add fields |
/// |      8 |    4 | flags          | loader     | [`crate::abi::xen::StartInfoFlags`] |
/// |     12 |    4 | nr_modules     | loader     | entries of the module list |
/// |     16 |    8 | modlist_paddr  | loader     | array of [`HvmModlistEntry`] |
/// |     24 |    8 | cmdline_paddr  | loader     | zero-terminated command line |
/// |     32 |    8 | rsdp_paddr     | loader     | ACPI's root pointer |
/// |     40 |    8 | memmap_paddr   | loader     | array of [`HvmMemmapTableEntry`]; version 1 on |
/// |     48 |    4 | memmap_entries | loader     | its entries, 0 if there is no map; version 1 on |
/// |     52 |    4 | reserved       | loader     | zero; version 1 on |
///
/// Source: `xen/include/public/arch-x86/hvm/start_info.h`, `struct hvm_start_info`, Xen 4.17.
#[doc(alias = "hvm_start_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct HvmStartInfo {
    /// [`HVM_START_MAGIC_VALUE`].
    pub magic: u32,
    /// Version of this structure.
    pub version: u32,
    /// [`crate::abi::xen::StartInfoFlags`].
    pub flags: u32,
    /// Entries of the module list.
    pub nr_modules: u32,
    /// Physical address of the module list.
    pub modlist_paddr: u64,
    /// Physical address of the command line.
    pub cmdline_paddr: u64,
    /// Physical address of ACPI's root pointer.
    pub rsdp_paddr: u64,
    /// Physical address of the memory map; version 1 on.
    pub memmap_paddr: u64,
    /// Entries of the memory map; version 1 on.
    pub memmap_entries: u32,
    /// Zero; version 1 on.
    pub reserved: u32,
}
assert_layout!(HvmStartInfo, 56, {
    magic: 0, version: 4, flags: 8, nr_modules: 12, modlist_paddr: 16, cmdline_paddr: 24, rsdp_paddr: 32,
    memmap_paddr: 40, memmap_entries: 48, reserved: 52,
});
const _: () = assert!(HVM_START_INFO_V0_BYTES == 40);

/// A module that was loaded next to the kernel; 32 bytes.
///
/// | offset | size | field         | written by | meaning |
/// |-------:|-----:|---------------|------------|---------|
/// |      0 |    8 | paddr         | loader     | physical address |
/// |      8 |    8 | size          | loader     | bytes |
/// |     16 |    8 | cmdline_paddr | loader     | zero-terminated command line |
/// |     24 |    8 | reserved      | loader     | |
///
/// Source: `xen/include/public/arch-x86/hvm/start_info.h`, `struct hvm_modlist_entry`, Xen 4.17.
#[doc(alias = "hvm_modlist_entry")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct HvmModlistEntry {
    /// Physical address of the module.
    pub paddr: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Physical address of its command line.
    pub cmdline_paddr: u64,
    /// Reserved.
    pub reserved: u64,
}
assert_layout!(HvmModlistEntry, 32, { paddr: 0, size: 8, cmdline_paddr: 16, reserved: 24 });

/// A range of the guest's physical memory; 24 bytes.
///
/// | offset | size | field    | written by | meaning |
/// |-------:|-----:|----------|------------|---------|
/// |      0 |    8 | addr     | loader     | first byte |
/// |      8 |    8 | size     | loader     | bytes |
/// |     16 |    4 | kind     | loader     | [`HvmMemmapType`] |
/// |     20 |    4 | reserved | loader     | zero |
///
/// Source: `xen/include/public/arch-x86/hvm/start_info.h`, `struct hvm_memmap_table_entry`, Xen 4.17.
#[doc(alias = "hvm_memmap_table_entry")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct HvmMemmapTableEntry {
    /// First byte of the range.
    pub addr: u64,
    /// Its size in bytes.
    pub size: u64,
    /// [`HvmMemmapType`].
    #[doc(alias = "type")]
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}
assert_layout!(HvmMemmapTableEntry, 24, { addr: 0, size: 8, kind: 16, reserved: 20 });

numbers! {
    /// `XEN_HVM_MEMMAP_TYPE_*`: what a range of memory is, with ACPI's numbers. Only `Ram` may be used.
    ///
    /// Source: `xen/include/public/arch-x86/hvm/start_info.h`, `XEN_HVM_MEMMAP_TYPE_RAM` and following, Xen 4.17.
    pub enum HvmMemmapType: u32 {
        /// Memory.
        Ram = 1 => "XEN_HVM_MEMMAP_TYPE_RAM",
        /// Not to be touched.
        Reserved = 2 => "XEN_HVM_MEMMAP_TYPE_RESERVED",
        /// ACPI tables; memory once they have been read.
        Acpi = 3 => "XEN_HVM_MEMMAP_TYPE_ACPI",
        /// Kept over ACPI sleep.
        Nvs = 4 => "XEN_HVM_MEMMAP_TYPE_NVS",
        /// Broken.
        Unusable = 5 => "XEN_HVM_MEMMAP_TYPE_UNUSABLE",
        /// Switched off.
        Disabled = 6 => "XEN_HVM_MEMMAP_TYPE_DISABLED",
        /// Persistent memory.
        Pmem = 7 => "XEN_HVM_MEMMAP_TYPE_PMEM",
    }
}

#[cfg(test)]
mod tests {
    use super::{HVM_START_INFO_V0_BYTES, HVM_START_MAGIC_VALUE, HvmMemmapType, HvmStartInfo};
    use crate::abi::Unknown;
    use zerocopy::{FromBytes, IntoBytes};

    #[test]
    fn the_magic_spells_xen3() {
        assert_eq!(HVM_START_MAGIC_VALUE.to_le_bytes(), [b'x', b'E' | 0x80, b'n', b'3']);
    }

    #[test]
    fn a_start_info_is_read_from_bytes_of_either_version() {
        let info =
            HvmStartInfo { magic: HVM_START_MAGIC_VALUE, rsdp_paddr: 0xfc00_0000, ..Default::default() };
        let mut v1 = [0; 56];
        v1[..HVM_START_INFO_V0_BYTES].copy_from_slice(&info.as_bytes()[..HVM_START_INFO_V0_BYTES]);
        assert_eq!(HvmStartInfo::read_from_bytes(&v1), Ok(info));
    }

    #[test]
    fn an_undefined_memory_type_is_refused() {
        assert_eq!(HvmMemmapType::try_from(0), Err(Unknown(0)));
        assert_eq!(HvmMemmapType::try_from(8), Err(Unknown(8)));
    }
}
