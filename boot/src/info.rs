//! The information of the loader, in one form for all loaders.

use core::fmt;

/// `hvm_start_info.magic` (`arch-x86/hvm/start_info.h`): the entry code passes it on for a PVH loader.
pub const PVH_MAGIC: u32 = xen::abi::hvm_start_info::HVM_START_MAGIC_VALUE;
/// The magic number that a multiboot2 loader leaves in `eax` (Multiboot2 specification 2.0, 3.3).
pub const MULTIBOOT2_MAGIC: u32 = multiboot2::MAGIC;

/// Regions in a [`BootInfo`] at most; Xen gives a PVH domU fewer than ten.
pub const MAX_REGIONS: usize = 64;
/// Bytes of the command line at most; Xen's toolstack passes 4095 at most.
pub const MAX_CMDLINE: usize = 4096;

/// Read access to physical memory, for the parsers.
pub trait PhysicalMemory {
    /// `len` bytes at a physical address; `None` if there is no such memory.
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]>;
}

/// The kind of a region of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// RAM, free to use.
    Ram,
    /// Anything else: neither RAM nor a hole.
    Reserved,
}

/// A region of physical memory: byte addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// The first byte.
    pub start: u64,
    /// One past the last byte; never less than `start`.
    pub end: u64,
    /// Its kind.
    pub kind: RegionKind,
}

/// The loader's information, checked.
#[derive(Clone)]
pub struct BootInfo {
    pub(crate) regions: [MemoryRegion; MAX_REGIONS],
    pub(crate) nr_regions: usize,
    pub(crate) cmdline: [u8; MAX_CMDLINE],
    pub(crate) cmdline_len: usize,
    /// Whether the command line was longer than [`MAX_CMDLINE`].
    pub cmdline_cut: bool,
    /// The loader.
    pub loader: Loader,
    /// Where the loader's information lies in RAM. It is not needed after the start.
    pub loader_data: MemoryRegion,
}

/// Why the loader's information is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The information is not in memory.
    NoMemory {
        /// Its address.
        address: u64,
    },
    /// The information contradicts itself.
    Malformed,
    /// The magic number is that of no known loader.
    BadMagic {
        /// The magic number.
        found: u32,
    },
    /// The memory map has more entries than [`MAX_REGIONS`].
    TooManyRegions {
        /// The number of entries.
        claimed: u32,
    },
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory { address } => {
                write!(f, "the loader's information at {address:#x} is not in memory")
            }
            Self::Malformed => {
                write!(f, "the loader's information contradicts itself; boot with another loader")
            }
            Self::BadMagic { found } => {
                write!(
                    f,
                    "unknown loader: magic {found:#x}; use type=\"pvh\" in the domain's configuration, or GRUB's multiboot2"
                )
            }
            Self::TooManyRegions { claimed } => {
                write!(
                    f,
                    "the memory map has {claimed} entries, more than the {MAX_REGIONS} that this guest reads"
                )
            }
        }
    }
}

/// The loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// Xen's toolstack, by the PVH protocol, with the version of `hvm_start_info`. Version 0 has no memory map.
    Pvh(u32),
    /// A multiboot2 loader, for instance GRUB.
    Multiboot2,
}

impl BootInfo {
    /// Parses the information at `address`, of the loader with this magic number.
    ///
    /// # Errors
    /// The loader is unknown, or its information is invalid.
    pub fn from_loader(memory: &impl PhysicalMemory, magic: u32, address: u64) -> Result<Self, BootError> {
        match magic {
            PVH_MAGIC => Self::from_pvh(memory, address),
            MULTIBOOT2_MAGIC => Self::from_multiboot2(memory, address),
            found => Err(BootError::BadMagic { found }),
        }
    }

    /// Without regions and command line.
    #[must_use]
    pub const fn empty() -> Self {
        const NONE: MemoryRegion = MemoryRegion { start: 0, end: 0, kind: RegionKind::Reserved };
        Self {
            regions: [NONE; MAX_REGIONS],
            nr_regions: 0,
            cmdline: [0; MAX_CMDLINE],
            cmdline_len: 0,
            cmdline_cut: false,
            loader: Loader::Pvh(0),
            loader_data: NONE,
        }
    }

    /// The memory map, in the loader's order; empty if the loader gave none (`hvm_start_info` version 0).
    #[must_use]
    pub fn regions(&self) -> &[MemoryRegion] {
        self.regions.get(..self.nr_regions).unwrap_or_default()
    }

    /// Adds a region. If the table is full, nothing happens.
    pub fn add_region(&mut self, region: MemoryRegion) {
        if let Some(entry) = self.regions.get_mut(self.nr_regions) {
            *entry = region;
            self.nr_regions = self.nr_regions.saturating_add(1);
        }
    }

    /// The command line, without its terminating zero. It need not be UTF-8.
    #[must_use]
    pub fn cmdline(&self) -> &[u8] {
        self.cmdline.get(..self.cmdline_len).unwrap_or_default()
    }

    pub(crate) fn set_cmdline(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(MAX_CMDLINE);
        self.cmdline_cut = bytes.len() > len;
        for (to, from) in self.cmdline.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.cmdline_len = len;
    }
}

impl fmt::Debug for BootInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootInfo")
            .field("loader", &self.loader)
            .field("regions", &self.regions())
            .field("cmdline", &self.cmdline().escape_ascii())
            .finish_non_exhaustive()
    }
}
