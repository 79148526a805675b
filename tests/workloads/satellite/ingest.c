/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ingest: publishes a satellite photograph in shared memory.
 *
 * Reads the scene with GDAL, makes the photograph's region and the results' region, writes the
 * pixels, seals the photograph, and posts the semaphore once for each program that waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"
#include "dsm.h"
#include "dsm_seal.h"
#include "raster.h"
#include "scene.h"

#define MIRROR_MAX 64u

struct options {
    const char *socket;
    const char *name;
    const char *plan;
    const char *metadata;
    const char *title;
    uint32_t count_waiters;
    uint32_t mirror;
    struct dsm_shm_options region;
};

struct ingest {
    struct options options;
    struct dsm *dsm;
    struct scene scene;
    struct raster head; /* of the photograph, as it will be */
};

static void print_help(FILE *to)
{
    fputs("Usage: ingest [OPTION]... FILE...\n"
          "Publish a satellite photograph in shared memory: one file of many bands, or one file\n"
          "for each band, of u8 or u16, of any size.\n\n"
          "  -r, --region=NAME     the photograph's region (default /olinda)\n"
          "  -s, --socket=PATH     the agent's socket (default $DSM_SOCKET or "
          "/run/dsm/agent.sock)\n"
          "  -w, --waiters=COUNT   programs that wait for the photograph (default 4)\n"
          "  -b, --bands=LIST      what the bands are: role:label,... in their order (default\n"
          "                        Landsat's: blue:1,green:2,red:3,nir:4,swir1:5,swir2:7 of six\n"
          "                        bands; with thermal:6 before swir2 of seven)\n"
          "  -m, --metadata=FILE   the scene's Landsat MTL file, for its own gains (default the\n"
          "                        Landsat 7 ETM+ handbook's)\n"
          "  -n, --title=TEXT      of the photograph (default the first file's name)\n"
          "  -k, --mirror=COUNT    repeat the scene COUNT x COUNT times, mirrored at each seam\n"
          "  -p, --page-size=BYTES of the region (default 4096)\n"
          "  -x, --striped         spread the pages' homes over the nodes\n"
          "  -h, --help            show this\n\n"
          "Makes the regions NAME and NAME.results anew, and posts the semaphore NAME.ready.\n",
          to);
}

/** Say what failed; returns the exit status. */
static int fail(struct ingest *ingest, const char *action, const char *suffix, int error)
{
    char sentence[512] = "";
    if (ingest->dsm != NULL) {
        dsm_last_error(ingest->dsm, sentence, sizeof sentence);
    }
    fprintf(stderr, "ingest: cannot %s %s%s: %s (%s)\n", action, ingest->options.name, suffix,
            sentence[0] != '\0' ? sentence : dsm_strerror(error), dsm_error_name(error));
    return EXIT_FAILURE;
}

static bool parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < least ||
        number > most) {
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

/** Take one option; false when its value makes no sense. */
static bool take_option(struct options *options, int letter, const char *text)
{
    switch (letter) {
    case 'r':
        options->name = text;
        return strlen(text) + sizeof RASTER_TURBIDITY_SUFFIX <= DSM_NAME_MAX;
    case 's':
        options->socket = text;
        return true;
    case 'w':
        return parse_number(text, 0, 1000, &options->count_waiters);
    case 'b':
        options->plan = text;
        return true;
    case 'm':
        options->metadata = text;
        return true;
    case 'n':
        options->title = text;
        return true;
    case 'k':
        return parse_number(text, 1, MIRROR_MAX, &options->mirror);
    case 'p':
        return parse_number(text, DSM_PAGE_SIZE_MIN, DSM_PAGE_SIZE_MAX, &options->region.page_size);
    case 'x':
        options->region.home = DSM_HOME_STRIPED;
        return true;
    default:
        return false;
    }
}

/** Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"region", required_argument, NULL, 'r'},
        {"socket", required_argument, NULL, 's'},
        {"waiters", required_argument, NULL, 'w'},
        {"bands", required_argument, NULL, 'b'},
        {"metadata", required_argument, NULL, 'm'},
        {"title", required_argument, NULL, 'n'},
        {"mirror", required_argument, NULL, 'k'},
        {"page-size", required_argument, NULL, 'p'},
        {"striped", no_argument, NULL, 'x'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){.name = "/olinda", .count_waiters = 4, .mirror = 1};
    int letter;
    while ((letter = getopt_long(argc, argv, "r:s:w:b:m:n:k:p:xh", known, NULL)) != -1) {
        if (letter == 'h') {
            print_help(stdout);
            return EXIT_SUCCESS;
        }
        if (letter == '?') {
            fputs("ingest: --help shows the options\n", stderr);
            return 2;
        }
        if (!take_option(options, letter, optarg)) {
            fprintf(stderr, "ingest: -%c: '%s' makes no sense here; --help shows the options\n",
                    letter, optarg);
            return 2;
        }
    }
    if (optind == argc) {
        fputs("ingest: which file? --help shows the options\n", stderr);
        return 2;
    }
    return -1;
}

/** Write the header of the photograph that is to be, but for its magic number. */
static int plan_photo(struct ingest *ingest, const char *first_path)
{
    struct scene *scene = &ingest->scene;
    struct raster *head = &ingest->head;
    char error[SCENE_ERROR_BYTES];
    const char *slash = strrchr(first_path, '/');
    const char *title = ingest->options.title != NULL ? ingest->options.title
                        : slash != NULL               ? slash + 1
                                                      : first_path;
    head->version = RASTER_VERSION;
    head->type = scene->type;
    head->pixel_bytes = scene->pixel_bytes;
    head->width = scene->width * ingest->options.mirror;
    head->height = scene->height * ingest->options.mirror;
    head->count_bands = scene->count_bands;
    memcpy(head->geotransform, scene->geotransform, sizeof head->geotransform);
    snprintf(head->title, sizeof head->title, "%s", title);
    uint64_t band_bytes = raster_band_bytes(head);
    if (band_bytes == 0) {
        fprintf(stderr, "ingest: %u x %u pixels are too many\n", head->width, head->height);
        return EXIT_FAILURE;
    }
    head->total_bytes = (sizeof *head + RASTER_ALIGN - 1) / RASTER_ALIGN * RASTER_ALIGN;
    for (uint32_t i = 0; i < scene->count_bands; i++) {
        struct raster_band *band = &head->bands[i];
        band->role = scene->bands[i].role;
        band->number = (uint32_t)strtoul(scene->bands[i].label, NULL, 10);
        band->offset = head->total_bytes;
        head->total_bytes += band_bytes;
        if (calibration_fill(ingest->options.metadata, scene->bands[i].label, band, error) != 0) {
            fprintf(stderr, "ingest: %s\n", error);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

/** Make a region anew and map it; its handle is the caller's to close. */
static int make_region(struct ingest *ingest, const char *suffix, uint64_t size_bytes,
                       const struct dsm_shm_options *options, struct dsm_region **made,
                       void **mapped)
{
    char name[DSM_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s%s", ingest->options.name, suffix);
    struct dsm_region *region;
    int error = dsm_shm_open(ingest->dsm, name, O_CREAT | O_TRUNC | O_RDWR, 0666, options, &region);
    if (error != 0) {
        return fail(ingest, "make", suffix, error);
    }
    error = dsm_shm_truncate(region, size_bytes);
    if (error == 0) {
        error = dsm_shm_map(region, NULL, 0, size_bytes, DSM_READ | DSM_WRITE, mapped);
    }
    if (error != 0) {
        (void)fail(ingest, "size and map", suffix, error);
        dsm_shm_close(region);
        return EXIT_FAILURE;
    }
    *made = region;
    return EXIT_SUCCESS;
}

/** One row of the scene as one row of the photograph: every second copy is the other way round. */
static void write_row(unsigned char *to, const unsigned char *from, uint32_t width,
                      uint32_t pixel_bytes, uint32_t mirror)
{
    size_t row_bytes = (size_t)width * pixel_bytes;
    for (uint32_t copy = 0; copy < mirror; copy++, to += row_bytes) {
        if (copy % 2 == 0) {
            memcpy(to, from, row_bytes);
            continue;
        }
        for (uint32_t i = 0; i < width; i++) {
            memcpy(to + (size_t)i * pixel_bytes, from + (size_t)(width - 1 - i) * pixel_bytes,
                   pixel_bytes);
        }
    }
}

/** Copy one band into the photograph, some rows at a time. */
static int write_band(struct ingest *ingest, struct raster *photo, uint32_t number,
                      unsigned char *rows)
{
    struct scene *scene = &ingest->scene;
    char error[SCENE_ERROR_BYTES];
    unsigned char *band = (unsigned char *)photo + ingest->head.bands[number].offset;
    uint32_t mirror = ingest->options.mirror, step = scene_rows_at_once(scene);
    size_t from_bytes = (size_t)scene->width * scene->pixel_bytes, to_bytes = from_bytes * mirror;
    for (uint32_t first = 0; first < scene->height; first += step) {
        uint32_t count = scene->height - first < step ? scene->height - first : step;
        if (scene_read(scene, number, first, count, rows, error) != 0) {
            fprintf(stderr, "ingest: %s\n", error);
            return EXIT_FAILURE;
        }
        for (uint32_t row = first; row < first + count; row++) {
            const unsigned char *from = rows + (row - first) * from_bytes;
            for (uint32_t copy = 0; copy < mirror; copy++) {
                uint32_t at = copy % 2 == 0 ? row : scene->height - 1 - row;
                write_row(band + ((uint64_t)copy * scene->height + at) * to_bytes, from,
                          scene->width, scene->pixel_bytes, mirror);
            }
        }
    }
    return EXIT_SUCCESS;
}

/** Write the pixels, then the header, and last of all its magic number. */
static int write_photo(struct ingest *ingest, struct raster *photo)
{
    struct scene *scene = &ingest->scene;
    unsigned char *rows =
        malloc((size_t)scene_rows_at_once(scene) * scene->width * scene->pixel_bytes);
    if (rows == NULL) {
        fputs("ingest: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    int status = EXIT_SUCCESS;
    for (uint32_t i = 0; i < scene->count_bands && status == EXIT_SUCCESS; i++) {
        status = write_band(ingest, photo, i, rows);
    }
    free(rows);
    if (status == EXIT_SUCCESS) {
        *photo = ingest->head;
        raster_publish(photo);
    }
    return status;
}

/** From here on nobody can write to it, so that whoever has read a part may pass it on. */
static int seal_photo(struct ingest *ingest, struct dsm_region *region, void *mapped)
{
    int error = dsm_shm_unmap(ingest->dsm, mapped);
    if (error == 0) {
        error = dsm_shm_seal(region);
    }
    dsm_shm_close(region);
    return error == 0 ? EXIT_SUCCESS : fail(ingest, "seal", "", error);
}

static int post_waiters(struct ingest *ingest)
{
    char name[DSM_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s%s", ingest->options.name, RASTER_READY_SUFFIX);
    struct dsm_sem *ready;
    int error = dsm_sem_open(ingest->dsm, name, O_CREAT, 0666, 0, &ready);
    if (error != 0) {
        return fail(ingest, "open the semaphore", RASTER_READY_SUFFIX, error);
    }
    for (uint32_t i = 0; i < ingest->options.count_waiters && error == 0; i++) {
        error = dsm_sem_post(ready);
    }
    if (error != 0) {
        (void)fail(ingest, "post the semaphore", RASTER_READY_SUFFIX, error);
    }
    dsm_sem_close(ready);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int publish(struct ingest *ingest)
{
    const struct dsm_shm_options of_results = {.type = RESULTS_TYPE};
    struct dsm_shm_options of_photo = ingest->options.region;
    struct dsm_region *results_region = NULL, *photo_region = NULL;
    void *results_mapped = NULL, *photo_mapped = NULL;
    of_photo.type = raster_type_text(ingest->head.type);
    if (make_region(ingest, RASTER_RESULTS_SUFFIX, sizeof(struct results), &of_results,
                    &results_region, &results_mapped) != EXIT_SUCCESS ||
        make_region(ingest, "", ingest->head.total_bytes, &of_photo, &photo_region,
                    &photo_mapped) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    dsm_shm_close(results_region); /* the mapping stays */
    struct results *results = results_mapped;
    results->version = RASTER_VERSION;
    results->magic = RESULTS_MAGIC;
    if (write_photo(ingest, photo_mapped) != EXIT_SUCCESS ||
        seal_photo(ingest, photo_region, photo_mapped) != EXIT_SUCCESS ||
        post_waiters(ingest) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    printf("ingest: on %s, published %s: %s, %u x %u pixels, %u bands of u%u, %llu bytes\n",
           dsm_node_name(ingest->dsm), ingest->options.name, ingest->head.title, ingest->head.width,
           ingest->head.height, ingest->head.count_bands, ingest->head.pixel_bytes * 8,
           (unsigned long long)ingest->head.total_bytes);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct ingest ingest = {.dsm = NULL};
    char error_text[SCENE_ERROR_BYTES];
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = parse_options(argc, argv, &ingest.options);
    if (status >= 0) {
        return status;
    }
    if (scene_open(&ingest.scene, argv + optind, (uint32_t)(argc - optind), ingest.options.plan,
                   error_text) != 0) {
        fprintf(stderr, "ingest: %s\n", error_text);
        return EXIT_FAILURE;
    }
    status = plan_photo(&ingest, argv[optind]);
    if (status == EXIT_SUCCESS) {
        int error = dsm_connect(ingest.options.socket, &ingest.dsm);
        if (error != 0) {
            ingest.dsm = NULL;
            status = fail(&ingest, "reach the agent of this node for", "", error);
        } else {
            status = publish(&ingest);
            dsm_disconnect(ingest.dsm);
        }
    }
    scene_close(&ingest.scene);
    GDALDestroyDriverManager();
    return status;
}
