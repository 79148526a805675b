/* SPDX-License-Identifier: Apache-2.0 */
/**
 * crop: measures the vegetation of a shared photograph.
 *
 * NDVI of every pixel (Tucker 1979) and its reductions: mean, spread, histogram, and the mean of
 * each cell of a 4 x 4 grid. The photograph is mapped read-only and read once: the spread of each
 * row is merged into that of the rows before it (Chan, Golub & LeVeque 1979), which keeps the
 * precision of two passes.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"
#include "raster.h"

#define VIGOROUS 0.4 /* NDVI of a healthy crop */

struct options {
    const char *socket;
    const char *name;
    void *address;
    int64_t timeout_ms;
    uint32_t count_parties;
};

struct crop {
    struct options options;
    struct dsm *dsm;
    const struct raster *photo;
    struct raster *map; /* NDVI, made by this program */
    struct dsm_region *results_region;
    struct results *results;
    struct crop_results found;
};

static void print_help(void)
{
    puts("Usage: crop [OPTION]...\n"
         "Measure the vegetation of a photograph in shared memory.\n\n"
         "  -r, --region=NAME     the photograph's region (default /olinda)\n"
         "  -s, --socket=PATH     the agent's socket (default as DSM_SOCKET says)\n"
         "  -a, --address=HEX     map the photograph here (default: anywhere)\n"
         "  -p, --parties=COUNT   programs that meet at the barrier (default 4)\n"
         "  -t, --timeout=SECONDS of each wait (default 120)\n"
         "  -h, --help            show this\n\n"
         "Waits on the semaphore NAME.ready, writes its values into NAME.results under the\n"
         "lock and its map into NAME.ndvi, and ends at the barrier.");
}

/** Say what failed; returns the exit status. */
static int fail(struct crop *crop, const char *action, const char *suffix, int error)
{
    char sentence[512] = "";
    if (crop->dsm != NULL) {
        dsm_last_error(crop->dsm, sentence, sizeof sentence);
    }
    fprintf(stderr, "crop: cannot %s %s%s: %s (%s)\n", action, crop->options.name, suffix,
            sentence[0] != '\0' ? sentence : dsm_strerror(error), dsm_error_name(error));
    return EXIT_FAILURE;
}

static bool parse_number(const char *text, int base, uint64_t least, uint64_t most, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, base);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < least ||
        number > most) {
        return false;
    }
    *value = number;
    return true;
}

/** Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"region", required_argument, NULL, 'r'},
        {"socket", required_argument, NULL, 's'},
        {"address", required_argument, NULL, 'a'},
        {"parties", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){.name = "/olinda", .timeout_ms = 120000, .count_parties = 4};
    int letter;
    while ((letter = getopt_long(argc, argv, "r:s:a:p:t:h", known, NULL)) != -1) {
        uint64_t value = 0;
        bool is_good = true;
        switch (letter) {
        case 'r':
            options->name = optarg;
            break;
        case 's':
            options->socket = optarg;
            break;
        case 'a':
            is_good = parse_number(optarg, 16, 1, UINTPTR_MAX, &value);
            options->address = (void *)(uintptr_t)value;
            break;
        case 'p':
            is_good = parse_number(optarg, 10, 1, UINT32_MAX, &value);
            options->count_parties = (uint32_t)value;
            break;
        case 't':
            is_good = parse_number(optarg, 10, 1, 86400, &value);
            options->timeout_ms = (int64_t)value * 1000;
            break;
        case 'h':
            print_help();
            return EXIT_SUCCESS;
        default:
            fputs("crop: --help shows the options\n", stderr);
            return 2;
        }
        if (!is_good) {
            fprintf(stderr, "crop: -%c: '%s' is not a number that makes sense here\n", letter,
                    optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "crop: '%s' is not wanted; --help shows the options\n", argv[optind]);
        return 2;
    }
    return -1;
}

/** The photograph's name with a suffix. */
static const char *name_with(const struct crop *crop, const char *suffix, char *to)
{
    snprintf(to, DSM_NAME_MAX + 1, "%s%s", crop->options.name, suffix);
    return to;
}

/** Wait until the photograph is there. */
static int wait_for_photo(struct crop *crop)
{
    char name[DSM_NAME_MAX + 1];
    struct dsm_sem *ready;
    int error = dsm_sem_open(crop->dsm, name_with(crop, RASTER_READY_SUFFIX, name), O_CREAT, 0666,
                             0, &ready);
    if (error != 0) {
        return fail(crop, "open the semaphore", RASTER_READY_SUFFIX, error);
    }
    printf("crop: on %s, waiting for %s\n", dsm_node_name(crop->dsm), crop->options.name);
    error = dsm_sem_wait(ready, crop->options.timeout_ms);
    if (error != 0) {
        (void)fail(crop, "wait for the photograph", RASTER_READY_SUFFIX, error);
    }
    dsm_sem_close(ready);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int open_photo(struct crop *crop)
{
    struct dsm_region *region;
    struct dsm_shm_stat stat;
    int error = dsm_shm_open(crop->dsm, crop->options.name, O_RDONLY, 0, NULL, &region);
    if (error != 0) {
        return fail(crop, "open", "", error);
    }
    void *mapped = NULL;
    error = dsm_shm_stat(region, &stat);
    if (error == 0) {
        error = dsm_shm_map(region, crop->options.address, 0, stat.size_bytes, DSM_READ, &mapped);
    }
    if (error != 0) {
        (void)fail(crop, "map", "", error);
    }
    dsm_shm_close(region);
    if (error != 0) {
        return EXIT_FAILURE;
    }
    crop->photo = mapped;
    const char *wrong = raster_check(crop->photo, stat.size_bytes);
    if (wrong != NULL) {
        fprintf(stderr, "crop: %s: %s\n", crop->options.name, wrong);
        return EXIT_FAILURE;
    }
    printf("crop: %s is at %p: %s, %u x %u, %u bands\n", crop->options.name, mapped,
           crop->photo->title, crop->photo->width, crop->photo->height, crop->photo->count_bands);
    return EXIT_SUCCESS;
}

static int open_results(struct crop *crop)
{
    char name[DSM_NAME_MAX + 1];
    const struct dsm_shm_options options = {.type = RESULTS_TYPE};
    void *mapped = NULL;
    int error = dsm_shm_open(crop->dsm, name_with(crop, RASTER_RESULTS_SUFFIX, name), O_RDWR, 0,
                             &options, &crop->results_region);
    if (error == 0) {
        error = dsm_shm_map(crop->results_region, NULL, 0, sizeof(struct results),
                            DSM_READ | DSM_WRITE, &mapped);
    }
    if (error != 0) {
        return fail(crop, "map the results", RASTER_RESULTS_SUFFIX, error);
    }
    crop->results = mapped;
    if (crop->results->magic != RESULTS_MAGIC || crop->results->version != RASTER_VERSION) {
        fprintf(stderr, "crop: %s holds no results of this version\n", name);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/** Make the region of the map, a raster of one band. */
static int make_map(struct crop *crop)
{
    char name[DSM_NAME_MAX + 1];
    const struct raster *photo = crop->photo;
    struct raster head = {.version = RASTER_VERSION,
                          .type = RASTER_F32,
                          .width = photo->width,
                          .height = photo->height,
                          .count_bands = 1,
                          .pixel_bytes = 4};
    uint64_t start = (sizeof head + RASTER_ALIGN - 1) / RASTER_ALIGN * RASTER_ALIGN;
    head.total_bytes = start + raster_band_bytes(&head);
    head.bands[0] = (struct raster_band){.role = RASTER_OTHER, .offset = start};
    memcpy(head.geotransform, photo->geotransform, sizeof head.geotransform);
    snprintf(head.title, sizeof head.title, "NDVI");

    const struct dsm_shm_options options = {.type = raster_type_text(head.type)};
    struct dsm_region *region;
    void *mapped = NULL;
    int error = dsm_shm_open(crop->dsm, name_with(crop, RASTER_NDVI_SUFFIX, name),
                             O_CREAT | O_TRUNC | O_RDWR, 0644, &options, &region);
    if (error != 0) {
        return fail(crop, "make", RASTER_NDVI_SUFFIX, error);
    }
    error = dsm_shm_truncate(region, head.total_bytes);
    if (error == 0) {
        error = dsm_shm_map(region, NULL, 0, head.total_bytes, DSM_READ | DSM_WRITE, &mapped);
    }
    if (error != 0) {
        (void)fail(crop, "size and map", RASTER_NDVI_SUFFIX, error);
        dsm_shm_close(region);
        return EXIT_FAILURE;
    }
    dsm_shm_close(region);
    crop->map = mapped;
    *crop->map = head;
    return EXIT_SUCCESS;
}

/** (a-b)/(a+b), or NaN, which every comparison refuses. */
static double normalized_difference(double a, double b)
{
    return a + b > 0 ? (a - b) / (a + b) : NAN;
}

/** NDVI of one row into `ndvi` and, as f32, into the map. */
static void measure_row(const struct raster *photo, uint32_t row, double *ndvi, float *map)
{
    const struct raster_band *red = raster_find(photo, RASTER_RED);
    const struct raster_band *near_infrared = raster_find(photo, RASTER_NIR);
    for (uint32_t column = 0; column < photo->width; column++) {
        uint64_t index = (uint64_t)row * photo->width + column;
        ndvi[column] = normalized_difference(raster_reflectance(photo, near_infrared, index),
                                             raster_reflectance(photo, red, index));
        map[index] = (float)ndvi[column];
    }
}

/** The bin of a value: [edge, next edge), but the last bin holds its upper edge too; -1 is outside.
 */
static int find_bin(double value)
{
    if (!(value >= -1.0 && value <= 1.0)) {
        return -1;
    }
    const int bins = (int)RESULTS_HISTOGRAM_BINS;
    const double step = 2.0 / bins;
    int bin = (int)((value + 1.0) / step);
    bin = bin < bins ? bin : bins - 1;
    /* The division rounds: the edges themselves decide. */
    if (value < -1.0 + bin * step) {
        bin--;
    } else if (bin + 1 < bins && value >= -1.0 + (bin + 1) * step) {
        bin++;
    }
    return bin;
}

/** Add a row to everything but the grid; `squares` is the sum of squared distances from the mean.
 */
static void reduce_row(const double *ndvi, uint32_t width, struct crop_results *found,
                       double *squares)
{
    double sum = 0;
    uint64_t count = 0;
    for (uint32_t column = 0; column < width; column++) {
        double value = ndvi[column];
        if (isnan(value)) {
            continue;
        }
        count++;
        sum += value;
        found->min = fmin(found->min, value);
        found->max = fmax(found->max, value);
        found->above += value > VIGOROUS;
        int bin = find_bin(value);
        if (bin >= 0) {
            found->histogram[bin]++;
        }
    }
    if (count == 0) {
        return;
    }
    double row_mean = sum / (double)count, row_squares = 0;
    for (uint32_t column = 0; column < width; column++) {
        if (!isnan(ndvi[column])) {
            row_squares += (ndvi[column] - row_mean) * (ndvi[column] - row_mean);
        }
    }
    double before = (double)found->count, here = (double)count;
    double apart = row_mean - found->mean;
    *squares += row_squares + apart * apart * before * here / (before + here);
    found->mean += apart * here / (before + here);
    found->count += count;
}

/** Add a row to the sums of the grid cells that it crosses. */
static void reduce_grid(const double *ndvi, uint32_t row, const struct raster *photo, double *sums,
                        uint64_t *counts)
{
    const uint64_t parts = RESULTS_GRID;
    uint32_t down = 0;
    while (row >= (down + 1) * (uint64_t)photo->height / parts) {
        down++;
    }
    for (uint32_t across = 0; across < parts; across++) {
        uint64_t first = across * (uint64_t)photo->width / parts;
        uint64_t end = (across + 1) * (uint64_t)photo->width / parts;
        double sum = 0;
        for (uint64_t column = first; column < end; column++) {
            if (!isnan(ndvi[column])) {
                sum += ndvi[column];
                counts[down * parts + across]++;
            }
        }
        sums[down * parts + across] += sum;
    }
}

static int measure_crops(struct crop *crop)
{
    const struct raster *photo = crop->photo;
    struct crop_results *found = &crop->found;
    double *ndvi = malloc(photo->width * sizeof *ndvi);
    if (ndvi == NULL) {
        fputs("crop: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    float *map = (float *)(void *)((unsigned char *)crop->map + crop->map->bands[0].offset);
    double squares = 0;
    double sums[RESULTS_GRID * RESULTS_GRID] = {0};
    uint64_t counts[RESULTS_GRID * RESULTS_GRID] = {0};
    found->min = INFINITY;
    found->max = -INFINITY;
    for (uint32_t row = 0; row < photo->height; row++) {
        measure_row(photo, row, ndvi, map);
        reduce_row(ndvi, photo->width, found, &squares);
        reduce_grid(ndvi, row, photo, sums, counts);
    }
    free(ndvi);
    raster_publish(crop->map);
    if (found->count == 0) {
        fprintf(stderr, "crop: no pixel of %s has an NDVI\n", crop->options.name);
        return EXIT_FAILURE;
    }
    found->std = sqrt(squares / (double)found->count);
    for (uint32_t i = 0; i < RESULTS_GRID * RESULTS_GRID; i++) {
        found->grid[i] = counts[i] > 0 ? sums[i] / (double)counts[i] : NAN;
    }
    return EXIT_SUCCESS;
}

/** Write this program's place of the results under the lock, then meet the others. */
static int publish(struct crop *crop)
{
    int error = dsm_mutex_lock(crop->results_region, RESULTS_MUTEX, crop->options.timeout_ms);
    if (error == DSM_EOWNERDEAD) {
        fputs("crop: another program died while it wrote its results; going on\n", stderr);
    } else if (error != 0) {
        return fail(crop, "lock the results", RASTER_RESULTS_SUFFIX, error);
    }
    machine_describe(crop->dsm, &crop->found.machine);
    crop->found.is_done = 1;
    crop->results->crop = crop->found;
    crop->results->count_programs++;
    error = dsm_mutex_unlock(crop->results_region, RESULTS_MUTEX);
    if (error != 0) {
        return fail(crop, "unlock the results", RASTER_RESULTS_SUFFIX, error);
    }
    printf("crop: mean NDVI %.6f, vigorous in %llu pixels; waiting for the others\n",
           crop->found.mean, (unsigned long long)crop->found.above);
    error = dsm_barrier_wait(crop->results_region, RESULTS_BARRIER, crop->options.count_parties,
                             crop->options.timeout_ms);
    return error == 0 ? EXIT_SUCCESS
                      : fail(crop, "meet at the barrier", RASTER_RESULTS_SUFFIX, error);
}

static int check_bands(struct crop *crop)
{
    if (raster_find(crop->photo, RASTER_RED) != NULL &&
        raster_find(crop->photo, RASTER_NIR) != NULL) {
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "crop: %s lacks a band: red and nir are needed\n", crop->options.name);
    return EXIT_FAILURE;
}

static int work(struct crop *crop)
{
    int (*const steps[])(struct crop *) = {wait_for_photo, open_photo,    open_results, check_bands,
                                           make_map,       measure_crops, publish};
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == EXIT_SUCCESS; i++) {
        status = steps[i](crop);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct crop crop = {.dsm = NULL};
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = parse_options(argc, argv, &crop.options);
    if (status >= 0) {
        return status;
    }
    if (strlen(crop.options.name) + sizeof RASTER_TURBIDITY_SUFFIX > DSM_NAME_MAX) {
        fprintf(stderr, "crop: the region's name is too long: %s\n", crop.options.name);
        return 2;
    }
    int error = dsm_connect(crop.options.socket, &crop.dsm);
    if (error != 0) {
        crop.dsm = NULL;
        return fail(&crop, "reach the agent of this node for", "", error);
    }
    status = work(&crop);
    if (crop.results_region != NULL) {
        dsm_shm_close(crop.results_region);
    }
    dsm_disconnect(crop.dsm);
    return status;
}
