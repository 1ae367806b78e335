#!/usr/bin/env bash
# Runs the checks named, every one even if one before it fails, and tells what each took.
#
#   tests/run.sh format lint dependencies tests fuzz
#
# With `tests` among them the last line is `N passed, N failed, N skipped`, alone; a check that
# fails counts as one failed. The exit status says whether anything failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

cache_dir=${CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ottvc}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache_dir/target}
# The profile of the product, so that RocksDB compiles once a machine (see the Makefile).
cargo_flags=(--release --locked)
# The runners' closing lines are read below.
export CARGO_TERM_COLOR=never
log=$(mktemp)
trap 'rm -f "$log"' EXIT

passed=0 failed=0 skipped=0
took=() broken=()

format() {
    # The fuzz targets are workspaces of their own, which cargo passes by.
    cargo fmt --all --check && rustfmt --check --edition 2024 crates/*/fuzz/fuzz_targets/*.rs
}

lint() { cargo clippy "${cargo_flags[@]}" --workspace --all-targets -- -D warnings; }

dependencies() {
    local deny databases
    deny=$(command -v cargo-deny) || deny=$(compgen -G "$cache_dir/tools/cargo-deny-*/bin/cargo-deny" | tail -n 1)
    if [ -z "$deny" ]; then
        printf '\n*** cargo-deny is not here: licences and sources of dependencies WERE NOT CHECKED ***\n\n'
        # A person without the tool may go on; what lands must have been checked.
        [ "${CI:-}" != true ]
        return
    fi
    "$deny" --locked check --hide-inclusion-graph bans licenses sources || return 1
    databases=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
    if [ -d "$databases" ]; then
        "$deny" --locked check --disable-fetch advisories
    else
        echo "advisories not checked: no advisory database in $databases"
    fi
}

# A short run, the same each time: `make fuzz` is the long one, which looks for what is new.
fuzz() {
    FUZZ_SECONDS=${FUZZ_SECONDS:-5} FUZZ_MEDIA_SECONDS=${FUZZ_MEDIA_SECONDS:-60} FUZZ_SEED=${FUZZ_SEED:-1} \
        tests/fuzz.sh
}

# Adds up the lines by which cargo's own runner, and its doc tests, close.
count_cargo() {
    local line
    while read -r line; do
        [[ $line =~ ([0-9]+)\ passed\;\ ([0-9]+)\ failed\;\ ([0-9]+)\ ignored ]] || continue
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + BASH_REMATCH[3]))
    done < <(grep -a '^test result:' "$log")
}

# Adds up nextest's summary, of which only the parts that are not zero are printed.
count_nextest() {
    local summary
    summary=$(grep -a 'Summary \[' "$log" | tail -n 1)
    [[ $summary =~ ([0-9]+)\ passed ]] && passed=$((passed + BASH_REMATCH[1]))
    [[ $summary =~ ([0-9]+)\ failed ]] && failed=$((failed + BASH_REMATCH[1]))
    [[ $summary =~ ([0-9]+)\ timed\ out ]] && failed=$((failed + BASH_REMATCH[1]))
    [[ $summary =~ ([0-9]+)\ skipped ]] && skipped=$((skipped + BASH_REMATCH[1]))
    return 0
}

# Runs a command and adds up what it counted with the function named; a failure that none counted (it did not compile) counts as one.
run_counted() {
    local count=$1 before=$failed status=0
    shift
    "$@" 2>&1 | tee "$log" || status=1
    "$count"
    [ "$status" -eq 0 ] || [ "$failed" -gt "$before" ] || failed=$((failed + 1))
    return "$status"
}

# What lands is tried with the same draws everywhere; whoever looks for what is new sets others, or runs
# the tests themselves, which draw by chance.
tests() {
    local status=0
    export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1} OTTVC_SEED=${OTTVC_SEED:-1}
    # Stories run the program itself, as it is now.
    run_counted true cargo build "${cargo_flags[@]}" --package ottvc-cli || status=1
    if command -v cargo-nextest >/dev/null 2>&1; then
        run_counted count_nextest cargo nextest run "${cargo_flags[@]}" --workspace || status=1
        # nextest runs no doc tests.
        run_counted count_cargo cargo test "${cargo_flags[@]}" --workspace --doc || status=1
    else
        run_counted count_cargo cargo test "${cargo_flags[@]}" --workspace --no-fail-fast || status=1
    fi
    return "$status"
}

counts_tests=false
for check in "$@"; do
    case $check in
        tests) counts_tests=true ;;
        format | lint | dependencies | fuzz) ;;
        *)
            echo "no check is called '$check'" >&2
            exit 2
            ;;
    esac
    printf '\n== %s\n' "$check"
    started=$SECONDS
    if "$check"; then verdict=ok; else
        verdict=FAILED
        broken+=("$check")
        [ "$check" = tests ] || failed=$((failed + 1))
    fi
    took+=("$(printf '%-14s %-7s %4d s' "$check" "$verdict" $((SECONDS - started)))")
done

printf '\n'
printf '%s\n' "${took[@]}"
[ ${#broken[@]} -eq 0 ] || printf 'failed: %s\n' "${broken[*]}"
if $counts_tests; then echo "$passed passed, $failed failed, $skipped skipped"; fi
[ ${#broken[@]} -eq 0 ]
