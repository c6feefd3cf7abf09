//! `start_info` by PVH, the information of multiboot2, and the command line: any bytes parse, or fail without a panic.
//!
//! ```text
//!   | 0: PVH, 1: multiboot2, else: command line | memory from 4096 on, or the line |
//! ```

#![no_main]

use boot::{BootInfo, MULTIBOOT2_MAGIC, PVH_MAGIC, PhysicalMemory};
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
    }
});
