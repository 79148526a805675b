# SPDX-License-Identifier: Apache-2.0
"""Hosts of five kinds in one cluster: other page sizes, byte orders and word sizes."""

import itertools
import json
import subprocess

import kinds
from cluster import same, true
from mixed import GROUP, PAGE, together, typed
from network import wait_for
from programs import sent

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


def test_increments_of_bytes_bound_to_a_lock_are_not_lost_on_any_kind(mixed):
    """The range is a part of a hardware page on some, several pages on others."""
    tools = typed(mixed, 2, 3 * GROUP, 'u64[]')
    for tool in tools:
        tool.do(f'bind 0 0 {GROUP - PAGE} {4 * PAGE}')
    together(tools, lambda number: f'locked 0 0 0 {GROUP + 128} {LOCK_ROUNDS} {LOCK_INNER}')
    for tool in tools:
        same(tool.do(f'load 0 {GROUP + 128} u64'), str(5 * LOCK_ROUNDS * LOCK_INNER),
             f'counter on {tool.host.kind.name}')


def test_remote_adds_of_all_kinds_are_not_lost(mixed):
    tools = typed(mixed, 4, GROUP, 'u64[]')
    together(tools, lambda number: f'fetchadd 0 64 1 {FETCH_EACH}')
    for tool in tools:
        same(tool.do('load 0 64 u64'), str(5 * FETCH_EACH), f'counter on {tool.host.kind.name}')


def test_adds_to_untyped_words_are_little_endian_on_each_kind(mixed):
    """Whoever adds, wherever the home is: in a region without a type the low byte comes first."""
    for home in range(5):
        name = mixed.name('untyped')
        tools = mixed.tools()
        for tool in [tools[home]] + tools[:home] + tools[home + 1:]:
            tool.do(f'open 0 {name} wc 0600 {PAGE}')
            if tool is tools[home]:
                tool.do(f'truncate 0 {PAGE}')
            tool.do(f'map 0 0 0 {PAGE} r')
            tool.do('fetchadd 0 64 258')
        for tool in tools:
            same([tool.do(f'load 0 {64 + byte} u8') for byte in range(8)],
                 ['10', '5'] + ['0'] * 6,
                 f'5 * 258 on {tool.host.kind.name}, home {kinds.ALL[home]}')


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


def test_remote_operations_name_what_they_cannot_work_on(mixed):
    """In a typed region that is a u64 or an i64; the sentence names the place and its type."""
    for tool in typed(mixed, 3, GROUP, 'struct,{,i64,sum;,u32,low;,f32,rate;,}[]'):
        tool.fails('fetchadd 0 8 1', 'DSM_EINVAL', 'u32', '8')
        tool.fails('cas 0 24 0 1', 'DSM_EINVAL', 'u32')
        tool.do('fetchadd 0 16 1')
    same(tool.do('load 0 16 i64'), '5', 'of the right type')


def test_remote_operations_on_bytes_are_little_endian_everywhere(mixed):
    """An untyped region is bytes: those of a remote operation are the same on each kind."""
    tools = mixed.tools()
    name = mixed.name('bytes')
    for tool in tools:
        tool.open(name, GROUP if tool is tools[0] else None)
    together(tools, lambda number: 'fetchadd 0 64 0x0102030405 50')
    for tool in tools:
        same(tool.do('read 0 64 8'), (250 * 0x0102030405).to_bytes(8, 'little').hex(),
             f'a sum on {tool.host.kind.name}')
    for number, tool in enumerate(tools):
        same(tool.do(f'cas 0 72 {0x1234 * number} {0x1234 * (number + 1)}'), str(0x1234 * number),
             f'what {tool.host.kind.name} replaced')
        same(tool.do(f'cas 0 72 {1 << 60} 1'), str(0x1234 * (number + 1)),
             f'what {tool.host.kind.name} left')
    for writer, reader in itertools.product(tools, tools):
        writer.do(f'write 0 128 {writer.host.name.encode().hex()}0102030405060708')
        same(reader.do('read 0 128 9'), f'{writer.host.name.encode().hex()}0102030405060708',
             'bytes are not turned')


def test_swaps_of_all_kinds_succeed_once(mixed):
    """Each kind replaces each value of a typed counter by the next: of five, one is first."""
    tools = typed(mixed, 2, GROUP, 'u64[]')
    for value in range(20):
        seen = together(tools, lambda number, value=value: f'cas 0 8 {value} {value + 1}')
        same(seen.count(str(value)), 1, f'who replaced {value}: {seen}')
    for tool in tools:
        same(tool.do('load 0 8 u64'), '20', tool.host.kind.name)


def test_kinds_are_told_on_each_host(mixed):
    """dsmctl nodes: page, order and word of every node, the same from everywhere."""
    expected = [(host.name, host.kind.page_bytes,
                 'big' if host.kind.name == 's390x' else 'little',
                 32 if host.kind.name == 'armhf' else 64) for host in mixed.hosts]
    for host in mixed.hosts:
        nodes = sorted(host.ctl_json('nodes')['nodes'], key=lambda node: node['name'])
        same([(node['name'], node['page_bytes'], node['byte_order'], node['word_bits'])
              for node in nodes], expected, f'as {host.kind.name} tells them')
        same(sum('64 KiB' in line for line in host.ctl('nodes').split('\n')), 1, 'in the table')


def test_bouncing_groups_are_reported_with_advice(mixed):
    """A program of 4 KiB pages and one of 64 KiB tear at a page: log and dsmctl say what to do.
    Each gets done in a turn what takes milliseconds, so they have work for a second and more."""
    counts = [100000000, 10000000]
    name = f'/typed-{mixed.count_names + 1}'
    tools = typed(mixed, 0, GROUP, 'u64[]')
    large = next(tool for tool in tools if tool.host.kind.page_bytes == GROUP)
    said = len(large.host.log())

    def bounced():
        together([tools[0], large], lambda number: f'add 0 {8192 * number} {counts[number]}')
        return 'page bounces' in large.host.log()[said:]

    wait_for(bounced, 'the agent of the large pages complains', 60)
    line = next(line for line in large.host.log()[said:].split('\n') if 'bounce' in line)
    for word in ('page_size=4096', 'hardware_page=65536', 'page_size of 65536 or more'):
        true(word in line, f'{word} in: {line}')
    region = large.host.ctl_json('region', name)['region']
    same(region['group_bytes'], GROUP, 'as dsmctl tells it')
    bounce = region['bounces'][0]
    true('65536 or more' in bounce['advice'] and bounce['per_s_peak'] >= 50, bounce)


def test_seed_of_the_simulator_is_the_same_run_on_each_kind(mixed):
    """The protocol's core knows neither orders of bytes nor sizes of words."""
    for seed in range(1, 9):
        runs = {host.kind.name: subprocess.run(
            host.kind.command('tests/dsm-sim') + ['--seed', str(seed), '--json'], check=True,
            stdout=subprocess.PIPE, timeout=120).stdout for host in mixed.hosts}
        same({name: json.loads(out)['hash'] for name, out in runs.items()},
             dict.fromkeys(runs, json.loads(runs[kinds.NATIVE])['hash']), f'seed {seed}')
