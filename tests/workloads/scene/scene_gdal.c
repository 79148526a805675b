/* SPDX-License-Identifier: Apache-2.0 */
/**
 * scene_gdal: the same by GDAL: threads that read blocks of rows of a file which each host has, and
 * work on each block at once.
 *
 *     scene_gdal FILE RANK RANKS THREADS
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "orders.h"
#include "tests/workloads/satellite/scene.h"

#define THREADS_MAX 64u

struct job {
    enum analysis_task task;
    uint32_t last;
    _Atomic uint32_t next; /* row that nobody has taken yet */
};

/* A thread has a data set of its own, as GDAL wants it. */
struct reader {
    struct job *job;
    pthread_t thread;
    struct scene scene;
    uint16_t *rows[ANALYSIS_BANDS];
    struct analysis found;
};

static void die(const char *text)
{
    fprintf(stderr, "scene_gdal: %s\n", text);
    exit(EXIT_FAILURE);
}

static void reader_open(struct reader *reader, struct job *job, char *path)
{
    char error[SCENE_ERROR_BYTES];

    reader->job = job;
    if (scene_open(&reader->scene, &path, 1, "red:1,nir:2,other:3,other:4", error) != 0) {
        die(error);
    }
    if (reader->scene.count_bands != ANALYSIS_BANDS || reader->scene.pixel_bytes != 2) {
        die("the scene is not one of four bands of u16");
    }
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        reader->rows[i] =
            malloc((size_t)reader->scene.width * (ANALYSIS_BLOCK_ROWS + 2) * sizeof(uint16_t));
        if (reader->rows[i] == NULL) {
            die("out of memory");
        }
    }
}

static void reader_close(struct reader *reader)
{
    scene_close(&reader->scene);
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        free(reader->rows[i]);
    }
}

static void read_block(struct reader *reader, uint32_t first, uint32_t last)
{
    char error[SCENE_ERROR_BYTES];
    struct job *job = reader->job;
    uint32_t height = reader->scene.height, halo = analysis_halo(job->task);
    uint32_t from = first > halo ? first - halo : 0;
    uint32_t to = last + halo < height ? last + halo : height;
    struct picture picture = {.width = reader->scene.width, .height = height, .first = from};

    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        picture.band[i] = reader->rows[i];
        if (analysis_reads(job->task, i) &&
            scene_read(&reader->scene, i, from, to - from, reader->rows[i], error) != 0) {
            die(error);
        }
    }
    analysis_rows(job->task, &picture, first, last, &reader->found);
}

static void *reader_run(void *argument)
{
    struct reader *reader = argument;
    struct job *job = reader->job;

    analysis_begin(&reader->found);
    for (;;) {
        uint32_t first = atomic_fetch_add(&job->next, ANALYSIS_BLOCK_ROWS);

        if (first >= job->last) {
            return NULL;
        }
        uint32_t left = job->last - first;
        read_block(reader, first,
                   first + (left < ANALYSIS_BLOCK_ROWS ? left : ANALYSIS_BLOCK_ROWS));
    }
}

int main(int argc, char **argv)
{
    static struct reader readers[THREADS_MAX];
    struct order order;
    struct job job = {.task = ANALYSIS_COUNT};

    if (argc != 5) {
        fputs("usage: scene_gdal FILE RANK RANKS THREADS\n", stderr);
        return 2;
    }
    uint32_t ranks = order_number(argv[3], 1000), rank = order_number(argv[2], ranks - 1);
    uint32_t threads = order_number(argv[4], THREADS_MAX);
    for (uint32_t i = 0; i < threads; i++) {
        reader_open(&readers[i], &job, argv[1]);
    }
    uint64_t height = readers[0].scene.height;
    order_ready();
    while (order_read(&order, stdin)) {
        job.task = order.task;
        job.last = (uint32_t)(height * (rank + 1) / ranks);
        atomic_store(&job.next, (uint32_t)(height * rank / ranks));
        for (uint32_t i = 0; i < threads; i++) {
            if (pthread_create(&readers[i].thread, NULL, reader_run, &readers[i]) != 0) {
                die("cannot start a thread");
            }
        }
        for (uint32_t i = 0; i < threads; i++) {
            pthread_join(readers[i].thread, NULL);
            if (i > 0) {
                analysis_add(&readers[0].found, &readers[i].found);
            }
        }
        order_answer(&readers[0].found);
    }
    for (uint32_t i = 0; i < threads; i++) {
        reader_close(&readers[i]);
    }
    return 0;
}
