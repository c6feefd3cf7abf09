#!/bin/sh
# Writes a new appliance into a folder: new.sh NAME FOLDER [GIT-URL]. It follows the sources of this repository by path, or
# those at the URL by git.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=${1:-} folder=${2:-} url=${3:-}

fail() { echo "make new: $1" >&2; exit 1; }
if [ -z "$name" ] || [ -z "$folder" ]; then
    fail 'name and folder are missing; like: make new NAME=hello DIR=../hello'
fi
case $name in
[!a-z]* | *[!a-z0-9-]*) fail "NAME=$name is wrong: a letter, then letters, digits and -, all lower case; like hello" ;;
esac
if [ -e "$folder" ] && [ -n "$(ls -A "$folder" 2>/dev/null || echo file)" ]; then
    fail "DIR=$folder exists and is not empty; name a new folder"
fi

mkdir -p "$folder/src"
if [ -n "$url" ]; then
    source="git = \"$url\""
else
    source="path = \"$(realpath --relative-to="$folder" "$root")/kernel\""
fi
write() { sed "s|@NAME@|$name|g; s|@SOURCE@|$source|" "$here/$1.in" >"$folder/$2"; }
write Cargo.toml Cargo.toml
write Makefile Makefile
write xen.cfg xen.cfg
write main.rs src/main.rs
# The profile of the images here, but for crates that a new appliance does not have, and the same versions of crates.
awk '/^\[/ { copy = /^\[profile\.release/ } copy && !/^httparse/' "$root/Cargo.toml" >>"$folder/Cargo.toml"
cp "$root/Cargo.lock" "$root/rust-toolchain.toml" "$folder"
printf '/build/\n/target/\n' >"$folder/.gitignore"
echo "$folder: the appliance $name; 'make run' in it boots Xen and starts it, docs/appliance.md has the API"
