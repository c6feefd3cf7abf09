//! The functions on bytes that the compiler calls: `memcpy`, `memmove`, `memset`, `memcmp` and `bcmp`.
//!
//! ```text
//!   up to 64 bytes   all loads before the first store: pieces of 16 (8, 4, 1) from the start and from the end, which overlap
//!   more             the last (or first) 64 bytes are loaded, 64 at a time are copied, then the loaded ones are stored
//! ```
//!
//! The target has a C library, which an image does not link, so that the image brings them. They are in assembler: a loop
//! in Rust that copies bytes would be compiled to a call of `memcpy`. `linker.ld` makes `memcpy` another name of `memmove`,
//! for whether the two overlap is asked beyond 64 bytes alone, and `bcmp` one of `memcmp`.

#![allow(unsafe_code, reason = "symbols that the compiler calls; see docs/soundness.md")]

use core::arch::naked_asm;

macro_rules! symbols {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) -> $result:ty { $($line:literal)* })*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// As C has it: the pointers are good for `n` bytes.
            #[unsafe(naked)]
            #[cfg_attr(bare, unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name($($arg: $kind),*) -> $result {
                naked_asm!($($line,)*)
            }
        )*
    };
}

symbols! {
    /// Copies `n` bytes from `from` to `to`; returns `to`. The two may overlap.
    memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
        "mov rax, rdi"
        "cmp rdx, 16"
        "jb 5f"
        "movups xmm0, [rsi]"
        "movups xmm1, [rsi + rdx - 16]"
        "cmp rdx, 32"
        "ja 2f"
        "movups [rdi], xmm0"
        "movups [rdi + rdx - 16], xmm1"
        "ret"
        "2:"
        "movups xmm2, [rsi + 16]"
        "movups xmm3, [rsi + rdx - 32]"
        "cmp rdx, 64"
        "ja 3f"
        "movups [rdi], xmm0"
        "movups [rdi + 16], xmm2"
        "movups [rdi + rdx - 32], xmm3"
        "movups [rdi + rdx - 16], xmm1"
        "ret"
        // More than 64: upwards, unless the target begins within the source.
        "3:"
        "mov rcx, rdi"
        "sub rcx, rsi"
        "cmp rcx, rdx"
        "jb 8f"
        "movups xmm4, [rsi + rdx - 64]"
        "movups xmm5, [rsi + rdx - 48]"
        "lea r8, [rdi + rdx - 64]"
        "4:"
        "movups xmm0, [rsi]"
        "movups xmm2, [rsi + 16]"
        "movups xmm6, [rsi + 32]"
        "movups xmm7, [rsi + 48]"
        "add rsi, 64"
        "movups [rdi], xmm0"
        "movups [rdi + 16], xmm2"
        "movups [rdi + 32], xmm6"
        "movups [rdi + 48], xmm7"
        "add rdi, 64"
        "cmp rdi, r8"
        "jb 4b"
        "movups [r8], xmm4"
        "movups [r8 + 16], xmm5"
        "movups [r8 + 32], xmm3"
        "movups [r8 + 48], xmm1"
        "ret"
        // Fewer than 16.
        "5:"
        "cmp rdx, 8"
        "jb 6f"
        "mov rcx, [rsi]"
        "mov r8, [rsi + rdx - 8]"
        "mov [rdi], rcx"
        "mov [rdi + rdx - 8], r8"
        "ret"
        "6:"
        "cmp rdx, 4"
        "jb 7f"
        "mov ecx, [rsi]"
        "mov r8d, [rsi + rdx - 4]"
        "mov [rdi], ecx"
        "mov [rdi + rdx - 4], r8d"
        "ret"
        // Three at most: the first, the middle one, the last.
        "7:"
        "test rdx, rdx"
        "je 9f"
        "mov r9, rdx"
        "shr r9, 1"
        "movzx ecx, byte ptr [rsi]"
        "movzx r8d, byte ptr [rsi + r9]"
        "movzx r10d, byte ptr [rsi + rdx - 1]"
        "mov [rdi], cl"
        "mov [rdi + r9], r8b"
        "mov [rdi + rdx - 1], r10b"
        "ret"
        // Downwards.
        "8:"
        "movups xmm4, [rsi + 32]"
        "movups xmm5, [rsi + 48]"
        "lea r8, [rdi + 64]"
        "lea rcx, [rdi + rdx]"
        "add rsi, rdx"
        "2:"
        "movups xmm1, [rsi - 16]"
        "movups xmm3, [rsi - 32]"
        "movups xmm6, [rsi - 48]"
        "movups xmm7, [rsi - 64]"
        "sub rsi, 64"
        "movups [rcx - 16], xmm1"
        "movups [rcx - 32], xmm3"
        "movups [rcx - 48], xmm6"
        "movups [rcx - 64], xmm7"
        "sub rcx, 64"
        "cmp rcx, r8"
        "ja 2b"
        "movups [rdi], xmm0"
        "movups [rdi + 16], xmm2"
        "movups [rdi + 32], xmm4"
        "movups [rdi + 48], xmm5"
        "9:"
        "ret"
    }

    /// Fills `n` bytes at `to` with the lowest byte of `value`; returns `to`.
    memset(to: *mut u8, value: i32, n: usize) -> *mut u8 {
        "mov rax, rdi"
        "movzx esi, sil"
        "mov rcx, 0x0101010101010101"
        "imul rcx, rsi"
        "cmp rdx, 16"
        "jb 4f"
        "movq xmm0, rcx"
        "punpcklqdq xmm0, xmm0"
        "lea r8, [rdi + rdx - 16]"
        "sub rdx, 64"
        "jb 3f"
        "2:"
        "movups [rdi], xmm0"
        "movups [rdi + 16], xmm0"
        "movups [rdi + 32], xmm0"
        "movups [rdi + 48], xmm0"
        "add rdi, 64"
        "sub rdx, 64"
        "jae 2b"
        // What is left is less than 64, and at least 16 lie before its end.
        "3:"
        "cmp rdi, r8"
        "jae 7f"
        "movups [rdi], xmm0"
        "add rdi, 16"
        "jmp 3b"
        "7:"
        "movups [r8], xmm0"
        "ret"
        "4:"
        "cmp rdx, 8"
        "jb 5f"
        "mov [rdi], rcx"
        "mov [rdi + rdx - 8], rcx"
        "ret"
        "5:"
        "cmp rdx, 4"
        "jb 6f"
        "mov [rdi], ecx"
        "mov [rdi + rdx - 4], ecx"
        "ret"
        "6:"
        "test rdx, rdx"
        "je 8f"
        "mov r9, rdx"
        "shr r9, 1"
        "mov [rdi], cl"
        "mov [rdi + r9], cl"
        "mov [rdi + rdx - 1], cl"
        "8:"
        "ret"
    }

    /// Compares `n` bytes; returns less than 0, 0 or more than 0.
    memcmp(left: *const u8, right: *const u8, n: usize) -> i32 {
        "cmp rdx, 16"
        "jb 5f"
        "xor ecx, ecx"
        "sub rdx, 16"
        "2:"
        "movups xmm0, [rdi + rcx]"
        "movups xmm1, [rsi + rcx]"
        "pcmpeqb xmm0, xmm1"
        "pmovmskb eax, xmm0"
        "sub eax, 0xffff"
        "jne 4f"
        "cmp rcx, rdx"
        "je 3f"
        "add rcx, 16"
        "cmp rcx, rdx"
        "cmova rcx, rdx"
        "jmp 2b"
        "3:"
        "ret"
        // The lowest bit that is set, for eax is the mask less 0xffff, is that of the first difference.
        "4:"
        "bsf eax, eax"
        "add rcx, rax"
        "movzx eax, byte ptr [rdi + rcx]"
        "movzx edx, byte ptr [rsi + rcx]"
        "sub eax, edx"
        "ret"
        "5:"
        "cmp rdx, 8"
        "jb 7f"
        "mov rax, [rdi]"
        "mov rcx, [rsi]"
        "cmp rax, rcx"
        "jne 6f"
        "mov rax, [rdi + rdx - 8]"
        "mov rcx, [rsi + rdx - 8]"
        "cmp rax, rcx"
        "jne 6f"
        "xor eax, eax"
        "ret"
        // The first byte decides: the number whose highest byte it is.
        "6:"
        "bswap rax"
        "bswap rcx"
        "cmp rax, rcx"
        "sbb eax, eax"
        "or eax, 1"
        "ret"
        "7:"
        "cmp rdx, 4"
        "jb 8f"
        "mov eax, [rdi]"
        "mov ecx, [rsi]"
        "bswap eax"
        "bswap ecx"
        "shl rax, 32"
        "shl rcx, 32"
        "mov r8d, [rdi + rdx - 4]"
        "mov r9d, [rsi + rdx - 4]"
        "bswap r8d"
        "bswap r9d"
        "or rax, r8"
        "or rcx, r9"
        "cmp rax, rcx"
        "jne 9f"
        "xor eax, eax"
        "ret"
        "9:"
        "sbb eax, eax"
        "or eax, 1"
        "ret"
        "8:"
        "xor eax, eax"
        "xor ecx, ecx"
        "2:"
        "cmp rcx, rdx"
        "je 3f"
        "movzx eax, byte ptr [rdi + rcx]"
        "movzx r8d, byte ptr [rsi + rcx]"
        "inc rcx"
        "sub eax, r8d"
        "je 2b"
        "3:"
        "ret"
    }
}

#[cfg(test)]
mod tests {
    use super::{memcmp, memmove, memset};
    use std::vec::Vec;

    /// Lengths at the boundaries of all pieces, and around them.
    fn lengths() -> impl Iterator<Item = usize> {
        (0..=200).chain([255, 256, 257, 1023, 1024, 1500, 4096])
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n.wrapping_mul(167).wrapping_add(n >> 8) & 0xff) as u8).collect()
    }

    #[test]
    fn bytes_move_in_any_length_and_over_each_other() {
        for len in lengths() {
            for shift in (-70_isize..=70).chain([-4096, 4096]) {
                let (from, to) = (5000_usize, 5000_usize.wrapping_add_signed(shift));
                let mut found = pattern(15_000);
                let mut wanted = found.clone();
                wanted.copy_within(from..from + len, to);
                let base = found.as_mut_ptr();
                // SAFETY: both ranges lie within the vector.
                let returned = unsafe { memmove(base.wrapping_add(to), base.wrapping_add(from), len) };
                assert_eq!(returned, base.wrapping_add(to));
                assert!(found == wanted, "{len} bytes by {shift}");
            }
        }
    }

    #[test]
    fn bytes_are_filled_in_any_length() {
        for len in lengths() {
            for (start, value) in [(64, 0), (65, 0x1ff), (71, 0xa5)] {
                let mut found = pattern(5000);
                let mut wanted = found.clone();
                wanted[start..start + len].fill((value & 0xff) as u8);
                let to = found.as_mut_ptr().wrapping_add(start);
                // SAFETY: the range lies within the vector.
                assert_eq!(unsafe { memset(to, value, len) }, to);
                assert!(found == wanted, "{len} bytes of {value:#x}");
            }
        }
    }

    #[test]
    fn the_first_byte_that_differs_decides() {
        for len in lengths().filter(|len| *len <= 300) {
            let left = pattern(len);
            // SAFETY: both have `len` bytes.
            assert_eq!(unsafe { memcmp(left.as_ptr(), left.clone().as_ptr(), len) }, 0, "{len}");
            for at in 0..len {
                let mut right = left.clone();
                // Whatever follows differs the other way.
                right[at] = left[at].wrapping_add(1);
                for byte in &mut right[at + 1..] {
                    *byte = byte.wrapping_sub(1);
                }
                // SAFETY: both have `len` bytes.
                let found = unsafe { memcmp(left.as_ptr(), right.as_ptr(), len) };
                assert_eq!(
                    found.signum(),
                    if left[at] < right[at] { -1 } else { 1 },
                    "{len} at {at}: {found}"
                );
            }
        }
    }
}
