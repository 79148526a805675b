#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints `llvm-cov export -summary-only` as a table of the product's files.

    llvm-cov export ... | coverage_table.py ROOT
"""

import json
import os
import sys


def main():
    root = os.path.abspath(sys.argv[1])
    rows = []
    for file in json.load(sys.stdin)['data'][0]['files']:
        name = os.path.relpath(os.path.abspath(file['filename']), root)
        regions, lines = file['summary']['regions'], file['summary']['lines']
        if name.split(os.sep)[0] in ('dsm', 'net', 'agent') and regions['covered']:
            rows.append((name, regions['covered'], regions['count'], lines['covered'],
                         lines['count']))
    print(f'{"file":34} {"regions":>12} {"":>6} {"lines":>12}')
    for name, regions, of_regions, lines, of_lines in sorted(rows) + [
            ('all of these', *(sum(row[i] for row in rows) for i in range(1, 5)))]:
        print(f'{name:34} {regions:5}/{of_regions:<6} {100 * regions / of_regions:5.1f}% '
              f'{lines:5}/{of_lines:<6} {100 * lines / of_lines:5.1f}%')


if __name__ == '__main__':
    main()
