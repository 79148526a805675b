/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsm-scale: what the protocol costs with more and more nodes, counted in the real core and held
 * against its formula on paper. It counts and never times, so it prints the same everywhere; it
 * exits with 1 when a count is not what its formula says.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/scale_rows.h"

#define SIZES_MAX 16
/** Up to here each node is told of each other one: n * n records of the catalog fit anywhere. */
#define TELL_ALL_MAX 64u

enum format { FORMAT_TEXT, FORMAT_MARKDOWN, FORMAT_JSON };

struct options {
    enum format format;
    uint32_t sizes[SIZES_MAX];
    uint32_t count_sizes;
};

struct table {
    const struct options *options;
    uint64_t *counts; /* row by row, UINT64_MAX: not counted */
    uint64_t *bytes;
    bool is_wrong;
};

static _Noreturn void usage(const char *name, int status)
{
    fprintf(status == 0 ? stdout : stderr,
            "usage: %s [--markdown | --json] [--sizes N,N...]\n"
            "Count what the protocol costs with N nodes (1, or 4 to %u), and check the formulas.\n",
            name, (unsigned)NODES_MAX);
    exit(status);
}

static bool parse_sizes(const char *text, struct options *options)
{
    options->count_sizes = 0;
    while (*text != 0) {
        char *end;
        unsigned long size = strtoul(text, &end, 10);

        if (end == text || (*end != 0 && *end != ',') || size > NODES_MAX ||
            (size != 1 && size < 4) || options->count_sizes == SIZES_MAX) {
            return false;
        }
        options->sizes[options->count_sizes++] = (uint32_t)size;
        text = *end == ',' ? end + 1 : end;
    }
    return options->count_sizes > 0;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"markdown", no_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"sizes", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.sizes = {1, 8, 64, 512}, .count_sizes = NODES_MAX < 512 ? 3 : 4};
    int letter;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 'm' || letter == 'j') {
            options.format = letter == 'm' ? FORMAT_MARKDOWN : FORMAT_JSON;
        } else if (letter == 'h') {
            usage(argv[0], 0);
        } else if (letter != 's' || !parse_sizes(optarg, &options)) {
            usage(argv[0], 2);
        }
    }
    if (optind != argc) {
        usage(argv[0], 2);
    }
    return options;
}

static void check(struct table *table, const char *name, uint64_t n, uint64_t counted,
                  uint64_t expected)
{
    if (counted != expected) {
        fprintf(stderr,
                "scale: %s, n = %" PRIu64 ": counted %" PRIu64 ", the formula says %" PRIu64 "\n",
                name, n, counted, expected);
        table->is_wrong = true;
    }
}

static void count_all(struct table *table)
{
    const struct options *options = table->options;

    for (uint32_t i = 0; i < options->count_sizes; i++) {
        uint32_t n = options->sizes[i];
        struct scale *scale = scale_new(n, n <= TELL_ALL_MAX);

        for (size_t row = 0; row < scale_rows_count; row++) {
            uint64_t *count = &table->counts[row * options->count_sizes + i];

            *count = UINT64_MAX;
            if (!scale_rows[row].all_must_be_told || scale->all_are_told) {
                *count = scale_rows[row].count(scale);
                check(table, scale_rows[row].name, n, *count, scale_rows[row].expect(n));
            }
        }
        scale_free(scale);
    }
    for (size_t row = 0; row < scale_sizes_count; row++) {
        table->bytes[row] = scale_sizes[row].count();
        if (scale_sizes[row].expect != NULL) {
            check(table, scale_sizes[row].name, NODES_MAX, table->bytes[row],
                  scale_sizes[row].expect());
        }
    }
}

static void print_count(const struct table *table, size_t row, uint32_t i, const char *none)
{
    uint64_t count = table->counts[row * table->options->count_sizes + i];

    if (count == UINT64_MAX) {
        printf("%s", none);
    } else {
        printf("%" PRIu64, count);
    }
}

static void print_markdown(const struct table *table)
{
    const struct options *options = table->options;

    printf("| counted | formula |");
    for (uint32_t i = 0; i < options->count_sizes; i++) {
        printf(" n = %" PRIu32 " |", options->sizes[i]);
    }
    printf("\n|---|---|");
    for (uint32_t i = 0; i < options->count_sizes; i++) {
        printf("---:|");
    }
    for (size_t row = 0; row < scale_rows_count; row++) {
        printf("\n| %s | %s |", scale_rows[row].name, scale_rows[row].formula);
        for (uint32_t i = 0; i < options->count_sizes; i++) {
            printf(" ");
            print_count(table, row, i, "-");
            printf(" |");
        }
    }
    printf("\n\n| bytes | formula | N = %u |\n|---|---|---:|\n", (unsigned)NODES_MAX);
    for (size_t row = 0; row < scale_sizes_count; row++) {
        printf("| %s | %s | %" PRIu64 " |\n", scale_sizes[row].name, scale_sizes[row].formula,
               table->bytes[row]);
    }
}

static void print_json(const struct table *table)
{
    const struct options *options = table->options;

    printf("{\"nodes_max\": %u, \"rows\": [", (unsigned)NODES_MAX);
    for (size_t row = 0; row < scale_rows_count; row++) {
        printf("%s\n  {\"name\": \"%s\", \"formula\": \"%s\", \"counts\": {", row > 0 ? "," : "",
               scale_rows[row].name, scale_rows[row].formula);
        for (uint32_t i = 0; i < options->count_sizes; i++) {
            printf("%s\"%" PRIu32 "\": ", i > 0 ? ", " : "", options->sizes[i]);
            print_count(table, row, i, "null");
        }
        printf("}}");
    }
    printf("],\n \"bytes\": {");
    for (size_t row = 0; row < scale_sizes_count; row++) {
        printf("%s\n  \"%s\": %" PRIu64, row > 0 ? "," : "", scale_sizes[row].name,
               table->bytes[row]);
    }
    printf("},\n \"matches\": %s}\n", table->is_wrong ? "false" : "true");
}

static void print_text(const struct table *table)
{
    const struct options *options = table->options;

    printf("%-60s %-14s", "counted, n =", "formula");
    for (uint32_t i = 0; i < options->count_sizes; i++) {
        printf("%8" PRIu32, options->sizes[i]);
    }
    for (size_t row = 0; row < scale_rows_count; row++) {
        printf("\n%-60s %-14s", scale_rows[row].name, scale_rows[row].formula);
        for (uint32_t i = 0; i < options->count_sizes; i++) {
            uint64_t count = table->counts[row * options->count_sizes + i];

            count == UINT64_MAX ? printf("%8s", "-") : printf("%8" PRIu64, count);
        }
    }
    printf("\n\n%-60s %-20s\n", "bytes", "formula");
    for (size_t row = 0; row < scale_sizes_count; row++) {
        printf("%-60s %-20s%8" PRIu64 "\n", scale_sizes[row].name, scale_sizes[row].formula,
               table->bytes[row]);
    }
    printf("\nBuilt for N = %u nodes at most. With more than %u nodes each is told only of those "
           "that it\ndeals with; what needs all to be told is not counted there (-).\n%s\n",
           (unsigned)NODES_MAX, (unsigned)TELL_ALL_MAX,
           table->is_wrong ? "NOT what the formulas say."
                           : "Every count is what its formula says.");
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    struct table table = {.options = &options};

    table.counts = calloc(scale_rows_count * options.count_sizes, sizeof(uint64_t));
    table.bytes = calloc(scale_sizes_count, sizeof(uint64_t));
    count_all(&table);
    if (options.format == FORMAT_JSON) {
        print_json(&table);
    } else if (options.format == FORMAT_MARKDOWN) {
        print_markdown(&table);
    } else {
        print_text(&table);
    }
    free(table.counts);
    free(table.bytes);
    return table.is_wrong ? 1 : 0;
}
