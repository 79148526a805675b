# SPDX-License-Identifier: Apache-2.0
"""Starts the programs of tests/workloads/scene on the hosts of a cluster, each way that pixels come
in turn, and gives them their orders."""

import contextlib
import glob
import json
import os
import shutil
import socket
import subprocess
import time

from cluster import ENVIRONMENT, same
from kernels import MPIRUN, cpu_of, cpus
from network import Failure, start, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = ('ndvi', 'stencil', 'zones', 'change')
PHOTOS = 'usr/lib/R/site-library/satellite/testdata'
SECONDS = 120
REDIS_PORT = 6379


def fetch_photos(directory):
    """The real scene of two dates, from Debian's r-cran-satellite; None where it cannot be had."""
    found = f'{directory}/files/{PHOTOS}'
    if not os.path.isdir(found):
        os.makedirs(directory, exist_ok=True)
        got = subprocess.run(['apt-get', 'download', '-q=2', '-o', 'APT::Sandbox::User=root',
                              'r-cran-satellite'], cwd=directory, check=False,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        packages = glob.glob(directory + '/r-cran-satellite_*.deb')
        if got.returncode or not packages:
            return None
        subprocess.run(['dpkg-deb', '-x', packages[0], directory + '/files'], check=True)
    return found


def make_scene(directory, side, photos=None):
    """A scene of that many rows and columns; returns its path and what is known of it."""
    path = f'{directory}/scene-{side}{"" if photos else "-formula"}.tif'
    if not os.path.exists(path + '.json'):
        subprocess.run([f'{HERE}/scene/make_scene.py', '--side', str(side), '--out', path]
                       + (['--photos', photos] if photos else []), check=True)
    with open(path + '.json', encoding='utf-8') as file:
        return path, json.load(file)


class Team:
    """Programs that take orders together; each analyses a part of the scene.

    orders: where their orders go, if that is not their standard input."""

    def __init__(self, name, programs, orders=None):
        self.name, self.programs = name, programs
        self.orders = orders or [program.stdin for program in programs]
        for program in programs:
            if program.stdout.readline() != 'ready\n':
                raise Failure(f'{name}: not ready: {program.stderr.read()}')

    def do(self, task, kept=False):
        """Give an order to all; returns the seconds until all have answered, and the whole."""
        begin = time.monotonic()
        for stream in self.orders:
            stream.write(task + (' kept' if kept else '') + '\n')
            stream.flush()
        answers = [program.stdout.readline() for program in self.programs]
        seconds = time.monotonic() - begin
        if '' in answers:
            raise Failure(f'{self.name}: {task}: a program ended: '
                          + ''.join(program.stderr.read() for program in self.programs
                                    if program.poll() is not None))
        return seconds, add_up([json.loads(answer) for answer in answers])

    def close(self):
        for stream in self.orders:
            stream.close()
        for program in self.programs:
            same(program.wait(SECONDS), 0, f'{self.name}: exit status')
            program.stdout.close()
            program.stderr.close()

    def kill(self):
        for program in self.programs:
            program.kill()
            program.wait()


def add_up(answers):
    sums = [0] * max(len(answer['sum']) for answer in answers)
    for answer in answers:
        for i, number in enumerate(answer['sum']):
            sums[i] += number
    return {'min': min(answer['min'] for answer in answers),
            'max': max(answer['max'] for answer in answers), 'sum': sums}


def start_on(host, rank, argv, **options):
    """Start a program on a host, on the CPU of the host of this number."""
    return start(['taskset', '-c', cpu_of(rank), *argv], host.namespace, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
                 **options)


def run_on(host, rank, argv):
    """Run one to its end."""
    program = start_on(host, rank, argv)
    said = program.communicate(timeout=SECONDS)
    if program.returncode:
        raise Failure(f'{argv[0]}: exit status {program.returncode}: {said}')


class Dsm:
    """The scene is published once in shared memory; who reads a page keeps it."""

    name = 'dsm'

    @staticmethod
    def why_not(_):
        return None

    def __init__(self, cluster, hosts, scene, side, words=()):
        self.cluster, self.region = cluster, cluster.name('scene')
        programs = f'{cluster.build}/tests/workloads'
        run_on(cluster.a, 0, [f'{programs}/satellite/ingest', '--region', self.region, '--socket',
                              cluster.a.socket, '--waiters', '0', '--bands',
                              'red:1,nir:2,other:3,other:4', *words, scene])
        self.team = Team(self.name, [
            start_on(host, rank, [f'{programs}/scene/scene_dsm', host.socket, self.region, rank,
                                  hosts])
            for rank, host in enumerate(cluster.hosts[:hosts])])

    def close(self):
        self.team.close()
        for suffix in ('', '.results'):
            self.cluster.a.ctl('rm', self.region + suffix)


class Mpi:
    """Rank 0 scatters what each task reads, each time."""

    name = 'mpi'

    @staticmethod
    def why_not(build):
        if os.path.exists(f'{build}/tests/workloads/scene/scene_mpi'):
            return None
        return 'no MPI here (Debian: openmpi-bin, libopenmpi-dev)'

    def __init__(self, cluster, hosts, scene, side):
        program = f'{cluster.build}/tests/workloads/scene/scene_mpi'
        pipes = f'{cluster.directory}/{cluster.name("orders")[1:]}.'
        argv = [*MPIRUN, '--mca', 'mpi_yield_when_idle', str(int(hosts > len(cpus())))]
        for rank in range(hosts):
            os.mkfifo(f'{pipes}{rank}')
            argv += [':'] if rank else []
            argv += ['-n', '1', 'taskset', '-c', str(cpu_of(rank)), program, scene, pipes]
        run = start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True)
        # Both ways, so that a rank that never comes is seen by its answer that does not.
        orders = [os.fdopen(os.open(f'{pipes}{rank}', os.O_RDWR), 'w') for rank in range(hosts)]
        self.team = Team(self.name, [run], orders)

    def close(self):
        self.team.close()


class Gdal:
    """Each host has the file, in its page cache, and reads it with two threads."""

    name = 'gdal'

    @staticmethod
    def why_not(_):
        return None

    def __init__(self, cluster, hosts, scene, side):
        self.team = Team(self.name, [
            start_on(host, rank, [f'{cluster.build}/tests/workloads/scene/scene_gdal', scene, rank,
                                  hosts, 2])
            for rank, host in enumerate(cluster.hosts[:hosts])])

    def close(self):
        self.team.close()


class Redis:
    """A server on the first host has the scene as tiles, which the programs get."""

    name = 'redis'

    @staticmethod
    def why_not(_):
        return None if shutil.which('redis-server') else 'no Redis here (Debian: redis-server)'

    def __init__(self, cluster, hosts, scene, side):
        program = f'{cluster.build}/tests/workloads/scene/scene_redis'
        address = cluster.a.address
        self.server = start(['taskset', '-c', cpu_of(0), 'redis-server', '--bind', address,
                             '--port', REDIS_PORT, '--save', '', '--appendonly', 'no',
                             '--protected-mode', 'no'], cluster.a.namespace,
                            stdout=subprocess.DEVNULL)
        wait_for(lambda: self.answers(cluster.a), 'the Redis server answers')
        run_on(cluster.a, 0, [program, 'load', address, scene])
        self.team = Team(self.name, [
            start_on(host, rank, [program, address, side, side, rank, hosts])
            for rank, host in enumerate(cluster.hosts[:hosts])])

    @staticmethod
    def answers(host):
        with host.namespace.entered(), socket.socket() as probe:
            return probe.connect_ex((host.address, REDIS_PORT)) == 0

    def close(self):
        self.team.close()
        self.server.terminate()
        self.server.wait(SECONDS)


WAYS = (Dsm, Mpi, Gdal, Redis)


def measure_ways(ways, passes, known):
    """Pass after pass, in each every way in turn does each task; all answers are those that are
    known. Returns seconds by way and task, a list of one for each pass; of 'mpi-kept', from the
    second pass on, what a task takes over what MPI's ranks have kept in their own memory."""
    seconds = {}

    def do(name, way, task, kept=False):
        took, answer = way.team.do(task, kept)
        seconds.setdefault(name, {}).setdefault(task, []).append(took)
        check_answer(f'{name}: {task}', answer, known['answers'][task])

    for number in range(passes):
        for way in ways:
            for task in TASKS:
                do(way.name, way, task)
            for task in TASKS if isinstance(way, Mpi) and number > 0 else ():
                do('mpi-kept', way, task, kept=True)
    return seconds


@contextlib.contextmanager
def opened(kinds, cluster, hosts, scene, known):
    """The programs of each way, ready for their orders."""
    ways = []
    try:
        for kind in kinds:
            ways.append(kind(cluster, hosts, scene, known['side']))
        yield ways
    except BaseException:
        for way in ways:
            way.team.kill()
        raise
    for way in ways:
        way.close()


def check_answer(what, answer, expected):
    """All numbers, to the last digit; programs leave zeros at the end out."""
    length = max(len(answer['sum']), len(expected['sum']))
    for one in (answer, expected):
        one['sum'] = one['sum'] + [0] * (length - len(one['sum']))
    same(answer, expected, what)
