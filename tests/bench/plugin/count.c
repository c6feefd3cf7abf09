/* A QEMU TCG plugin: whose instructions the machine runs, and where in the guest.
 *
 *   block of code run ──► address in Xen's text?  ── yes ──► xen; the block ends with VMRUN? then the guest is in
 *                               │ no
 *                               ├── the guest is in  ──► domU, and the block's own line of the profile
 *                               └── it is not        ──► dom0, which is paravirtual and needs no VMRUN
 *
 * Addresses alone would not do: two Linux kernels lie at the same one. VMRUN tells them apart. The first block of Xen
 * after it is a VM exit.
 *
 * All counters lie in a file that the benchmark maps too, so that reading them stops nothing.
 */
#include "qemu.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* As src/plugin.rs reads it: seven numbers, whether nothing is counted, room for more, then the blocks. */
#define BLOCKS (1u << 22)
enum { ENDS_WITH_VMRUN = 1, ENDS_WITH_VMMCALL = 2, IS_XEN = 4, ENDS_WITH_HLT = 8 };
struct block {
    /* How often it ran in the guest, VM exits behind it there, and how often it ran elsewhere. */
    uint64_t address, instructions, flags, runs, exits, elsewhere;
};
struct counters {
    uint64_t xen, dom0, domu, exits, vmmcalls, hlts, lost;
    /* Written by the reader: the machine goes on while it reads, and an idle one has its timers. */
    uint64_t held;
    uint64_t reserved[8];
    struct block blocks[BLOCKS];
};

static struct counters *counters;
static bool guest_is_in;
/* The guest's block that ran last: where it was when it left. */
static struct block *last;

/* One processor, one thread: nothing here is run twice at a time. */
static void run(unsigned int vcpu, void *data)
{
    struct block *block = data;
    (void)vcpu;
    if (counters->held) {
        if (block->flags & IS_XEN)
            guest_is_in = block->flags & ENDS_WITH_VMRUN;
        return;
    }
    if (block->flags & IS_XEN) {
        if (guest_is_in) {
            counters->exits++;
            if (last)
                last->exits++;
        }
        guest_is_in = block->flags & ENDS_WITH_VMRUN;
        counters->xen += block->instructions;
        block->elsewhere++;
    } else if (guest_is_in) {
        counters->domu += block->instructions;
        counters->vmmcalls += (block->flags & ENDS_WITH_VMMCALL) != 0;
        counters->hlts += (block->flags & ENDS_WITH_HLT) != 0;
        block->runs++;
        last = block;
    } else {
        counters->dom0 += block->instructions;
        block->elsewhere++;
    }
}

/* The line of a block; equal blocks share one, so that code that is translated again stays one line. */
static struct block *find(uint64_t address, uint64_t instructions, uint64_t flags)
{
    uint64_t hash = (address * 31 + instructions) * 0x9e3779b97f4a7c15ULL;
    for (uint32_t step = 0; step < 64; step++) {
        struct block *block = &counters->blocks[((hash >> 40) + step) % BLOCKS];
        if (block->instructions == 0) {
            block->address = address;
            block->flags = flags;
            block->instructions = instructions;
            return block;
        }
        if (block->address == address && block->instructions == instructions && block->flags == flags)
            return block;
    }
    return NULL;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    uint64_t address = qemu_plugin_tb_vaddr(tb), flags = 0;
    size_t all = qemu_plugin_tb_n_insns(tb), count = all;
    (void)id;
    if (address >= XEN_FIRST && address <= XEN_LAST)
        flags |= IS_XEN;
    for (size_t at = 0; at < all && flags <= IS_XEN; at++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, at);
        const unsigned char *code = qemu_plugin_insn_data(insn);
        size_t size = qemu_plugin_insn_size(insn);
        if (size == 3 && !memcmp(code, "\x0f\x01\xd8", 3))
            flags |= ENDS_WITH_VMRUN;
        if (size == 3 && !memcmp(code, "\x0f\x01\xd9", 3))
            flags |= ENDS_WITH_VMMCALL;
        if (size == 1 && *code == 0xf4)
            flags |= ENDS_WITH_HLT;
        /* What follows a VMMCALL in its block is translated with it, but Xen comes first, then a block of its own. */
        count = at + 1;
    }
    struct block *block = find(address, count, flags);
    if (block)
        qemu_plugin_register_vcpu_tb_exec_cb(tb, run, QEMU_PLUGIN_CB_NO_REGS, block);
    else
        counters->lost++;
}

/* Argument: the file that is shared, `counters=PATH`. */
__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                                               char **argv)
{
    (void)info;
    if (argc < 1 || strncmp(argv[0], "counters=", 9))
        return -1;
    int file = open(argv[0] + 9, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || ftruncate(file, sizeof *counters))
        return -1;
    counters = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counters == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
