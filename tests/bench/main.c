/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm-bench: what the service costs on two hosts, beside what the machine allows. Each figure and
 * its limit are taken in the same run, in turns, so that their ratio means something on any
 * machine.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/convert.h"
#include "tests/bench/process.h"

#define ROUNDS_DEFAULT 5u
#define ROUNDS_MIN 5u
#define NAMES_MAX 16u

static const char *const pinning_names[PIN_COUNT] = {"1cpu", "2cpu", "none"};

static const char help[] =
    "usage: dsm-bench (--local | --socket-a PATH --socket-b PATH) [options] OPERATION...\n"
    "       dsm-bench convert [--json] [--rounds N]\n"
    "\n"
    "Measures on two hosts and prints each operation, its limit taken in the same run, and\n"
    "their ratio. Messages are those of both agents, per operation, counted; the CONFIRM that\n"
    "closes each transfer is among them, but not on the critical path: a clean miss is 2 + 1.\n"
    "\n"
    "operations\n"
    "  fault     random 4 KiB remote read misses, one at a time\n"
    "  stream    sequential read of 256 MiB from the other host\n"
    "  hit       loads on resident pages against plain memory\n"
    "  upgrade   write to a page that both hosts can read\n"
    "  pingpong  two hosts that write one page in turns\n"
    "  lock      hand-off between two hosts, and a lock that nobody else wants (lock-alone)\n"
    "  barrier   of two hosts\n"
    "  memory    the agents' memory beyond the pages, per page\n"
    "  all       all of these\n"
    "  convert   alone: conversion of typed bytes on this machine, beside memcpy and XDR\n"
    "\n"
    "options\n"
    "  --local          makes two hosts (network namespaces, certificates, agents) and takes\n"
    "                   them down again; takes root\n"
    "  --socket-a PATH  the agent of host A, where regions are made\n"
    "  --socket-b PATH  the agent of host B, which is measured; both on this machine\n"
    "  --pin WHERE      1cpu: all on one CPU; 2cpu: a CPU for each host; none; all (default)\n"
    "  --rounds N       rounds of operation and limit in turns, 5 to 64, default 5\n"
    "  --spin US        with --local: the agents poll for so long before they sleep\n"
    "  --json           one JSON object a line: op, pinning, median, p99, limit, ratio, unit,\n"
    "                   messages_per_op, limit_is\n"
    "  --help\n"
    "\n"
    "exit status: 0 measured, 1 failed, 2 wrong usage\n";

struct options {
    bool local, json;
    const char *socket[2];
    const char *pin; /* NULL: all */
    unsigned rounds, spin_us;
    const char *names[NAMES_MAX];
    unsigned count_names;
};

static int refuse(const char *what, const char *value)
{
    fprintf(stderr, "dsm-bench: %s%s; dsm-bench --help tells more\n", what, value);
    return 2;
}

static bool parse_number(const char *text, unsigned long max, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end || text[0] == '-' || value > max) {
        return false;
    }
    *number = (unsigned)value;
    return true;
}

static int add_names(struct options *options, const char *name)
{
    if (strcmp(name, "all") && !bench_has_op(name)) {
        return refuse("there is no operation ", name);
    }
    for (unsigned i = 0; bench_op_name(i); i++) {
        bool wanted = !strcmp(name, "all") || !strcmp(name, bench_op_name(i));

        if (wanted && options->count_names < NAMES_MAX) {
            options->names[options->count_names++] = bench_op_name(i);
        }
    }
    if (!strcmp(name, "lock-alone") && options->count_names < NAMES_MAX) {
        options->names[options->count_names++] = "lock-alone";
    }
    return 0;
}

static bool is_pinning(const char *name)
{
    for (int i = 0; i < PIN_COUNT; i++) {
        if (!strcmp(name, pinning_names[i])) {
            return true;
        }
    }
    return false;
}

static int check_options(const struct options *options)
{
    if (options->count_names == 0) {
        return refuse("which operation", "");
    }
    if (options->local == (options->socket[0] || options->socket[1])) {
        return refuse("either --local, or --socket-a and --socket-b", "");
    }
    if (!options->local && (!options->socket[0] || !options->socket[1])) {
        return refuse("--socket-a and --socket-b go together", "");
    }
    return 0;
}

/* Returns 0, a number above 0 as exit status, or -1 after --help. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"local", no_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},
        {"socket-a", required_argument, NULL, 'a'},
        {"socket-b", required_argument, NULL, 'b'},
        {"pin", required_argument, NULL, 'p'},
        {"rounds", required_argument, NULL, 'r'},
        {"spin", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int letter;

    *options = (struct options){.rounds = ROUNDS_DEFAULT};
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (letter) {
        case 'l':
            options->local = true;
            break;
        case 'j':
            options->json = true;
            break;
        case 'a':
        case 'b':
            options->socket[letter - 'a'] = optarg;
            break;
        case 'p':
            if (strcmp(optarg, "all") && !is_pinning(optarg)) {
                return refuse("--pin is 1cpu, 2cpu, none or all, not ", optarg);
            }
            options->pin = strcmp(optarg, "all") ? optarg : NULL;
            break;
        case 'r':
            if (!parse_number(optarg, ROUNDS_MAX, &options->rounds) ||
                options->rounds < ROUNDS_MIN) {
                return refuse("--rounds is a number from 5 to 64, not ", optarg);
            }
            break;
        case 's':
            if (!parse_number(optarg, 1000000, &options->spin_us)) {
                return refuse("--spin is a number of microseconds, not ", optarg);
            }
            break;
        case 'h':
            fputs(help, stdout);
            return -1;
        default:
            return 2;
        }
    }
    for (int i = optind; i < argc; i++) {
        int error = add_names(options, argv[i]);

        if (error) {
            return error;
        }
    }
    return check_options(options);
}

static void print_head(void)
{
    printf("%-11s %-7s %10s %10s %10s %7s %-10s %8s  %s\n", "operation", "pinning", "median", "p99",
           "limit", "ratio", "unit", "msgs/op", "the limit");
}

static void print_result(const struct result *result, const char *pinning, bool json)
{
    char messages[32] = "-";

    if (result->messages_per_op >= 0) {
        snprintf(messages, sizeof(messages), "%.3f", result->messages_per_op);
    } else if (json) {
        snprintf(messages, sizeof(messages), "null");
    }
    if (json) {
        printf("{\"op\": \"%s\", \"pinning\": \"%s\", \"median\": %.4f, \"p99\": %.4f, "
               "\"limit\": %.4f, \"ratio\": %.4f, \"unit\": \"%s\", \"messages_per_op\": %s, "
               "\"limit_is\": \"%s\"}\n",
               result->op, pinning, result->median, result->p99, result->limit, result->ratio,
               result->unit, messages, result->limit_is);
    } else {
        printf("%-11s %-7s %10.2f %10.2f %10.2f %7.2f %-10s %8s  %s\n", result->op, pinning,
               result->median, result->p99, result->limit, result->ratio, result->unit, messages,
               result->limit_is);
    }
    fflush(stdout);
}

static int measure(struct bench *bench, const struct options *options, const char *name)
{
    for (enum pinning pinning = 0; pinning < PIN_COUNT; pinning++) {
        struct result results[2];
        unsigned count;

        if (!bench_op_is_pinned(name)
                ? pinning != PIN_NONE
                : options->pin && strcmp(options->pin, pinning_names[pinning])) {
            continue;
        }
        if (bench_pin(bench, pinning)) {
            fprintf(stderr, "dsm-bench: %s left out: too few CPUs\n", pinning_names[pinning]);
            continue;
        }
        if (bench_run(bench, name, results, &count)) {
            fprintf(stderr, "dsm-bench: %s %s failed\n", name, pinning_names[pinning]);
            return -1;
        }
        for (unsigned i = 0; i < count; i++) {
            print_result(&results[i], pinning_names[pinning], options->json);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct hosts hosts;
    struct bench bench;
    int error;

    if (argc > 1 && strcmp(argv[1], "convert") == 0) {
        return bench_convert(argc - 1, argv + 1);
    }
    error = parse_options(argc, argv, &options);
    if (error) {
        return error < 0 ? 0 : error;
    }
    int signals_fd = signals_open();
    if (signals_fd < 0) {
        perror("dsm-bench: signalfd");
        return 1;
    }
    error = options.local
                ? hosts_open_local(&hosts, options.spin_us, signals_fd)
                : hosts_open_sockets(&hosts, options.socket[0], options.socket[1], signals_fd);
    if (error) {
        return 1;
    }
    error = bench_open(&bench, &hosts, options.rounds);
    if (!error) {
        if (!options.json) {
            print_head();
        }
        for (unsigned i = 0; i < options.count_names && !error; i++) {
            error = measure(&bench, &options, options.names[i]);
        }
        bench_close(&bench);
    }
    hosts_close(&hosts, error != 0);
    close(signals_fd);
    return error ? 1 : 0;
}
