#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the workloads on hosts of their own (network namespaces, an agent each): how long each
takes on 1, 2, 3 hosts, and what it costs on the wire. README.md beside this file says what each
computes and how its answer is checked.

    tests/workloads/measure.py [--build DIR] [--hosts LIST] [--rounds N] [--small] [--spin US]
                               [--side PIXELS] [--json] WORKLOAD...

WORKLOAD: kernels (all of them), the name of one, or satellite. Host i has CPU i modulo the number
of CPUs: more hosts than CPUs share them, which is said. Takes root.
"""

import argparse
import json
import os
import statistics
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 'e2e')]
import cluster as clusters  # noqa: E402  (of the end-to-end tests)
from kernels import KERNELS, cpus, pin_agents, run_jacobi_mpi, run_kernel  # noqa: E402
from network import Failure  # noqa: E402
from scenes import TASKS, WAYS, fetch_photos, make_scene, measure_ways, opened  # noqa: E402
from streams import STREAMS, measure_streams, opened_streams  # noqa: E402


def median_of(results):
    """The run with the median time."""
    middle = statistics.median_low(result['seconds'] for result in results)
    return next(result for result in results if result['seconds'] == middle)


class Report:
    """Prints results as they come: a table, or a JSON object in a line each."""

    def __init__(self, is_json):
        self.is_json = is_json
        self.one_host = {}
        self.satellite = {}

    def head(self):
        if not self.is_json:
            print(f'{"workload":12} {"hosts":>5} {"seconds":>9} {"speed-up":>8} {"messages":>9} '
                  f'{"MB sent":>8} {"faults":>7} {"remote":>7} {"in faults":>9} {"in calls":>9} '
                  f'{"for CPU":>9}')

    def add(self, result):
        name, hosts = result.pop('kernel'), result['hosts']
        if hosts == 1:
            self.one_host[name] = result['seconds']
        result = {'workload': name, 'cpus': len(cpus()), **result}
        if name in self.one_host:
            result['speed_up'] = round(self.one_host[name] / result['seconds'], 3)
        if self.is_json:
            print(json.dumps(result), flush=True)
            return
        line = f'{name:12} {hosts:5} {result["seconds"]:9.4f} {result.get("speed_up", 0):8.2f}'
        if 'messages' in result:
            line += (f' {result["messages"]:9} {result["bytes"] / 1e6:8.2f} {result["faults"]:7} '
                     f'{result["faults_remote"]:7} {result["in_faults_s"]:9.4f} '
                     f'{result["in_calls_s"]:9.4f} {result["for_cpu_s"]:9.4f}')
        print(line, flush=True)

    def head_of_satellite(self):
        if not self.is_json:
            print(f'{"workload":12} {"hosts":>5} {"way":10} {"first pass":>10} {"later":>9} '
                  f'{"to dsm":>7} {"later":>7}')

    def add_satellite(self, way, task, hosts, first, later):
        """A task done one way: seconds of the first pass (None: there was none) and of later ones;
        the ratios are to shared memory's."""
        later = statistics.median(later)
        ours = self.satellite.setdefault(task, (first, later))
        result = {'workload': 'satellite', 'task': task, 'way': way, 'hosts': hosts,
                  'cpus': len(cpus()), 'first_s': first, 'later_s': later,
                  'first_to_dsm': first and first / ours[0], 'later_to_dsm': later / ours[1]}
        if self.is_json:
            print(json.dumps(result), flush=True)
            return
        print(f'{task:12} {hosts:5} {way:10} ' + (f'{first:10.3f}' if first else f'{"-":>10}')
              + f' {later:9.3f} ' + (f'{first / ours[0]:7.2f}' if first else f'{"-":>7}')
              + f' {later / ours[1]:7.2f}', flush=True)

    def add_stream(self, way, order, seconds):
        """A picture that came strip by strip and was analysed meanwhile, or when it was whole."""
        task = 'strips' if order == 'stream' else 'then-whole'
        ours = self.satellite.setdefault(task, seconds)
        result = {'workload': 'satellite', 'task': task, 'way': way, 'hosts': 3,
                  'cpus': len(cpus()), 'first_s': None, 'later_s': seconds,
                  'first_to_dsm': None, 'later_to_dsm': seconds / ours}
        if self.is_json:
            print(json.dumps(result), flush=True)
            return
        print(f'{task:12} {3:5} {way:10} {"-":>10} {seconds:9.3f} {"-":>7} {seconds / ours:7.2f}',
              flush=True)

    def say(self, text):
        print(text, file=sys.stderr if self.is_json else sys.stdout, flush=True)


def measure_kernel(cluster, name, options, report):
    """A kernel on each number of hosts, in turns; Jacobi also by MPI. The first answer of each is
    checked; MPI must come to the same."""
    results = {hosts: [] for hosts in options.hosts}
    by_mpi = {hosts: [] for hosts in options.hosts}
    words = KERNELS[name] if options.small else []
    for number in range(options.rounds):
        for hosts in options.hosts:
            results[hosts].append(run_kernel(cluster, name, hosts, *words,
                                             *(['--unchecked'] if number else [])))
            if name == 'jacobi':
                by_mpi[hosts].append(run_jacobi_mpi(cluster.build, hosts, *words))
    for hosts in options.hosts:
        report.add({**median_of(results[hosts]), 'ok': True})
    if name != 'jacobi':
        return
    if None in by_mpi[options.hosts[0]]:
        report.say('jacobi_mpi: left out: no MPI here (Debian: openmpi-bin, libopenmpi-dev)')
        return
    answers = {run['checksum'] for runs in (*by_mpi.values(), *results.values()) for run in runs}
    if len(answers) != 1:
        raise Failure(f'jacobi: other answers over MPI: {answers}')
    for hosts in options.hosts:
        report.add(median_of(by_mpi[hosts]))


def measure_satellite(cluster, options, report):
    """The analyses of a large scene, each way that its pixels come, on the largest number of hosts:
    the first pass, and the median of those after it."""
    if not os.path.exists(options.build + '/tests/workloads/satellite/ingest'):
        report.say('satellite: left out: no GDAL here (Debian: libgdal-dev, libpng-dev)')
        return
    hosts, directory = max(options.hosts), options.build + '/tests/workloads/photos'
    photos = fetch_photos(directory)
    scene, known = make_scene(directory, options.side, photos)
    report.say(f'{options.side} x {options.side} pixels, two dates of two bands of u16: '
               + ('Landsat 5 of 2000 and 2010, 101 x 101, mirrored at each seam' if photos else
                  'a formula: Debian\'s r-cran-satellite cannot be had'))
    report.head_of_satellite()
    kinds = []
    for kind in WAYS:
        reason = kind.why_not(cluster.build)
        if reason:
            report.say(f'{kind.name}: left out: {reason}')
        else:
            kinds.append(kind)
    with opened(kinds, cluster, hosts, scene, known) as ways:
        seconds = measure_ways(ways, options.rounds + 1, known)
    for task in TASKS:
        for way, by_task in seconds.items():
            first = [None] if way == 'mpi-kept' else []
            report.add_satellite(way, task, hosts, *split(first + by_task[task]))


    kinds = [kind for kind in STREAMS if kind.why_not(cluster.build) is None]
    if hosts < 3:
        report.say('strips as they come: left out: it takes three hosts')
        return
    with opened_streams(kinds, cluster, scene) as streams:
        for (way, order), taken in measure_streams(streams, options.rounds, known).items():
            report.add_stream(way, order, statistics.median(taken))


def split(seconds):
    """The first pass, and those after it."""
    return seconds[0], seconds[1:]


def names_of(words, parser):
    names = []
    for word in words:
        if word not in ('kernels', 'satellite') and word not in KERNELS:
            parser.error(f'there is no workload {word}')
        names += list(KERNELS) if word == 'kernels' else [word]
    return names


def main():
    parser = argparse.ArgumentParser(description='the workloads')
    parser.add_argument('--build', default=os.path.join(os.path.dirname(os.path.dirname(HERE)),
                                                        'build'))
    parser.add_argument('--hosts', default='1,2,3', help='numbers of hosts, default 1,2,3')
    parser.add_argument('--rounds', type=int, default=3, help='runs of each, default 3; medians')
    parser.add_argument('--small', action='store_true', help='sizes that take a moment only')
    parser.add_argument('--spin', type=int, help='the agents\' spin_us, if not the default')
    parser.add_argument('--side', type=int, default=10980, help='of the satellite scene, pixels')
    parser.add_argument('--json', action='store_true', help='one JSON object a line')
    parser.add_argument('workloads', nargs='+', metavar='WORKLOAD')
    options = parser.parse_args()
    names = names_of(options.workloads, parser)
    options.build = os.path.abspath(options.build)
    options.hosts = sorted({int(word) for word in options.hosts.split(',')})
    report = Report(options.json)
    flags = [] if options.spin is None else ['--spin-us', str(options.spin)]
    cluster = clusters.Cluster(options.build, hosts=max(options.hosts),
                               flags=flags)
    try:
        pin_agents(cluster)
        if max(options.hosts) > len(cpus()):
            report.say(f'{len(cpus())} CPUs: with more hosts than that, hosts share a CPU')
        if names != ['satellite']:
            report.head()
        for name in names:
            if name == 'satellite':
                measure_satellite(cluster, options, report)
            else:
                measure_kernel(cluster, name, options, report)
    finally:
        cluster.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
