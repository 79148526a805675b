# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The hosts of quickstart.sh: network namespaces on one bridge, each with an agent of its own kind
# of machine. Who reads this file says what it is about: the constants BUILD, RUNS, DSMCTL, PORT and
# START_SECONDS, and of the run: hosts (their names), kinds (of each host: native, or what
# foreign.sh builds for), prefix (of the namespaces) and run_dir.

# Every name that a host of any run may have, and the bridge's.
readonly HOST_NAMES=(a b c d net)

address() { # HOST: its address on the bridge
    case "$1" in
    a) echo 10.77.0.1 ;;
    b) echo 10.77.0.2 ;;
    c) echo 10.77.0.3 ;;
    d) echo 10.77.0.4 ;;
    esac
}

# How a host's programs are started, into `command`: what emulates their machine, if it is unlike
# this one, and the program's path. Nothing else differs between the kinds.
find_program() { # HOST PATH: of the program in a build directory
    case "${kinds[$1]}" in
    native) command=("$BUILD/$2") ;;
    s390x) command=(qemu-s390x-static -L "$BUILD/sysroot/s390x" "$BUILD/s390x/$2") ;;
    aarch64) command=(qemu-aarch64-static -p 65536 -L "$BUILD/sysroot/arm64" "$BUILD/aarch64/$2") ;;
    esac
}

describe_kind() { # KIND
    case "$1" in
    native) echo "this machine's own: $(uname -m), pages of $(getconf PAGESIZE) bytes" ;;
    s390x) echo 's390x under qemu-user: big-endian, pages of 4096 bytes' ;;
    aarch64) echo 'aarch64 under qemu-user: little-endian, pages of 65536 bytes' ;;
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
    for name in "${HOST_NAMES[@]}"; do
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
    for name in "${HOST_NAMES[@]}"; do
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

# The last words of the agents, after a failure.
show_logs() {
    local host
    for host in "${hosts[@]}"; do
        if [[ -s "$run_dir/$host/agent.log" ]]; then
            printf -- '-- the last lines of the agent on host %s:\n' "$host" >&2
            tail -n 8 "$run_dir/$host/agent.log" >&2
        fi
    done
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
    for host in "${hosts[@]}"; do
        ip netns add "$prefix-$host"
        ip -n "$prefix-net" link add "to-$host" type veth peer name eth0 netns "$prefix-$host"
        ip -n "$prefix-net" link set "to-$host" master bridge up
        ip -n "$prefix-$host" link set lo up
        ip -n "$prefix-$host" address add "$(address "$host")/24" dev eth0
        ip -n "$prefix-$host" link set eth0 up
        echo "host $host: $(address "$host"), namespace $prefix-$host, files in $run_dir/$host"
        if [[ "${kinds[$host]}" != native ]]; then
            echo "        $(describe_kind "${kinds[$host]}")"
        fi
    done
}

make_certificates() {
    local host paths
    for host in "${hosts[@]}"; do
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
    echo "one authority, and a certificate for each host"
}

start_agent() { # HOST
    local host=$1 pid deadline=$((SECONDS + START_SECONDS)) command
    find_program "$host" agent/dsm-agent
    setsid ip netns exec "$prefix-$host" "${command[@]}" \
        --config "$run_dir/$host/config/agent.ini" --state-dir "$run_dir/$host/state" \
        --socket "$run_dir/$host/run/agent.sock" \
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
    for host in "${hosts[@]}"; do
        until (($(ctl "$host" nodes 2>/dev/null | grep -cE 'alive +(up|self)') == ${#hosts[@]})); do
            ((SECONDS < deadline)) || die "the agents did not find each other in $START_SECONDS s"
            sleep 0.1
        done
    done
    ctl a nodes
}

# How the faults of a host's programs reach its agent, as it has logged that.
backend_of() { # HOST
    sed -n 's/^client attached .* backend=\([a-z-]*\).*/\1/p' "$run_dir/$1/agent.log" |
        sort -u | paste -s -d +
}

# The sum of a counter over the agents.
sum_counter() { # NAME
    local host
    for host in "${hosts[@]}"; do
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
        wait -n -p done_pid "$@" 2>/dev/null || code=$?
        local left=() pid
        if [[ -z "${done_pid:-}" ]]; then
            # The shell has seen all of them end; it still knows how.
            for pid in "$@"; do
                wait "$pid" || status=1
            done
            return "$status"
        fi
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

# In the place of this shell.
program() { # HOST PROGRAM ARGUMENT...
    local host=$1 command
    find_program "$host" "tests/workloads/satellite/$2"
    shift 2
    exec ip netns exec "$prefix-$host" "${command[@]}" \
        --socket "$run_dir/$host/run/agent.sock" "$@"
}
