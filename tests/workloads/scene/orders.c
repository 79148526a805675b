/* SPDX-License-Identifier: Apache-2.0 */
#include "orders.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void order_ready(void)
{
    puts("ready");
    fflush(stdout);
}

bool order_read(struct order *order, FILE *from)
{
    char line[64];

    if (fgets(line, sizeof line, from) == NULL) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    char *kept = strstr(line, " kept");
    if (kept != NULL) {
        *kept = '\0';
    }
    *order = (struct order){.task = analysis_find(line), .is_kept = kept != NULL};
    if (order->task == ANALYSIS_COUNT) {
        fprintf(stderr, "there is no task %s\n", line);
        return false;
    }
    return true;
}

void order_answer(const struct analysis *found)
{
    uint32_t count = ANALYSIS_SUMS;

    while (count > 0 && found->sum[count - 1] == 0) {
        count--;
    }
    printf("{\"min\": %" PRId64 ", \"max\": %" PRId64 ", \"sum\": [", found->min, found->max);
    for (uint32_t i = 0; i < count; i++) {
        printf("%s%" PRId64, i > 0 ? ", " : "", found->sum[i]);
    }
    puts("]}");
    fflush(stdout);
}

uint32_t order_number(const char *word, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(word, &end, 10);

    if (end == word || *end != '\0' || word[0] == '-' || value > most) {
        fprintf(stderr, "'%s' is no number up to %" PRIu32 "\n", word, most);
        exit(2);
    }
    return (uint32_t)value;
}
