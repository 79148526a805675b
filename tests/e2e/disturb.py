# SPDX-License-Identifier: Apache-2.0
"""Disturbances while programs run: agents and programs that stop for a while, links that are cut.

Each is shorter than what declares a node dead, so nothing may be lost and nobody may be stuck. At
the end everything is as it was.
"""

import contextlib
import random
import select
import signal
import subprocess
import time

from network import Failure

# Clusters that are disturbed declare a node dead after this much silence. A cut link is quiet for
# longer than the cut: TCP repeats at doubling intervals.
LEASE_MS = 30000
KINDS = ('agent', 'program', 'link', 'oneway', 'reset')
FLAGS = ['--lease-ms', str(LEASE_MS)]


def pause(seconds, tools=()):
    """Until then, or until one of these programs has answered."""
    select.select([tool.process.stdout for tool in tools], [], [], seconds)


class Disturber:
    """Chooses by seed what to disturb, when, and for how long."""

    def __init__(self, cluster, seed, kinds=None, longest=0.8, oneway=None):
        self.cluster, self.dice, self.longest = cluster, random.Random(seed), longest
        self.oneway_pairs = oneway  # (host, other) to choose from, or any
        self.done = dict.fromkeys(kinds or KINDS, 0)

    @contextlib.contextmanager
    def stopped(self, process):
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def cut(self, host):
        """The host's cable is out."""
        port = f'port{self.cluster.hosts.index(host) + 1}'
        self.cluster.network.bridge.ip(f'link set {port} down')
        try:
            yield
        finally:
            self.cluster.network.bridge.ip(f'link set {port} up')

    @contextlib.contextmanager
    def oneway(self, host, other):
        """What the host sends to the other is lost; what the other sends arrives."""
        host.namespace.ip(f'route add blackhole {other.address}/32')
        try:
            yield
        finally:
            host.namespace.ip(f'route del blackhole {other.address}/32')

    @contextlib.contextmanager
    def reset(self, host):
        """All connections of the host break, and what was underway on them is lost. Where the
        kernel cannot do that (CONFIG_INET_DIAG_DESTROY) nothing happens."""
        subprocess.run(['nsenter', '--net=' + host.namespace.path, 'ss', '-K', '-tn',
                        'sport = :7400 or dport = :7400'], check=False, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        yield

    def disturbance(self, kind, tools):
        host, other = self.dice.sample(self.cluster.hosts, 2)
        self.done[kind] += 1
        if kind == 'agent':
            return self.stopped(host.agent)
        if kind == 'program':
            return self.stopped(self.dice.choice(tools).process)
        if kind == 'link':
            return self.cut(host)
        if kind == 'reset':
            return self.reset(host)
        return self.oneway(*self.dice.choice(self.oneway_pairs or [(host, other)]))

    def watch(self, tools, seconds=120):
        """Disturb, one or two at a time, until all these programs have answered."""
        deadline = time.monotonic() + seconds
        while True:
            waiting = [tool for tool in tools if not tool.has_answer()]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise Failure(f'after {seconds} s {len(waiting)} programs have not ended: '
                              f'{waiting[0].host.name}: {waiting[0].last}; {self.done}')
            with contextlib.ExitStack() as stack:
                count = min(self.dice.choice((1, 1, 2)), len(self.done))
                for kind in self.dice.sample(sorted(self.done), count):
                    stack.enter_context(self.disturbance(kind, tools))
                # Mostly short: what is underway at either end is then of many kinds.
                pause(self.longest * self.dice.random() ** 2)
            pause(0.3 * self.dice.random() ** 2, waiting)

    def check(self, least=0):
        """There were so many disturbances at least, and nobody was declared dead for them."""
        if sum(self.done.values()) < least:
            raise Failure(f'too little was disturbed: {self.done}')
        for host in self.cluster.hosts:
            if 'declared' in host.log():
                raise Failure(f'{host.name}: somebody was declared dead: {host.log()[-3000:]}')
        return self
