/* SPDX-License-Identifier: Apache-2.0 */
/* What operators are told, without an agent: documents in pieces, runs of pages, sentences, calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/notes.h"
#include "agent/pieces.h"
#include "agent/runs.h"
#include "agent/sentence.h"
#include "dsm.h"
#include "net/codec.h"

/** A document of so many different bytes. */
static char *document_make(size_t len_bytes)
{
    char *text = malloc(len_bytes + 1);

    assert_non_null(text);
    for (size_t i = 0; i < len_bytes; i++) {
        text[i] = (char)('a' + i * 7 % 26);
    }
    text[len_bytes] = 0;
    return text;
}

/* A document that fits goes out whole and leaves nothing behind. */
static void test_short_document_comes_in_one_piece(void **state)
{
    struct pieces pieces;
    char to[8];
    uint64_t cursor = 99;

    (void)state;
    assert_int_equal(pieces_init(&pieces), 0);
    assert_int_equal(pieces_start(&pieces, 3, document_make(7), to, sizeof(to), &cursor), 0);
    assert_int_equal(cursor, 0);
    assert_int_equal(strlen(to), 7);
    assert_int_equal(pieces.kept.count, 0);
    pieces_close(&pieces);
}

/* Whatever the length, the pieces put together are the document, and then it is forgotten. */
static void test_long_document_pieces_join_to_the_whole(void **state)
{
    (void)state;
    for (size_t len_bytes = 1; len_bytes < 60; len_bytes++) {
        struct pieces pieces;
        char to[8], whole[64] = "";
        char *expected = document_make(len_bytes);
        size_t at = 0;
        uint64_t cursor;

        assert_int_equal(pieces_init(&pieces), 0);
        assert_int_equal(
            pieces_start(&pieces, 1, document_make(len_bytes), to, sizeof(to), &cursor), 0);
        at += (size_t)snprintf(whole, sizeof(whole), "%s", to);
        while (cursor != 0) {
            assert_int_equal(pieces_next(&pieces, 1, cursor, to, sizeof(to), &cursor), 0);
            at += (size_t)snprintf(whole + at, sizeof(whole) - at, "%s", to);
        }
        assert_string_equal(whole, expected);
        assert_int_equal(pieces.kept.count, 0);
        free(expected);
        pieces_close(&pieces);
    }
}

/* A cursor is good for the client and the document that it was given for, and for no other. */
static void test_cursor_of_another_document_is_stale(void **state)
{
    struct pieces pieces;
    char to[8];
    uint64_t first, second, next;

    (void)state;
    assert_int_equal(pieces_init(&pieces), 0);
    assert_int_equal(pieces_start(&pieces, 1, document_make(30), to, sizeof(to), &first), 0);
    assert_int_equal(pieces_next(&pieces, 2, first, to, sizeof(to), &next), DSM_ESTALE);
    assert_int_equal(pieces_start(&pieces, 1, document_make(40), to, sizeof(to), &second), 0);
    assert_int_equal(pieces_next(&pieces, 1, first, to, sizeof(to), &next), DSM_ESTALE);
    assert_int_equal(pieces_next(&pieces, 1, second + 1000, to, sizeof(to), &next), DSM_ESTALE);
    assert_int_equal(pieces_next(&pieces, 1, second, to, sizeof(to), &next), 0);
    pieces_forget(&pieces, 1);
    assert_int_equal(pieces_next(&pieces, 1, next, to, sizeof(to), &next), DSM_ESTALE);
    pieces_close(&pieces);
}

static struct page_run run_make(uint64_t page, uint64_t count, uint32_t owner, uint64_t readers)
{
    return (struct page_run){
        .page = page, .count = count, .owner = owner, .readers = nodeset_from_word(readers)};
}

/* Runs of several homes come in any order; alike neighbours become one, others stay apart. */
static void test_runs_of_several_homes_are_sorted_and_joined(void **state)
{
    const struct page_run given[] = {
        run_make(64, 64, 1, 2),  run_make(200, 5, 1, 2),  run_make(0, 64, 1, 2),
        run_make(128, 64, 2, 4), run_make(192, 8, 2, 12),
    };
    struct runs runs = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        assert_int_equal(runs_add(&runs, &given[i]), 0);
    }
    runs_merge(&runs);
    assert_int_equal(runs.count, 4);
    assert_int_equal(runs.list[0].page, 0);
    assert_int_equal(runs.list[0].count, 128);
    assert_int_equal(runs.list[1].page, 128);
    assert_int_equal(runs.list[1].count, 64);
    assert_int_equal(runs.list[2].page, 192);
    assert_int_equal(runs.list[3].page, 200);
    runs_close(&runs);
}

/* Nothing to merge is no run. */
static void test_no_runs_merge_to_none(void **state)
{
    struct runs runs = {0};

    (void)state;
    runs_merge(&runs);
    assert_int_equal(runs.count, 0);
    runs_close(&runs);
}

/* More runs than a reader could look at are refused, not kept. */
static void test_too_many_runs_are_refused(void **state)
{
    struct runs runs = {0};
    struct page_run run = run_make(0, 1, 0, 0);

    (void)state;
    for (uint32_t i = 0; i < RUNS_MAX; i++) {
        run.page = i * 2;
        assert_int_equal(runs_add(&runs, &run), 0);
    }
    assert_int_equal(runs_add(&runs, &run), DSM_ENOMEM);
    runs_close(&runs);
}

/* The worst of a run's properties names its state. */
static void test_run_state_names_the_worst(void **state)
{
    struct page_run run = run_make(0, 1, NODE_NONE, 0);

    (void)state;
    assert_string_equal(run_state(&run), "zero");
    run.owner = 3;
    assert_string_equal(run_state(&run), "owned");
    run.readers = nodeset_of(3);
    assert_string_equal(run_state(&run), "owned");
    nodeset_add(&run.readers, 5);
    assert_string_equal(run_state(&run), "shared");
    run.busy = true;
    assert_string_equal(run_state(&run), "busy");
    run.lost = true;
    assert_string_equal(run_state(&run), "lost");
}

/** The sentence for an error of a call on region /photo (mode 0600 of uid 1000). */
static void sentence_check_typed(const struct call *call, int error, const char *type,
                                 const char *const *words)
{
    struct record record = {.kind = RECORD_REGION,
                            .name = "/photo",
                            .uid = 1000,
                            .gid = 100,
                            .mode = 0600,
                            .size_bytes = 8192,
                            .page_size = 4096};
    struct reply reply = {.error = error, .node = 2};
    struct sentence_facts facts = {.call = call,
                                   .reply = &reply,
                                   .name = "/photo",
                                   .object = RECORD_REGION,
                                   .record = &record,
                                   .node = "b",
                                   .keeper = "10.0.0.1:7400 (a) does not answer",
                                   .region_max = 1 << 20};
    char text[TEXT_BYTES_MAX];

    snprintf(record.type, sizeof(record.type), "%s", type);
    sentence_write(&facts, text, sizeof(text));
    for (; *words; words++) {
        if (strstr(text, *words) == NULL) {
            fail_msg("\"%s\" lacks \"%s\"", text, *words);
        }
    }
}

static void sentence_check(const struct call *call, int error, const char *const *words)
{
    sentence_check_typed(call, error, "", words);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A sentence names the thing, the reason and the way out. */
static void test_sentences_name_the_thing_and_the_way_out(void **state)
{
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .credential.uid = 1001};
    struct call map = {.kind = CALL_MAP, .offset = 4096, .size_bytes = 65536};
    struct call grow = {.kind = CALL_TRUNCATE, .size_bytes = 2 << 20};
    struct call lock = {.kind = CALL_SYNC, .op = SYNC_LOCK, .offset = 40, .timeout_ms = 250};

    (void)state;
    sentence_check(&open, DSM_EACCES, WORDS("'/photo'", "0600", "uid 1000", "uid 1001"));
    sentence_check(&open, DSM_ENOENT, WORDS("'/photo'", "O_CREAT", "dsmctl regions"));
    sentence_check(&open, DSM_EEXIST, WORDS("'/photo'", "O_EXCL", "dsmctl rm /photo"));
    sentence_check(&open, DSM_EKEEPER, WORDS("'/photo'", "10.0.0.1:7400", "nothing was changed"));
    sentence_check(&map, DSM_ERANGE, WORDS("'/photo'", "65536", "4096", "8192"));
    sentence_check(&grow, DSM_ESIZE, WORDS("'/photo'", "2097152", "region_max", "1048576"));
    sentence_check(&lock, DSM_ETIMEDOUT, WORDS("mutex", "offset 40", "'/photo'", "250 ms"));
    sentence_check(&lock, DSM_EDOWN, WORDS("mutex", "'/photo'", "node b"));
    sentence_check(&lock, DSM_EOWNERDEAD, WORDS("mutex", "'/photo'", "yours"));
}

/* Who opens a region with another type is shown both, cut where one has no room for the other. */
static void test_sentences_show_both_types(void **state)
{
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .type = "u16[]"};
    char other[DSM_TYPE_MAX + 1];

    (void)state;
    sentence_check_typed(&open, DSM_ETYPE, "struct { f64 x; }[]",
                         WORDS("'/photo'", "'struct { f64 x; }[]'", "'u16[]'", "dsmctl region"));
    sentence_check_typed(&open, DSM_ETYPE, "", WORDS("'/photo'", "without a type", "'u16[]'"));
    memset(open.type, 'a', sizeof(open.type) - 1);
    memset(other, 'b', sizeof(other) - 1);
    other[sizeof(other) - 1] = 0;
    sentence_check_typed(&open, DSM_ETYPE, other, WORDS("'/photo'", "bbb', not", "aaa': open"));
    sentence_check_typed(&open, DSM_ETYPE, "", WORDS("'/photo'", "aaa': give none"));
}

/* What is no type is told with the place in it; a semaphore has none at all. */
static void test_sentences_tell_what_is_wrong_with_a_type(void **state)
{
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .type = "u16 u61"};
    struct reply reply = {.error = DSM_EINVAL, .node = NODE_NONE};
    struct sentence_facts sem = {
        .call = &open, .reply = &reply, .name = "/ready", .object = RECORD_SEM};
    char text[TEXT_BYTES_MAX];

    (void)state;
    sentence_check(&open, DSM_EINVAL, WORDS("'/photo'", "at byte 4, 'u61'", "a type is wanted"));
    memcpy(open.type, "u16", 4);
    sentence_write(&sem, text, sizeof(text));
    assert_string_equal(text, "semaphore '/ready' cannot have a type");
    sentence_check(&open, DSM_EINVAL, WORDS("'/photo'", "page size", "power of two"));
}

/* Every error of every kind of call has a sentence, also when nothing is known of the object. */
static void test_every_error_has_a_sentence(void **state)
{
#define VALUE(name, value, text) name,
    static const int errors[] = {DSM_ERRORS(VALUE)};
#undef VALUE

    (void)state;
    for (uint8_t kind = CALL_OPEN; kind < CALL_KINDS; kind++) {
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
            struct call call = {.kind = kind, .op = SYNC_FETCH_ADD};
            struct reply reply = {.error = errors[i], .node = NODE_NONE};
            struct sentence_facts facts = {.call = &call, .reply = &reply};
            char text[512];

            sentence_write(&facts, text, sizeof(text));
            assert_true(strlen(text) > 10);
            assert_null(strstr(text, "(null)"));
        }
    }
}

/* A call is remembered until it is answered, once; its handle's name until the client goes. */
static void test_calls_are_remembered_until_the_client_goes(void **state)
{
    struct notes notes;
    struct call call = {.kind = CALL_OPEN, .object = RECORD_SEM, .name = "/ready"};
    struct reply reply = {.handle = 77, .region = {4, 5}};

    (void)state;
    assert_int_equal(notes_init(&notes), 0);
    assert_int_equal(notes_add(&notes, 9, 1, &call), 0);
    assert_int_equal(notes_add(&notes, 9, 1, &call), DSM_EBUSY);
    assert_int_equal(notes_add(&notes, 8, 1, &call), 0);
    assert_string_equal(notes_find(&notes, 9, 1)->name, "/ready");
    notes_handle_add(&notes, 9, &call, &reply);
    notes_remove(&notes, 9, 1);
    assert_null(notes_find(&notes, 9, 1));
    assert_non_null(notes_find(&notes, 8, 1));
    assert_string_equal(notes_handle_find(&notes, 9, 77)->name, "/ready");
    assert_null(notes_handle_find(&notes, 8, 77));
    notes_client_gone(&notes, 9);
    assert_null(notes_handle_find(&notes, 9, 77));
    assert_int_equal(notes_take_client(&notes), 8);
    assert_int_equal(notes_take_client(&notes), 0);
    notes_close(&notes);
}

/* Handles that are closed are forgotten one by one, and thousands of them are found. */
static void test_many_handles_are_found_and_forgotten(void **state)
{
    struct notes notes;
    struct call call = {.kind = CALL_OPEN, .object = RECORD_REGION};
    struct reply reply = {0};

    (void)state;
    assert_int_equal(notes_init(&notes), 0);
    assert_int_equal(notes_add(&notes, 1, 1, &call), 0);
    for (reply.handle = 1; reply.handle <= 5000; reply.handle++) {
        snprintf(call.name, sizeof(call.name), "/%u", (unsigned)reply.handle);
        notes_handle_add(&notes, 1, &call, &reply);
    }
    assert_string_equal(notes_handle_find(&notes, 1, 4321)->name, "/4321");
    notes_handle_remove(&notes, 1, 4321);
    assert_null(notes_handle_find(&notes, 1, 4321));
    assert_string_equal(notes_handle_find(&notes, 1, 4322)->name, "/4322");
    notes_close(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_document_comes_in_one_piece),
        cmocka_unit_test(test_long_document_pieces_join_to_the_whole),
        cmocka_unit_test(test_cursor_of_another_document_is_stale),
        cmocka_unit_test(test_runs_of_several_homes_are_sorted_and_joined),
        cmocka_unit_test(test_no_runs_merge_to_none),
        cmocka_unit_test(test_too_many_runs_are_refused),
        cmocka_unit_test(test_run_state_names_the_worst),
        cmocka_unit_test(test_sentences_name_the_thing_and_the_way_out),
        cmocka_unit_test(test_sentences_show_both_types),
        cmocka_unit_test(test_sentences_tell_what_is_wrong_with_a_type),
        cmocka_unit_test(test_every_error_has_a_sentence),
        cmocka_unit_test(test_calls_are_remembered_until_the_client_goes),
        cmocka_unit_test(test_many_handles_are_found_and_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
