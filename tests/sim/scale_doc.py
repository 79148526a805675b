#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of a document say what the programs count.

    scale_doc.py DOCUMENT PROGRAM...
"""

import subprocess
import sys


def tables(text):
    """{(row, column): cell} of all tables of a Markdown text; a row is its name and formula."""
    cells = {}
    head = None
    for line in text.splitlines():
        if not line.startswith('|'):
            head = None
            continue
        row = [cell.strip() for cell in line.strip('|').split('|')]
        if head is None:
            head = row
        elif not row[0].startswith('---'):
            for column, cell in zip(head[2:], row[2:]):
                cells[(row[0], row[1], column)] = cell
    return cells


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        said = tables(file.read())
    wrong = 0
    for program in sys.argv[2:]:
        counted = tables(subprocess.run([program, '--markdown'], check=True, text=True,
                                        stdout=subprocess.PIPE).stdout)
        assert counted, program
        for place, cell in counted.items():
            if said.get(place) != cell:
                print(f'{place}: counted {cell}, the document says {said.get(place)}')
                wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
