/* SPDX-License-Identifier: Apache-2.0 */
/* Weather stations share one typed region, on machines of any kind: each adds, and prints all. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <dsm.h>
#include <dsm_type.h>

struct measurement {
    double celsius;
    uint32_t minute;
    uint16_t station;
};
#define MEASUREMENT (f64, celsius), (u32, minute), (u16, station), (pad, 2)
DSM_TYPE_CHECK(struct measurement, MEASUREMENT); /* where it does not hold, it does not compile */

struct table {
    uint64_t count;
    struct measurement measured[255];
};
#define TABLE (u64, count), (structs, measured, 255, MEASUREMENT)
DSM_TYPE_CHECK(struct table, TABLE);

static void check(struct dsm *dsm, int error)
{
    char text[512] = "no agent on this machine";

    if (error != 0) {
        if (dsm != NULL) {
            dsm_last_error(dsm, text, sizeof(text));
        }
        fprintf(stderr, "stations: %s: %s\n", dsm_strerror(error), text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const struct dsm_shm_options options = {.type = DSM_TYPE_TEXT(TABLE)};
    struct dsm *dsm = NULL;
    struct dsm_region *region;
    void *memory;

    check(dsm, dsm_connect(NULL, &dsm));
    check(dsm, dsm_shm_open(dsm, "/stations", O_RDWR | O_CREAT, 0666, &options, &region));
    check(dsm, dsm_shm_truncate(region, sizeof(struct table)));
    check(dsm, dsm_shm_map(region, NULL, 0, sizeof(struct table), DSM_READ | DSM_WRITE, &memory));

    struct table *table = memory;
    check(dsm, dsm_mutex_lock(region, 0, DSM_FOREVER));
    if (argc == 4 && table->count < 255) {
        struct measurement *new = &table->measured[table->count++];
        new->station = (uint16_t)strtoul(argv[1], NULL, 10);
        new->minute = (uint32_t)strtoul(argv[2], NULL, 10);
        new->celsius = strtod(argv[3], NULL);
    }
    for (uint64_t i = 0; i < table->count; i++) {
        const struct measurement *one = &table->measured[i];
        printf("station %u, minute %u: %.17g\n", one->station, one->minute, one->celsius);
    }
    check(dsm, dsm_mutex_unlock(region, 0));
    dsm_disconnect(dsm);
    return 0;
}
