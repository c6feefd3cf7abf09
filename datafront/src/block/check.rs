//! The check of headers and blocks: CRC-32C, by the processor's instruction where it has one, else by a table.
//!
//! ```text
//!   check() ──► update ──► update ──► … ──► finalize: that of all bytes together
//! ```

use crc::{CRC_32_ISCSI, Crc, Digest, Table};
use spin::Once;
use xen::crc32c::{Append, instruction};

/// How many bytes a step of the table takes. In a guest one: the processor reckons there, and a wide table is 16 KiB.
const LANES: usize = if cfg!(bare) { 1 } else { 16 };
/// CRC-32C.
static CRC: Crc<u32, Table<LANES>> = Crc::<u32, Table<LANES>>::new(&CRC_32_ISCSI);

/// The processor's implementation, if it has one; determined once.
static HARDWARE: Once<Option<Append>> = Once::new();

/// A check that grows with the bytes.
#[derive(Clone)]
pub(crate) enum Check {
    Table(Digest<'static, u32, Table<LANES>>),
    Hardware(u32, Append),
}

impl Check {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        // An answer has no name, and a call costs as much for nothing.
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Table(digest) => digest.update(bytes),
            Self::Hardware(sum, append) => *sum = append(*sum, bytes),
        }
    }

    pub(crate) fn finalize(self) -> u32 {
        match self {
            Self::Table(digest) => digest.finalize(),
            Self::Hardware(sum, _) => sum,
        }
    }
}

/// A check of no bytes yet.
#[must_use]
pub(crate) fn check() -> Check {
    HARDWARE
        .call_once(instruction)
        .map_or_else(|| Check::Table(CRC.digest()), |append| Check::Hardware(0, append))
}

/// CRC-32C of these bytes, as a sender of blocks needs it.
#[derive(Clone)]
pub struct Sum(Check);

impl core::fmt::Debug for Sum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sum")
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self(check())
    }
}

impl Sum {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The check so far.
    #[must_use]
    pub fn value(self) -> u32 {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_check_is_crc_32c() {
        let mut sum = check();
        sum.update(b"123456789");
        assert_eq!(sum.finalize(), 0xe306_9283);
    }

    #[test]
    fn table_and_instruction_agree() {
        let bytes: Vec<u8> = (0..200_u8).map(|i| i.wrapping_mul(151)).collect();
        for end in 0..bytes.len() {
            let mut table = Check::Table(CRC.digest());
            let mut quick = check();
            for sum in [&mut table, &mut quick] {
                sum.update(&bytes[..end]);
                sum.update(&bytes[end..]);
            }
            assert_eq!(table.finalize(), quick.finalize(), "cut at {end}");
        }
    }
}
