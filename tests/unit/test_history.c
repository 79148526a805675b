/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of histories accepts what an interleaving explains, and explains why not the rest. */
#include "tests/sim/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define WHY 4096
#define LOCATIONS 4

enum { X, Y };

static struct history_op reads(uint32_t thread, uint32_t location, uint64_t value)
{
    return (struct history_op){
        .thread = thread, .location = location, .reads = true, .read = value};
}

static struct history_op writes(uint32_t thread, uint32_t location, uint64_t value, uint64_t over)
{
    return (struct history_op){
        .thread = thread, .location = location, .writes = true, .read = over, .written = value};
}

static struct history_op swaps(uint32_t thread, uint32_t location, uint64_t value, uint64_t over)
{
    struct history_op op = writes(thread, location, value, over);

    op.reads = true;
    return op;
}

static void accepted(const struct history_op *ops, size_t count)
{
    char why[WHY] = "";

    if (!history_is_sequential(ops, count, why, sizeof(why))) {
        fail_msg("refused: %s", why);
    }
    assert_string_equal(why, "");
}

/* Refused, and the explanation has these words. */
static void refused(const struct history_op *ops, size_t count, const char *words)
{
    char why[WHY] = "";

    assert_false(history_is_sequential(ops, count, why, sizeof(why)));
    if (strstr(why, words) == NULL) {
        fail_msg("not explained by \"%s\": %s", words, why);
    }
}

static void test_nothing_is_sequential(void **state)
{
    (void)state;
    accepted(NULL, 0);
}

/* SB: neither thread's read may miss both writes. */
static void test_store_buffering_refused(void **state)
{
    struct history_op ops[] = {writes(0, X, 1, 0), reads(0, Y, 0), writes(1, Y, 1, 0),
                               reads(1, X, 0)};

    (void)state;
    refused(ops, LENGTH(ops), "a cycle of 4 ops: ");
    ops[1].read = 1;
    accepted(ops, LENGTH(ops));
    ops[3].read = 1;
    accepted(ops, LENGTH(ops));
    ops[1].read = 0;
    accepted(ops, LENGTH(ops));
}

/* MP: who sees the flag sees the message. */
static void test_message_passing_refused(void **state)
{
    struct history_op ops[] = {writes(0, X, 1, 0), writes(0, Y, 1, 0), reads(1, Y, 1),
                               reads(1, X, 0)};

    (void)state;
    refused(ops, LENGTH(ops),
            "a cycle of 4 ops: thread 0 op 0 [location 0: writes 1 over 0] --program order--> "
            "thread 0 op 1 [location 1: writes 1 over 0] --is read by--> "
            "thread 1 op 0 [location 1: reads 1] --program order--> "
            "thread 1 op 1 [location 0: reads 0] --reads what is overwritten by--> "
            "the first again");
    ops[3].read = 1;
    accepted(ops, LENGTH(ops));
    ops[2].read = 0;
    accepted(ops, LENGTH(ops));
    ops[3].read = 0;
    accepted(ops, LENGTH(ops));
}

/* LB: no value comes out of nothing. */
static void test_load_buffering_refused(void **state)
{
    struct history_op ops[] = {reads(0, X, 1), writes(0, Y, 1, 0), reads(1, Y, 1),
                               writes(1, X, 1, 0)};

    (void)state;
    refused(ops, LENGTH(ops), "--is read by--> ");
    ops[0].read = 0;
    accepted(ops, LENGTH(ops));
    ops[2].read = 0;
    accepted(ops, LENGTH(ops));
}

/* IRIW: two readers agree on the order of independent writes. */
static void test_independent_reads_of_independent_writes_refused(void **state)
{
    struct history_op ops[] = {writes(0, X, 1, 0), writes(1, Y, 1, 0), reads(2, X, 1),
                               reads(2, Y, 0),     reads(3, Y, 1),     reads(3, X, 0)};

    (void)state;
    refused(ops, LENGTH(ops), "a cycle of 6 ops: ");
    ops[5].read = 1;
    accepted(ops, LENGTH(ops));
    ops[3].read = 1;
    ops[5].read = 0;
    accepted(ops, LENGTH(ops));
}

/* CoRR, CoWR, CoRW: one location does not go back. */
static void test_coherence_of_reads_refused(void **state)
{
    struct history_op rr[] = {writes(0, X, 1, 0), reads(1, X, 1), reads(1, X, 0)};
    struct history_op wr[] = {writes(0, X, 1, 0), reads(0, X, 0)};
    struct history_op rw[] = {reads(0, X, 1), writes(0, X, 1, 0)};

    (void)state;
    refused(rr, LENGTH(rr), "a cycle of 3 ops: ");
    refused(wr, LENGTH(wr), "a cycle of 2 ops: ");
    refused(rw, LENGTH(rw), "a cycle of 2 ops: ");
    rr[1].read = 0;
    rr[2].read = 1;
    accepted(rr, LENGTH(rr));
    wr[1].read = 1;
    accepted(wr, LENGTH(wr));
    rw[0].read = 0;
    accepted(rw, LENGTH(rw));
}

/* CoWW: a thread's writes to one location keep their order. */
static void test_coherence_of_writes_refused(void **state)
{
    struct history_op bad[] = {writes(0, X, 1, 2), writes(0, X, 2, 0)};
    struct history_op good[] = {writes(0, X, 1, 0), writes(0, X, 2, 1)};

    (void)state;
    refused(bad, LENGTH(bad), "--is overwritten by--> ");
    accepted(good, LENGTH(good));
}

/* 2+2W: two threads' first writes are not both the last. */
static void test_two_writes_each_refused(void **state)
{
    struct history_op bad[] = {writes(0, X, 1, 2), writes(0, Y, 2, 0), writes(1, Y, 1, 2),
                               writes(1, X, 2, 0)};
    struct history_op good[] = {writes(0, X, 1, 0), writes(0, Y, 2, 1), writes(1, Y, 1, 0),
                                writes(1, X, 2, 1)};

    (void)state;
    refused(bad, LENGTH(bad), "a cycle of 4 ops: ");
    accepted(good, LENGTH(good));
}

static void test_value_that_nobody_wrote_refused(void **state)
{
    const struct history_op read[] = {writes(0, X, 1, 0), reads(7, X, 3)};
    const struct history_op elsewhere[] = {writes(0, Y, 3, 0), reads(7, X, 3)};
    const struct history_op over[] = {writes(0, X, 1, 0), writes(7, X, 2, 3)};

    (void)state;
    refused(read, LENGTH(read),
            "thread 7 op 0 [location 0: reads 3] read a value that nobody wrote");
    refused(elsewhere, LENGTH(elsewhere), "read a value that nobody wrote");
    refused(over, LENGTH(over), "overwrote a value that nobody wrote");
}

/* An update that is lost shows as two that overwrote one value. */
static void test_lost_update_refused(void **state)
{
    struct history_op ops[] = {swaps(0, X, 1, 0), swaps(1, X, 2, 0)};

    (void)state;
    refused(ops, LENGTH(ops), "both overwrote the same value");
    ops[1].read = 1;
    accepted(ops, LENGTH(ops));
}

static void test_malformed_history_refused(void **state)
{
    const struct history_op twice[] = {writes(0, X, 1, 0), writes(1, X, 1, 1)};
    const struct history_op again[] = {writes(0, X, 1, 0), writes(1, X, 0, 1)};
    const struct history_op itself[] = {swaps(0, X, 1, 1)};
    const struct history_op nothing[] = {{.thread = 3, .location = 9}};

    (void)state;
    refused(twice, LENGTH(twice), "wrote the same value");
    refused(again, LENGTH(again), "writes the initial value again");
    refused(itself, LENGTH(itself), "comes after itself");
    refused(nothing, LENGTH(nothing), "neither reads nor writes");
}

/* The explanation stays in its room. */
static void test_explanation_is_cut(void **state)
{
    const struct history_op ops[] = {writes(0, X, 1, 2), writes(0, X, 2, 0)};
    char why[9] = "12345678";

    (void)state;
    assert_false(history_is_sequential(ops, LENGTH(ops), why, 5));
    assert_string_equal(why, "a cy");
    assert_memory_equal(why + 5, "678", 4);
    assert_false(history_is_sequential(ops, LENGTH(ops), NULL, 0));
}

static uint32_t below(uint64_t *seed, uint32_t limit)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)((*seed >> 33) % limit);
}

/* What an interleaving of random ops of some threads would have recorded. */
static void make_sequential(struct history_op *ops, size_t count, uint32_t threads, uint64_t *seed)
{
    uint64_t memory[LOCATIONS] = {0};
    uint64_t last = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t thread = below(seed, threads);
        uint32_t location = below(seed, LOCATIONS);
        uint64_t seen = memory[location];

        switch (below(seed, 4)) {
        case 0:
            memory[location] = ++last;
            ops[i] = writes(thread, location, memory[location], seen);
            break;
        case 1:
            memory[location] = ++last;
            ops[i] = swaps(thread, location, memory[location], seen);
            break;
        default:
            ops[i] = reads(thread, location, seen);
            break;
        }
    }
}

/* Forget the interleaving: thread after thread. */
static void forget_order(struct history_op *ops, size_t count)
{
    struct history_op *sorted = calloc(count, sizeof(*ops));
    size_t used = 0;

    assert_non_null(sorted);
    for (uint32_t thread = 0; used < count; thread++) {
        for (size_t i = 0; i < count; i++) {
            if (ops[i].thread == thread) {
                sorted[used++] = ops[i];
            }
        }
    }
    memcpy(ops, sorted, count * sizeof(*ops));
    free(sorted);
}

static void test_recorded_interleavings_accepted(void **state)
{
    enum { COUNT = 3000 };
    struct history_op *ops = calloc(COUNT, sizeof(*ops));
    uint64_t seed = 1;

    (void)state;
    assert_non_null(ops);
    for (uint32_t run = 0; run < 200; run++) {
        size_t count = 1 + below(&seed, COUNT);

        make_sequential(ops, count, 1 + below(&seed, 8), &seed);
        if (run % 2 == 0) {
            forget_order(ops, count);
        }
        accepted(ops, count);
    }
    free(ops);
}

/* Two reads of one location by one thread, of different values: the later one's position. */
static size_t find_second_read(const struct history_op *ops, size_t count, size_t first)
{
    for (size_t i = first + 1; i < count; i++) {
        if (ops[i].thread == ops[first].thread && ops[i].location == ops[first].location &&
            !ops[i].writes && ops[i].read != ops[first].read) {
            return i;
        }
    }
    return count;
}

/* A thread that sees two values in the wrong order, somewhere in a long history. */
static void test_corrupted_interleavings_refused(void **state)
{
    enum { COUNT = 2000 };
    struct history_op *ops = calloc(COUNT, sizeof(*ops));
    uint64_t seed = 2;
    uint32_t corrupted = 0;

    (void)state;
    assert_non_null(ops);
    for (uint32_t run = 0; run < 200; run++) {
        size_t first = below(&seed, COUNT / 2);
        size_t second = COUNT;
        uint64_t seen = 0;

        make_sequential(ops, COUNT, 1 + below(&seed, 8), &seed);
        while (ops[first].writes) {
            first++;
        }
        second = find_second_read(ops, COUNT, first);
        if (second == COUNT) {
            continue;
        }
        seen = ops[first].read;
        ops[first].read = ops[second].read;
        ops[second].read = seen;
        corrupted++;
        refused(ops, COUNT, "a cycle of ");
    }
    assert_in_range(corrupted, 150, 200);
    free(ops);
}

/* Every interleaving of small threads, tried one after the other. */
static bool can_interleave(const struct history_op *ops, size_t count, uint32_t done,
                           const uint64_t memory[2])
{
    if (done == (1U << count) - 1) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t after[2] = {memory[0], memory[1]};
        bool first = (done >> i & 1) == 0;

        for (size_t j = 0; j < i && first; j++) {
            first = ops[j].thread != ops[i].thread || (done >> j & 1) != 0;
        }
        if (!first || memory[ops[i].location] != ops[i].read) {
            continue;
        }
        if (ops[i].writes) {
            after[ops[i].location] = ops[i].written;
        }
        if (can_interleave(ops, count, done | 1U << i, after)) {
            return true;
        }
    }
    return false;
}

/* Ops that saw anything, mostly what is impossible. */
static void make_anything(struct history_op *ops, size_t count, uint64_t *seed)
{
    uint64_t written[2] = {0};

    for (size_t i = 0; i < count; i++) {
        uint32_t location = below(seed, 2);
        uint32_t kind = below(seed, 3);

        ops[i] = reads(below(seed, 3), location, 0);
        if (kind != 0) {
            ops[i].writes = true;
            ops[i].reads = kind == 1;
            ops[i].written = ++written[location];
        }
    }
    for (size_t i = 0; i < count; i++) {
        ops[i].read = below(seed, (uint32_t)written[ops[i].location] + 1);
    }
}

/* The checker and the search through all interleavings never differ. */
static void test_small_histories_agree_with_search(void **state)
{
    enum { COUNT = 6 };
    struct history_op ops[COUNT];
    const uint64_t empty[2] = {0};
    uint64_t seed = 3;
    uint32_t sequential = 0;
    uint32_t cycles = 0;

    (void)state;
    for (uint32_t run = 0; run < 200000; run++) {
        char why[WHY] = "";
        bool verdict = false;

        make_anything(ops, COUNT, &seed);
        verdict = history_is_sequential(ops, COUNT, why, sizeof(why));
        if (verdict != can_interleave(ops, COUNT, 0, empty)) {
            fail_msg("run %u: the checker says %d: %s", run, verdict, why);
        }
        sequential += verdict;
        cycles += strstr(why, "a cycle of") != NULL;
    }
    assert_in_range(sequential, 2000, 198000);
    assert_in_range(cycles, 2000, 198000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_sequential),
        cmocka_unit_test(test_store_buffering_refused),
        cmocka_unit_test(test_message_passing_refused),
        cmocka_unit_test(test_load_buffering_refused),
        cmocka_unit_test(test_independent_reads_of_independent_writes_refused),
        cmocka_unit_test(test_coherence_of_reads_refused),
        cmocka_unit_test(test_coherence_of_writes_refused),
        cmocka_unit_test(test_two_writes_each_refused),
        cmocka_unit_test(test_value_that_nobody_wrote_refused),
        cmocka_unit_test(test_lost_update_refused),
        cmocka_unit_test(test_malformed_history_refused),
        cmocka_unit_test(test_explanation_is_cut),
        cmocka_unit_test(test_recorded_interleavings_accepted),
        cmocka_unit_test(test_corrupted_interleavings_refused),
        cmocka_unit_test(test_small_histories_agree_with_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
