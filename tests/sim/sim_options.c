/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/cluster.h"
#include "tests/sim/sim_draw.h"
#include "tests/sim/sim_machines.h"

#define ROW_SWARM 1000u
/** One seed in so many has a large cluster. */
#define LARGE_ONE_IN 32u
/** And one in so many is about ranges and eviction. */
#define RANGES_ONE_IN 6u

enum unit {
    UNIT_PER_MESSAGE,
    UNIT_EVERY,
    UNIT_UPTO_US,
};

struct fault_row {
    const char *name, *text;
    enum unit unit;
};

static const struct fault_row *fault_row(uint32_t fault)
{
    static const struct fault_row rows[SIM_FAULT_KINDS] = {
#define FAULT_ROW(name, text, unit, what) {text, what, UNIT_##unit},
        SIM_FAULTS(FAULT_ROW)
#undef FAULT_ROW
    };

    return &rows[fault];
}

const char *sim_fault_name(uint32_t fault)
{
    return fault_row(fault)->name;
}

const char *sim_fault_text(uint32_t fault)
{
    return fault_row(fault)->text;
}

uint32_t sim_fault_find(const char *name)
{
    uint32_t fault = 0;

    while (fault < SIM_FAULT_KINDS && strcmp(fault_row(fault)->name, name) != 0) {
        fault++;
    }
    return fault;
}

static uint32_t draw_weight(struct sim_row *row, uint32_t fault)
{
    switch (fault_row(fault)->unit) {
    case UNIT_PER_MESSAGE:
        return (uint32_t)sim_draw_log(row, 4, 1200);
    case UNIT_EVERY:
        return (uint32_t)sim_draw_log(row, fault == SIM_KILL || fault == SIM_RETIRE ? 200 : 30,
                                      4000);
    default:
        return (uint32_t)sim_draw_log(row, 1000, fault == SIM_LATE_ATOMIC ? 30000 : 8000000);
    }
}

/* None, one alone, or each with the same chance: small in some seeds, large in others. */
static void draw_faults(struct sim_options *options, struct sim_row *row)
{
    uint64_t kind = sim_draw(row, 16);
    uint64_t only = sim_draw(row, SIM_FAULT_KINDS);
    uint64_t chance = kind < 7 ? 2 : kind < 11 ? 4 : 8;

    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        uint32_t weight = draw_weight(row, i);
        bool is_on = sim_draw(row, 8) < 8 / chance;

        if (kind == 15) {
            is_on = false;
        } else if (kind >= 13) {
            is_on = i == only;
        }
        options->weights[i] = is_on ? weight : 0;
    }
}

static void draw_patterns(struct sim_options *options, struct sim_row *row)
{
    for (uint32_t i = 0; i < SIM_PATTERN_KINDS; i++) {
        uint32_t weight = (uint32_t)sim_draw_log(row, 1, 32);

        options->patterns[i] = sim_chance(row, 2) ? weight : 0;
    }
    if (sim_chance(row, 3)) {
        memset(options->patterns, 0, sizeof(options->patterns));
    }
    options->patterns[sim_draw(row, SIM_PATTERN_KINDS)] += 1;
}

/*
 * Ranges that come and go: programs walk over the pages one after the other, no node but one may
 * keep many of them, the homes of regions neither, and answers are late beside the time after which
 * a request is sent again.
 */
static void draw_ranges(struct sim_options *options, struct sim_row *row)
{
    bool is_lossy = sim_chance(row, 3);

    options->nodes = 3 + (uint32_t)sim_draw(row, 2);
    options->programs = 4 + (uint32_t)sim_draw(row, 9);
    options->pages = 12 + sim_draw(row, 48);
    options->steps = sim_draw_log(row, 1024, 4096);
    options->names = 1;
    options->striped = false;
    options->delay = sim_chance(row, 4) ? SIM_SPREAD : SIM_TAIL;
    options->is_tight_home = !sim_chance(row, 4);
    options->budget_pages = 1 + sim_draw(row, 6);
    options->read_ahead_pages = 4 + (uint32_t)sim_draw(row, 29);
    options->resend_ms = (uint32_t)sim_draw_log(row, 20, 160);
    options->delay_us = sim_draw_log(row, 2000, 16000);
    options->think_us = sim_draw_log(row, 50, 4000);
    options->sync_share = (uint32_t)sim_draw(row, 10);
    memset(options->patterns, 0, sizeof(options->patterns));
    options->patterns[SIM_STREAM] = 8;
    options->patterns[SIM_SEQUENTIAL] = (uint32_t)sim_draw(row, 2);
    options->patterns[SIM_MIGRATORY] = sim_chance(row, 4);
    options->weights[SIM_EVICTION] = 30;
    options->weights[SIM_CLOG] = sim_chance(row, 3) ? (uint32_t)sim_draw_log(row, 60, 1000) : 0;
    options->weights[SIM_HANG] = 0;
    options->weights[SIM_LOSS] = is_lossy ? (uint32_t)sim_draw_log(row, 30, 800) : 0;
}

void sim_options_draw(struct sim_options *options, uint64_t seed)
{
    struct sim_row row = sim_row_of(seed, ROW_SWARM);
    bool is_large = sim_chance(&row, LARGE_ONE_IN);
    uint64_t large =
        sim_draw_log(&row, 7, CLUSTER_NODES < SIM_NODES_MAX ? CLUSTER_NODES : SIM_NODES_MAX);

    memset(options, 0, sizeof(*options));
    options->seed = seed;
    options->nodes = is_large ? (uint32_t)large : 2 + (uint32_t)sim_draw(&row, 5);
    options->programs = 1 + (uint32_t)sim_draw(&row, is_large ? SIM_PROGRAMS_MAX : 12);
    if (sim_draw(&row, 8) != 0) {
        options->pages = SIM_PAGES_MIN + sim_draw(&row, 20);
    } else {
        options->pages = sim_draw_log(&row, 70, SIM_PAGES_MAX);
    }
    options->steps = sim_draw_log(&row, 256, 4096);
    options->names = sim_chance(&row, 4) ? 2 : 1;
    options->budget_pages = 1 + sim_draw(&row, 40);
    options->read_ahead_pages = 1 + (uint32_t)sim_draw(&row, sim_chance(&row, 2) ? 8 : 256);
    options->resend_ms = sim_chance(&row, 2) ? 1000 : (uint32_t)sim_draw_log(&row, 10, 1000);
    options->striped = sim_chance(&row, 2);
    options->delay = (uint32_t)sim_draw(&row, SIM_DELAY_KINDS);
    options->delay_us = sim_draw_log(&row, 16, 8000);
    options->think_us = sim_draw_log(&row, 2, 16000);
    options->sync_share = (uint32_t)sim_draw(&row, sim_chance(&row, 3) ? 90 : 45);
    draw_patterns(options, &row);
    draw_faults(options, &row);
    if (sim_chance(&row, RANGES_ONE_IN)) {
        draw_ranges(options, &row);
    }
    if (options->weights[SIM_SEAL] != 0 && !sim_chance(&row, 4)) {
        options->reader_share = 50 + (uint32_t)sim_draw(&row, 50);
        options->weights[SIM_SEAL] = (uint32_t)sim_draw_log(&row, 30, 400);
    }
    sim_machines_draw(options);
}

/* --- telling --- */

void sim_text_add(struct sim_text *out, const char *format, ...)
{
    va_list arguments;
    int bytes;

    va_start(arguments, format);
    bytes = vsnprintf(out->text + out->used, out->bytes - out->used, format, arguments);
    va_end(arguments);
    out->used += bytes > 0 ? (size_t)bytes : 0;
    out->used = out->used < out->bytes ? out->used : out->bytes - 1;
}

void sim_options_print(const struct sim_options *options, char *text, size_t bytes)
{
    static const char *const delays[SIM_DELAY_KINDS] = {"constant", "uniform", "heavy tail"};
    static const char *const patterns[SIM_PATTERN_KINDS] = {
#define PATTERN_NAME(name, what) what,
        SIM_PATTERNS(PATTERN_NAME)
#undef PATTERN_NAME
    };
    static const char *const units[] = {"of 10000 messages", "events between two, about",
                                        "us late at most"};
    struct sim_text out = {text, bytes, 0};
    bool any = false;

    sim_text_add(&out,
                 "seed %llu: %u nodes, %u programs, %llu pages%s, %llu events, read-ahead %u\n",
                 (unsigned long long)options->seed, options->nodes, options->programs,
                 (unsigned long long)options->pages, options->striped ? " striped" : "",
                 (unsigned long long)options->steps, options->read_ahead_pages);
    sim_text_add(&out, "  messages take %llu us (%s), resent after %u ms; programs think %llu us\n",
                 (unsigned long long)options->delay_us, delays[options->delay], options->resend_ms,
                 (unsigned long long)options->think_us);
    sim_text_add(&out, "  %u names, %u of 100 deeds synchronise, %u of 100 read only, patterns:",
                 options->names, options->sync_share, options->reader_share);
    for (uint32_t i = 0; i < SIM_PATTERN_KINDS; i++) {
        if (options->patterns[i] != 0) {
            sim_text_add(&out, " %s %u", patterns[i], options->patterns[i]);
        }
    }
    sim_machines_print(options, &out);
    sim_text_add(&out, "\n  faults:");
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        if (options->weights[i] != 0) {
            sim_text_add(&out, "\n    %-11s %7u %s", sim_fault_name(i),
                         i == SIM_EVICTION ? (uint32_t)options->budget_pages : options->weights[i],
                         i != SIM_EVICTION        ? units[fault_row(i)->unit]
                         : options->is_tight_home ? "pages at most, on node 1"
                                                  : "pages at most");
            any = true;
        }
    }
    sim_text_add(&out, "%s\n", any ? "" : " none");
}
