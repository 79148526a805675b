#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the models of the protocol by spin, every state of every configuration.

    tests/model/run.py [CORE]      the configurations and mutations of CI; CORE: path of message.h
    tests/model/run.py --thorough  the large configurations besides
    tests/model/run.py --only NAME one configuration
    tests/model/run.py --jobs N    N configurations at a time (2)
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DEATH = '-DVICTIMS=6'
PAGE, SYNC = 'page.pml', 'sync.pml'
# Name, model, what may go wrong in it; README.md tells what each is for.
CONFIGURATIONS = [
    ('accesses', PAGE, '-DOPS0=2 -DOPS1=2 -DOPS2=2 -DLINK_SIZE=4'),
    ('eviction', PAGE, '-DEVICTIONS=2'),
    ('loss', PAGE, '-DLOSSES=1'),
    ('duplicate', PAGE, '-DCOPIES=1'),
    ('resend', PAGE, '-DRESENDS=1'),
    ('refusal', PAGE, '-DREFUSALS=1 -DEVICTIONS=1'),
    ('death', PAGE, DEATH),
    ('death-eviction', PAGE, DEATH + ' -DEVICTIONS=1 -DLINK_SIZE=10'),
    ('home-death', PAGE, '-DVICTIMS=1 -DEVICTIONS=1'),
    ('progress', PAGE, '-DPROGRESS -DOPS0=0 -DLOSSES=1'),
    ('mutex', SYNC, '-DOPS0=2 -DOPS1=2 -DOPS2=2'),
    ('mutex-guess', SYNC, '-DGUESSES=1 -DTRIES=1'),
    ('mutex-timeout', SYNC, '-DTIMEOUTS=1 -DRESENDS=1 -DTRIES=1'),
    ('mutex-program', SYNC, '-DDEATHS=1 -DTIMEOUTS=1'),
    ('mutex-break', SYNC, '-DBREAKS=1 -DTIMEOUTS=1'),
    ('mutex-duplicate', SYNC, '-DCOPIES=1 -DRESENDS=1'),
    ('mutex-refusal', SYNC, '-DREFUSALS=1 -DTIMEOUTS=1 -DRESENDS=1 -DOPS0=0'),
    ('mutex-death', SYNC, DEATH + ' -DTIMEOUTS=1'),
    ('mutex-home', SYNC, '-DVICTIMS=1 -DDEATHS=1 -DTIMEOUTS=1'),
    ('sem', SYNC, '-DOBJECT=SEM -DTIMEOUTS=1 -DDEATHS=1 -DSEM_START=1 -DOPS0=0 -DRESENDS=1'),
    ('sem-break', SYNC, '-DOBJECT=SEM -DBREAKS=1 -DTIMEOUTS=1 -DRESENDS=1 -DOPS0=0 -DOPS1=2'),
    ('sem-death', SYNC, '-DOBJECT=SEM -DTRIES=1 -DTIMEOUTS=1 ' + DEATH),
    ('barrier-break', SYNC, '-DOBJECT=BARRIER -DTIMEOUTS=1 -DBREAKS=1'),
    ('barrier-program', SYNC, '-DOBJECT=BARRIER -DTIMEOUTS=1 -DDEATHS=1 -DRESENDS=1'),
    ('barrier-death', SYNC, '-DOBJECT=BARRIER -DTIMEOUTS=1 -DPARTIES=3 ' + DEATH),
    ('atomic-duplicate', SYNC, '-DOBJECT=ATOMICS -DCOPIES=1 -DRESENDS=1 -DOPS1=2'),
    ('atomic-refusal', SYNC, '-DOBJECT=ATOMICS -DREFUSALS=1 -DBREAKS=1'),
    ('atomic-death', SYNC, '-DOBJECT=ATOMICS -DRESENDS=1 -DDEATHS=1 ' + DEATH),
    ('mutex-progress', SYNC, '-DPROGRESS -DOPS0=0 -DBREAKS=1'),
    ('barrier-progress', SYNC, '-DPROGRESS -DOBJECT=BARRIER -DOPS0=0 -DBREAKS=1'),
]
THOROUGH = [
    ('split-steps', PAGE, '-DSPLIT_STEPS -DLINK_SIZE=12'),
    ('loss-eviction', PAGE, '-DLOSSES=1 -DEVICTIONS=1 -DLINK_SIZE=12'),
    ('death-loss', PAGE, DEATH + ' -DLOSSES=1 -DLINK_SIZE=16'),
    ('death-resend', PAGE, DEATH + ' -DRESENDS=1 -DLINK_SIZE=12'),
    ('break-resend', SYNC, '-DBREAKS=1 -DTIMEOUTS=1 -DRESENDS=1'),
    ('break-program', SYNC, '-DBREAKS=1 -DDEATHS=1 -DRESENDS=1'),
    ('break-progress', SYNC, '-DPROGRESS -DBREAKS=1 -DTIMEOUTS=1'),
]
# What is made wrong, where it shows, the text and what takes its place.
MUTATIONS = [
    ('skip the invalidations', 'accesses', 'acks = readers & (7 - NODE_BIT(requester));',
     'acks = 0;'),
    ('grant before the last acknowledgement', 'accesses',
     ':: acks == 0 && (mode != MODE_DATA || announced) -> transfer_grant()',
     ':: mode != MODE_DATA || announced -> transfer_grant()'),
    ('complete by data, not by the grant', 'accesses',
     'needs_grant[me] = (m_flags & FLAG_GRANT) != 0 &&', 'needs_grant[me] = false &&'),
    ('forget a reader', 'accesses', 'readers = readers | NODE_BIT(requester)\n            :: open',
     'skip\n            :: open'),
    ('do not downgrade the owner', 'accesses', 'state[me] = PAGE_READ;\n            send(DATA',
     'send(DATA'),
    ('lose a waiter', 'accesses', 'waiters!from', 'skip'),
    ('take a repeated request for a new one', 'duplicate', 'seen[from] = m_number;', 'skip;'),
    ('drop kept bytes too early', 'loss', 'kept_number[slot] = m_number;',
     'kept_number[slot] = 0;'),
    ('do not ask about kept bytes', 'loss', 'kept_for[me * KEPT + i] != me ->\n            send(',
     'false ->\n            send('),
    ('answer an old epoch', 'death', 'from != me && m_epoch != epoch[me]', 'false'),
    ('keep a stale owner after its death', 'death', 'orphan = orphan || owner == node;', ''),
    ('wait for a dead reader', 'death', 'acks = acks & (7 - NODE_BIT(node));', ''),
    ('take a lost page from its leaver', 'death-eviction', '(lost || owner != requester)',
     'owner != requester'),
    ('begin anew without asking', 'death-eviction',
     'mode == MODE_DATA && (repeated || source != HOME)', 'false'),
    ('send no request again', 'progress', 'request[me] != 0 && !HOME_IS_LOST(me) -> send_request()',
     'request[me] != 0 && !HOME_IS_LOST(me) -> skip'),
    ('grant a mutex that is held', 'mutex', 'm_op == LOCK && holder == NONE ->', 'm_op == LOCK ->'),
    ('do not tell of a dead node', 'mutex-death', 'is_dead = 1;\n', ''),
    ('do not tell of a dead program', 'mutex-program', 'is_dead = m_op == UNLOCK_DEAD;',
     'is_dead = 0;'),
    ('keep a mutex that nobody wants', 'mutex-program',
     'launch_own(UNLOCK_DEAD, c_number[slot]) /* C1 */', 'skip'),
    ('keep a token that nobody wants', 'sem',
     'SEM_WAIT && m_value == 0 -> launch_own(SEM_POST, 0)', 'SEM_WAIT && m_value == 0 -> skip'),
    ('carry out a repeated request', 'atomic-duplicate',
     'flag = (window_bits[sender] & (1 << (m_number - window_floor[sender]))) == 0;', 'flag = 1;'),
    ('do not acknowledge again', 'mutex-break', ':: slot == NONE -> acknowledge()',
     ':: slot == NONE -> skip'),
    ('send no queued outcome again', 'mutex-death', ':: me == HOME -> send_queued_outcomes(NONE);',
     ':: me == HOME -> skip;'),
    ('do not recall a mutex', 'mutex', ':: recall == RECALL_NONE -> send_recall() /* S8 */',
     ':: recall == RECALL_NONE -> skip'),
    ('recall a mutex once', 'mutex-break', ':: recall == RECALL_SENT -> send_recall()',
     ':: recall == RECALL_SENT -> skip'),
    ('say once that others wait', 'mutex-break', 'recall == RECALL_TOLD -> FLAG_WANTED : 0)',
     'false -> FLAG_WANTED : 0)'),
    ('let who tries wait', 'mutex-timeout', ':: o_try[entry] -> finish(entry, EAGAIN, 0)',
     ':: false -> skip'),
    ('give back what is held', 'mutex', ':: t_number[me] == m_number && !inside[me] ->',
     ':: t_number[me] == m_number ->'),
    ('keep what was recalled', 'mutex', '    :: t_number[me] != 0 && t_recalled[me] -> '
     'give_back_token()\n    :: else -> skip\n    fi\n}', '    :: true -> skip\n    fi\n}'),
    ('take the mutex of the dead as free', 'mutex-program',
     't_dead[me] = t_dead[me] || (inside[me] && t_number[me] != 0); /* L6 */', 'skip;'),
    ('forget a queued outcome below the floor', 'sem-break',
     'o_state[k] == DONE && !o_queued[k] -> free_op(k)', 'o_state[k] == DONE -> free_op(k)'),
    ('do not ask again when the link is back', 'mutex-break',
     'c_timed[slot] = c_op[slot] != 0; /*', 'skip; /*'),
    ('let who gave up wait', 'mutex-timeout', 'waiters??eval(sender), eval(m_number);', 'skip;'),
    ('do not tell who gave up too late', 'mutex-break',
     ':: entry != NONE && o_state[entry] != WAITING -> send_outcome(entry)', ''),
    ('let a dead node wait', 'mutex-death', ':: n != node -> waiters!n, number',
     ':: true -> waiters!n, number'),
    ('post past who waits', 'sem', ':: len(waiters) == 0 -> value++', ':: true -> value++'),
    ('release all parties but one', 'barrier-break', ':: len(waiters) > 0 -> /* S3 */',
     ':: len(waiters) > 1 ->'),
    ('give up what was refused', 'mutex-refusal', '/* launch_again() */\n        launch(slot)',
     ''),
    ('send no call again', 'mutex-progress', 'c_queued[slot] = 1;\n            send_call(slot)',
     'c_queued[slot] = 1'),
]
# Kinds that are in neither model, and what looks at them instead.
NOT_MODELLED = {
    'BARRIER_OVER': 'it takes more than three nodes: dsm-sim, test_barrier.c',
    'PULL': 'a sealed region has no owner: dsm-sim, test_sealed.c, test_stories_sealed.c',
    'SEAT': 'as PULL',
    'SEAL': 'as PULL',
    'SEALED': 'as PULL',
}
# Steps that no configuration reaches: the ends of processes that wait for ever.
UNREACHED = [r'-end-']


def read(name):
    with open(os.path.join(HERE, name), encoding='utf-8') as file:
        return file.read()


def check_kinds(header):
    """The models have all kinds of the core but NOT_MODELLED, each of them sent and received."""
    with open(header, encoding='utf-8') as file:
        text = file.read()
    core = set(re.findall(r'^    X\(\d+, (\w+),\s*(?:\\\n\s*)?FIELDS_COMMON', text, re.M))
    listed = re.search(r'mtype = \{([^}]*)\}', read('messages.pml')).group(1)
    model = set(re.findall(r'\w+', listed))
    steps = read(PAGE) + read(SYNC)
    wrong = [f'{kind}: in one of message.h and messages.pml only'
             for kind in sorted(core ^ model ^ NOT_MODELLED.keys())]
    for kind in sorted(model):
        if not re.search(rf'send\({kind}\b', steps):
            wrong.append(f'{kind}: nobody sends it')
        if not re.search(rf':: kind == {kind} -> d_step', steps):
            wrong.append(f'{kind}: nobody receives it')
    return wrong if core else ['no kinds found in ' + header]


def build(place, options, text):
    """Make pan in a folder; what is wrong, else nothing. The optimiser costs more than it saves."""
    search = ['-DNFAIR=4'] if '-DPROGRESS' in options else ['-DSAFETY']
    shutil.copy(os.path.join(HERE, 'messages.pml'), place)
    with open(os.path.join(place, 'model.pml'), 'w', encoding='utf-8') as file:
        file.write(text)
    for command in (['spin', *options.split(), '-a', 'model.pml'],
                    ['gcc', '-O0', '-w', *search, '-DCOLLAPSE', '-DJOINPROCS', '-DNOREDUCE',
                     '-DMEMLIM=3000', '-DVECTORSZ=2048', '-o', 'pan', 'pan.c']):
        built = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            return (built.stdout + built.stderr).strip()
    return ''


def check(options, text):
    """Build and run one model: states, depth, MB, seconds, unreached lines, what is wrong."""
    with tempfile.TemporaryDirectory() as place:
        wrong = build(place, options, text)
        if wrong:
            return {'wrong': [wrong]}
        fair = ['-a', '-f'] if '-DPROGRESS' in options else []
        out = subprocess.run(['./pan', *fair, '-m100000', '-w22'], cwd=place, capture_output=True,
                             text=True, check=False).stdout
    wrong = re.findall(r'^pan:1: (.*)', out, re.M)
    wrong += re.findall(r'^error: .*', out, re.M)
    if 'errors: 0' not in out and not wrong:
        wrong.append('no verdict')
    if 'Full statespace search' not in out or 'not completed' in out:
        wrong.append('not a full search')
    found = [re.search(pattern, out) for pattern in
             (r'(\d+) states, stored', r'depth reached (\d+)', r'([\d.]+)\s+total actual',
              r'elapsed time ([\d.e+-]+)')]
    values = [float(match.group(1)) if match else 0 for match in found]
    unreached, place = set(), ''
    for line in out.splitlines():
        begins = re.match(r'unreached in (proctype \w+|init)', line)
        place = begins.group(1) if begins else place
        state = re.match(r'\s+model\.pml:(\d+), state (\d+), (.*)', line)
        if state and place != 'init':
            unreached.add((place, int(state.group(2)), int(state.group(1)), state.group(3)))
    return dict(zip(('states', 'depth', 'mb', 'seconds'), values), unreached=unreached, wrong=wrong)


def run_configurations(rows, pool):
    """Those that failed, and the steps of each model that none of its configurations reaches."""
    failed, unreached = 0, {}
    print(f'{"configuration":18}{"states":>10}{"depth":>7}{"MB":>7}{"s":>7}')
    results = [pool.submit(check, options, read(model)) for _, model, options in rows]
    for (name, model, _), future in zip(rows, results):
        result = future.result()
        wrong = result['wrong']
        failed += bool(wrong)
        if 'states' in result:
            print(f'{name:18}{result["states"]:10.0f}{result["depth"]:7.0f}{result["mb"]:7.0f}'
                  f'{result["seconds"]:7.1f}', *wrong, flush=True)
            if '-progress' not in '-' + name:
                unreached[model] = result['unreached'] & unreached.get(model, result['unreached'])
        else:
            print(name, *wrong)
    return failed, unreached


def report_unreached(unreached):
    failed = 0
    for model, steps in unreached.items():
        for place, _, line, what in sorted(steps):
            if not any(re.search(pattern, f'{place} {what}') for pattern in UNREACHED):
                print(f'no configuration reaches {model}:{line} in {place}: {what}')
                failed += 1
    return failed


def mutate(options, text, old, new):
    if text.count(old) != 1:
        return f'its text is there {text.count(old)} times'
    wrong = check(options, text.replace(old, new))['wrong']
    refuted = any(re.match('assertion violated|invalid end state|acceptance cycle', line)
                  for line in wrong)
    return '' if refuted else 'NOT REFUTED'


def run_mutations(pool):
    failed, rows = 0, {name: (model, options) for name, model, options in CONFIGURATIONS}
    results = []
    for _, configuration, old, new in MUTATIONS:
        model, options = rows[configuration]
        results.append(pool.submit(mutate, options, read(model), old, new))
    for (name, configuration, _, _), future in zip(MUTATIONS, results):
        wrong = future.result()
        failed += wrong != ''
        print(f'{wrong or "refuted":12}{name} ({configuration})', flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('header', nargs='?',
                        default=os.path.join(HERE, '../../dsm/core/message.h'))
    parser.add_argument('--thorough', action='store_true')
    parser.add_argument('--only')
    parser.add_argument('--jobs', type=int, default=2)
    arguments = parser.parse_args()
    began = time.monotonic()
    for tool in ('spin', 'gcc'):
        if shutil.which(tool) is None:
            sys.exit(f'tests/model: {tool} is not installed; deploy/packages.sh names the packages')
    wrong = check_kinds(arguments.header)
    print(*wrong, sep='\n', end='\n' if wrong else '')
    failed = len(wrong)
    rows = CONFIGURATIONS + (THOROUGH if arguments.thorough or arguments.only else [])
    rows = [row for row in rows if arguments.only in (None, row[0])]
    with concurrent.futures.ThreadPoolExecutor(max_workers=arguments.jobs) as pool:
        bad, unreached = run_configurations(rows, pool)
        failed += bad
        if arguments.only is None:
            failed += report_unreached(unreached) + run_mutations(pool)
    print(f'{time.monotonic() - began:.0f} s')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
