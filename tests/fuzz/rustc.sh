#!/bin/sh
# The compiler of fuzz targets (RUSTC_WRAPPER). What is to be explored gets FUZZ_EDGES and AddressSanitizer. The simulator
# gets neither, and smoltcp, which has no unsafe code, no sanitizer: there is nothing to find, and most time was spent there.
# Programs that only the build runs (no --target) are left as they are, and what a build script asks of the image's target.
case " $* " in
    *' --crate-name xen_sim '*) exec "$@" ;;
    *' --target x86_64-unknown-linux-musl '*) exec "$@" ;;
    *' --crate-name smoltcp '*' --target '*) exec "$@" $FUZZ_EDGES ;;
    *' --target '*) exec "$@" $FUZZ_EDGES $FUZZ_SANITIZER ;;
    *) exec "$@" ;;
esac
