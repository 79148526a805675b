# SPDX-License-Identifier: Apache-2.0
"""Random programs on all hosts: recorded histories, and the same program on plain memory."""

import random
import struct
import subprocess
import time

from cluster import ENVIRONMENT, same, true
from network import Failure, start, wait_for

PAGE = 4096
HEADER = struct.Struct('<8sII')  # tests/e2e/dump.h
OP = struct.Struct('<IIQQ')
READS, WRITES = 1, 2


def open_made(tool, name, size, slot=0, protection='w'):
    """Open and map what a program of another host has made: whoever knows of it finds it, as large
    as it is."""
    tool.do(f'open {slot} {name} w 0600')
    same(int(tool.do(f'stat {slot}').split()[0]), size, f'{tool.host.name}: the size of {name}')
    tool.do(f'map {slot} {slot} 0 {size} {protection}')
    return tool


def answers(tools, watch=None, seconds=120):
    """What all tools answer; watch(tools) is called meanwhile and must return once all have."""
    if watch:
        watch(tools)
    return [tool.answer(seconds=seconds) for tool in tools]


def dsm_history(cluster, files):
    """Exit status and words of the checker of histories."""
    process = start([cluster.build + '/tests/dsm-history', *files], stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, env=ENVIRONMENT, text=True)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


class Recording:
    """Random operations of two threads on each host on words of a few pages."""

    def __init__(self, cluster, ops, seed, words=36, pages=2, regions=2, page_size=PAGE, home=0):
        self.cluster, self.ops, self.seed, self.words = cluster, ops, seed, words
        self.label = (f'history seed={seed} words={words} pages={pages} regions={regions} '
                      f'page_size={page_size} home={home}')
        self.pages, self.regions = pages, regions
        self.page_size, self.home = page_size, home
        self.prefix = f'{cluster.directory}/history{cluster.name()[1:]}'
        self.threads = 2 * len(cluster.hosts)
        self.files = [f'{self.prefix}.{thread}' for thread in range(self.threads)]
        self.seconds, self.moved = 0, 0

    def run(self, watch=None):
        """Regions are homed at different hosts; each host's program has two threads."""
        names = [self.cluster.name('history') for _ in range(self.regions)]
        makers = [self.cluster.hosts[(2 + slot) % 3].tool().open(
            name, self.pages * PAGE, options=f'{self.page_size} {self.home} u64[]')
            for slot, name in enumerate(names)]
        tools = self.cluster.tools()
        for tool in tools:
            for slot, name in enumerate(names):
                open_made(tool, name, self.pages * PAGE, slot)
        before, begin = moves(tools), time.monotonic()
        for number, tool in enumerate(tools):
            tool.send(f'record {2 * number} 2 {self.threads} {self.ops} {self.seed} {self.words} '
                      f'{self.pages} {self.regions} {self.prefix}')
        answers(tools, watch)
        self.seconds = time.monotonic() - begin
        self.moved = moves(tools) - before
        for tool in tools + makers:
            tool.close()
        return self

    def check(self):
        status, output = dsm_history(self.cluster, self.files)
        if status != 0:
            raise Failure(f'{self.label}: {output}')
        same(output.split()[0], str(self.threads * self.ops), f'{self.label}: operations checked')
        true(self.moved >= 20, f'{self.label}: pages moved: {self.moved}')
        return self

    def report(self):
        count = self.threads * self.ops
        return (f'{self.label}: {count} operations, {count / self.seconds:.0f} a second, '
                f'{self.moved} pages moved, sequentially consistent')


def moves(tools):
    """How many pages have travelled between hosts; tools: one program on each host."""
    return sum(int(tool.do('stats pages_received')) for tool in tools)


def sent(tools):
    """Protocol messages of all agents, once no more come."""
    last = []

    def is_settled():
        last.append(sum(int(tool.do('stats messages_sent')) for tool in tools))
        return len(last) > 2 and last[-1] == last[-2] == last[-3]

    wait_for(is_settled, 'messages come to an end')
    return last[-1]


def read_dump(path):
    with open(path, 'rb') as file:
        magic, thread, count = HEADER.unpack(file.read(HEADER.size))
        ops = [list(op) for op in OP.iter_unpack(file.read())]
    true(magic == b'DSMHIST1' and len(ops) == count, f'{path} is a dump')
    return thread, ops


def write_dump(path, thread, ops):
    with open(path, 'wb') as file:
        file.write(HEADER.pack(b'DSMHIST1', thread, len(ops)))
        for op in ops:
            file.write(OP.pack(*op))


class Differential:
    """A random program on plain memory and on a region: the same at each barrier and at the end."""

    def __init__(self, cluster, phases, seed, protections=('w',)):
        dice = random.Random(seed)
        self.cluster, self.phases, self.seed = cluster, phases, seed
        self.protections = protections  # of the workers' mappings, in turn
        self.each = dice.choice((1, 1, 2))
        self.workers = 3 * self.each
        self.page_size = dice.choice((4096, 4096, 4096, 16384))
        self.home = dice.choice((0, 1))
        self.bytes = 8 * dice.randint(200, 60000)
        self.label = (f'differential seed={seed} workers={self.workers} bytes={self.bytes} '
                      f'page_size={self.page_size} home={self.home}')
        self.seconds, self.moved = 0, 0

    def run(self, watch=None):
        name = self.cluster.name('program')
        size = self.bytes + 16 * 8
        maker = self.cluster.hosts[self.seed % 3].tool()
        maker.open(name, size, options=f'{self.page_size} {self.home}')
        tools = self.cluster.tools(each=self.each)
        files = [f'{self.cluster.directory}/region{name[1:]}.{who}' for who in range(len(tools))]
        plain_file = f'{self.cluster.directory}/plain{name[1:]}'
        command = f'program {self.seed} {self.phases} {self.workers}'
        plain = [maker.do(f'{command} {who} {self.bytes} {plain_file}', 120)
                 for who in range(self.workers)]
        for who, tool in enumerate(tools):
            open_made(tool, name, size,
                      protection=self.protections[who % len(self.protections)])
        before, begin = moves(tools[::self.each]), time.monotonic()
        for who, tool in enumerate(tools):
            tool.send(f'{command} {who} {self.bytes} {files[who]} 0')
        shared = answers(tools, watch)
        self.seconds = time.monotonic() - begin
        self.moved = moves(tools[::self.each]) - before
        self.compare(plain, shared, plain_file, files)
        for tool in tools + [maker]:
            tool.close()
        return self

    def compare(self, plain, shared, plain_file, files):
        for who, (left, right) in enumerate(zip(plain, shared)):
            same(len(left.split()), self.phases, f'{self.label}: phases')
            for phase, (one, other) in enumerate(zip(left.split(), right.split())):
                same(other, one, f'{self.label}: what worker {who} sees behind phase {phase}')
        with open(plain_file, 'rb') as file:
            expected = file.read()
        for who, path in enumerate(files):
            with open(path, 'rb') as file:
                found = file.read()
            wrong = [at for at, (one, other) in enumerate(zip(expected, found)) if one != other]
            same(wrong[:4], [], f'{self.label}: bytes that worker {who} has different at the end')
            same(len(found), len(expected), f'{self.label}: bytes')

    def report(self):
        return (f'{self.label}: {self.phases} phases, {self.phases / self.seconds:.0f} a second, '
                f'{self.moved} pages moved, equal')
