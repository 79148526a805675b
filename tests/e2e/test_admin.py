# SPDX-License-Identifier: Apache-2.0
"""dsmctl against a running cluster: tables, JSON, exit codes; and the agent's own flags."""

import json
import subprocess

from cluster import ENVIRONMENT, same, true
from network import start

PAGE = 4096


def test_status_nodes_and_stats(cluster):
    status = cluster.b.ctl_json('status')
    same(status['node'], 'b', 'node')
    same(status['members'], 3, 'members')
    true(status['keeper']['available'], 'the keeper is there')
    nodes = cluster.b.ctl_json('nodes')['nodes']
    same(sorted(node['name'] for node in nodes if node['alive']), ['a', 'b', 'c'], 'nodes')
    same([node['self'] for node in nodes if node['name'] == 'b'], [True], 'self')
    for word in ('a', 'b', 'c', '10.97.0.3:7400', 'up'):
        true(word in cluster.b.ctl('nodes'), f'the table of nodes shows {word}')
    tool = cluster.b.tool().open(cluster.name(), 4 * PAGE)
    before = cluster.b.ctl_json('stats')['counters']['faults']
    tool.do(f'fill 0 0 {4 * PAGE} 1')
    true(cluster.b.ctl_json('stats')['counters']['faults'] > before, 'faults are counted')
    same(len(cluster.b.ctl_json('stats', '--all')['nodes']), 3, 'nodes in stats --all')


def test_region_shows_owner_and_readers(cluster):
    """The map of a region says who owns which pages and who has copies."""
    name = cluster.name('shown')
    home = cluster.a.tool().open(name, 32 * PAGE)
    writer = cluster.b.tool().open(name, flags='w')
    home.do(f'fill 0 0 {32 * PAGE} 1')
    for page in (8, 15, 20):
        writer.do(f'write 0 {page * PAGE} ff')
    report = cluster.c.ctl_json('region', name)
    same(report['region']['size_bytes'], 32 * PAGE, 'size')
    owners = {}
    for run in report['pages']:
        for page in range(run['page'], run['page'] + run['count']):
            owners[page] = run['owner']
    same([owners[page] for page in (0, 7, 8, 12, 15, 20, 31)],
         ['a', 'a', 'b', 'a', 'b', 'b', 'a'], 'owners')
    table = cluster.c.ctl('region', name)
    true(name in table and 'b' in table, f'the table: {table}')
    listed = cluster.c.ctl_json('regions')['regions']
    same([one['size_bytes'] for one in listed if one['name'] == name], [32 * PAGE], 'regions')
    true(name in cluster.c.ctl('regions'), 'the table of regions')


def test_rm_and_sems(cluster):
    name = cluster.name('removed')
    tool = cluster.a.tool().open(name, PAGE)
    tool.do(f'semopen 0 {name} c 0600 4')
    true(name in cluster.b.ctl('sems'), 'the table of semaphores')
    cluster.b.ctl('rm', name)
    tool.fails(f'open 1 {name} w 0', 'DSM_ENOENT')
    tool.do('semvalue 0')
    cluster.b.ctl('rm', name, '--sem')
    tool.fails(f'semopen 1 {name} r 0 0', 'DSM_ENOENT')
    true(name in cluster.b.ctl('rm', name, status=1), 'the error names the region')
    true(name in cluster.b.ctl('region', name, status=1), 'the error names the region')
    tool.do(f'fill 0 0 {PAGE} 1')


def test_exit_codes_and_help(cluster):
    true('Usage' in cluster.a.ctl('--help', session=False), 'help')
    for command in ('init', 'node add', 'status', 'nodes', 'regions', 'region', 'rm', 'stats',
                    'doctor'):
        true('Usage' in cluster.a.ctl(*command.split(), '--help', session=False), command)
    cluster.a.ctl('dance', status=2)
    cluster.a.ctl('region', status=2)
    cluster.a.ctl('status', '--colour', status=2)
    text = cluster.a.ctl('status', '--socket', '/nowhere/agent.sock', session=False, status=3)
    true('/nowhere/agent.sock' in text, f'the error names the socket: {text}')


def test_doctor_finds_what_is_wrong(cluster):
    report = json.loads(cluster.b.ctl('doctor', '--config', cluster.b.config, '--json',
                                      status=None))
    checks = report['checks'] if isinstance(report, dict) else report
    same([check for check in checks if str(check.get('result', check.get('state',
          check.get('status')))).lower() == 'fail'], [], 'failures on a good host')
    broken = f'{cluster.b.directory}/broken.ini'
    with open(cluster.b.config, encoding='utf-8') as file:
        text = file.read()
    with open(broken, 'w', encoding='utf-8') as file:
        file.write(text.replace('node.crt', 'none.crt'))
    said = cluster.b.ctl('doctor', '--config', broken, status=4)
    true('none.crt' in said and 'FAIL' in said, f'doctor names the file: {said}')


def test_init_and_node_add_overwrite_nothing(cluster):
    text = cluster.a.ctl('init', cluster.a.directory, '--name', 'a', session=False, status=1)
    true(cluster.a.directory in text, f'the error names the directory: {text}')
    cluster.a.ctl('node', 'add', 'x', '--config', '/nowhere', '--out',
                  f'{cluster.directory}/x', session=False, status=1)
    cluster.a.ctl('node', 'add', 'no/name', '--config', cluster.a.directory, '--out',
                  f'{cluster.directory}/x', session=False, status=2)


def test_printed_configuration_can_be_read_again(cluster):
    def printed(config):
        process = start([cluster.build + '/agent/dsm-agent', '--config', config,
                         '--print-config'], cluster.b.namespace, stdout=subprocess.PIPE,
                        env=ENVIRONMENT, text=True)
        text, _ = process.communicate(timeout=20)
        same(process.returncode, 0, text)
        return text

    first = printed(cluster.b.config)
    path = f'{cluster.directory}/printed.ini'
    with open(path, 'w', encoding='utf-8') as file:
        file.write(first)
    same(printed(path), first, 'the configuration that was printed')
