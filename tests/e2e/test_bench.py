# SPDX-License-Identifier: Apache-2.0
"""dsm-bench: what it prints, and that it leaves nothing behind, also when it is interrupted."""

import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile

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


def check_report(directory):
    """The three parts of a report; returns its results."""
    with open(f'{directory}/results.json', encoding='utf-8') as file:
        report = json.load(file)
    with open(f'{directory}/report.txt', encoding='utf-8') as file:
        text = file.read()
    for result in report['results']:
        true(KEYS <= set(result) and len(result['quantiles']) == 101, f'keys of {result}')
        true(f'\n{result["op"]}: {result["what"]}\n' in text, f'{result["op"]} in the text')
    true(report['machine']['cipher'].startswith('TLS_'), f'cipher of {report["machine"]}')
    true('TARGETS' in text and report['machine']['kernel'] in text, text)
    for path in glob.glob(f'{directory}/*.png'):
        with open(path, 'rb') as file:
            same(file.read(8), b'\x89PNG\r\n\x1a\n', path)
    return report['results']


def test_report_tells_what_was_measured(cluster):
    """Text, results and plots; and the same text again from the results."""
    before = remains()
    with tempfile.TemporaryDirectory() as directory:
        status, _, errors = bench(cluster.build, 'report', '--quick', '--out', directory, 'fault',
                                  'upgrade', 'memcpy', 'redis-get-4k')
        same(status, 0, errors)
        results = check_report(directory)
        places = [(result['op'], result['pinning']) for result in results]
        for op in ('fault', 'upgrade', 'memcpy'):
            true((op, '1cpu') in places and (op, '2cpu') in places, f'{op} in {places}')
        if shutil.which('gnuplot'):
            for name in ('latency_1cpu', 'latency_2cpu', 'targets'):
                for ending in ('png', 'svg'):
                    true(os.path.exists(f'{directory}/{name}.{ending}'), f'{name}.{ending}')
        with open(f'{directory}/report.txt', encoding='utf-8') as file:
            text = file.read()
        again = f'{directory}/again'
        status, _, errors = bench(cluster.build, 'report', '--from', f'{directory}/results.json',
                                  '--out', again)
        same(status, 0, errors)
        with open(f'{again}/report.txt', encoding='utf-8') as file:
            same(file.read(), text, 'the text of the same results')
    same(left_since(before), {}, 'what is left behind')


def test_interrupted_report_keeps_what_it_has(cluster):
    before = remains()
    with tempfile.TemporaryDirectory() as directory:
        process = start([cluster.build + '/tests/dsm-bench', 'report', '--out', directory,
                         '--rounds', '60', 'handoff', 'barrier', 'fault'],
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        wait_for(lambda: os.path.exists(f'{directory}/results.json'), 'a first result')
        process.send_signal(signal.SIGINT)
        same(process.wait(30), 1, 'exit status')
        true(len(check_report(directory)) > 0, 'results')
    wait_for(lambda: not left_since(before), 'everything is taken down')


def test_wrong_usage_is_told(cluster):
    for words, text in ((['fault'], '--local'), (['--local', 'dance'], 'dance'),
                        (['--local', '--pin', '9cpu', 'fault'], '9cpu'),
                        (['--local', '--rounds', '1', 'fault'], 'rounds'),
                        (['--socket-a', '/x', 'fault'], 'socket-b'), ([], 'operation'),
                        (['report', 'dance'], 'dance'), (['report', '--rounds', '1'], 'rounds')):
        status, _, errors = bench(cluster.build, *words)
        same(status, 2, f'exit status of {words}')
        true(text in errors, f'{words}: {errors}')
