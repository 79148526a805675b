#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsm-bench measures every operation on two hosts of its own and prints what it promises.

    check.py DSM_BENCH

Speed is not judged: machines are shared and noisy. What is counted is: messages per operation.
"""

import json
import subprocess
import sys

OPERATIONS = ['fault', 'stream', 'hit', 'upgrade', 'pingpong', 'lock', 'barrier']
KEYS = {'op', 'pinning', 'median', 'p99', 'limit', 'ratio', 'unit', 'messages_per_op'}


def main(program):
    done = subprocess.run([program, '--local', '--json', '--pin', 'none', 'all'],
                          stdout=subprocess.PIPE, timeout=400, check=False)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    by_name = {line['op']: line for line in lines}
    wrong = [] if done.returncode == 0 else [f'exit status {done.returncode}']
    for name in OPERATIONS:
        line = by_name.get(name)
        if line is None:
            wrong.append(f'{name} is missing')
        elif not KEYS <= line.keys():
            wrong.append(f'{name} has no {sorted(KEYS - line.keys())}')
        elif line['median'] <= 0 or line['limit'] <= 0 or line['p99'] < line['median'] * 0.5:
            wrong.append(f'{name} is implausible: {line}')
    # READ and DATA, and the CONFIRM that nobody waits for; a lock and its unlock are four.
    for name, bound in (('fault', 3.1), ('upgrade', 3.1), ('pingpong', 4.1), ('barrier', 4.1)):
        if by_name.get(name, {}).get('messages_per_op', 0) > bound:
            wrong.append(f'{name}: {by_name[name]["messages_per_op"]} messages an operation')
    for line in lines:
        print(json.dumps(line))
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
