#!/bin/sh
# Installs what this machine lacks to build and test Millpond: Debian packages by apt, the Rust target by rustup.
# Does nothing, quickly, when everything is there.
set -eu
cd "$(dirname "$0")"

# command or file, and the Debian package that brings it
missing=""
need() { # need TEST-COMMAND PACKAGE
    if ! eval "$1" >/dev/null 2>&1; then missing="$missing $2"; fi
}
need 'command -v cc' gcc
need 'test -e /usr/include/stdio.h' libc6-dev
need 'command -v strip' binutils
need 'command -v qemu-system-x86_64' qemu-system-x86
need 'command -v setpriv' util-linux
need 'command -v dpkg-deb' dpkg
need 'test -e /usr/include/xen/xen.h' libxen-dev
need 'command -v grub-mkimage' grub-common
need 'test -d /usr/lib/grub/i386-xen_pvh' grub-xen-bin

# For `make test`.
if [ "${1:-}" = test ]; then
    need 'command -v curl' curl
    need 'command -v openssl' openssl
    # The shell's own is no program.
    need 'test -x /bin/kill' procps
fi

# For `make test-clients`.
if [ "${1:-}" = clients ]; then
    need 'command -v ip' iproute2
    need 'command -v iperf3' iperf3
    need 'command -v iperf' iperf
    need 'command -v nmap' nmap
    need 'command -v wrk' wrk
    need 'command -v curl' curl
    need 'command -v ping' iputils-ping
    need '/usr/bin/python3 -c "import scapy"' python3-scapy
    need 'command -v tcpdump' tcpdump
    need 'command -v openssl' openssl
    need 'command -v testssl' testssl.sh
    need 'command -v hexdump' bsdextrautils
    need 'command -v h2load' nghttp2-client
    need 'command -v chromium' chromium
    need 'command -v certutil' libnss3-tools
fi

# Named by a command that alone needs them.
for package in "$@"; do
    case $package in
    test | clients | mutants) ;;
    *) need "command -v $package" "$package" ;;
    esac
done

if [ -n "$missing" ]; then
    echo "== setup: installing$missing"
    root=""
    if [ "$(id -u)" != 0 ]; then root="sudo"; fi
    if ! command -v apt-get >/dev/null; then
        echo "setup: this is no Debian; install the counterparts of:$missing" >&2
        exit 1
    fi
    $root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing; install Rust 1.95 or newer with rustup" >&2
    exit 1
fi
# rust-toolchain.toml names the toolchain and the target; not every rustup installs them by itself.
if ! test -d "$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-musl"; then
    if ! command -v rustup >/dev/null; then
        echo "setup: the Rust target x86_64-unknown-linux-musl is missing; install Rust 1.95 or newer with rustup" >&2
        exit 1
    fi
    echo "== setup: adding the Rust target x86_64-unknown-linux-musl"
    rustup target add x86_64-unknown-linux-musl
fi
# Where the crates lie must be known before an image is built, so that the image does not tell.
if ! test -d "${CARGO_HOME:-$HOME/.cargo}/registry/src"; then
    echo "== setup: fetching the crates"
    cargo fetch --quiet --locked
fi
# For `make mutants`.
if [ "${1:-}" = mutants ] && ! command -v cargo-mutants >/dev/null; then
    echo "== setup: installing cargo-mutants"
    cargo install --quiet --locked cargo-mutants@27.1.0
fi
