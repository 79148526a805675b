# SPDX-License-Identifier: Apache-2.0
"""Hosts of several kinds that leave, fall dead or run out of memory: what they had goes to hosts of
other kinds, with its values, or is lost alone."""

import itertools
import signal

from cluster import same, true
from mixed import GROUP, PAGE, kill, together, typed
from network import wait_for

LEASE = ['--lease-ms', '2000']
NATIVE_LAST = ['s390x', 'arm64-64k', 'x86-64']  # a keeper of the other byte order


def lost(cluster, host, name, offset):
    """A page that died ends its reader by SIGBUS, and does so at once."""
    reader = host.tool()
    reader.do(f'open 0 {name} r 0')
    reader.do(f'map 0 0 {offset // GROUP * GROUP} {GROUP} r')
    number, said = reader.dies(f'load 0 {offset % GROUP} u64', seconds=20)
    same(number, signal.SIGBUS, f'how {host.kind.name} in {cluster.kinds} learns it: {said}')


def kill_one_after_another(cluster):
    """All but the first, from the last: each has read, written what others have, and what only it
    has."""
    name = f'/typed-{cluster.count_names + 1}'
    tools = typed(cluster, 0, 8 * GROUP, 'u64[]')
    tools[0].do('store 0 0 u64 41')
    count = 0
    for victim in range(len(tools) - 1, 0, -1):
        own = victim * GROUP
        tools[victim].do(f'store 0 {own} u64 42')
        same(tools[victim].do('load 0 0 u64'), '41', 'read before the death')
        kill(cluster.hosts[victim])
        others = tools[:victim]
        for tool in others:
            same(tool.do('load 0 0 u64'), '41', f'kept on {tool.host.kind.name}')
        together(others, lambda number: 'add 0 64 500')
        count += 500 * victim
        for tool in others:
            same(tool.do('load 0 64 u64'), str(count), f'counter on {tool.host.kind.name}')
            lost(cluster, tool.host, name, own)


def test_death_of_each_kind_leaves_the_others_at_work(fresh_mixed):
    """The agent of one kind after another is killed: what only it had is lost, and nothing else."""
    kill_one_after_another(fresh_mixed(flags=LEASE))


def test_native_host_dies_under_a_foreign_keeper(fresh_mixed):
    kill_one_after_another(fresh_mixed(flags=LEASE, kinds=NATIVE_LAST))


def test_lost_page_takes_its_group_on_large_pages_only(fresh_mixed):
    """One page of 4 KiB is lost. Hosts of 4 KiB read all the others; on a host of 64 KiB the whole
    group is lost, by a signal, and its other groups and all other programs go on."""
    cluster = fresh_mixed(flags=LEASE, kinds=['x86-64', 'armhf', 'arm64-64k', 's390x'])
    name = f'/typed-{cluster.count_names + 1}'
    tools = typed(cluster, 0, 3 * GROUP, 'u64[]')
    for page in range(48):
        tools[0].do(f'store 0 {page * PAGE} u64 {page + 1}')
    for tool in tools:
        same(tool.do(f'load 0 {GROUP + 7 * PAGE} u64'), '24', tool.host.kind.name)
    tools[3].do(f'store 0 {GROUP + 5 * PAGE} u64 99')
    kill(cluster.hosts[3])
    lost(cluster, cluster.hosts[2], name, GROUP + 9 * PAGE)
    for tool in tools[:2]:
        for page in range(48):
            if page != 21:
                same(tool.do(f'load 0 {page * PAGE} u64'), str(page + 1), tool.host.kind.name)
        lost(cluster, tool.host, name, GROUP + 5 * PAGE)
    together(tools[:3], lambda number: f'add 0 {2 * GROUP + 8} 500')
    for tool in tools[:3]:
        same(tool.do('load 0 0 u64'), '1', 'another group')
        same(tool.do(f'load 0 {2 * GROUP + 8} u64'), '1500', 'and one that is written')


def member(cluster, name):
    nodes = cluster.hosts[0].ctl_json('nodes')['nodes']
    return [node for node in nodes if node['name'] == name and node['alive']]


def test_values_of_a_host_that_leaves_go_home_converted(fresh_mixed):
    """Each kind but the keeper's writes what only it has, and is stopped in good order."""
    cluster = fresh_mixed(flags=['--lease-ms', '60000'])
    tools = typed(cluster, 0, 5 * GROUP, 'u32[]')
    for leaver in range(4, 0, -1):
        for page in range(4):
            tools[leaver].do(f'store 0 {leaver * GROUP + page * PAGE} u32 {0x01020300 + page}')
        host = cluster.hosts[leaver]
        host.close_tools()
        same(host.end_agent(), 0, f'{host.kind.name}: exit status')
        wait_for(lambda host=host: not member(cluster, host.name), f'{host.name} has left')
        for tool, page in itertools.product(tools[:leaver], range(4)):
            same(tool.do(f'load 0 {leaver * GROUP + page * PAGE} u32'), str(0x01020300 + page),
                 f'of {host.kind.name} on {tool.host.kind.name}')


def test_owners_that_die_leave_values_to_readers_of_other_orders(fresh_mixed):
    """Written at one host, read at one of another kind: the reader's copy is what all others get
    when the owner has died. A home that dies leaves what each host has."""
    for keeper, owner, reader in (('x86-64', 'armhf', 's390x'), ('x86-64', 's390x', 'arm64-64k'),
                                  ('s390x', 'arm64-16k', 'x86-64')):
        cluster = fresh_mixed(flags=LEASE, kinds=[keeper, owner, reader, 'armhf'])
        tools = typed(cluster, 3, 2 * GROUP, 'u32[]')
        for page in range(32):
            tools[1].do(f'store 0 {page * PAGE} u32 {0x01020300 + page}')
        for page in range(32):
            same(tools[2].do(f'load 0 {page * PAGE} u32'), str(0x01020300 + page), reader)
        kill(cluster.hosts[1])
        for tool, page in itertools.product((tools[0], tools[3], tools[2]), range(32)):
            same(tool.do(f'load 0 {page * PAGE} u32'), str(0x01020300 + page),
                 f'owner {owner} died, {reader} had read: {tool.host.kind.name}')
        tools[2].do('store 0 4 u32 9')
        same(tools[0].do('load 0 4 u32'), '9', 'written after the death')
        kill(cluster.hosts[3])
        cluster.hosts[0].wait_log('declared dead name=d', 'the home is dead')
        for tool, page in itertools.product((tools[0], tools[2]), range(1, 32)):
            same(tool.do(f'load 0 {page * PAGE} u32'), str(0x01020300 + page), 'has it still')


def test_evicted_pages_of_each_kind_come_back_with_their_values(fresh_mixed):
    """A budget of an eighth of a region: pages go home, are converted there, and come back."""
    size = 32 << 20
    for keeper, guest in (('x86-64', 's390x'), ('s390x', 'arm64-64k')):
        cluster = fresh_mixed(kinds=[keeper, guest], flags_of={'b': ['--budget', '4M']})
        tools = typed(cluster, 0, size, 'u64[]')
        for writer, seed in ((tools[1], 1), (tools[0], 2)):
            writer.do(f'fill 0 0 {size} {seed}', seconds=120)
            for reader in tools:
                same(reader.do(f'check 0 0 {size} {seed}', seconds=120), '0',
                     f'of {writer.host.kind.name} on {reader.host.kind.name}')
        true(cluster.hosts[1].stats('evictions') > 0, f'{guest} evicted')
