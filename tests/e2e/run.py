#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end tests: real agents on hosts of their own (network namespaces), real programs.

    tests/e2e/run.py [--build DIR] [--foreign DIR] [--only PATTERN] [--scale N] [--list]
                     [--json FILE]

One line per test, then `N passed, N failed`. Takes root, for namespaces and for programs of
several users. Each test is a function `test_situation_outcome` of a module `test_*.py`; its
parameter says what it needs: `cluster` (three hosts that all such tests share), `fresh` (makes
a cluster of its own), `mixed` (five hosts, one of each kind, that all such tests share; without
--foreign, where their builds are, such tests are skipped) or `fresh_mixed`. Random
tests do N times as many rounds; N is also $DSM_E2E_SCALE, and without
either 1, or 1/4 where the build has a sanitizer. For hours of them there is soak.py.
"""

import argparse
import glob
import importlib
import inspect
import json
import os
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cluster as clusters  # noqa: E402  (beside this file)
import kinds  # noqa: E402
import network  # noqa: E402


class Runner:
    """Runs tests; holds the cluster that they share."""

    def __init__(self, build, scale=1.0, foreign=None):
        self.build, self.scale, self.foreign = build, scale, foreign
        self.shared = None
        self.is_mixed = False  # the shared one
        self.made = []

    def get_shared(self, is_mixed):
        if self.shared is not None and self.is_mixed != is_mixed:
            shared, self.shared = self.shared, None
            shared.close()
        if self.shared is None:
            self.is_mixed = is_mixed
            self.shared = clusters.Cluster(self.build, scale=self.scale, foreign=self.foreign,
                                           kinds=kinds.ALL if is_mixed else None)
        return self.shared

    def make_fresh(self, **options):
        made = clusters.Cluster(self.build, scale=self.scale, foreign=self.foreign, **options)
        self.made.append(made)
        return made

    def make_fresh_mixed(self, **options):
        return self.make_fresh(**{'kinds': kinds.ALL, **options})

    def why_not(self, function):
        """Why a test cannot run here, or None."""
        needs = inspect.signature(function).parameters
        if {'mixed', 'fresh_mixed'} & set(needs):
            return kinds.missing(self.foreign)
        if os.environ.get('DSM_FAULTS') == 'sigsegv':
            return getattr(function, 'why_not_sigsegv', None)
        if sanitizers_of(self.build):
            return getattr(function, 'why_not_sanitized', None)
        return None

    def run(self, function):
        """Run one test; returns what went wrong, or None."""
        wrong = None
        try:
            needs = inspect.signature(function).parameters
            if 'cluster' in needs or 'mixed' in needs:
                function(self.get_shared('mixed' in needs))
            elif 'fresh_mixed' in needs:
                function(self.make_fresh_mixed)
            else:
                function(self.make_fresh)
        except (Exception, KeyboardInterrupt) as error:  # pylint: disable=broad-except
            if isinstance(error, KeyboardInterrupt):
                self.clean_up()
                raise
            wrong = traceback.format_exc(limit=-4)
            for made in self.made + ([self.shared] if self.shared and not self.made else []):
                wrong += ''.join(line + '\n' for line in made.logs().split('\n')[-60:])
        return self.after(wrong)

    def after(self, wrong):
        """Clean up behind a test; what goes wrong here is the test's failure too."""
        while self.made:
            wrong = self.attempt(self.made.pop().close, wrong)
        if self.shared:
            for host in self.shared.hosts:
                wrong = self.attempt(host.close_tools, wrong)
            before = wrong
            wrong = self.attempt(self.shared.check, wrong)
            if wrong is not before:
                shared, self.shared = self.shared, None
                wrong = self.attempt(shared.close, wrong)
        return wrong

    @staticmethod
    def attempt(function, wrong):
        try:
            function()
        except Exception:  # pylint: disable=broad-except
            return (wrong or '') + traceback.format_exc(limit=-2)
        return wrong

    def clean_up(self):
        wrong = None
        while self.made:
            wrong = self.attempt(self.made.pop().close, wrong)
        if self.shared:
            shared, self.shared = self.shared, None
            wrong = self.attempt(shared.close, wrong)
        return wrong


def sanitizers_of(build):
    """The sanitizers that this meson build was made with, as -Db_sanitize names them."""
    try:
        with open(build + '/meson-info/intro-buildoptions.json', encoding='utf-8') as file:
            options = json.load(file)
    except OSError:
        return ''
    value = next(option['value'] for option in options if option['name'] == 'b_sanitize')
    value = value if isinstance(value, str) else ','.join(value)
    return '' if value == 'none' else value


def default_scale(build):
    """Programs with a sanitizer in them take a multiple of the time."""
    if 'DSM_E2E_SCALE' in os.environ:
        return float(os.environ['DSM_E2E_SCALE'])
    return 0.25 if sanitizers_of(build) else 1.0


def find_tests(pattern):
    for path in sorted(glob.glob(HERE + '/test_*.py')):
        module = importlib.import_module(os.path.splitext(os.path.basename(path))[0])
        for name, function in vars(module).items():
            full = f'{module.__name__[5:]}.{name[5:]}'
            if name.startswith('test_') and callable(function) and any(
                    part in full for part in pattern.split(',')):
                yield full, function


def stop(number, frame):
    raise KeyboardInterrupt


def run_all(runner, tests):
    results = []
    for name, function in tests:
        reason = runner.why_not(function)
        if reason:
            print(f'skip {name}: {reason}', flush=True)
            results.append({'name': name, 'seconds': 0, 'passed': None, 'message': reason})
            continue
        begin = time.monotonic()
        wrong = runner.run(function)
        seconds = time.monotonic() - begin
        print(f'{"FAIL" if wrong else "ok  "} {name} ({seconds:.1f} s)', flush=True)
        if wrong:
            print('     ' + wrong.strip().replace('\n', '\n     '), flush=True)
        results.append({'name': name, 'seconds': round(seconds, 3), 'passed': wrong is None,
                        'message': wrong})
    wrong = runner.clean_up()
    if wrong:
        print('FAIL the end of the shared cluster\n     ' + wrong.replace('\n', '\n     '))
        results.append({'name': 'shared_cluster_end', 'seconds': 0, 'passed': False,
                        'message': wrong})
    return results


def main():
    parser = argparse.ArgumentParser(description='end-to-end tests')
    parser.add_argument('--build', default=os.path.join(os.path.dirname(os.path.dirname(HERE)),
                                                        'build'))
    parser.add_argument('--foreign', help='the directory of deploy/foreign.sh\'s builds')
    parser.add_argument('--only', default='', help='tests whose name holds this, or one of A,B,...')
    parser.add_argument('--scale', type=float, help='how many rounds random tests do')
    parser.add_argument('--list', action='store_true', help='print the names')
    parser.add_argument('--json', help='write the results to this file')
    options = parser.parse_args()
    tests = list(find_tests(options.only))
    if options.list:
        print('\n'.join(name for name, _ in tests))
        return 0
    if os.geteuid() != 0:
        print('the end-to-end tests make network namespaces, which takes root')
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    build = os.path.abspath(options.build)
    if 'thread' in sanitizers_of(build):
        network.keep_addresses()
    foreign = options.foreign and os.path.abspath(options.foreign)
    results = run_all(Runner(build, options.scale or default_scale(build), foreign), tests)
    failed = sum(result['passed'] is False for result in results)
    skipped = sum(result['passed'] is None for result in results)
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as file:
            json.dump({'suite': 'e2e', 'tests': results}, file, indent=1)
    print(f'{len(results) - failed - skipped} passed, {failed} failed'
          + (f', {skipped} skipped' if skipped else ''))
    return 1 if failed or not results else 0


if __name__ == '__main__':
    sys.exit(main())
