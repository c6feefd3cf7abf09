#!/usr/bin/env bash
# The tests on real Xen, two programs at a time where there are two processors: lanes.sh [COMMAND...]
#
#   build ──► lane ──► xen ─────────────────► hostile ──► …
#         ├─► lane ──► life ───────────► push ──► channels ──► …
#         └─► beside, at low priority: COMMAND
#
# Whoever is done takes the next program, the longest first. Each line is headed by the name of its program. All are run,
# whatever becomes of the others; at the end stands which tests failed, what each program came to, and how long it took.
# BED_LANES in the environment is another number of lanes.
set -euo pipefail
cd "$(dirname "$0")/.."
export BED_LANES=${BED_LANES:-$(($(nproc) > 1 ? 2 : 1))}
work=$(mktemp -d)
export work
beside=""
trap 'if [ -n "$beside" ]; then kill "$beside" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

run() { # run NAME COMMAND...
    local name=$1 begun=$SECONDS end=passed
    shift
    "$@" 2>&1 </dev/null | tee "$work/$name.log" | sed -u "s/^/$name │ /" || end=FAILED
    printf '%-10s %s in %s s\n' "$name" "$end" $((SECONDS - begun)) | tee -a "$work/ends"
}

program() { # program PATH: all its tests, one after the other
    local name=${1##*/}
    run "${name%-*}" "$1" --test-threads=1 --nocapture
}
export -f run program

rank() { # by how long they take; one that is not known here may take longer
    while read -r path; do
        case ${path##*/} in
        xen-*) echo "1 $path" ;;
        life-*) echo "2 $path" ;;
        hostile-*) echo "3 $path" ;;
        push-*) echo "4 $path" ;;
        channels-*) echo "5 $path" ;;
        sender-* | peers-* | receive-* | pull-* | domu_tests-* | battery-* | versions-*) echo "6 $path" ;;
        *) echo "0 $path" ;;
        esac
    done | sort | cut -d ' ' -f 2-
}

# shellcheck disable=SC2086 # a command of several words
${CARGO:-cargo} test --profile host --no-run --message-format=json-render-diagnostics -p domu-tests -p datafront-tests >"$work/built"
sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$work/built" | rank >"$work/programs"
if [ $# -gt 0 ]; then
    (run host nice -n 10 "$@") &
    beside=$!
fi
tr '\n' '\0' <"$work/programs" | xargs -0 -P "$BED_LANES" -I{} bash -o pipefail -c 'program "$1"' - {}
if [ -n "$beside" ]; then wait "$beside"; fi
beside=""

printf '\n== %s what came of it; lanes: %s\n' "$(date +%T)" "$BED_LANES"
for log in "$work"/*.log; do
    name=${log##*/}
    name=${name%.log}
    grep -q "^$name .*FAILED" "$work/ends" || continue
    # What it said is far above, where whoever keeps the end of a long output has lost it.
    grep -A 6 'panicked at\|^error\|^Error\|^test .* failed:' "$log" | cut -c 1-500 | head -n 60 | sed "s/^/$name │ /" || true
    sed -n "/^failures:\$/,/^test result/{s/^    /$name failed: /p}" "$log" | sort -u
done
cat "$work/ends"
[ "$(grep -c ' passed in ' "$work/ends")" = $(($(wc -l <"$work/programs") + ($# > 0))) ]
