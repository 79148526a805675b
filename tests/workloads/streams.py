# SPDX-License-Identifier: Apache-2.0
"""A scene that comes strip by strip, and programs that analyse it meanwhile, each on a host of its
own: by shared memory, and by MPI."""

import contextlib
import json
import os
import subprocess
import time

from kernels import MPIRUN, cpu_of, cpus
from network import Failure, start
from scenes import Mpi, add_up, check_answer, start_on

# What the program on each host does with the whole picture; the first host's publisher sends it.
TASKS_OF_HOSTS = ('ndvi', 'stencil', 'change')
ORDERS = ('stream', 'whole')


class DsmStream:
    """A publisher and a reader on the first host, a reader on each other."""

    name = 'dsm'

    @staticmethod
    def why_not(_):
        return None

    def __init__(self, cluster, scene):
        program = f'{cluster.build}/tests/workloads/scene/stream_dsm'
        self.cluster, self.region = cluster, cluster.name('stream')
        hosts = cluster.hosts[:len(TASKS_OF_HOSTS)]
        self.programs = [start_on(hosts[0], 0, [program, 'publish', hosts[0].socket, self.region,
                                                len(hosts), scene])]
        wait_ready(self.programs[0])
        for number, host in enumerate(hosts):
            self.programs.append(start_on(host, number, [program, TASKS_OF_HOSTS[number],
                                                         host.socket, self.region, number]))
            wait_ready(self.programs[-1])

    def do(self, order):
        """Seconds until all have analysed all, and what each found."""
        begin = time.monotonic()
        for program in reversed(self.programs):  # the readers first
            program.stdin.write(order + '\n')
            program.stdin.flush()
        answers = [read_answer(program) for program in self.programs]
        return time.monotonic() - begin, answers[1:]

    def close(self):
        for program in self.programs:
            program.stdin.close()
            if program.wait(60):
                raise Failure(f'stream_dsm: {program.stderr.read()}')
            program.stdout.close()
            program.stderr.close()
        self.cluster.a.ctl('rm', self.region)

    def kill(self):
        for program in self.programs:
            program.kill()
            program.wait()


class MpiStream:
    """Rank 0 sends strips of what each other rank reads."""

    name = 'mpi'
    why_not = Mpi.why_not

    def __init__(self, cluster, scene):
        program = f'{cluster.build}/tests/workloads/scene/stream_mpi'
        pipes = f'{cluster.directory}/{cluster.name("orders")[1:]}.'
        ranks = len(cluster.hosts[:len(TASKS_OF_HOSTS)])
        argv = [*MPIRUN, '--mca', 'mpi_yield_when_idle', str(int(ranks > len(cpus())))]
        for rank in range(ranks):
            os.mkfifo(f'{pipes}{rank}')
            argv += [':'] if rank else []
            argv += ['-n', '1', 'taskset', '-c', str(cpu_of(rank)), program, scene, pipes,
                     *TASKS_OF_HOSTS[:ranks]]
        self.run = start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        self.orders = [os.fdopen(os.open(f'{pipes}{rank}', os.O_RDWR), 'w')
                       for rank in range(ranks)]
        wait_ready(self.run)

    def do(self, order):
        begin = time.monotonic()
        for stream in self.orders:
            stream.write(order + '\n')
            stream.flush()
        answers = [read_answer(self.run) for _ in self.orders]
        return time.monotonic() - begin, answers

    def close(self):
        for stream in self.orders:
            stream.close()
        if self.run.wait(60):
            raise Failure(f'stream_mpi: {self.run.stderr.read()}')
        self.run.stdout.close()
        self.run.stderr.close()

    def kill(self):
        self.run.kill()
        self.run.wait()


STREAMS = (DsmStream, MpiStream)


def wait_ready(program):
    if program.stdout.readline() != 'ready\n':
        raise Failure(f'{program.args}: not ready: {program.stderr.read()}')


def read_answer(program):
    line = program.stdout.readline()
    if not line:
        raise Failure(f'{program.args}: no answer: {program.stderr.read()}')
    return json.loads(line)


@contextlib.contextmanager
def opened_streams(kinds, cluster, scene):
    streams = []
    try:
        for kind in kinds:
            streams.append(kind(cluster, scene))
        yield streams
    except BaseException:
        for stream in streams:
            stream.kill()
        raise
    for stream in streams:
        stream.close()


def measure_streams(streams, rounds, known):
    """Each picture by each way, streamed and whole, in turns; returns seconds by way and order. All
    answers are those that are known."""
    seconds = {}
    for _ in range(rounds):
        for stream in streams:
            for order in ORDERS:
                took, answers = stream.do(order)
                seconds.setdefault((stream.name, order), []).append(took)
                for task, answer in zip(TASKS_OF_HOSTS, answers):
                    check_answer(f'{stream.name}, {order}: {task}', add_up([answer]),
                                 known['answers'][task])
    return seconds
