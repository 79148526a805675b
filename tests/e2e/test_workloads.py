# SPDX-License-Identifier: Apache-2.0
"""The workloads of tests/workloads come to the right answers on any number of hosts. How fast they
are is not judged here: measure.py there measures."""

import os
import subprocess
import sys

from cluster import ENVIRONMENT, same, true
from network import start

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                             'workloads'))
from kernels import KERNELS, run_jacobi_mpi, run_kernel  # noqa: E402
from scenes import TASKS, WAYS, make_scene, measure_ways, opened  # noqa: E402
from streams import STREAMS, measure_streams, opened_streams  # noqa: E402


def test_kernels_are_right_on_one_two_and_three_hosts(cluster):
    """Each checks its own answer; the checksum does not depend on the number of hosts."""
    for name, words in KERNELS.items():
        runs = [run_kernel(cluster, name, hosts, *words, pinned=False) for hosts in (1, 2, 3)]
        same([run['ok'] for run in runs], [True] * 3, f'{name}: is the answer right')
        same(len({run['checksum'] for run in runs}), 1, f'{name}: checksums {runs}')
        true(all(run['messages'] > 0 for run in runs[1:]), f'{name}: hosts talked: {runs}')


def test_kernel_is_right_with_pages_elsewhere(cluster):
    """Homes spread over all nodes, and pages of another size."""
    run = run_kernel(cluster, 'sor', 3, *KERNELS['sor'], '--striped', pinned=False)
    other = run_kernel(cluster, 'sor', 3, *KERNELS['sor'], '--page-size=65536', pinned=False)
    same((run['ok'], other['ok']), (True, True), 'both right')
    same(run['checksum'], other['checksum'], 'the same answer')


def test_jacobi_by_mpi_comes_to_the_same_answer(cluster):
    ours = run_kernel(cluster, 'jacobi', 2, *KERNELS['jacobi'], pinned=False)
    theirs = run_jacobi_mpi(cluster.build, 2, *KERNELS['jacobi'])
    if theirs is not None:  # without MPI it was not built
        same(theirs['checksum'], ours['checksum'], 'checksums')


def test_kernel_without_its_ranks_says_what_is_missing(cluster):
    for words, status, text in ((['--rank=1'], 2, '--ranks'), (['--ranks=1', '--size=x'], 2, 'x'),
                                (['--ranks=1', '--socket=/none'], 1, 'agent')):
        program = start([*cluster.a.kind.command('tests/workloads/kernels/kernel-sor'), *words],
                        cluster.a.namespace, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        errors = program.communicate(timeout=60)[1]
        same(program.returncode, status, f'exit status with {words}: {errors}')
        true(text in errors, f'{words}: {errors}')


def test_scene_is_analysed_alike_whatever_way_its_pixels_come(cluster):
    """Shared memory, and whatever else is installed of MPI, GDAL and Redis: all numbers are those
    that numpy found, in the first pass and in the second, on two hosts and on three."""
    if not os.path.exists(cluster.build + '/tests/workloads/satellite/ingest'):
        return  # without GDAL there is no scene
    scene, known = make_scene(cluster.directory, 250)
    kinds = [kind for kind in WAYS if kind.why_not(cluster.build) is None]
    for hosts in (2, 3):
        with opened(kinds, cluster, hosts, scene, known) as ways:
            seconds = measure_ways(ways, 2, known)
        true(set(seconds) >= {'dsm', 'gdal'}, f'ways: {set(seconds)}')
        same({len(seconds['dsm'][task]) for task in TASKS}, {2}, 'passes')


def test_strips_are_analysed_as_they_come(cluster):
    """A publisher and three programs on three hosts; the second picture goes over the first."""
    if not os.path.exists(cluster.build + '/tests/workloads/satellite/ingest'):
        return  # without GDAL there is no scene
    scene, known = make_scene(cluster.directory, 250)
    kinds = [kind for kind in STREAMS if kind.why_not(cluster.build) is None]
    with opened_streams(kinds, cluster, scene) as streams:
        seconds = measure_streams(streams, 2, known)
    same({len(taken) for taken in seconds.values()}, {2}, 'pictures')
