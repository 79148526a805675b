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
#include "tests/bench/op.h"
#include "tests/bench/process.h"

#define ROUNDS_DEFAULT 5u
#define ROUNDS_MIN 5u
#define LOCAL_HOSTS 3u
#define OPS_MAX 64u

static const char *const pinning_names[PIN_COUNT] = {"1cpu", "2cpu", "none"};

static const char help_head[] =
    "usage: dsm-bench (--local | --socket-a PATH --socket-b PATH [--socket-c PATH]) [options]\n"
    "                 OPERATION...\n"
    "       dsm-bench convert [--json] [--rounds N]\n"
    "\n"
    "Measures on two or three hosts and prints each operation, its limit taken in the same run,\n"
    "and their ratio. Messages are those of all agents, per operation, counted; the CONFIRM that\n"
    "closes each transfer is among them, but not on the critical path: a clean miss is 2 + 1.\n"
    "\n"
    "operations\n";
static const char help_tail[] =
    "  all          all of these\n"
    "  convert      alone: conversion of typed bytes on this machine, beside memcpy and XDR\n"
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
        printf("  %-12s %s\n", op->name, op->text);
    }
    fputs(help_tail, stdout);
}

static int add_ops(struct options *options, const char *name)
{
    const struct op *op;

    if (strcmp(name, "all") && !op_find(name)) {
        return refuse("there is no operation ", name);
    }
    for (unsigned i = 0; (op = op_get(i)); i++) {
        if ((!strcmp(name, "all") || !strcmp(name, op->name)) && options->count_ops < OPS_MAX) {
            options->ops[options->count_ops++] = op;
        }
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

static void print_head(void)
{
    printf("%-12s %-7s %10s %10s %10s %7s %-10s %8s  %-28s %s\n", "operation", "pinning", "median",
           "p99", "limit", "ratio", "unit", "msgs/op", "target", "the limit");
}

static void print_result(const struct result *result, const char *pinning, bool json)
{
    static const char *const met_words[] = {"null", "false", "true"};
    const struct op *op = result->op;
    const char *limit_is = op->limit_is ? op->limit_is : "";
    char messages[32] = "-", target[64];
    int met = result_is_met(result);

    target_text(&op->target, op->unit, target, sizeof(target));
    if (result->messages_per_op >= 0) {
        snprintf(messages, sizeof(messages), "%.3f", result->messages_per_op);
    } else if (json) {
        snprintf(messages, sizeof(messages), "null");
    }
    if (json) {
        printf("{\"op\": \"%s\", \"pinning\": \"%s\", \"median\": %.4f, \"p99\": %.4f, "
               "\"limit\": %.4f, \"ratio\": %.4f, \"unit\": \"%s\", \"messages_per_op\": %s, "
               "\"limit_is\": \"%s\", \"target\": \"%s\", \"met\": %s}\n",
               op->name, pinning, result->median, result->p99, result->limit, result->ratio,
               op->unit, messages, limit_is, target, met_words[met + 1]);
    } else {
        printf("%-12s %-7s %10.2f %10.2f %10.2f %7.2f %-10s %8s  %-28s %s\n", op->name, pinning,
               result->median, result->p99, result->limit, result->ratio, op->unit, messages,
               target, limit_is);
    }
    fflush(stdout);
}

static int measure(struct bench *bench, const struct options *options, const struct op *op)
{
    for (enum pinning pinning = 0; pinning < PIN_COUNT; pinning++) {
        struct result result;

        if (op->is_unpinned ? pinning != PIN_NONE
                            : options->pin && strcmp(options->pin, pinning_names[pinning])) {
            continue;
        }
        if (bench->hosts->count < op->count_hosts || bench_pin(bench, pinning)) {
            fprintf(stderr, "dsm-bench: %s %s left out: too few hosts or CPUs\n", op->name,
                    pinning_names[pinning]);
            continue;
        }
        if (op_run(bench, op, &result)) {
            fprintf(stderr, "dsm-bench: %s %s failed\n", op->name, pinning_names[pinning]);
            return -1;
        }
        print_result(&result, pinning_names[pinning], options->json);
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
        if (!options.json) {
            print_head();
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
