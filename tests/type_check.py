#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""DSM_TYPE_CHECK compiles for the structs that have the type, and for no others.

    type_check.py --include DIR --compiler CC

With CC, and with each compiler for another ABI that is installed: where double is aligned to 4,
where pointers have 32 bits, where the high byte comes first.
"""

import argparse
import shutil
import subprocess
import sys

FLAGS = ['-std=c11', '-ffreestanding', '-fsyntax-only', '-Wall', '-Wextra', '-Wpedantic',
         '-Werror', '-x', 'c', '-']
# Command, and whether an 8-byte scalar is aligned to 4 in a struct.
OTHERS = [
    (['gcc', '-m32'], True),
    (['clang-14', '--target=i386-linux-gnu'], True),
    (['clang-14', '--target=s390x-linux-gnu'], False),
    (['arm-linux-gnueabihf-gcc'], False),
    (['aarch64-linux-gnu-gcc'], False),
    (['s390x-linux-gnu-gcc'], False),
]
POINT = 'struct point { float x, y; };\n#define POINT (f32, x), (f32, y)\n'
EVERY_KIND = POINT + '''
struct every {
    uint8_t a; int8_t b; char c[6]; _Bool d; char unused; uint16_t e[3];
    int32_t f; uint32_t g[1]; int16_t h; int16_t i; _Atomic uint32_t j;
    uint64_t k; volatile int64_t l; const double m; float n[2];
    struct dsm_ref o; struct point p; struct point q[4];
    struct { struct { double deep[2]; } in[2]; } r;
};
#define EVERY (u8, a), (i8, b), (i8, c, 6), (u8, d), (pad, 1), (u16, e, 3), (i32, f), \\
    (u32, g, 1), (i16, h), (i16, i), (u32, j), (u64, k), (i64, l), (f64, m), (f32, n, 2), \\
    (ref, o), (struct, p, POINT), (structs, q, 4, POINT), \\
    (struct, r, (structs, in, 2, (f64, deep, 2)))
DSM_TYPE_CHECK(struct every, EVERY);
const char text[] = DSM_TYPE_TEXT(EVERY) "[]";
'''
MANY = ', '.join(f'(u8, m{i})' for i in range(32))
MEMBERS = ' '.join(f'uint8_t m{i};' for i in range(33))


def check(members, listed, before=''):
    return f'{before}struct it {{ {members} }};\nDSM_TYPE_CHECK(struct it, {listed});'


# Compile on every ABI.
RIGHT = [
    EVERY_KIND,
    check('uint16_t red, green; uint32_t unused; double value;',
          '(u16, red), (u16, green), (pad, 4), (f64, value)'),
    check('struct point a; struct point b[2];', '(struct, a, POINT), (structs, b, 2, POINT)',
          POINT),
    check(MEMBERS.replace(' uint8_t m32;', ''), MANY),
    'typedef struct { int16_t v; } word_t;\nDSM_TYPE_CHECK(word_t, (i16, v));',
    'struct a { float f; };\nvoid f(void); void f(void) { DSM_TYPE_CHECK(struct a, (f32, f)); }',
]
# Compile on no ABI; and what the compiler says.
WRONG = [
    (check('uint16_t a; uint16_t b; uint32_t c;', '(u16, a), (u32, c)'), 'member c lies elsewhere'),
    (check('uint32_t c; uint16_t a, b;', '(u32, c), (u16, a)'), 'ends elsewhere than its type'),
    (check('int32_t a;', '(u32, a)'), 'member a is no u32'),
    (check('uint32_t a;', '(f32, a)'), 'member a is no f32'),
    (check('float a;', '(u32, a)'), 'member a is no u32'),
    (check('uint32_t a; uint32_t b;', '(u64, a)'), 'member a has another size'),
    (check('uint32_t a;', '(u16, a), (pad, 2)'), 'member a has another size'),
    (check('uint16_t a[4];', '(u16, a, 3), (pad, 2)'), 'member a has another size'),
    (check('uint16_t a[2];', '(u32, a)'), 'member a is no u32'),
    (check('struct dsm_ref a;', '(u64, a, 2)'), ''),
    (check('uint64_t a[2];', '(ref, a)'), 'member a is no ref'),
    (check('struct point a;', '(struct, a, (f32, y), (f32, x))', POINT), 'member y lies elsewhere'),
    (check('struct point a;', '(struct, a, (f32, x), (u32, y))', POINT), 'member y is no u32'),
    (check('struct point a[3];', '(structs, a, 2, POINT), (pad, 8)', POINT),
     'member a has another size'),
    (check('struct point a[2];', '(structs, a, 4, (f32, x))', POINT),
     'member a has another count'),
    (check('uint8_t a; uint8_t b[4];', '(u8, a), (structs, b, 1, (u32, c))'), ''),
    (check(MEMBERS, MANY + ', (u8, m32)'), 'DSM_TYPE_32_MEMBERS_AT_MOST_u8'),
    (check('uint32_t a;', '(u24, a)'), 'DSM_TYPE_SORT_u24'),
    (check('struct { struct { struct { float f; } c; } b; } a;',
           '(struct, a, (struct, b, (struct, c, (f32, f))))'), 'DSM_TYPE_SHADOW_STRUCT_3'),
    (check('uint8_t a[4]; uint8_t b[4];', '(u8, a, 4), (u8, b, 4), (pad, 1)'), 'ends elsewhere'),
]
# As C lays it out where 8-byte scalars are aligned to 8; elsewhere it is refused with these words.
NATURAL = [
    (check('uint32_t a; double b;', '(u32, a), (pad, 4), (f64, b)'), 'member b lies elsewhere'),
    (check('uint64_t b; uint32_t a;', '(u64, b), (u32, a), (pad, 4)'), 'ends elsewhere'),
]
# As C lays it out where they are aligned to 4: not a type either, for no scalar may straddle.
NARROW = [
    (check('uint32_t a; double b;', '(u32, a), (f64, b)'),
     'member b must lie at a multiple of its size'),
    (check('int64_t b; uint32_t a;', '(i64, b), (u32, a)'),
     'member b of an array of structs would'),
]


def works(command):
    done = subprocess.run([*command, *FLAGS], input='typedef int probe;\n', text=True, check=False,
                          stderr=subprocess.PIPE)
    return done.returncode == 0


def compile_one(command, include, snippet):
    done = subprocess.run([*command, *FLAGS, '-I', include],
                          input='#include "dsm_type.h"\n' + snippet + '\n', text=True, check=False,
                          stderr=subprocess.PIPE)
    return done.returncode == 0, done.stderr


def check_compiler(command, is_narrow, include):
    """Returns what is wrong, as sentences."""
    wrong = []
    natural = [snippet for snippet, _ in NATURAL]
    for snippet in RIGHT + ([] if is_narrow else natural):
        is_fine, said = compile_one(command, include, snippet)
        if not is_fine:
            wrong.append(f'{snippet}\n  does not compile: {said}')
    for snippet, words in WRONG + (NATURAL + NARROW if is_narrow else []):
        is_fine, said = compile_one(command, include, snippet)
        if is_fine or words not in said:
            wrong.append(f'{snippet}\n  ' + ('compiles' if is_fine else f'no "{words}": {said}'))
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--include', required=True)
    parser.add_argument('--compiler', required=True)
    arguments = parser.parse_args()
    count_wrong = 0
    for command, is_narrow in [([arguments.compiler], False)] + OTHERS:
        if shutil.which(command[0]) is None or not works(command):
            print(f'{" ".join(command)}: left out, not installed')
            continue
        wrong = check_compiler(command, is_narrow, arguments.include)
        print(f'{" ".join(command)}: {len(wrong)} wrong')
        for sentence in wrong:
            print(sentence)
        count_wrong += len(wrong)
    return 1 if count_wrong else 0


if __name__ == '__main__':
    sys.exit(main())
