//! Parser of `hvm_start_info`. Every address and count is checked before it is used.

use crate::info::{
    BootError, BootInfo, Loader, MAX_CMDLINE, MAX_REGIONS, MemoryRegion, PhysicalMemory, RegionKind,
};
use xen::abi::hvm_start_info::{
    HVM_START_INFO_V0_BYTES, HVM_START_MAGIC_VALUE, HvmMemmapTableEntry, HvmMemmapType, HvmStartInfo,
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

impl BootInfo {
    /// Parses the `hvm_start_info` at `address`.
    ///
    /// # Errors
    /// It is not in memory, is no `hvm_start_info`, or its memory map has too many entries. A command line that is not in
    /// memory counts as empty.
    pub fn from_pvh(memory: &impl PhysicalMemory, address: u64) -> Result<Self, BootError> {
        let start_info = read_start_info(memory, address)?;
        let mut info = Self::empty();
        info.loader = Loader::Pvh(start_info.version);
        info.loader_data = MemoryRegion {
            start: address,
            end: address.saturating_add(u64::try_from(size_of::<HvmStartInfo>()).unwrap_or_default()),
            kind: RegionKind::Reserved,
        };
        if start_info.cmdline_paddr != 0 {
            let mut buffer = [0; MAX_CMDLINE + 1];
            let line = read_string(memory, start_info.cmdline_paddr, &mut buffer);
            info.set_cmdline(line);
        }
        if start_info.version >= 1 && start_info.memmap_paddr != 0 {
            read_memory_map(memory, &start_info, &mut info)?;
        }
        Ok(info)
    }
}

fn read_start_info(memory: &impl PhysicalMemory, address: u64) -> Result<HvmStartInfo, BootError> {
    let missing = BootError::NoMemory { address };
    let mut start_info = HvmStartInfo::new_zeroed();
    let bytes = start_info.as_mut_bytes();
    let first = bytes.get_mut(..HVM_START_INFO_V0_BYTES).ok_or(missing)?;
    first.copy_from_slice(memory.bytes(address, HVM_START_INFO_V0_BYTES).ok_or(missing)?);
    if start_info.magic != HVM_START_MAGIC_VALUE {
        return Err(BootError::BadMagic { found: start_info.magic });
    }
    if start_info.version >= 1 {
        let whole = memory.bytes(address, size_of::<HvmStartInfo>()).ok_or(missing)?;
        start_info.as_mut_bytes().copy_from_slice(whole);
    }
    Ok(start_info)
}

/// Reads up to the terminating zero, the end of memory or the end of `buffer`.
fn read_string<'a>(memory: &impl PhysicalMemory, address: u64, buffer: &'a mut [u8]) -> &'a [u8] {
    let mut len = 0_usize;
    for (at, slot) in (0_u64..).zip(buffer.iter_mut()) {
        // The address may wrap at the end of the address space.
        match address.checked_add(at).and_then(|at| memory.bytes(at, 1)) {
            Some(&[byte]) if byte != 0 => *slot = byte,
            _ => break,
        }
        len = len.saturating_add(1);
    }
    buffer.get(..len).unwrap_or_default()
}

fn read_memory_map(
    memory: &impl PhysicalMemory,
    start_info: &HvmStartInfo,
    info: &mut BootInfo,
) -> Result<(), BootError> {
    let claimed = start_info.memmap_entries;
    if usize::try_from(claimed).is_ok_and(|claimed| claimed > MAX_REGIONS) {
        return Err(BootError::TooManyRegions { claimed });
    }
    let size = size_of::<HvmMemmapTableEntry>();
    for index in 0..u64::from(claimed) {
        let offset = index.saturating_mul(u64::try_from(size).unwrap_or_default());
        let address = start_info.memmap_paddr.saturating_add(offset);
        let bytes = memory.bytes(address, size).ok_or(BootError::NoMemory { address })?;
        let entry =
            HvmMemmapTableEntry::read_from_bytes(bytes).map_err(|_| BootError::NoMemory { address })?;
        let kind = match HvmMemmapType::try_from(entry.kind) {
            Ok(HvmMemmapType::Ram) => RegionKind::Ram,
            _ => RegionKind::Reserved,
        };
        info.add_region(MemoryRegion { start: entry.addr, end: entry.addr.saturating_add(entry.size), kind });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Memory that begins at 4096.
    struct Memory(Vec<u8>);

    impl PhysicalMemory for Memory {
        fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
            let start = usize::try_from(address.checked_sub(4096)?).ok()?;
            self.0.get(start..start.checked_add(len)?)
        }
    }

    fn memory(version: u32, entries: &[HvmMemmapTableEntry], cmdline: &[u8]) -> Memory {
        let start_info = HvmStartInfo {
            magic: HVM_START_MAGIC_VALUE,
            version,
            cmdline_paddr: 4096 + 1024,
            memmap_paddr: 4096 + 64,
            memmap_entries: u32::try_from(entries.len()).unwrap(),
            ..HvmStartInfo::new_zeroed()
        };
        let mut bytes = std::vec![0; 1024];
        bytes[..56].copy_from_slice(start_info.as_bytes());
        bytes[64..64 + size_of_val(entries)].copy_from_slice(entries.as_bytes());
        bytes.extend_from_slice(cmdline);
        Memory(bytes)
    }

    fn ram(addr: u64, size: u64) -> HvmMemmapTableEntry {
        HvmMemmapTableEntry { addr, size, kind: 1, reserved: 0 }
    }

    #[test]
    fn version_1_has_map_and_command_line() {
        let reserved = HvmMemmapTableEntry { addr: 0xfeff_8000, size: 0x8000, kind: 2, reserved: 0 };
        let info =
            BootInfo::from_pvh(&memory(1, &[ram(0, 32 << 20), reserved], b"ip=dhcp\0x"), 4096).unwrap();
        assert_eq!(info.cmdline(), b"ip=dhcp");
        assert_eq!(
            info.regions(),
            [
                MemoryRegion { start: 0, end: 32 << 20, kind: RegionKind::Ram },
                MemoryRegion { start: 0xfeff_8000, end: 0xff00_0000, kind: RegionKind::Reserved },
            ]
        );
    }

    #[test]
    fn version_0_has_no_map_even_if_bytes_follow() {
        let info = BootInfo::from_pvh(&memory(0, &[ram(0, 1)], b"a\0"), 4096).unwrap();
        assert!(info.regions().is_empty());
    }

    #[test]
    fn a_wrong_magic_is_named() {
        let mut memory = memory(1, &[], b"\0");
        memory.0[0] = 0;
        assert_eq!(
            BootInfo::from_pvh(&memory, 4096).unwrap_err(),
            BootError::BadMagic { found: 0x336e_c500 }
        );
    }

    #[test]
    fn a_command_line_ends_with_memory_or_is_cut() {
        assert_eq!(BootInfo::from_pvh(&memory(1, &[], b"abc"), 4096).unwrap().cmdline(), b"abc");
        let info = BootInfo::from_pvh(&memory(1, &[], &[b'x'; 9000]), 4096).unwrap();
        assert!(info.cmdline_cut);
        assert_eq!(info.cmdline().len(), MAX_CMDLINE);
    }

    #[test]
    fn malicious_counts_and_addresses_are_errors() {
        let mut bad = memory(1, &[], b"\0");
        bad.0[48..52].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            BootInfo::from_pvh(&bad, 4096).unwrap_err(),
            BootError::TooManyRegions { claimed: u32::MAX }
        );
        bad.0[48..52].copy_from_slice(&64_u32.to_le_bytes());
        bad.0[40..48].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
        assert!(matches!(BootInfo::from_pvh(&bad, 4096), Err(BootError::NoMemory { .. })));
        assert!(matches!(BootInfo::from_pvh(&bad, 0), Err(BootError::NoMemory { address: 0 })));
        let info = BootInfo::from_pvh(&memory(1, &[ram(u64::MAX - 1, u64::MAX)], b"\0"), 4096).unwrap();
        assert_eq!(info.regions()[0].end, u64::MAX);
    }

    #[test]
    fn a_command_line_at_the_end_of_the_address_space_is_empty() {
        let mut bad = memory(1, &[], b"\0");
        bad.0[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(BootInfo::from_pvh(&bad, 4096).unwrap().cmdline(), b"");
    }

    #[test]
    fn any_bytes_parse_or_fail_without_a_panic() {
        let mut state = 0x1234_5678_9abc_def0_u64;
        let mut bytes = memory(1, &[ram(0, 1)], b"x\0");
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(state >> 33).unwrap() % 128;
            if at >= 4 {
                bytes.0[at] = state.to_le_bytes()[7];
            }
            let _ = BootInfo::from_pvh(&bytes, 4096);
        }
    }
}
