#!/bin/sh
# Builds the images from the files of this tree in another folder of another name, and compares the bytes of some with those
# that were built here: reproduce.sh IMAGE...
# Both builds are told the same commit, and nothing else of where they are. All images are built there, as here: what one
# needs of a library, the others get, too.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
there="$work/another/place"
mkdir -p "$there"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$there"
echo "== building in $there"
env -u CARGO_TARGET_DIR make -C "$there" --no-print-directory image >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
status=0
for image in "$@"; do
    if cmp "build/$image.elf" "$there/build/$image.elf"; then
        echo "$image.elf: the same $(stat -c %s "build/$image.elf") bytes, sha256 $(sha256sum "build/$image.elf" | cut -c 1-16)…"
    else
        status=1
    fi
done
exit $status
