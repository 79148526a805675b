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

#include "tests/bench/convert.h"
#include "tests/bench/report.h"
#include "tests/bench/result.h"
#include "tests/bench/process.h"

#define ROUNDS_DEFAULT 5u
#define ROUNDS_MIN 5u
#define LOCAL_HOSTS 3u
#define OPS_MAX 64u

static const char help_head[] =
    "usage: dsm-bench (--local | --socket-a PATH --socket-b PATH [--socket-c PATH]) [options]\n"
    "                 OPERATION...\n"
    "       dsm-bench report [--out DIR] [--quick] ...\n"
    "       dsm-bench convert [--json] [--rounds N]\n"
    "\n"
    "Measures on two or three hosts and prints each operation, its limit taken in the same run,\n"
    "and their ratio. Messages are those of all agents, per operation, counted; the CONFIRM that\n"
    "closes each transfer is among them, but not on the critical path: a clean miss is 2 + 1.\n"
    "\n"
    "operations\n";
static const char help_tail[] =
    "  all            all of these\n"
    "  report         alone: all of these, as a text, JSON and plots; report --help tells more\n"
    "  convert        alone: conversion of typed bytes on this machine, beside memcpy and XDR\n"
    "\n"
    "options\n"
    "  --local          makes three hosts (network namespaces, certificates, agents) and takes\n"
    "                   them down again; takes root\n"
    "  --socket-a PATH  the agent of host A, where regions are made\n"
    "  --socket-b PATH  the agent of host B, which is measured\n"
    "  --socket-c PATH  of a third host; without it, what needs one is left out. All are on this\n"
    "                   machine\n"
    "  --pin WHERE      1cpu: all on one CPU; 2cpu: the hosts in turns on two; none; all "
    "(default)\n"
    "  --rounds N       rounds of operation and limit in turns, 5 to 64, default 5\n"
    "  --spin US        with --local: the agents poll for so long before they sleep\n"
    "  --json           one JSON object a line: op, pinning, median, p99, limit, ratio, unit,\n"
    "                   messages_per_op, limit_is, target, met\n"
    "  --help\n"
    "\n"
    "exit status: 0 measured, 1 failed, 2 wrong usage\n";

struct options {
    bool local, json;
    const char *socket[3];
    const char *pin; /* NULL: all */
    unsigned rounds, spin_us;
    const struct op *ops[OPS_MAX];
    unsigned count_ops;
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

static void print_help(void)
{
    const struct op *op;

    fputs(help_head, stdout);
    for (unsigned i = 0; (op = op_get(i)); i++) {
        printf("  %-14s %s\n", op->name, op->text);
    }
    fputs(help_tail, stdout);
}

static int add_op(struct options *options, const struct op *op)
{
    if (options->count_ops < OPS_MAX) {
        options->ops[options->count_ops++] = op;
    }
    return 0;
}

static int add_ops(struct options *options, const char *name)
{
    const struct op *op;

    /* An operation, else a family of them, else all. */
    if (op_find(name)) {
        return add_op(options, op_find(name));
    }
    if (op_family(name)) {
        for (op = op_family(name); op->name; op++) {
            add_op(options, op);
        }
        return 0;
    }
    if (strcmp(name, "all")) {
        return refuse("there is no operation ", name);
    }
    for (unsigned i = 0; (op = op_get(i)); i++) {
        add_op(options, op);
    }
    return 0;
}

static bool is_pinning(const char *name)
{
    for (enum pinning i = 0; i < PIN_COUNT; i++) {
        if (!strcmp(name, pinning_name(i))) {
            return true;
        }
    }
    return false;
}

static int check_options(const struct options *options)
{
    if (options->count_ops == 0) {
        return refuse("which operation", "");
    }
    if (options->local == (options->socket[0] || options->socket[1] || options->socket[2])) {
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
        {"local", no_argument, NULL, 'l'},          {"json", no_argument, NULL, 'j'},
        {"socket-a", required_argument, NULL, 'a'}, {"socket-b", required_argument, NULL, 'b'},
        {"socket-c", required_argument, NULL, 'c'}, {"pin", required_argument, NULL, 'p'},
        {"rounds", required_argument, NULL, 'r'},   {"spin", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
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
        case 'c':
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
            print_help();
            return -1;
        default:
            return 2;
        }
    }
    for (int i = optind; i < argc; i++) {
        int error = add_ops(options, argv[i]);

        if (error) {
            return error;
        }
    }
    return check_options(options);
}

static int measure(struct bench *bench, const struct options *options, const struct op *op)
{
    for (enum pinning pinning = 0; pinning < PIN_COUNT; pinning++) {
        struct result result;

        if (op->is_unpinned ? pinning != PIN_NONE
                            : options->pin && strcmp(options->pin, pinning_name(pinning))) {
            continue;
        }
        if (op->needs_2cpu && pinning == PIN_1CPU) {
            continue;
        }
        if (bench->hosts->count < op->count_hosts || bench_pin(bench, pinning)) {
            fprintf(stderr, "dsm-bench: %s %s left out: too few hosts or CPUs\n", op->name,
                    pinning_name(pinning));
            continue;
        }
        int error = op_run(bench, op, &result);
        if (error == RUN_MISSING) {
            break;
        }
        if (error) {
            fprintf(stderr, "dsm-bench: %s %s failed\n", op->name, pinning_name(pinning));
            return -1;
        }
        if (options->json) {
            json_t *line = result_to_json(bench, &result);

            json_dumpf(line, stdout, JSON_REAL_PRECISION(7));
            putchar('\n');
            json_decref(line);
        } else {
            result_print(bench, &result);
        }
        fflush(stdout);
        result_close(&result);
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
    if (argc > 1 && strcmp(argv[1], "report") == 0) {
        return bench_report(argc - 1, argv + 1);
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
                ? hosts_open_local(&hosts, LOCAL_HOSTS, options.spin_us, signals_fd)
                : hosts_open_sockets(&hosts, options.socket, options.socket[2] ? 3 : 2, signals_fd);
    if (error) {
        return 1;
    }
    error = bench_open(&bench, &hosts, options.rounds);
    if (!error) {
        bench.agents_poll = options.spin_us > 0;
        if (!options.json) {
            result_print_head();
        }
        for (unsigned i = 0; i < options.count_ops && !error; i++) {
            error = measure(&bench, &options, options.ops[i]);
        }
        bench_close(&bench);
    }
    hosts_close(&hosts, error != 0);
    close(signals_fd);
    return error ? 1 : 0;
}
