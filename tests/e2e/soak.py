#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs litmus shapes, mutual exclusion, recorded histories and random programs for a long time.

    tests/e2e/soak.py [--build DIR] [--minutes N] [--seed S] [--only KIND] [--disturb SHARE]

Real agents on three hosts (network namespaces); takes root. Everything is chosen by the seed: the
kind of work, where variables and programs are, and for a share of the work (a half) what is
disturbed meanwhile (disturb.py). One line for each piece of work, with its seed; then the sums. The
first thing that is wrong ends the run with exit status 1 and the agents' logs. `--only KIND` does
one kind: litmus, exclusion, history, differential. The same seed and kind give the same work again,
on another schedule.
"""

import argparse
import collections
import os
import random
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from cluster import Cluster, same  # noqa: E402  (beside this file)
from disturb import FLAGS, Disturber  # noqa: E402
from litmus import PLACEMENTS, SHAPES, Race, exclude  # noqa: E402
from programs import Differential, Recording, moves  # noqa: E402

PAGE = 4096
# A new cluster now and then: what is left behind by a thousand regions is another test's concern.
WORKS_EACH = 40


class Soak:
    """Does pieces of work until the time is over; counts what they did."""

    def __init__(self, options):
        self.options = options
        self.sums = collections.Counter()
        self.cluster = None

    def litmus(self, dice, seed, watch):
        shape, placement = dice.choice(sorted(SHAPES)), dice.choice(sorted(PLACEMENTS))
        roles = SHAPES[shape].count('/') + 1
        cast = {}
        while len({host for host, _ in cast}) < 2:
            cast = collections.defaultdict(str)
            for role in range(roles):
                cast[dice.choice(((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)))] += str(role)
        rounds = 400000 if 'dense' in placement else 32000
        race = Race(self.cluster, shape, placement, dice.choice(('sc', 'sc', 'relaxed', 'plain')),
                    [(host, roles) for (host, _), roles in cast.items()],
                    rounds // 16 if watch else rounds, dice.choice((8, 16, 32)), seed)
        race.run(watch).check(kinds=1)
        self.sums['litmus rounds'] += race.rounds
        return race.report()

    def exclusion(self, dice, seed, watch):
        del seed
        kind, parties, entries, spread = dice.choice((
            ('dekker', 2, 20000, PAGE), ('dekker', 2, 40000, 64), ('peterson', 2, 20000, PAGE),
            ('peterson', 3, 4000, PAGE), ('peterson', 6, 200, 64), ('bakery', 6, 1000, PAGE),
            ('bakery', 6, 5000, 64), ('bakery', 3, 4000, PAGE)))
        entries = max(8, entries // 50) if watch else entries
        begin = time.monotonic()
        counter, switches, broken = exclude(self.cluster, kind, parties, entries, spread,
                                            watch=watch)
        seconds = time.monotonic() - begin
        label = f'{kind} of {parties}, words {spread} bytes apart'
        same((counter, broken), (parties * entries, 0), f'{label}: increments, violations')
        self.sums['entries into critical sections'] += counter
        return (f'{label}: {counter} entries, {counter / seconds:.0f} a second, {switches} changes '
                f'of hands')

    def history(self, dice, seed, watch):
        recording = Recording(self.cluster, 10000 if watch else 100000, seed,
                              words=dice.choice((6, 24, 60)), pages=dice.choice((1, 2, 8)),
                              regions=dice.choice((1, 2, 3)), home=dice.choice((0, 1)))
        recording.run(watch).check()
        self.sums['recorded operations'] += 6 * recording.ops
        return recording.report()

    def differential(self, dice, seed, watch):
        program = Differential(self.cluster, dice.randint(20, 40) if watch else 200, seed)
        program.run(watch)
        self.sums['phases of random programs'] += program.phases
        return program.report()

    def work(self, seed):
        """One piece of work, all of it chosen by its seed."""
        dice = random.Random(seed)
        kind = self.options.only or dice.choice(('litmus', 'exclusion', 'history', 'differential'))
        disturber = Disturber(self.cluster, seed) if dice.random() < self.options.disturb else None
        tools = self.cluster.tools()
        before = moves(tools)
        text = getattr(self, kind)(dice, seed, disturber.watch if disturber else None)
        moved = moves(tools) - before
        self.sums['pages moved'] += moved
        for tool in tools:
            tool.close()
        if disturber:
            disturber.check()
            self.sums['disturbances'] += sum(disturber.done.values())
            text += '; disturbed ' + ' '.join(f'{kind}:{count}'
                                              for kind, count in disturber.done.items())
        print(f'ok   seed {seed}: {text}; in all {moved} pages moved', flush=True)

    def run(self):
        begin, seed = time.monotonic(), self.options.seed
        while time.monotonic() - begin < 60 * self.options.minutes:
            if self.cluster is None or (seed - self.options.seed) % WORKS_EACH == 0:
                self.close()
                self.cluster = Cluster(self.options.build, flags=FLAGS)
            try:
                self.work(seed)
                self.cluster.check()
            except Exception:  # pylint: disable=broad-except
                print(f'FAIL seed {seed}: {traceback.format_exc()}{self.cluster.logs()}')
                raise
            seed += 1
        self.close()
        seconds = time.monotonic() - begin
        print(f'{seed - self.options.seed} pieces of work in {seconds:.0f} s, nothing wrong: '
              + ', '.join(f'{count} {what}' for what, count in self.sums.items()))

    def close(self):
        if self.cluster:
            cluster, self.cluster = self.cluster, None
            cluster.close()


def stop(number, frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description='long random tests on three hosts')
    parser.add_argument('--build', default=os.path.join(os.path.dirname(os.path.dirname(HERE)),
                                                        'build'))
    parser.add_argument('--minutes', type=float, default=2)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', choices=('litmus', 'exclusion', 'history', 'differential'))
    parser.add_argument('--disturb', type=float, default=0.5, help='share that is disturbed')
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if os.geteuid() != 0:
        print('soak.py makes network namespaces, which takes root')
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    soak = Soak(options)
    try:
        soak.run()
    except Exception:  # pylint: disable=broad-except
        return 1
    finally:
        soak.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
