//! What every loader tells, in one form.

use core::fmt;

/// `hvm_start_info.magic`: what the entry code passes on for a PVH loader. `arch-x86/hvm/start_info.h`.
pub const PVH_MAGIC: u32 = xen::abi::hvm_start_info::HVM_START_MAGIC_VALUE;
/// What a multiboot2 loader leaves in `eax`. Multiboot2 specification 2.0, 3.3.
pub const MULTIBOOT2_MAGIC: u32 = multiboot2::MAGIC;

/// Memory regions that a [`BootInfo`] can hold; Xen gives a PVH domU fewer than ten.
pub const MAX_REGIONS: usize = 64;
/// Bytes of command line that are kept; Xen's toolstack passes at most 4095.
pub const MAX_CMDLINE: usize = 4096;

/// Physical memory as the parser sees it.
pub trait PhysicalMemory {
    /// `len` bytes at a physical address; `None` where there is no such memory.
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]>;
}

/// What a stretch of physical memory is; the numbers are those of E820 and of `hvm_memmap_table_entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// Memory to use.
    Ram,
    /// Anything else: not to be touched, not to be used as a hole.
    Reserved,
}

/// A stretch of physical memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// First byte.
    pub start: u64,
    /// One past the last byte; never less than `start`.
    pub end: u64,
    /// What it is.
    pub kind: RegionKind,
}

/// What the loader told, checked.
#[derive(Clone)]
pub struct BootInfo {
    pub(crate) regions: [MemoryRegion; MAX_REGIONS],
    pub(crate) nr_regions: usize,
    pub(crate) cmdline: [u8; MAX_CMDLINE],
    pub(crate) cmdline_len: usize,
    /// Whether the command line was longer than what is kept.
    pub cmdline_cut: bool,
    /// Who started the guest.
    pub loader: Loader,
    /// The physical address and length of what the loader left in RAM and is not needed after boot.
    pub loader_data: MemoryRegion,
}

/// What is wrong with what the loader told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The information lies where no memory is.
    NoMemory {
        /// Its address.
        address: u64,
    },
    /// The information contradicts itself.
    Malformed,
    /// The magic number is no loader's.
    BadMagic {
        /// What was found.
        found: u32,
    },
    /// The memory map has more entries than [`MAX_REGIONS`].
    TooManyRegions {
        /// What it claims.
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
                    "started by an unknown loader: magic {found:#x}; use type=\"pvh\" in the domain's configuration, or GRUB's multiboot2"
                )
            }
            Self::TooManyRegions { claimed } => {
                write!(f, "the memory map has {claimed} entries, at most {MAX_REGIONS} are understood")
            }
        }
    }
}

/// Who started the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// Xen's toolstack, by the PVH protocol; the version of `hvm_start_info` (0 has no memory map).
    Pvh(u32),
    /// A multiboot2 loader, GRUB for one.
    Multiboot2,
}

impl BootInfo {
    /// Parses what a loader left at `address`; `magic` says which one.
    ///
    /// # Errors
    /// What is wrong with it, or that the loader is none of the known ones.
    pub fn from_loader(memory: &impl PhysicalMemory, magic: u32, address: u64) -> Result<Self, BootError> {
        match magic {
            PVH_MAGIC => Self::from_pvh(memory, address),
            MULTIBOOT2_MAGIC => Self::from_multiboot2(memory, address),
            found => Err(BootError::BadMagic { found }),
        }
    }

    /// Nothing told: no regions, no command line.
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

    /// The memory map, in the loader's order; empty when it gave none (`hvm_start_info` version 0).
    #[must_use]
    pub fn regions(&self) -> &[MemoryRegion] {
        self.regions.get(..self.nr_regions).unwrap_or_default()
    }

    /// Adds a region; for a memory map that Xen gave by hypercall. Nothing happens when the table is full.
    pub fn add_region(&mut self, region: MemoryRegion) {
        if let Some(entry) = self.regions.get_mut(self.nr_regions) {
            *entry = region;
            self.nr_regions = self.nr_regions.saturating_add(1);
        }
    }

    /// The command line, without its end marker. Bytes: whoever interprets it says what is wrong with it.
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
