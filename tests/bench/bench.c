/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/process.h"

#define REDIS_START_MS 5000

const char *pinning_name(enum pinning pinning)
{
    static const char *const names[PIN_COUNT] = {"1cpu", "2cpu", "none"};

    return names[pinning];
}

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
    if (bench->redis > 0) {
        end_child(bench->redis);
        close(bench->redis_out);
        bench->redis = 0;
    }
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

/* Returns -1 with too few. */
static int choose_cpu(const struct bench *bench, enum pinning pinning, unsigned host)
{
    unsigned wanted = pinning == PIN_2CPU ? host % 2 : 0;

    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &bench->cpus) && wanted-- == 0) {
            return cpu;
        }
    }
    return -1;
}

int bench_cpu(const struct bench *bench, unsigned host)
{
    return choose_cpu(bench, bench->pinning, host);
}

/* The CPUs that the processes of a host may use. Returns false with too few. */
static bool choose_cpus(const struct bench *bench, enum pinning pinning, unsigned host,
                        cpu_set_t *cpus)
{
    int cpu = choose_cpu(bench, pinning, host);

    if (pinning == PIN_NONE) {
        *cpus = bench->cpus;
        return true;
    }
    CPU_ZERO(cpus);
    if (cpu >= 0) {
        CPU_SET(cpu, cpus);
    }
    return cpu >= 0;
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
    choose_cpus(bench, pinning, 0, &cpus);
    pin_one(bench->redis, &cpus);
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

/* Read what a program prints until it has said the word. */
static int wait_for_word(int fd, int signals_fd, const char *word)
{
    char text[4096] = "";
    size_t len = 0;

    while (!strstr(text, word)) {
        if (wait_readable(fd, signals_fd, REDIS_START_MS) != 1) {
            return -1;
        }
        ssize_t count = read(fd, text + len, sizeof(text) - len - 1);
        if (count <= 0) {
            return -1;
        }
        len += (size_t)count;
        text[len] = 0;
    }
    return 0;
}

int bench_start_redis(struct bench *bench, const char *address)
{
    const struct hosts *hosts = bench->hosts;
    char port[16];
    cpu_set_t cpus;

    snprintf(port, sizeof(port), "%d", REDIS_PORT);
    const char *const argv[] = {"redis-server",
                                "--bind",
                                address,
                                "--port",
                                port,
                                "--save",
                                "",
                                "--appendonly",
                                "no",
                                "--daemonize",
                                "no",
                                "--dir",
                                hosts->directory,
                                "--protected-mode",
                                "no",
                                NULL};
    if (bench->redis > 0) {
        return 0;
    }
    if (start_program_piped(argv, hosts->one_network ? -1 : hosts->host[0].netns, &bench->redis,
                            &bench->redis_out) ||
        wait_for_word(bench->redis_out, hosts->signals_fd, "Ready to accept")) {
        fprintf(stderr, "dsm-bench: redis-server does not start\n");
        return -1;
    }
    if (choose_cpus(bench, bench->pinning, 0, &cpus)) {
        pin_one(bench->redis, &cpus);
    }
    return 0;
}
