#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts single test cases of several runs and ends with `N passed, N failed`.

    count.py NAME=LOG.json ... NAME=passed|failed ...

LOG.json is meson's (one JSON object a line). A cmocka program counts as its cases, as its own last
lines say; a runner that ends with `N passed, N failed` likewise; anything else is one case. A
program that died, or said nothing of its cases, is a failure: no log can be read as fewer
failures than there are.
"""

import json
import re
import sys

PLAIN = re.compile(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$', re.M)
CMOCKA_RUN = re.compile(r'^\[=+\] (?:\S+: )?(\d+) test\(s\) run\.', re.M)
CMOCKA_PASSED = re.compile(r'^\[\s*PASSED\s*\] (\d+) test\(s\)\.', re.M)
SKIPPED = 77  # exit status of a program that cannot test here at all, as meson takes it
CMOCKA_SKIPPED = re.compile(r'^\[\s*SKIPPED\s*\] (?:\S+: )?(\d+) test\(s\)', re.M)


def count_output(text, returncode):
    """(passed, failed, skipped) of one program."""
    if returncode == SKIPPED and not CMOCKA_RUN.search(text):
        return 0, 0, 1
    plain = PLAIN.findall(text)
    if plain:
        passed, failed, skipped = (int(number or 0) for number in plain[-1])
    elif CMOCKA_RUN.search(text):
        run = sum(int(number) for number in CMOCKA_RUN.findall(text))
        passed = sum(int(number) for number in CMOCKA_PASSED.findall(text))
        skipped = sum(int(number) for number in CMOCKA_SKIPPED.findall(text))
        failed = run - passed - skipped
    else:
        passed, failed, skipped = (1, 0, 0) if returncode == 0 else (0, 1, 0)
    if returncode != 0 and failed == 0:
        failed = 1
    return passed, failed, skipped


def count_log(path):
    """(passed, failed, skipped) of one run of meson's."""
    total = [0, 0, 0]
    with open(path, encoding='utf-8') as log:
        for line in log:
            entry = json.loads(line)
            text = entry.get('stdout', '') + '\n' + entry.get('stderr', '')
            counts = count_output(text, entry['returncode'])
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                print(f'  {entry["name"]}: {counts[1]} failed')
    return tuple(total)


def count(argument):
    name, _, what = argument.partition('=')
    if what in ('passed', 'failed'):
        return name, (int(what == 'passed'), int(what == 'failed'), 0)
    try:
        counts = count_log(what)
    except (OSError, ValueError) as error:
        print(f'  {name}: {error}')
        return name, (0, 1, 0)
    return name, counts if any(counts) else (0, 1, 0)


def main(arguments):
    passed = failed = skipped = 0
    for argument in arguments:
        name, counts = count(argument)
        print(f'{name}: {counts[0]} passed, {counts[1]} failed'
              + (f', {counts[2]} skipped' if counts[2] else ''))
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    tail = f', {skipped} skipped' if skipped else ''
    print(f'{passed} passed, {failed} failed{tail}')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
