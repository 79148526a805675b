# SPDX-License-Identifier: Apache-2.0
"""The examples that README shows, as README says to use them: on two hosts."""

import os
import subprocess

from cluster import same, true
from network import start


def test_counter_adds_up_over_two_hosts(cluster):
    """Both print where the counter is; whoever is last sees every increment of both."""
    programs = [start([cluster.build + '/tests/counter'], host.namespace,
                      env=dict(os.environ, DSM_SOCKET=host.socket), stdout=subprocess.PIPE)
                for host in (cluster.a, cluster.b)]
    said = [program.communicate(timeout=60)[0].decode() for program in programs]
    same([program.returncode for program in programs], [0, 0], 'both end well')
    values = sorted(int(line.split()[-1]) for line in said)
    same(values[1], 200000, 'the last one sees all increments')
    true(100000 <= values[0] <= 200000, f'the first one sees its own: {values[0]}')
    same(sorted(line.split(':')[0] for line in said), ['a', 'b'], 'each names its node')
    cluster.a.ctl('rm', '/counter')


def run_stations(host, *words):
    """What the stations print on a host, by line."""
    program = start([host.cluster.build + '/tests/stations', *words], host.namespace,
                    env=dict(os.environ, DSM_SOCKET=host.socket), stdout=subprocess.PIPE)
    said = program.communicate(timeout=60)[0].decode()
    same(program.returncode, 0, 'it ends well')
    return said.splitlines()


def test_station_on_one_host_reads_the_measurement_of_another(cluster):
    """The second sees what the first added, to the last digit; the region says what it holds."""
    first = 'station 3, minute 70000: -0.10000000000000001'
    same(run_stations(cluster.a, '3', '70000', '-0.1'), [first], 'the first sees its own')
    same(run_stations(cluster.b, '65535', '1', '5e-324'),
         [first, 'station 65535, minute 1: 4.9406564584124654e-324'], 'the second sees both')
    same(cluster.c.ctl_json('region', '/stations')['region']['type'],
         'struct { u64 count; struct { f64 celsius; u32 minute; u16 station; pad 2; }[255] '
         'measured; }', 'the type that dsmctl shows')
    cluster.a.ctl('rm', '/stations')
