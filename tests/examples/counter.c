/* SPDX-License-Identifier: Apache-2.0 */
/* A counter that programs on any machines of the cluster share: run it on two, they add up. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <dsm.h>

static void check(struct dsm *dsm, int error)
{
    char text[512] = "no agent on this machine";

    if (error != 0) {
        if (dsm != NULL) {
            dsm_last_error(dsm, text, sizeof(text));
        }
        fprintf(stderr, "counter: %s: %s\n", dsm_strerror(error), text);
        exit(1);
    }
}

int main(void)
{
    /* The type makes it the same number on machines of either byte order. */
    const struct dsm_shm_options options = {.type = "u64"};
    struct dsm *dsm = NULL;
    struct dsm_region *region;
    void *memory;

    check(dsm, dsm_connect(NULL, &dsm));
    check(dsm, dsm_shm_open(dsm, "/counter", O_RDWR | O_CREAT, 0666, &options, &region));
    check(dsm, dsm_shm_truncate(region, 4096));
    check(dsm, dsm_shm_map(region, NULL, 0, 4096, DSM_READ | DSM_WRITE, &memory));

    _Atomic uint64_t *counter = memory; /* plain C11 atomics, between machines */
    for (int i = 0; i < 100000; i++) {
        atomic_fetch_add(counter, 1);
    }
    printf("%s: the counter is at %llu\n", dsm_node_name(dsm),
           (unsigned long long)atomic_load(counter));
    dsm_disconnect(dsm);
    return 0;
}
