# SPDX-License-Identifier: Apache-2.0
"""Mutual exclusion by loads and stores alone, of two, three and six contenders on three hosts."""

from cluster import same, true
from litmus import exclude
from network import wait_for

PAGE = 4096


def check(cluster, kind, parties, entries, **options):
    """Nothing is lost, nobody meets anybody inside, and the lock does go to and fro."""
    entries = max(8, cluster.scaled(entries))
    counter, switches, broken = exclude(cluster, kind, parties, entries, **options)
    same(broken, 0, f'{kind} of {parties}: times that two were inside')
    same(counter, parties * entries, f'{kind} of {parties}: increments')
    true(switches >= parties, f'{kind} of {parties}: changes of hands: {switches}')


def test_dekker_excludes(cluster):
    check(cluster, 'dekker', 2, 6000)
    check(cluster, 'dekker', 2, 6000, spread=64)


def test_peterson_excludes(cluster):
    """Of two; as the filter lock of three on a host each, and of three hosts with two threads."""
    check(cluster, 'peterson', 2, 6000)
    check(cluster, 'peterson', 3, 400)
    check(cluster, 'peterson', 3, 2000, spread=64)
    check(cluster, 'peterson', 6, 24)


def test_bakery_excludes(cluster):
    """Three hosts with two threads each; all words on one page, or each on its own."""
    check(cluster, 'bakery', 6, 120)
    check(cluster, 'bakery', 6, 600, spread=64)
    check(cluster, 'bakery', 3, 400)


def test_no_lock_is_seen_to_fail(cluster):
    """The critical section does show when two are inside, or these tests would prove nothing."""
    def fails():
        counter, _, broken = exclude(cluster, 'none', 6, 400)
        return broken > 0 and counter != 6 * 400

    wait_for(fails, 'without a lock increments are lost', 60)
