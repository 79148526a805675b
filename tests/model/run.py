#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the model of the protocol by spin, every state of every configuration.

    tests/model/run.py [CORE]      the configurations and mutations of CI; CORE: path of message.h
    tests/model/run.py --thorough  the large configurations besides
    tests/model/run.py --only NAME one configuration
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DEATH = '-DVICTIMS=6'
# Name, what may go wrong in it; README.md tells what each is for.
CONFIGURATIONS = [
    ('accesses', '-DOPS0=2 -DOPS1=2 -DOPS2=2 -DLINK_SIZE=4'),
    ('eviction', '-DEVICTIONS=2'),
    ('loss', '-DLOSSES=1'),
    ('duplicate', '-DCOPIES=1'),
    ('resend', '-DRESENDS=1'),
    ('refusal', '-DREFUSALS=1 -DEVICTIONS=1'),
    ('death', DEATH),
    ('death-eviction', DEATH + ' -DEVICTIONS=1 -DLINK_SIZE=10'),
    ('home-death', '-DVICTIMS=1 -DEVICTIONS=1'),
]
THOROUGH = [
    ('split-steps', '-DSPLIT_STEPS -DLINK_SIZE=12'),
    ('loss-eviction', '-DLOSSES=1 -DEVICTIONS=1 -DLINK_SIZE=12'),
    ('death-loss', DEATH + ' -DLOSSES=1 -DLINK_SIZE=12'),
    ('death-resend', DEATH + ' -DRESENDS=1 -DLINK_SIZE=12'),
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
    ('grant while asking', 'death', 'acks == 0 && !asking -> transfer_grant()',
     'acks == 0 -> transfer_grant()'),
    ('keep what came and deny it', 'death-eviction',
     'drop_received();\n        deny()', 'deny()'),
]
# Kinds that no model has yet, and why.
NOT_MODELLED = {kind: 'synchronisation has no model yet; tests/unit/test_sync*.c tests it'
                for kind in ('SYNC', 'SYNC_REPLY', 'SYNC_ACK', 'ATOMIC', 'ATOMIC_DONE')}
# Steps that no configuration reaches: the ends of processes that wait for ever.
UNREACHED = [r'-end-']


def read(name):
    with open(os.path.join(HERE, name), encoding='utf-8') as file:
        return file.read()


def check_kinds(header):
    """The model has exactly the kinds of the core, each of them sent and received."""
    with open(header, encoding='utf-8') as file:
        text = file.read()
    core = set(re.findall(r'^    X\(\d+, (\w+),\s*(?:\\\n\s*)?FIELDS_COMMON', text, re.M))
    listed = re.search(r'mtype = \{([^}]*)\}', read('messages.pml')).group(1)
    model = set(re.findall(r'\w+', listed))
    page = read('page.pml')
    wrong = [f'{kind}: in one of message.h and messages.pml only' for kind in core ^ model]
    for kind in sorted(model - set(NOT_MODELLED)):
        if not re.search(rf'send\({kind}\b', page):
            wrong.append(f'{kind}: nobody sends it in page.pml')
        if not re.search(rf':: kind == {kind} -> d_step', page):
            wrong.append(f'{kind}: nobody receives it in page.pml')
    return wrong if core else ['no kinds found in ' + header]


def check(options, text):
    """Build and run one model: states, depth, MB, seconds, unreached lines, what is wrong."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copy(os.path.join(HERE, 'messages.pml'), place)
        with open(os.path.join(place, 'page.pml'), 'w', encoding='utf-8') as file:
            file.write(text)
        for command in (['spin', *options.split(), '-a', 'page.pml'],
                        ['gcc', '-O0', '-w', '-DSAFETY', '-DCOLLAPSE', '-DJOINPROCS', '-DNOREDUCE',
                         '-DMEMLIM=3000', '-DVECTORSZ=1024', '-o', 'pan', 'pan.c']):
            built = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
            if built.returncode != 0:
                return {'wrong': [(built.stdout + built.stderr).strip()]}
        out = subprocess.run(['./pan', '-m100000', '-w22'], cwd=place, capture_output=True,
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
        state = re.match(r'\s+page\.pml:(\d+), state (\d+), (.*)', line)
        if state and place != 'init':
            unreached.add((place, int(state.group(2)), int(state.group(1)), state.group(3)))
    return dict(zip(('states', 'depth', 'mb', 'seconds'), values), unreached=unreached, wrong=wrong)


def run_configurations(rows):
    failed, unreached = 0, None
    print(f'{"configuration":16}{"states":>10}{"depth":>7}{"MB":>7}{"s":>7}')
    for name, options in rows:
        result = check(options, read('page.pml'))
        wrong = result['wrong']
        failed += bool(wrong)
        if 'states' in result:
            print(f'{name:16}{result["states"]:10.0f}{result["depth"]:7.0f}{result["mb"]:7.0f}'
                  f'{result["seconds"]:7.1f}', *wrong, flush=True)
            unreached = result['unreached'] if unreached is None \
                else unreached & result['unreached']
        else:
            print(name, *wrong)
    return failed, unreached or set()


def run_mutations():
    failed, options = 0, dict(CONFIGURATIONS)
    for name, configuration, old, new in MUTATIONS:
        text = read('page.pml')
        if text.count(old) != 1:
            print(f'mutation "{name}": its text is there {text.count(old)} times')
            failed += 1
            continue
        wrong = check(options[configuration], text.replace(old, new))['wrong']
        refuted = any(re.match('assertion violated|invalid end state', line) for line in wrong)
        failed += not refuted
        print(f'{"refuted" if refuted else "NOT REFUTED":12}{name} ({configuration})', flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('header', nargs='?',
                        default=os.path.join(HERE, '../../dsm/core/message.h'))
    parser.add_argument('--thorough', action='store_true')
    parser.add_argument('--only')
    arguments = parser.parse_args()
    for tool in ('spin', 'gcc'):
        if shutil.which(tool) is None:
            sys.exit(f'tests/model: {tool} is not installed; deploy/packages.sh names the packages')
    wrong = check_kinds(arguments.header)
    print(*wrong, sep='\n', end='\n' if wrong else '')
    failed = len(wrong)
    rows = CONFIGURATIONS + (THOROUGH if arguments.thorough or arguments.only else [])
    rows = [row for row in rows if arguments.only in (None, row[0])]
    bad, unreached = run_configurations(rows)
    failed += bad
    if arguments.only is None:
        for place, _, line, what in sorted(unreached):
            if not any(re.search(pattern, f'{place} {what}') for pattern in UNREACHED):
                print(f'no configuration reaches page.pml:{line} in {place}: {what}')
                failed += 1
        failed += run_mutations()
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
