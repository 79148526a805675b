# SPDX-License-Identifier: Apache-2.0
"""Mutexes, semaphores, barriers and remote atomics between hosts."""

from cluster import same, true

PAGE = 4096


def opened(cluster, size=PAGE):
    name = cluster.name('sync')
    tools = cluster.tools()
    tools[0].open(name, size)
    for tool in tools[1:]:
        tool.open(name, flags='w')
    return tools


def test_mutex_excludes_and_hands_over_in_order(cluster):
    first, second, third = opened(cluster)
    first.do('lock 0 8 0')
    second.fails('lock 0 8 0', 'DSM_EAGAIN')
    second.fails('lock 0 8 50', 'DSM_ETIMEDOUT')
    second.fails('unlock 0 8', 'DSM_EPERM')
    second.do('lock 0 16 0')
    second.send('lock 0 8 -1')
    waiting(cluster, second)
    third.send('lock 0 8 -1')
    waiting(cluster, third)
    first.do('unlock 0 8')
    second.answer()
    true(not third.has_answer(), 'the third waits still')
    second.do('unlock 0 8')
    third.answer()
    third.do('unlock 0 8')
    first.fails('lock 0 4096 0', 'DSM_ERANGE')


def waiting(cluster, tool):
    """Until a program's request has reached its home: what went later the same way came back."""
    other = tool.host.tool().open(cluster.name('probe'), PAGE)
    other.do('fetchadd 0 0 1')
    other.do('lock 0 0 0')
    true(not tool.has_answer(), f'{tool.host.name}: {tool.last} should wait')


def test_semaphore_counts_and_wakes(cluster):
    name = cluster.name('sem')
    first, second, third = cluster.tools()
    first.do(f'semopen 0 {name} cx 0600 2')
    second.fails(f'semopen 0 {name} cx 0600 2', 'DSM_EEXIST', name)
    for tool in (second, third):
        tool.do(f'semopen 0 {name} r 0 0')
    second.do('semwait 0 0')
    third.do('semwait 0 0')
    first.fails('semwait 0 0', 'DSM_EAGAIN')
    first.fails('semwait 0 30', 'DSM_ETIMEDOUT')
    first.send('semwait 0 -1')
    second.do('sempost 0')
    first.answer()
    same(third.do('semvalue 0'), '0', 'value')
    third.do('sempost 0')
    same(first.do('semvalue 0'), '1', 'value')
    first.do(f'semunlink {name}')
    second.fails(f'semopen 1 {name} r 0 0', 'DSM_ENOENT', name)
    second.do('semwait 0 0')
    full = cluster.name('full')
    first.do(f'semopen 1 {full} c 0600 {2 ** 31 - 1}')
    first.fails('sempost 1', 'DSM_EOVERFLOW')
    first.fails(f'semopen 2 {full}2 c 0600 {2 ** 31}', 'DSM_EINVAL')


def test_barrier_of_three_hosts(cluster):
    tools = opened(cluster)
    for tool in tools:
        tool.send('barrier 0 8 3 20000 200')
    for tool in tools:
        tool.answer()
    tools[0].send('barrier 0 8 3 20000')
    tools[1].fails('barrier 0 8 3 50', 'DSM_ETIMEDOUT')
    true(not tools[0].has_answer(), 'one of three does not open a barrier')
    for tool in tools[1:]:
        tool.send('barrier 0 8 3 20000')
    for tool in tools:
        tool.answer()
    tools[0].send('barrier 0 16 3 20000')
    waiting(cluster, tools[0])
    tools[1].fails('barrier 0 16 2 1000', 'DSM_EINVAL')
    for tool in tools[1:]:
        tool.send('barrier 0 16 3 20000')
    for tool in tools:
        tool.answer()


def test_remote_atomics_work_beside_loads_and_stores(cluster):
    first, second, third = opened(cluster)
    first.do('write 0 8 0a00000000000000')
    same(second.do('fetchadd 0 8 5'), '10', 'old value')
    same(third.do('cas 0 8 15 100'), '15', 'old value of the swap')
    same(third.do('cas 0 8 15 7'), '100', 'old value of the swap that fails')
    same(first.do('read 0 8 8'), (100).to_bytes(8, 'little').hex(), 'by a load')
    third.do('write 0 8 ffffffffffffffff')
    same(second.do('fetchadd 0 8 2'), str(2 ** 64 - 1), 'old value')
    same(first.do('read 0 8 8'), '0100000000000000', 'modulo 2^64')
    second.fails('fetchadd 0 4 1', 'DSM_EINVAL')
    second.fails('fetchadd 0 4096 1', 'DSM_ERANGE')
