/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/process.h"

int bench_open(struct bench *bench, struct hosts *hosts, unsigned rounds)
{
    int turns[2];
    int error = 0;

    *bench = (struct bench){.hosts = hosts, .rounds = rounds};
    bench->worker[0].fd = bench->worker[1].fd = -1;
    if (sched_getaffinity(0, sizeof(bench->cpus), &bench->cpus) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, turns)) {
        perror("dsm-bench");
        return -1;
    }
    for (int i = 0; i < 2 && !error; i++) {
        const struct host *host = &hosts->host[i];
        struct worker_config config = {
            .socket = host->socket,
            .netns = hosts->one_network ? -1 : host->netns,
            .loopback = hosts->one_network,
            .turn_fd = turns[i],
            .signals_fd = hosts->signals_fd,
        };

        snprintf(config.ca, sizeof(config.ca), "%s/%c/ca.crt", hosts->directory, 'a' + i);
        snprintf(config.certificate, sizeof(config.certificate), "%s/%c/node.crt", hosts->directory,
                 'a' + i);
        snprintf(config.key, sizeof(config.key), "%s/%c/node.key", hosts->directory, 'a' + i);
        error = worker_open(&bench->worker[i], &config);
    }
    close(turns[0]);
    close(turns[1]);
    if (!error) {
        struct order order = {.kind = ORDER_CONNECT, .a = bench->worker[0].board->port};
        struct outcome outcome;

        snprintf(order.text, sizeof(order.text), "%s", bench->worker[0].board->address);
        error = worker_tell(&bench->worker[1], &order) || worker_wait(&bench->worker[1], &outcome);
    }
    if (error) {
        bench_close(bench);
        return -1;
    }
    return 0;
}

void bench_close(struct bench *bench)
{
    for (int i = 1; i >= 0; i--) {
        worker_close(&bench->worker[i]);
    }
}

/* The CPUs that the processes of host 0 or 1 may use. Returns false with too few. */
static bool choose_cpus(const struct bench *bench, enum pinning pinning, int host, cpu_set_t *cpus)
{
    int wanted = pinning == PIN_2CPU ? host : 0;

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

int bench_pin(struct bench *bench, enum pinning pinning)
{
    cpu_set_t cpus[2];

    for (int i = 0; i < 2; i++) {
        if (!choose_cpus(bench, pinning, i, &cpus[i])) {
            return 1;
        }
    }
    for (int i = 0; i < 2; i++) {
        const struct worker *worker = &bench->worker[i];
        const pid_t pids[] = {bench->hosts->host[i].agent, worker->pid,
                              worker->board->handoff_server, worker->board->tls_server};

        for (size_t k = 0; k < sizeof(pids) / sizeof(pids[0]); k++) {
            if (pin_process(pids[k], &cpus[i])) {
                fprintf(stderr, "dsm-bench: process %d cannot be pinned\n", (int)pids[k]);
            }
        }
    }
    return 0;
}
