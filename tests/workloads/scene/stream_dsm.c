/* SPDX-License-Identifier: Apache-2.0 */
/**
 * stream_dsm: a scene that comes strip by strip, as a satellite sends it. The publisher writes a
 * strip into the region and posts a semaphore of each reader; a reader analyses each strip as soon
 * as it is there, long before the picture is whole, each with a task of its own.
 *
 *     stream_dsm publish SOCKET REGION READERS FILE
 *     stream_dsm TASK SOCKET REGION READER
 *
 * Orders on standard input: the word "stream"; or "whole", with which the publisher posts nothing
 * before the whole picture is there. For readers both are the same.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"
#include "orders.h"
#include "tests/workloads/satellite/raster.h"
#include "tests/workloads/satellite/scene.h"

#define ROWS ANALYSIS_BLOCK_ROWS
#define READERS_MAX 8u
#define WAIT_MS 60000

struct stream {
    struct dsm *dsm;
    const char *name;
    struct raster *raster;
    struct dsm_sem *strips[READERS_MAX]; /* one post for each strip */
};

static void check(const struct stream *stream, const char *what, int error)
{
    char text[512] = "";

    if (error != 0) {
        if (stream->dsm != NULL) {
            dsm_last_error(stream->dsm, text, sizeof text);
        }
        fprintf(stderr, "stream_dsm: %s: %s %s\n", what, dsm_strerror(error), text);
        exit(EXIT_FAILURE);
    }
}

static void name_strips(const struct stream *stream, uint32_t reader, char name[DSM_NAME_MAX + 1])
{
    snprintf(name, DSM_NAME_MAX + 1, "%s.strips%" PRIu32, stream->name, reader);
}

static void open_strips(struct stream *stream, uint32_t reader)
{
    char name[DSM_NAME_MAX + 1];

    name_strips(stream, reader, name);
    check(stream, name, dsm_sem_open(stream->dsm, name, O_CREAT, 0600, 0, &stream->strips[reader]));
}

/* The region as the publisher makes it; readers wait for its first post before they look. */
static void make_region(struct stream *stream, const struct scene *scene)
{
    const struct dsm_shm_options options = {.type = RASTER_TYPE("u16")};
    struct raster head = {.version = RASTER_VERSION,
                          .type = RASTER_U16,
                          .width = scene->width,
                          .height = scene->height,
                          .count_bands = ANALYSIS_BANDS,
                          .pixel_bytes = 2,
                          .total_bytes = RASTER_ALIGN};
    struct dsm_region *region;
    void *mapped;

    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        head.bands[i].offset = head.total_bytes;
        head.total_bytes += raster_band_bytes(&head);
    }
    check(stream, stream->name,
          dsm_shm_open(stream->dsm, stream->name, O_RDWR | O_CREAT | O_TRUNC, 0600, &options,
                       &region));
    check(stream, stream->name, dsm_shm_truncate(region, head.total_bytes));
    check(stream, stream->name,
          dsm_shm_map(region, NULL, 0, head.total_bytes, DSM_READ | DSM_WRITE, &mapped));
    check(stream, stream->name, dsm_shm_close(region));
    stream->raster = mapped;
    *stream->raster = head;
    raster_publish(stream->raster);
}

static void map_region(struct stream *stream)
{
    struct dsm_region *region;
    struct dsm_shm_stat stat;
    void *mapped;

    check(stream, stream->name,
          dsm_shm_open(stream->dsm, stream->name, O_RDONLY, 0, NULL, &region));
    check(stream, stream->name, dsm_shm_stat(region, &stat));
    check(stream, stream->name, dsm_shm_map(region, NULL, 0, stat.size_bytes, DSM_READ, &mapped));
    check(stream, stream->name, dsm_shm_close(region));
    stream->raster = mapped;
    const char *wrong = raster_check(stream->raster, stat.size_bytes);
    if (wrong != NULL || stream->raster->count_bands != ANALYSIS_BANDS) {
        fprintf(stderr, "stream_dsm: %s: %s\n", stream->name, wrong ? wrong : "too few bands");
        exit(EXIT_FAILURE);
    }
}

static uint16_t *band_of(const struct stream *stream, uint32_t band)
{
    return (uint16_t *)(void *)((char *)stream->raster + stream->raster->bands[band].offset);
}

static void post(const struct stream *stream, uint32_t readers)
{
    for (uint32_t i = 0; i < readers; i++) {
        check(stream, "tell of a strip", dsm_sem_post(stream->strips[i]));
    }
}

/* Write the picture strip by strip. */
static void publish(const struct stream *stream, uint16_t *const picture[ANALYSIS_BANDS],
                    uint32_t readers, bool is_whole)
{
    uint32_t width = stream->raster->width, height = stream->raster->height;

    for (uint32_t first = 0; first < height; first += ROWS) {
        uint32_t rows = height - first < ROWS ? height - first : ROWS;

        for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
            memcpy(band_of(stream, i) + (uint64_t)first * width,
                   picture[i] + (uint64_t)first * width, (size_t)rows * width * sizeof(uint16_t));
        }
        if (!is_whole) {
            post(stream, readers);
        }
    }
    for (uint32_t first = 0; is_whole && first < height; first += ROWS) {
        post(stream, readers);
    }
}

static int run_publisher(struct stream *stream, uint32_t readers, char *path)
{
    char error[SCENE_ERROR_BYTES], word[64];
    uint16_t *picture[ANALYSIS_BANDS];
    struct analysis found;
    struct scene scene;

    if (scene_open(&scene, &path, 1, "red:1,nir:2,other:3,other:4", error) != 0) {
        fprintf(stderr, "stream_dsm: %s\n", error);
        return EXIT_FAILURE;
    }
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        picture[i] = malloc((uint64_t)scene.width * scene.height * sizeof(uint16_t));
        if (picture[i] == NULL || scene.count_bands != ANALYSIS_BANDS || scene.pixel_bytes != 2 ||
            scene_read(&scene, i, 0, scene.height, picture[i], error) != 0) {
            fprintf(stderr, "stream_dsm: no memory, or no scene of four bands of u16: %s\n", path);
            return EXIT_FAILURE;
        }
    }
    make_region(stream, &scene);
    for (uint32_t i = 0; i < readers; i++) {
        open_strips(stream, i);
    }
    order_ready();
    analysis_begin(&found);
    while (fgets(word, sizeof word, stdin) != NULL) {
        publish(stream, picture, readers, strcmp(word, "whole\n") == 0);
        order_answer(&found);
    }
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        free(picture[i]);
    }
    scene_close(&scene);
    return EXIT_SUCCESS;
}

/* Analyse the strips as they come: of the last row only what is below the halo is certain. */
static void analyse(const struct stream *stream, enum analysis_task task, struct dsm_sem *strips,
                    struct analysis *found)
{
    uint32_t height = stream->raster->height, done = 0;
    struct picture picture = {.width = stream->raster->width, .height = height};

    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        picture.band[i] = band_of(stream, i);
    }
    for (uint32_t first = 0; first < height; first += ROWS) {
        uint32_t there = height - first <= ROWS ? height : first + ROWS;
        uint32_t until = there == height ? height : there - analysis_halo(task);

        check(stream, "wait for a strip", dsm_sem_wait(strips, WAIT_MS));
        analysis_rows(task, &picture, done, until, found);
        done = until;
    }
}

static int run_reader(struct stream *stream, enum analysis_task task, uint32_t reader)
{
    struct analysis found;
    char word[DSM_NAME_MAX + 1];

    open_strips(stream, reader);
    map_region(stream);
    order_ready();
    while (fgets(word, sizeof word, stdin) != NULL) {
        analysis_begin(&found);
        analyse(stream, task, stream->strips[reader], &found);
        order_answer(&found);
    }
    name_strips(stream, reader, word);
    check(stream, word, dsm_sem_unlink(stream->dsm, word));
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct stream stream = {.dsm = NULL};
    bool is_publisher = argc == 6 && strcmp(argv[1], "publish") == 0;

    if (!is_publisher && (argc != 5 || analysis_find(argv[1]) == ANALYSIS_COUNT)) {
        fputs("usage: stream_dsm publish SOCKET REGION READERS FILE\n"
              "       stream_dsm TASK SOCKET REGION READER\n",
              stderr);
        return 2;
    }
    stream.name = argv[3];
    uint32_t number = order_number(argv[4], is_publisher ? READERS_MAX : READERS_MAX - 1);
    check(&stream, argv[2], dsm_connect(argv[2], &stream.dsm));
    int status = is_publisher ? run_publisher(&stream, number, argv[5])
                              : run_reader(&stream, analysis_find(argv[1]), number);
    dsm_disconnect(stream.dsm);
    return status;
}
