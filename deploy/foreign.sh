#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build all of the project for machines unlike this one, from the same meson project: in
# build/KIND. PACKAGES_FOREIGN of packages.sh must be installed.
#
#   deploy/foreign.sh [--quickstart] [KIND...]
#
#     KIND          s390x, aarch64, armhf; all three if left out
#     --quickstart  no more than what the quick start runs
#
# A program of such a build runs as `qemu-... -L build/sysroot/... PROGRAM`; deploy/cross/KIND.ini
# has the words; so `meson test -C build/KIND` works, with QEMU_PAGESIZE=65536 on pages of another
# size.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# build KIND: its root directory and its build directory are made if need be.
build() {
    local sysroot="$1"
    [[ "$1" == aarch64 ]] && sysroot=arm64
    "$root/deploy/sysroot.sh" "$sysroot"
    printf "[constants]\nsysroots = '%s'\n" "$root/build/sysroot" >"$root/build/sysroot/paths.ini"
    if [[ ! -f "$root/build/$1/build.ninja" ]]; then
        meson setup "$root/build/$1" "$root" -Dwerror=true \
            --cross-file "$root/build/sysroot/paths.ini" --cross-file "$root/deploy/cross/$1.ini"
    fi
    ninja -C "$root/build/$1" "${targets[@]}"
}

targets=()
if [[ "${1:-}" == --quickstart ]]; then
    targets=(agent/dsm-agent tests/workloads/satellite/{weather,crop,pollution})
    shift
fi
kinds=("$@")
if ((${#kinds[@]} == 0)); then
    kinds=(s390x aarch64 armhf)
fi
for kind in "${kinds[@]}"; do
    if [[ ! -f "$root/deploy/cross/$kind.ini" ]]; then
        sed -n '3,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        [[ "$kind" == --help ]] && exit 0
        exit 2
    fi
done
for kind in "${kinds[@]}"; do
    build "$kind"
done
