# SPDX-License-Identifier: Apache-2.0
"""Typed regions: what their type is, who is told of it, what it lets nobody do."""

from cluster import same, true, weighs_memory

PAGE = 4096
TYPE = 'struct { u64 count; f64 mean; u32[2] seen; }[]'
WORD = TYPE.replace(' ', ',')  # one word of a command


def test_type_of_a_region_is_told_on_every_node(cluster):
    name = cluster.name('typed')
    for tool in cluster.tools():
        tool.do(f'open 0 {name} wc 0600 0 0 {WORD}')
        same(tool.do('type 0'), TYPE, f'what {tool.host.name} is told')
    reader = cluster.c.tool()
    reader.do(f'open 0 {name} r 0')
    same(reader.do('type 0'), TYPE, 'who gives none')
    same(cluster.b.ctl_json('region', name)['region']['type'], TYPE, 'dsmctl region')


def test_open_with_another_type_shows_both(cluster):
    name, bytes_only = cluster.name('typed'), cluster.name('untyped')
    maker = cluster.a.tool()
    maker.do(f'open 0 {name} wc 0600 0 0 {WORD}')
    maker.do(f'open 1 {bytes_only} wc 0600')
    same(maker.do('type 1'), '', 'without a type')
    for tool in cluster.tools():
        tool.fails(f'open 2 {name} w 0600 0 0 u32[]', 'DSM_ETYPE', name, f"'{TYPE}'", "'u32[]'")
        tool.fails(f'open 2 {bytes_only} w 0600 0 0 u32[]', 'DSM_ETYPE', bytes_only,
                   'without a type', "'u32[]'")
        tool.fails(f'open 2 {name} w 0600 0 0 u16,u32', 'DSM_EINVAL', 'element 2', 'pad 2')


def test_atomic_operations_of_a_typed_region_take_its_words(cluster):
    """Where no u64 or i64 begins, the place and what is there instead are named."""
    name = cluster.name('typed')
    tools = cluster.tools()
    for tool in tools:
        tool.do(f'open 0 {name} wc 0600 0 0 {WORD}')
        if tool is tools[0]:
            tool.do(f'truncate 0 {PAGE}')
        for place, kind in ((8, 'f64'), (16, 'u32')):
            for command in (f'fetchadd 0 {place} 1', f'cas 0 {place} 0 1'):
                text = tool.fails(command, 'DSM_EINVAL', f'offset {place}', name, kind)
                true('u64 or i64' in text, text)
        tool.do('fetchadd 0 24 5')
    tools[0].do(f'map 0 0 0 {PAGE} r')
    same(tools[0].do('load 0 24 u64'), '15', 'what all added')
    same([tools[0].do(f'load 0 {place} u64') for place in (8, 16)], ['0', '0'], 'what was refused')


def memory_kib(host):
    """What the agent of a host keeps in memory."""
    with open(f'/proc/{host.agent.pid}/status', encoding='utf-8') as status:
        return next(int(line.split()[1]) for line in status if line.startswith('VmRSS:'))


@weighs_memory
def test_types_of_regions_that_are_gone_take_no_memory(cluster):
    """Also on a node that has asked for atomic operations only, and never had a page."""
    maker, other = cluster.a.tool(), cluster.b.tool()

    def use(count):
        for _ in range(count):
            name = cluster.name('gone')
            maker.do(f'open 0 {name} wc 0600 0 0 {WORD}')
            maker.do(f'truncate 0 {PAGE}')
            other.do(f'open 0 {name} w')
            other.do('fetchadd 0 0 1')
            other.do('close 0')
            maker.do('close 0')
            maker.do(f'unlink {name}')

    use(50)  # what the first ones take stays
    before = memory_kib(cluster.b)
    use(600)
    true(memory_kib(cluster.b) - before < 4096, f'{memory_kib(cluster.b) - before} KiB more')
