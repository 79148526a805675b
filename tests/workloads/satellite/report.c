/* SPDX-License-Identifier: Apache-2.0 */
/**
 * report: meets weather, crop and pollution at the barrier, compares their results with a
 * reference, prints one table, and writes the maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"
#include "maps.h"
#include "raster.h"
#include "table.h"

#define COUNT_PROGRAMS 3u

struct options {
    const char *socket;
    const char *name;
    const char *reference;
    const char *directory;
    int64_t timeout_ms;
    uint32_t count_parties;
    bool is_verbose;
};

struct report {
    struct options options;
    struct dsm *dsm;
};

static void print_help(FILE *to)
{
    fputs(
        "Usage: report [OPTION]...\n"
        "Compare what weather, crop and pollution found with a reference, and draw their maps.\n\n"
        "  -f, --reference=FILE  JSON that reference.py wrote (default reference.json)\n"
        "  -o, --out=DIRECTORY   where the maps go; it must exist (default: no maps)\n"
        "  -v, --verbose         a line for each bin of the histogram and cell of the grid\n"
        "  -r, --region=NAME     the photograph's region (default /olinda)\n"
        "  -s, --socket=PATH     the agent's socket (default $DSM_SOCKET or "
        "/run/dsm/agent.sock)\n"
        "  -p, --parties=COUNT   programs that meet at the barrier (default 4)\n"
        "  -t, --timeout=SECONDS of each wait (default 120)\n"
        "  -h, --help            show this\n\n"
        "Exit status: 0 all values match, 1 some do not or something failed, 2 wrong usage.\n",
        to);
}

/** Say what failed; returns the exit status. */
static int fail(struct report *report, const char *action, const char *suffix, int error)
{
    char sentence[512] = "";
    if (report->dsm != NULL) {
        dsm_last_error(report->dsm, sentence, sizeof sentence);
    }
    fprintf(stderr, "report: cannot %s %s%s: %s (%s)\n", action, report->options.name, suffix,
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
        fprintf(stderr, "report: '%s' is not a number from %u to %u\n", text, least, most);
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

/** Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"reference", required_argument, NULL, 'f'},
        {"out", required_argument, NULL, 'o'},
        {"verbose", no_argument, NULL, 'v'},
        {"region", required_argument, NULL, 'r'},
        {"socket", required_argument, NULL, 's'},
        {"parties", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){.name = "/olinda",
                                .reference = "reference.json",
                                .timeout_ms = 120000,
                                .count_parties = COUNT_PROGRAMS + 1};
    uint32_t seconds = 120;
    int letter;
    while ((letter = getopt_long(argc, argv, "f:o:vr:s:p:t:h", known, NULL)) != -1) {
        bool is_good = true;
        switch (letter) {
        case 'f':
            options->reference = optarg;
            break;
        case 'o':
            options->directory = optarg;
            break;
        case 'v':
            options->is_verbose = true;
            break;
        case 'r':
            options->name = optarg;
            break;
        case 's':
            options->socket = optarg;
            break;
        case 'p':
            is_good = parse_number(optarg, 1, 1000, &options->count_parties);
            break;
        case 't':
            is_good = parse_number(optarg, 1, 86400, &seconds);
            options->timeout_ms = (int64_t)seconds * 1000;
            break;
        case 'h':
            print_help(stdout);
            return EXIT_SUCCESS;
        default:
            is_good = false;
        }
        if (!is_good) {
            fputs("report: --help shows the options\n", stderr);
            return 2;
        }
    }
    if (optind < argc || strlen(options->name) + sizeof RASTER_TURBIDITY_SUFFIX > DSM_NAME_MAX) {
        fputs("report: too many words, or too long a name; --help shows the options\n", stderr);
        return 2;
    }
    return -1;
}

/** Wait until the photograph, and with it the results' region, is there. */
static int wait_for_photo(struct report *report)
{
    char name[DSM_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s%s", report->options.name, RASTER_READY_SUFFIX);
    struct dsm_sem *ready;
    int error = dsm_sem_open(report->dsm, name, O_CREAT, 0666, 0, &ready);
    if (error != 0) {
        return fail(report, "open the semaphore", RASTER_READY_SUFFIX, error);
    }
    error = dsm_sem_wait(ready, report->options.timeout_ms);
    if (error != 0) {
        (void)fail(report, "wait for the photograph", RASTER_READY_SUFFIX, error);
    }
    dsm_sem_close(ready);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/** Meet the three programs at the barrier, then copy what they found. */
static int collect(struct report *report, struct results *results)
{
    char name[DSM_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s%s", report->options.name, RASTER_RESULTS_SUFFIX);
    const struct dsm_shm_options options = {.type = RESULTS_TYPE};
    struct dsm_region *region;
    int error = dsm_shm_open(report->dsm, name, O_RDWR, 0, &options, &region);
    if (error != 0) {
        return fail(report, "open", RASTER_RESULTS_SUFFIX, error);
    }
    int status = EXIT_SUCCESS;
    error = dsm_barrier_wait(region, RESULTS_BARRIER, report->options.count_parties,
                             report->options.timeout_ms);
    if (error != 0) {
        status = fail(report, "meet the programs at the barrier of", RASTER_RESULTS_SUFFIX, error);
        goto close_region;
    }
    error = dsm_vm_read(region, 0, results, sizeof *results);
    if (error != 0) {
        status = fail(report, "read", RASTER_RESULTS_SUFFIX, error);
        goto close_region;
    }
    if (results->magic != RESULTS_MAGIC || results->version != RASTER_VERSION ||
        results->weather.is_done != 1 || results->crop.is_done != 1 ||
        results->pollution.is_done != 1 || results->count_programs != COUNT_PROGRAMS) {
        fprintf(stderr, "report: %s is not complete: %llu of %u programs have written\n", name,
                (unsigned long long)results->count_programs, COUNT_PROGRAMS);
        status = EXIT_FAILURE;
    }
    machine_terminate(&results->weather.machine);
    machine_terminate(&results->crop.machine);
    machine_terminate(&results->pollution.machine);
close_region:
    dsm_shm_close(region);
    return status;
}

/** Map one raster to read it. */
static int map_raster(struct report *report, const char *suffix, const struct raster **raster)
{
    char name[DSM_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s%s", report->options.name, suffix);
    struct dsm_region *region;
    struct dsm_shm_stat stat;
    int error = dsm_shm_open(report->dsm, name, O_RDONLY, 0, NULL, &region);
    if (error != 0) {
        return fail(report, "open", suffix, error);
    }
    void *mapped = NULL;
    error = dsm_shm_stat(region, &stat);
    if (error == 0) {
        error = dsm_shm_map(region, NULL, 0, stat.size_bytes, DSM_READ, &mapped);
    }
    if (error != 0) {
        (void)fail(report, "map", suffix, error);
    }
    dsm_shm_close(region);
    if (error != 0) {
        return EXIT_FAILURE;
    }
    *raster = mapped;
    const char *wrong = raster_check(*raster, stat.size_bytes);
    if (wrong != NULL) {
        fprintf(stderr, "report: %s: %s\n", name, wrong);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/** The rasters must be of one size, and of the types that the maps are drawn from. */
static bool is_drawable(const struct maps *maps)
{
    const struct raster *photo = maps->photo;
    const struct raster *drawn[] = {maps->ndvi, maps->cloud, maps->turbidity};
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        if (drawn[i]->width != photo->width || drawn[i]->height != photo->height) {
            return false;
        }
    }
    return photo->type != RASTER_F32 && raster_find(photo, RASTER_RED) != NULL &&
           raster_find(photo, RASTER_GREEN) != NULL && raster_find(photo, RASTER_BLUE) != NULL;
}

static int draw(struct report *report, const struct results *results)
{
    struct maps maps = {.results = results};
    if (map_raster(report, "", &maps.photo) != EXIT_SUCCESS ||
        map_raster(report, RASTER_NDVI_SUFFIX, &maps.ndvi) != EXIT_SUCCESS ||
        map_raster(report, RASTER_CLOUD_SUFFIX, &maps.cloud) != EXIT_SUCCESS ||
        map_raster(report, RASTER_TURBIDITY_SUFFIX, &maps.turbidity) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    if (!is_drawable(&maps)) {
        fprintf(stderr, "report: the maps of %s are not of its size\n", report->options.name);
        return EXIT_FAILURE;
    }
    return maps_write(&maps, report->options.directory) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int work(struct report *report)
{
    struct results results;
    uint32_t compared = 0, differing = 0;
    if (wait_for_photo(report) != EXIT_SUCCESS || collect(report, &results) != EXIT_SUCCESS ||
        table_print(&results, report->options.reference, report->options.is_verbose, &compared,
                    &differing) != 0) {
        return EXIT_FAILURE;
    }
    printf("report: %u of %u values match\n", compared - differing, compared);
    if (report->options.directory != NULL && draw(report, &results) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    return differing == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct report report = {.dsm = NULL};
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = parse_options(argc, argv, &report.options);
    if (status >= 0) {
        return status;
    }
    int error = dsm_connect(report.options.socket, &report.dsm);
    if (error != 0) {
        report.dsm = NULL;
        return fail(&report, "reach the agent of this node for", "", error);
    }
    status = work(&report);
    dsm_disconnect(report.dsm);
    return status;
}
