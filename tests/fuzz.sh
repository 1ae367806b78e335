#!/usr/bin/env bash
# Runs every fuzz target, each for FUZZ_SECONDS (20) from its committed corpus.
#
#   tests/fuzz.sh [TARGET...]
#
# What a run adds to a corpus stays in the cache, so that the next one goes on from there. An input
# that crashes is left in `artifacts/` beside its target, and its command is printed: fix the
# product, add the input to the corpus, and a unit test.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

cache_dir=${CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ottvc}
target_dir=${CARGO_TARGET_DIR:-$cache_dir/target}/fuzz
seconds=${FUZZ_SECONDS:-20}
tools=$(compgen -G "$cache_dir/tools/cargo-fuzz-*/bin" | tail -n 1)
PATH=$PATH${tools:+:$tools}
export CARGO_TERM_COLOR=never

if ! command -v cargo-fuzz >/dev/null 2>&1; then
    printf '\n*** cargo-fuzz is not here: decoders WERE NOT FUZZED (tests/setup.sh fuzz) ***\n\n'
    # A person without the tool may go on; what lands must have been fuzzed.
    [ "${CI:-}" != true ]
    exit
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
for fuzz in crates/*/fuzz; do
    targets=()
    for target in $(cargo fuzz list --fuzz-dir "$fuzz"); do
        if [ $# -eq 0 ] || [[ " $* " == *" $target "* ]]; then targets+=("$target"); fi
    done
    [ ${#targets[@]} -gt 0 ] || continue
    # cargo-fuzz has no --locked of its own.
    cargo metadata --locked --format-version 1 --manifest-path "$fuzz/Cargo.toml" >/dev/null || exit
    # No sanitizer: the code is safe Rust, whose faults are panics, and the compiler is a stable one.
    options=(--fuzz-dir "$fuzz" --target-dir "$target_dir" --sanitizer none --strip-dead-code=true)
    cargo fuzz build "${options[@]}" || exit
    for target in "${targets[@]}"; do
        found=$cache_dir/fuzz/$target
        mkdir -p "$found"
        limits=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048)
        printf '%-12s ' "$target"
        if cargo fuzz run "${options[@]}" "$target" "$found" "$fuzz/corpus/$target" -- \
            "${limits[@]}" >"$log" 2>&1; then
            tail -n 1 "$log"
        else
            status=1
            echo FAILED
            tail -n 60 "$log"
        fi
    done
done
exit "$status"
