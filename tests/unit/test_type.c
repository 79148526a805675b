/* SPDX-License-Identifier: Apache-2.0 */
/** The text of a type: what is one, what is none and why, and where things lie in it. */
#include "dsm/core/type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"

static struct type *parsed(const char *text)
{
    struct type *type = malloc(sizeof(*type));
    struct type_error error;

    assert_non_null(type);
    if (type_parse(text, type, &error) != 0) {
        fail_msg("'%s': %s", text, error.text);
    }
    return type;
}

static void refused(const char *text, uint32_t position, const char *sentence)
{
    struct type *type = malloc(sizeof(*type));
    struct type_error error;

    assert_non_null(type);
    assert_int_equal(type_parse(text, type, &error), DSM_EINVAL);
    assert_string_equal(error.text, sentence);
    assert_int_equal(error.position, position);
    assert_false(type_text_is_sound(text));
    free(type);
}

/** Equal types have one text, whatever blanks and zeros they were written with. */
static void test_text_is_brought_to_one_form(void **state)
{
    static const char *const pairs[][2] = {
        {"u8", "u8"},
        {"u8[]", "u8[]"},
        {" f32 [ 007 ] [2][\n]", "f32[7][2][]"},
        {"u32[4]struct{u16 red;u16 green;pad 4;f64 value;}[]",
         "u32[4] struct { u16 red; u16 green; pad 4; f64 value; }[]"},
        {"u8 pad 07 u64\ti64\r\nf64", "u8 pad 7 u64 i64 f64"},
        {"struct{u8 Az_Z9;}", "struct { u8 Az_Z9; }"},
        {"struct{struct{ref r;}[2]in;i8 _a1;pad 7;}", "struct { struct { ref r; }[2] in; i8 _a1; "
                                                      "pad 7; }"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct type *type = parsed(pairs[i][0]);

        assert_string_equal(type->text, pairs[i][1]);
        assert_true(type_text_is_sound(type->text));
        assert_int_equal(type_text_is_sound(pairs[i][0]),
                         strcmp(pairs[i][0], pairs[i][1]) == 0);
        free(type);
    }
}

/** What is no type is refused with the place and what is wanted there. */
static void test_wrong_words_are_refused(void **state)
{
    static const char wanted[] = "a type is wanted: u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 ref, "
                                 "struct { ... }, or pad and a number of bytes";
    static const char count[] =
        "a count is wanted, as [4]; only the last element of a region may have []";
    const struct {
        const char *text;
        uint32_t position;
        const char *place, *sentence;
    } rows[] = {
        {"", 0, "at byte 0, the end: ", wanted},
        {"  ", 2, "at byte 2, the end: ", wanted},
        {"u61", 0, "at byte 0, 'u61': ", wanted},
        {"u8 @", 3, "at byte 3: ", wanted},
        {"u8 abcdefghijklmnopqrstuvwxyz", 3, "at byte 3, 'abcdefghijklmnopqrstuvwx...': ", wanted},
        {"u8;", 2, "at byte 2, ';': ", wanted},
        {"struct { }", 9, "at byte 9, '}': ", wanted},
        {"struct u8", 7, "at byte 7, 'u8': ", "a { is wanted"},
        {"struct { u8 }", 12, "at byte 12, '}': ", "a field's name is wanted, as u16 red;"},
        {"struct { u8 a }", 14, "at byte 14, '}': ", "a ; is wanted at a field's end"},
        {"struct { u8 a; u8 b; u8 a; }", 24, "at byte 24, 'a': ",
         "the struct has a field of this name already"},
        {"struct { u8 a;", 14, "at byte 14, the end: ", wanted},
        {"struct { pad; }", 12, "at byte 12, ';': ", "pad wants its number of bytes, as pad 4"},
        {"struct { pad 4[2]; }", 14, "at byte 14, '[': ", "a ; is wanted at a field's end"},
        {"struct { u8[] a; }", 12, "at byte 12, ']': ", count},
        {"pad", 3, "at byte 3, the end: ", "pad wants its number of bytes, as pad 4"},
        {"pad 0", 4, "at byte 4, '0': ", "must be at least 1"},
        {"pad 4[]", 5, "at byte 5, '[': ", wanted},
        {"u8[0]", 3, "at byte 3, '0': ", "must be at least 1"},
        {"u8[u8]", 3, "at byte 3, 'u8': ", count},
        {"u8[4", 4, "at byte 4, the end: ", "a ] is wanted"},
        {"u8[4 5]", 5, "at byte 5, '5': ", "a ] is wanted"},
        {"u8[] u8", 5, "at byte 5, 'u8': ",
         "nothing can follow []: it goes on to the region's end"},
        {"u8[][2]", 4, "at byte 4, '[': ", "nothing can follow []: it goes on to the region's end"},
        {"u8[18446744073709551616]", 3, "at byte 3, '18446744073709551616': ",
         "is larger than any region"},
        {"u8[9223372036852678656]", 3, "at byte 3, '9223372036852678656': ",
         "is larger than any region"},
        {"u8[4000000000][4000000000]", 25, "at byte 25, ']': ",
         "the array before this is larger than any region"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char sentence[TYPE_ERROR_BYTES];

        snprintf(sentence, sizeof(sentence), "%s%s", rows[i].place, rows[i].sentence);
        refused(rows[i].text, rows[i].position, sentence);
    }
}

/** A scalar that would lie wrong is named with its offset, and with the pad that is missing. */
static void test_wrong_places_are_refused(void **state)
{
    (void)state;
    refused("struct { u32 a; f64 value; }", 16,
            "field 'value' at offset 4: an f64 must lie at a multiple of 8; put `pad 4;` before "
            "it");
    refused("u8 i16", 3,
            "element 2 at offset 1: an i16 must lie at a multiple of 2; put `pad 1` before it");
    refused("u32 struct { u8 a; struct { u8[4] b; ref c; }[2] d; }", 37,
            "element 2, field 'd.c' at offset 9: a ref must lie at a multiple of 8; put `pad 7;` "
            "before it");
    refused("struct { u64 a; u32 b; }[2]", 0,
            "element 1 at offset 0: its struct has 12 bytes, so the next one's fields would not "
            "lie at multiples of 8; put `pad 4;` at its end");
    refused("u16 struct { u16 a; u8 b; }[]", 4,
            "element 2 at offset 2: its struct has 3 bytes, so the next one's fields would not lie "
            "at multiples of 2; put `pad 1;` at its end");
    refused("u8[9223372036850581504] pad 9223372036850581504", 24,
            "element 2 at offset 9223372036850581504: ends beyond 9223372036852678655 bytes, the "
            "size of a region at most");
    refused("struct { pad 9223372036852678655; }[2]", 0,
            "element 1 at offset 0: ends beyond 9223372036852678655 bytes, the size of a region at "
            "most");
}

/** A long path is cut in the sentence, not out of it. */
static void test_long_path_is_cut(void **state)
{
    char name[TYPE_NAME_MAX + 1], text[512], start[256];
    struct type *type = malloc(sizeof(*type));
    struct type_error error;

    (void)state;
    assert_non_null(type);
    memset(name, 'n', TYPE_NAME_MAX);
    name[TYPE_NAME_MAX] = 0;
    snprintf(text, sizeof(text),
             "struct { struct { struct { u8 a; u16 %s; } %s; } %s; }", name, name, name);
    snprintf(start, sizeof(start), "field '%s.%s...' at offset 1: a u16 must", name, name);
    assert_int_equal(type_parse(text, type, &error), DSM_EINVAL);
    assert_memory_equal(error.text, start, 60);
    assert_non_null(strstr(error.text, "...' at offset 1: a u16 must lie at a multiple of 2"));
    free(type);
}

/** As much as is allowed of everything is a type; one more of anything is none. */
static void test_bounds_are_kept(void **state)
{
    char text[RECORD_TYPE_BYTES + 1];
    struct type *type = malloc(sizeof(*type));
    struct type_error error;

    (void)state;
    assert_non_null(type);
    text[0] = 0;
    for (uint32_t i = 0; i < TYPE_NODES_MAX - 1; i++) {
        memcpy(text + 3 * i, "u8 ", 4);
    }
    assert_int_equal(type_parse(text, type, &error), 0);
    memcpy(text + strlen(text), "u8", 3);
    refused(text, 765, "at byte 765, 'u8': a type has 255 elements, fields and pads at most");

    memset(text, ' ', sizeof(text));
    memcpy(text, "u8", 2);
    text[RECORD_TYPE_BYTES - 1] = 0;
    assert_int_equal(type_parse(text, type, &error), 0);
    text[RECORD_TYPE_BYTES - 1] = ' ';
    text[RECORD_TYPE_BYTES] = 0;
    refused(text, 1023, "at byte 1023: a type has 1023 bytes at most");

    /* 1023 bytes with no blank that could be left out; and then those that the one form has. */
    memset(text, 0, sizeof(text));
    memcpy(text, "struct{", 7);
    for (uint32_t i = 0; strlen(text) < 1010; i++) {
        snprintf(text + strlen(text), 16, "u8 a%03u;", i);
    }
    memcpy(text + strlen(text), "}", 2);
    refused(text, (uint32_t)strlen(text),
            "at byte 1016, the end: with its spaces put right this type has more than 1023 bytes");
    free(type);
}

static void test_depth_and_names_are_bounded(void **state)
{
    char text[512] = "", name[TYPE_NAME_MAX + 2];

    (void)state;
    for (uint32_t i = 0; i < TYPE_DEPTH_MAX; i++) {
        memcpy(text + strlen(text), "struct {", 9);
    }
    memcpy(text + strlen(text), "u8 a;} ", 8);
    for (uint32_t i = 1; i < TYPE_DEPTH_MAX; i++) {
        memcpy(text + strlen(text), "b;} ", 5);
    }
    free(parsed(text));
    memmove(text + 8, text, strlen(text) + 1);
    memcpy(text, "struct {", 8);
    refused(text, 72, "at byte 72, 'u8': more than 8 structs lie within each other");

    memset(name, 'n', sizeof(name) - 1);
    name[TYPE_NAME_MAX] = 0;
    snprintf(text, sizeof(text), "struct { u8 %s; }", name);
    free(parsed(text));
    memset(name, 'n', sizeof(name) - 1);
    name[TYPE_NAME_MAX + 1] = 0;
    snprintf(text, sizeof(text), "struct { u8 %s; }", name);
    refused(text, 12, "at byte 12, 'nnnnnnnnnnnnnnnnnnnnnnnn...': a name has 63 bytes at most");
}

static void lies(const struct type *type, uint64_t offset, uint32_t kind, uint64_t inside)
{
    uint64_t found = 77;

    assert_int_equal(type_at(type, offset, &found), kind);
    assert_int_equal(found, inside);
}

/** What lies at an offset: scalars, pads, turns of arrays, and bytes behind the end. */
static void test_place_is_found(void **state)
{
    struct type *type = parsed("u16[3] pad 2 struct { struct { u8 a; pad 7; u64 b; }[2] c; "
                               "i64[1] d; ref e; }[]");

    (void)state;
    lies(type, 0, KIND_U16, 0);
    lies(type, 5, KIND_U16, 1);
    lies(type, 6, KIND_PAD, 0);
    for (uint64_t turn = 0; turn < 3; turn++) {
        uint64_t base = 8 + turn * 56;

        lies(type, base, KIND_U8, 0);
        lies(type, base + 7, KIND_PAD, 6);
        lies(type, base + 8, KIND_U64, 0);
        lies(type, base + 16, KIND_U8, 0);
        lies(type, base + 30, KIND_U64, 6);
        lies(type, base + 32, KIND_I64, 0);
        lies(type, base + 40, KIND_REF, 0);
        lies(type, base + 55, KIND_REF, 15);
    }
    free(type);
    type = parsed("f32[2] f64 pad 1");
    lies(type, 8, KIND_F64, 0);
    lies(type, 16, KIND_PAD, 0);
    lies(type, 17, KIND_NONE, 0);
    lies(type, UINT64_MAX, KIND_NONE, 0);
    free(type);
}

/** Each kind has a word and a size; what is no kind has none. */
static void test_kinds_have_words(void **state)
{
    static const uint32_t sizes[TYPE_KINDS] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 16, 0, 0};
    char text[32];

    (void)state;
    for (uint32_t kind = 0; kind < TYPE_KINDS; kind++) {
        assert_int_equal(type_scalar_bytes(kind), sizes[kind]);
        if (sizes[kind] > 0) {
            struct type *type;

            snprintf(text, sizeof(text), "%s", type_word(kind));
            type = parsed(text);
            lies(type, 0, kind, 0);
            free(type);
        }
    }
    assert_string_equal(type_word(KIND_NONE), "untyped");
    assert_string_equal(type_word(TYPE_KINDS), "untyped");
    assert_int_equal(type_scalar_bytes(TYPE_KINDS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_brought_to_one_form),
        cmocka_unit_test(test_wrong_words_are_refused),
        cmocka_unit_test(test_wrong_places_are_refused),
        cmocka_unit_test(test_long_path_is_cut),
        cmocka_unit_test(test_bounds_are_kept),
        cmocka_unit_test(test_depth_and_names_are_bounded),
        cmocka_unit_test(test_place_is_found),
        cmocka_unit_test(test_kinds_have_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
