# SPDX-License-Identifier: Apache-2.0
"""Programs and agents that die, and what the others see of it."""

import os
import signal
import socket

from cluster import ToolDied, ToolError, same, true
from network import Failure, wait_for

PAGE = 4096
SIGNALS = (signal.SIGSEGV, signal.SIGBUS)


def region(cluster, tools, size=PAGE, owner=0, name=None):
    name = name or cluster.name('death')
    tools[owner].open(name, size)
    for tool in tools:
        if tool is not tools[owner]:
            tool.open(name, flags='w')
    return name


def wait_fenced(tool):
    """The watchdog needs a moment; until then a program may still read what it has, never zeros."""
    def fenced():
        with open(f'/proc/{tool.process.pid}/maps', encoding='utf-8') as maps:
            return 'memfd:dsm:' not in maps.read()

    wait_for(lambda: 'is fenced' in tool.stderr(), 'the program says that it is fenced')
    wait_for(fenced, 'its mappings are fenced')


def test_killed_holder_of_a_lock_leaves_it_to_the_next(cluster):
    """The next one gets the lock and is told, whether it waited already or comes later."""
    holder, waiter, late = cluster.b.tool(), cluster.c.tool(), cluster.a.tool()
    region(cluster, [late, holder, waiter])
    holder.do('lock 0 8 0')
    holder.do('lock 0 16 0')
    waiter.send('lock 0 8 30000')
    late.fails('lock 0 8 0', 'DSM_EAGAIN')
    holder.kill()
    try:
        waiter.answer()
        raise Failure('the lock should come with DSM_EOWNERDEAD')
    except ToolError as error:
        same(error.name, 'DSM_EOWNERDEAD', 'what the waiter is told')
    late.fails('lock 0 16 5000', 'DSM_EOWNERDEAD')
    waiter.do('unlock 0 8')
    late.do('lock 0 8 5000')
    late.do('unlock 0 16')
    waiter.do('lock 0 16 5000')


def test_killed_waiters_do_not_take(cluster):
    """What a program waited for when it died goes to the next one that waits."""
    name = cluster.name('sem')
    killed, waiter, poster = cluster.b.tool(), cluster.c.tool(), cluster.a.tool()
    region(cluster, [poster, killed, waiter])
    poster.do(f'semopen 0 {name} c 0600 0')
    for tool in (killed, waiter):
        tool.do(f'semopen 0 {name} r 0 0')
    poster.do('lock 0 8 0')
    other = cluster.b.tool().open(cluster.name('probe'), PAGE)
    killed.send('semwait 0 -1')
    other.do('lock 0 0 0')  # by then the wait of the same host has reached its home
    waiter.send('semwait 0 -1')
    killed.kill()
    wait_for(lambda: cluster.b.ctl_json('status')['clients'] <= 2, 'the agent saw it die')
    poster.do('sempost 0')
    waiter.answer()
    second = cluster.b.tool()
    second.do(f'semopen 0 {name} r 0 0')
    second.send('semwait 0 -1')
    second.kill()
    wait_for(lambda: cluster.b.ctl_json('status')['clients'] <= 2, 'the agent saw it die')
    poster.do('sempost 0')
    waiter.do('semwait 0 10000')


def test_killed_party_of_a_barrier_does_not_count(cluster):
    killed, second, third = cluster.b.tool(), cluster.c.tool(), cluster.a.tool()
    region(cluster, [third, killed, second])
    killed.send('barrier 0 8 2 -1')
    wait_for(lambda: not killed.has_answer(), 'it waits')
    killed.kill()
    wait_for(lambda: cluster.b.ctl_json('status')['clients'] == 1, 'the agent saw it die')
    second.fails('barrier 0 8 2 200', 'DSM_ETIMEDOUT')
    second.send('barrier 0 8 2 10000')
    third.do('barrier 0 8 2 10000')
    second.answer()


def test_killed_writer_leaves_its_dirty_pages(cluster):
    """What a killed program wrote is on its node, for all nodes."""
    writer, home, other = cluster.b.tool(), cluster.a.tool(), cluster.c.tool()
    name = region(cluster, [home, writer, other], 64 * PAGE)
    writer.do(f'fill 0 0 {64 * PAGE} 3')
    writer.kill()
    same(other.do(f'check 0 0 {32 * PAGE} 3'), '0', 'another host')
    same(home.do(f'check 0 0 {64 * PAGE} 3'), '0', 'the home')
    again = cluster.b.tool().open(name, flags='w')
    same(again.do(f'check 0 0 {64 * PAGE} 3'), '0', 'a new program on its host')
    again.do(f'fill 0 0 {64 * PAGE} 4')
    same(other.do(f'check 0 0 {64 * PAGE} 4'), '0', 'another host, later')


def test_program_killed_in_the_midst_of_faults(cluster):
    """Programs are killed while they fault and write; what others share stays coherent."""
    size = 1024 * PAGE
    home, other = cluster.a.tool(), cluster.c.tool()
    name = region(cluster, [home, other], size)
    for turn in range(5):
        home.do(f'fill 0 0 {size} {turn}')
        victim = cluster.b.tool().open(name, flags='w')
        victim.send(f'check 0 0 {size} {turn}' if turn % 2 else f'fill 0 0 {size} {turn}')
        start = cluster.b.stats('faults')
        wait_for(lambda: cluster.b.stats('faults') > start or victim.has_answer(), 'it faults')
        victim.kill()
        same(other.do(f'check 0 0 {size} {turn}'), '0', f'turn {turn}')


def killed_agent(fresh):
    """Three hosts; b's agent will be killed. Regions with their home on a."""
    cluster = fresh(flags=['--lease-ms', '1500'])
    tools = [host.tool() for host in cluster.hosts]
    return cluster, tools


def test_killed_agent_fences_its_programs_and_no_others(fresh):
    """Its programs get a signal and a message that names the region; the others go on; pages whose
    only copy it had are SIGBUS for them, and their agent names region, page and node."""
    cluster, (on_a, on_b, on_c) = killed_agent(fresh)
    region(cluster, [on_a, on_b, on_c], 64 * PAGE, name='/victim')
    on_a.do(f'fill 0 0 {64 * PAGE} 1')
    same(on_c.do(f'check 0 0 {64 * PAGE} 1'), '0', 'c has read all')
    same(on_b.do(f'check 0 0 {64 * PAGE} 1'), '0', 'b has read all')
    on_b.do(f'fill 0 {7 * PAGE} {PAGE} 2')
    on_b.do('lock 0 8 0')
    cluster.b.end_agent(signal.SIGKILL)
    wait_fenced(on_b)
    number, said = on_b.dies(f'check 0 0 {PAGE} 1')
    true(number in SIGNALS, f'the signal is {number}')
    true('/victim' in said and "'b'" in said, f'the message names region and node: {said}')
    cluster.a.wait_log(r'declared dead name=b', 'the keeper declares b dead')
    same(on_c.do(f'check 0 0 {7 * PAGE} 1'), '0', 'pages that others have')
    on_c.do(f'fill 0 {20 * PAGE} {PAGE} 5')
    same(on_a.do(f'check 0 {20 * PAGE} {PAGE} 5'), '0', 'the others go on')
    try:
        on_c.do('lock 0 8 20000')
        raise Failure('the dead node\'s lock should come with DSM_EOWNERDEAD')
    except ToolError as error:
        same(error.name, 'DSM_EOWNERDEAD', 'the lock that a program of b held')
    on_c.fails(f'vmread 0 {7 * PAGE} 16', 'DSM_EDOWN')
    number, _ = on_c.dies(f'read 0 {7 * PAGE} 8')
    same(number, signal.SIGBUS, 'the page whose only copy died')
    cluster.c.wait_log(r'page lost region=/victim page=7 .*node=b', 'the log names the page')
    cluster.hosts[1].agent = None


def test_killed_agent_comes_back(fresh):
    """A restarted agent joins again; programs can use old and new regions."""
    cluster, (on_a, _, on_c) = killed_agent(fresh)
    region(cluster, [on_a, on_c], 8 * PAGE, name='/stays')
    on_a.do(f'fill 0 0 {8 * PAGE} 1')
    cluster.b.end_agent(signal.SIGKILL)
    cluster.start(cluster.b)
    cluster.b.wait_ready()
    again = cluster.b.tool().open('/stays', flags='w')
    same(again.do(f'check 0 0 {8 * PAGE} 1'), '0', 'after the restart')
    again.do(f'fill 0 0 {8 * PAGE} 2')
    same(on_c.do(f'check 0 0 {8 * PAGE} 2'), '0', 'another host')
    cluster.b.tool().open('/new', PAGE).do(f'fill 0 0 {PAGE} 1')


def test_region_whose_home_died_says_so(fresh):
    """A region that was made on the dead node: no call hangs, each says that the node is lost."""
    cluster, (on_a, on_b, on_c) = killed_agent(fresh)
    on_b.open('/gone', 16 * PAGE)
    on_c.open('/gone', flags='w')
    on_a.open('/other', PAGE)
    on_b.do(f'fill 0 0 {16 * PAGE} 1')
    cluster.b.end_agent(signal.SIGKILL)
    cluster.hosts[1].agent = None
    cluster.a.wait_log(r'declared dead name=b', 'the keeper declares b dead')
    on_c.fails('vmread 0 0 8', 'DSM_EDOWN')
    on_c.fails('fetchadd 0 0 1', 'DSM_EDOWN')
    on_c.fails('lock 0 0 20000', 'DSM_EDOWN')
    on_a.do(f'fill 0 0 {PAGE} 2')
    same(on_a.do(f'check 0 0 {PAGE} 2'), '0', 'another region')
    number, _ = on_c.dies('read 0 0 8')
    same(number, signal.SIGBUS, 'a load from the lost page')


def test_keeper_down_mapped_regions_go_on(fresh):
    """Without the keeper, what is mapped works, opening says what is the matter; its restart loses
    nothing."""
    cluster = fresh()
    on_b, on_c = cluster.b.tool(), cluster.c.tool()
    region(cluster, [on_b, on_c], 32 * PAGE, name='/kept')
    on_b.do('semopen 0 /kept-sem c 0600 3')
    on_b.do(f'fill 0 0 {32 * PAGE} 1')
    cluster.a.end_agent(signal.SIGKILL)
    same(on_c.do(f'check 0 0 {32 * PAGE} 1'), '0', 'reading without the keeper')
    on_c.do(f'fill 0 0 {32 * PAGE} 2')
    on_c.do('lock 0 8 5000')
    same(on_b.do(f'check 0 0 {32 * PAGE} 2'), '0', 'writing without the keeper')
    text = on_b.fails('open 1 /another wc 0600', 'DSM_EKEEPER')
    true('keeper' in text.lower(), f'the sentence names the keeper: {text}')
    cluster.start(cluster.a)
    cluster.a.wait_ready()
    cluster.b.wait_ready()
    on_b.open('/another', PAGE, slot=1)
    same(on_c.do(f'check 0 0 {32 * PAGE} 2'), '0', 'after the restart')
    again = cluster.a.tool().open('/kept', flags='w')
    same(again.do(f'check 0 0 {32 * PAGE} 2'), '0', 'the keeper\'s own programs')
    again.do('semopen 0 /kept-sem r 0 0')
    same(cluster.a.ctl_json('status')['members'], 3, 'members')


def test_stopped_agent_leaves_in_good_order(fresh):
    """SIGTERM: exit status 0, systemd is told, and the others need not wait for a lease."""
    cluster = fresh(start_all=False, flags=['--lease-ms', '60000'])
    path = f'{cluster.directory}/notify'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        for host in cluster.hosts:
            cluster.start(host, environment={'NOTIFY_SOCKET': path} if host.name == 'b' else None)
        said = ''
        while 'READY=1' not in said.split('\n'):
            said = notify.recv(4096).decode()
        for host in cluster.hosts:
            host.wait_ready()
        cluster.wait_linked()
        on_a, on_c = cluster.a.tool(), cluster.c.tool()
        region(cluster, [on_a, on_c], 8 * PAGE, name='/stays')
        cluster.b.tool().open('/stays', flags='w').do(f'fill 0 0 {8 * PAGE} 3')
        cluster.b.close_tools()
        same(cluster.b.end_agent(), 0, 'exit status')
        while 'STOPPING=1' not in said.split('\n'):
            said = notify.recv(4096).decode()
    true(not os.path.exists(cluster.b.socket), 'the socket is removed')

    def dead():
        nodes = cluster.a.ctl_json('nodes')['nodes']
        return [node for node in nodes if node['name'] == 'b' and not node['alive']]

    wait_for(dead, 'b is no member any more, long before its lease ends')
    same(on_a.do(f'check 0 0 {8 * PAGE} 3'), '0', 'what only b had went home before')
    on_a.do(f'fill 0 0 {8 * PAGE} 4')
    same(on_c.do(f'check 0 0 {8 * PAGE} 4'), '0', 'the others')
    cluster.hosts[1].agent = None


def test_stopped_agent_fences_its_programs(fresh):
    """Also after a stop in good order a program never reads zeros."""
    cluster = fresh(hosts=2)
    tool = cluster.b.tool().open('/stop', PAGE)
    tool.do(f'fill 0 0 {PAGE} 1')
    same(cluster.b.end_agent(), 0, 'exit status')
    cluster.hosts[1].agent = None
    wait_fenced(tool)
    try:
        tool.do(f'zeros 0 0 {PAGE}')
        raise Failure('the mapping should be fenced')
    except ToolDied as death:
        true(-death.status in SIGNALS and '/stop' in death.stderr, f'{death}')


def test_cut_off_agent_is_declared_dead_and_stops(fresh):
    """A node whose cable is pulled: the others go on without it; when it is back it is told that it
    was declared dead, and its programs are fenced rather than left with old copies."""
    cluster, (on_a, on_b, on_c) = killed_agent(fresh)
    region(cluster, [on_a, on_b, on_c], 8 * PAGE, name='/cut')
    on_a.do(f'fill 0 0 {8 * PAGE} 1')
    same(on_b.do(f'check 0 0 {8 * PAGE} 1'), '0', 'b has copies')
    cluster.network.bridge.ip('link set port2 down')
    cluster.a.wait_log(r'declared dead name=b', 'the keeper declares b dead')
    on_c.do(f'fill 0 0 {8 * PAGE} 2')
    same(on_a.do(f'check 0 0 {8 * PAGE} 2'), '0', 'the others go on')
    cluster.network.bridge.ip('link set port2 up')
    wait_for(lambda: cluster.b.agent.poll() is not None, 'b is told and stops', 60)
    true('declared dead' in cluster.b.log(), f'its log says why: {cluster.b.log()}')
    wait_fenced(on_b)
    number, said = on_b.dies(f'check 0 0 {8 * PAGE} 1')
    true(number in SIGNALS and '/cut' in said, f'its program is fenced: {number} {said}')
    cluster.start(cluster.b)
    cluster.b.wait_ready()
    again = cluster.b.tool().open('/cut', flags='w')
    same(again.do(f'check 0 0 {8 * PAGE} 2'), '0', 'after its restart')
