# SPDX-License-Identifier: Apache-2.0
"""Hosts of five kinds keep one memory model: litmus shapes, locks made of loads and stores, and
recorded histories, each with hosts of several page sizes, byte orders and word sizes."""

import itertools

from cluster import true
from litmus import SHAPES, Race
from programs import Recording
from test_exclusion import check

ROUNDS = 96
PAIRS = list(itertools.permutations(range(5), 2))
# For shapes of more than two roles: every kind in every role.
CASTS = [[(turn + role) % 5 for role in range(4)] for turn in range(5)]


def race(mixed, shape, hosts, placement, seed):
    """Each role on a host of its own; returns the outcomes that came."""
    roles = SHAPES[shape].count('/') + 1
    programs = [(host, str(role)) for role, host in enumerate(hosts[:roles])]
    return set(Race(mixed, shape, placement, programs=programs, rounds=mixed.scaled(ROUNDS),
                    batch=8, seed=seed).run().check(kinds=1).counts)


def race_pairs(mixed, shape):
    """Both roles on each pair of kinds; in turn each variable has a page of its own, all are on one
    page, or in regions of their own."""
    placements = itertools.cycle(('own pages', 'one page', 'own regions'))
    outcomes = set()
    for seed, (pair, placement) in enumerate(zip(PAIRS, placements)):
        outcomes |= race(mixed, shape, pair, placement, seed + 1)
    true(len(outcomes) >= 2, f'{shape}: the roles did race: {outcomes}')


def test_store_buffering_on_each_pair_of_kinds(mixed):
    race_pairs(mixed, 'sb')


def test_message_passing_on_each_pair_of_kinds(mixed):
    race_pairs(mixed, 'mp')


def test_other_shapes_with_each_kind_in_each_role(mixed):
    """Load buffering, independent reads of independent writes, causality, coherence and others."""
    for shape in ('lb', 'iriw', 'wrc', 'corr', '2+2w', 'mp+wait'):
        outcomes = set()
        for seed, hosts in enumerate(CASTS):
            outcomes |= race(mixed, shape, hosts, ('own pages', 'dense')[seed % 2], seed + 1)
        true(outcomes, shape)


def test_locks_of_loads_and_stores_exclude_on_all_kinds(mixed):
    """Nothing is lost and nobody meets anybody inside: two of unlike kinds, and all five."""
    for left, right in ((3, 2), (4, 3), (2, 0), (1, 4)):
        check(mixed, 'peterson', 2, 60, programs=[(left, '0'), (right, '1')])
    check(mixed, 'dekker', 2, 60, programs=[(3, '0'), (2, '1')])
    check(mixed, 'bakery', 5, 12, programs=[(host, str(host)) for host in range(5)])
    check(mixed, 'bakery', 5, 30, spread=64, programs=[(host, str(host)) for host in range(5)])


def test_histories_of_all_kinds_are_sequentially_consistent(mixed):
    """Two threads on each kind; pages of 4 KiB, of 16 KiB, and all words on one page."""
    Recording(mixed, mixed.scaled(300), 1).run().check()
    Recording(mixed, mixed.scaled(300), 2, pages=16, page_size=16384, home=1).run().check()
    Recording(mixed, mixed.scaled(1000), 3, words=12, pages=1, regions=1).run().check()
