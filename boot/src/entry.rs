//! The first instructions: from the loader's 32-bit entry to Rust in long mode.
//!
//! Both loaders enter with paging off, flat segments and interrupts off. Xen comes by the ELF note, with the address of
//! `hvm_start_info` in `ebx` (`docs/misc/pvh.pandoc`); a multiboot2 loader (GRUB) comes by the ELF entry, with a magic
//! number in `eax` and the address of its information in `ebx`. The code below builds an identity map of the first 4 GiB in 2 MiB pages, turns on PAE, NX
//! and write protection, and calls `kernel_main(information, magic)` on the image's stack. `kernel::paging` replaces the map by
//! one that gives each page only the rights that it needs.

#![allow(unsafe_code, reason = "entry code and the linker's symbols; see docs/soundness.md")]

use crate::info::PVH_MAGIC;
use core::arch::global_asm;

global_asm!(
    // XEN_ELFNOTE_PHYS32_ENTRY (18): where to enter. `xen/include/public/elfnote.h`.
    ".section .note.Xen, \"a\", @note",
    ".align 4",
    ".long 4, 4, 18",
    ".asciz \"Xen\"",
    ".long pvh_start",
    // Multiboot2 header: magic, architecture i386, length, checksum, end tag. (Multiboot2 specification 2.0, 3.1)
    ".section .multiboot2, \"a\", @progbits",
    ".align 8",
    "boot_header: .long 0xe85250d6, 0, 24, 0x17adaf12",
    ".word 0, 0",
    ".long 8",
    ".section .text.entry, \"ax\", @progbits",
    ".code32",
    ".global multiboot2_start",
    // The loader's magic number is in eax: kept.
    "multiboot2_start:",
    "  mov esi, eax",
    "  jmp boot_common",
    ".global pvh_start",
    "pvh_start:",
    "  mov esi, {pvh_magic}",
    "boot_common:",
    "  cld",
    "  cli",
    "  mov esp, offset __stack_top",
    "  mov ebp, ebx",
    // Four page directories, 2048 entries of 2 MiB: present, writable, large.
    "  mov edi, offset boot_pd",
    "  mov eax, 0x83",
    "  mov ecx, 2048",
    "2: mov [edi], eax",
    "  mov dword ptr [edi + 4], 0",
    "  add eax, 0x200000",
    "  add edi, 8",
    "  dec ecx",
    "  jnz 2b",
    "  mov edi, offset boot_pdpt",
    "  mov eax, offset boot_pd + 3",
    "  mov ecx, 4",
    "3: mov [edi], eax",
    "  add eax, 0x1000",
    "  add edi, 8",
    "  dec ecx",
    "  jnz 3b",
    "  mov eax, offset boot_pdpt + 3",
    "  mov [boot_pml4], eax",
    "  mov eax, offset boot_pml4",
    "  mov cr3, eax",
    // CR4: PAE.
    "  mov eax, cr4",
    "  or eax, 0x20",
    "  mov cr4, eax",
    // EFER: LME, NXE.
    "  mov ecx, 0xc0000080",
    "  rdmsr",
    "  or eax, 0x900",
    "  wrmsr",
    // CR0: PG, WP, PE.
    "  mov eax, cr0",
    "  or eax, 0x80010001",
    "  mov cr0, eax",
    "  lgdt [boot_gdt_pointer]",
    "  ljmp 0x08, offset boot_long_mode",
    ".code64",
    "boot_long_mode:",
    "  xor eax, eax",
    "  mov ds, eax",
    "  mov es, eax",
    "  mov ss, eax",
    "  mov fs, eax",
    "  mov gs, eax",
    "  lea rsp, [rip + __stack_top]",
    "  mov edi, ebp",
    "  xor ebp, ebp",
    "  call kernel_main",
    "4: hlt",
    "  jmp 4b",
    ".section .rodata.boot, \"a\", @progbits",
    ".align 8",
    "boot_gdt: .quad 0, 0x00af9b000000ffff",
    "boot_gdt_pointer: .word 15",
    "  .long boot_gdt",
    ".section .bss.boot, \"aw\", @nobits",
    ".align 4096",
    "boot_pml4: .skip 4096",
    "boot_pdpt: .skip 4096",
    "boot_pd: .skip 16384",
    ".section .text, \"ax\", @progbits",
    pvh_magic = const PVH_MAGIC,
);

unsafe extern "C" {
    static __image_start: u8;
    static __notes_start: u8;
    static __notes_end: u8;
    static __image_end: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __descriptors_start: u8;
    static __descriptors_end: u8;
    static __stack_guard: u8;
    static __stack_bottom: u8;
    static __stack_top: u8;
}

/// Where the parts of the image lie: physical and virtual addresses, which are the same; all but the ends of notes and
/// stack are multiples of 4096.
#[derive(Clone, Copy, Debug)]
pub struct ImageLayout {
    /// First byte; the ELF headers, notes and read-only data follow.
    pub start: u64,
    /// The notes.
    pub notes_start: u64,
    /// Their end.
    pub notes_end: u64,
    /// Executable code.
    pub text_start: u64,
    /// Its end, where writable data begins.
    pub text_end: u64,
    /// In the midst of that, the descriptor tables, which are read-only once they are filled.
    pub descriptors_start: u64,
    /// Their end.
    pub descriptors_end: u64,
    /// The page below the stack, to be left unmapped.
    pub stack_guard: u64,
    /// The lowest byte of the stack.
    pub stack_bottom: u64,
    /// One past the highest byte of the stack.
    pub stack_top: u64,
    /// One past the last byte.
    pub end: u64,
}

/// Reads the linker's symbols.
#[must_use]
pub fn image_layout() -> ImageLayout {
    ImageLayout {
        start: address(&raw const __image_start),
        notes_start: address(&raw const __notes_start),
        notes_end: address(&raw const __notes_end),
        text_start: address(&raw const __text_start),
        text_end: address(&raw const __text_end),
        descriptors_start: address(&raw const __descriptors_start),
        descriptors_end: address(&raw const __descriptors_end),
        stack_guard: address(&raw const __stack_guard),
        stack_bottom: address(&raw const __stack_bottom),
        stack_top: address(&raw const __stack_top),
        end: address(&raw const __image_end),
    }
}

/// The address of a linker symbol.
#[allow(clippy::as_conversions, reason = "usize to u64; 64-bit only")]
fn address(symbol: *const u8) -> u64 {
    symbol.addr() as u64
}
