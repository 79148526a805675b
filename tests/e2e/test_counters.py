# SPDX-License-Identifier: Apache-2.0
"""Counters that several programs on three hosts increment: of millions, not one is lost."""

from cluster import same, true

PAGE = 4096
ATOMIC_EACH, LOCK_ROUNDS, LOCK_INNER, FETCH_EACH, CELLS_EACH = 5000000, 150, 2500, 1500, 100000


def opened(cluster, pages=1):
    """Six programs, two on each host, with one region mapped."""
    name = cluster.name('count')
    tools = cluster.tools(each=2)
    tools[0].open(name, pages * PAGE)
    for tool in tools[1:]:
        tool.open(name, flags='w')
    return tools


def together(tools, command):
    for number, tool in enumerate(tools):
        tool.send(command(number))
    return [tool.answer(seconds=180) for tool in tools]


def value(tool, offset):
    return int.from_bytes(bytes.fromhex(tool.do(f'read 0 {offset} 8')), 'little')


def test_atomic_increments_are_not_lost(cluster):
    """C11 atomics of six programs on one word: 30 million increments, while the page goes round."""
    tools = opened(cluster)
    before = sum(host.stats('invalidations') for host in cluster.hosts)
    together(tools, lambda number: f'add 0 64 {ATOMIC_EACH}')
    moves = sum(host.stats('invalidations') for host in cluster.hosts) - before
    true(moves >= 20, f'the page went round: {moves} times')
    for tool in tools:
        same(value(tool, 64), 6 * ATOMIC_EACH, f'counter on {tool.host.name}')


def test_increments_under_a_lock_are_not_lost(cluster):
    """Plain increments of six programs under one mutex: 2.25 million."""
    tools = opened(cluster)
    together(tools, lambda number: f'locked 0 0 0 128 {LOCK_ROUNDS} {LOCK_INNER}')
    for tool in tools:
        same(value(tool, 128), 6 * LOCK_ROUNDS * LOCK_INNER, f'counter on {tool.host.name}')


def test_increments_of_bound_bytes_are_not_lost(cluster):
    """The same, of a page that comes with the mutex, and that some hold longer than its window."""
    tools = opened(cluster, 4)
    for tool in tools[:5]:  # one has not heard of it
        tool.do(f'bind 0 0 {PAGE} {2 * PAGE}')
    together(tools, lambda number: f'locked 0 0 0 {PAGE} {LOCK_ROUNDS} {LOCK_INNER}')
    for tool in tools:
        same(value(tool, PAGE), 6 * LOCK_ROUNDS * LOCK_INNER, f'counter on {tool.host.name}')


def test_remote_adds_are_not_lost(cluster):
    """dsm_fetch_add of five programs while one increments the same word by C11 atomics."""
    tools = opened(cluster)
    together(tools, lambda number: 'add 0 64 20000' if number == 5
             else f'fetchadd 0 64 1 {FETCH_EACH}')
    for tool in tools:
        same(value(tool, 64), 5 * FETCH_EACH + 20000, f'counter on {tool.host.name}')


def test_own_cells_of_shared_pages_are_not_lost(cluster):
    """Six programs write plain words of their own, all on the same 16 pages, and check each step:
    an old copy of a page would be seen at once."""
    tools = opened(cluster, pages=16)
    for number, text in enumerate(together(
            tools, lambda number: f'cells 0 {64 * number} {PAGE} 16 {CELLS_EACH}')):
        same(text, 'right', f'program {number}')
    for number in range(6):
        total = sum(value(tools[5 - number], 64 * number + PAGE * cell) for cell in range(16))
        same(total, CELLS_EACH, f'cells of program {number}')
