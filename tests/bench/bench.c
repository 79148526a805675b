/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/process.h"

int bench_open(struct bench *bench, struct hosts *hosts, unsigned rounds)
{
    *bench = (struct bench){.hosts = hosts, .rounds = rounds, .pinning = PIN_NONE};
    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        bench->turns[i][0] = bench->turns[i][1] = -1;
    }
    if (sched_getaffinity(0, sizeof(bench->cpus), &bench->cpus)) {
        perror("dsm-bench");
        return -1;
    }
    for (unsigned i = 0; i < hosts->count; i++) {
        if (pipe2(bench->turns[i], O_CLOEXEC)) {
            perror("dsm-bench");
            bench_close(bench);
            return -1;
        }
    }
    for (unsigned i = 0; i < hosts->count; i++) {
        if (!bench_worker(bench, i, 0)) {
            bench_close(bench);
            return -1;
        }
    }
    return 0;
}

void bench_close(struct bench *bench)
{
    /* The last one first: a worker has what the main process had when it was started. */
    while (bench->count_programs > 0) {
        worker_close(&bench->programs[--bench->count_programs].worker);
    }
    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        for (int end = 0; end < 2; end++) {
            if (bench->turns[i][end] >= 0) {
                close(bench->turns[i][end]);
            }
        }
    }
}

/* The CPUs that the processes of a host may use. Returns false with too few. */
static bool choose_cpus(const struct bench *bench, enum pinning pinning, unsigned host,
                        cpu_set_t *cpus)
{
    unsigned wanted = pinning == PIN_2CPU ? host % 2 : 0;

    if (pinning == PIN_NONE) {
        *cpus = bench->cpus;
        return true;
    }
    CPU_ZERO(cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &bench->cpus) && wanted-- == 0) {
            CPU_SET(cpu, cpus);
            return true;
        }
    }
    return false;
}

static void pin_one(pid_t pid, const cpu_set_t *cpus)
{
    if (pid > 0 && pin_process(pid, cpus)) {
        fprintf(stderr, "dsm-bench: process %d cannot be pinned\n", (int)pid);
    }
}

static void pin_program(const struct bench *bench, const struct program *program)
{
    cpu_set_t cpus;

    if (choose_cpus(bench, bench->pinning, program->host, &cpus)) {
        pin_one(program->worker.pid, &cpus);
        pin_one(program->worker.board->handoff_server, &cpus);
        pin_one(program->worker.board->limit_server, &cpus);
    }
}

int bench_pin(struct bench *bench, enum pinning pinning)
{
    cpu_set_t cpus;

    for (unsigned i = 0; i < bench->hosts->count; i++) {
        if (!choose_cpus(bench, pinning, i, &cpus)) {
            return 1;
        }
    }
    bench->pinning = pinning;
    for (unsigned i = 0; i < bench->hosts->count; i++) {
        choose_cpus(bench, pinning, i, &cpus);
        pin_one(bench->hosts->host[i].agent, &cpus);
    }
    for (unsigned i = 0; i < bench->count_programs; i++) {
        pin_program(bench, &bench->programs[i]);
    }
    return 0;
}

static int start_program_on(struct bench *bench, struct program *program)
{
    const struct hosts *hosts = bench->hosts;
    const struct host *host = &hosts->host[program->host];
    char letter = (char)('a' + (int)program->host);
    struct worker_config config = {
        .socket = host->socket,
        .netns = hosts->one_network ? -1 : host->netns,
        .loopback = hosts->one_network,
        .has_limits = program->number == 0,
        .turn_in = bench->turns[program->host][0],
        .signals_fd = hosts->signals_fd,
    };

    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        config.turn_out[i] = bench->turns[i][1];
    }
    snprintf(config.ca, sizeof(config.ca), "%s/%c/ca.crt", hosts->directory, letter);
    snprintf(config.certificate, sizeof(config.certificate), "%s/%c/node.crt", hosts->directory,
             letter);
    snprintf(config.key, sizeof(config.key), "%s/%c/node.key", hosts->directory, letter);
    return worker_open(&program->worker, &config);
}

struct worker *bench_worker(struct bench *bench, unsigned host, unsigned number)
{
    for (unsigned i = 0; i < bench->count_programs; i++) {
        if (bench->programs[i].host == host && bench->programs[i].number == number) {
            return &bench->programs[i].worker;
        }
    }
    if (host >= bench->hosts->count || number >= PROGRAMS_MAX) {
        fprintf(stderr, "dsm-bench: there is no program %u on host %u\n", number, host);
        return NULL;
    }
    struct program *program = &bench->programs[bench->count_programs];
    *program = (struct program){.host = host, .number = number};
    if (start_program_on(bench, program)) {
        return NULL;
    }
    bench->count_programs++;
    pin_program(bench, program);
    return &program->worker;
}
