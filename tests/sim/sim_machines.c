/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_machines.h"

#include <string.h>

#include "tests/sim/cluster.h"
#include "tests/sim/sim_draw.h"

#define ROW_MACHINES 1001u
/** Hardware pages of 2 MiB are rare, and show all of a small region at once. */
#define HUGE_ONE_IN 24u
#define HUGE_BYTES (2u << 20)

static const char *draw_type(struct sim_row *row)
{
    static const char *const types[] = {
#define TYPE_TEXT(text) text,
        SIM_TYPES(TYPE_TEXT)
#undef TYPE_TEXT
    };

    return types[sim_chance(row, 4) ? 0 : sim_draw(row, sizeof(types) / sizeof(types[0]))];
}

static uint32_t draw_hardware(struct sim_row *row)
{
    static const uint32_t sizes[] = {CLUSTER_PAGE_BYTES, 4 * CLUSTER_PAGE_BYTES,
                                     16 * CLUSTER_PAGE_BYTES};

    return sim_chance(row, HUGE_ONE_IN) ? HUGE_BYTES : sizes[sim_draw(row, 3)];
}

/* In half of all runs each region's page is as large as any node's, in half all bytes lie alike. */
void sim_machines_draw(struct sim_options *options)
{
    struct sim_row row = sim_row_of(options->seed, ROW_MACHINES);
    bool has_groups = sim_chance(&row, 2), is_like = sim_chance(&row, 3);
    bool has_orders = sim_chance(&row, 2), is_big = sim_chance(&row, 8);
    uint32_t first = draw_hardware(&row);

    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        uint32_t own = draw_hardware(&row);

        options->hardware_bytes[i] = !has_groups ? CLUSTER_PAGE_BYTES : is_like ? first : own;
        options->big_endian[i] = has_orders ? sim_chance(&row, 2) : is_big;
    }
    for (uint32_t i = 0; i < SIM_NAMES_MAX; i++) {
        options->page_bytes[i] = CLUSTER_PAGE_BYTES
                                 << (sim_chance(&row, 2) ? 0 : sim_draw(&row, 5));
        options->types[i] = draw_type(&row);
    }
    for (uint32_t i = 0; i < SIM_NAMES_MAX; i++) {
        static const uint32_t windows_ms[] = {0, 0, DSM_WINDOW_NONE, 1, 20, DSM_WINDOW_MS_MAX};

        options->windows_ms[i] = windows_ms[sim_draw(&row, 6)];
    }
    options->barrier_run = (uint32_t)sim_draw(&row, 3);
}

void sim_machines_same_sizes(struct sim_options *options)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        options->hardware_bytes[i] = CLUSTER_PAGE_BYTES;
    }
    for (uint32_t i = 0; i < SIM_NAMES_MAX; i++) {
        options->page_bytes[i] = CLUSTER_PAGE_BYTES;
    }
}

void sim_machines_same_orders(struct sim_options *options)
{
    memset(options->big_endian, 0, sizeof(options->big_endian));
}

void sim_machines_no_types(struct sim_options *options)
{
    for (uint32_t i = 0; i < SIM_NAMES_MAX; i++) {
        options->types[i] = "";
    }
}

void sim_machines_print(const struct sim_options *options, struct sim_text *out)
{
    sim_text_add(out, "\n  machines:");
    for (uint32_t i = 0; i < options->nodes; i++) {
        sim_text_add(out, " %uK%s", options->hardware_bytes[i] / 1024,
                     options->big_endian[i] ? "-big" : "");
    }
    for (uint32_t i = 0; i < options->names; i++) {
        sim_text_add(out, "\n  /r%u: pages of %uK, window %d, type: %s", i,
                     options->page_bytes[i] / 1024, (int)options->windows_ms[i],
                     options->types[i][0] != 0 ? options->types[i] : "none");
    }
}
