# SPDX-License-Identifier: Apache-2.0
"""Hosts for the end-to-end tests: network namespaces without names, joined by a bridge in one more.

A namespace lives as long as its keeper process, a `cat` whose standard input is a pipe from here:
when this process ends, however it ends, the keepers end and the kernel takes the namespaces down.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
ADDR_NO_RANDOMIZE = 0x0040000


class Failure(AssertionError):
    """What a test says when it fails."""


def wait_for(condition, what, seconds=20):
    """Look again and again until condition() is true; its value is returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f'waited {seconds} s in vain: {what}')
        select.select([], [], [], 0.02)


def keep_addresses():
    """Programs started from now on get the same addresses each time, as ThreadSanitizer needs:
    where a kernel scatters them widely, it ends at start with 'unexpected memory mapping'."""
    persona = LIBC.personality(0xffffffff)
    if persona < 0 or LIBC.personality(persona | ADDR_NO_RANDOMIZE) < 0:
        raise OSError(ctypes.get_errno(), 'personality')


def enter(namespace):
    """Move this process into the network namespace of an open descriptor."""
    if LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'setns')


def start(argv, namespace=None, uid=None, gid=None, **options):
    """Start a program on a host, as a user; it dies with this process."""
    def prepare():
        if namespace is not None:
            enter(namespace.descriptor)
        if uid is not None:
            os.setgroups([])
            os.setgid(gid if gid is not None else uid)
            os.setuid(uid)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen([str(word) for word in argv], preexec_fn=prepare, **options)


class Namespace:
    """A network namespace."""

    def __init__(self):
        self.keeper = subprocess.Popen(['unshare', '--net', 'cat'], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        # cat answers only once it runs, which is after the namespace was made.
        self.keeper.stdin.write(b'.')
        self.keeper.stdin.flush()
        self.keeper.stdout.read(1)
        self.path = f'/proc/{self.keeper.pid}/ns/net'
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.ip('link set lo up')

    def ip(self, *commands):
        """Run lines of ip(8) in this namespace."""
        subprocess.run(['nsenter', '--net=' + self.path, 'ip', '-batch', '-'], check=True,
                       input='\n'.join(commands).encode() + b'\n', stdout=subprocess.DEVNULL)

    @contextlib.contextmanager
    def entered(self):
        """This process is in the namespace for a while: sockets made there stay there."""
        own = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(self.descriptor)
            yield
        finally:
            enter(own)
            os.close(own)

    def close(self):
        os.close(self.descriptor)
        self.keeper.stdin.close()
        self.keeper.stdout.close()
        self.keeper.wait()


class Network:
    """A bridge, and hosts at 10.97.0.1, 10.97.0.2, ... that hang on it."""

    def __init__(self):
        self.namespaces = []
        self.bridge = Namespace()
        self.bridge.ip('link add br0 type bridge', 'link set br0 up')

    def add(self):
        """One more host; returns its namespace and address."""
        number = len(self.namespaces) + 1
        host = Namespace()
        self.namespaces.append(host)
        host.ip(f'link add eth0 type veth peer name port{number} netns {self.bridge.keeper.pid}',
                f'address add 10.97.0.{number}/24 dev eth0', 'link set eth0 up')
        self.bridge.ip(f'link set port{number} master br0', f'link set port{number} up')
        return host, f'10.97.0.{number}'

    def close(self):
        for namespace in self.namespaces + [self.bridge]:
            namespace.close()
