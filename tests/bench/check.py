#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsm-bench measures every operation on two hosts of its own and prints what it promises.

    check.py DSM_BENCH

Speed is not judged: machines are shared and noisy. What is counted is: messages per operation.
"""

import json
import subprocess
import sys

OPERATIONS = ['fault', 'fault-busy', 'dirty', 'stream', 'hit', 'upgrade', 'pingpong', 'lock',
              'barrier', 'counter', 'fault-64k', 'fault-2m', 'stream-64k', 'stream-2m', 'sealed',
              'sealed-not', 'sealed-sends', 'barrier-crowd', 'counter-crowd']
TYPES = ['u8', 'u16', 'u32', 'u64', 'f32', 'f64', 'pixel', 'odd']
KEYS = {'op', 'pinning', 'median', 'p99', 'limit', 'ratio', 'unit', 'messages_per_op'}


def check_convert(program):
    """Sentences on `dsm-bench convert`: a line for each type, in the caches and in memory."""
    done = subprocess.run([program, 'convert', '--json', '--rounds', '5'], stdout=subprocess.PIPE,
                          timeout=200, check=False)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    wrong = [] if done.returncode == 0 else [f'convert: exit status {done.returncode}']
    rows = [(line['type'], line['in']) for line in lines]
    if rows != [(name, place) for place in ('cache', 'memory') for name in TYPES]:
        wrong.append(f'convert measures {rows}')
    for line in lines:
        print(json.dumps(line))
        is_converted = line['type'] != 'u8'
        if line['memcpy'] <= 0 or line['xdr'] < 0 or (line['convert'] > 0) != is_converted:
            wrong.append(f'convert is implausible: {line}')
        if ('of_memcpy' in line) != is_converted or ('of_xdr' in line) != (line['xdr'] > 0):
            wrong.append(f'convert has ratios where it has no speeds, or none: {line}')
    if subprocess.run([program, 'convert', '--rounds', '4'], stderr=subprocess.DEVNULL,
                      check=False).returncode != 2:
        wrong.append('convert takes too few rounds')
    return wrong


def is_tail(line):
    """Is the p99 on the side of what is worse? The median is that of rounds, so it may lie a bit
    on the other one."""
    if line['more_is_better']:
        return 0 < line['p99'] <= line['median'] * 2
    return line['p99'] >= line['median'] * 0.5


def main(program):
    done = subprocess.run([program, '--local', '--json', '--pin', 'none', 'all'],
                          stdout=subprocess.PIPE, timeout=500, check=False)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    by_name = {line['op']: line for line in lines}
    wrong = [] if done.returncode == 0 else [f'exit status {done.returncode}']
    for name in OPERATIONS:
        line = by_name.get(name)
        if line is None:
            wrong.append(f'{name} is missing')
        elif not KEYS <= line.keys():
            wrong.append(f'{name} has no {sorted(KEYS - line.keys())}')
        elif line['median'] <= 0 or line['limit'] <= 0 or not is_tail(line):
            wrong.append(f'{name} is implausible: {line}')
    # Pages in runs: what is read or written in order takes a few messages for each MiB.
    for name, bound in (('stream', 0.05), ('stream-back', 0.1), ('stream-column', 0.3),
                        ('stream-hint', 0.25), ('stream-write', 0.05), ('stream-rewrite', 0.05),
                        ('sealed', 0.05), ('sealed-not', 0.05), ('second-toucher', 0)):
        if by_name.get(name, {}).get('messages_per_op', 0) > bound:
            wrong.append(f'{name}: {by_name[name]["messages_per_op"]} messages a page')
    # READ and DATA, and the CONFIRM that nobody waits for; a lock and its unlock are four.
    for name, bound in (('fault', 3.1), ('fault-64k', 3.1), ('fault-2m', 3.1), ('upgrade', 3.1),
                        ('pingpong', 4.1), ('barrier', 4.1), ('barrier-crowd', 4.1),
                        ('counter', 1.4)):
        if by_name.get(name, {}).get('messages_per_op', 0) > bound:
            wrong.append(f'{name}: {by_name[name]["messages_per_op"]} messages an operation')
    if by_name.get('sealed-sends', {}).get('median', 0) > 2:
        wrong.append('a host sends pages of a sealed region more than twice')
    wrong += check_convert(program)
    for line in lines:
        print(json.dumps(line))
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
