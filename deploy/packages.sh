# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# The Debian packages that the project needs, named once; read by quickstart.sh and test.sh.

# To build and run the agent, the library and dsmctl.
PACKAGES_BUILD=(
    build-essential meson ninja-build pkg-config
    libuv1-dev libmsgpack-dev libssl-dev libsqlite3-dev libjansson-dev libinih-dev libsystemd-dev
)
# Besides: to build all of the tree, which the tests and the satellite programs belong to.
PACKAGES_PROGRAMS=(libcmocka-dev libgdal-dev libpng-dev)
# Besides: what the quick start runs.
PACKAGES_QUICKSTART=(iproute2 procps util-linux python3-gdal python3-numpy ca-certificates)
# Besides: what the tests run. With libtirpc-dev, dsm-bench convert is compared with XDR.
PACKAGES_TEST=(libtirpc-dev clang-14 libclang-rt-14-dev llvm-14 openssl binutils gcovr spin)
# Besides, never needed: what dsm-bench compares with in the same run, and draws its plots with.
PACKAGES_PEERS=(openmpi-bin libopenmpi-dev redis-server gnuplot-nox)
# Besides: to build for machines unlike this one, and to run what was built.
PACKAGES_FOREIGN=(
    qemu-user-static gcc-s390x-linux-gnu gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf
)
# Of the other machine's architecture, unpacked by sysroot.sh: what its programs are linked with.
PACKAGES_SYSROOT=(
    libc6-dev libgcc-12-dev libuv1-dev libmsgpack-dev libssl-dev libsqlite3-dev libjansson-dev
    libinih-dev libsystemd-dev libcmocka-dev
)

# The names among the given ones that are not installed.
packages_missing() {
    local name
    for name in "$@"; do
        if [[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]]; then
            printf '%s\n' "$name"
        fi
    done
}

# Install those of the given packages that are missing. Touches nothing when all are there.
packages_install() {
    local missing
    mapfile -t missing < <(packages_missing "$@")
    if ((${#missing[@]} == 0)); then
        return 0
    fi
    if ((EUID != 0)); then
        printf 'these packages are missing; install them as root: %s\n' "${missing[*]}" >&2
        return 1
    fi
    printf 'installing %s\n' "${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q=2 &&
        apt-get install -q=2 -y --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"
}
