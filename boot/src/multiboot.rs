//! Parser of a multiboot2 loader's information, with the `multiboot2` crate.
//!
//! ```text
//!   total size u32 │ reserved u32 │ tag: type u32, size u32, data, padded to 8 │ … │ end tag: 0, 8
//! ```
//!
//! GRUB in a PVH domU passes on a memory map (tag 6) and the arguments of its own `multiboot2` command (tag 1), not those
//! of the domain. There is no `hvm_start_info` and no RSDP. The rings of console and xenstore are found by HVM parameters.

#![allow(unsafe_code, reason = "hands checked memory to the multiboot2 crate; see docs/soundness.md")]

use crate::info::{BootError, BootInfo, Loader, MAX_REGIONS, MemoryRegion, PhysicalMemory, RegionKind};
use multiboot2::{BootInformation, BootInformationHeader, MemoryAreaType, MemoryAreaTypeRaw};

/// The longest information in bytes that is accepted.
const MAX_BYTES: usize = 1 << 20;
/// The alignment of the information and its tags (Multiboot2 specification 2.0, 3.4).
const ALIGNMENT: usize = 8;

impl BootInfo {
    /// Parses the information of a multiboot2 loader at `address`.
    ///
    /// # Errors
    /// It is not in memory, contradicts itself, or its memory map has too many entries.
    pub fn from_multiboot2(memory: &impl PhysicalMemory, address: u64) -> Result<Self, BootError> {
        let missing = BootError::NoMemory { address };
        let bytes = memory.bytes(address, size_of::<u32>()).ok_or(missing)?;
        let len = bytes.first_chunk().map(|word| u32::from_le_bytes(*word)).unwrap_or_default();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > MAX_BYTES || len < size_of::<BootInformationHeader>() {
            return Err(BootError::Malformed);
        }
        let bytes = memory.bytes(address, len).ok_or(missing)?;
        let pointer = bytes.as_ptr();
        if !pointer.addr().is_multiple_of(ALIGNMENT) || !well_formed(bytes) {
            return Err(BootError::Malformed);
        }
        // SAFETY: `len` bytes are readable (the slice) and aligned, and their first word is `len`; the borrow keeps them
        // in place while they are parsed.
        let parsed = unsafe { BootInformation::load(pointer.cast()) }.map_err(|_| BootError::Malformed)?;
        let mut info = Self::empty();
        info.loader = Loader::Multiboot2;
        info.loader_data = MemoryRegion {
            start: address,
            end: address.saturating_add(u64::try_from(len).unwrap_or_default()),
            kind: RegionKind::Reserved,
        };
        if let Some(line) = parsed.command_line_tag().and_then(|tag| tag.cmdline().ok()) {
            info.set_cmdline(line.as_bytes());
        }
        let areas = parsed.memory_map_tag().map(multiboot2::MemoryMapTag::memory_areas).unwrap_or_default();
        if areas.len() > MAX_REGIONS {
            return Err(BootError::TooManyRegions {
                claimed: u32::try_from(areas.len()).unwrap_or(u32::MAX),
            });
        }
        for area in areas {
            let ram = area.typ() == MemoryAreaTypeRaw::from(MemoryAreaType::Available);
            let kind = if ram { RegionKind::Ram } else { RegionKind::Reserved };
            let end = area.start_address().saturating_add(area.size());
            info.add_region(MemoryRegion { start: area.start_address(), end, kind });
        }
        Ok(info)
    }
}

/// Whether the tags lie within the information, one behind the other up to the end tag, and the entries of the memory
/// map have the size that the crate asserts. The check comes first, since the crate would panic.
fn well_formed(bytes: &[u8]) -> bool {
    const MEMORY_MAP: u32 = 6;
    let word = |at: usize| {
        let word = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*word))
    };
    let mut at = size_of::<BootInformationHeader>();
    loop {
        let (Some(kind), Some(size)) = (word(at), word(at.saturating_add(4))) else { return false };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let end = at.saturating_add(size);
        if size < 8 || end > bytes.len() {
            return false;
        }
        if kind == 0 {
            return size == 8;
        }
        if kind == MEMORY_MAP {
            let entries = size.saturating_sub(16);
            if size < 16 || word(at.saturating_add(8)) != Some(24) || !entries.is_multiple_of(24) {
                return false;
            }
        }
        at = end.saturating_add(ALIGNMENT.saturating_sub(1)) & !ALIGNMENT.saturating_sub(1);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Memory that begins at 4096, aligned to 8.
    struct Memory(Vec<u64>);

    impl PhysicalMemory for Memory {
        fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
            let start = usize::try_from(address.checked_sub(4096)?).ok()?;
            zerocopy::IntoBytes::as_bytes(self.0.as_slice()).get(start..start.checked_add(len)?)
        }
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Length, a command line, two entries of memory map, end.
    fn information() -> Vec<u8> {
        let mut bytes = words(&[0, 0, 1, 8 + 8]);
        bytes.extend_from_slice(b"ip=dhcp\0");
        bytes.extend(words(&[6, 16 + 48, 24, 0]));
        bytes.extend(words(&[0, 0, 0x200_0000, 0, 1, 0]));
        bytes.extend(words(&[0xfeff_8000, 0, 0x8000, 0, 2, 0]));
        bytes.extend(words(&[0, 8]));
        let len = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    fn memory(bytes: &[u8]) -> Memory {
        Memory(
            bytes
                .chunks(8)
                .map(|chunk| {
                    let mut word = [0; 8];
                    word[..chunk.len()].copy_from_slice(chunk);
                    u64::from_ne_bytes(word)
                })
                .collect(),
        )
    }

    #[test]
    fn map_and_command_line_are_read() {
        let info = BootInfo::from_loader(&memory(&information()), multiboot2::MAGIC, 4096).unwrap();
        assert_eq!(info.loader, Loader::Multiboot2);
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
    fn inconsistent_lengths_are_refused() {
        for (at, value) in [(0, 4_u32), (0, u32::MAX), (12, 7), (12, 4096), (28, 15), (32, 20), (28, 16 + 47)]
        {
            let mut bytes = information();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let found = BootInfo::from_multiboot2(&memory(&bytes), 4096);
            assert!(matches!(found, Err(BootError::Malformed)), "{value} at {at}: {found:?}");
        }
        assert!(matches!(
            BootInfo::from_multiboot2(&memory(&information()), 0),
            Err(BootError::NoMemory { .. })
        ));
    }

    #[test]
    fn any_bytes_parse_or_fail_without_a_panic() {
        let mut state = 0x1234_5678_9abc_def0_u64;
        for _ in 0..100_000 {
            let mut bytes = information();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = usize::try_from(state >> 33).unwrap() % bytes.len();
                bytes[at] = state.to_le_bytes()[7];
            }
            let _ = BootInfo::from_multiboot2(&memory(&bytes), 4096);
        }
    }
}
