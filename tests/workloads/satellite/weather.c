/* SPDX-License-Identifier: Apache-2.0 */
/**
 * weather: finds the clouds of a shared photograph.
 *
 * Cloud candidates by reflectance, NDVI and NDSI (Zhu & Woodcock 2012, simplified: no thermal
 * test), then a 3 x 3 majority: a stencil, whose halo comes from the neighbouring rows. Only three
 * rows of candidates exist at a time. Where the scene has a thermal band, its brightness
 * temperature too.
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

#define BRIGHT_MIN 0.15
#define NDVI_MAX 0.3
#define NDSI_MIN (-0.25)
#define NDSI_MAX 0.7
#define MAJORITY 5 /* of the nine pixels of the window */

struct options {
    const char *socket;
    const char *name;
    void *address;
    int64_t timeout_ms;
    uint32_t count_parties;
};

struct weather {
    struct options options;
    struct dsm *dsm;
    const struct raster *photo;
    struct raster *cloud; /* the map that this program makes */
    struct dsm_region *results_region;
    struct results *results;
    struct weather_results found;
};

static void print_help(void)
{
    puts("Usage: weather [OPTION]...\n"
         "Find the clouds of a photograph in shared memory.\n\n"
         "  -r, --region=NAME     the photograph's region (default /olinda)\n"
         "  -s, --socket=PATH     the agent's socket (default as DSM_SOCKET says)\n"
         "  -a, --address=HEX     map the photograph here (default: anywhere)\n"
         "  -p, --parties=COUNT   programs that meet at the barrier (default 4)\n"
         "  -t, --timeout=SECONDS of each wait (default 120)\n"
         "  -h, --help            show this\n\n"
         "Waits on the semaphore NAME.ready, writes its values into NAME.results under the\n"
         "lock and its map into NAME.cloud, and ends at the barrier.");
}

/** Say what failed; returns the exit status. */
static int fail(struct weather *weather, const char *action, const char *suffix, int error)
{
    char sentence[512] = "";
    if (weather->dsm != NULL) {
        dsm_last_error(weather->dsm, sentence, sizeof sentence);
    }
    fprintf(stderr, "weather: cannot %s %s%s: %s (%s)\n", action, weather->options.name, suffix,
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
            fputs("weather: --help shows the options\n", stderr);
            return 2;
        }
        if (!is_good) {
            fprintf(stderr, "weather: -%c: '%s' is not a number that makes sense here\n", letter,
                    optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "weather: '%s' is not wanted; --help shows the options\n", argv[optind]);
        return 2;
    }
    return -1;
}

/** The photograph's name with a suffix. */
static const char *name_with(const struct weather *weather, const char *suffix, char *to)
{
    snprintf(to, DSM_NAME_MAX + 1, "%s%s", weather->options.name, suffix);
    return to;
}

/** Wait until the photograph is there. */
static int wait_for_photo(struct weather *weather)
{
    char name[DSM_NAME_MAX + 1];
    struct dsm_sem *ready;
    int error = dsm_sem_open(weather->dsm, name_with(weather, RASTER_READY_SUFFIX, name), O_CREAT,
                             0666, 0, &ready);
    if (error != 0) {
        return fail(weather, "open the semaphore", RASTER_READY_SUFFIX, error);
    }
    printf("weather: on %s, waiting for %s\n", dsm_node_name(weather->dsm), weather->options.name);
    error = dsm_sem_wait(ready, weather->options.timeout_ms);
    if (error != 0) {
        (void)fail(weather, "wait for the photograph", RASTER_READY_SUFFIX, error);
    }
    dsm_sem_close(ready);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int open_photo(struct weather *weather)
{
    struct dsm_region *region;
    struct dsm_shm_stat stat;
    int error = dsm_shm_open(weather->dsm, weather->options.name, O_RDONLY, 0, NULL, &region);
    if (error != 0) {
        return fail(weather, "open", "", error);
    }
    void *mapped = NULL;
    error = dsm_shm_stat(region, &stat);
    if (error == 0) {
        error =
            dsm_shm_map(region, weather->options.address, 0, stat.size_bytes, DSM_READ, &mapped);
    }
    if (error != 0) {
        (void)fail(weather, "map", "", error);
    }
    dsm_shm_close(region);
    if (error != 0) {
        return EXIT_FAILURE;
    }
    weather->photo = mapped;
    const char *wrong = raster_check(weather->photo, stat.size_bytes);
    if (wrong != NULL) {
        fprintf(stderr, "weather: %s: %s\n", weather->options.name, wrong);
        return EXIT_FAILURE;
    }
    printf("weather: %s is at %p: %s, %u x %u, %u bands\n", weather->options.name, mapped,
           weather->photo->title, weather->photo->width, weather->photo->height,
           weather->photo->count_bands);
    return EXIT_SUCCESS;
}

static int open_results(struct weather *weather)
{
    char name[DSM_NAME_MAX + 1];
    const struct dsm_shm_options options = {.type = RESULTS_TYPE};
    void *mapped = NULL;
    int error = dsm_shm_open(weather->dsm, name_with(weather, RASTER_RESULTS_SUFFIX, name), O_RDWR,
                             0, &options, &weather->results_region);
    if (error == 0) {
        error = dsm_shm_map(weather->results_region, NULL, 0, sizeof(struct results),
                            DSM_READ | DSM_WRITE, &mapped);
    }
    if (error != 0) {
        return fail(weather, "map the results", RASTER_RESULTS_SUFFIX, error);
    }
    weather->results = mapped;
    if (weather->results->magic != RESULTS_MAGIC || weather->results->version != RASTER_VERSION) {
        fprintf(stderr, "weather: %s holds no results of this version\n", name);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/** Make the region of the cloud map, a raster of one band. */
static int make_map(struct weather *weather)
{
    char name[DSM_NAME_MAX + 1];
    const struct raster *photo = weather->photo;
    struct raster head = {.version = RASTER_VERSION,
                          .type = RASTER_U8,
                          .width = photo->width,
                          .height = photo->height,
                          .count_bands = 1,
                          .pixel_bytes = 1};
    uint64_t start = (sizeof head + RASTER_ALIGN - 1) / RASTER_ALIGN * RASTER_ALIGN;
    head.total_bytes = start + raster_band_bytes(&head);
    head.bands[0] = (struct raster_band){.role = RASTER_OTHER, .offset = start};
    memcpy(head.geotransform, photo->geotransform, sizeof head.geotransform);
    snprintf(head.title, sizeof head.title, "cloud mask");

    const struct dsm_shm_options options = {.type = raster_type_text(head.type)};
    struct dsm_region *region;
    void *mapped = NULL;
    int error = dsm_shm_open(weather->dsm, name_with(weather, RASTER_CLOUD_SUFFIX, name),
                             O_CREAT | O_TRUNC | O_RDWR, 0644, &options, &region);
    if (error != 0) {
        return fail(weather, "make", RASTER_CLOUD_SUFFIX, error);
    }
    error = dsm_shm_truncate(region, head.total_bytes);
    if (error == 0) {
        error = dsm_shm_map(region, NULL, 0, head.total_bytes, DSM_READ | DSM_WRITE, &mapped);
    }
    if (error != 0) {
        (void)fail(weather, "size and map", RASTER_CLOUD_SUFFIX, error);
        dsm_shm_close(region);
        return EXIT_FAILURE;
    }
    dsm_shm_close(region);
    weather->cloud = mapped;
    *weather->cloud = head;
    return EXIT_SUCCESS;
}

/** (a-b)/(a+b), or NaN, which every comparison refuses. */
static double normalized_difference(double a, double b)
{
    return a + b > 0 ? (a - b) / (a + b) : NAN;
}

/** One row of cloud candidates, with a column of zeros on each side; adds to the sums. */
static void find_candidates(const struct raster *photo, uint32_t row, unsigned char *candidates,
                            double *brightness_sum, uint64_t *count)
{
    const struct raster_band *blue = raster_find(photo, RASTER_BLUE);
    const struct raster_band *green = raster_find(photo, RASTER_GREEN);
    const struct raster_band *red = raster_find(photo, RASTER_RED);
    const struct raster_band *near_infrared = raster_find(photo, RASTER_NIR);
    const struct raster_band *shortwave = raster_find(photo, RASTER_SWIR1);
    double sum = 0;
    memset(candidates, 0, (size_t)photo->width + 2);
    for (uint32_t column = 0; column < photo->width; column++) {
        uint64_t index = (uint64_t)row * photo->width + column;
        double g = raster_reflectance(photo, green, index);
        double r = raster_reflectance(photo, red, index);
        double brightness = (raster_reflectance(photo, blue, index) + g + r) / 3;
        double ndvi = normalized_difference(raster_reflectance(photo, near_infrared, index), r);
        double ndsi = normalized_difference(g, raster_reflectance(photo, shortwave, index));
        bool is_candidate =
            brightness > BRIGHT_MIN && ndvi < NDVI_MAX && ndsi > NDSI_MIN && ndsi < NDSI_MAX;
        candidates[column + 1] = is_candidate;
        *count += is_candidate;
        sum += brightness;
    }
    *brightness_sum += sum;
}

/** One row of the cloud map from the candidates above, at and below it. */
static uint64_t vote_row(unsigned char *const window[3], unsigned char *cloud, uint32_t width)
{
    uint64_t count = 0;
    for (uint32_t column = 0; column < width; column++) {
        unsigned votes = 0;
        for (int line = 0; line < 3; line++) {
            const unsigned char *at = window[line] + column;
            votes += (unsigned)at[0] + at[1] + at[2];
        }
        cloud[column] = votes >= MAJORITY;
        count += cloud[column];
    }
    return count;
}

/** The whole scene: row r is voted on as soon as row r + 1 is known. */
static int find_clouds(struct weather *weather)
{
    const struct raster *photo = weather->photo;
    struct weather_results *found = &weather->found;
    size_t line_bytes = (size_t)photo->width + 2;
    unsigned char *lines = calloc(4, line_bytes); /* three to turn round in, one of zeros */
    if (lines == NULL) {
        fputs("weather: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    unsigned char *zeros = lines + 3 * line_bytes;
    unsigned char *map = (unsigned char *)weather->cloud + weather->cloud->bands[0].offset;
    double sum = 0;
    for (uint32_t row = 0; row <= photo->height; row++) {
        if (row < photo->height) {
            find_candidates(photo, row, lines + row % 3 * line_bytes, &sum, &found->candidates);
        }
        if (row > 0) {
            unsigned char *const window[3] = {
                row > 1 ? lines + (row - 2) % 3 * line_bytes : zeros,
                lines + (row - 1) % 3 * line_bytes,
                row < photo->height ? lines + row % 3 * line_bytes : zeros,
            };
            found->cloud +=
                vote_row(window, map + (uint64_t)(row - 1) * photo->width, photo->width);
        }
    }
    free(lines);
    raster_publish(weather->cloud);
    double pixels = (double)photo->width * photo->height;
    found->brightness_mean = sum / pixels;
    found->cloud_percent = 100.0 * (double)found->cloud / pixels;
    return EXIT_SUCCESS;
}

static int find_temperature(struct weather *weather)
{
    const struct raster *photo = weather->photo;
    const struct raster_band *band = raster_find(photo, RASTER_THERMAL);
    struct weather_results *found = &weather->found;
    if (band == NULL || band->k1 <= 0) {
        return EXIT_SUCCESS;
    }
    double sum = 0, min = INFINITY, max = -INFINITY;
    for (uint32_t row = 0; row < photo->height; row++) {
        double row_sum = 0;
        for (uint32_t column = 0; column < photo->width; column++) {
            double dn = raster_number(photo, band, (uint64_t)row * photo->width + column);
            double radiance = band->radiance_gain * dn + band->radiance_bias;
            double kelvin = band->k2 / log(band->k1 / radiance + 1);
            row_sum += kelvin;
            min = fmin(min, kelvin);
            max = fmax(max, kelvin);
        }
        sum += row_sum;
    }
    found->has_thermal = 1;
    found->kelvin_mean = sum / ((double)photo->width * photo->height);
    found->kelvin_min = min;
    found->kelvin_max = max;
    return EXIT_SUCCESS;
}

/** Write this program's place of the results under the lock, then meet the others. */
static int publish(struct weather *weather)
{
    int error = dsm_mutex_lock(weather->results_region, RESULTS_MUTEX, weather->options.timeout_ms);
    if (error == DSM_EOWNERDEAD) {
        fputs("weather: another program died while it wrote its results; going on\n", stderr);
    } else if (error != 0) {
        return fail(weather, "lock the results", RASTER_RESULTS_SUFFIX, error);
    }
    machine_describe(weather->dsm, &weather->found.machine);
    weather->found.is_done = 1;
    weather->results->weather = weather->found;
    weather->results->count_programs++;
    error = dsm_mutex_unlock(weather->results_region, RESULTS_MUTEX);
    if (error != 0) {
        return fail(weather, "unlock the results", RASTER_RESULTS_SUFFIX, error);
    }
    printf("weather: %llu pixels are cloud (%.4f %%); waiting for the others\n",
           (unsigned long long)weather->found.cloud, weather->found.cloud_percent);
    error = dsm_barrier_wait(weather->results_region, RESULTS_BARRIER,
                             weather->options.count_parties, weather->options.timeout_ms);
    return error == 0 ? EXIT_SUCCESS
                      : fail(weather, "meet at the barrier", RASTER_RESULTS_SUFFIX, error);
}

static int check_bands(struct weather *weather)
{
    static const uint32_t needed[] = {RASTER_BLUE, RASTER_GREEN, RASTER_RED, RASTER_NIR,
                                      RASTER_SWIR1};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (raster_find(weather->photo, needed[i]) == NULL) {
            fprintf(stderr, "weather: %s lacks blue, green, red, nir or swir1\n",
                    weather->options.name);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

static int work(struct weather *weather)
{
    int (*const steps[])(struct weather *) = {wait_for_photo,   open_photo, open_results,
                                              check_bands,      make_map,   find_clouds,
                                              find_temperature, publish};
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == EXIT_SUCCESS; i++) {
        status = steps[i](weather);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct weather weather = {.dsm = NULL};
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = parse_options(argc, argv, &weather.options);
    if (status >= 0) {
        return status;
    }
    if (strlen(weather.options.name) + sizeof RASTER_TURBIDITY_SUFFIX > DSM_NAME_MAX) {
        fprintf(stderr, "weather: the region's name is too long: %s\n", weather.options.name);
        return 2;
    }
    int error = dsm_connect(weather.options.socket, &weather.dsm);
    if (error != 0) {
        weather.dsm = NULL;
        return fail(&weather, "reach the agent of this node for", "", error);
    }
    status = work(&weather);
    if (weather.results_region != NULL) {
        dsm_shm_close(weather.results_region);
    }
    dsm_disconnect(weather.dsm);
    return status;
}
