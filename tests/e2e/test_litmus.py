# SPDX-License-Identifier: Apache-2.0
"""Litmus tests of sequential consistency between two hosts, 100,000 rounds each: tool_litmus.c."""

from cluster import same, true

ROUNDS = 100000
PAGE = 4096


def race(cluster, kind, rounds=ROUNDS):
    """Run both sides; returns what they count."""
    name = cluster.name(kind)
    size = (16 * PAGE + 2 * rounds + PAGE - 1) // PAGE * PAGE
    first = cluster.b.tool().open(name, size)
    second = cluster.c.tool().open(name, flags='w')
    first.send(f'litmus 0 {kind} 0 {rounds}')
    second.send(f'litmus 0 {kind} 1 {rounds}')
    counts = second.answer(seconds=240)
    same(first.answer(seconds=60), counts, 'both sides count the same outcomes')
    return [int(count) for count in counts.split()]


def test_store_buffering_never_reads_both_old(cluster):
    counts = race(cluster, 'sb')
    same(sum(counts), ROUNDS, 'rounds')
    same(counts[0], 0, 'rounds in which both sides read the old value')
    true(sum(count > 0 for count in counts[1:]) >= 2, f'the two sides did race: {counts}')


def test_message_passing_never_sees_flag_without_data(cluster):
    counts = race(cluster, 'mp')
    same(sum(counts), ROUNDS, 'rounds')
    same(counts[2], 0, 'rounds that saw the flag but not the data')
    true(counts[3] >= ROUNDS // 100, f'the flag was seen to rise: {counts}')


def check_exclusion(cluster, kind):
    """Half of the rounds on each side; nothing is lost, and the lock really went to and fro."""
    counter, switches = race(cluster, kind, ROUNDS // 2)
    same(counter, ROUNDS, f'increments inside {kind}\'s critical section')
    true(switches >= 2000, f'the two sides did race: {switches} changes of hands')


def test_dekker_excludes(cluster):
    check_exclusion(cluster, 'dekker')


def test_peterson_excludes(cluster):
    check_exclusion(cluster, 'peterson')
