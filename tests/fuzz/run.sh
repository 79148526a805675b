#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzz with clang's libFuzzer, ASAN and UBSAN.
#
#   tests/fuzz/run.sh [--jobs N] [--only TARGET,...] SECONDS BUILD_DIR
#   tests/fuzz/run.sh --coverage [--only TARGET,...] BUILD_DIR
#
# Builds the targets in BUILD_DIR and runs each for SECONDS, N of them at a time (1). What was found
# stays in BUILD_DIR: crash-*, and the corpora, from which the next run goes on. CLANG names the
# compiler. To keep what was found: put the input into tests/fuzz/regressions/TARGET, where the
# tests of every build replay it.
#
# --coverage runs the corpora and seeds that are there once more, and prints a table: for each file
# that a target is about, the regions and lines that the corpora reach.
#
# Exit: 0 nothing found, 1 a crash, 2 usage, 3 no clang with libFuzzer.
set -eu

usage() {
    sed -n '5,6s/^# *//p' "$0" >&2
    exit 2
}

targets='frames messages config session catalog library core type'
jobs=1
coverage=no
while [ $# -gt 0 ]; do
    case $1 in
    --jobs) [ $# -ge 2 ] || usage; jobs=$2; shift 2 ;;
    --only) [ $# -ge 2 ] || usage; targets=$(echo "$2" | tr , ' '); shift 2 ;;
    --coverage) coverage=yes; shift ;;
    --*) usage ;;
    *) break ;;
    esac
done
seconds=0
if [ "$coverage" = no ]; then
    [ $# -eq 2 ] || usage
    seconds=$1
    shift
fi
[ $# -eq 1 ] || usage
mkdir -p "$1"
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)

clang=${CLANG:-}
for name in clang-14 clang clang-19 clang-16 clang-15; do
    if [ -z "$clang" ] && command -v "$name" >/dev/null 2>&1; then
        clang=$name
    fi
done
printf '%s\n' '#include <stdint.h>' '#include <stddef.h>' \
    'int LLVMFuzzerTestOneInput(const uint8_t *b, size_t n);' \
    'int LLVMFuzzerTestOneInput(const uint8_t *b, size_t n) { (void)b; (void)n; return 0; }' \
    >"$build/probe.c"
if [ -z "$clang" ] || ! "$clang" -fsanitize=fuzzer "$build/probe.c" -o "$build/probe" 2>/dev/null
then
    echo "$0: no clang with libFuzzer: install clang-14 and libclang-rt-14-dev" >&2
    exit 3
fi

# make_targets DIR PREFIX OPTION...: PREFIX_TARGET of each target, and the seeds.
make_targets() {
    tree=$1 prefix=$2
    shift 2
    if [ ! -f "$tree/build.ninja" ]; then
        CC=$clang meson setup "$tree" "$root" --buildtype=debugoptimized -Db_lundef=false "$@"
    fi >"$build/setup.log" 2>&1 || { cat "$build/setup.log" >&2; exit 1; }
    names=tests/fuzz/seeds.stamp
    for target in $targets; do
        names="$names tests/fuzz/${prefix}_$target"
    done
    # The names are split on purpose.
    # shellcheck disable=SC2086
    ninja -C "$tree" $names >"$build/build.log" 2>&1 || { cat "$build/build.log" >&2; exit 1; }
}

# fuzz_one TARGET: leaves TARGET.status.
fuzz_one() {
    target=$1 length=4096 words=
    if [ "$target" = frames ]; then
        length=65536
    fi
    if [ -f "$root/tests/fuzz/$target.dict" ]; then
        words="-dict=$root/tests/fuzz/$target.dict"
    fi
    mkdir -p "$build/corpus-$target" "$root/tests/fuzz/regressions/$target"
    status=0
    # shellcheck disable=SC2086
    (cd "$build" && "./tree/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len="$length" \
        -timeout=20 -rss_limit_mb=2048 -close_fd_mask=3 -print_final_stats=1 $words \
        "corpus-$target" "tree/tests/fuzz/seeds/$target" \
        "$root/tests/fuzz/regressions/$target") >"$build/$target.log" 2>&1 || status=$?
    echo "$status" >"$build/$target.status"
}

report_one() {
    target=$1
    if [ "$(cat "$build/$target.status")" = 0 ]; then
        echo "fuzz_$target: $seconds s," \
            "$(sed -n 's/^stat::number_of_executed_units: //p' "$build/$target.log") inputs," \
            "$(sed -n 's/.*DONE *\(cov: .* corp: [0-9]*\).*/\1/p' "$build/$target.log")"
        return 0
    fi
    tail -n 40 "$build/$target.log" >&2
    echo "fuzz_$target: FAILED; the input is in $build" >&2
    return 1
}

if [ "$coverage" = no ]; then
    # Every part of the program counts, not only the targets' own files.
    make_targets "$build/tree" fuzz -Db_sanitize=address,undefined \
        -Dc_args='-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined'
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
    running=0
    for target in $targets; do
        fuzz_one "$target" &
        running=$((running + 1))
        if [ "$running" -ge "$jobs" ]; then
            wait
            running=0
        fi
    done
    wait
    failed=0
    for target in $targets; do
        report_one "$target" || failed=1
    done
    exit "$failed"
fi

# What runs while the programs are made does not count.
export LLVM_PROFILE_FILE="$build/other.profraw"
version=$(echo "$clang" | sed -n 's/^.*clang\(-[0-9]*\)$/\1/p')
make_targets "$build/coverage" replay \
    -Dc_args='-fprofile-instr-generate -fcoverage-mapping' \
    -Dc_link_args=-fprofile-instr-generate
programs=
for target in $targets; do
    mkdir -p "$build/corpus-$target"
    LLVM_PROFILE_FILE="$build/coverage/$target.profraw" \
        "$build/coverage/tests/fuzz/replay_$target" "$build/corpus-$target" \
        "$build/coverage/tests/fuzz/seeds/$target" "$root/tests/fuzz/regressions/$target" \
        >"$build/coverage-$target.log" 2>&1 || echo "replay_$target: failed" >&2
    programs="$programs -object $build/coverage/tests/fuzz/replay_$target"
done
"llvm-profdata$version" merge -sparse "$build"/coverage/*.profraw -o "$build/coverage/all.profdata"
# shellcheck disable=SC2086
"llvm-cov$version" export -summary-only -instr-profile="$build/coverage/all.profdata" $programs |
    python3 -B "$root/tests/fuzz/coverage_table.py" "$root"
