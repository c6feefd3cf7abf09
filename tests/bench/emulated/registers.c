/*
 * Reads a register of the emulated network card again and again, in a Linux guest: each read is one exit to the device model.
 *
 *   registers OFFSET COUNT      of the first memory region of the first PCI device of class 02 (network)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"

static void fail(const char *what)
{
    fprintf(stderr, "registers: failed: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The file of a device's memory region: the first one that maps. */
static volatile uint32_t *map(const char *device)
{
    for (int region = 0; region < 6; region++) {
        char path[512];
        snprintf(path, sizeof path, DEVICES "/%s/resource%d", device, region);
        int file = open(path, O_RDWR | O_SYNC);
        if (file < 0)
            continue;
        void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (at != MAP_FAILED)
            return at;
    }
    return NULL;
}

static int is_network(const char *device)
{
    char path[512], class[16] = "";
    snprintf(path, sizeof path, DEVICES "/%s/class", device);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    int got = fgets(class, sizeof class, file) != NULL;
    fclose(file);
    return got && !strncmp(class, "0x02", 4);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("registers OFFSET COUNT");
    DIR *devices = opendir(DEVICES);
    if (!devices)
        fail(DEVICES);
    for (struct dirent *entry; (entry = readdir(devices)) != NULL;) {
        if (!is_network(entry->d_name))
            continue;
        volatile uint32_t *registers = map(entry->d_name);
        if (!registers)
            fail("no memory region maps");
        uint32_t offset = strtoul(argv[1], NULL, 0) / 4, value = 0;
        for (long count = atol(argv[2]); count > 0; count--)
            value = registers[offset];
        printf("registers: read %s times, last %08x\n", argv[2], value);
        return 0;
    }
    fprintf(stderr, "registers: failed: no network card on the PCI bus\n");
    return 1;
}
