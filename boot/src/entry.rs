//! The entry code: from the loader's 32-bit entry to Rust in long mode.
//!
//! All loaders enter with paging off, flat segments and interrupts off. Xen uses the address in the ELF note, with the
//! address of `hvm_start_info` in `ebx` (`docs/misc/pvh.pandoc`). A multiboot2 loader (GRUB) uses the ELF entry, with a
//! magic number in `eax` and the address of its information in `ebx`. The code below builds an identity map of the first
//! 4 GiB in 2 MiB pages, enables PAE, NX (if the processor has it) and write protection, chooses a random virtual address
//! for the image, relocates the image, and calls `kernel_main(information, magic)` on the image's stack.
//! `kernel::mem::paging` then replaces the map by one with the access rights of each page.
//!
//! The image stays at its physical address; nothing is copied. It is linked as a position-independent executable. The
//! linker leaves a list of the words that hold addresses (RELR), and the code adds the displacement to each.

#![allow(unsafe_code, reason = "entry code and the linker's symbols; see docs/soundness.md")]

use crate::info::PVH_MAGIC;
use core::arch::global_asm;

/// The physical address of the image, to which it is linked (`linker.ld`).
const LINKED_AT: u64 = 1 << 20;
/// Bits of every virtual address of the image: of the upper half of the address space, where no physical address is mapped,
/// and of the upper half of a page directory, since the boot code's identity map uses the first entries.
const PLACE: u64 = 0xffff_8040_0000_0000;

global_asm!(
    // XEN_ELFNOTE_PHYS32_ENTRY (18): the entry address. (`xen/include/public/elfnote.h`)
    ".section .note.Xen, \"a\", @note",
    ".align 4",
    ".long 4, 4, 18",
    ".asciz \"Xen\"",
    ".long physical_pvh_start",
    // Multiboot2 header: magic, architecture i386, length, checksum, end tag. (Multiboot2 specification 2.0, 3.1)
    ".section .multiboot2, \"a\", @progbits",
    ".align 8",
    "boot_header: .long 0xe85250d6, 0, 24, 0x17adaf12",
    ".word 0, 0",
    ".long 8",
    ".section .text.entry, \"ax\", @progbits",
    ".code32",
    ".global multiboot2_start",
    // eax holds the loader's magic number.
    "multiboot2_start:",
    "  mov esi, eax",
    "  jmp boot_common",
    ".global pvh_start",
    "pvh_start:",
    "  mov esi, {pvh_magic}",
    "boot_common:",
    "  cld",
    "  cli",
    "  mov esp, offset physical_stack_top",
    "  mov ebp, ebx",
    // Four page directories, 2048 entries of 2 MiB: present, writable, large.
    "  mov edi, offset physical_boot_pd",
    "  mov eax, 0x83",
    "  mov ecx, 2048",
    "2: mov [edi], eax",
    "  mov dword ptr [edi + 4], 0",
    "  add eax, 0x200000",
    "  add edi, 8",
    "  dec ecx",
    "  jnz 2b",
    "  mov edi, offset physical_boot_pdpt",
    "  mov eax, offset physical_boot_pd + 3",
    "  mov ecx, 4",
    "3: mov [edi], eax",
    "  add eax, 0x1000",
    "  add edi, 8",
    "  dec ecx",
    "  jnz 3b",
    "  mov eax, offset physical_boot_pdpt + 3",
    "  mov [physical_boot_pml4], eax",
    "  mov eax, offset physical_boot_pml4",
    "  mov cr3, eax",
    // CR4: PAE, OSFXSR and OSXMMEXCPT: the compiler keeps values in SSE registers.
    "  mov eax, cr4",
    "  or eax, 0x620",
    "  mov cr4, eax",
    // EFER: LME, and NXE if the processor has it (CPUID leaf 0x80000001, edx bit 20): without it the bit is reserved.
    "  mov eax, 0x80000001",
    "  cpuid",
    "  mov edi, 0x100",
    "  bt edx, 20",
    "  jnc 4f",
    "  or edi, 0x800",
    "4: mov ecx, 0xc0000080",
    "  rdmsr",
    "  or eax, edi",
    "  wrmsr",
    // CR0: PG, WP, MP, PE; no EM, no TS.
    "  mov eax, cr0",
    "  and eax, 0xfffffff3",
    "  or eax, 0x80010003",
    "  mov cr0, eax",
    "  lgdt [physical_boot_gdt_pointer]",
    "  ljmp 0x08, offset physical_boot_long_mode",
    ".code64",
    "boot_long_mode:",
    "  xor eax, eax",
    "  mov ds, eax",
    "  mov es, eax",
    "  mov ss, eax",
    "  mov fs, eax",
    "  mov gs, eax",
    // The displacement of the image: from the timestamp counter and, if the processor has it, RDRAND; a multiple of
    // 4 MiB in the upper half of the address space.
    "  mov eax, 1",
    "  cpuid",
    "  rdtsc",
    "  shl rdx, 32",
    "  lea r8, [rax + rdx]",
    "  bt ecx, 30",
    "  jnc 4f",
    "  rdrand rax",
    "  xor r8, rax",
    "4: mov rax, 0x9e3779b97f4a7c15",
    "  imul r8, rax",
    "  mov rax, {place}",
    "  or r8, rax",
    "  and r8, -0x400000",
    // Map the first 4 MiB of memory there too, in two large pages.
    "  lea rdi, [rip + boot_pml4]",
    "  lea rcx, [rip + boot_pdpt + 3]",
    "  mov rax, r8",
    "  shr rax, 39",
    "  and eax, 511",
    "  mov [rdi + rax * 8], rcx",
    "  lea rdi, [rip + boot_pdpt]",
    "  lea rcx, [rip + boot_pd_image + 3]",
    "  mov rax, r8",
    "  shr rax, 30",
    "  and eax, 511",
    "  mov [rdi + rax * 8], rcx",
    "  lea rdi, [rip + boot_pd_image]",
    "  mov rax, r8",
    "  shr rax, 21",
    "  and eax, 511",
    "  mov qword ptr [rdi + rax * 8], 0x83",
    "  mov qword ptr [rdi + rax * 8 + 8], 0x200083",
    // Relocate, by the packed list of the linker (RELR): an even word is the address of a word to relocate, an odd word
    // has a bit for each of the 63 words behind the last one.
    "  lea rdi, [rip + __relr_start]",
    "  lea rcx, [rip + __relr_end]",
    "5: cmp rdi, rcx",
    "  jae 8f",
    "  mov rax, [rdi]",
    "  add rdi, 8",
    "  test al, 1",
    "  jnz 6f",
    "  add [rax], r8",
    "  lea rdx, [rax + 8]",
    "  jmp 5b",
    "6: shr rax, 1",
    "  jz 7f",
    "9: bsf r9, rax",
    "  add [rdx + r9 * 8], r8",
    "  lea r9, [rax - 1]",
    "  and rax, r9",
    "  jnz 9b",
    "7: add rdx, 63 * 8",
    "  jmp 5b",
    "8: lea rax, [rip + boot_moved]",
    "  add rax, r8",
    "  jmp rax",
    "boot_moved:",
    "  lea rsp, [rip + __stack_top]",
    "  mov edi, ebp",
    "  xor ebp, ebp",
    "  call kernel_main",
    "2: hlt",
    "  jmp 2b",
    ".section .rodata.boot, \"a\", @progbits",
    ".align 8",
    ".global boot_gdt, boot_gdt_pointer, boot_pd, boot_pdpt, boot_pml4, boot_long_mode",
    "boot_gdt: .quad 0, 0x00af9b000000ffff",
    "boot_gdt_pointer: .word 15",
    "  .long physical_boot_gdt",
    ".section .bss.boot, \"aw\", @nobits",
    ".align 4096",
    "boot_pml4: .skip 4096",
    "boot_pdpt: .skip 4096",
    "boot_pd: .skip 16384",
    "boot_pd_image: .skip 4096",
    ".section .text, \"ax\", @progbits",
    pvh_magic = const PVH_MAGIC,
    place = const PLACE,
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

/// The parts of the image: virtual addresses, multiples of 4096.
#[derive(Clone, Copy, Debug)]
pub struct ImageLayout {
    /// The displacement of virtual addresses from physical ones, a multiple of 4 MiB: the low 22 bits of an address are
    /// those in the file.
    pub moved: u64,
    /// The first byte. ELF headers, notes and read-only data follow.
    pub start: u64,
    /// The executable code.
    pub text_start: u64,
    /// Its end, where writable data begins.
    pub text_end: u64,
    /// The descriptor tables, within the data; they become read-only after they are filled.
    pub descriptors_start: u64,
    /// Their end.
    pub descriptors_end: u64,
    /// The page below the stack, which is not mapped.
    pub stack_guard: u64,
    /// The lowest byte of the stack.
    pub stack_bottom: u64,
    /// One past the highest byte of the stack.
    pub stack_top: u64,
    /// One past the last byte.
    pub end: u64,
}

/// The layout, from the linker's symbols.
#[must_use]
pub fn image_layout() -> ImageLayout {
    ImageLayout {
        moved: address(&raw const __image_start).saturating_sub(LINKED_AT),
        start: address(&raw const __image_start),
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

/// The ELF notes of the image.
#[must_use]
pub fn notes() -> &'static [u8] {
    let start = &raw const __notes_start;
    let len = (&raw const __notes_end).addr().saturating_sub(start.addr());
    // SAFETY: the linker puts the notes between the two symbols, among the read-only data.
    unsafe { core::slice::from_raw_parts(start, len) }
}

/// The address of a linker symbol.
#[allow(clippy::as_conversions, reason = "usize to u64; 64-bit only")]
fn address(symbol: *const u8) -> u64 {
    symbol.addr() as u64
}
