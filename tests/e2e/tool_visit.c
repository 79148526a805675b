/* SPDX-License-Identifier: Apache-2.0 */
/* Visits to words of a mapping, one at a time, with the time that each took. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/series.h"
#include "tests/bench/shuffle.h"
#include "tests/e2e/tool.h"

#define VISITS_MAX 65536u

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Read a word, or write it; returns the time it took. */
static double visit(volatile uint32_t *word, bool write)
{
    double begin = now_us();

    if (write) {
        *word = 1;
    } else {
        (void)*word;
    }
    return now_us() - begin;
}

/* visit MAP FIRST STRIDE COUNT r|w [SEED]: words at FIRST, FIRST + STRIDE, ..., or in the random
 * order of a seed; the median of their times in us */
static int on_visit(struct tool *tool, const struct words *words)
{
    uint64_t stride = word_number(words, 3), count = word_number(words, 4);
    bool write = strchr(word_text(words, 5), 'w') != NULL;
    uint32_t *order = calloc(VISITS_MAX, sizeof(*order));
    double *times = calloc(VISITS_MAX, sizeof(*times));
    int error = count == 0 || count > VISITS_MAX ? DSM_EINVAL : order && times ? 0 : DSM_ENOMEM;

    if (!error) {
        uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), stride * (count - 1) + 4);

        for (uint32_t i = 0; i < count; i++) {
            order[i] = i;
        }
        if (word_number(words, 6) != 0) {
            shuffle(order, (uint32_t)count, word_number(words, 6));
        }
        for (uint64_t i = 0; i < count; i++) {
            times[i] = visit((void *)(memory + stride * order[i]), write);
        }
        answer(tool, "%.3f", values_median(times, (size_t)count));
    }
    free(order);
    free(times);
    return error;
}

const struct command visit_commands[] = {{"visit", on_visit}, {NULL, NULL}};
