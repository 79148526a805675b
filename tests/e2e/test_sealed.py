# SPDX-License-Identifier: Apache-2.0
"""Sealed regions on three hosts: who may do what, who serves whom, and what is left of them."""

import signal

from cluster import find_list, same, true
from network import wait_for

PAGE = 4096
MIB = 1 << 20


def seal(tool):
    tool.do('unmap 0')
    tool.do('seal 0')


def read(tool, name, size, number):
    """Open and map it for reading, and look at all of it."""
    tool.open(name, flags='r', protection='r')
    same(tool.do(f'check 0 0 {size} {number}'), '0', f'words that {tool.host.name} reads wrong')


def test_sealed_region_is_read_and_never_written(cluster):
    """All hosts read it; whoever wants to change it is told that it is sealed."""
    name, size = cluster.name('sealed'), 64 * PAGE
    on_a, on_b, on_c = cluster.tools()
    on_a.open(name, size)
    on_a.do(f'fill 0 0 {size} 3')
    seal(on_a)
    read(on_b, name, size, 3)
    read(on_c, name, size, 3)
    on_a.do(f'map 0 0 0 {size} r')
    same(on_a.do(f'check 0 0 {size} 3'), '0', 'who sealed it reads it')
    text = on_b.fails(f'open 1 {name} w 0', 'DSM_ESEALED')
    true(name in text and 'O_RDONLY' in text, f'the sentence says what to do: {text}')
    on_b.fails('seal 0', 'DSM_EACCES')
    on_a.fails(f'map 1 0 0 {size} w', 'DSM_ESEALED')
    on_a.fails(f'truncate 0 {2 * size}', 'DSM_ESEALED')
    on_a.fails('fetchadd 0 0 1', 'DSM_ESEALED')
    on_a.fails('lock 0 0 0', 'DSM_ESEALED')
    on_a.fails('vmwrite 0 0 7', 'DSM_ESEALED')
    on_a.do('seal 0')
    rows = find_list(cluster.c.ctl_json('regions'), 'regions')
    same([row['sealed'] for row in rows if row['name'] == name], [True], 'what dsmctl says')
    true('sealed' in cluster.c.ctl('region', name), 'and in words')


def test_seal_is_refused_while_another_may_write(cluster):
    """The sentence names the node; when its program has closed the region, it can be sealed."""
    name, size = cluster.name('sealed'), 4 * PAGE
    on_a, on_b, _ = cluster.tools()
    on_a.open(name, size)
    on_b.open(name, flags='w')
    text = on_a.fails('seal 0', 'DSM_EBUSY')
    true("node b" in text, f'the sentence names the node: {text}')
    on_b.do(f'fill 0 0 {size} 9')
    on_b.do('unmap 0')
    on_b.do('close 0')
    wait_for(lambda: 'node a' in on_a.fails('seal 0', 'DSM_EBUSY'),
             'the catalog hears that b has closed it; a has mapped it itself')
    seal(on_a)
    read(on_b, name, size, 9)


def test_no_host_sends_a_sealed_region_more_than_twice(fresh):
    """Five hosts read it at once: each has it once, none has sent it more than twice."""
    cluster = fresh(hosts=5)
    size = 4 * MIB
    tools = [host.tool() for host in cluster.hosts]
    tools[0].open('/photo', size)
    tools[0].do(f'fill 0 0 {size} 3')
    seal(tools[0])
    before = [host.stats('pages_sent') for host in cluster.hosts]
    for tool in tools[1:]:
        tool.open('/photo', flags='r', protection='r')
        tool.send(f'check 0 0 {size} 3')
    for tool in tools[1:]:
        same(tool.answer(), '0', f'words that {tool.host.name} reads wrong')
    sent = [host.stats('pages_sent') - was for host, was in zip(cluster.hosts, before)]
    same(sum(sent), 4 * size // PAGE, f'pages sent by all: {sent}')
    true(max(sent) <= 2 * size // PAGE, f'pages sent by each: {sent}')


def test_sealed_region_outlives_its_home(fresh):
    """What other hosts have read is read, there and elsewhere, when its home was killed."""
    cluster = fresh(flags=['--lease-ms', '1500'])
    on_a, on_b, on_c = [host.tool() for host in cluster.hosts]
    size, part = 16 * MIB, 32 * PAGE
    on_b.open('/photo', size)
    on_b.do(f'fill 0 0 {size} 4')
    seal(on_b)
    on_c.open('/photo', flags='r', protection='r')
    same(on_c.do(f'check 0 0 {part} 4'), '0', 'one host reads the first pages')
    cluster.b.end_agent(signal.SIGKILL)
    cluster.hosts[1].agent = None
    cluster.a.wait_log(r'declared dead name=b', 'the keeper declares b dead')
    on_a.open('/photo', flags='r', protection='r')
    same(on_a.do(f'check 0 0 {part} 4'), '0', 'another host reads them then')
    same(on_c.do(f'check 0 0 {part} 4'), '0', 'who had them before')
    number, _ = on_a.dies(f'read 0 {size - PAGE} 8')
    same(number, signal.SIGBUS, 'a page that nobody has')
