//! ELF notes by which a kernel tells Xen's loaders about itself. Header `elfnote.h`, Xen 4.17.
//!
//! A note is in a `PT_NOTE` segment, has the name [`ELFNOTE_NAME`] and one of these types. A PVH kernel needs one:
//! [`ElfNote::Phys32Entry`]. Numbers in a note have 4 or 8 bytes; strings end with a zero byte.

use crate::abi::number::numbers;

/// Name of every Xen note, with the zero byte that its size counts.
pub const ELFNOTE_NAME: [u8; 4] = *b"Xen\0";

/// Type of a note by which a loader may move a PVH kernel: alignment, lowest and highest address, three `u32`.
///
/// Newer than the header of Xen 4.17, whose loaders ignore it.
#[doc(alias = "XEN_ELFNOTE_PHYS32_RELOC")]
pub const ELFNOTE_PHYS32_RELOC: u32 = 19;

numbers! {
    /// `XEN_ELFNOTE_*`: types of notes. Those not marked PVH mean something to PV guests only, or to people.
    ///
    /// Source: `xen/include/public/elfnote.h`, `XEN_ELFNOTE_INFO` and following, Xen 4.17.
    pub enum ElfNote: u32 {
        /// `NAME=VALUE`.
        Info = 0 => "XEN_ELFNOTE_INFO",
        /// Virtual address of the entry.
        Entry = 1 => "XEN_ELFNOTE_ENTRY",
        /// Virtual address of the hypercall page.
        HypercallPage = 2 => "XEN_ELFNOTE_HYPERCALL_PAGE",
        /// Virtual address of the image.
        VirtBase = 3 => "XEN_ELFNOTE_VIRT_BASE",
        /// Offset of the ELF file's physical addresses.
        PaddrOffset = 4 => "XEN_ELFNOTE_PADDR_OFFSET",
        /// String: the version of Xen's interface, "xen-3.0".
        XenVersion = 5 => "XEN_ELFNOTE_XEN_VERSION",
        /// String: name of the guest's operating system.
        GuestOs = 6 => "XEN_ELFNOTE_GUEST_OS",
        /// String: its version.
        GuestVersion = 7 => "XEN_ELFNOTE_GUEST_VERSION",
        /// String: type of the loader, "generic".
        Loader = 8 => "XEN_ELFNOTE_LOADER",
        /// 32-bit PV only.
        PaeMode = 9 => "XEN_ELFNOTE_PAE_MODE",
        /// String: features supported, or required with a "!".
        Features = 10 => "XEN_ELFNOTE_FEATURES",
        /// String: whether the symbol table is to be loaded.
        BsdSymtab = 11 => "XEN_ELFNOTE_BSD_SYMTAB",
        /// PV only.
        HvStartLow = 12 => "XEN_ELFNOTE_HV_START_LOW",
        /// PV only.
        L1MfnValid = 13 => "XEN_ELFNOTE_L1_MFN_VALID",
        /// Whether a suspend may be cancelled by making the hypercall return 1.
        SuspendCancel = 14 => "XEN_ELFNOTE_SUSPEND_CANCEL",
        /// PV only.
        InitP2m = 15 => "XEN_ELFNOTE_INIT_P2M",
        /// PV only.
        ModStartPfn = 16 => "XEN_ELFNOTE_MOD_START_PFN",
        /// Features supported, as bits.
        SupportedFeatures = 17 => "XEN_ELFNOTE_SUPPORTED_FEATURES",
        /// PVH: physical address of the 32-bit entry.
        Phys32Entry = 18 => "XEN_ELFNOTE_PHYS32_ENTRY",
    }
}
