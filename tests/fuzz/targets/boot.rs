//! `start_info` by PVH, the information of multiboot2, and the command line: any bytes parse, or fail without a panic.
//!
//! ```text
//!   | 0: PVH, 1: multiboot2, else: command line | memory from 4096 on, or the line |
//! ```

#![no_main]

use boot::{BootInfo, MULTIBOOT2_MAGIC, PVH_MAGIC, PhysicalMemory, RegionKind};
use kernel::holes::find_hole;
use kernel::regions::{FreeRegions, PAGE};
use libfuzzer_sys::fuzz_target;
use zerocopy::IntoBytes as _;

/// Memory that begins at 4096, aligned to 8 as a loader leaves it.
struct Memory {
    words: Vec<u64>,
    len: usize,
}

impl Memory {
    fn new(bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        };
        Self { words: bytes.chunks(8).map(word).collect(), len: bytes.len() }
    }
}

impl PhysicalMemory for Memory {
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(4096)?).ok()?;
        self.words.as_bytes().get(..self.len)?.get(start..start.checked_add(len)?)
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let magic = match kind {
        0 => PVH_MAGIC,
        1 => MULTIBOOT2_MAGIC,
        _ => {
            if let Err(errors) = kernel::config::Config::parse(rest) {
                assert!(!errors.is_empty());
                assert!(errors.iter().all(|error| !error.to_string().is_empty()));
            }
            return;
        }
    };
    if let Ok(info) = BootInfo::from_loader(&Memory::new(rest), magic, 4096) {
        assert!(info.regions().len() <= boot::MAX_REGIONS);
        assert!(info.cmdline().len() <= 4096);
        let _ = kernel::config::Config::parse(info.cmdline());
        usable(&info);
    }
});

/// For any map, each page of RAM is in one range at most, nothing reserved is in any, and the hole for Xen's
/// frames touches neither.
fn usable(info: &BootInfo) {
    const LIMIT: u64 = 1 << 47;
    let free = FreeRegions::new(info, LIMIT, &[]);
    let mut ranges: Vec<_> = free.iter().collect();
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ranges:x?}");
    // A region without a byte touches nothing, wherever it is.
    let touch = |a: u64, b: u64, region: &boot::MemoryRegion| {
        region.start < region.end && region.start < b && a < region.end
    };
    for range in &ranges {
        assert!(range.start % PAGE == 0 && range.end % PAGE == 0 && range.end <= LIMIT, "{range:x?}");
        let mut regions = info.regions().iter();
        assert!(
            regions.all(|region| region.kind == RegionKind::Ram || !touch(range.start, range.end, region))
        );
        let mut ram = info.regions().iter().filter(|region| region.kind == RegionKind::Ram);
        assert!(ram.any(|region| touch(range.start, range.end, region)), "{range:x?} is no RAM");
    }
    if let Some(hole) = find_hole(info, 33 * PAGE, LIMIT) {
        assert_eq!(hole.len(), 33 * PAGE);
        assert!(!info.regions().iter().any(|region| touch(hole.start, hole.end, region)), "{hole:x?}");
    }
}
