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


def messages(cluster):
    return sum(host.stats('messages_sent') for host in cluster.hosts)


def hand_off(cluster, holder, other, stamp):
    """From one program's unlock until the other has rewritten 16 pages: what all agents said."""
    other.send('lock 0 8 -1')
    waiting(cluster, other)
    before = messages(cluster)
    holder.do('unlock 0 8')
    other.answer()
    for page in range(1, 17):
        same(other.do(f'read 0 {page * PAGE + 8} 8'), (stamp - 1).to_bytes(8, 'little').hex(),
             f'page {page} as the holder before left it')
        other.do(f'write 0 {page * PAGE + 8} {stamp.to_bytes(8, "little").hex()}')
    return messages(cluster) - before


def test_bound_pages_come_with_their_mutex(cluster):
    """A hand-off with 64 KiB costs a few messages more than one without, not several a page."""
    tools = opened(cluster, 17 * PAGE)
    for tool in tools:
        tool.do(f'bind 0 8 {PAGE} {16 * PAGE}')
    tools[0].do('lock 0 8 -1')
    count = [hand_off(cluster, tools[i % 3], tools[(i + 1) % 3], i + 1) for i in range(9)]
    true(max(count[3:]) <= 16, f'messages of hand-offs: {count}')
    tools[0].do('unlock 0 8')


def test_range_that_cannot_be_bound_is_refused(cluster):
    name = cluster.name('range')
    writer, reader, _ = cluster.tools()
    writer.open(name, 17 * PAGE)
    reader.open(name, flags='r', protection='r')
    writer.fails(f'bind 0 8 0 {16 * PAGE + 1}', 'DSM_EINVAL', '65536')
    writer.fails(f'bind 0 8 {16 * PAGE} {PAGE + 1}', 'DSM_ERANGE', 'cannot be bound')
    writer.fails(f'bind 0 {17 * PAGE} 0 1', 'DSM_ERANGE', 'cannot be bound')
    reader.fails('bind 0 8 0 1', 'DSM_EACCES', 'O_RDONLY')


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
