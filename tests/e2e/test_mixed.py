# SPDX-License-Identifier: Apache-2.0
"""Hosts of five kinds in one cluster: other page sizes, byte orders and word sizes."""

import itertools
import json
import signal
import subprocess

import kinds
from cluster import same
from litmus import Race, exclude
from programs import sent

PAGE = 4096
GROUP = 65536  # the largest hardware page of all kinds
ATOMIC_EACH, LOCK_ROUNDS, LOCK_INNER, FETCH_EACH = 20000, 20, 100, 100
# Type, offset in the record below, values that turn into other ones when bytes are mistaken.
FIELDS = [
    ('u8', 0, ['1', '254']), ('i8', 1, ['-1', '-128']), ('u16', 2, ['258', '65534']),
    ('i16', 4, ['-2', '-32768']), ('u32', 8, ['16909060', '4294967294']),
    ('i32', 12, ['-3', '-2147483648']), ('u64', 16, ['72623859790382856',
                                                     '18446744073709551614']),
    ('i64', 24, ['-4', '-9223372036854775808']), ('f32', 32, ['0x1.8p+1', '-0x1.fffffep+127']),
    ('f64', 40, ['0x1.5555555555555p-2', '-0x1.fffffffffffffp+1023']),
]
RECORD = ('struct,{,u8,a;,i8,b;,u16,c;,i16,d;,pad,2;,u32,e;,i32,f;,'
          'struct,{,u64,g;,i64,h;,f32,i;,pad,4;,},inner;,f64,j;,}[]')
RECORD_BYTES = 48
# Bits of floats: NaNs with payloads, infinities, zeros, denormals.
SPECIAL = {'f32': (4, [0x7fc12345, 0xffc00001, 0x7fa00001, 0x7f800000, 0xff800000, 0x80000000, 1,
                       0x807fffff]),
           'f64': (8, [0x7ff8123456789abc, 0xfff8000000000001, 0x7ff4000000000001,
                       0x7ff0000000000000, 0xfff0000000000000, 0x8000000000000000, 1,
                       0x800fffffffffffff])}


def typed(cluster, maker, size, text, page_size=PAGE, home=0):
    """One program on each host with a typed region of its own name mapped; maker's makes it."""
    name = cluster.name('typed')
    tools = cluster.tools()
    for tool in [tools[maker]] + [tool for tool in tools if tool is not tools[maker]]:
        tool.do(f'open 0 {name} wc 0600 {page_size} {home} {text}')
        if tool is tools[maker]:
            tool.do(f'truncate 0 {size}')
        tool.do(f'map 0 0 0 {size} w')
    return tools


def together(tools, command):
    for number, tool in enumerate(tools):
        tool.send(command(number))
    return [tool.answer(seconds=180) for tool in tools]


def test_atomic_increments_of_all_kinds_are_not_lost(mixed):
    tools = typed(mixed, 0, GROUP, 'u64[]')
    together(tools, lambda number: f'add 0 64 {ATOMIC_EACH}')
    for tool in tools:
        same(tool.do('load 0 64 u64'), str(5 * ATOMIC_EACH), f'counter on {tool.host.kind.name}')


def test_increments_under_a_lock_of_all_kinds_are_not_lost(mixed):
    tools = typed(mixed, 1, GROUP, 'u64[]')
    together(tools, lambda number: f'locked 0 0 0 128 {LOCK_ROUNDS} {LOCK_INNER}')
    for tool in tools:
        same(tool.do('load 0 128 u64'), str(5 * LOCK_ROUNDS * LOCK_INNER),
             f'counter on {tool.host.kind.name}')


def test_remote_adds_of_all_kinds_are_not_lost(mixed):
    tools = typed(mixed, 4, GROUP, 'u64[]')
    together(tools, lambda number: f'fetchadd 0 64 1 {FETCH_EACH}')
    for tool in tools:
        same(tool.do('load 0 64 u64'), str(5 * FETCH_EACH), f'counter on {tool.host.kind.name}')


def test_every_element_type_is_the_same_value_on_each_kind(mixed):
    """Each kind writes records of every type and a nested struct; each other kind reads them."""
    tools = typed(mixed, 0, 16 * PAGE, RECORD)
    for turn, writer in enumerate(tools):
        for name, offset, values in FIELDS:
            for which, value in enumerate(values):
                at = (2 * turn + which) * RECORD_BYTES + offset
                writer.do(f'store 0 {at} {name} {value}')
    for reader, (turn, writer) in itertools.product(tools, enumerate(tools)):
        for name, offset, values in FIELDS:
            for which, value in enumerate(values):
                at = (2 * turn + which) * RECORD_BYTES + offset
                same(reader.do(f'load 0 {at} {name}'), value,
                     f'{name} of {writer.host.kind.name} on {reader.host.kind.name}')


def test_special_floats_keep_their_bits(mixed):
    """NaN payloads, infinities, denormals and the zero with a sign, from each kind to each."""
    for name, (size, bits) in SPECIAL.items():
        tools = typed(mixed, 2, 5 * PAGE, name + '[]')
        for turn, writer in enumerate(tools):
            for which, value in enumerate(bits):
                writer.do(f'store 0 {turn * PAGE + which * size} u{8 * size} {value}')
        for reader, turn in itertools.product(tools, range(5)):
            for which, value in enumerate(bits):
                same(reader.do(f'load 0 {turn * PAGE + which * size} u{8 * size}'), str(value),
                     f'{name} of {tools[turn].host.kind.name} on {reader.host.kind.name}')


def test_every_kind_is_home_owner_and_reader_for_every_other(mixed):
    """All combinations: made and so homed at one kind, written on another, read on a third."""
    for home in range(5):
        tools = typed(mixed, home, 5 * GROUP, 'u32[]')
        for owner in range(5):
            tools[owner].do(f'store 0 {owner * GROUP} u32 {1000 * home + owner}')
        for owner, reader in itertools.product(range(5), range(5)):
            same(tools[reader].do(f'load 0 {owner * GROUP} u32'), str(1000 * home + owner),
                 f'home {kinds.ALL[home]}, owner {kinds.ALL[owner]}, reader {kinds.ALL[reader]}')


def test_large_pages_read_while_small_ones_are_written(mixed):
    """Hosts of 4 KiB write single pages of what hosts of 16 and 64 KiB read as one."""
    tools = typed(mixed, 0, 2 * GROUP, 'u64[]')
    small = [tool for tool in tools if tool.host.kind.page_bytes == PAGE]
    large = [tool for tool in tools if tool.host.kind.page_bytes > PAGE]
    for turn in range(5):
        for number, tool in enumerate(small):
            tool.do(f'store 0 {PAGE * (3 * turn + number)} u64 {100 * turn + number + 1}')
        for tool, number in itertools.product(large, range(len(small))):
            same(tool.do(f'load 0 {PAGE * (3 * turn + number)} u64'), str(100 * turn + number + 1),
                 f'turn {turn} on {tool.host.kind.name}')
        large[turn % 2].do(f'store 0 {GROUP + 8 * turn} u64 {turn + 1}')
    for tool in tools:
        for turn in range(5):
            same(tool.do(f'load 0 {GROUP + 8 * turn} u64'), str(turn + 1), tool.host.kind.name)


def test_group_costs_the_messages_of_one_page(mixed):
    """Sixteen pages of their home come to a host of 64 KiB pages by one request, its answer and its
    end, and are upgraded by three messages more."""
    tools = typed(mixed, 0, GROUP, 'u32[]')
    large = tools[kinds.ALL.index('arm64-64k')]
    tools[0].do(f'visit 0 0 {PAGE} 16 w')
    before = sent(tools)
    large.do('visit 0 0 4 1 r')
    same(sent(tools) - before, 3, 'messages of a read miss')
    large.do('visit 0 0 4 1 w')
    same(sent(tools) - before, 6, 'messages of a read miss and an upgrade')


def test_short_words_map_a_window_of_a_large_region(mixed):
    """A program of 32 bits maps a piece of a region larger than its address space, and adds to
    words beyond it. (qemu-user 7.2 takes 32 bits of the offset of an armhf program's mmap.)"""
    name, size, far, beyond = mixed.name('far'), 6 << 30, (3 << 30) + GROUP, 5 << 30
    tools = mixed.tools()
    for tool in tools:
        tool.do(f'open 0 {name} wc 0600 {PAGE} 0 u64[]')
        if tool is tools[0]:
            tool.do(f'truncate 0 {size}')
        tool.do(f'map 0 0 {far} {GROUP} w')
    for number, tool in enumerate(tools):
        tool.do(f'store 0 {8 * number} u64 {number + 77}')
        tool.do(f'fetchadd 0 {beyond} 3')
    for tool, number in itertools.product(tools, range(5)):
        same(tool.do(f'load 0 {8 * number} u64'), str(number + 77), tool.host.kind.name)
    tools[0].do(f'map 1 0 {beyond} {GROUP} r')
    same(tools[0].do('load 1 0 u64'), '15', 'added from all kinds')


def test_wrong_types_are_refused_on_each_kind(mixed):
    """A type that cannot be read, one whose element would straddle, and another region's."""
    tools = typed(mixed, 0, GROUP, 'u32[]')
    name = mixed.name('wrong')
    for tool in tools:
        own = f'{name}-{tool.host.name}'
        tool.fails(f'open 1 {own} wc 0600 0 0 u33[]', 'DSM_EINVAL', 'u33')
        tool.fails(f'open 1 {own} wc 0600 0 0 struct,{{,u8,first;,u32,second;,}}[]',
                   'DSM_EINVAL', 'second', 'pad')
        tool.fails(f'open 1 {own} r 0', 'DSM_ENOENT')
    same(tools[0].do('type 0'), 'u32[]', 'the type as it was given')
    known = f'/typed-{mixed.count_names - 1}'
    for tool in tools:
        tool.fails(f'open 1 {known} w 0600 0 0 u16[]', 'DSM_ETYPE', known)


def test_seed_of_the_simulator_is_the_same_run_on_each_kind(mixed):
    """The protocol's core knows neither orders of bytes nor sizes of words."""
    for seed in range(1, 9):
        runs = {host.kind.name: subprocess.run(
            host.kind.command('tests/dsm-sim') + ['--seed', str(seed), '--json'], check=True,
            stdout=subprocess.PIPE, timeout=120).stdout for host in mixed.hosts}
        same({name: json.loads(out)['hash'] for name, out in runs.items()},
             dict.fromkeys(runs, json.loads(runs[kinds.NATIVE])['hash']), f'seed {seed}')


def test_critical_sections_hold_on_all_kinds(mixed):
    for kind in ('peterson', 'bakery'):
        exclude(mixed, kind, 2, 50, programs=[(3, '0'), (2, '1')])


def test_litmus_on_unlike_pairs(mixed):
    """Message passing and store buffering between big- and little-endian, small and large pages."""
    for shape in ('mp', 'sb'):
        Race(mixed, shape, programs=[(3, '0'), (2, '1')], rounds=128, batch=8).run().check(kinds=1)


def test_death_of_each_kind_leaves_the_others_at_work(fresh_mixed):
    """The agent of one kind after another is killed: what only it had is lost, and nothing else."""
    cluster = fresh_mixed(flags=['--lease-ms', '2000'])
    tools = typed(cluster, 0, 8 * GROUP, 'u64[]')
    tools[0].do('store 0 0 u64 41')
    count = 0
    for victim in range(4, 0, -1):
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
        reader = others[-1].host.tool()
        reader.do(f'open 0 /typed-{cluster.count_names} r 0')
        reader.do(f'map 0 0 {own} {GROUP} r')
        number, _ = reader.dies('load 0 0 u64')
        same(number, signal.SIGBUS, f'how a page of {tools[victim].host.kind.name} is lost')


def kill(host):
    host.agent.kill()
    host.agent.wait()
    host.agent = None
