# SPDX-License-Identifier: Apache-2.0
"""The example that README shows, as README says to use it: on two hosts at the same time."""

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
