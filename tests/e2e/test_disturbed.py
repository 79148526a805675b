# SPDX-License-Identifier: Apache-2.0
"""Agents and programs that stop for a while, links that are cut and connections that break, while
programs run: nothing is lost and nobody is stuck. Each is shorter than what declares a node dead.
"""

from cluster import same, system_calls_touch_regions, true
from disturb import FLAGS, KINDS, Disturber
from litmus import Race, exclude
from programs import PAGE, Differential, Recording, open_made


def disturbed(fresh, seed, *kinds):
    cluster = fresh(flags=FLAGS)
    return cluster, Disturber(cluster, seed, kinds or KINDS)


def test_histories_are_right_while_all_is_disturbed(fresh):
    cluster, disturber = disturbed(fresh, 1)
    for seed in (1, 2):
        Recording(cluster, cluster.scaled(5000), seed, home=seed % 2).run(disturber.watch).check()
    disturber.check(6)


@system_calls_touch_regions
def test_programs_compute_the_same_while_all_is_disturbed(fresh):
    cluster, disturber = disturbed(fresh, 2)
    for seed in (8, 9):
        Differential(cluster, cluster.scaled(24), seed).run(disturber.watch)
    disturber.check(6)


def test_litmus_holds_while_connections_break(fresh):
    """A message may be lost with its connection at any point, and is sent again on the next."""
    cluster, disturber = disturbed(fresh, 3, 'reset')
    for shape in ('sb', 'iriw', '2+2w'):
        Race(cluster, shape, rounds=cluster.scaled(3000), seed=3).run(disturber.watch).check(1)
    disturber.check(3)


def test_write_waits_for_the_reader_that_cannot_be_told(fresh):
    """What the home of x sends to the reader of x is lost for a while, and nothing else: a writer
    that did not wait until the reader's copy is gone would write y, which the reader does see."""
    cluster = fresh(flags=FLAGS)
    disturber = Disturber(cluster, 5, ('oneway',), 0.4, [(cluster.c, cluster.a)])
    Race(cluster, 'mp+wait', 'own regions', programs=[(1, '0'), (0, '1')],
         rounds=cluster.scaled(800)).run(disturber.watch).check(1)
    disturber.check(1)


def test_exclusion_holds_while_agents_stop_and_links_are_cut(fresh):
    cluster, disturber = disturbed(fresh, 4, 'agent', 'link', 'oneway')
    entries = cluster.scaled(32)
    for kind, parties in (('bakery', 6), ('peterson', 3), ('dekker', 2)):
        counter, _, broken = exclude(cluster, kind, parties, entries, watch=disturber.watch)
        same((counter, broken), (parties * entries, 0), f'{kind}: increments, violations')
    disturber.check(3)


def test_news_that_a_cut_holds_up_are_waited_for(fresh):
    """Whoever was told of a change in another way finds it done, and never the state of before."""
    cluster, disturber = disturbed(fresh, 6)
    on_a, on_b, other_on_b = cluster.a.tool(), cluster.b.tool(), cluster.b.tool()
    on_a.open('/old', PAGE)
    on_b.open('/old')
    with disturber.cut(cluster.b):
        on_a.open('/new', PAGE, slot=1)
        on_a.do('unlink /old')
        on_a.open('/old', 2 * PAGE, slot=2)
    open_made(on_b, '/new', PAGE, slot=1)
    with disturber.cut(cluster.b):
        on_a.do('unlink /new')
        on_a.do(f'truncate 2 {3 * PAGE}')
    on_b.fails('open 2 /new w 0600', 'DSM_ENOENT')
    open_made(other_on_b, '/old', 3 * PAGE)
    with disturber.cut(cluster.b):
        text = on_b.fails('open 2 /none w 0600', 'DSM_EKEEPER')
    true('keeper' in text.lower(), f'the sentence names the keeper: {text}')
