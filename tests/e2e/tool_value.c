/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that store and load values by their C types, as this machine lays them out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/tool.h"

/* The bytes of a value, and how it is written and read. */
struct value_type {
    const char *name;
    size_t len_bytes;
    void (*store)(void *memory, const char *text);
    void (*load)(const void *memory, struct tool *tool);
};

/* Integers are put and told as decimal numbers; floats as C writes them in hexadecimal, so that
 * nothing is rounded, with nan and inf. */
#define INTEGER(name, type, parse, as, format)                                                     \
    static void store_##name(void *memory, const char *text)                                       \
    {                                                                                              \
        *(volatile type *)memory = (type)parse(text, NULL, 0);                                     \
    }                                                                                              \
    static void load_##name(const void *memory, struct tool *tool)                                 \
    {                                                                                              \
        answer(tool, format, (as) * (const volatile type *)memory);                                \
    }
#define REAL(name, type, parse)                                                                    \
    static void store_##name(void *memory, const char *text)                                       \
    {                                                                                              \
        *(volatile type *)memory = parse(text, NULL);                                              \
    }                                                                                              \
    static void load_##name(const void *memory, struct tool *tool)                                 \
    {                                                                                              \
        answer(tool, "%a", (double)*(const volatile type *)memory);                                \
    }

INTEGER(u8, uint8_t, strtoull, unsigned, "%u")
INTEGER(i8, int8_t, strtoll, int, "%d")
INTEGER(u16, uint16_t, strtoull, unsigned, "%u")
INTEGER(i16, int16_t, strtoll, int, "%d")
INTEGER(u32, uint32_t, strtoull, unsigned, "%u")
INTEGER(i32, int32_t, strtoll, int, "%d")
INTEGER(u64, uint64_t, strtoull, unsigned long long, "%llu")
INTEGER(i64, int64_t, strtoll, long long, "%lld")
REAL(f32, float, strtof)
REAL(f64, double, strtod)

static const struct value_type *type_get(const char *name)
{
    static const struct value_type types[] = {
        {"u8", 1, store_u8, load_u8},    {"i8", 1, store_i8, load_i8},
        {"u16", 2, store_u16, load_u16}, {"i16", 2, store_i16, load_i16},
        {"u32", 4, store_u32, load_u32}, {"i32", 4, store_i32, load_i32},
        {"u64", 8, store_u64, load_u64}, {"i64", 8, store_i64, load_i64},
        {"f32", 4, store_f32, load_f32}, {"f64", 8, store_f64, load_f64},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    fprintf(stderr, "e2e-tool: no such type: %s\n", name);
    exit(2);
}

/* store MAP OFFSET TYPE VALUE */
static int on_store(struct tool *tool, const struct words *words)
{
    const struct value_type *type = type_get(word_text(words, 3));

    type->store(map_at(tool, words, 1, word_number(words, 2), type->len_bytes),
                word_text(words, 4));
    return 0;
}

/* load MAP OFFSET TYPE */
static int on_load(struct tool *tool, const struct words *words)
{
    const struct value_type *type = type_get(word_text(words, 3));

    type->load(map_at(tool, words, 1, word_number(words, 2), type->len_bytes), tool);
    return 0;
}

/* type SLOT: a region's type, as its catalog tells it */
static int on_type(struct tool *tool, const struct words *words)
{
    struct dsm_shm_stat stat;
    int error = dsm_shm_stat(tool->regions[word_slot(words, 1)], &stat);

    if (!error) {
        answer(tool, "%s", stat.type);
    }
    return error;
}

const struct command value_commands[] = {
    {"store", on_store},
    {"load", on_load},
    {"type", on_type},
    {NULL, NULL},
};
