#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzz the frames' reader and the codec.
#
#   tests/fuzz/run.sh SECONDS BUILD_DIR
#
# Builds both targets with clang (CLANG names another), libFuzzer, ASAN and UBSAN in BUILD_DIR and
# runs each for SECONDS. What was found stays in BUILD_DIR: crash-*, and the corpus, from which the
# next run goes on. Exit: 0 nothing found, 1 a crash, 2 usage, 3 no clang with libFuzzer.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 SECONDS BUILD_DIR" >&2
    exit 2
fi
seconds=$1
mkdir -p "$2"
build=$(cd "$2" && pwd)
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

sanitize="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
flags="-std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -I$root -I$root/dsm/include"
flags="$flags $(pkg-config --cflags msgpack 2>/dev/null || true)"
libs=$(pkg-config --libs msgpack 2>/dev/null || echo -lmsgpackc)
sources="$root/net/buffer.c $root/net/fields.c $root/net/codec.c $root/net/frame.c"
sources="$sources $root/dsm/core/message.c $root/dsm/core/record.c"

# Flags and lists of sources are split on purpose.
# shellcheck disable=SC2086
"$clang" $flags $sanitize "$root/tests/fuzz/make_seeds.c" $sources $libs -o "$build/make_seeds"
for target in frames messages; do
    # shellcheck disable=SC2086
    "$clang" $flags $sanitize -fsanitize=fuzzer "$root/tests/fuzz/fuzz_$target.c" $sources $libs \
        -o "$build/fuzz_$target"
    mkdir -p "$build/corpus-$target" "$build/seeds-$target"
done
"$build/make_seeds" "$build/seeds-frames" "$build/seeds-messages"

failed=0
for target in frames messages; do
    echo "fuzz_$target: $seconds s"
    length=4096
    if [ "$target" = frames ]; then
        length=65536
    fi
    if (cd "$build" && "./fuzz_$target" -max_total_time="$seconds" -max_len="$length" -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 "corpus-$target" "seeds-$target") \
        >"$build/$target.log" 2>&1; then
        grep -E 'number_of_executed_units|average_exec_per_sec' "$build/$target.log" || true
    else
        failed=1
        tail -n 40 "$build/$target.log" >&2
        echo "fuzz_$target: FAILED; the input is in $build" >&2
    fi
done
exit "$failed"
