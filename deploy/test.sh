#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set up and pass the tests: installs what they need (Debian 12, root), builds, runs every test
# twice, plain and under ASAN and UBSAN, fuzzes, runs the quick start, and ends with "N passed, N
# failed".
#
#   deploy/test.sh [--quick]     --quick: neither sanitizers nor fuzzing
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=deploy/packages.sh
source "$root/deploy/packages.sh"
quick=no
fuzz_seconds=10

case "${1:-}" in
'') ;;
--quick) quick=yes ;;
*)
    sed -n '3,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    [[ "$1" == --help ]] && exit 0
    exit 2
    ;;
esac

say() {
    printf '\n== %s\n' "$*"
}

# configure DIR OPTION...: a build directory, made if need be. A warning is an error there.
configure() {
    if [[ -f "$1/build.ninja" ]]; then
        meson configure "$1" -Dwerror=true "${@:2}"
    else
        meson setup "$1" "$root" -Dwerror=true "${@:2}"
    fi
}

# build DIR OPTION...: configure, and compile all of it.
build() {
    configure "$@"
    ninja -C "$1"
}

# run_tests DIR NAME OPTION...: the tests of a build; what they say is counted at the end.
run_tests() {
    meson test -C "$1" --no-rebuild --print-errorlogs --logbase "$2" "${@:3}" || true
    logs+=("$2=$1/meson-logs/$2.json")
}

# run_threads DIR: what has threads, or talks to what has them, under TSAN.
run_threads() {
    local tests=(session requests mapping mapping_pages fence confined clients attach frames
        frames_edges frames_channel frames_cutoff frames_groups frames_follow frames_look
        frames_reader conversions link peers peers_send catalog driver threads view merge token)
    ninja -C "$1" agent/dsm-agent agent/dsmctl tests/e2e-tool tests/e2e-peer tests/e2e-session
    meson test -C "$1" --print-errorlogs --logbase thread --setup thread "${tests[@]}" || true
    logs+=("thread=$1/meson-logs/thread-thread.json")
    run_alone thread-e2e "$root/tests/e2e/run.py" --build "$1" \
        --only sync.,regions.three,counters.remote,litmus.message,death.killed_holder,trust.programs
}

# run_coverage DIR: the tests of the core and of net, without the agent's, then what they reached.
run_coverage() {
    local tests=(types pool directory window message record node admission sync sync_death
        catalog_view handles page page_ahead page_evict owner home home_death calls stories
        stories_trouble stories_groups stories_deferred group page_defer hostile regressions
        regressions_core sim oracle sim_cluster history catalog_news catalog_type type convert
        nodeset_64 nodeset_100 nodeset_4096 buffer codec codec_input frame tls link peers
        failure_net failure_tls fuzz_core fuzz_frames fuzz_messages fuzz_type walk footprint
        page_turn stories_sealed sealed seal_call link_hold
        token token_trouble binding binding_stay barrier advise stale_map ref oracle_unlike)
    find "$1" -name '*.gcda' -delete
    ninja -C "$1" tests/dsm-sim
    run_alone coverage-sim "$1/tests/dsm-sim" --seeds 400
    meson test -C "$1" --print-errorlogs --logbase coverage "${tests[@]}" || true
    logs+=("coverage=$1/meson-logs/coverage.json")
    run_alone coverage-figures "$root/tests/coverage.py" "$1"
    cat "$root/build/coverage-figures.log"
}

# run_foreign KIND PAGE_BYTES: what depends on the order of bytes and on the sizes of words and
# pages, in an emulator.
run_foreign() {
    local tests=(types pool directory window message record node sync sync_death catalog_view
        catalog_type handles page page_ahead page_evict page_defer group owner home home_death calls
        stories stories_trouble stories_groups stories_deferred oracle sim_cluster history
        regressions regressions_core type convert conversions catalog_store catalog_file catalog
        peers peers_send buffer codec codec_input frame tls link table log session requests
        authority driver frames_groups frames_channel frames_cutoff threads mapping_pages clients
        walk footprint page_turn stories_sealed sealed seal_call token token_trouble
        binding binding_stay barrier advise pace view merge conform_sigsegv)
    QEMU_PAGESIZE="$2" run_tests "$root/build/$1" "$1-$2" "${tests[@]}"
}

# run_alone NAME COMMAND...: one test that is a command of its own.
run_alone() {
    local name="$1" status=0
    shift
    "$@" >"$root/build/$name.log" 2>&1 || status=$?
    tail -n 12 "$root/build/$name.log"
    if ((status == 0)); then
        alone+=("$name=passed")
    else
        printf '%s: FAILED with exit status %d; all of it: build/%s.log\n' "$name" "$status" "$name"
        alone+=("$name=failed")
    fi
}

if ((EUID != 0)); then
    echo 'deploy/test.sh: run it as root: the tests make network namespaces and agents' >&2
    exit 1
fi
logs=()
alone=()

say 'Packages'
packages_install "${PACKAGES_BUILD[@]}" "${PACKAGES_PROGRAMS[@]}" "${PACKAGES_QUICKSTART[@]}" \
    "${PACKAGES_TEST[@]}" "${PACKAGES_FOREIGN[@]}"

say 'Build'
build "$root/build"

say 'Tests'
run_tests "$root/build" plain --no-suite mixed

say 'The same on hosts whose kernels serve no faults, a quarter of the rounds'
DSM_FAULTS=sigsegv DSM_E2E_SCALE=0.25 run_alone sigsegv-e2e "$root/tests/e2e/run.py" \
    --build "$root/build"

say 'Unlike machines: builds, tests in an emulator, hosts of all kinds in one cluster'
run_alone foreign "$root/deploy/foreign.sh"
run_foreign s390x 4096
run_foreign armhf 4096
run_foreign aarch64 16384
run_foreign aarch64 65536
run_tests "$root/build" mixed --suite mixed

say 'The benchmark measures (what it measures is not judged here)'
run_alone bench "$root/tests/bench/check.py" "$root/build/tests/dsm-bench"

say 'The quick start, from beginning to end'
run_alone quickstart "$root/deploy/quickstart.sh"
run_alone quickstart-mixed "$root/deploy/quickstart.sh" --mixed

say 'Installation into an empty directory'
run_alone install "$root/tests/install.sh" "$root/build"

if [[ "$quick" == no ]]; then
    say 'Build with ASAN and UBSAN'
    build "$root/build/sanitized" -Db_sanitize=address,undefined
    say 'Tests under ASAN and UBSAN'
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:halt_on_error=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    run_tests "$root/build/sanitized" sanitized --no-suite mutation --no-suite model \
        --no-suite mixed
    unset ASAN_OPTIONS UBSAN_OPTIONS

    say 'Threads under TSAN'
    configure "$root/build/thread" -Db_sanitize=thread -Db_lundef=false
    run_threads "$root/build/thread"

    say 'Coverage of the core'
    configure "$root/build/coverage" -Db_coverage=true -Doptimization=0
    run_coverage "$root/build/coverage"

    say "Fuzzing, $fuzz_seconds s each target"
    run_alone fuzz "$root/tests/fuzz/run.sh" --jobs 2 "$fuzz_seconds" "$root/build/fuzz"
fi

say 'All together'
exec /usr/bin/python3 -B "$root/tests/count.py" "${logs[@]}" "${alone[@]}"
