#!/usr/bin/env bash
# Changes one expression at a time, and runs the tests of its crate: mutants.sh PATH...
#
#   PATH ─► its mutants ─► SAMPLE of them, evenly spread, SEED names which ─► caught │ timed out │ missed │ unviable
#                                                                             caught + timed out of the viable ones: 98 %
#
# Without SAMPLE every mutant is tried, which takes days. The names of the missed ones are printed at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
least=98
caught=0 missed=0 unviable=0
declare -a survivors=()

# How many lines a list has: cargo-mutants writes one for each outcome.
count() { cat "$1" 2>/dev/null | wc -l; }

for path in "$@"; do
    case $path in
    *.rs) files=(--file "$path") ;;
    *) files=(--file "$path/**/*.rs") ;;
    esac
    output=build/mutants/${path//\//-}
    rm -rf "$output" && mkdir -p "$output"
    if ! $cargo mutants --list "${files[@]}" >"$output/all"; then exit 2; fi
    all=$(count "$output/all")
    if [ "$all" -eq 0 ]; then
        echo "mutants.sh: $path has no mutants: name a folder or a file of a crate, as netfront/src/wire" >&2
        exit 2
    fi
    parts=1
    if [ -n "${SAMPLE:-}" ]; then parts=$(((all + SAMPLE - 1) / SAMPLE)); fi
    $cargo mutants -j 1 --profile mutants --timeout 600 --no-shuffle --output "$output" \
        --shard "$((${SEED:-0} % parts))/$parts" --sharding round-robin "${files[@]}" -- --lib --tests
    # 2: some were missed; 3: some timed out.
    case $? in
    0 | 2 | 3) ;;
    *)
        echo "mutants.sh: $path was not tried to its end; see $output" >&2
        exit 2
        ;;
    esac
    lists=$output/mutants.out
    found=$(($(count "$lists/caught.txt") + $(count "$lists/timeout.txt")))
    printf '%s: %s of %s tried: %s caught, %s missed, %s unviable\n' "$path" \
        $((found + $(count "$lists/missed.txt") + $(count "$lists/unviable.txt"))) "$all" "$found" \
        "$(count "$lists/missed.txt")" "$(count "$lists/unviable.txt")"
    caught=$((caught + found))
    missed=$((missed + $(count "$lists/missed.txt")))
    unviable=$((unviable + $(count "$lists/unviable.txt")))
    mapfile -t -O ${#survivors[@]} survivors <"$lists/missed.txt"
done

viable=$((caught + missed))
if [ $viable -eq 0 ]; then
    echo 'no mutant was viable: give another SEED' >&2
    exit 2
fi
printf '\nall: %s caught, %s missed, %s unviable: %s %% of the viable ones caught, of at least %s %%\n' $caught $missed $unviable \
    $((caught * 100 / viable)) $least
for survivor in "${survivors[@]}"; do printf 'missed: %s\n' "$survivor"; done
[ $((caught * 100)) -ge $((least * viable)) ]
