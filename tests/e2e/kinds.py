# SPDX-License-Identifier: Apache-2.0
"""Kinds of hosts: what they run comes from a build for them, by an emulator where that must be."""

import os
import shutil

NATIVE = 'x86-64'
# Kind: directory of its build, that of its libraries, emulator, bytes of its hardware page.
FOREIGN = {
    'arm64-16k': ('aarch64', 'arm64', 'qemu-aarch64-static', 16384),
    'arm64-64k': ('aarch64', 'arm64', 'qemu-aarch64-static', 65536),
    's390x': ('s390x', 's390x', 'qemu-s390x-static', 4096),
    'armhf': ('armhf', 'armhf', 'qemu-arm-static', 4096),
}
ALL = [NATIVE, *FOREIGN]


class Kind:
    """A kind of host: how its programs are started."""

    def __init__(self, name, build, foreign=None):
        self.name = name
        self.page_bytes, self.build, self.emulator = 4096, build, []
        if name != NATIVE:
            directory, sysroot, emulator, self.page_bytes = FOREIGN[name]
            self.build = f'{foreign}/{directory}'
            self.emulator = [emulator, '-p', str(self.page_bytes), '-L',
                             f'{foreign}/sysroot/{sysroot}']

    def command(self, program):
        """The words that start a program of the build, as tests/e2e-tool."""
        return [*self.emulator, f'{self.build}/{program}']


def missing(foreign):
    """Why hosts of all kinds cannot be had, or None."""
    if foreign is None:
        return 'no builds for other kinds are named: run.py --foreign DIR'
    for name, (directory, _, emulator, _) in FOREIGN.items():
        if shutil.which(emulator) is None:
            return f'{name}: {emulator} is not installed'
        if not os.path.exists(f'{foreign}/{directory}/tests/e2e-tool'):
            return f'{name}: {foreign}/{directory} has no build: deploy/foreign.sh'
    return None
