//! A hole in physical memory, for frames that Xen maps for us: shared info, the grant table, and pages of other domains.
//!
//! ```text
//!   | shared info | grant table, 32 | pages of other domains, see `places` |      mapped read-write in our page tables
//! ```

use crate::regions::{PAGE, Region};
use boot::{BootInfo, MemoryRegion};

/// Finds `len` bytes of physical addresses below `limit` that no entry of the memory map mentions, for frames that Xen
/// puts there: the first such hole on a 2 MiB boundary, between RAM and devices below 4 GiB or, if RAM leaves none
/// there, above 4 GiB.
///
/// A hole and not RAM: a page of RAM given up for it would shatter a superpage in Xen's tables and be lost.
#[must_use]
pub fn find_hole(info: &BootInfo, len: u64, limit: u64) -> Option<Region> {
    const STEP: u64 = 2 << 20;
    // From the second address on lie the local APIC, the I/O APIC, Xen's special pages and ACPI tables.
    const BELOW: (u64, u64) = (2 << 20, 0xfc00_0000);
    const ABOVE: u64 = 4 << 30;
    let len = len.checked_next_multiple_of(PAGE)?;
    let search = |(lowest, highest): (u64, u64)| {
        let mut start = lowest;
        loop {
            let hole = Region { start, end: start.checked_add(len).filter(|end| *end <= highest)? };
            let touches = |region: &&MemoryRegion| region.start < hole.end && hole.start < region.end;
            // The next try begins behind what is in the way: a map that is full costs no more than its entries.
            match info.regions().iter().find(touches) {
                None => return Some(hole),
                Some(region) => start = region.end.checked_next_multiple_of(STEP)?,
            }
        }
    };
    search(BELOW).or_else(|| search((ABOVE, limit)))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use boot::RegionKind;

    fn hole(regions: &[(u64, u64)], len: u64) -> Option<u64> {
        let mut info = BootInfo::empty();
        for &(start, end) in regions {
            info.add_region(MemoryRegion { start, end, kind: RegionKind::Ram });
        }
        find_hole(&info, len, 1 << 40).map(|hole| hole.start)
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
        // Without a hole below 4 GiB there is one above, behind the rest of the RAM.
        assert_eq!(hole(&[(0, 0xfbff_f000)], 0x2000), Some(4 << 30));
        assert_eq!(hole(&[(0, 0xfc00_0000), (4 << 30, (5 << 30) + 1)], 0x2000), Some((5 << 30) + (2 << 20)));
        assert_eq!(hole(&[(0, 0xfc00_0000), (4 << 30, (1 << 40) - 1)], 0x2000), None);
        assert_eq!(hole(&[(0, u64::MAX)], 1), None);
    }
}
