#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of tests/tidy.py catches a planted violation and leaves alone what resembles one."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # noqa: E402  (beside this file)

SPDX_C = '/* SPDX-License-Identifier: Apache-2.0 */\n'
SPDX_PY = '# SPDX-License-Identifier: Apache-2.0\n'


class TidyTest(unittest.TestCase):
    def rules_broken(self, files):
        """The rules that a tree of these files breaks, once each per violation."""
        with tempfile.TemporaryDirectory(prefix='dsm-tidy-') as root:
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, 'w', encoding='utf-8') as file:
                    file.write(text)
            return [rule for rule, _ in tidy.check(root).violations]

    def c(self, path, body, **others):
        files = {path: SPDX_C + body}
        files.update({name.replace('__', '/') + '.h': SPDX_C + text
                      for name, text in others.items()})
        return self.rules_broken(files)

    def test_include_of_higher_level_refused(self):
        self.assertEqual(self.c('net/x.c', '#include "agent/y.h"\n'), ['include-level'])
        self.assertEqual(self.c('dsm/core/x.c', '#include "net/y.h"\n'), ['include-level'])
        self.assertEqual(self.c('agent/x.c', '#include "tests/y.h"\n'), ['include-level'])

    def test_include_of_other_folder_of_same_level_refused(self):
        self.assertEqual(self.c('agent/x.c', '#include "dsm/lib/y.h"\n'), ['include-level'])

    def test_include_of_lower_level_accepted(self):
        self.assertEqual(self.c('agent/x.c', '#include "agent/y.h"\n#include "net/z.h"\n'
                                '#include "dsm/core/node.h"\n#include <stdio.h>\n'), [])
        self.assertEqual(self.rules_broken({
            'dsm/include/dsm.h': SPDX_C, 'dsm/core/x.c': SPDX_C + '#include "dsm.h"\n'}), [])

    def test_include_of_public_header_upward_refused(self):
        self.assertEqual(self.rules_broken({
            'dsm/include/dsm.h': SPDX_C + '#include "dsm/core/x.h"\n'}), ['include-level'])

    def test_core_with_system_header_refused(self):
        self.assertEqual(self.c('dsm/core/x.c', '#include <stdlib.h>\n'), ['core-header'])
        self.assertEqual(self.c('dsm/core/x.c', '#include <string.h>\n#include <stdint.h>\n'), [])

    def test_page_that_sees_home_refused(self):
        self.assertEqual(self.c('dsm/core/page.c', '#include "dsm/core/home.h"\n'), ['two-sides'])
        self.assertEqual(self.c('dsm/core/home.c', '#include "dsm/core/page.h"\n'), ['two-sides'])
        self.assertEqual(self.c('dsm/core/node.c', '#include "dsm/core/page.h"\n'), [])

    def test_own_header_late_refused(self):
        late = '#include <stdio.h>\n#include "net/x.h"\n'
        self.assertEqual(self.c('net/x.c', late, net__x=''), ['own-header-first'])
        self.assertEqual(self.c('net/x.c', '#include "net/x.h"\n', net__x=''), [])

    def test_mutable_variable_of_file_scope_refused(self):
        for line in ('static int counter;', 'int counter = 1;', 'static const char *name = "x";',
                     'static struct pool pool = {0};', 'static char names[2][3];',
                     'static void (*handler)(int);', 'struct { int a; } thing;',
                     'static struct node *nodes[4] = {0};', 'static __thread int last;'):
            with self.subTest(line=line):
                self.assertEqual(self.c('agent/x.c', line + '\n'), ['mutable'])

    def test_mutable_static_in_function_refused(self):
        body = 'int next(void)\n{\n    static int last;\n    return ++last;\n}\n'
        self.assertEqual(self.c('agent/x.c', body), ['mutable'])

    def test_constants_and_declarations_accepted(self):
        body = '\n'.join([
            'static const int limit = 3;', 'static const char *const names[] = {"a", "b"};',
            'static const struct row rows[] = {', '    {1, "x"},', '};',
            'struct thing {', '    int member;', '};', 'enum kind { KIND_A = 1, KIND_B };',
            'typedef struct id {', '    int value;', '} id;', 'struct forward;',
            'int call(int a, const char *b);', 'static int (*const pick[])(int) = {call_a};',
            'static const struct ops *find(int a)', '{',
            '    static const int table[] = {1};', '    int local = 0;',
            '    return a ? &first[table[local]] : 0;', '}',
            '_Static_assert(sizeof(int) == 4, "int");', ''])
        self.assertEqual(self.c('agent/x.c', body), [])

    def test_mutable_in_tests_accepted(self):
        self.assertEqual(self.c('tests/unit/x.c', 'static int counter;\n'), [])

    def test_banned_call_refused(self):
        for name in tidy.BANNED:
            with self.subTest(name=name):
                body = f'void f(void)\n{{\n    {name}(a, b);\n}}\n'
                self.assertEqual(self.c('net/x.c', body), ['banned'])

    def test_banned_name_in_comment_or_longer_word_accepted(self):
        body = ('/* strcpy(a, b) */\nvoid f(void)\n{\n    my_strcpy(a, "gets(x)");\n'
                '    o->gets(1);\n}\n')
        self.assertEqual(self.c('net/x.c', body), [])

    def test_sleep_in_c_test_refused(self):
        body = 'void f(void)\n{\n    usleep(10);\n}\n'
        self.assertEqual(self.c('tests/unit/x.c', body), ['sleep'])
        self.assertEqual(self.c('agent/x.c', body), [])

    def test_sleep_in_python_test_refused(self):
        self.assertEqual(self.rules_broken(
            {'tests/e2e/x.py': SPDX_PY + 'import time\ntime.sleep(1)\n'}), ['sleep'])
        self.assertEqual(self.rules_broken(
            {'tests/e2e/x.py': SPDX_PY + 'from time import sleep\nsleep(1)\n'}), ['sleep'])
        self.assertEqual(self.rules_broken({'tests/e2e/x.py': SPDX_PY + '"""sleep(1)"""\n'}), [])

    def test_sleep_in_shell_test_refused(self):
        for line in ('sleep 1', 'a && sleep 1', 'while x; do sleep 1; done'):
            with self.subTest(line=line):
                broken = self.rules_broken({'tests/x.sh': SPDX_PY + line + '\n'})
                self.assertEqual(broken, ['sleep'])

    def test_undocumented_public_function_refused(self):
        documented = '/**\n * Does it.\n */\nint dsm_do(int a);\n'
        self.assertEqual(self.rules_broken({'dsm/include/dsm.h': SPDX_C + documented}), [])
        self.assertEqual(self.rules_broken(
            {'dsm/include/dsm.h': SPDX_C + documented + '\nint dsm_bare(void);\n'}), ['documented'])
        self.assertEqual(self.rules_broken(
            {'dsm/include/dsm.h': SPDX_C + '/* weak */\nstruct dsm *dsm_weak(\n    int a);\n'}),
            ['documented'])

    def test_missing_licence_refused(self):
        self.assertEqual(self.rules_broken({'net/x.c': 'int f(void);\n'}), ['spdx'])
        self.assertEqual(self.rules_broken({'net/meson.build': 'x = 1\n'}), ['spdx'])
        self.assertEqual(self.rules_broken({'deploy/x.sh': '#!/bin/sh\n' + SPDX_PY}), [])

    def test_long_file_refused(self):
        self.assertEqual(self.c('net/x.c', '\n' * 500), ['file-length'])
        self.assertEqual(self.c('net/x.c', '\n' * 490), [])

    def test_long_line_refused(self):
        self.assertEqual(self.c('net/x.c', '/* ' + 'x' * 98 + ' */\n'), ['columns'])

    def test_long_function_refused(self):
        body = 'void f(void)\n{\n' + '    g();\n' * 80 + '}\n'
        self.assertEqual(self.c('net/x.c', body), ['function-length'])
        self.assertEqual(self.rules_broken(
            {'tests/x.py': SPDX_PY + 'def f():\n' + '    g()\n' * 81}), ['function-length'])

    def test_long_flat_switch_accepted(self):
        body = ('void f(int a)\n{\n    switch (a) {\n' + '    case 1:\n        g();\n' * 60
                + '    }\n}\n')
        self.assertEqual(self.c('net/x.c', body), [])

    def test_stranger_on_top_level_refused(self):
        self.assertEqual(self.rules_broken({'notes.txt': 'x', 'README.md': 'x', '.ci/run': 'x',
                                            'build/y': 'z'}), ['top-level'])

    def test_every_rule_has_a_planted_violation(self):
        with open(tidy.__file__, encoding='utf-8') as file:
            rules = set(__import__('re').findall(r"refuse\(\s*'([a-z-]+)'", file.read()))
        with open(os.path.abspath(__file__), encoding='utf-8') as file:
            text = file.read()
        for rule in rules:
            self.assertIn(f"['{rule}']", text)


if __name__ == '__main__':
    unittest.main()
