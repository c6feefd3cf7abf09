//! The cost of copies and checksums in this image: those that it uses, beside others with vector registers.
//!
//! The counter is the timestamp counter: on a machine that counts (`-icount shift=1`) with `tsc_mode="native"` two of
//! its ticks are one instruction, elsewhere they are time. The least of a few runs counts: an event may come in
//! between.
//!
//! `compiler` is a copy as any code of the image does it: by `memcpy` of kernel/src/cpu/bytes.rs.

#![allow(unsafe_code, reason = "measures instructions by name")]

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::arch::asm;
use core::hint::black_box;
use kernel::System;
use smoltcp::wire::checksum;

/// Bytes of each copy: a small packet, a full one, a page, and a large frame.
const SIZES: [usize; 7] = [64, 128, 256, 576, 1460, 4096, 65_536];
const RUNS: usize = 9;

type Copy = fn(&mut [u8], &[u8]);
type Sum = fn(&[u8]) -> u16;

/// Prints a line for each size, and says whether all ways agree.
pub(crate) fn measure(system: &System) -> Result<(), String> {
    let copies: [(&str, Copy); 4] =
        [("compiler", by_compiler), ("movsb", by_movsb), ("movsq", by_movsq), ("sse2", by_sse2)];
    let sums: [(&str, Sum); 3] =
        [("smoltcp", checksum::data), ("words", kernel::nic::checksum::sum), ("sse2", sum_by_sse2)];
    for size in SIZES {
        // Neither aligned to the other, as headers make it.
        let (from, mut to) = (vec![0xa5_u8; size + 64], vec![0_u8; size + 64]);
        for (name, copy) in copies {
            let (to, from) = (&mut to[2..size + 2], &from[14..size + 14]);
            to.fill(0);
            let ticks = least(|| copy(black_box(&mut *to), black_box(from)));
            if to != from {
                return Err(format!("{name} copied {size} bytes wrongly"));
            }
            say(system, &format!("copy\t{name}\t{size}\t{ticks}\n"));
        }
        let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
        for (name, sum) in sums {
            let ticks = least(|| {
                black_box(sum(black_box(&bytes)));
            });
            if sum(&bytes) != checksum::data(&bytes) {
                return Err(format!("{name} summed {size} bytes wrongly"));
            }
            say(system, &format!("sum\t{name}\t{size}\t{ticks}\n"));
        }
    }
    Ok(())
}

fn say(system: &System, line: &str) {
    system.console().write(line.as_bytes());
}

/// The fewest ticks of a few runs.
fn least(mut run: impl FnMut()) -> u64 {
    let one = |run: &mut dyn FnMut()| {
        let before = ticks();
        run();
        ticks().wrapping_sub(before)
    };
    let nothing = (0..RUNS).map(|_| one(&mut || {})).min().unwrap_or_default();
    (0..RUNS).map(|_| one(&mut run)).min().unwrap_or_default().saturating_sub(nothing)
}

fn ticks() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn by_compiler(to: &mut [u8], from: &[u8]) {
    to.copy_from_slice(from);
}

fn by_movsb(to: &mut [u8], from: &[u8]) {
    let count = to.len().min(from.len());
    // SAFETY: `count` bytes are readable and writable; the flag of the direction is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to.as_mut_ptr() => _, inout("rsi") from.as_ptr() => _, options(nostack))
    };
}

fn by_movsq(to: &mut [u8], from: &[u8]) {
    let count = to.len().min(from.len());
    // SAFETY: as above; eighths, and then the rest.
    unsafe {
        asm!("rep movsq", "mov rcx, {rest}", "rep movsb", rest = in(reg) count % 8, inout("rcx") count / 8 => _,
             inout("rdi") to.as_mut_ptr() => _, inout("rsi") from.as_ptr() => _, options(nostack));
    };
}

/// 64 bytes a loop through four vector registers.
fn by_sse2(to: &mut [u8], from: &[u8]) {
    let count = to.len().min(from.len());
    // SAFETY: as above, as many loops as there are whole 64 bytes, and then the rest.
    unsafe {
        asm!("test {passes}, {passes}", "jz 3f",
             "2:",
             "movups xmm0, [rsi]", "movups xmm1, [rsi + 16]", "movups xmm2, [rsi + 32]", "movups xmm3, [rsi + 48]",
             "movups [rdi], xmm0", "movups [rdi + 16], xmm1", "movups [rdi + 32], xmm2", "movups [rdi + 48], xmm3",
             "add rsi, 64", "add rdi, 64", "dec {passes}", "jnz 2b",
             "3:", "rep movsb",
             out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
             passes = inout(reg) count / 64 => _, inout("rcx") count % 64 => _,
             inout("rdi") to.as_mut_ptr() => _, inout("rsi") from.as_ptr() => _, options(nostack));
    };
}

/// 32 bytes a loop: each 32-bit half of a lane is added to a sum of 64 bits.
fn sum_by_sse2(bytes: &[u8]) -> u16 {
    let passes = bytes.len() / 32;
    let (low, high): (u64, u64);
    // SAFETY: reads `passes` times 32 bytes of the slice.
    unsafe {
        asm!("pxor xmm0, xmm0", "pxor xmm1, xmm1", "pxor xmm7, xmm7", "test {passes}, {passes}", "jz 3f",
             "2:",
             "movdqu xmm2, [{at}]", "movdqu xmm3, [{at} + 16]", "movdqa xmm4, xmm2", "movdqa xmm5, xmm3",
             "punpckldq xmm2, xmm7", "punpckhdq xmm4, xmm7", "punpckldq xmm3, xmm7", "punpckhdq xmm5, xmm7",
             "paddq xmm0, xmm2", "paddq xmm1, xmm4", "paddq xmm0, xmm3", "paddq xmm1, xmm5",
             "add {at}, 32", "dec {passes}", "jnz 2b",
             "3:", "paddq xmm0, xmm1", "movq {low}, xmm0", "psrldq xmm0, 8", "movq {high}, xmm0",
             out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm7") _,
             passes = inout(reg) passes => _, at = inout(reg) bytes.as_ptr() => _, low = out(reg) low, high = out(reg) high,
             options(nostack, readonly));
    };
    let folded = |sum: u64| {
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff) + (sum >> 48);
        let sum = (sum & 0xffff) + (sum >> 16);
        ((sum & 0xffff) + (sum >> 16)) as u16
    };
    let rest = bytes.get(passes * 32..).unwrap_or_default();
    checksum::combine(&[folded(low).swap_bytes(), folded(high).swap_bytes(), checksum::data(rest)])
}
