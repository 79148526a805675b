#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Break the core on purpose, one fault at a time, and see the simulator name each.

    run.py --build BUILD [--seeds N] [--only NAME] [--list]

Each mutation (mutations.py) replaces one piece of text of dsm/core, is compiled as the build
compiles that file, and is linked with the rest of dsm-sim. It is caught when a seed fails, at most
N seeds being run; it fails this test when none does, when what it replaces is not in the core any
more, or when it is caught by no property that the table names. The unbroken dsm-sim must pass the
same seeds, else catching would prove nothing. Ends with `N passed, N failed`.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from mutations import MUTATIONS  # noqa: E402  (beside this file)

SEEDS_AT_ONCE = 40
FAILED = re.compile(r'seed (\d+) failed: (.*)')
PROPERTY = re.compile(r'O\d+\b')
TRAP = 'trap'  # an assertion of the core ended the process


class Broken(Exception):
    """A mutation that cannot be made: the core has changed."""


def mutated_text(mutation):
    path = os.path.join(ROOT, mutation.file)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    found = text.count(mutation.old)
    if found != 1:
        raise Broken(f'{mutation.file} holds the text to replace {found} times, not once')
    return text.replace(mutation.old, mutation.new)


class Workshop:
    """Builds a dsm-sim out of a broken core file and the objects of an existing build."""

    def __init__(self, build, directory):
        self.build = os.path.abspath(build)
        self.directory = directory
        with open(os.path.join(self.build, 'compile_commands.json'), encoding='utf-8') as file:
            self.commands = json.load(file)

    def command_of(self, source):
        for entry in self.commands:
            path = os.path.normpath(os.path.join(entry['directory'], entry['file']))
            if path == os.path.join(ROOT, source) and 'libdsm-core.a.p' in entry['output']:
                return entry
        raise Broken(f'{source} is not compiled into the core of {self.build}')

    def compile(self, mutation):
        entry = self.command_of(mutation.file)
        source = os.path.join(self.directory, mutation.name + '.c')
        target = os.path.join(self.directory, mutation.name + '.o')
        with open(source, 'w', encoding='utf-8') as file:
            file.write(mutated_text(mutation))
        words = [word for word in shlex.split(entry['command'])
                 if not word.startswith(('-MF', '-MQ')) and word not in ('-MD', '-Werror')]
        words[words.index('-o') + 1] = target
        words[words.index('-c') + 1] = source
        self.call([word for word in words if not word.endswith(('.o.d', entry['output']))]
                  + ['-w', '-iquote', os.path.dirname(os.path.join(ROOT, mutation.file))])
        return target

    def link(self, mutation, target):
        """The broken object comes first, so that the library's own is never taken."""
        program = os.path.join(self.directory, mutation.name)
        compiler = shlex.split(self.command_of(mutation.file)['command'])[0]
        objects = [os.path.join(self.build, entry['output']) for entry in self.commands
                   if 'tests/dsm-sim.p/' in entry['output']]
        self.call([compiler if compiler != 'ccache' else 'cc', '-o', program, target, *objects,
                   *(os.path.join(self.build, 'tests/sim', name)
                     for name in ('libsimulator.a', 'libsim.a', 'libhistory.a')),
                   os.path.join(self.build, 'dsm/core/libdsm-core.a'), '-ljansson'])
        return program

    def call(self, words):
        done = subprocess.run(words, cwd=self.build, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f'{words[0]} failed:\n{done.stderr}')


def run_seeds(program, seeds, extra):
    """(caught, the property, the seed, seconds): seeds 1 to `seeds`, a few at a time."""
    began = time.monotonic()
    for first in range(1, seeds + 1, SEEDS_AT_ONCE):
        count = min(SEEDS_AT_ONCE, seeds + 1 - first)
        done = subprocess.run([program, '--first', str(first), '--seeds', str(count), '--jobs', '1',
                               '--no-shrink', '--guard', '20', *extra],
                              capture_output=True, text=True, errors='replace', check=False)
        found = FAILED.search(done.stdout)
        if done.returncode == 1 and found:
            named = PROPERTY.match(found.group(2))
            return (True, named.group(0) if named else TRAP, found.group(1),
                    time.monotonic() - began)
        if done.returncode != 0:
            raise Broken(f'dsm-sim ended with {done.returncode}: {done.stderr[-400:]}')
    return False, '', '', time.monotonic() - began


def try_mutation(workshop, mutation, seeds):
    try:
        program = workshop.link(mutation, workshop.compile(mutation))
        caught, named, seed, seconds = run_seeds(program, seeds, mutation.options)
        os.unlink(program)
    except Broken as error:
        return False, f'{mutation.name}: {error}'
    row = f'{mutation.name:<34} {mutation.rule:<4} {named or "-":<6} seed {seed or "-":>5}' \
          f' {seconds:6.1f} s'
    if not caught:
        return False, row + f'  NOT CAUGHT within {seeds} seeds'
    if mutation.caught_by and named not in mutation.caught_by:
        return False, row + f'  expected one of {", ".join(mutation.caught_by)}'
    return True, row


def main():
    parser = argparse.ArgumentParser(description='mutations of the core against the simulator')
    parser.add_argument('--build', default=os.path.join(ROOT, 'build'))
    parser.add_argument('--seeds', type=int, default=2000, help='seeds for each, at most')
    parser.add_argument('--only', default='', help='mutations whose name holds this')
    parser.add_argument('--list', action='store_true', help='print the table and end')
    options = parser.parse_args()
    chosen = [mutation for mutation in MUTATIONS if options.only in mutation.name]
    if options.list:
        for mutation in chosen:
            print(f'{mutation.name:<34} {mutation.rule:<4} {mutation.what}')
        return 0
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix='dsm-mutation-') as directory:
        workshop = Workshop(options.build, directory)
        caught, named, seed, _ = run_seeds(os.path.join(options.build, 'tests/dsm-sim'), 200, [])
        if caught:
            print(f'the unbroken core fails: {named} with seed {seed}')
            failed += 1
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for good, row in pool.map(lambda mutation: try_mutation(workshop, mutation,
                                                                    options.seeds), chosen):
                print(row, flush=True)
                passed, failed = passed + good, failed + (not good)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
