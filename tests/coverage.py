#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tells how much of dsm/core and net the tests of a -Db_coverage=true build have reached.

    coverage.py BUILD [--list]

Prints lines and branches for each file, with --list also each place of dsm/core that was not
reached, the branches by function and with the reason. Branches of assertions do not count: they
are there never to be taken. Fails when less than all lines or 95 % of the branches of dsm/core
were reached, but for the lines that tests/coverage_excluded.txt lists with a reason; when a
function has a branch that was not reached and no reason in tests/coverage_branches.txt; and when
a list names what is not there, or a line that was reached. Branches that only some orders of
events take may be reached at one time and not at another: such a reason is only told of.
"""

import argparse
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXCLUDED = os.path.join(ROOT, 'tests', 'coverage_excluded.txt')
BRANCHES = os.path.join(ROOT, 'tests', 'coverage_branches.txt')
ASSERTION = r'.*assert\('
BRANCHES_MIN = 0.95


def read_gcovr(build):
    command = ['gcovr', '-r', ROOT, '--object-directory', build, '-f', ROOT + '/dsm/core/', '-f',
               ROOT + '/net/', '--exclude-branches-by-pattern', ASSERTION, '--json']
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)['files']


def read_reasons(path):
    """{place: reason}; a place is a tuple of what the head of the file says, one a line."""
    places = {}
    with open(path, encoding='utf-8') as file:
        for line in file:
            line = line.rstrip('\n')
            if line and not line.startswith('#'):
                place, reason = line.split(' -- ')
                places[tuple(word.strip() for word in place.split(' : '))] = reason
    return places


class File:
    """One source file and what of it was reached."""

    def __init__(self, entry):
        self.name = entry['file']
        self.is_core = self.name.startswith('dsm/core/')
        with open(os.path.join(ROOT, self.name), encoding='utf-8') as source:
            self.text = [''] + source.read().split('\n')
        self.lines = [line for line in entry['lines'] if not line['gcovr/noncode']]

    def place(self, number):
        """(file, function, text) of a line; a function's name begins at the left margin."""
        above = number
        while above > 0 and not re.match(r'[a-z].*\(', self.text[above]):
            above -= 1
        name = re.search(r'(\w+)\(', self.text[above])
        return self.name, name.group(1) if name else '', self.text[number].strip()

    def count(self, excluded):
        """Lines reached, lines, branches reached, branches."""
        counts = [0, 0, 0, 0]
        for line in self.lines:
            if self.place(line['line_number']) in excluded and line['count'] == 0:
                continue
            branches = [branch for branch in line['branches'] if not branch['throw']]
            counts[0] += line['count'] > 0
            counts[1] += 1
            counts[2] += sum(branch['count'] > 0 for branch in branches)
            counts[3] += len(branches)
        return counts

    def missed(self):
        """(line number, what) of what was not reached."""
        for line in self.lines:
            number = line['line_number']
            if line['count'] == 0:
                yield number, 'line'
            elif any(branch['count'] == 0 and not branch['throw'] for branch in line['branches']):
                yield number, 'branch'


def print_row(name, counts):
    lines, of_lines, branches, of_branches = counts
    print(f'{name:28} {lines:5}/{of_lines:<5} {100 * lines / max(of_lines, 1):6.1f}% '
          f'{branches:5}/{of_branches:<5} {100 * branches / max(of_branches, 1):6.1f}%')


def check_excluded(files, excluded):
    """Sentences on entries that are not true (any more)."""
    missed = {file.place(number) for file in files for number, what in file.missed()
              if what == 'line'}
    return [f'{EXCLUDED}: this line was reached, or is not there: {" : ".join(place)}'
            for place in sorted(excluded) if place not in missed]


def check_lines(files, excluded, is_listing):
    """Sentences on lines of dsm/core that were not reached without a reason."""
    wrong = check_excluded(files, excluded)
    for file in files:
        for number, what in file.missed():
            if what == 'line' and file.is_core:
                sentence = f'{file.name}:{number}: line not reached: {file.place(number)[2]}'
                if file.place(number) not in excluded:
                    wrong.append(sentence)
                elif is_listing:
                    print(f'{sentence} -- {excluded[file.place(number)]}')
    return wrong


def check_branches(files, reasons, is_listing):
    """Sentences on functions of dsm/core with branches not reached without a reason."""
    missed, known = {}, set()
    for file in files:
        known.update(file.place(line['line_number'])[:2] for line in file.lines)
        for number, what in file.missed():
            if what == 'branch' and file.is_core:
                missed.setdefault(file.place(number)[:2], []).append(number)
    wrong = [f'{BRANCHES}: there is no such function: {" : ".join(place)}'
             for place in sorted(reasons) if place not in known]
    for place in sorted(known.intersection(reasons).difference(missed)):
        print(f'{BRANCHES}: this time all branches were reached: {" : ".join(place)}')
    texts = {file.name: file.text for file in files}
    for place, numbers in sorted(missed.items()):
        lines = ''.join(f'\n    {number}: {texts[place[0]][number].strip()}' for number in numbers)
        if place not in reasons:
            wrong.append(f'{" : ".join(place)}: branches not reached, no reason is listed{lines}')
        elif is_listing:
            print(f'{" : ".join(place)} -- {reasons[place]}{lines}')
    return wrong


def main():
    parser = argparse.ArgumentParser(description='coverage of dsm/core and net')
    parser.add_argument('build')
    parser.add_argument('--list', action='store_true', help='name what was not reached')
    options = parser.parse_args()
    excluded = read_reasons(EXCLUDED)
    reasons = read_reasons(BRANCHES)
    files = [File(entry) for entry in read_gcovr(options.build)]
    sums = {'dsm/core': [0, 0, 0, 0], 'net': [0, 0, 0, 0]}
    print(f'{"file":28} {"lines":>11} {"":7} {"branches":>11}')
    for file in files:
        counts = file.count(excluded)
        print_row(file.name, counts)
        folder = os.path.dirname(file.name)
        sums[folder] = [a + b for a, b in zip(sums[folder], counts)]
    for folder, counts in sums.items():
        print_row(folder, counts)
    wrong = (check_lines(files, excluded, options.list) +
             check_branches(files, reasons, options.list))
    if sums['dsm/core'][2] < BRANCHES_MIN * sums['dsm/core'][3]:
        wrong.append(f'dsm/core: less than {100 * BRANCHES_MIN:.0f} % of the branches')
    for sentence in wrong:
        print(sentence)
    print(f'{len(excluded)} lines are excluded, {len(reasons)} functions have branches with a '
          f'reason; {len(wrong)} are wrong')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
