# SPDX-License-Identifier: Apache-2.0
"""dsm-bench: what it prints, and that it leaves nothing behind, also when it is interrupted."""

import glob
import json
import signal
import subprocess

from cluster import ENVIRONMENT, same, true
from network import start, wait_for

KEYS = {'op', 'pinning', 'median', 'p99', 'limit', 'ratio', 'unit', 'messages_per_op'}


def bench(build, *words, namespace=None):
    process = start([build + '/tests/dsm-bench', *words], namespace, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, env=ENVIRONMENT, text=True)
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


def remains():
    """What a benchmark leaves: its directories, and the words of each process that works in one.

    By name: a process may end at any time, so what it was told is read once and kept."""
    found = {path: '' for path in glob.glob('/tmp/dsm-bench-*')}
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            with open(path, encoding='utf-8', errors='replace') as file:
                words = file.read()
        except OSError:
            continue
        if '/tmp/dsm-bench-' in words:
            found[path] = words
    return found


def left_since(before):
    return {name: words for name, words in remains().items() if name not in before}


def check_lines(out, op):
    lines = [json.loads(line) for line in out.strip().split('\n')]
    for line in lines:
        true(KEYS <= set(line), f'keys of {line}')
        true(line['median'] > 0 and line['limit'] > 0 and line['p99'] >= line['median'], line)
    same(sorted({line['op'] for line in lines if line['op'] == op}), [op], 'operation')
    return lines


def test_local_hosts_come_and_go(cluster):
    """--local --json needs nothing before it; a clean miss is READ, DATA and the late CONFIRM."""
    before = remains()
    status, out, errors = bench(cluster.build, '--local', '--json', 'fault')
    same(status, 0, errors)
    lines = check_lines(out, 'fault')
    same([line['pinning'] for line in lines], ['1cpu', '2cpu', 'none'], 'pinnings')
    for line in lines:
        same(line['unit'], 'us', 'unit')
        true(2.9 <= line['messages_per_op'] <= 3.1, f'messages of a clean miss: {line}')
    same(left_since(before), {}, 'what is left behind')


def test_given_agents_are_measured(fresh):
    """Two agents that run already, by their sockets; the limit goes over the same path."""
    cluster = fresh(hosts=2)
    status, out, errors = bench(cluster.build, '--socket-a', cluster.a.socket, '--socket-b',
                                cluster.b.socket, '--pin', '1cpu', '--json', 'upgrade', 'lock',
                                'lock-alone')
    same(status, 0, errors)
    lines = check_lines(out, 'upgrade')
    same([line['op'] for line in lines], ['upgrade', 'lock', 'lock-alone'], 'operations')
    true(lines[0]['messages_per_op'] <= 4.1, f'an upgrade with one reader: {lines[0]}')
    regions = cluster.a.ctl_json('regions')['regions']
    same([region['name'] for region in regions], [], 'regions left behind')


def test_interrupted_benchmark_cleans_up(cluster):
    before = remains()
    process = start([cluster.build + '/tests/dsm-bench', '--local', '--rounds', '60', 'all'],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    wait_for(lambda: any('agent.ini' in words for words in left_since(before).values()),
             'its agents run')
    process.send_signal(signal.SIGINT)
    true(process.wait(30) != 0, 'the exit status tells that it was interrupted')
    wait_for(lambda: not left_since(before), 'everything is taken down')


def test_wrong_usage_is_told(cluster):
    for words, text in ((['fault'], '--local'), (['--local', 'dance'], 'dance'),
                        (['--local', '--pin', '9cpu', 'fault'], '9cpu'),
                        (['--local', '--rounds', '1', 'fault'], 'rounds'),
                        (['--socket-a', '/x', 'fault'], 'socket-b'), ([], 'operation')):
        status, _, errors = bench(cluster.build, *words)
        same(status, 2, f'exit status of {words}')
        true(text in errors, f'{words}: {errors}')
