//! CRC-32C by the processor's own instruction: 8 bytes each, in general registers, so that no vector state is touched.
//!
//! SSE4.2's CRC32, present since 2008; without it datafront goes on with its table. (Intel SDM, volume 2A, CRC32)

#![allow(unsafe_code, reason = "one instruction; see docs/soundness.md")]

use core::arch::asm;
#[cfg(target_os = "none")]
use core::arch::x86_64::__cpuid;

/// Tells datafront of the instruction, if the processor has it.
#[cfg(target_os = "none")]
pub(crate) fn init() {
    let has_sse42 = __cpuid(1).ecx & (1 << 20) != 0;
    if has_sse42 {
        datafront::block::wire::accelerate(append);
    }
}

/// The check of `bytes` after those whose check is `sum`.
fn append(sum: u32, bytes: &[u8]) -> u32 {
    let mut crc = u64::from(!sum);
    let (lines, rest) = bytes.as_chunks::<64>();
    for line in lines {
        // SAFETY: `init` has seen that there is this instruction; it reads the 64 bytes of the line.
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
    for byte in rest {
        // SAFETY: as above; reads a register.
        unsafe {
            asm!("crc32 {crc}, {byte}", crc = inout(reg) crc, byte = in(reg_byte) *byte,
                 options(pure, nomem, nostack, preserves_flags));
        }
    }
    // The upper half of the register is zero after the instruction.
    !u32::try_from(crc).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn the_instruction_gives_crc_32c_however_the_bytes_are_cut() {
        if !std::is_x86_feature_detected!("sse4.2") {
            return;
        }
        assert_eq!(append(0, b"123456789"), 0xe306_9283);
        assert_eq!(append(0, &[0; 32]), 0x8a91_36aa, "RFC 3720, B.4");
        let bytes: std::vec::Vec<u8> = (0..300_u32).map(|i| i.wrapping_mul(7).to_le_bytes()[0]).collect();
        let whole = append(0, &bytes);
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(append(append(0, first), second), whole, "cut at {cut}");
        }
    }
}
