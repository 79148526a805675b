#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tree checks itself: house rules that hold because this test holds them.

    tests/tidy.py [ROOT]       checks the tree; one line per violation, exit status 1 then
    tests/tidy.py --notes      also tells what is longer than it should be but not yet refused

tests/test_tidy.py plants a violation of each rule and proves that it is caught.
"""

import ast
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ctext  # noqa: E402  (beside this file)

# Each folder's level; a file includes headers of its own folder and of lower levels, never higher.
LEVELS = [
    ('dsm/include', 0),
    ('dsm/core', 1),
    ('net', 2),
    ('dsm/lib', 3),
    ('agent', 3),
    ('tests', 4),
    ('deploy', 4),
]
CORE_HEADERS = {'stdint.h', 'stdbool.h', 'stddef.h', 'string.h'}
TOP = {'dsm', 'net', 'agent', 'tests', 'deploy', 'meson.build', 'README.md', 'LICENSE'}
BANNED = ['strcpy', 'stpcpy', 'strcat', 'strncat', 'sprintf', 'vsprintf', 'gets', 'atoi', 'atol',
          'atoll', 'atof', 'strtok', 'tmpnam', 'mktemp', 'alloca']
SLEEPS = ['sleep', 'usleep', 'nanosleep', 'clock_nanosleep', 'thrd_sleep', 'uv_sleep']
FILE_LINES_GOAL, FILE_LINES_MAX = 450, 500
FUNCTION_LINES_GOAL, FUNCTION_LINES_MAX = 60, 80
COLUMNS_MAX = 100
SPDX = 'SPDX-License-Identifier: Apache-2.0'
# The fault handler's one pointer (STYLE.md, Memory): the only mutable variable of file scope.
MUTABLE_ALLOWED = {'dsm/lib/fence.c': 1, 'dsm/lib/segv.c': 1}


class Tree:
    """The files of a tree, by path from its root, and what was found wrong with them."""

    def __init__(self, root):
        self.root = root
        self.violations = []
        self.notes = []
        self.files = {}
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if not self.is_foreign(name))
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if self.is_text(path):
                    with open(os.path.join(root, path), encoding='utf-8') as file:
                        self.files[path] = file.read()

    @staticmethod
    def is_foreign(name):
        return name.startswith('.') or name == '__pycache__' or re.fullmatch(r'build(-.*)?', name)

    @staticmethod
    def is_text(path):
        return path.endswith(('.c', '.h', '.py', '.sh')) or os.path.basename(path) == 'meson.build'

    def c_files(self, *folders):
        for path, text in self.files.items():
            if path.endswith(('.c', '.h')) and (not folders or is_under(path, folders)):
                yield path, text

    def refuse(self, rule, path, line, text):
        self.violations.append((rule, f'{path}:{line}: {text} [{rule}]'))

    def note(self, path, line, text):
        self.notes.append(f'{path}:{line}: {text}')


def is_under(path, folders):
    return any(path == folder or path.startswith(folder + '/') for folder in folders)


def folder_of(path):
    """The levelled folder that a path lies in, and its level; None for others."""
    for folder, level in LEVELS:
        if is_under(path, [folder]):
            return folder, level
    return None


def includes(text):
    """(line, quoted, path) of each include."""
    for number, line in enumerate(ctext.blank(text, keep_strings=True).split('\n'), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def check_include_levels(tree):
    """Headers of the own folder and of lower levels only."""
    public = {os.path.basename(path) for path, _ in tree.c_files('dsm/include')}
    for path, text in tree.c_files():
        own = folder_of(path)
        if own is None:
            continue
        for line, quoted, name in includes(text):
            if not quoted and name not in public:
                continue
            beside = os.path.join(os.path.dirname(path), name)
            target = 'dsm/include/' + name if name in public else \
                name if name in tree.files or '/' in name else beside
            other = folder_of(target)
            if other is None or (other[0] != own[0] and other[1] >= own[1]):
                tree.refuse('include-level', path, line,
                            f'"{name}" is not of a level below {own[0]}')


def check_core_headers(tree):
    """The core is pure: no system header but those of integers, booleans and bytes."""
    for path, text in tree.c_files('dsm/core'):
        for line, quoted, name in includes(text):
            if not quoted and name not in CORE_HEADERS:
                tree.refuse('core-header', path, line, f'<{name}> has no place in the core')


def check_two_sides(tree):
    """The requester's part and the home's part talk only by messages."""
    for mine, other in (('page', 'home'), ('home', 'page')):
        for path, text in tree.c_files('dsm/core'):
            if os.path.splitext(os.path.basename(path))[0] != mine:
                continue
            for line, _, name in includes(text):
                if os.path.basename(name) == other + '.h':
                    tree.refuse('two-sides', path, line,
                                f'{mine} and {other} talk by messages only')


def check_own_header_first(tree):
    """x.c includes x.h before anything else, which proves that x.h stands on its own."""
    for path, text in tree.c_files():
        header = path[:-2] + '.h'
        if not path.endswith('.c') or header not in tree.files:
            continue
        first = next(includes(text), (1, True, ''))
        if os.path.basename(first[2]) != os.path.basename(header):
            tree.refuse('own-header-first', path, first[0], f'{header} comes first')


def check_mutable(tree):
    """No mutable variable outlives a call: no hidden state."""
    for path, text in tree.c_files('dsm', 'net', 'agent'):
        code = ctext.blank_directives(ctext.blank(text))
        allowed = MUTABLE_ALLOWED.get(path, 0)
        for line, what in ctext.mutable_statics(code):
            if allowed > 0:
                allowed -= 1
                continue
            tree.refuse('mutable', path, line, f'"{what}" can change')


def calls(text, names):
    for found in re.finditer(r'(?<![\w.>])(' + '|'.join(names) + r')\s*\(', text):
        yield ctext.line_at(text, found.start()), found.group(1)


def check_banned(tree):
    """Calls that cannot be used safely."""
    for path, text in tree.c_files():
        for line, name in calls(ctext.blank(text), BANNED):
            tree.refuse('banned', path, line, f'{name}() is not used here')


def check_sleeps(tree):
    """Tests wait for a condition with a deadline, never for a time."""
    for path, text in tree.files.items():
        if not is_under(path, ['tests']):
            continue
        if path.endswith(('.c', '.h')):
            for line, name in calls(ctext.blank(text), SLEEPS):
                tree.refuse('sleep', path, line, f'{name}() in a test')
        elif path.endswith('.py'):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and getattr(
                        node.func, 'attr', getattr(node.func, 'id', '')) == 'sleep':
                    tree.refuse('sleep', path, node.lineno, 'sleep in a test')
        elif path.endswith('.sh'):
            for number, line in enumerate(text.split('\n'), 1):
                if re.search(r'(^|[;&|({]\s*|\b(do|then|else)\s+)\s*sleep\b', line):
                    tree.refuse('sleep', path, number, 'sleep in a test')


def check_documented(tree):
    """Every public function has a comment that begins with /** right above it."""
    for path, text in tree.c_files('dsm/include'):
        code = ctext.blank_directives(ctext.blank(text))
        lines = text.split('\n')
        for statement in ctext.statements(code):
            head = re.sub(r'__attribute__\s*\(\(.*?\)\)', '', statement.head)
            if '(' not in head or head.startswith(('typedef', 'struct', 'enum', 'union')):
                if not re.match(r'(struct|enum|union)\s+\w+\s*\**\s*\w+\s*\(', head):
                    continue
            above = statement.line - 2
            if above >= 0 and lines[above].rstrip().endswith('*/'):
                first = above
                while first > 0 and '/*' not in lines[first]:
                    first -= 1
                if lines[first].lstrip().startswith('/**'):
                    continue
            tree.refuse('documented', path, statement.line, f'{statement.name()} has no comment')


def check_form(tree):
    """The licence on top; lines, files and functions of a size that can be read."""
    for path, text in tree.files.items():
        lines = text.split('\n')
        if not any(SPDX in line for line in lines[:2]):
            tree.refuse('spdx', path, 1, f'the first lines do not say "{SPDX}"')
        count = len(lines) - 1
        if count > FILE_LINES_MAX:
            tree.refuse('file-length', path, count, f'{count} lines, at most {FILE_LINES_MAX}')
        elif count > FILE_LINES_GOAL:
            tree.note(path, count, f'{count} lines, should be {FILE_LINES_GOAL} at most')
        for number, line in enumerate(lines, 1):
            if len(line.expandtabs(8)) > COLUMNS_MAX:
                tree.refuse('columns', path, number, f'{len(line)} columns, at most {COLUMNS_MAX}')
        for name, line, length in lengths(path, text):
            if length > FUNCTION_LINES_MAX:
                tree.refuse('function-length', path, line,
                            f'{name} has {length} lines, at most {FUNCTION_LINES_MAX}')
            elif length > FUNCTION_LINES_GOAL:
                tree.note(path, line, f'{name} has {length} lines, should be '
                                      f'{FUNCTION_LINES_GOAL} at most')


def lengths(path, text):
    """(name, line, lines) of the functions of a C or Python file."""
    if path.endswith('.c'):
        yield from ctext.functions(ctext.blank_directives(ctext.blank(text)))
    elif path.endswith('.py'):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def check_top(tree):
    """The top level of the tree stays small."""
    for name in sorted(os.listdir(tree.root)):
        if name not in TOP and not Tree.is_foreign(name):
            tree.refuse('top-level', name, 1, 'does not belong on the top level of the tree')


CHECKS = [check_include_levels, check_core_headers, check_two_sides, check_own_header_first,
          check_mutable, check_banned, check_sleeps, check_documented, check_form, check_top]


def check(root):
    """Check a tree; returns it with its violations and notes."""
    tree = Tree(root)
    for one in CHECKS:
        one(tree)
    return tree


def main(arguments):
    notes = '--notes' in arguments
    roots = [argument for argument in arguments if not argument.startswith('--')]
    root = roots[0] if roots else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tree = check(root)
    for _, line in tree.violations:
        print(line)
    for line in tree.notes if notes else []:
        print('note: ' + line)
    print(f'tidy: {len(tree.files)} files, {len(tree.violations)} violations')
    return 1 if tree.violations else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
