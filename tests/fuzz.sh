#!/usr/bin/env bash
# Runs every fuzz target, each for FUZZ_SECONDS (20) from its committed corpus; those that read media, which
# strangers make, for FUZZ_MEDIA_SECONDS (as long as the others), on all processors.
#
#   tests/fuzz.sh [TARGET...]
#
# What a run adds to a corpus stays in the cache, so that the next one goes on from there. With FUZZ_SEED it
# begins with the committed corpus each time, and draws the same: what lands is checked alike everywhere,
# and what is new is found by those who look for it. An input that crashes is left in `artifacts/` beside its target, and its command is printed: fix the
# product, add the input to the corpus, and a unit test.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

cache_dir=${CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ottvc}
target_dir=${CARGO_TARGET_DIR:-$cache_dir/target}/fuzz
seconds=${FUZZ_SECONDS:-20}
media_seconds=${FUZZ_MEDIA_SECONDS:-$seconds}
processors=$(getconf _NPROCESSORS_ONLN)
tools=$(compgen -G "$cache_dir/tools/cargo-fuzz-*/bin" | tail -n 1)
PATH=$PATH${tools:+:$tools}
export CARGO_TERM_COLOR=never

if ! command -v cargo-fuzz >/dev/null 2>&1; then
    printf '\n*** cargo-fuzz is not here: decoders WERE NOT FUZZED (tests/setup.sh fuzz) ***\n\n'
    # A person without the tool may go on; what lands must have been fuzzed.
    [ "${CI:-}" != true ]
    exit
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
status=0

# run TARGET SECONDS: what it says goes to its log, and its end to one beside it.
run() {
    local found=$cache_dir/fuzz/$1
    [ -z "${FUZZ_SEED:-}" ] || found=$logs/$1.found
    mkdir -p "$found"
    # A busy machine may let a target wait for long: only what never ends is a fault.
    cargo fuzz run "${options[@]}" "$1" "$found" "$fuzz/corpus/$1" -- \
        -max_total_time="$2" -timeout=60 -rss_limit_mb=2048 ${FUZZ_SEED:+-seed="$FUZZ_SEED"} >"$logs/$1" 2>&1
    echo $? >"$logs/$1.ended"
}
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
        while [ "$(jobs -rp | wc -l)" -ge "$processors" ]; do sleep 1; done
        case $fuzz in *ottvc-chunk*) run "$target" "$media_seconds" & ;; *) run "$target" "$seconds" & ;; esac
    done
    wait
    for target in "${targets[@]}"; do
        printf '%-12s ' "$target"
        if [ "$(cat "$logs/$target.ended")" = 0 ]; then
            tail -n 1 "$logs/$target"
        else
            status=1
            echo FAILED
            tail -n 60 "$logs/$target"
        fi
    done
done
exit "$status"
