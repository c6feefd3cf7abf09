#!/bin/sh
# GRUB for PVH with an image inside: build.sh IMAGE OUTPUT [CONFIGURATION]
# Needs grub-mkimage (grub-common) and GRUB's modules for PVH (grub-xen-bin).
set -eu
image=$1
output=$2
configuration=${3:-$(dirname "$0")/early.cfg}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$image" "$work/millpond.elf"
tar -C "$work" -cf "$work/memdisk.tar" millpond.elf
grub-mkimage -O i386-xen_pvh -p / -c "$configuration" -m "$work/memdisk.tar" -o "$output" memdisk tar multiboot2 normal
