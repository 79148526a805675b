#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hosts share one satellite photograph: the main job of the project, in one command.
#
# Installs the packages, builds, makes a cluster of agents on hosts of their own (network namespaces
# on one bridge), publishes the photograph from the first host, computes on all of them, compares
# what they found with a reference made by other tools, and takes all down again. With --mixed the
# hosts are of unlike machines, those that are not at hand emulated by qemu-user.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly BUILD="$ROOT/build"
readonly OUT="$BUILD/quickstart"
readonly SATELLITE="$ROOT/tests/workloads/satellite"
readonly PROGRAMS="$BUILD/tests/workloads/satellite"
readonly DSMCTL="$BUILD/agent/dsmctl"
# Where a run keeps its hosts' files; on /run, so that a socket's path stays short.
readonly RUNS=/run/dsm-quickstart

readonly PHOTO="$OUT/L7_ETMs.tif"
readonly PHOTO_PACKAGE=r-cran-stars
readonly PHOTO_PATH=usr/lib/R/site-library/stars/tif/L7_ETMs.tif
readonly PHOTO_SHA256=3b722bf4470144b6691bf720bac08f47c99464acff4dd258252891c06312678e

readonly REGION=/olinda
readonly PORT=7400
readonly WAIT_SECONDS=120 # each wait of a program
readonly START_SECONDS=60 # until an agent is ready

# shellcheck source=deploy/packages.sh
source "$ROOT/deploy/packages.sh"
# shellcheck source=deploy/hosts.sh
source "$ROOT/deploy/hosts.sh"

hosts=(a b c)
declare -A kinds=([a]=native [b]=native [c]=native)
# Which host a program runs on; ingest and report run on a.
declare -A places=([weather]=a [crop]=b [pollution]=c)
steps=8

run_dir=""      # of this run, under $RUNS
prefix=""       # of its namespaces
is_keep=0
is_stop=0
is_mixed=0
is_kept=0       # the hosts stay
made_netns=0    # /run/netns was not there before
step_number=0
failure=""      # why the script ends early
attended=""     # process that the script waits for now

usage() {
    cat <<'TEXT'
Usage: deploy/quickstart.sh [--mixed] [--keep] | --stop | --help
Three hosts share one satellite photograph. Run it as root on Debian 12, from any directory.

  --mixed  four hosts of unlike machines: the photograph is published on a (this machine), weather
           runs on b (s390x: big-endian), crop on c (aarch64 with pages of 64 KiB), pollution on d
           (this machine); b and c, agents and programs, are built for their machines and run under
           qemu-user; the first run takes a few minutes more
  --keep   leave the hosts running, and say how to look around
  --stop   take down what --keep has left
  --help   show this

Exit status: 0 all values match the reference; 1 some do not, or something failed; 2 wrong usage.
TEXT
}

step() {
    step_number=$((step_number + 1))
    printf '\n== [%d/%d] %s\n' "$step_number" "$steps" "$1"
}

# The reason is printed last of all, by cleanup.
die() {
    failure=$1
    exit 1
}

# Run a command so that a signal to this script is answered at once.
attend() {
    local status=0
    "$@" &
    attended=$!
    wait "$attended" || status=$?
    attended=""
    return "$status"
}

cleanup() {
    local status=$?
    trap '' INT TERM HUP
    if [[ -n "$attended" ]]; then
        kill -TERM "$attended" 2>/dev/null || true
        wait "$attended" 2>/dev/null || true
    fi
    if [[ -n "$run_dir" ]] && ((is_kept == 0)); then
        if ((status == 1)); then
            show_logs
        fi
        take_down "$prefix" "$run_dir"
        if ((made_netns)); then
            forget_netns
        fi
    fi
    if [[ -n "$failure" ]]; then
        printf 'quickstart: %s\n' "$failure" >&2
    fi
    exit "$status"
}

stop_kept() {
    local directory kept_prefix kept_netns count=0 pids_before
    for directory in "$RUNS"/*/; do
        [[ -f "$directory/kept" ]] || continue
        read -r kept_prefix kept_netns <"$directory/kept"
        pids_before=$(processes_of "$kept_prefix" | wc -l)
        take_down "$kept_prefix" "${directory%/}"
        if ((kept_netns)); then
            forget_netns
        fi
        printf 'stopped the hosts %s-* and %d processes on them\n' \
            "$kept_prefix" "$pids_before"
        count=$((count + 1))
    done
    if ((count == 0)); then
        echo 'nothing was left running'
    fi
}

build() {
    if [[ ! -f "$BUILD/build.ninja" ]]; then
        attend meson setup "$BUILD" "$ROOT" >"$OUT/setup.log" 2>&1 || {
            tail -n 20 "$OUT/setup.log" >&2
            die "meson setup failed; all of its output is in $OUT/setup.log"
        }
    elif [[ ! -x "$PROGRAMS/report" ]] &&
        ! grep -q 'workloads/satellite/report' "$BUILD/build.ninja"; then
        # It was set up before the packages of the satellite programs were there.
        attend meson setup --reconfigure "$BUILD" "$ROOT" >"$OUT/setup.log" 2>&1 ||
            die "meson setup --reconfigure failed; see $OUT/setup.log"
    fi
    attend ninja -C "$BUILD" >"$OUT/build.log" 2>&1 || {
        tail -n 30 "$OUT/build.log" >&2
        die "the build failed; all of its output is in $OUT/build.log"
    }
    tail -n 1 "$OUT/build.log"
}

download() {
    (cd "$1" && apt-get download -q=2 -o APT::Sandbox::User=root "$PHOTO_PACKAGE")
}

is_photo_good() {
    [[ -f "$PHOTO" ]] && echo "$PHOTO_SHA256  $PHOTO" | sha256sum --check --status
}

fetch_photo() {
    if is_photo_good; then
        echo "$PHOTO is there from an earlier run"
    else
        local to="$run_dir/download"
        mkdir -p "$to/files"
        if ! attend download "$to"; then
            attend apt-get update -q=2
            attend download "$to" || die "the package $PHOTO_PACKAGE cannot be downloaded"
        fi
        dpkg-deb -x "$to/$PHOTO_PACKAGE"_*.deb "$to/files"
        mv "$to/files/$PHOTO_PATH" "$PHOTO.$$" && mv "$PHOTO.$$" "$PHOTO"
        rm -rf -- "$to"
        is_photo_good || die "$PHOTO has another checksum than the photograph"
    fi
    echo "sha256 $PHOTO_SHA256 is right"
}

# The report's table; of what each program ran on, it says also how its faults reach the agent.
print_table() { # FILE
    local host words=()
    for host in "${hosts[@]}"; do
        words+=(-e "s/  host-$host  ran on .*/&, faults by $(backend_of "$host")/")
    done
    sed "${words[@]}" "$1"
}

# The programs wait before there is a photograph; then it is published.
run_programs() {
    local pids=() common=(--region "$REGION" --timeout "$WAIT_SECONDS")
    local of_report="$run_dir/table.txt"
    program "${places[weather]}" weather "${common[@]}" &
    pids+=($!)
    program "${places[crop]}" crop "${common[@]}" --address 600000000000 &
    pids+=($!)
    program "${places[pollution]}" pollution "${common[@]}" --address 500000000000 &
    pids+=($!)
    program a report "${common[@]}" --reference "$run_dir/reference.json" --out "$OUT" \
        >"$of_report" &
    pids+=($!)
    program a ingest --region "$REGION" --waiters 4 --title 'Olinda, Landsat 7 ETM+' "$PHOTO" &
    pids+=($!)
    local status=0
    wait_for_programs "${pids[@]}" || status=$?
    if [[ -s "$of_report" ]]; then
        printf '\n'
        print_table "$of_report"
    fi
    return "$status"
}

explain_keep() {
    local enter="ip netns exec $prefix-b $DSMCTL --socket $run_dir/b/run/agent.sock"
    cat <<TEXT

The hosts are still running. To look around, as host b sees it (the others likewise):
  $enter status
  $enter nodes
  $enter regions
  $enter region $REGION
  $enter stats --all
  tail -f $run_dir/b/agent.log
A shell on host b:
  DSM_SOCKET=$run_dir/b/run/agent.sock PATH=$BUILD/agent:\$PATH ip netns exec $prefix-b bash
To stop them:
  $ROOT/deploy/quickstart.sh --stop
TEXT
}

# The hosts of --mixed.
make_mixed() {
    is_mixed=1
    steps=9
    hosts=(a b c d)
    kinds=([a]=native [b]=s390x [c]=aarch64 [d]=native)
    places=([weather]=b [crop]=c [pollution]=d)
}

# What the unlike hosts run, built for their machines.
build_foreign() {
    local kind
    for kind in s390x aarch64; do
        attend "$ROOT/deploy/foreign.sh" --quickstart "$kind" >"$OUT/build-$kind.log" 2>&1 || {
            tail -n 20 "$OUT/build-$kind.log" >&2
            die "the build for $kind failed; all of its output is in $OUT/build-$kind.log"
        }
        readelf --file-header "$BUILD/$kind/agent/dsm-agent" |
            awk -F ':  *' '/Class:|Data:|Machine:/ {printf "%s%s", comma, $2; comma = ", "}
                END {print ""}'
    done
}

main() {
    local word
    for word in "$@"; do
        case "$word" in
        --keep) is_keep=1 ;;
        --mixed) make_mixed ;;
        --help | -h)
            usage
            return 0
            ;;
        --stop) is_stop=1 ;;
        *)
            usage >&2
            return 2
            ;;
        esac
    done
    if ((is_stop && $# > 1)); then
        usage >&2
        return 2
    fi
    trap cleanup EXIT
    ((EUID == 0)) || die 'run it as root: it makes network namespaces'
    if ((is_stop)); then
        stop_kept
        return 0
    fi

    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    step 'Install the packages that are missing'
    local packages=("${PACKAGES_BUILD[@]}" "${PACKAGES_PROGRAMS[@]}" "${PACKAGES_QUICKSTART[@]}")
    if ((is_mixed)); then
        packages+=("${PACKAGES_FOREIGN[@]}")
    fi
    attend packages_install "${packages[@]}" || die 'the packages cannot be installed'

    mkdir -p "$OUT"
    step "Build in $BUILD"
    build
    if ((is_mixed)); then
        step 'Build the same for s390x and aarch64'
        build_foreign
    fi

    mkdir -p "$RUNS"
    prefix="dsm-qs-$$"
    run_dir="$RUNS/$$"
    rm -rf -- "$run_dir"
    mkdir -m 700 "$run_dir"

    step "Get the photograph: Landsat 7 over Olinda, Brazil, from Debian's $PHOTO_PACKAGE"
    fetch_photo

    step 'Recompute the reference with GDAL and numpy in Python'
    attend "$SATELLITE/reference.py" "$PHOTO" --out "$run_dir/reference.json"
    cp "$run_dir/reference.json" "$OUT/reference.json"
    echo "the reference is in $OUT/reference.json"

    step "Make ${#hosts[@]} hosts, and a certificate for each"
    make_network
    make_certificates

    step 'Start an agent on each host'
    local host
    for host in "${hosts[@]}"; do
        start_agent "$host"
    done
    wait_for_members

    step "Publish the photograph on host a; weather on ${places[weather]}, crop on \
${places[crop]}, pollution on ${places[pollution]}"
    local pages_before bytes_before pages bytes
    pages_before=$(sum_counter pages_sent)
    bytes_before=$(sum_counter bytes_sent)
    run_programs || die 'not all values match the reference, or a program failed; see above'
    pages=$(($(sum_counter pages_sent) - pages_before))
    bytes=$(($(sum_counter bytes_sent) - bytes_before))

    step "Where each page of $REGION is now: dsmctl region $REGION"
    ctl b region "$REGION"

    printf '\nThe maps: %s\n' "$OUT/ndvi.png $OUT/cloud.png $OUT/turbidity.png"
    if ((is_keep)); then
        printf '%s %d\n' "$prefix" "$made_netns" >"$run_dir/kept"
        is_kept=1
        explain_keep
    fi
    printf '\nAll values match the reference. Between the hosts travelled %d pages, %d bytes.\n' \
        "$pages" "$bytes"
}

main "$@"
