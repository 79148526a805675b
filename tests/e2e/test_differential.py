# SPDX-License-Identifier: Apache-2.0
"""The same random program on plain memory and on three hosts' region gives the same bytes."""

from cluster import same, system_calls_touch_regions
from network import Failure
from programs import Differential

PHASES = 30


@system_calls_touch_regions
def test_random_programs_do_what_they_do_on_plain_memory(cluster):
    for seed in range(1, 7):
        Differential(cluster, cluster.scaled(PHASES), seed).run()


def test_differences_are_seen(cluster):
    """A wrong hash behind a phase, and a wrong byte at the end."""
    program = Differential(cluster, 2, 1)
    paths = [f'{cluster.directory}/{name}' for name in ('one', 'other')]
    for path, byte in zip(paths, b'xy'):
        with open(path, 'wb') as file:
            file.write(b'0123' + bytes([byte]) + b'56')

    def complaint(plain, shared, path):
        try:
            program.compare(plain, shared, paths[0], [path])
            return ''
        except Failure as failure:
            return str(failure).partition(': ')[2]

    same(complaint(['1 2'], ['1 2'], paths[0]), '', 'equal')
    same('behind phase 1' in complaint(['1 2'], ['1 3'], paths[0]), True, 'a hash')
    same('bytes that worker 0 has different at the end: [4]' in
         complaint(['1 2'], ['1 2'], paths[1]), True, 'a byte')
