#!/bin/sh
# Builds images from the files of this tree in two folders of different names, and compares the bytes: reproduce.sh IMAGE...
# Both builds are told the same commit, and nothing else of where they are.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for folder in "$work/one" "$work/another/place"; do
    mkdir -p "$folder"
    git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$folder"
    echo "== building in $folder"
    env -u CARGO_TARGET_DIR make -C "$folder" --no-print-directory image >"$folder.log" 2>&1 || { cat "$folder.log"; exit 1; }
done
status=0
for image in "$@"; do
    if cmp "$work/one/build/$image.elf" "$work/another/place/build/$image.elf"; then
        echo "$image.elf: the same $(stat -c %s "$work/one/build/$image.elf") bytes, sha256 $(sha256sum "$work/one/build/$image.elf" | cut -c 1-16)…"
    else
        status=1
    fi
done
exit $status
