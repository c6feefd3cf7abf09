/* A QEMU TCG plugin: how many instructions each processor runs, in Xen and outside.
 *
 * With the domains pinned, a processor's instructions outside of Xen are its domain's. The counters lie in a file that the
 * test reads while the machine runs: for each processor in Xen, outside, and how often Xen was entered. A processor's own
 * thread alone writes its counters.
 */
#include "../../bench/plugin/qemu.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUS 8
/* A cache line each, as tests/hostile/share.rs reads it. */
struct counters {
    uint64_t xen, outside, entries, in_xen, room[4];
};
static struct counters *counters;

/* A block is a number: its instructions, and one bit that says whether it is Xen's. */
static void run(unsigned int vcpu, void *data)
{
    uintptr_t block = (uintptr_t)data;
    struct counters *mine = &counters[vcpu % CPUS];
    bool xen = block & 1;
    mine->entries += xen && !mine->in_xen;
    mine->in_xen = xen;
    if (xen)
        mine->xen += block >> 1;
    else
        mine->outside += block >> 1;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    uintptr_t block = qemu_plugin_tb_n_insns(tb) << 1 | (address >= XEN_FIRST && address <= XEN_LAST);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, run, QEMU_PLUGIN_CB_NO_REGS, (void *)block);
}

/* Argument: the file that is shared, `counters=PATH`. */
__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                                               char **argv)
{
    size_t size = CPUS * sizeof *counters;
    (void)info;
    if (argc < 1 || strncmp(argv[0], "counters=", 9))
        return -1;
    int file = open(argv[0] + 9, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || ftruncate(file, size))
        return -1;
    counters = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counters == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
