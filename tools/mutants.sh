#!/usr/bin/env bash
# Changes one expression at a time, and runs the tests of its crate: mutants.sh PATH...
#
#   PATH ─► its mutants ─► SAMPLE of them, evenly spread, SEED names which ─► unit tests ─► caught │ timed out │ unviable
#                                                                                └─ missed ─► all tests of the crate, and of its users
#                                                           caught + timed out of the viable ones: 98 %
#
# Without SAMPLE every mutant is tried, which takes days. The names of the missed ones are printed at the end. A crate's
# unit tests are one program, and its other tests up to twenty: only what the first misses is worth linking them.
set -uo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
least=98
caught=0 missed=0 unviable=0
declare -a survivors=()
# A copy of the sources, always at the same place: what was built for one path is there for the next. A file that is as it
# was keeps its time, and one that a run left changed gets a new one.
tree=$PWD/build/mutants/tree
mkdir -p "$tree"
while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    cmp -s "$file" "$tree/$file" || install -D -m "$(stat -c %a "$file")" "$file" "$tree/$file"
done < <(git ls-files -z --cached --others --exclude-standard)
find "$tree" -type f -printf '%P\0' | while IFS= read -r -d '' file; do [ -e "$file" ] || rm "$tree/$file"; done
export CARGO_TARGET_DIR=$PWD/build/mutants/target
# Nobody's warning makes a mutant unviable; a time limit is a multiple of what the tests took without a mutant.
try=("$cargo" mutants --dir "$tree" --in-place --profile mutants --cap-lints true --minimum-test-timeout 120 --timeout-multiplier 10 --no-shuffle
    --colors never)

# How many lines a list has: cargo-mutants writes one for each outcome.
count() { cat "$@" 2>/dev/null | wc -l; }

# The crates whose tests are a path's: its own, and those that are built on it to be tested.
tested_by() {
    case $1 in
    pool/*) echo pool netfront datafront ;;
    xen/*) echo xen pool netfront ;;
    nic/*) echo nic netfront ;;
    appliances/web/*) echo web ;;
    *) echo "${1%%/*}" ;;
    esac
}

# Runs cargo-mutants in OUTPUT with further arguments.
mutate() {
    mkdir -p "$1"
    nice "${try[@]}" --output "$1" "${@:2}"
    # 2: some were missed; 3: some timed out.
    case $? in
    0 | 2 | 3) ;;
    *)
        echo "mutants.sh: not tried to the end; see $1" >&2
        exit 2
        ;;
    esac
}

for path in "$@"; do
    case $path in
    *.rs) files=(--file "$path") ;;
    *) files=(--file "$path/**/*.rs") ;;
    esac
    output=build/mutants/${path//\//-}
    rm -rf "$output" && mkdir -p "$output"
    if ! $cargo mutants --dir "$tree" --list "${files[@]}" >"$output/all"; then exit 2; fi
    all=$(count "$output/all")
    if [ "$all" -eq 0 ]; then
        echo "mutants.sh: $path has no mutants: name a folder or a file of a crate, as netfront/src/wire" >&2
        exit 2
    fi
    parts=1
    if [ -n "${SAMPLE:-}" ]; then parts=$(((all + SAMPLE - 1) / SAMPLE)); fi
    mutate "$output/unit" --cargo-arg=--lib --shard "$((${SEED:-0} % parts))/$parts" --sharding round-robin "${files[@]}"
    lists=("$output/unit/mutants.out")
    names=()
    while IFS= read -r name; do
        names+=(--re "^$(sed 's/[][\.*^$()+?{}|\\]/\\&/g' <<<"$name")\$")
    done <"${lists[0]}/missed.txt"
    left=${lists[0]}
    if [ ${#names[@]} -gt 0 ]; then
        for crate in $(tested_by "$path"); do names+=(--test-package "$crate"); done
        mutate "$output/all-tests" --cargo-arg=--tests "${files[@]}" "${names[@]}"
        lists+=("$output/all-tests/mutants.out")
        left=${lists[1]}
    fi
    found=$(($(count "${lists[@]/%//caught.txt}") + $(count "${lists[@]/%//timeout.txt}")))
    not=$(count "$left/missed.txt") no=$(count "${lists[@]/%//unviable.txt}")
    printf '%s: %s of %s tried: %s caught, %s missed, %s unviable\n' "$path" $((found + not + no)) "$all" "$found" "$not" "$no"
    caught=$((caught + found)) missed=$((missed + not)) unviable=$((unviable + no))
    mapfile -t -O ${#survivors[@]} survivors <"$left/missed.txt"
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
