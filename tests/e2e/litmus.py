# SPDX-License-Identifier: Apache-2.0
"""The litmus family: what each memory model allows, worked out, and what a cluster does, counted.

A shape is a few accesses of each role, as tool_litmus.c has them: `Wx1,Ry/Wy1,Rx` is store
buffering. The outcomes that a model allows are found by trying every interleaving, so that a
forbidden outcome is simply any other one.
"""

import collections
import time

from cluster import same, true
from programs import moves, open_made

PAGE = 4096
SHAPES = {
    'sb': 'Wx1,Ry/Wy1,Rx',              # store buffering
    'mp': 'Wx1,Wy1/Ry,Rx',              # message passing
    'lb': 'Rx,Wy1/Ry,Wx1',              # load buffering
    'iriw': 'Wx1/Wy1/Rx,Ry/Ry,Rx',      # independent reads of independent writes
    'wrc': 'Wx1/Rx,Wy1/Ry,Rx',          # write to read causality
    'corr': 'Wx1,Wx2/Rx,Rx,Rx',         # coherence of reads
    'coww': 'Wx1,Wx2/Rx=x',             # coherence of writes
    '2+2w': 'Wx1,Wy2/Wy1,Wx2=xy',       # two writes each
    'mp+wait': 'Wx1,Wy1/Ly,Rx',         # the same, but who reads waits a while for what is written
    'wrc+wait': 'Wx1/Lx,Wy1/Ly,Rx',
    'iriw+wait': 'Wx1/Wy1/Lx,Ry/Ly,Rx',
    'r': 'Wx1,Wy1/Wy2,Rx=y',            # write after write, then read
    's': 'Wx2,Wy1/Ry,Wx1=x',            # read, then write after write
}
# For each shape the outcome (what each role sees; the last values) that gave it its name, as in
# Alglave, Maranget & Tautschnig 2014: forbidden by sequential consistency.
FORBIDDEN = {
    'sb': ((0,), (0,), ()), 'mp': ((), (1, 0), ()), 'lb': ((1,), (1,), ()),
    'iriw': ((), (), (1, 0), (1, 0), ()), 'wrc': ((), (1,), (1, 0), ()),
    'corr': ((), (2, 1, 2), ()), 'coww': ((), (0,), (1,)), '2+2w': ((), (), (1, 1)),
    'r': ((), (0,), (2,)), 's': ((), (1,), (2,)),
}
FORBIDDEN |= {name + '+wait': FORBIDDEN[name] for name in ('mp', 'wrc', 'iriw')}
# What x86-TSO allows beyond sequential consistency: a load that overtakes its own thread's store.
# With C11's memory_order_seq_cst the store is an XCHG, which empties the store buffer.
TSO_ALSO = ('sb', 'r')

Placement = collections.namedtuple('Placement', 'regions offsets stride page_size home pages')
# Where variables x and y lie: (slot of the region, byte) of instance 0, and the way to the next
# instance. Where each instance has pages of its own every access may be a page transfer; where many
# share one, the rounds are fast and the page moves in the midst of a burst.
PLACEMENTS = {
    'one page': Placement(1, [(0, 0), (0, 8)], PAGE, PAGE, 0, 64),
    'own pages': Placement(1, [(0, 0), (0, 64 * PAGE)], PAGE, PAGE, 0, 128),
    'striped': Placement(1, [(0, 0), (0, 64 * PAGE)], PAGE, PAGE, 1, 128),
    'own regions': Placement(2, [(0, 0), (1, 0)], PAGE, PAGE, 0, 64),
    'big pages': Placement(2, [(0, 0), (1, 8)], 4 * PAGE, 16 * PAGE, 0, 256),
    'dense': Placement(1, [(0, 0), (0, 64 * PAGE)], 64, PAGE, 0, 128),
    'dense, one page': Placement(1, [(0, 0), (0, 8)], 16, PAGE, 0, 64),
}


def parse(shape):
    """The roles' steps, (variable, value or None for a load), and the variables that count last."""
    roles, _, finals = shape.partition('=')
    return [[(step[1], int(step[2]) if step[0] == 'W' else None) for step in role.split(',')]
            for role in roles.split('/')], finals


def allowed_outcomes(shape, store_buffers=False):
    """Every outcome of some interleaving; with store buffers: of x86-TSO (Owens, Sarkar & Sewell
    2009), where a store reaches the memory some time later and its own thread sees it at once."""
    roles, finals = parse(shape)
    outcomes, known = set(), set()
    todo = [((0,) * len(roles), ((),) * len(roles), ((),) * len(roles), ())]
    while todo:
        state = todo.pop()
        if state in known:
            continue
        known.add(state)
        places, seen, buffers, memory = state
        now = dict(memory)
        for role, steps in enumerate(roles):
            if buffers[role]:
                variable, value = buffers[role][0]
                todo.append((places, seen, put(buffers, role, buffers[role][1:]),
                             tuple(sorted({**now, variable: value}.items()))))
            if places[role] == len(steps):
                continue
            variable, value = steps[places[role]]
            after = put(places, role, places[role] + 1)
            if value is None:
                visible = {**now, **dict(buffers[role])}
                todo.append((after, put(seen, role, seen[role] + (visible.get(variable, 0),)),
                             buffers, memory))
            elif store_buffers:
                todo.append((after, seen, put(buffers, role, buffers[role] + ((variable, value),)),
                             memory))
            else:
                todo.append((after, seen, buffers, tuple(sorted({**now, variable: value}.items()))))
        if all(len(steps) == place for steps, place in zip(roles, places)) and not any(buffers):
            outcomes.add(seen + (tuple(now.get(variable, 0) for variable in finals),))
    return outcomes


def put(values, index, value):
    return values[:index] + (value,) + values[index + 1:]


def decode(shape, text):
    """Outcomes and their counts out of the words of e2e-tool."""
    roles, finals = parse(shape)
    counts = {}
    for word in text.split():
        key, count = word.split(':')
        bits = [int(key, 16) >> 16 * role & 0xffff for role in range(len(roles))]
        seen = tuple(tuple(bits[role] >> 2 * load & 3
                           for load in range(sum(value is None for _, value in steps)))
                     for role, steps in enumerate(roles))
        last = tuple(bits[0] >> 2 * (4 + number) & 3 for number in range(len(finals)))
        counts[seen + (last,)] = int(count)
    return counts


class Race:
    """A shape on a cluster: which host plays which role, where the variables lie, how many rounds.

    roles: for each program its host's number and its roles, as '0' or '02' (threads)."""

    def __init__(self, cluster, shape, placement='own pages', mode='sc', programs=None, rounds=2048,
                 batch=16, seed=1):
        self.cluster, self.mode, self.seed, self.batch = cluster, mode, seed, batch
        self.shape, self.placement = SHAPES[shape], PLACEMENTS[placement]
        self.label = f'{shape}, {placement}, {mode}'
        self.roles = len(parse(self.shape)[0])
        self.rounds = max(batch, rounds // batch * batch)
        self.programs = programs or [(1 + role if self.roles == 2 else role % 3, str(role))
                                     for role in range(self.roles)]
        self.counts, self.seconds, self.moved = {}, 0, 0
        self.makers, self.tools = [], []

    def open(self):
        """Regions homed at different hosts: made by programs of c and a; results, barrier: b."""
        names = [self.cluster.name('litmus') for _ in range(self.placement.regions + 1)]
        self.makers = [self.cluster.hosts[number].tool() for number in (2, 0, 1)]
        lengths = []
        for slot, name in enumerate(names):
            is_results = slot == self.placement.regions
            length = 2 * self.roles * self.rounds if is_results else self.placement.pages * PAGE
            lengths.append(length)
            options = ('0 0 u16[]' if is_results
                       else f'{self.placement.page_size} {self.placement.home} u64[]')
            self.makers[slot].open(name, length, options=options)
        for host, _ in self.programs:
            tool = self.cluster.hosts[host].tool()
            for slot, name in enumerate(names):
                open_made(tool, name, lengths[slot], slot)
            self.tools.append(tool)

    def moves(self):
        """Pages that came to the hosts of all programs."""
        return moves({tool.host.name: tool for tool in self.tools + self.makers}.values())

    def start(self):
        self.open()
        places = ' '.join(f'{slot}:{offset}:{self.placement.stride}'
                          for slot, offset in self.placement.offsets)
        self.moved, self.seconds = -self.moves(), -time.monotonic()
        for tool, (_, roles) in zip(self.tools, self.programs):
            tool.send(f'litmus {self.shape} {roles} {self.mode} {self.rounds} {self.batch} '
                      f'{self.seed} {self.placement.regions} {self.placement.regions} {places}')

    def finish(self, seconds=300):
        for tool in self.tools:
            tool.answer(seconds=seconds)
        self.seconds += time.monotonic()
        self.moved += self.moves()
        self.counts = decode(self.shape, self.tools[0].do(
            f'outcomes {self.placement.regions} {self.roles} {self.rounds}'))
        for tool in self.tools + self.makers:
            tool.close()
        return self

    def run(self, watch=None):
        """watch(tools) is called while the programs run, and returns once all have answered."""
        self.start()
        if watch:
            watch(self.tools)
        return self.finish()

    def forbidden(self):
        """Outcomes that the model forbids, with their counts."""
        allowed = allowed_outcomes(self.shape, store_buffers=self.mode != 'sc')
        return {outcome: count for outcome, count in self.counts.items() if outcome not in allowed}

    def check(self, kinds=2):
        """Nothing forbidden, and at least so many different outcomes: they did race."""
        same(sum(self.counts.values()), self.rounds, f'{self.label}: rounds')
        same(self.forbidden(), {}, f'{self.label}: forbidden outcomes, of {self.counts}')
        true(len(self.counts) >= kinds, f'{self.label}: they did race: {self.counts}')
        true(self.moved > 0, f'{self.label}: pages moved: {self.moved}')
        return self

    def report(self):
        """One line: rates and the histogram."""
        histogram = ' '.join(f'{show(outcome)}:{count}'
                             for outcome, count in sorted(self.counts.items()))
        return (f'{self.label}: {self.rounds} rounds, {self.rounds / self.seconds:.0f} a second, '
                f'{self.moved} pages moved, '
                f'forbidden {sum(self.forbidden().values())}; {histogram}')


def show(outcome):
    """0,1|2 for what roles with loads saw, and =12 for what was left."""
    text = '|'.join(','.join(map(str, seen)) for seen in outcome[:-1] if seen)
    return text + ('=' + ''.join(map(str, outcome[-1])) if outcome[-1] else '')


def exclude(cluster, kind, parties, entries, spread=PAGE, programs=None, watch=None):
    """Contenders for a critical section; returns the counter, changes of hands and violations."""
    name = cluster.name(kind)
    size = 32 * spread
    cluster.a.tool().open(name, size, options='4096 0 u64[]')
    programs = programs or [(host, ''.join(str(who) for who in range(host, parties, 3)))
                            for host in range(min(parties, 3))]
    tools = [open_made(cluster.hosts[host].tool(), name, size) for host, _ in programs]
    for tool, (_, who) in zip(tools, programs):
        tool.send(f'exclude {kind} {who} {parties} {entries} {spread} 0 0')
    if watch:
        watch(tools)
    answers = [tool.answer(seconds=300) for tool in tools]
    for tool in tools:
        tool.close()
    return [int(word) for word in answers[0].split()]
