#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make a private root directory of another architecture, to build for it and to run its programs:
# the libraries that the project needs, out of Debian's packages. Touches nothing of this host: apt
# gets a state of its own, and the packages are unpacked, not installed.
#
#   deploy/sysroot.sh ARCH [DIR]     ARCH: s390x, arm64, armhf; DIR: build/sysroot/ARCH if left out
#
# A root that is complete is left as it is. Takes some ten seconds and 60 MB.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=deploy/packages.sh
source "$root/deploy/packages.sh"

# Dependencies of the -dev packages that C programs have no use for, and that are large.
readonly UNUSED='^(libboost|libmsgpack-cxx|libstdc\+\+|libasan|libubsan|libgomp|libitm|gcc-12-base)'

die() {
    printf 'sysroot.sh: %s\n' "$1" >&2
    exit 1
}

# The settings that keep apt away from the host's own state.
write_apt_conf() { # ARCH STATE
    cat <<TEXT
APT::Architecture "$1";
APT::Architectures { "$1"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "$2";
Dir::State::status "$2/status";
Dir::Cache "$2";
TEXT
}

# fetch ARCH STATE: the packages and all that they depend on, down to libc. One list that cannot be
# had, of a mirror that is being renewed, is no reason to stop: the packages' own absence is.
fetch() {
    mkdir -p "$2/lists/partial" "$2/archives/partial"
    : >"$2/status"
    write_apt_conf "$1" "$2" >"$2/apt.conf"
    export APT_CONFIG="$2/apt.conf" DEBIAN_FRONTEND=noninteractive
    apt-get update -q=2 >"$2/log" 2>&1 ||
        printf 'sysroot.sh: not all package lists of %s can be had: %s\n' "$1" \
            "$(grep -m 1 '^[EW]:' "$2/log")" >&2
    rm -f "$2"/archives/*.deb
    apt-get install -q=2 -y --download-only "${PACKAGES_SYSROOT[@]}" >"$2/log" 2>&1 ||
        die "the packages of $1 cannot be had: $(tail -n 3 "$2/log")"
}

# unpack DIR: all packages that count; absolute links would lead out of the root: they are turned.
unpack() {
    local package link target up
    for package in "$1"/.apt/archives/*.deb; do
        if ! [[ "${package##*/}" =~ $UNUSED ]]; then
            dpkg -x "$package" "$1"
        fi
    done
    rm -rf "${1:?}"/usr/{share,bin,sbin} "${1:?}"/var
    while IFS= read -r -d '' link; do
        target="$(readlink "$link")"
        up="$(realpath -m --relative-to="$(dirname "$link")" "$1$target")"
        ln -sfn "$up" "$link"
    done < <(find "$1" -path "$1/.apt" -prune -o -type l -lname '/*' -print0)
}

case "${1:-}" in
s390x | arm64 | armhf) ;;
*)
    sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    [[ "${1:-}" == --help ]] && exit 0
    exit 2
    ;;
esac
mkdir -p "${2:-$root/build/sysroot/$1}"
directory="$(cd "${2:-$root/build/sysroot/$1}" && pwd)"
wanted="$1 ${PACKAGES_SYSROOT[*]}"
if [[ -f "$directory/.complete" && "$(<"$directory/.complete")" == "$wanted" ]]; then
    exit 0
fi
rm -rf "${directory:?}"/{usr,lib,etc,.complete}
fetch "$1" "$directory/.apt"
unpack "$directory"
rm -rf "$directory/.apt"
printf '%s\n' "$wanted" >"$directory/.complete"
