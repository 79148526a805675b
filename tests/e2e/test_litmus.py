# SPDX-License-Identifier: Apache-2.0
"""The litmus family on three hosts: no outcome that the memory model forbids, in any placement.

`run.py --scale N` does N times as many rounds, and soak.py millions.
"""

from cluster import same, true
from litmus import FORBIDDEN, PLACEMENTS, SHAPES, TSO_ALSO, Race, allowed_outcomes, decode

ROUNDS = 256
DENSE = 16  # times as many rounds where many instances share a page
# Who plays which role: each on a host of its own, in turn; or two threads of one program.
CASTS = {
    2: [[(1, '0'), (2, '1')], [(0, '0'), (1, '1')], [(2, '0'), (0, '1')]],
    3: [[(0, '0'), (1, '1'), (2, '2')], [(1, '02'), (2, '1')], [(2, '0'), (0, '12')]],
    4: [[(0, '0'), (1, '1'), (2, '23')], [(0, '02'), (1, '1'), (2, '3')],
        [(1, '0'), (1, '1'), (2, '2'), (0, '3')]],
}


def races(shape, scaled):
    """Every placement with seq_cst; of relaxed and plain accesses two."""
    roles = SHAPES[shape].count('/') + 1
    cases = [(placement, 'sc') for placement in PLACEMENTS]
    cases += [('own pages', 'relaxed'), ('dense', 'relaxed'), ('own regions', 'plain'),
              ('dense', 'plain')]
    for number, (placement, mode) in enumerate(cases):
        rounds = scaled(ROUNDS * (DENSE if 'dense' in placement else 1))
        yield {'placement': placement, 'mode': mode, 'rounds': rounds, 'seed': number + 1,
               'programs': CASTS[roles][number % len(CASTS[roles])]}


def run_all(cluster, shape):
    outcomes, rounds, moved = set(), 0, 0
    for options in races(shape, cluster.scaled):
        race = Race(cluster, shape, **options).run().check(kinds=1)
        outcomes |= set(race.counts)
        rounds += race.rounds
        moved += race.moved
    true(len(outcomes) >= 2, f'{shape}: the roles did race: {outcomes}')
    true(moved >= rounds // 64, f'{shape}: the pages did move: {moved} times in {rounds} rounds')


def test_store_buffering_never_reads_both_old(cluster):
    run_all(cluster, 'sb')


def test_message_passing_never_sees_flag_without_data(cluster):
    run_all(cluster, 'mp')


def test_messages_that_are_waited_for_are_whole(cluster):
    for number, shape in enumerate(('mp+wait', 'wrc+wait', 'iriw+wait')):
        for placement in ('own pages', 'own regions'):
            cast = CASTS[SHAPES[shape].count('/') + 1][number]
            race = Race(cluster, shape, placement, rounds=cluster.scaled(ROUNDS), programs=cast)
            race.run().check(kinds=1)
            true(any(outcome[-2][0] == 1 for outcome in race.counts),
                 f'{race.label}: what is waited for comes: {race.counts}')


def test_load_buffering_never_reads_both_new(cluster):
    run_all(cluster, 'lb')


def test_independent_writes_are_seen_in_one_order(cluster):
    run_all(cluster, 'iriw')


def test_causality_reaches_a_third_host(cluster):
    run_all(cluster, 'wrc')


def test_reads_of_one_word_never_go_back(cluster):
    run_all(cluster, 'corr')


def test_writes_of_one_word_keep_their_order(cluster):
    run_all(cluster, 'coww')


def test_two_writes_each_never_leave_both_first(cluster):
    run_all(cluster, '2+2w')


def test_write_before_read_is_not_overtaken(cluster):
    run_all(cluster, 'r')


def test_read_before_write_is_not_overtaken(cluster):
    run_all(cluster, 's')


def test_models_forbid_what_gave_the_shapes_their_names(fresh):
    """And x86-TSO, which plain accesses have, allows of these what overtakes a store only."""
    del fresh
    for name, outcome in FORBIDDEN.items():
        strong, weak = (allowed_outcomes(SHAPES[name], buffers) for buffers in (False, True))
        true(outcome not in strong, f'{name}: {outcome} is not sequentially consistent')
        same(outcome in weak, name in TSO_ALSO, f'{name}: {outcome} under x86-TSO')
        true(strong <= weak, f'{name}: x86-TSO is weaker')


def test_forbidden_outcomes_are_seen(cluster):
    """What the programs would say of a broken memory: both old in 3 rounds, and an old page."""
    race = Race(cluster, 'sb', rounds=16)
    race.counts = decode(SHAPES['sb'], '10000:9 1:3 0:3 3:1')
    same(race.forbidden(), {((0,), (0,), ()): 3, ((3,), (0,), ()): 1}, 'forbidden outcomes')
    race.mode = 'plain'
    same(race.forbidden(), {((3,), (0,), ()): 1}, 'forbidden outcomes of plain accesses')
