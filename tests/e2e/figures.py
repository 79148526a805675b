#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What unlike hosts cost each other, with real agents, as tables in Markdown.

    tests/e2e/figures.py [--build DIR] [--foreign DIR] [--rounds N] [miss] [count]

miss: a read miss between each two kinds of hosts, beside a round trip over TLS of as many bytes
between programs of the same two kinds under the same emulation, in turns. count: faults, messages
and bytes that patterns of access cost, counted and not timed. All on one CPU; takes root. The
builds are those of deploy/foreign.sh.
"""

import argparse
import os
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import kinds  # noqa: E402  (beside this file)
from cluster import ENVIRONMENT, Cluster  # noqa: E402
from network import start  # noqa: E402
from programs import sent  # noqa: E402

PAGE, GROUP = 4096, 65536
MISSES, ECHOES = 64, 64
APART = 2 * GROUP  # no two misses are of neighbours
PIECES, TURNS = 256, 64
COUNTED = ('faults', 'messages', 'KiB')


def open_on(cluster, size, page_size, maker=0):
    """A program on each host, with a new region mapped that is homed at the maker's."""
    name, tools = cluster.name('figure'), cluster.tools()
    for tool in [tools[maker]] + tools[:maker] + tools[maker + 1:]:
        tool.do(f'open 0 {name} wc 0600 {page_size}')
        if tool is tools[maker]:
            tool.do(f'truncate 0 {size}')
        tool.do(f'map 0 0 0 {size} w')
    return tools


class Echo:
    """Round trips between two hosts without the service."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.process = self.start(server, 'serve', server.address)
        self.port = self.process.stdout.readline().strip()

    @staticmethod
    def start(host, *words):
        files = [f'{host.directory}/{name}' for name in ('ca.crt', 'node.crt', 'node.key')]
        return start([*host.kind.command('tests/e2e-echo'), *files, *words], host.namespace,
                     stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)

    def measure(self, len_bytes):
        """The median in us."""
        asking = self.start(self.client, 'ask', self.server.address, self.port, len_bytes, ECHOES)
        return float(asking.communicate(timeout=120)[0])

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def measure_misses(cluster, owner, reader, rounds):
    """Medians of the rounds: a miss in us, its ratio to a round trip, messages of both agents."""
    group_bytes = max(PAGE, cluster.hosts[reader].kind.page_bytes)
    echo = Echo(cluster.hosts[owner], cluster.hosts[reader])
    misses, ratios, messages = [], [], []
    for number in range(rounds):
        tools = open_on(cluster, MISSES * APART, PAGE, owner)
        for page in range(0, group_bytes, PAGE):
            tools[owner].do(f'visit 0 {page} {APART} {MISSES} w')
        before = sent(tools)
        misses.append(float(tools[reader].do(f'visit 0 0 {APART} {MISSES} r {number + 1}')))
        messages.append((sent(tools) - before) / MISSES)
        ratios.append(misses[-1] / echo.measure(group_bytes))
        for tool in tools:
            tool.close()
    echo.close()
    return [statistics.median(each) for each in (misses, ratios, messages)]


def print_misses(options):
    found = {}
    for at, one in enumerate(kinds.ALL):
        for other in kinds.ALL[at:]:
            cluster = Cluster(options.build, kinds=[one, other], foreign=options.foreign)
            try:
                found[one, other] = measure_misses(cluster, 0, 1, options.rounds)
                if one != other:
                    found[other, one] = measure_misses(cluster, 1, 0, options.rounds)
            finally:
                cluster.close()
            print('.', end='', file=sys.stderr, flush=True)
    print('\n| owner and home \\ reader | ' + ' | '.join(kinds.ALL) + ' |')
    print('|---' * (len(kinds.ALL) + 1) + '|')
    for owner in kinds.ALL:
        cells = ['{:.0f} us, {:.2f}, {:.2f}'.format(*found[owner, reader])
                 for reader in kinds.ALL]
        print(f'| {owner} | ' + ' | '.join(cells) + ' |')


class Pattern:
    """Hosts 1 and 2 use a region of 1 MiB whose home is a third one."""

    def __init__(self, cluster, page_size):
        self.page_size = page_size
        self.tools = open_on(cluster, PIECES * PAGE, page_size)

    def all(self, host, access, seed=0):
        self.tools[host].do(f'visit 0 0 {PAGE} {PIECES} {access} {seed}')

    def turns(self, first, second):
        """Each (host, first piece, pieces, access)."""
        for _ in range(TURNS):
            for host, piece, count, access in (first, second):
                self.tools[host].do(f'visit 0 {PAGE * piece} {PAGE} {count} {access}')

    def counters(self):
        messages = sent(self.tools)
        faults, pages = (sum(int(tool.do(f'stats {name}')) for tool in self.tools)
                         for name in ('faults', 'pages_sent'))
        return [faults, messages, pages * self.page_size // 1024]


# What is done, and of how many operations, if they are what counts.
PATTERNS = [
    ('1 writes 1 MiB in order', 0, lambda run: run.all(1, 'w')),
    ('then 2 reads all of it in order', 0, lambda run: run.all(2, 'r')),
    ('then 2 writes all of it in order', 0, lambda run: run.all(2, 'w')),
    ('then 1 reads all of it in order', 0, lambda run: run.all(1, 'r')),
    ('then 1 writes all of it in order', 0, lambda run: run.all(1, 'w')),
    ('then 2 reads a word of each 4 KiB, at random', PIECES, lambda run: run.all(2, 'r', 7)),
    ('then 2 writes all of it, and 1 reads at random', PIECES,
     lambda run: (run.all(2, 'w'), run.all(1, 'r', 7))),
    ('64 turns: 1 writes a word, 2 reads it', TURNS,
     lambda run: run.turns((1, 0, 1, 'w'), (2, 0, 1, 'r'))),
    ('64 turns: 1 writes a word, 2 writes it', TURNS,
     lambda run: run.turns((1, 16, 1, 'w'), (2, 16, 1, 'w'))),
    ('64 turns: 1 writes 64 KiB, 2 reads it', TURNS,
     lambda run: run.turns((1, 128, 16, 'w'), (2, 128, 16, 'r'))),
    ('64 turns: 1 writes 4 KiB, 2 reads the next 4 KiB', TURNS,
     lambda run: run.turns((1, 32, 1, 'w'), (2, 33, 1, 'r'))),
    ('64 turns: 1 writes 4 KiB, 2 writes the next 4 KiB', TURNS,
     lambda run: run.turns((1, 64, 1, 'w'), (2, 65, 1, 'w'))),
]


def count_patterns(options, pair, page_size):
    """Counts of each pattern."""
    cluster = Cluster(options.build, kinds=[kinds.NATIVE, *pair], foreign=options.foreign)
    rows = []
    try:
        run = Pattern(cluster, page_size)
        for _, _, perform in PATTERNS:
            before = run.counters()
            perform(run)
            rows.append([after - at for at, after in zip(before, run.counters())])
    finally:
        cluster.close()
    return rows


def print_counts(options):
    small, large = 'x86-64', 'arm64-64k'
    columns = [(pair, page_size) for page_size in (PAGE, GROUP)
               for pair in ((small, small), (small, large), ('s390x', large), (large, large))]
    found = [count_patterns(options, pair, page_size) for pair, page_size in columns]
    print('\n| 1, 2; pages of the region | counted | ' + ' | '.join(
        f'{", ".join(pair)}; {page_size >> 10} KiB' for pair, page_size in columns) + ' |')
    print('|---|---' + '|---:' * len(columns) + '|')
    for number, (name, operations, _) in enumerate(PATTERNS):
        for which, counted in enumerate(COUNTED):
            cells = [rows[number][which] for rows in found]
            print(f'| {name} | {counted} | ' + ' | '.join(
                f'{cell} ({cell / operations:.1f})' if operations else str(cell)
                for cell in cells) + ' |')


def main():
    root = os.path.dirname(os.path.dirname(HERE))
    parser = argparse.ArgumentParser(description='what unlike hosts cost each other')
    parser.add_argument('--build', default=os.path.join(root, 'build'))
    parser.add_argument('--foreign', default=os.path.join(root, 'build'))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('tables', nargs='*', metavar='miss|count', help='both if left out')
    options = parser.parse_args()
    tables = {'miss': print_misses, 'count': print_counts}
    if not set(options.tables) <= set(tables):
        parser.error('a table is miss or count')
    reason = kinds.missing(options.foreign)
    if reason:
        print(reason)
        return 1
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name in options.tables or tables:
        tables[name](options)
    return 0


if __name__ == '__main__':
    sys.exit(main())
