# SPDX-License-Identifier: Apache-2.0
"""Bad input: each gets an error that names the thing and says what to do; nobody else notices."""

import os
import subprocess

from cluster import ENVIRONMENT, same, true
from network import start

PAGE = 4096


def refused(host, *flags, config=None, words=(), environment=None):
    """An agent with these flags must not start; its message must hold these words."""
    argv = [host.cluster.build + '/agent/dsm-agent', '--config', config or host.config, *flags]
    agent = start(argv, host.namespace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                  env={**ENVIRONMENT, **(environment or {})}, text=True)
    try:
        said, _ = agent.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        agent.kill()
        said, _ = agent.communicate()
        raise AssertionError(f'{argv}: the agent runs: {said}') from None
    true(agent.returncode in (1, 2), f'{argv}: exit status {agent.returncode}: {said}')
    for word in words:
        true(str(word).lower() in said.lower(), f'{argv}: does not name {word}: {said}')
    return said


def config_with(host, text, name='other.ini'):
    path = f'{host.cluster.directory}/{name}'
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    return path


def own_place(host, name):
    """Flags for an agent beside the host's own: nothing of it is in the way."""
    directory = f'{host.cluster.directory}/{name}'
    os.makedirs(directory, exist_ok=True)
    return ['--listen', '127.0.0.1:7900', '--state-dir', directory, '--socket',
            f'{directory}/agent.sock']


def test_missing_and_malformed_configurations(cluster):
    host = cluster.b
    refused(host, config='/nowhere/agent.ini', words=['/nowhere/agent.ini', 'no such file'])
    path = config_with(host, 'node = b\nthis line says nothing\n')
    refused(host, config=path, words=[path, '2'])
    path = config_with(host, 'node = b\nlisten = 10.0.0.1:7400\ncolour = blue\n')
    refused(host, config=path, words=[path, '3', 'colour'])
    path = config_with(host, 'budget = lots\n')
    refused(host, config=path, words=[path, '1', 'budget', 'lots'])
    refused(host, '--listen', '10.0.0.1', words=['listen', '10.0.0.1'])
    refused(host, '--listen', '10.0.0.1:99999', words=['listen', '99999'])
    refused(host, '--read-ahead-pages', '100000', words=['read'])
    refused(host, '--node', 'no/name', words=['no/name'])
    refused(host, '--colour', 'blue', words=['colour'])
    refused(host, environment={'DSM_BUDGET': 'lots'}, words=['DSM_BUDGET', 'lots'])
    cluster.check()


def test_unreadable_and_wrong_keys(cluster):
    host = cluster.b
    place = own_place(host, 'keys')
    for setting in ('ca', 'certificate', 'key'):
        refused(host, *place, f'--{setting}', '/nowhere/file.pem', words=['/nowhere/file.pem'])
    rubbish = config_with(host, 'this is no PEM\n', 'rubbish.pem')
    for setting in ('ca', 'certificate', 'key'):
        refused(host, *place, f'--{setting}', rubbish, words=[rubbish])
    refused(host, *place, '--key', f'{cluster.a.directory}/node.key', words=['node.key'])
    refused(host, *place, '--node', 'zebra', words=['zebra', 'b'])
    unreadable = config_with(host, 'x', 'unreadable.key')
    os.chmod(unreadable, 0)
    nobody = start([cluster.build + '/agent/dsm-agent', '--config', host.config, *place, '--key',
                    unreadable, '--check-config'], host.namespace, uid=1001,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT, text=True)
    said, _ = nobody.communicate(timeout=20)
    true(nobody.returncode != 0 and 'ermission denied' in said, f'an unreadable file: {said}')
    cluster.check()


def test_addresses_and_files_in_use(cluster):
    host = cluster.b
    place = own_place(host, 'use')
    refused(host, '--socket', place[5], '--state-dir', place[3], words=['7400', 'in use'])
    refused(host, *place, '--listen', '10.96.5.5:7400', words=['10.96.5.5'])
    refused(cluster.a, *place, '--socket', cluster.a.socket, words=[cluster.a.socket])
    long_path = f'{cluster.directory}/' + 'x' * 120
    refused(host, *place, '--socket', long_path, words=['x' * 20])
    refused(cluster.a, '--listen', '127.0.0.1:7900', '--socket', place[5],
            words=[cluster.a.directory])
    cluster.check()


def test_second_agent_of_the_same_name(cluster):
    """It is refused and says who has the name; the first one does not notice."""
    host = cluster.c
    tool = cluster.b.tool().open(cluster.name(), PAGE)
    place = own_place(host, 'second')
    refused(host, *place, '--listen', f'{host.address}:7901', '--advertise',
            f'{host.address}:7901', '--config', cluster.b.config, '--node', 'b',
            words=["'b'", 'in use', cluster.b.address])
    tool.do(f'fill 0 0 {PAGE} 1')
    cluster.b.tool().open(cluster.name(), PAGE)
    cluster.check()


def test_bad_names(cluster):
    tool = cluster.b.tool()
    for name in ('region', '/', '/a/b', '/' + 'x' * 255, 'x/'):
        for command in (f'open 0 {name} wc 0600', f'unlink {name}', f'semopen 0 {name} c 0600 1',
                        f'semunlink {name}'):
            tool.fails(command, 'DSM_ENAME', name[:20])
    longest = '/' + 'x' * 254
    tool.open(longest, PAGE)
    cluster.c.tool().open(longest, flags='w')
    tool.do(f'unlink {longest}')
    tool.fails('open 0 /never-made r 0', 'DSM_ENOENT', '/never-made')
    tool.fails('unlink /never-made', 'DSM_ENOENT', '/never-made')


def test_bad_sizes_and_ranges(fresh):
    """Size 0, beyond what is allowed, maps beyond the end or askew."""
    cluster = fresh(hosts=2, flags=['--region-max', '64M'], flags_of={'a': ['--budget', '32M']})
    small = cluster.a.tool()
    small.do('open 0 /budget wc 0600')
    small.fails(f'truncate 0 {33 << 20}', 'DSM_ESIZE', 'budget')
    small.do(f'truncate 0 {31 << 20}')
    tool = cluster.b.tool()
    tool.do('open 0 /size wc 0600')
    tool.fails('truncate 0 0', 'DSM_ESIZE')
    tool.fails(f'truncate 0 {(64 << 20) + 1}', 'DSM_ESIZE', '64')
    tool.fails(f'truncate 0 {2 ** 63}', 'DSM_ESIZE')
    tool.fails(f'map 0 0 0 {PAGE} w', 'DSM_ERANGE')
    tool.do(f'truncate 0 {4 * PAGE}')
    tool.fails(f'map 0 0 0 {5 * PAGE} w', 'DSM_ERANGE', '/size')
    tool.fails(f'map 0 0 {4 * PAGE} 1 w', 'DSM_ERANGE')
    tool.fails(f'map 0 0 {2 ** 64 - PAGE} {2 * PAGE} w', 'DSM_ERANGE')
    tool.fails(f'map 0 0 100 {PAGE} w', 'DSM_EINVAL')
    tool.fails('map 0 0 0 0 w', 'DSM_EINVAL')
    tool.fails(f'map 0 0 0 {PAGE} w 0x7e0000000100', 'DSM_EINVAL')
    tool.fails('open 1 /odd wc 0600 5000', 'DSM_EINVAL')
    tool.fails('open 1 /odd wc 0600 4194304', 'DSM_EINVAL')
    tool.fails('open 1 /odd wc 0600 4096 9', 'DSM_EINVAL')
    tool.do(f'truncate 0 {64 << 20}')
    tool.do(f'map 0 0 0 {64 << 20} w')
    tool.do(f'fill 0 0 {PAGE} 1')
    same(cluster.a.tool().open('/size', flags='r', protection='r')
         .do(f'check 0 0 {PAGE} 1'), '0', 'another host')


def test_exclusive_create_of_a_taken_name(cluster):
    name = cluster.name('taken')
    cluster.a.tool().open(name, PAGE).do(f'fill 0 0 {PAGE} 1')
    for host in cluster.hosts:
        host.tool().fails(f'open 0 {name} wcx 0600', 'DSM_EEXIST', name)
    same(cluster.c.tool().open(name, flags='wc').do(f'check 0 0 {PAGE} 1'), '0', 'what is there')


def test_exclusive_create_has_one_winner(cluster):
    """Programs of all hosts race for one name: exactly one gets it, each time."""
    tools = cluster.tools(each=2)
    for _ in range(10):
        name = cluster.name('race')
        for tool in tools:
            tool.send(f'open 0 {name} wcx 0600')
        won = 0
        for tool in tools:
            try:
                tool.answer()
                won += 1
                tool.do('close 0')
            except AssertionError as error:
                same(getattr(error, 'name', str(error)), 'DSM_EEXIST', 'the losers')
        same(won, 1, 'winners')


def test_no_agent_is_named(cluster):
    tool = cluster.a.tool(connect=False)
    tool.fails(f'connect {cluster.directory}/none.sock', 'DSM_ENOAGENT')
    path = config_with(cluster.a, 'x', 'no-socket')
    tool.fails(f'connect {path}', 'DSM_ENOAGENT')
