/* SPDX-License-Identifier: Apache-2.0 */
/* A sealed region: all read the same page at once, in the order of their numbers. */
#include <stdlib.h>

#include "tests/sim/scale_rows.h"

static uint64_t log2_of(uint64_t n)
{
    uint64_t log = 0;

    while (n > 1) {
        n /= 2;
        log++;
    }
    return log;
}

uint64_t scale_expect_sealed_rounds(uint64_t n)
{
    return n == 1 ? 0 : log2_of(n) + 2;
}

/* What is on its way arrives at the same time; how often until nothing is. */
uint64_t scale_count_sealed_rounds(struct scale *scale)
{
    struct cluster *cluster = scale->cluster;
    uint32_t(*ways)[2] = calloc(scale->count, sizeof(*ways)); /* nobody sends two at once */
    uint64_t rounds = 0;
    uint32_t count;

    for (uint32_t i = 1; i < scale->count; i++) {
        scale_touch(scale, i, SCALE_SEALED, 0, false);
    }
    do {
        uint32_t from = 0, to = 0;

        for (count = 0; cluster_next_link(cluster, &from, &to); to++) {
            if (count == scale->count) {
                scale_fail("more messages on their way than nodes", rounds);
            }
            ways[count][0] = from;
            ways[count++][1] = to;
        }
        for (uint32_t i = 0; i < count; i++) {
            cluster_deliver(cluster, ways[i][0], ways[i][1]);
        }
        rounds += count > 0;
    } while (count > 0);
    free(ways);
    return rounds;
}

uint64_t scale_expect_sealed_sends(uint64_t n)
{
    return n == 1 ? 0 : 2;
}

uint64_t scale_count_sealed_sends(struct scale *scale)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < scale->count; i++) {
        uint64_t before = scale->cluster->nodes[i].sent[MESSAGE_DATA];

        scale->nodes[i].data_before = before;
    }
    for (uint32_t i = 1; i < scale->count; i++) {
        scale_touch(scale, i, SCALE_SEALED, 1, false);
    }
    cluster_run(scale->cluster);
    for (uint32_t i = 0; i < scale->count; i++) {
        uint64_t sent = scale->cluster->nodes[i].sent[MESSAGE_DATA] - scale->nodes[i].data_before;

        most = sent > most ? sent : most;
        if (scale_read(scale, i, SCALE_SEALED, 1) != 0) {
            scale_fail("a value read by node", i);
        }
    }
    return most;
}

uint64_t scale_expect_sealed_messages(uint64_t n)
{
    return 2 * (n - 1);
}

/* The tree is there. */
uint64_t scale_count_sealed_messages(struct scale *scale)
{
    scale_mark(scale);
    for (uint32_t i = 1; i < scale->count; i++) {
        scale_touch(scale, i, SCALE_SEALED, 2, false);
    }
    cluster_run(scale->cluster);
    return scale->sent;
}
