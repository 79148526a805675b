# SPDX-License-Identifier: Apache-2.0
"""Release consistency: mappings whose stores others see at the next release and acquire."""

from cluster import same, system_calls_touch_regions, true
from network import Failure, wait_for
from programs import Differential, sent

PAGE = 4096


def opened(cluster, size, protections, options=''):
    name = cluster.name('release')
    tools = [host.tool() for host in cluster.hosts[:len(protections)]]
    for tool, protection in zip(tools, protections):
        tool.open(name, size if tool is tools[0] else None,
                  flags='wc' if tool is tools[0] else 'w', options=options, protection=protection)
    return tools


def share_in_turn(tools, size, turn):
    """Each writes its third of the bytes, all meet at a barrier, and each finds what all wrote."""
    for who, tool in enumerate(tools):
        tool.send(f'share 0 {who} 3 {size} {10 * turn + who}')
    for tool in tools:
        tool.answer()
        tool.send('barrier 0 0 3 60000')
    for tool in tools:
        tool.answer()
    seeds = ' '.join(str(10 * turn + who) for who in range(3))
    for tool in tools:
        same(tool.do(f'shared 0 3 {size} {seeds}'), '0', f'wrong bytes in turn {turn}')


def stat(tool):
    words = [int(word) for word in tool.do('viewstat 0').split()]
    return dict(zip(('views', 'filled', 'released', 'bytes_released', 'acquired',
                     'bytes_acquired', 'races', 'tracked'), words))


@system_calls_touch_regions
def test_stores_of_a_view_are_seen_after_release_and_acquire(cluster):
    first, second, plain = opened(cluster, 3 * PAGE, ('wv', 'wv', 'w'))
    same(stat(first)['views'], 1, 'views')
    first.do('write 0 5000 aabb')
    same(plain.do('read 0 5000 2'), '0000', 'before the release')
    same(second.do('read 0 5000 2'), '0000', 'a view before the release')
    first.do('release 0')
    same(plain.do('read 0 5000 2'), 'aabb', 'a plain mapping after the release')
    same(second.do('read 0 5000 2'), '0000', 'a view before its acquire')
    second.do('acquire 0')
    same(second.do('read 0 5000 2'), 'aabb', 'after its acquire')
    plain.do('write 0 5001 cc')
    first.do('acquire 0')
    same(first.do('read 0 5000 2'), 'aacc', 'a store of a plain mapping')
    plain.do('vmwrite 0 5000 dd')
    second.do('fetchadd 0 8 7')
    first.do('acquire 0')
    same(first.do('read 0 5000 2'), 'ddcc', 'dsm_vm_write()')
    same(first.do('read 0 8 8'), '0700000000000000', 'an addition at the home')
    same(stat(first)['bytes_released'], 2, 'bytes that were released')


@system_calls_touch_regions
def test_neighbouring_bytes_of_three_writers_are_all_kept(cluster):
    """Each third byte is another host's, so that no word is of one alone; released at once."""
    size = 40 * PAGE
    for options in ('', '16384 1'):
        tools = opened(cluster, size, ('wv', 'wv', 'w'), options)
        for turn in range(1, 4):
            share_in_turn(tools, size, turn)
            for tool in tools:
                tool.do('barrier 0 8 1 1000')
        for tool in tools:
            tool.close()


@system_calls_touch_regions
def test_two_programs_of_one_host_and_a_plain_one_share_pages(cluster):
    size, name = 8 * PAGE, cluster.name('local')
    tools = [cluster.b.tool() for _ in range(3)]
    tools[0].open(name, size)
    for tool in tools[1:]:
        tool.open(name, flags='w', protection='wv')
    for turn in range(1, 4):
        share_in_turn(tools, size, turn)


@system_calls_touch_regions
def test_nothing_is_sent_between_release_and_acquire(cluster):
    """False sharing of every page, and then pages that one alone writes."""
    size = 50 * PAGE
    tools = opened(cluster, size, ('wv', 'wv'))
    for turn in range(1, 3):
        for who, tool in enumerate(tools):
            tool.do(f'share 0 {who} 2 {size} {10 * turn + who}')
        if turn == 1:
            for tool in tools:
                tool.do('release 0')
            for tool in tools:
                tool.do('acquire 0')
    before = sent(tools)
    for turn in range(3, 10):
        for who, tool in enumerate(tools):
            tool.do(f'share 0 {who} 2 {size} {10 * turn + who}')
    same(sent(tools) - before, 0, 'messages between release and acquire')
    for tool in tools:
        tool.do('release 0')
    for tool in tools:
        tool.do('acquire 0')
        same(tool.do(f'shared 0 2 {size} 90 91'), '0', 'wrong bytes')
    tools[0].do(f'share 0 0 1 {size} 5')
    tools[0].do('release 0')
    before = sent(tools)
    for turn in range(6, 9):
        tools[0].do(f'share 0 0 1 {size} {turn}')
        tools[0].do('release 0')
        tools[0].do('acquire 0')
    same(sent(tools) - before, 0, 'messages for pages that are owned here')
    tools[1].do('acquire 0')
    same(tools[1].do(f'shared 0 1 {size} 8'), '0', 'wrong bytes')


@system_calls_touch_regions
def test_halves_of_pages_written_between_barriers(cluster):
    rounds = cluster.scaled(40)
    tools = opened(cluster, 64 * PAGE, ('wv', 'wv'))
    for who, tool in enumerate(tools):
        tool.send(f'halves 0 0 {who} 60 {rounds} 0')
    for tool in tools:
        same(tool.answer(seconds=120), '0', 'words of another round')


@system_calls_touch_regions
def test_what_a_mutex_guards_is_handed_on(cluster):
    rounds = cluster.scaled(200)
    tools = opened(cluster, PAGE, ('wv', 'w', 'wv'))
    for who, tool in enumerate(tools):
        tool.send(f'passed 0 0 {who} {rounds}')
    for tool in tools:
        same(tool.answer(seconds=120), '0', 'increments that were not seen')
    tools[0].do('acquire 0')
    same(tools[0].do('read 0 0 4'), (3 * rounds).to_bytes(4, 'little').hex(), 'increments')


@system_calls_touch_regions
def test_semaphore_hands_on_what_was_written_before_it(cluster):
    first, second = opened(cluster, 4 * PAGE, ('wv', 'wv'))
    name = cluster.name('sem')
    first.do(f'semopen 0 {name} c 0600 0')
    second.do(f'semopen 0 {name} r 0 0')
    for turn in range(1, 20):
        first.do(f'share 0 0 1 {4 * PAGE} {turn}')
        first.do('sempost 0')
        second.do('semwait 0 10000')
        same(second.do(f'shared 0 1 {4 * PAGE} {turn}'), '0', 'wrong bytes')


@system_calls_touch_regions
def test_random_programs_with_views_do_what_they_do_on_plain_memory(cluster):
    for seed, protections in enumerate((('wv',), ('wv', 'w'), ('wv',), ('w', 'wv', 'wv')), 21):
        Differential(cluster, cluster.scaled(20), seed, protections).run()


@system_calls_touch_regions
def test_unmapping_and_disconnecting_release(cluster):
    first, second, plain = opened(cluster, 2 * PAGE, ('wv', 'wv', 'w'))
    first.do('write 0 100 01')
    first.do('unmap 0')
    same(plain.do('read 0 100 1'), '01', 'what was written before the mapping was removed')
    second.do('write 0 101 02')
    second.do('disconnect')
    same(plain.do('read 0 100 2'), '0102', 'what was written before the session was closed')
    plain.do('write 0 102 03')


@system_calls_touch_regions
def test_a_view_is_where_it_was_asked_for(cluster):
    tool = cluster.a.tool().open(cluster.name('placed'), 8 * PAGE)
    tool.do('map 1 0 4096 8192 wv 0x7e0000000000')
    tool.do('write 1 4096 77')
    tool.fails('map 2 0 0 4096 wv 0x7e0000000000', 'DSM_EBUSY')
    tool.fails('map 2 0 0 4096 wv 0x7e0000000100', 'DSM_EINVAL')
    tool.fails('map 2 0 4096 32768 wv', 'DSM_ERANGE')
    same(tool.do('read 0 8192 1'), '00', 'before the release')
    tool.do('release 0')
    same(tool.do('read 0 8192 1'), '77', 'after it')
    tool.do('unmap 1')
    tool.do('map 2 0 0 4096 rv')
    same(stat(tool)['views'], 0, 'who only reads has a plain mapping')


def test_races_are_told_when_asked_for(cluster):
    first, second = (host.tool(environment={'DSM_RACES': '1'}) for host in cluster.hosts[:2])
    name = cluster.name('races')
    first.open(name, 2 * PAGE, protection='wv')
    second.open(name, flags='w', protection='wv')
    if stat(first)['views'] == 0:
        return  # sequentially consistent: there is nothing to tell
    for number, tool in enumerate((first, second)):
        tool.do(f'write 0 {4200 + number} 0{number + 1}')
    first.do('release 0')
    second.do('release 0')
    same(stat(second)['races'], 0, 'neighbours are no race')
    for number, tool in enumerate((first, second)):
        tool.do(f'write 0 5000 0{number + 3}')
    first.do('release 0')
    second.do('release 0')
    same(stat(second)['races'], 1, 'both have written a byte')
    true(f"region '{name}' offset 5000" in second.stderr(), f'it is told: {second.stderr()}')
    first.do('write 0 6000 05')
    second.do('write 0 6000 06')
    second.do('release 0')
    first.do('acquire 0')
    same(stat(first)['races'], 1, 'an acquire finds it as well')


@system_calls_touch_regions
def test_views_are_fenced_when_the_agent_goes(fresh):
    cluster = fresh()
    tool = cluster.b.tool().open(cluster.name('fenced'), 2 * PAGE, protection='wv')
    tool.do('write 0 0 01')
    cluster.b.agent.kill()
    cluster.b.agent.wait()
    cluster.b.agent = None

    def death():
        try:
            return tool.dies('read 0 0 1')
        except Failure as failure:  # the watchdog needs a moment; until then it reads what it has
            true('answers "01"' in str(failure), f'{failure}')
            return None

    number, said = wait_for(death, 'the view is fenced')
    same(number, 11, f'SIGSEGV: {said}')


@system_calls_touch_regions
def test_a_page_that_is_lost_is_an_error_of_the_release(fresh):
    """The owner of a page dies with its only copy: the home tells, other pages are released."""
    cluster = fresh(flags=['--lease-ms', '1500'])
    name = cluster.name('lost')
    view = cluster.a.tool().open(name, 4 * PAGE, protection='wv')
    owner = cluster.c.tool().open(name, flags='w')
    view.do('read 0 0 16384')
    owner.do('write 0 4096 55')
    view.do('write 0 5000 01')
    view.do('write 0 9000 02')
    cluster.c.agent.kill()
    cluster.c.agent.wait()
    cluster.c.agent = None
    view.fails('release 0', 'DSM_EDOWN', 'offset 4096', name)
    plain = cluster.b.tool().open(name, flags='w')
    same(plain.do('read 0 9000 1'), '02', 'another page was released')
