/* SPDX-License-Identifier: Apache-2.0 */
/** Conversion between byte orders: against a slow one that was written apart, and on floats. */
#include "dsm/core/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/draw.h"

#define REGION_BYTES (64u << 10)
#define SEEDS 3000
#define DEPTH_MAX 3

struct place {
    struct type type;
    struct converter converter;
    uint8_t widths[REGION_BYTES]; /* of the scalar that begins at each byte, else 0 */
    uint8_t original[REGION_BYTES], bytes[REGION_BYTES + 8];
};

/** A text that grows, and the size and alignment of what it says so far. */
struct draft {
    char text[RECORD_TYPE_BYTES];
    uint64_t *random;
};

static void compile(struct place *place, const char *text)
{
    struct type_error error;

    if (type_parse(text, &place->type, &error) != 0) {
        fail_msg("'%s': %s", text, error.text);
    }
    convert_compile(&place->type, &place->converter);
}

static void fill(struct place *place, uint64_t *random)
{
    for (uint32_t i = 0; i < REGION_BYTES; i++) {
        place->original[i] = (uint8_t)draw(random, 255);
    }
    memcpy(place->bytes, place->original, REGION_BYTES);
}

/* --- the slow converter: it knows of each byte of the region what begins there --- */

struct sketch {
    uint64_t size_bytes, align_bytes;
    uint8_t widths[REGION_BYTES];
};

static void sketch_add(struct sketch *sketch, const struct sketch *part)
{
    for (uint64_t i = 0; i < part->size_bytes && sketch->size_bytes < REGION_BYTES; i++) {
        sketch->widths[sketch->size_bytes++] = part->widths[i];
    }
    if (part->align_bytes > sketch->align_bytes) {
        sketch->align_bytes = part->align_bytes;
    }
}

static void draft_say(struct draft *draft, const char *text)
{
    size_t len = strlen(draft->text);

    snprintf(draft->text + len, sizeof(draft->text) - len, "%s", text);
}

/** Pad what is drawn so far up to a multiple of align_bytes. */
static void draft_pad(struct draft *draft, struct sketch *sketch, uint64_t align_bytes,
                      const char *end)
{
    char text[32];
    uint64_t len = (align_bytes - sketch->size_bytes % align_bytes) % align_bytes;

    if (len > 0 && sketch->size_bytes < REGION_BYTES) {
        snprintf(text, sizeof(text), "pad %u%s ", (unsigned)len, end);
        draft_say(draft, text);
        memset(sketch->widths + sketch->size_bytes, 0, len);
        sketch->size_bytes += len;
    }
}

static const struct {
    const char *word;
    uint32_t size_bytes, width, align_bytes;
} scalars[] = {{"u8", 1, 0, 1},  {"i8", 1, 0, 1},  {"u16", 2, 2, 2}, {"i16", 2, 2, 2},
               {"u32", 4, 4, 4}, {"i32", 4, 4, 4}, {"u64", 8, 8, 8}, {"i64", 8, 8, 8},
               {"f32", 4, 4, 4}, {"f64", 8, 8, 8}, {"ref", 16, 0, 8}};

/**
 * A kind behind what is drawn already, which is padded so that it may lie there. Its size depends
 * on nothing else, for every struct is padded to its own alignment at its end.
 */
static void draw_kind(struct draft *draft, uint32_t depth, struct draft *said,
                      struct sketch *sketch)
{
    memset(sketch, 0, sizeof(*sketch));
    sketch->align_bytes = 1;
    if (depth == DEPTH_MAX || draw(draft->random, 2) > 0) {
        size_t which = (size_t)(*draft->random % (sizeof(scalars) / sizeof(scalars[0])));

        draft_say(said, scalars[which].word);
        sketch->size_bytes = scalars[which].size_bytes;
        sketch->align_bytes = scalars[which].align_bytes;
        sketch->widths[0] = (uint8_t)scalars[which].width;
        return;
    }
    draft_say(said, "struct { ");
    for (uint64_t count = 1 + *draft->random % 4, i = 0; i < count; i++) {
        struct sketch *field = malloc(sizeof(*field));
        struct draft inner = {.random = draft->random};
        uint64_t times = 1;
        char text[64];

        assert_non_null(field);
        draw_kind(draft, depth + 1, &inner, field);
        if (field->size_bytes < 1000 && draw(draft->random, 3) == 0) {
            times = 1 + *draft->random % 5;
        }
        draft_pad(said, sketch, field->align_bytes, ";");
        draft_say(said, inner.text);
        if (times > 1) {
            snprintf(text, sizeof(text), "[%u]", (unsigned)times);
            draft_say(said, text);
        }
        snprintf(text, sizeof(text), " f%u; ", (unsigned)i);
        draft_say(said, text);
        for (uint64_t turn = 0; turn < times; turn++) {
            sketch_add(sketch, field);
        }
        free(field);
    }
    draft_pad(said, sketch, sketch->align_bytes, ";");
    draft_say(said, "}");
}

/** A random type, and the widths of the region that has it. */
static void draw_type(struct place *place, uint64_t *random, char *text)
{
    struct draft draft = {.random = random};
    struct sketch *region = calloc(2, sizeof(*region));
    struct sketch *element = region + 1;

    assert_non_null(region);
    region->align_bytes = 1;
    for (uint64_t count = 1 + *random % 3, i = 0; i < count && region->size_bytes < REGION_BYTES;
         i++) {
        struct draft said = {.random = random};
        uint64_t times = draw(random, 1) == 0 ? 1 : 1 + *random % 300;
        bool repeats = i + 1 == count && *random % 4 != 0;
        char tail[32] = " ";

        draw_kind(&draft, 0, &said, element);
        draft_pad(&draft, region, element->align_bytes, "");
        draft_say(&draft, said.text);
        if (times > 1) {
            snprintf(tail, sizeof(tail), "[%u] ", (unsigned)times);
        }
        draft_say(&draft, tail);
        for (uint64_t turn = 0; turn < times || (repeats && region->size_bytes < REGION_BYTES);
             turn++) {
            sketch_add(region, element);
        }
        if (repeats) {
            draft_say(&draft, "[]");
        }
    }
    memcpy(place->widths, region->widths, REGION_BYTES);
    memcpy(text, draft.text, sizeof(draft.text));
    free(region);
}

static void convert_slowly(const struct place *place, uint8_t *bytes)
{
    for (uint32_t i = 0; i < REGION_BYTES; i++) {
        for (uint32_t j = 0; j < place->widths[i] / 2u; j++) {
            uint8_t byte = bytes[i + j];

            bytes[i + j] = bytes[i + place->widths[i] - 1 - j];
            bytes[i + place->widths[i] - 1 - j] = byte;
        }
    }
}

/** In runs of pages of any size, from `shift` bytes behind an aligned address. */
static void convert_in_pieces(struct place *place, uint64_t *random, uint32_t shift)
{
    memmove(place->bytes + shift, place->bytes, REGION_BYTES);
    for (uint32_t at = 0; at < REGION_BYTES;) {
        uint32_t len = (uint32_t)(8 + 8 * draw(random, 1023));

        len = len < REGION_BYTES - at ? len : REGION_BYTES - at;
        convert_bytes(&place->converter, at, place->bytes + shift + at, len);
        at += len;
    }
    memmove(place->bytes, place->bytes + shift, REGION_BYTES);
}

/** Any type, cut into pages anywhere: as the slow converter does it; and twice is as before. */
static void test_random_types_are_converted_as_by_the_slow_one(void **state)
{
    struct place *place = *state;
    uint64_t random = 0x2545f4914f6cdd1d;
    uint32_t converted = 0;
    char text[RECORD_TYPE_BYTES];

    printf("%d types from %llx\n", SEEDS, (unsigned long long)random);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        draw_type(place, &random, text);
        if (strlen(text) + 1 >= sizeof(text)) {
            continue;
        }
        compile(place, text);
        fill(place, &random);
        convert_in_pieces(place, &random, seed % 8);
        converted += place->converter.count_ops > 0;
        convert_in_pieces(place, &random, 0);
        if (memcmp(place->bytes, place->original, REGION_BYTES) != 0) {
            fail_msg("'%s': not its own inverse", text);
        }
        convert_in_pieces(place, &random, 3);
        convert_slowly(place, place->original);
        if (memcmp(place->bytes, place->original, REGION_BYTES) != 0) {
            fail_msg("'%s': converted otherwise", text);
        }
    }
    assert_true(converted > SEEDS / 2);
}

/** Each scalar alone: its own width, and none for single bytes, pads and references. */
static void test_each_scalar_has_its_width(void **state)
{
    struct place *place = *state;
    char text[32];

    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++) {
        uint32_t width = scalars[i].width;

        snprintf(text, sizeof(text), "%s[]", scalars[i].word);
        compile(place, text);
        assert_int_equal(place->converter.count_ops, width > 0);
        for (uint32_t j = 0; j < 64; j++) {
            place->bytes[j] = (uint8_t)j;
        }
        convert_bytes(&place->converter, 4096, place->bytes, 64);
        for (uint32_t j = 0; j < 64; j++) {
            assert_int_equal(place->bytes[j],
                             width > 0 ? j - j % width + width - 1 - j % width : j);
        }
    }
}

/** What is all of one width is one run, however it is written; small structs are patterns. */
static void test_neighbours_are_joined(void **state)
{
    static const struct {
        const char *text;
        uint32_t count_ops, count_words;
    } rows[] = {
        {"u16 u16 i16", 1, 0},
        {"struct { u32 a; f32 b; struct { i32[5] c; }[7] d; }[]", 1, 0},
        {"u8[] ", 0, 0},
        {"struct { pad 4; u8[4] a; ref r; }[]", 0, 0},
        {"struct { u16 a; u16 b; u32 c; }[]", 3, 64},
        {"u64 struct { u16 a; u16 b; u16 c; pad 2; }[9]", 3, 64},
        {"struct { u32 a; u16[2] b; pad 1600; }[]", 3, 0},
        {"struct { struct { u32 a; u16[2] b; }[500] c; u64 d; }[]", 5, 64},
        {"u32 struct { u32 a; u16[2] b; }[]", 4, 0},
        {"struct { pad 2052; struct { u32 a; u16[2] b; }[3] c; }[]", 4, 0},
        {"struct { u8[2046] a; struct { u16 a; u8[2] b; }[3] c; }[]", 3, 0},
        {"struct { u16 a; struct { u16 b; pad 2; }[3] c; u16 d; }", 4, 0},
    };
    struct place *place = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        compile(place, rows[i].text);
        assert_int_equal(place->converter.count_ops, rows[i].count_ops);
        assert_int_equal(place->converter.count_words, rows[i].count_words);
    }
}

/** Where there is no room for one more pattern, a loop does the same. */
static void test_room_for_patterns_ends(void **state)
{
    struct place *place = *state;
    uint64_t random = 99;
    char text[RECORD_TYPE_BYTES] = "";

    for (uint32_t i = 0; i < 12; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "struct { u32 a; u16 b; pad 2; }[100] ");
    }
    compile(place, text);
    assert_int_equal(place->converter.count_words, CONVERT_WORDS_MAX);
    memset(place->widths, 0, sizeof(place->widths));
    for (uint32_t i = 0; i < 12 * 100; i++) {
        place->widths[8 * i] = 4;
        place->widths[8 * i + 4] = 2;
    }
    fill(place, &random);
    convert_in_pieces(place, &random, 0);
    convert_slowly(place, place->original);
    assert_memory_equal(place->bytes, place->original, REGION_BYTES);
}

/** NaNs with payloads, quiet and signalling, infinities, denormals and -0: bit for bit. */
static void test_special_floats_survive(void **state)
{
    static const uint32_t singles[] = {0x7fc12345, 0x7f812345, 0xffc00001, 0xff800001, 0x7f800000,
                                       0xff800000, 0x00000001, 0x807fffff, 0x80000000, 0x00000000};
    static const uint64_t doubles[] = {
        0x7ff8123456789abc, 0x7ff0123456789abc, 0xfff8000000000001, 0xfff0000000000001,
        0x7ff0000000000000, 0xfff0000000000000, 0x0000000000000001, 0x800fffffffffffff,
        0x8000000000000000, 0x0000000000000000};
    struct place *place = *state;
    uint8_t bytes[sizeof(doubles) + sizeof(singles)];

    compile(place, "f64[10] f32[10]");
    for (uint32_t i = 0; i < 10; i++) { /* as a machine of the other order writes them */
        uint64_t value = __builtin_bswap64(doubles[i]);
        uint32_t single = __builtin_bswap32(singles[i]);

        memcpy(bytes + 8 * i, &value, 8);
        memcpy(bytes + sizeof(doubles) + 4 * i, &single, 4);
    }
    convert_bytes(&place->converter, 0, bytes, sizeof(bytes));
    assert_memory_equal(bytes, doubles, sizeof(doubles));
    assert_memory_equal(bytes + sizeof(doubles), singles, sizeof(singles));
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct place));
    return *state != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_types_are_converted_as_by_the_slow_one),
        cmocka_unit_test(test_each_scalar_has_its_width),
        cmocka_unit_test(test_neighbours_are_joined),
        cmocka_unit_test(test_room_for_patterns_ends),
        cmocka_unit_test(test_special_floats_survive),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
