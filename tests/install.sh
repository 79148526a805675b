#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs into an empty directory, then compiles README's examples against that with pkg-config
# alone.
#
#   tests/install.sh BUILD_DIR
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

DESTDIR=$place meson install -C "$1" --no-rebuild --quiet
pc=$(find "$place" -name dsm.pc)
for name in dsm-agent dsmctl dsm-bench; do
    find "$place" -name "$name" -type f -perm -u+x | grep -q . || { echo "no $name" >&2; exit 1; }
done
for name in dsm.h dsm_type.h libdsm.so dsmctl.1 dsm-agent.8 dsm-agent.service; do
    find "$place" -name "$name" | grep -q . || { echo "no $name" >&2; exit 1; }
done
flags=$(PKG_CONFIG_SYSROOT_DIR=$place PKG_CONFIG_LIBDIR=$(dirname "$pc") \
    pkg-config --cflags --libs dsm)
# README shows these very programs, in this order.
number=0
for name in counter stations; do
    number=$((number + 1))
    awk -v wanted="$number" '/^```c$/ {shown = ++number == wanted; next}
        /^```$/ {shown = 0}
        shown' "$root/README.md" >"$place/readme.c"
    sed 1d "$root/tests/examples/$name.c" | cmp - "$place/readme.c"
    # The flags are a list.
    # shellcheck disable=SC2086
    cc -std=c11 -Wall -Wextra -Werror "$root/tests/examples/$name.c" $flags -o "$place/$name"
done
# Without an agent it says so, and what to do.
library=$(dirname "$(find "$place" -name libdsm.so)")
if LD_LIBRARY_PATH=$library DSM_SOCKET=$place/none "$place/counter" 2>"$place/said"; then
    echo "the example succeeded without an agent" >&2
    exit 1
fi
grep -q 'no agent' "$place/said"
# Only the functions of dsm.h are visible.
strange=$(nm -D --defined-only "$library/libdsm.so" | awk '$2 == "T" && $3 !~ /^dsm_/ {print $3}')
[ -z "$strange" ] || { echo "libdsm.so shows $strange" >&2; exit 1; }
echo "installed, and the examples compile against it"
