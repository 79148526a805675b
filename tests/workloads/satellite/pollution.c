/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pollution: finds the water of a shared photograph, how turbid it is, and the haze in the air.
 *
 * Water by NDWI (McFeeters 1996), turbidity by NDTI on water (Lacaux 2007), haze by HOT (Zhu &
 * Woodcock 2012), and the dark object: the 5 x 5 minimum of blue, whose rows and columns are taken
 * one after the other, since the minimum of a square is the minimum of its rows' minima. The
 * results leave by dsm_vm_write() and dsm_fetch_add(): this program does not map them.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"
#include "raster.h"

#define TURBID (-0.2) /* NDTI */
#define DARK_RADIUS 2 /* pixels on each side: a window of 5 x 5 */
#define DARK_WINDOW (2 * DARK_RADIUS + 1)

struct options {
    const char *socket;
    const char *name;
    void *address;
    int64_t timeout_ms;
    uint32_t count_parties;
};

struct pollution {
    struct options options;
    struct dsm *dsm;
    const struct raster *photo;
    struct raster *map; /* turbidity, made by this program */
    struct dsm_region *results_region;
    struct pollution_results found;
};

static void print_help(void)
{
    puts("Usage: pollution [OPTION]...\n"
         "Find the water of a photograph in shared memory, how turbid it is, and the haze over "
         "it.\n\n"
         "  -r, --region=NAME     the photograph's region (default /olinda)\n"
         "  -s, --socket=PATH     the agent's socket (default as DSM_SOCKET says)\n"
         "  -a, --address=HEX     map the photograph here (default: anywhere)\n"
         "  -p, --parties=COUNT   programs that meet at the barrier (default 4)\n"
         "  -t, --timeout=SECONDS of each wait (default 120)\n"
         "  -h, --help            show this\n\n"
         "Waits on the semaphore NAME.ready, writes its values into NAME.results under the\n"
         "lock and its map into NAME.turbidity, and ends at the barrier.");
}

/** Say what failed; returns the exit status. */
static int fail(struct pollution *pollution, const char *action, const char *suffix, int error)
{
    char sentence[512] = "";
    if (pollution->dsm != NULL) {
        dsm_last_error(pollution->dsm, sentence, sizeof sentence);
    }
    fprintf(stderr, "pollution: cannot %s %s%s: %s (%s)\n", action, pollution->options.name, suffix,
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
            fputs("pollution: --help shows the options\n", stderr);
            return 2;
        }
        if (!is_good) {
            fprintf(stderr, "pollution: -%c: '%s' is not a number that makes sense here\n", letter,
                    optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "pollution: '%s' is not wanted; --help shows the options\n", argv[optind]);
        return 2;
    }
    return -1;
}

/** The photograph's name with a suffix. */
static const char *name_with(const struct pollution *pollution, const char *suffix, char *to)
{
    snprintf(to, DSM_NAME_MAX + 1, "%s%s", pollution->options.name, suffix);
    return to;
}

/** Wait until the photograph is there. */
static int wait_for_photo(struct pollution *pollution)
{
    char name[DSM_NAME_MAX + 1];
    struct dsm_sem *ready;
    int error = dsm_sem_open(pollution->dsm, name_with(pollution, RASTER_READY_SUFFIX, name),
                             O_CREAT, 0666, 0, &ready);
    if (error != 0) {
        return fail(pollution, "open the semaphore", RASTER_READY_SUFFIX, error);
    }
    printf("pollution: on %s, waiting for %s\n", dsm_node_name(pollution->dsm),
           pollution->options.name);
    error = dsm_sem_wait(ready, pollution->options.timeout_ms);
    if (error != 0) {
        (void)fail(pollution, "wait for the photograph", RASTER_READY_SUFFIX, error);
    }
    dsm_sem_close(ready);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int open_photo(struct pollution *pollution)
{
    struct dsm_region *region;
    struct dsm_shm_stat stat;
    int error = dsm_shm_open(pollution->dsm, pollution->options.name, O_RDONLY, 0, NULL, &region);
    if (error != 0) {
        return fail(pollution, "open", "", error);
    }
    void *mapped = NULL;
    error = dsm_shm_stat(region, &stat);
    if (error == 0) {
        error =
            dsm_shm_map(region, pollution->options.address, 0, stat.size_bytes, DSM_READ, &mapped);
    }
    if (error != 0) {
        (void)fail(pollution, "map", "", error);
    }
    dsm_shm_close(region);
    if (error != 0) {
        return EXIT_FAILURE;
    }
    pollution->photo = mapped;
    const char *wrong = raster_check(pollution->photo, stat.size_bytes);
    if (wrong != NULL) {
        fprintf(stderr, "pollution: %s: %s\n", pollution->options.name, wrong);
        return EXIT_FAILURE;
    }
    printf("pollution: %s is at %p: %s, %u x %u, %u bands\n", pollution->options.name, mapped,
           pollution->photo->title, pollution->photo->width, pollution->photo->height,
           pollution->photo->count_bands);
    return EXIT_SUCCESS;
}

static int open_results(struct pollution *pollution)
{
    char name[DSM_NAME_MAX + 1];
    const struct dsm_shm_options options = {.type = RESULTS_TYPE};
    struct results head;
    int error = dsm_shm_open(pollution->dsm, name_with(pollution, RASTER_RESULTS_SUFFIX, name),
                             O_RDWR, 0, &options, &pollution->results_region);
    if (error == 0) {
        error = dsm_vm_read(pollution->results_region, 0, &head, sizeof head);
    }
    if (error != 0) {
        return fail(pollution, "read the results", RASTER_RESULTS_SUFFIX, error);
    }
    if (head.magic != RESULTS_MAGIC || head.version != RASTER_VERSION) {
        fprintf(stderr, "pollution: %s holds no results of this version\n", name);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/** Make the region of the map, a raster of one band. */
static int make_map(struct pollution *pollution)
{
    char name[DSM_NAME_MAX + 1];
    const struct raster *photo = pollution->photo;
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
    snprintf(head.title, sizeof head.title, "turbidity NDTI on water");

    const struct dsm_shm_options options = {.type = raster_type_text(head.type)};
    struct dsm_region *region;
    void *mapped = NULL;
    int error = dsm_shm_open(pollution->dsm, name_with(pollution, RASTER_TURBIDITY_SUFFIX, name),
                             O_CREAT | O_TRUNC | O_RDWR, 0644, &options, &region);
    if (error != 0) {
        return fail(pollution, "make", RASTER_TURBIDITY_SUFFIX, error);
    }
    error = dsm_shm_truncate(region, head.total_bytes);
    if (error == 0) {
        error = dsm_shm_map(region, NULL, 0, head.total_bytes, DSM_READ | DSM_WRITE, &mapped);
    }
    if (error != 0) {
        (void)fail(pollution, "size and map", RASTER_TURBIDITY_SUFFIX, error);
        dsm_shm_close(region);
        return EXIT_FAILURE;
    }
    dsm_shm_close(region);
    pollution->map = mapped;
    *pollution->map = head;
    return EXIT_SUCCESS;
}

/** (a-b)/(a+b), or NaN, which every comparison refuses. */
static double normalized_difference(double a, double b)
{
    return a + b > 0 ? (a - b) / (a + b) : NAN;
}

/** Water, turbidity and haze of one row; adds to the sums. */
static void measure_row(struct pollution *pollution, uint32_t row, double *turbidity_sum,
                        double *haze_sum)
{
    const struct raster *photo = pollution->photo;
    const struct raster_band *blue = raster_find(photo, RASTER_BLUE);
    const struct raster_band *green = raster_find(photo, RASTER_GREEN);
    const struct raster_band *red = raster_find(photo, RASTER_RED);
    const struct raster_band *near_infrared = raster_find(photo, RASTER_NIR);
    struct pollution_results *found = &pollution->found;
    struct raster *raster = pollution->map;
    float *map = (float *)(void *)((unsigned char *)raster + raster->bands[0].offset);
    double turbidity = 0, haze = 0;
    for (uint32_t column = 0; column < photo->width; column++) {
        uint64_t index = (uint64_t)row * photo->width + column;
        double g = raster_reflectance(photo, green, index);
        double r = raster_reflectance(photo, red, index);
        haze += raster_reflectance(photo, blue, index) - 0.5 * r - 0.08;
        map[index] = NAN;
        if (normalized_difference(g, raster_reflectance(photo, near_infrared, index)) > 0) {
            double ndti = normalized_difference(r, g);
            map[index] = (float)ndti;
            found->water++;
            if (!isnan(ndti)) {
                turbidity += ndti;
                found->turbidity_max = fmax(found->turbidity_max, ndti);
                found->turbid += ndti > TURBID;
            }
        }
    }
    *turbidity_sum += turbidity;
    *haze_sum += haze;
}

/** The nearest row or column that exists: edges are repeated. */
static uint32_t clamp(int64_t position, uint32_t count)
{
    return position < 0 ? 0 : position >= count ? count - 1 : (uint32_t)position;
}

/** For each pixel of a row the minimum of blue over five columns. */
static void narrow_row(const struct raster *photo, uint32_t row, double *minima)
{
    const struct raster_band *blue = raster_find(photo, RASTER_BLUE);
    for (uint32_t column = 0; column < photo->width; column++) {
        double least = INFINITY;
        for (int64_t at = (int64_t)column - DARK_RADIUS; at <= (int64_t)column + DARK_RADIUS;
             at++) {
            uint64_t index = (uint64_t)row * photo->width + clamp(at, photo->width);
            least = fmin(least, raster_reflectance(photo, blue, index));
        }
        minima[column] = least;
    }
}

/** The dark object: five rows of minima turn round in `lines` while the window moves south. */
static void find_dark_object(struct pollution *pollution, double *lines)
{
    const struct raster *photo = pollution->photo;
    uint32_t known = 0; /* rows whose minima are, or were, in lines */
    double sum = 0;
    pollution->found.dark_max = -INFINITY;
    for (uint32_t row = 0; row < photo->height; row++) {
        while (known < photo->height && known <= row + DARK_RADIUS) {
            narrow_row(photo, known, lines + (uint64_t)(known % DARK_WINDOW) * photo->width);
            known++;
        }
        double row_sum = 0;
        for (uint32_t column = 0; column < photo->width; column++) {
            double least = INFINITY;
            for (int64_t at = (int64_t)row - DARK_RADIUS; at <= (int64_t)row + DARK_RADIUS; at++) {
                uint64_t line = clamp(at, photo->height) % DARK_WINDOW;
                least = fmin(least, lines[line * photo->width + column]);
            }
            row_sum += least;
            pollution->found.dark_max = fmax(pollution->found.dark_max, least);
        }
        sum += row_sum;
    }
    pollution->found.dark_mean = sum / ((double)photo->width * photo->height);
}

static int measure_scene(struct pollution *pollution)
{
    const struct raster *photo = pollution->photo;
    struct pollution_results *found = &pollution->found;
    double *lines = malloc((size_t)DARK_WINDOW * photo->width * sizeof *lines);
    if (lines == NULL) {
        fputs("pollution: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    double turbidity_sum = 0, haze_sum = 0;
    found->turbidity_max = -INFINITY;
    for (uint32_t row = 0; row < photo->height; row++) {
        measure_row(pollution, row, &turbidity_sum, &haze_sum);
    }
    raster_publish(pollution->map);
    find_dark_object(pollution, lines);
    free(lines);
    double pixels = (double)photo->width * photo->height;
    found->haze_mean = haze_sum / pixels;
    found->water_percent = 100.0 * (double)found->water / pixels;
    if (found->water > 0) {
        found->turbidity_mean = turbidity_sum / (double)found->water;
    } else {
        found->turbidity_mean = NAN;
        found->turbidity_max = NAN;
    }
    return EXIT_SUCCESS;
}

/** Write this program's place of the results; the caller holds the lock. */
static int write_results(struct pollution *pollution)
{
    struct pollution_results *found = &pollution->found;
    machine_describe(pollution->dsm, &found->machine);
    found->is_done = 1;
    int error = dsm_vm_write(pollution->results_region, offsetof(struct results, pollution), found,
                             sizeof *found);
    if (error == 0) {
        error = dsm_fetch_add(pollution->results_region, offsetof(struct results, count_programs),
                              1, NULL);
    }
    return error == 0 ? EXIT_SUCCESS
                      : fail(pollution, "write the results", RASTER_RESULTS_SUFFIX, error);
}

/** Write the results under the lock, then meet the others. */
static int publish(struct pollution *pollution)
{
    struct dsm_region *results = pollution->results_region;
    int error = dsm_mutex_lock(results, RESULTS_MUTEX, pollution->options.timeout_ms);
    if (error == DSM_EOWNERDEAD) {
        fputs("pollution: another program died while it wrote its results; going on\n", stderr);
    } else if (error != 0) {
        return fail(pollution, "lock the results", RASTER_RESULTS_SUFFIX, error);
    }
    int status = write_results(pollution);
    error = dsm_mutex_unlock(results, RESULTS_MUTEX);
    if (error != 0) {
        return fail(pollution, "unlock the results", RASTER_RESULTS_SUFFIX, error);
    }
    if (status != EXIT_SUCCESS) {
        return status;
    }
    printf("pollution: %llu pixels are water, mean turbidity %.6f; waiting for the others\n",
           (unsigned long long)pollution->found.water, pollution->found.turbidity_mean);
    error = dsm_barrier_wait(results, RESULTS_BARRIER, pollution->options.count_parties,
                             pollution->options.timeout_ms);
    return error == 0 ? EXIT_SUCCESS
                      : fail(pollution, "meet at the barrier", RASTER_RESULTS_SUFFIX, error);
}

static int check_bands(struct pollution *pollution)
{
    static const uint32_t needed[] = {RASTER_BLUE, RASTER_GREEN, RASTER_RED, RASTER_NIR};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (raster_find(pollution->photo, needed[i]) == NULL) {
            fprintf(stderr, "pollution: %s lacks blue, green, red or nir\n",
                    pollution->options.name);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

static int work(struct pollution *pollution)
{
    int (*const steps[])(struct pollution *) = {
        wait_for_photo, open_photo, open_results, check_bands, make_map, measure_scene, publish};
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == EXIT_SUCCESS; i++) {
        status = steps[i](pollution);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct pollution pollution = {.dsm = NULL};
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = parse_options(argc, argv, &pollution.options);
    if (status >= 0) {
        return status;
    }
    if (strlen(pollution.options.name) + sizeof RASTER_TURBIDITY_SUFFIX > DSM_NAME_MAX) {
        fprintf(stderr, "pollution: the region's name is too long: %s\n", pollution.options.name);
        return 2;
    }
    int error = dsm_connect(pollution.options.socket, &pollution.dsm);
    if (error != 0) {
        pollution.dsm = NULL;
        return fail(&pollution, "reach the agent of this node for", "", error);
    }
    status = work(&pollution);
    if (pollution.results_region != NULL) {
        dsm_shm_close(pollution.results_region);
    }
    dsm_disconnect(pollution.dsm);
    return status;
}
