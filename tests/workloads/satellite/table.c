/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <math.h>
#include <stdio.h>

#include <jansson.h>

#define TEXT_BYTES 40

struct table {
    const json_t *reference; /* of the program whose values are compared now */
    const char *program;
    const char *node;
    bool is_verbose;
    uint32_t compared, differing;
};

static void print_rule(void)
{
    puts("---------  ------  --------------------------------------  ------------------  "
         "------------------  -----");
}

static void print_line(struct table *table, const char *what, const char *value,
                       const char *reference, bool is_equal)
{
    printf("%-9s  %-6s  %-38s  %18s  %18s  %-5s\n", table->program, table->node, what, value,
           reference, is_equal ? "yes" : "NO");
}

static void count_match(struct table *table, bool is_equal)
{
    table->compared++;
    table->differing += !is_equal;
}

static bool is_same_count(uint64_t value, const json_t *reference)
{
    return json_is_integer(reference) && json_integer_value(reference) >= 0 &&
           (uint64_t)json_integer_value(reference) == value;
}

/** No value is NaN here and null there. */
static bool is_same_real(double value, const json_t *reference)
{
    if (json_is_null(reference)) {
        return isnan(value);
    }
    if (!json_is_number(reference) || isnan(value)) {
        return false;
    }
    double wanted = json_number_value(reference);
    return fabs(value - wanted) <= TABLE_TOLERANCE * fabs(wanted);
}

static void describe_count(const json_t *reference, char *text)
{
    if (json_is_integer(reference)) {
        snprintf(text, TEXT_BYTES, "%lld", (long long)json_integer_value(reference));
    } else {
        snprintf(text, TEXT_BYTES, "missing");
    }
}

static void describe_real(const json_t *reference, char *text)
{
    if (json_is_number(reference)) {
        snprintf(text, TEXT_BYTES, "%.12g", json_number_value(reference));
    } else {
        snprintf(text, TEXT_BYTES, json_is_null(reference) ? "no value" : "missing");
    }
}

static void compare_count(struct table *table, const char *key, const char *what, uint64_t value)
{
    const json_t *reference = json_object_get(table->reference, key);
    char text[TEXT_BYTES], wanted[TEXT_BYTES];
    bool is_equal = is_same_count(value, reference);
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    describe_count(reference, wanted);
    print_line(table, what, text, wanted, is_equal);
    count_match(table, is_equal);
}

static void compare_real(struct table *table, const char *key, const char *what, double value)
{
    const json_t *reference = json_object_get(table->reference, key);
    char text[TEXT_BYTES], wanted[TEXT_BYTES];
    bool is_equal = is_same_real(value, reference);
    snprintf(text, sizeof text, isnan(value) ? "no value" : "%.12g", value);
    describe_real(reference, wanted);
    print_line(table, what, text, wanted, is_equal);
    count_match(table, is_equal);
}

/** One line for a whole series, unless each of its values is wanted or some do not match. */
static void print_series(struct table *table, const char *what, uint32_t count, uint32_t equal)
{
    char text[TEXT_BYTES], wanted[TEXT_BYTES];
    snprintf(text, sizeof text, "%u values", count);
    snprintf(wanted, sizeof wanted, "%u equal", equal);
    print_line(table, what, text, wanted, equal == count);
}

static void compare_histogram(struct table *table, const struct crop_results *crop)
{
    const json_t *series = json_object_get(table->reference, "histogram");
    uint32_t equal = 0;
    for (uint32_t i = 0; i < RESULTS_HISTOGRAM_BINS; i++) {
        const json_t *reference = json_array_get(series, i);
        bool is_equal = is_same_count(crop->histogram[i], reference);
        count_match(table, is_equal);
        equal += is_equal;
        if (table->is_verbose || !is_equal) {
            char what[TEXT_BYTES], text[TEXT_BYTES], wanted[TEXT_BYTES];
            snprintf(what, sizeof what, "NDVI histogram, from %.1f on", -1 + i * 0.1);
            snprintf(text, sizeof text, "%llu", (unsigned long long)crop->histogram[i]);
            describe_count(reference, wanted);
            print_line(table, what, text, wanted, is_equal);
        }
    }
    print_series(table, "NDVI histogram, all bins", RESULTS_HISTOGRAM_BINS, equal);
}

static void compare_grid(struct table *table, const struct crop_results *crop)
{
    const json_t *series = json_object_get(table->reference, "grid");
    const uint32_t cells = RESULTS_GRID * RESULTS_GRID;
    uint32_t equal = 0;
    for (uint32_t i = 0; i < cells; i++) {
        const json_t *reference = json_array_get(series, i);
        bool is_equal = is_same_real(crop->grid[i], reference);
        count_match(table, is_equal);
        equal += is_equal;
        if (table->is_verbose || !is_equal) {
            char what[TEXT_BYTES], text[TEXT_BYTES], wanted[TEXT_BYTES];
            snprintf(what, sizeof what, "NDVI mean of grid cell %u, %u", i / RESULTS_GRID + 1,
                     i % RESULTS_GRID + 1);
            snprintf(text, sizeof text, "%.12g", crop->grid[i]);
            describe_real(reference, wanted);
            print_line(table, what, text, wanted, is_equal);
        }
    }
    print_series(table, "NDVI mean of each grid cell", cells, equal);
}

/** Turn to the next program's values. */
static void start_program(struct table *table, const json_t *root, const char *program,
                          const char *node)
{
    table->reference = json_object_get(root, program);
    table->program = program;
    table->node = node;
}

/** What kind of machine each program ran on: they may have been unlike in all of this. */
static void print_machines(const struct results *results)
{
    const struct {
        const char *program;
        const struct machine *machine;
    } lines[] = {
        {"weather", &results->weather.machine},
        {"crop", &results->crop.machine},
        {"pollution", &results->pollution.machine},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const struct machine *machine = lines[i].machine;
        printf("%-9s  %-6s  ran on %s: %s-endian, words of %u bits, pages of %u KiB\n",
               lines[i].program, machine->node, machine->architecture,
               machine->is_big_endian != 0 ? "big" : "little", machine->word_bits,
               machine->page_bytes / 1024);
    }
}

int table_print(const struct results *results, const char *path, bool is_verbose,
                uint32_t *compared, uint32_t *differing)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fprintf(stderr, "report: cannot read the reference %s: %s (line %d)\n", path, error.text,
                error.line);
        return -1;
    }
    struct table table = {.is_verbose = is_verbose};
    printf("%-9s  %-6s  %-38s  %18s  %18s  %-5s\n", "program", "node", "quantity", "value",
           "reference", "match");
    print_rule();
    const struct weather_results *weather = &results->weather;
    const struct crop_results *crop = &results->crop;
    const struct pollution_results *pollution = &results->pollution;
#define COMPARE_COUNT(name, what) compare_count(&table, #name, what, from->name);
#define COMPARE_REAL(name, what) compare_real(&table, #name, what, from->name);
    start_program(&table, root, "weather", weather->machine.node);
    {
        const struct weather_results *from = weather;
        RESULTS_WEATHER(COMPARE_COUNT, COMPARE_REAL)
        if (weather->has_thermal != 0 || json_object_get(table.reference, "kelvin_mean") != NULL) {
            RESULTS_THERMAL(COMPARE_COUNT, COMPARE_REAL)
        }
    }
    start_program(&table, root, "crop", crop->machine.node);
    {
        const struct crop_results *from = crop;
        RESULTS_CROP(COMPARE_COUNT, COMPARE_REAL)
        compare_histogram(&table, crop);
        compare_grid(&table, crop);
    }
    start_program(&table, root, "pollution", pollution->machine.node);
    {
        const struct pollution_results *from = pollution;
        RESULTS_POLLUTION(COMPARE_COUNT, COMPARE_REAL)
    }
#undef COMPARE_COUNT
#undef COMPARE_REAL
    print_rule();
    print_machines(results);
    print_rule();
    const char *tool = json_string_value(json_object_get(root, "tool"));
    printf("reference by %s; counts must be equal, real numbers to %g relative\n",
           tool != NULL ? tool : path, TABLE_TOLERANCE);
    json_decref(root);
    *compared = table.compared;
    *differing = table.differing;
    return 0;
}
