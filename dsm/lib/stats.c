/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dsm/lib/session.h"

enum {
#define COUNTER_INDEX(name) COUNTER_##name,
    DSM_COUNTERS(COUNTER_INDEX)
#undef COUNTER_INDEX
        COUNTER_COUNT,
};

_Static_assert(COUNTER_COUNT <= SESSION_COUNTERS_MAX, "a reply has room for all counters");

int dsm_stats_get(struct dsm *dsm, struct dsm_stats *stats)
{
    struct session_request request = {.kind = SESSION_STATS};
    struct deed deed = {.verb = "read the counters"};
    struct answer answer;
    int error = session_ask(dsm, &deed, &request, -1, SESSION_TIMEOUT_MS, &answer);

    if (error != 0) {
        return error;
    }
    memset(stats, 0, sizeof *stats);
#define COUNTER_TAKE(name) \
    stats->name = COUNTER_##name < answer.count_counters ? answer.counters[COUNTER_##name] : 0;
    DSM_COUNTERS(COUNTER_TAKE)
#undef COUNTER_TAKE
    return 0;
}
