# SPDX-License-Identifier: Apache-2.0
"""Starts the kernels (tests/workloads/kernels) on hosts of tests/e2e/cluster.py."""

import json
import os
import subprocess

from cluster import ENVIRONMENT
from network import Failure, start

# Name, and the words that make it take a moment only. The sizes are odd: what shares do not divide.
KERNELS = {
    'jacobi': ['--size=130', '--iterations=6'],
    'sor': ['--size=131', '--iterations=4'],
    'mm': ['--size=129'],
    'lu': ['--size=131'],
    'tsp': ['--size=9'],
    'is': ['--size=50021', '--iterations=2'],
    'ep': ['--size=15'],
    'water': ['--size=101', '--iterations=3'],
}
SECONDS = 120
# Over TCP, on this machine. As many ranks as CPUs poll; more should let each other run. What MPI's
# own library never frees is no leak of ours, where a sanitizer looks for them.
MPIRUN = ['env', 'ASAN_OPTIONS=detect_leaks=0', 'mpirun', '--allow-run-as-root', '--oversubscribe',
          '--bind-to', 'none', '--mca', 'btl', 'tcp,self', '--mca', 'btl_tcp_if_include', 'lo']


def cpus():
    return sorted(os.sched_getaffinity(0))


def cpu_of(number):
    """The CPU of the host of this number: more hosts than CPUs share them."""
    return cpus()[number % len(cpus())]


def pin_agents(cluster):
    """Each host's agent gets the CPU that its programs get."""
    for number, host in enumerate(cluster.hosts):
        for thread in os.listdir(f'/proc/{host.agent.pid}/task'):
            os.sched_setaffinity(int(thread), {cpu_of(number)})


def run_kernel(cluster, name, count_hosts, *words, pinned=True):
    """Run a kernel, one rank on each of the first hosts; returns what rank 0 tells. Its answer is
    right, unless the words have --unchecked."""
    region = cluster.name(name)
    programs = []
    for rank, host in enumerate(cluster.hosts[:count_hosts]):
        argv = [*host.kind.command(f'tests/workloads/kernels/kernel-{name}'), f'--rank={rank}',
                f'--ranks={count_hosts}', f'--region={region}', f'--socket={host.socket}', *words]
        programs.append(start((['taskset', '-c', cpu_of(rank)] if pinned else []) + argv,
                              host.namespace, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env=ENVIRONMENT))
    said = [program.communicate(timeout=SECONDS) for program in programs]
    if any(program.returncode for program in programs):
        raise Failure(f'{name} on {count_hosts} hosts: exit status '
                      f'{[program.returncode for program in programs]}: {said}')
    return json.loads(said[0][0])


def run_jacobi_mpi(build, ranks, *words):
    """Jacobi by MPI over TCP, each rank on the CPU that the host of that number has; None where it
    was not built, for want of MPI."""
    program = f'{build}/tests/workloads/kernels/jacobi_mpi'
    if not os.path.exists(program):
        return None
    argv = [*MPIRUN, '--mca', 'mpi_yield_when_idle', str(int(ranks > len(cpus())))]
    for rank in range(ranks):
        argv += [':'] if rank else []
        argv += ['-n', '1', 'taskset', '-c', str(cpu_of(rank)), program,
                 *[word.split('=')[1] for word in words]]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise Failure(f'jacobi_mpi, {ranks} ranks: {done.stdout}{done.stderr}')
    return json.loads(done.stdout.splitlines()[-1])
