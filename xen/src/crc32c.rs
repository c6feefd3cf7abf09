//! CRC-32C by the processor's own instruction: 8 bytes each, in general registers, so that no vector state is touched.
//!
//! Nothing of Xen's; but it takes `unsafe`, and `datafront`, whose check this is, has none. SSE4.2's CRC32, present since
//! 2008; without it datafront goes on with its table. (Intel SDM, volume 2A, CRC32) The same function serves dom0's end: the
//! crate for hosts takes three pieces at a time, and 200 instructions for a header of 28 bytes.
//!
//! ```text
//!   64 │ 64 │ …  │ 8 │ 8 │ …  │ 4 │ 1 1 1
//!   8 a line       one each
//! ```

#![allow(unsafe_code, reason = "one instruction; see docs/soundness.md")]

/// The check of some bytes, and of more bytes after them: that of all together. Of no bytes it is 0.
pub type Append = fn(u32, &[u8]) -> u32;

/// The way by the instruction, if the processor has it. It asks with CPUID, which in a guest leaves for Xen: ask once.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[must_use]
pub fn instruction() -> Option<Append> {
    let has_sse42 = core::arch::x86_64::__cpuid(1).ecx & (1 << 20) != 0;
    let append: Append = append;
    has_sse42.then_some(append)
}

/// As above: no such instruction.
#[cfg(any(not(target_arch = "x86_64"), miri))]
#[must_use]
pub const fn instruction() -> Option<Append> {
    None
}

/// The check of `bytes` after those whose check is `sum`.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn append(sum: u32, bytes: &[u8]) -> u32 {
    use core::arch::asm;
    let mut crc = u64::from(!sum);
    let (lines, rest) = bytes.as_chunks::<64>();
    for line in lines {
        // SAFETY: `instruction` has seen that there is this instruction; it reads the 64 bytes of the line.
        unsafe {
            asm!("crc32 {crc}, qword ptr [{at}]", "crc32 {crc}, qword ptr [{at} + 8]",
                 "crc32 {crc}, qword ptr [{at} + 16]", "crc32 {crc}, qword ptr [{at} + 24]",
                 "crc32 {crc}, qword ptr [{at} + 32]", "crc32 {crc}, qword ptr [{at} + 40]",
                 "crc32 {crc}, qword ptr [{at} + 48]", "crc32 {crc}, qword ptr [{at} + 56]",
                 crc = inout(reg) crc, at = in(reg) line.as_ptr(), options(pure, readonly, nostack, preserves_flags));
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        // SAFETY: as above; reads a register.
        unsafe {
            asm!("crc32 {crc}, {word}", crc = inout(reg) crc, word = in(reg) u64::from_le_bytes(*word),
                 options(pure, nomem, nostack, preserves_flags));
        }
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        // SAFETY: as above; reads a register.
        unsafe {
            asm!("crc32 {crc:e}, {half:e}", crc = inout(reg) crc, half = in(reg) u32::from_le_bytes(*half),
                 options(pure, nomem, nostack, preserves_flags));
        }
    }
    for byte in rest {
        // SAFETY: as above; reads a register.
        unsafe {
            asm!("crc32 {crc}, {byte}", crc = inout(reg) crc, byte = in(reg_byte) *byte,
                 options(pure, nomem, nostack, preserves_flags));
        }
    }
    // The upper half of the register is zero after the instruction.
    let [a, b, c, d, ..] = crc.to_le_bytes();
    !u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::instruction;
    use alloc::vec::Vec;

    #[test]
    fn the_instruction_gives_crc_32c_however_the_bytes_are_cut() {
        let Some(append) = instruction() else { return };
        assert_eq!(append(0, b"123456789"), 0xe306_9283);
        assert_eq!(append(0, &[0; 32]), 0x8a91_36aa, "RFC 3720, B.4");
        let bytes: Vec<u8> = (0..300_u32).map(|i| i.wrapping_mul(7).to_le_bytes()[0]).collect();
        let whole = append(0, &bytes);
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(append(append(0, first), second), whole, "cut at {cut}");
        }
    }
}
