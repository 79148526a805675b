# SPDX-License-Identifier: Apache-2.0
"""Regions: named, mapped, shared, unlinked, on three hosts."""

import itertools
import os

from cluster import find_list, same, true
from network import wait_for

PAGE = 4096
MIB = 1 << 20


def test_three_hosts_see_what_each_writes(cluster):
    """Each host writes its third of a region, then another's third; all see all, each time."""
    name, third = cluster.name(), 96 * PAGE
    tools = cluster.tools()
    tools[0].open(name, 3 * third)
    for tool in tools[1:]:
        tool.open(name, flags='w')
    for turn in range(3):
        for number, tool in enumerate(tools):
            part = (number + turn) % 3
            tool.do(f'fill 0 {part * third} {third} {10 * turn + part}')
        for tool in tools:
            for part in range(3):
                same(tool.do(f'check 0 {part * third} {third} {10 * turn + part}'), '0',
                     f'words that {tool.host.name} reads wrong in part {part}, turn {turn}')
    same({tool.do('node') for tool in tools}, {'a', 'b', 'c'}, 'names of the nodes')


def test_several_programs_on_one_host_share_one_copy(cluster):
    """A page that one program of a host has fetched is there for the others without a message."""
    name, size = cluster.name(), 64 * PAGE
    writer = cluster.a.tool().open(name, size)
    writer.do(f'fill 0 0 {size} 5')
    first = cluster.b.tool().open(name, flags='r', protection='r')
    others = [cluster.b.tool().open(name, flags='r', protection='r') for _ in range(2)]
    same(first.do(f'check 0 0 {size} 5'), '0', 'first program')
    before = cluster.b.stats('faults_remote')
    for other in others:
        same(other.do(f'check 0 0 {size} 5'), '0', 'another program')
    same(cluster.b.stats('faults_remote'), before, 'remote faults of the other programs')


def test_sixty_four_regions_stay_apart(cluster):
    """64 regions, made on all hosts in turn, each read and overwritten on the next hosts."""
    tools = cluster.tools()
    size, names = 16 * PAGE, [cluster.name('many') for _ in range(64)]
    for number, name in enumerate(names):
        tools[number % 3].open(name, size, slot=number)
        tools[number % 3].do(f'fill {number} 0 {size} {number}')
    for number, name in enumerate(names):
        tools[(number + 1) % 3].open(name, flags='w', slot=number)
        tools[(number + 2) % 3].open(name, flags='w', slot=number)
    for number in range(64):
        same(tools[(number + 1) % 3].do(f'check {number} 0 {size} {number}'), '0', names[number])
        tools[(number + 2) % 3].do(f'fill {number} 0 {size} {1000 + number}')
    for number, name in enumerate(names):
        for tool in tools:
            same(tool.do(f'check {number} 0 {size} {1000 + number}'), '0', name)
        tools[number % 3].do(f'unlink {name}')
    for tool in tools:
        for number in range(64):
            tool.do(f'unmap {number}')
            tool.do(f'close {number}')

    def gone():
        regions = find_list(cluster.c.ctl_json('regions'), 'regions')
        return not [region for region in regions if region['name'] in names]

    wait_for(gone, 'the 64 regions leave the catalog')


def orders():
    """All orders of map and unmap on two hosts and one unlink; no unmap precedes its map."""
    steps = ['map a', 'unmap a', 'map b', 'unmap b', 'unlink']
    for order in itertools.permutations(steps):
        if order.index('map a') < order.index('unmap a') \
                and order.index('map b') < order.index('unmap b'):
            yield order


def test_map_unmap_unlink_in_every_order(cluster):
    """In any order, mapped bytes stay right, the name goes at once, the storage at the end."""
    size, tools = 4 * PAGE, {'a': cluster.a.tool(), 'b': cluster.b.tool()}
    names = []
    for count, order in enumerate(orders()):
        name = cluster.name('order')
        names.append(name)
        tools['a'].do(f'open 0 {name} wcx 0600')
        tools['a'].do(f'truncate 0 {size}')
        tools['b'].do(f'open 0 {name} w 0')
        seed = None
        for position, step in enumerate(order):
            if step == 'unlink':
                tools['b'].do(f'unlink {name}')
                tools['b'].fails(f'open 1 {name} w 0', 'DSM_ENOENT', name)
                continue
            verb, host = step.split()
            tool = tools[host]
            if verb == 'map':
                tool.do(f'map 0 0 0 {size} w')
                if seed is not None:
                    same(tool.do(f'check 0 0 {size} {seed}'), '0', f'{order} at {step}')
                else:
                    same(tool.do(f'zeros 0 0 {size}'), '0', f'{order} at {step}')
                seed = 100 * count + position
                tool.do(f'fill 0 0 {size} {seed}')
            else:
                same(tool.do(f'check 0 0 {size} {seed}'), '0', f'{order} at {step}')
                tool.do('unmap 0')
        for tool in tools.values():
            tool.do('close 0')
    true(count + 1 == 30, 'there are 30 orders')

    def gone():
        regions = find_list(cluster.a.ctl_json('regions'), 'regions')
        return not [region for region in regions if region['name'] in names]

    wait_for(gone, 'the storage of all 30 regions is freed')


def test_unlinked_name_is_free_at_once(cluster):
    """A new region takes the name while the old one is still mapped, and starts as zeros."""
    name = cluster.name()
    old = cluster.a.tool().open(name, PAGE)
    old.do(f'fill 0 0 {PAGE} 1')
    other = cluster.b.tool()
    other.do(f'unlink {name}')
    other.open(name, PAGE, flags='wcx')
    same(other.do(f'zeros 0 0 {PAGE}'), '0', 'the new region')
    other.do(f'fill 0 0 {PAGE} 2')
    same(old.do(f'check 0 0 {PAGE} 1'), '0', 'the old region')


def test_truncating_open_makes_a_new_region(cluster):
    name = cluster.name()
    old = cluster.a.tool().open(name, PAGE)
    old.do(f'fill 0 0 {PAGE} 1')
    new = cluster.b.tool()
    new.do(f'open 0 {name} wt 0')
    same(new.do('stat 0').split()[0], '0', 'size after O_TRUNC')
    new.do(f'truncate 0 {PAGE}')
    new.do(f'map 0 0 0 {PAGE} w')
    same(new.do(f'zeros 0 0 {PAGE}'), '0', 'the new region')
    same(old.do(f'check 0 0 {PAGE} 1'), '0', 'the old region')


def test_several_maps_and_addresses_of_one_region(cluster):
    """One region mapped three times by one program, once where it asks; maps outlive handles."""
    name, size = cluster.name(), 8 * PAGE
    tool = cluster.b.tool().open(name, size)
    tool.do(f'map 1 0 0 {size} w 0x7ea000000000')
    tool.do(f'map 2 0 {4 * PAGE} {4 * PAGE} r')
    tool.fails(f'map 3 0 0 {size} w 0x7ea000000000', 'DSM_EBUSY')
    tool.do('close 0')
    tool.do(f'fill 0 0 {4 * PAGE} 1')
    tool.do(f'fill 1 {4 * PAGE} {4 * PAGE} 2')
    same(tool.do(f'check 1 0 {4 * PAGE} 1'), '0', 'second mapping')
    same(tool.do(f'check 2 0 {4 * PAGE} 2'), '0', 'third mapping')
    tool.do('unmap 0')
    other = cluster.c.tool().open(name, flags='w')
    same(other.do(f'check 0 0 {4 * PAGE} 1'), '0', 'another host')
    other.do(f'fill 0 0 {size} 3')
    same(tool.do(f'check 1 0 {size} 3'), '0', 'second mapping, after the other host wrote')


def test_region_grows_and_others_see_it(cluster):
    name = cluster.name()
    first = cluster.a.tool().open(name, 2 * PAGE)
    second = cluster.b.tool().open(name, flags='w')
    second.fails(f'map 1 0 0 {4 * PAGE} w', 'DSM_ERANGE')
    first.do(f'truncate 0 {64 * PAGE}')
    second.do(f'map 1 0 0 {64 * PAGE} w')
    second.do(f'fill 1 {32 * PAGE} {32 * PAGE} 4')
    first.do(f'map 1 0 0 {64 * PAGE} r')
    same(first.do(f'check 1 {32 * PAGE} {32 * PAGE} 4'), '0', 'the grown part')
    second.fails(f'truncate 0 {PAGE}', 'DSM_EINVAL')


def test_read_only_means_read_only(cluster):
    name = cluster.name()
    writer = cluster.a.tool().open(name, PAGE, mode='0644')
    writer.do(f'fill 0 0 {PAGE} 1')
    reader = cluster.b.tool().open(name, flags='r', protection='r')
    same(reader.do(f'check 0 0 {PAGE} 1'), '0', 'reader')
    reader.fails(f'map 1 0 0 {PAGE} w', 'DSM_EACCES')
    reader.fails('vmwrite 0 0 00', 'DSM_EACCES')
    reader.fails(f'truncate 0 {2 * PAGE}', 'DSM_EACCES')
    reader.fails('lock 0 0 0', 'DSM_EACCES')
    number, _ = reader.dies(f'fill 0 0 {PAGE} 2')
    true(number in (7, 11), f'a store through a read-only mapping ends with a signal, not {number}')
    same(writer.do(f'check 0 0 {PAGE} 1'), '0', 'writer')


def test_page_sizes_up_to_two_megabytes(cluster):
    """Regions of 64 KiB and 2 MiB pages are as coherent as those of 4 KiB."""
    for page_size in (64 << 10, 2 << 20):
        name, size = cluster.name('pages'), 4 * page_size
        tools = cluster.tools()
        tools[0].open(name, size, options=str(page_size))
        for tool in tools[1:]:
            tool.open(name, flags='w')
        same(tools[1].do('stat 0').split()[1], str(page_size), 'page size')
        for turn, tool in enumerate(tools * 2):
            tool.do(f'fill 0 0 {size} {turn}')
            for reader in tools:
                same(reader.do(f'check 0 0 {size} {turn}'), '0',
                     f'{page_size}, turn {turn}, {reader.host.name}')
        tools[1].fails(f'map 1 0 4096 {page_size} r', 'DSM_EINVAL')
        cluster.a.close_tools()
        cluster.b.close_tools()
        cluster.c.close_tools()
        cluster.a.ctl('rm', name)


def test_striped_homes_spread_over_the_nodes(cluster):
    """Pages of a striped region have their homes on all nodes, and are as coherent as others."""
    name, size = cluster.name('striped'), 512 * PAGE
    tools = cluster.tools()
    tools[1].open(name, size, options='4096 1')
    for tool in (tools[0], tools[2]):
        tool.open(name, flags='w')
    for turn, tool in enumerate(tools):
        tool.do(f'fill 0 0 {size} {turn}')
        for reader in tools:
            same(reader.do(f'check 0 0 {size} {turn}'), '0', f'turn {turn} {reader.host.name}')
    report = cluster.c.ctl_json('region', name)
    same(sorted(report['region']['homes']), ['a', 'b', 'c'], 'homes')
    same(sum(run['count'] for run in report['pages']), 512, 'pages that the homes know')


def test_small_budget_holds_a_large_region(fresh):
    """A node whose budget is an eighth of a region writes and reads all of it: pages go home."""
    cluster = fresh(hosts=2, flags_of={'b': ['--budget', '4M']})
    name, size = '/large', 32 * MIB
    home = cluster.a.tool().open(name, size)
    guest = cluster.b.tool().open(name, flags='w')
    guest.do(f'fill 0 0 {size} 1', seconds=120)
    same(home.do(f'check 0 0 {size} 1', seconds=120), '0', 'the home')
    home.do(f'fill 0 0 {size} 2', seconds=120)
    same(guest.do(f'check 0 0 {size} 2', seconds=120), '0', 'the guest')
    true(cluster.b.stats('evictions') > size // PAGE // 4, 'pages were evicted')
    resident = cluster.b.stats('pages_resident')
    true(resident <= (5 << 20) // PAGE, f'the budget is kept: {resident} pages are resident')


def test_system_calls_take_region_memory(cluster):
    """read(2) into, write(2) and send(2) from pages that are on another host."""
    name, size = cluster.name(), 200 * PAGE
    home = cluster.a.tool().open(name, size)
    guest = cluster.b.tool().open(name, flags='w')
    home.do(f'fill 0 0 {size} 7')
    path = f'{cluster.directory}/bytes'
    same(guest.do(f'syswrite 0 0 {size} {path}'), str(size), 'write(2) from absent pages')
    home.do(f'fill 0 0 {size} 8')
    same(guest.do(f'syssend 0 0 {size} 8'), '0', 'send(2) from absent pages')
    same(guest.do(f'sysread 0 0 {size} {path}'), str(size), 'read(2) into absent pages')
    same(home.do(f'check 0 0 {size} 7'), '0', 'what read(2) brought')
    os.unlink(path)


test_system_calls_take_region_memory.why_not_sigsegv = (
    'a system call on an absent page gives EFAULT with the SIGSEGV back end; dsm.h says so')


def test_vm_read_and_write_take_any_alignment(cluster):
    name = cluster.name()
    home = cluster.a.tool().open(name, 4 * PAGE)
    guest = cluster.c.tool()
    guest.do(f'open 0 {name} w 0')
    bytes_in = bytes(range(256)) * 20
    guest.do(f'vmwrite 0 {PAGE - 100} {bytes_in.hex()}')
    same(home.do(f'read 0 {PAGE - 100} {len(bytes_in)}'), bytes_in.hex(), 'by loads')
    same(home.do(f'vmread 0 {PAGE - 100} {len(bytes_in)}'), bytes_in.hex(), 'by dsm_vm_read')
    home.do(f'write 0 5 {b"abc".hex()}')
    same(guest.do('vmread 0 4 5'), (b'\0abc\0').hex(), 'what the home stored')
    guest.fails(f'vmread 0 {4 * PAGE - 3} 4', 'DSM_ERANGE')
    guest.fails(f'vmwrite 0 {4 * PAGE} 00', 'DSM_ERANGE')


def test_child_of_fork_does_not_inherit(cluster):
    """A child that touches the mapping gets SIGSEGV, and its parent goes on."""
    tool = cluster.b.tool().open(cluster.name(), PAGE)
    tool.do(f'fill 0 0 {PAGE} 1')
    same(tool.do('fork 0 0'), 'signal 11', 'the child')
    same(tool.do(f'check 0 0 {PAGE} 1'), '0', 'the parent')


def test_sparse_region_costs_only_what_is_touched(cluster):
    """A region of 4 GiB in which a page every 64 MiB is written."""
    name, size = cluster.name('sparse'), 4 << 30
    home = cluster.a.tool().open(name, size)
    guest = cluster.b.tool().open(name, flags='w')
    before = cluster.a.stats('pages_resident')
    for offset in range(0, size, 64 * MIB):
        guest.do(f'write 0 {offset} {offset.to_bytes(8, "little").hex()}')
    for offset in range(0, size, 64 * MIB):
        same(home.do(f'read 0 {offset} 8'), offset.to_bytes(8, 'little').hex(), f'at {offset}')
    true(cluster.a.stats('pages_resident') - before < 1000, 'only touched pages are kept')
