#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three hosts share one satellite photograph: the main job of the project, in one command.
#
# Installs the packages, builds, makes a cluster of three agents on three hosts of their own
# (network namespaces on one bridge), publishes the photograph from the first host, computes on all
# three, compares what they found with a reference made by other tools, and takes all down again.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly BUILD="$ROOT/build"
readonly OUT="$BUILD/quickstart"
readonly SATELLITE="$ROOT/tests/workloads/satellite"
readonly PROGRAMS="$BUILD/tests/workloads/satellite"
readonly DSMCTL="$BUILD/agent/dsmctl"
readonly AGENT="$BUILD/agent/dsm-agent"
# Where a run keeps its hosts' files; on /run, so that a socket's path stays short.
readonly RUNS=/run/dsm-quickstart

readonly PHOTO="$OUT/L7_ETMs.tif"
readonly PHOTO_PACKAGE=r-cran-stars
readonly PHOTO_PATH=usr/lib/R/site-library/stars/tif/L7_ETMs.tif
readonly PHOTO_SHA256=3b722bf4470144b6691bf720bac08f47c99464acff4dd258252891c06312678e

readonly REGION=/olinda
readonly HOSTS=(a b c)
readonly PORT=7400
readonly WAIT_SECONDS=120 # each wait of a program
readonly START_SECONDS=60 # until an agent is ready
readonly STEPS=8

# shellcheck source=deploy/packages.sh
source "$ROOT/deploy/packages.sh"

run_dir=""      # of this run, under $RUNS
prefix=""       # of its namespaces
is_keep=0
is_kept=0       # the hosts stay
made_netns=0    # /run/netns was not there before
step_number=0
failure=""      # why the script ends early
attended=""     # process that the script waits for now

usage() {
    cat <<'TEXT'
Usage: deploy/quickstart.sh [--keep | --stop | --help]
Three hosts share one satellite photograph. Run it as root on Debian 12, from any directory.

  --keep  leave the three hosts running, and say how to look around
  --stop  take down what --keep has left
  --help  show this

Exit status: 0 all values match the reference; 1 some do not, or something failed; 2 wrong usage.
TEXT
}

step() {
    step_number=$((step_number + 1))
    printf '\n== [%d/%d] %s\n' "$step_number" "$STEPS" "$1"
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

address() { # HOST: its address on the bridge
    case "$1" in
    a) echo 10.77.0.1 ;;
    b) echo 10.77.0.2 ;;
    c) echo 10.77.0.3 ;;
    esac
}

on() { # HOST COMMAND...
    local host=$1
    shift
    ip netns exec "$prefix-$host" "$@"
}

ctl() { # HOST COMMAND...
    local host=$1
    shift
    on "$host" "$DSMCTL" --socket "$run_dir/$host/run/agent.sock" "$@"
}

# Processes of the namespaces PREFIX-*.
processes_of() { # PREFIX
    local name
    for name in "${HOSTS[@]}" net; do
        if [[ -e "/run/netns/$1-$name" ]]; then
            ip netns pids "$1-$name" 2>/dev/null || true
        fi
    done
}

# End all processes of a run: politely, then, after ten seconds, not.
end_processes() { # PREFIX
    local pids start=$SECONDS
    mapfile -t pids < <(processes_of "$1")
    while ((${#pids[@]} > 0)); do
        if ((SECONDS - start > 30)); then
            printf 'quickstart: these processes do not end: %s\n' "${pids[*]}" >&2
            return 0
        elif ((SECONDS - start < 10)); then
            kill -TERM "${pids[@]}" 2>/dev/null || true
        else
            kill -KILL "${pids[@]}" 2>/dev/null || true
        fi
        sleep 0.2
        mapfile -t pids < <(processes_of "$1")
    done
}

# Take one run down: processes, namespaces with their links, files.
take_down() { # PREFIX DIRECTORY
    local name
    end_processes "$1"
    for name in "${HOSTS[@]}" net; do
        if [[ -e "/run/netns/$1-$name" ]]; then
            ip netns delete "$1-$name" || true
        fi
    done
    rm -rf -- "$2"
    rmdir "$RUNS" 2>/dev/null || true
}

# If this run was the first on the host to have namespaces, and nobody has any now, forget them.
forget_netns() {
    if [[ -d /run/netns && -z "$(ls -A /run/netns)" ]]; then
        umount /run/netns 2>/dev/null || true
        rmdir /run/netns 2>/dev/null || true
    fi
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

# The last words of the agents, after a failure.
show_logs() {
    local host
    for host in "${HOSTS[@]}"; do
        if [[ -s "$run_dir/$host/agent.log" ]]; then
            printf -- '-- the last lines of the agent on host %s:\n' "$host" >&2
            tail -n 8 "$run_dir/$host/agent.log" >&2
        fi
    done
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
        printf 'stopped the hosts %s-{a,b,c} and %d processes on them\n' \
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

# One bridge in a namespace of its own, and a link from it to each host.
make_network() {
    local host
    if ! [[ -d /run/netns ]]; then
        made_netns=1
    fi
    ip netns add "$prefix-net"
    ip -n "$prefix-net" link add bridge type bridge
    ip -n "$prefix-net" link set bridge up
    for host in "${HOSTS[@]}"; do
        ip netns add "$prefix-$host"
        ip -n "$prefix-net" link add "to-$host" type veth peer name eth0 netns "$prefix-$host"
        ip -n "$prefix-net" link set "to-$host" master bridge up
        ip -n "$prefix-$host" link set lo up
        ip -n "$prefix-$host" address add "$(address "$host")/24" dev eth0
        ip -n "$prefix-$host" link set eth0 up
        echo "host $host: $(address "$host"), namespace $prefix-$host, files in $run_dir/$host"
    done
}

make_certificates() {
    local host paths
    for host in "${HOSTS[@]}"; do
        mkdir -m 700 "$run_dir/$host" "$run_dir/$host/run" "$run_dir/$host/state"
        paths=(--state-dir "$run_dir/$host/state" --address "$(address "$host"):$PORT"
            --socket "$run_dir/$host/run/agent.sock")
        if [[ "$host" == a ]]; then
            "$DSMCTL" init "$run_dir/a/config" --name host-a "${paths[@]}"
        else
            "$DSMCTL" node add "host-$host" --config "$run_dir/a/config" \
                --out "$run_dir/$host/config" --keeper "$(address a):$PORT" "${paths[@]}"
        fi
    done >"$run_dir/certificates.log"
    echo "one authority, and a certificate for each of host-a, host-b, host-c"
}

start_agent() { # HOST
    local host=$1 pid deadline=$((SECONDS + START_SECONDS))
    setsid ip netns exec "$prefix-$host" "$AGENT" --config "$run_dir/$host/config/agent.ini" \
        --state-dir "$run_dir/$host/state" --socket "$run_dir/$host/run/agent.sock" \
        >"$run_dir/$host/agent.log" 2>&1 </dev/null &
    pid=$!
    disown "$pid"
    until ctl "$host" status >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || die "the agent on host $host ended"
        ((SECONDS < deadline)) || die "the agent on host $host was not ready in $START_SECONDS s"
        sleep 0.1
    done
    echo "host $host: dsm-agent runs as process $pid"
}

# Until every agent has a link to each of the others.
wait_for_members() {
    local host deadline=$((SECONDS + START_SECONDS))
    for host in "${HOSTS[@]}"; do
        until (($(ctl "$host" nodes 2>/dev/null | grep -cE 'alive +(up|self)') == ${#HOSTS[@]})); do
            ((SECONDS < deadline)) || die "the agents did not find each other in $START_SECONDS s"
            sleep 0.1
        done
    done
    ctl a nodes
}

# The sum of a counter over the three agents.
sum_counter() { # NAME
    local host
    for host in "${HOSTS[@]}"; do
        ctl "$host" stats --json
    done | /usr/bin/python3 -c '
import json, sys
decoder, text, total = json.JSONDecoder(), sys.stdin.read().strip(), 0
while text:
    stats, end = decoder.raw_decode(text)
    total += stats["counters"][sys.argv[1]]
    text = text[end:].lstrip()
print(total)' "$1"
}

# Wait for all programs; when one fails, end the others and say so.
wait_for_programs() { # PID...
    local status=0
    while (($# > 0)); do
        local done_pid="" code=0
        wait -n -p done_pid "$@" || code=$?
        local left=() pid
        for pid in "$@"; do
            [[ "$pid" == "$done_pid" ]] || left+=("$pid")
        done
        set -- "${left[@]}"
        if ((code != 0)); then
            status=1
            kill -TERM "$@" 2>/dev/null || true
        fi
    done
    return "$status"
}

# The programs wait before there is a photograph; then it is published.
run_programs() {
    local pids=() common=(--region "$REGION" --timeout "$WAIT_SECONDS")
    local of_report="$run_dir/table.txt"
    program a weather "${common[@]}" &
    pids+=($!)
    program b crop "${common[@]}" --address 600000000000 &
    pids+=($!)
    program c pollution "${common[@]}" --address 500000000000 &
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
        cat "$of_report"
    fi
    return "$status"
}

program() { # HOST PROGRAM ARGUMENT...
    local host=$1 name=$2
    shift 2
    exec ip netns exec "$prefix-$host" "$PROGRAMS/$name" \
        --socket "$run_dir/$host/run/agent.sock" "$@"
}

explain_keep() {
    local enter="ip netns exec $prefix-b $DSMCTL --socket $run_dir/b/run/agent.sock"
    cat <<TEXT

The three hosts are still running. To look around, as host b sees it (a and c likewise):
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

main() {
    case "${1:-}" in
    --keep) is_keep=1 ;;
    --help | -h)
        usage
        return 0
        ;;
    --stop | "") ;;
    *)
        usage >&2
        return 2
        ;;
    esac
    if (($# > 1)); then
        usage >&2
        return 2
    fi
    trap cleanup EXIT
    ((EUID == 0)) || die 'run it as root: it makes network namespaces'
    if [[ "${1:-}" == --stop ]]; then
        stop_kept
        return 0
    fi

    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    step 'Install the packages that are missing'
    attend packages_install "${PACKAGES_BUILD[@]}" "${PACKAGES_PROGRAMS[@]}" \
        "${PACKAGES_QUICKSTART[@]}" || die 'the packages cannot be installed'

    mkdir -p "$OUT"
    step "Build in $BUILD"
    build

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

    step 'Make three hosts, and a certificate for each'
    make_network
    make_certificates

    step 'Start an agent on each host'
    local host
    for host in "${HOSTS[@]}"; do
        start_agent "$host"
    done
    wait_for_members

    step "Publish the photograph on host a; weather on a, crop on b, pollution on c"
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
