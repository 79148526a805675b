# SPDX-License-Identifier: Apache-2.0
"""Hosts of five kinds share in other ways than by plain mappings: regions that are sealed, mappings
that are release consistent, and advice."""

from cluster import ToolError, same
from mixed import GROUP, together, typed
from network import wait_for

ADVICE = ('will-need', 'random', 'sequential', 'migratory', 'done-with', 'normal')
LOCK_ROUNDS, LOCK_INNER = 20, 50


def is_sealed(tool):
    """Is it, or is it not known yet that others have closed it?"""
    try:
        tool.do('seal 0')
    except ToolError as error:
        if error.name != 'DSM_EBUSY':
            raise
        return False
    return True


def test_sealed_values_are_read_on_each_kind_whoever_wrote_them(mixed):
    """Numbers of a little-endian and of a big-endian writer, in groups of small pages; who has them
    passes them on to hosts of the other order."""
    size = 2 * GROUP
    for maker, home in ((0, 0), (1, 0), (3, 1)):
        name, tools = mixed.name('photo'), mixed.tools()
        writer = tools[maker]
        writer.open(name, size, options=f'4096 {home} u64[]')
        writer.do(f'fill 0 0 {size} {maker + 3}')
        for tool in tools:
            if tool is not writer:
                tool.open(name, flags='w', options='0 0 u64[]')
                tool.do('unmap 0')
                tool.do('close 0')
        writer.do('unmap 0')
        wait_for(lambda tool=writer: is_sealed(tool), 'the keeper hears that all have closed it')
        for tool in tools:
            tool.open(name, slot=1, flags='r', protection='r')
        for tool, wrong in zip(tools, together(tools, lambda _: f'check 1 0 {size} {maker + 3}')):
            same(wrong, '0', f'words of {writer.host.kind.name} that {tool.host.kind.name} gets')
        for tool in tools:
            tool.fails(f'open 2 {name} w 0', 'DSM_ESEALED')


def test_neighbouring_bytes_of_views_on_each_kind_are_all_kept(mixed):
    """Each fifth byte is another kind's; those with userfaultfd have views, the others plain
    mappings, and all meet at barriers."""
    size, name = 3 * GROUP, mixed.name('views')
    tools = mixed.tools()
    tools[0].open(name, size, protection='wv')
    for tool in tools[1:]:
        tool.open(name, flags='w', protection='wv')
    for turn in range(1, 4):
        seeds = [str(10 * turn + who) for who in range(5)]
        together(tools, lambda who: f'share 0 {who} 5 {size} {seeds[who]}')
        together(tools, lambda _: 'barrier 0 0 5 60000')
        for tool, wrong in zip(tools,
                               together(tools, lambda _: f'shared 0 5 {size} {" ".join(seeds)}')):
            same(wrong, '0', f'bytes that {tool.host.kind.name} finds wrong in turn {turn}')
        together(tools, lambda _: 'barrier 0 8 5 60000')


def test_advice_of_each_kind_changes_no_byte(mixed):
    """All kinds of advice, at once, on memory that all kinds write under a lock and read."""
    size = 4 * GROUP
    tools = typed(mixed, 2, size, 'u64[]')
    tools[2].do(f'fill 0 {GROUP} {3 * GROUP} 7')
    for turn, first in enumerate(ADVICE):
        for who, tool in enumerate(tools):
            advice = ADVICE[(turn + who) % len(ADVICE)]
            tool.do(f'advise 0 {who * 4096} {size - who * 4096} {advice}')
        together(tools, lambda _: f'locked 0 0 0 128 {LOCK_ROUNDS} {LOCK_INNER}')
        for tool, wrong in zip(tools,
                               together(tools, lambda _: f'check 0 {GROUP} {3 * GROUP} 7')):
            same(wrong, '0', f'words that {tool.host.kind.name} reads wrong after {first}')
    for tool in tools:
        same(tool.do('load 0 128 u64'), str(len(ADVICE) * 5 * LOCK_ROUNDS * LOCK_INNER),
             f'counter on {tool.host.kind.name}')
