/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each type in a buffer that the second cache holds and in one that it does not, in turns with a
 * memcpy() of as many bytes and with XDR's decoding of as many values. The bytes are those of the
 * program: XDR's own form is twice as long for u16, and as long or shorter for the others.
 */
#include "tests/bench/convert.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dsm/core/convert.h"
#include "tests/bench/series.h"
#include "tests/bench/xdr.h"

#define ROUNDS_DEFAULT 9u
/** Bytes that one measurement passes over at least. */
#define PASS_BYTES (256u << 20)
/** Bytes of a page, in which agents convert. */
#define PIECE_BYTES (64u << 10)

enum way { WAY_CONVERT, WAY_MEMCPY, WAY_XDR, WAY_COUNT };

static const struct {
    const char *name, *text, *xdr; /* xdr: "" there is nothing to compare with */
    uint32_t size_bytes;
} rows[] = {
    {"u8", "u8[]", "", 1},
    {"u16", "u16[]", "u16", 2},
    {"u32", "u32[]", "u32", 4},
    {"u64", "u64[]", "u64", 8},
    {"f32", "f32[]", "f32", 4},
    {"f64", "f64[]", "f64", 8},
    {"pixel", "struct { u16 red; u16 green; pad 4; f64 value; }[]", "struct", sizeof(struct pixel)},
    {"odd", "struct { u16 a; u16[4] b; u8[2] c; u32 d; f64[3] e; u16 f; pad 6; }[]", "", 48},
};

static const struct {
    const char *name;
    size_t size_bytes;
} places[] = {{"cache", 256u << 10}, {"memory", 64u << 20}};

struct room {
    uint8_t *bytes, *copy, *coded;
    size_t size_bytes;
    struct converter converter;
};

static double now_s(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool pass(struct room *room, size_t row, enum way way)
{
    size_t count = room->size_bytes / rows[row].size_bytes;
    int error = 0;

    if (way == WAY_CONVERT) {
        for (size_t at = 0; at < room->size_bytes; at += PIECE_BYTES) {
            convert_bytes(&room->converter, at, room->bytes + at, PIECE_BYTES);
        }
    } else if (way == WAY_MEMCPY) {
        memcpy(room->copy, room->bytes, room->size_bytes);
    } else {
        error = xdr_convert(rows[row].xdr, room->coded, 2 * room->size_bytes, room->copy,
                            (uint32_t)count);
    }
    __asm__ volatile("" : : "r"(room->copy), "r"(room->bytes) : "memory");
    return error == 0;
}

/** GB/s of one way, 0 where there is none. */
static double measure(struct room *room, size_t row, enum way way)
{
    size_t passes = PASS_BYTES / room->size_bytes;
    double start_s;

    if (!pass(room, row, way)) {
        return 0;
    }
    passes = way == WAY_XDR ? (passes + 7) / 8 : passes;
    start_s = now_s();
    for (size_t i = 0; i < passes; i++) {
        pass(room, row, way);
    }
    return (double)(passes * room->size_bytes) / (now_s() - start_s) * 1e-9;
}

/** `name` with the ratio behind it, in JSON; without a name a column. Without a ratio: nothing. */
static void print_ratio(const char *name, double value, double base)
{
    bool is_known = value > 0 && base > 0;

    if (name != NULL && is_known) {
        printf(", \"%s\": %.3f", name, value / base);
    } else if (name == NULL && is_known) {
        printf(" %9.2f", value / base);
    } else if (name == NULL) {
        printf(" %9s", "-");
    }
}

static void print_row(bool json, size_t row, size_t place, const double speeds[WAY_COUNT])
{
    if (json) {
        printf("{\"op\": \"convert\", \"type\": \"%s\", \"in\": \"%s\", \"convert\": %.3f, "
               "\"memcpy\": %.3f, \"xdr\": %.3f, \"unit\": \"GB/s\"",
               rows[row].name, places[place].name, speeds[WAY_CONVERT], speeds[WAY_MEMCPY],
               speeds[WAY_XDR]);
        print_ratio("of_memcpy", speeds[WAY_CONVERT], speeds[WAY_MEMCPY]);
        print_ratio("of_xdr", speeds[WAY_CONVERT], speeds[WAY_XDR]);
        printf("}\n");
    } else {
        printf("%-6s %-7s %9.1f %9.1f %9.2f", rows[row].name, places[place].name,
               speeds[WAY_CONVERT], speeds[WAY_MEMCPY], speeds[WAY_XDR]);
        print_ratio(NULL, speeds[WAY_CONVERT], speeds[WAY_MEMCPY]);
        print_ratio(NULL, speeds[WAY_CONVERT], speeds[WAY_XDR]);
        putchar('\n');
    }
    fflush(stdout);
}

/** All ways in turns. */
static int run_row(size_t row, size_t place, unsigned rounds, bool json)
{
    size_t size_bytes = places[place].size_bytes;
    struct room room = {.size_bytes = size_bytes};
    struct series series[WAY_COUNT] = {{0}};
    double speeds[WAY_COUNT];
    struct type *type = malloc(sizeof(*type));
    struct type_error error;
    int result = 1;

    room.bytes = aligned_alloc(4096, size_bytes);
    room.copy = aligned_alloc(4096, size_bytes);
    room.coded = aligned_alloc(4096, 2 * size_bytes);
    if (type == NULL || room.bytes == NULL || room.copy == NULL || room.coded == NULL) {
        fprintf(stderr, "dsm-bench: no memory\n");
        goto free_room;
    }
    if (type_parse(rows[row].text, type, &error) != 0) {
        fprintf(stderr, "dsm-bench: %s: %s\n", rows[row].text, error.text);
        goto free_room;
    }
    convert_compile(type, &room.converter);
    memset(room.bytes, 1, size_bytes);
    memset(room.copy, 2, size_bytes);
    memset(room.coded, 0, 2 * size_bytes);
    for (unsigned round = 0; round < rounds; round++) {
        for (enum way way = 0; way < WAY_COUNT; way++) {
            speeds[way] = measure(&room, row, way);
            if (series_add_round(&series[way], &speeds[way], 1) != 0) {
                goto free_room;
            }
        }
    }
    for (enum way way = 0; way < WAY_COUNT; way++) {
        speeds[way] = series_median(&series[way]);
    }
    speeds[WAY_CONVERT] = room.converter.count_ops > 0 ? speeds[WAY_CONVERT] : 0;
    print_row(json, row, place, speeds);
    result = 0;

free_room:
    for (enum way way = 0; way < WAY_COUNT; way++) {
        series_close(&series[way]);
    }
    free(type);
    free(room.bytes);
    free(room.copy);
    free(room.coded);
    return result;
}

int bench_convert(int argc, char **argv)
{
    unsigned long rounds = ROUNDS_DEFAULT;
    bool json = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = strtoul(argv[++i], NULL, 10);
        } else {
            rounds = 0;
        }
    }
    if (rounds < 5 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: dsm-bench convert [--json] [--rounds 5 to %d]\n", ROUNDS_MAX);
        return 2;
    }
    if (!json) {
        printf("GB/s of the program's bytes, median of %lu rounds; 0: nothing to do, or no XDR\n"
               "%-6s %-7s %9s %9s %9s %9s %9s\n",
               rounds, "TYPE", "IN", "CONVERT", "MEMCPY", "XDR", "OF MEMCPY", "OF XDR");
    }
    for (size_t place = 0; place < sizeof(places) / sizeof(places[0]); place++) {
        for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
            if (run_row(row, place, (unsigned)rounds, json) != 0) {
                return 1;
            }
        }
    }
    return 0;
}
