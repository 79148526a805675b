#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""C source as text for tests/tidy.py: blanked comments and strings, statements of file scope.

This is no compiler: it knows enough of the language to find what the tree's rules speak of, in code
that clang-format has laid out and a compiler has accepted.
"""

import re


def blank(text, keep_strings=False):
    """Replace comments (and strings) by spaces; line numbers stay what they are."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def spaces(match):
        found = match.group(0)
        if found[0] == '"' and not keep_strings:
            return '"' + re.sub(r'[^\n]', ' ', found[1:-1]) + '"'
        if found[0] in '"\'':
            return found if keep_strings else re.sub(r'[^\n]', '0', found)
        return re.sub(r'[^\n]', ' ', found)

    return pattern.sub(spaces, text)


def blank_directives(text):
    """Replace preprocessor directives, continued lines included, by empty lines."""
    lines = text.split('\n')
    directive = False
    for number, line in enumerate(lines):
        if directive or line.lstrip().startswith('#'):
            directive = line.endswith('\\')
            lines[number] = ''
    return '\n'.join(lines)


def line_at(text, position):
    return text.count('\n', 0, position) + 1


def closing(text, start):
    """The position after the brace that closes the one at start."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] == '{':
            depth += 1
        elif text[position] == '}':
            depth -= 1
            if depth == 0:
                return position + 1
    return len(text)


class Statement:
    """A statement of file scope: its head up to the first brace or its end, and its body."""

    def __init__(self, head, line, body):
        self.head = ' '.join(head.split())
        self.line = line
        self.body = body  # (start, end) positions of the braces, or None

    def is_function(self):
        """A definition: a body, and a head that ends in a parameter list."""
        head = re.sub(r'__attribute__\s*\(\(.*?\)\)', '', self.head).rstrip()
        return self.body is not None and head.endswith(')') and '=' not in head

    def name(self):
        found = re.search(r'(\w+)\s*\(', self.head)
        return found.group(1) if found else self.head


def statements(code):
    """Statements of file scope of blanked code; extern "C" is looked through."""
    start = position = 0
    while position < len(code):
        character = code[position]
        if character == '{':
            head = code[start:position]
            if re.fullmatch(r'\s*extern\s*"[^"]*"\s*', head):
                position += 1
                start = position
                continue
            end = closing(code, position)
            statement = Statement(head, line_at(code, start + len(head) - len(head.lstrip())),
                                  (position, end))
            if not statement.is_function():
                semicolon = code.find(';', end)
                semicolon = len(code) if semicolon < 0 else semicolon
                statement.head += ' {} ' + ' '.join(code[end:semicolon].split())
                end = semicolon + 1
            yield statement
            position = start = end
        elif character == ';':
            head = code[start:position]
            if head.strip():
                yield Statement(head, line_at(code, start + len(head) - len(head.lstrip())), None)
            position += 1
            start = position
        elif character == '}':
            position += 1
            start = position
        else:
            position += 1


def is_mutable(declaration):
    """Does a declaration with a storage class or at file scope make a variable that can change?"""
    text = re.sub(r'__attribute__\s*\(\(.*?\)\)', ' ', declaration)
    text = text.split('=', 1)[0].strip()
    text = re.sub(r'\[[^\]]*\]', ' ', text).strip()
    if '*' in text:
        return 'const' not in text.rsplit('*', 1)[1].split()
    return 'const' not in text.split()


def is_variable(statement):
    """Is a statement of file scope the definition (or declaration) of a variable?"""
    head = statement.head
    words = head.split()
    if not words or words[0] in ('typedef', '_Static_assert', 'static_assert'):
        return False
    if statement.is_function():
        return False
    left = re.sub(r'__attribute__\s*\(\(.*?\)\)', ' ', head.split('=', 1)[0]).strip()
    if '=' not in head and re.fullmatch(r'(struct|union|enum)\s*\w*\s*(\{\})?', left):
        return False
    pointer_to_function = re.search(r'\(\s*\*\s*(const\s+)?\w+\s*(\[[^\]]*\])?\s*\)\s*\(', left)
    if '(' in left and not pointer_to_function:
        return False
    if '=' in head:
        return True
    declarator = re.sub(r'\{\}', ' ', left)
    return len(re.findall(r'\w+', re.sub(r'\[[^\]]*\]', '', declarator))) >= 2 \
        or bool(pointer_to_function)


def mutable_statics(code):
    """(line, text) of variables that live as long as the program and can change."""
    for statement in statements(code):
        if statement.is_function():
            start, end = statement.body
            for found in re.finditer(r'(?<![\w])static\b([^;{(]*)', code[start:end]):
                if is_mutable(found.group(1)):
                    yield line_at(code, start + found.start()), 'static' + found.group(1).rstrip()
        elif is_variable(statement):
            left = statement.head
            function_pointer = re.search(r'\(\s*\*\s*(const)?\s*\w+', left.split('=', 1)[0])
            if function_pointer:
                if not function_pointer.group(1):
                    yield statement.line, left
            elif is_mutable(left.replace('{}', ' ')):
                yield statement.line, left


def functions(code):
    """(name, line, lines) of each function; lines that a flat switch adds are not counted."""
    for statement in statements(code):
        if not statement.is_function():
            continue
        start, end = statement.body
        body = code[start:end]
        total = body.count('\n') + 1
        for found in re.finditer(r'\bswitch\s*\([^{]*\{', body):
            inner = body[found.end():closing(body, found.end() - 1) - 1]
            if not re.search(r'\b(for|while|do|switch)\b', inner):
                total -= inner.count('\n')
        yield statement.name(), statement.line, total
