#!/usr/bin/env bash
# Our image on every release of Xen that Debian has: versions.sh [RELEASE...]
#
#   release ──► bed build ──► versions (variants, docs/versions.md) ──► xen ──► life ──► push ──► hostile, on the newest
#                  └─ a suite or package that is not to be had is named, and the next release runs
#
# The releases are 4.14, 4.17, 4.20 and sid. PROGRAMS in the environment names other programs than all of them.
set -uo pipefail
cd "$(dirname "$0")/.."
releases=("$@")
if [ $# -eq 0 ]; then releases=(4.14 4.17 4.20 sid); fi
newest=${releases[-1]}
ends=()
failed=0

run() { # run RELEASE PROGRAM: one program on one release
    local package=domu-tests arguments=(--test-threads=1 --nocapture)
    case $2 in
    push) package=datafront-tests ;;
    versions) arguments+=(--include-ignored) ;;
    esac
    BED_XEN=$1 ${CARGO:-cargo} test --profile host -p "$package" --test "$2" -- "${arguments[@]}" </dev/null 2>&1 | sed -u "s/^/$1 $2 │ /"
}

for release in "${releases[@]}"; do
    begun=$SECONDS
    if ! BED_XEN=$release ${CARGO:-cargo} run --quiet --profile host -p bed --bin bed -- build; then
        ends+=("$release: NOT RUN: its packages are not to be had; see above for the command that helps")
        failed=1
        continue
    fi
    programs=${PROGRAMS:-versions xen life push}
    if [ "$release" = "$newest" ] && [ -z "${PROGRAMS:-}" ]; then programs+=" hostile"; fi
    for program in $programs; do
        end=passed
        run "$release" "$program" || { end=FAILED; failed=1; }
        ends+=("$release $program: $end after $((SECONDS - begun)) s")
    done
done
printf '\n== %s releases of Xen\n' "$(date +%T)"
printf '%s\n' "${ends[@]}"
exit $failed
