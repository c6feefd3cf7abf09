//! A hole in physical memory, for frames that Xen maps for us: shared info and the grant table.

use crate::regions::{PAGE, Region};
use boot::BootInfo;

/// Finds `len` bytes of physical addresses below 4 GiB that no entry of the memory map mentions, for frames that Xen
/// puts there: the first such hole above all RAM that lies below 4 GiB, on a 2 MiB boundary.
///
/// A hole and not RAM: a page of RAM given up for it would shatter a superpage in Xen's tables and be lost.
pub(crate) fn find_hole(info: &BootInfo, len: u64) -> Option<Region> {
    const STEP: u64 = 2 << 20;
    const LOWEST: u64 = 2 << 20;
    // From here on lie the local APIC, the I/O APIC, Xen's special pages and ACPI tables.
    const HIGHEST: u64 = 0xfc00_0000;
    let free = |hole: &Region| {
        info.regions().iter().all(|region| region.end <= hole.start || hole.end <= region.start)
    };
    let len = len.checked_add(PAGE - 1)? & !(PAGE - 1);
    let mut start = LOWEST;
    while start.checked_add(len)? <= HIGHEST {
        let hole = Region { start, end: start.checked_add(len)? };
        if free(&hole) {
            return Some(hole);
        }
        start = start.checked_add(STEP)?;
    }
    None
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use boot::{MemoryRegion, RegionKind};

    fn hole(regions: &[(u64, u64)], len: u64) -> Option<u64> {
        let mut info = BootInfo::empty();
        for &(start, end) in regions {
            info.add_region(MemoryRegion { start, end, kind: RegionKind::Ram });
        }
        find_hole(&info, len).map(|hole| hole.start)
    }

    #[test]
    fn it_lies_above_ram_on_a_2_mib_boundary() {
        assert_eq!(hole(&[(0, 32 << 20)], 4096), Some(32 << 20));
        assert_eq!(hole(&[(0, (32 << 20) + 1)], 4096), Some(34 << 20));
        assert_eq!(hole(&[(0, 1 << 20)], 4096), Some(2 << 20));
    }

    #[test]
    fn it_is_as_long_as_asked_and_below_the_devices() {
        assert_eq!(
            hole(&[(0, 4 << 20), (0x60_1000, 8 << 20)], 0x20_2000),
            Some(8 << 20),
            "the gap at 4 MiB is too short"
        );
        assert_eq!(hole(&[(0, 0xfbff_f000)], 0x2000), None);
        assert_eq!(hole(&[(0, u64::MAX)], 1), None);
    }
}
