/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others reach on this machine in the same run, where they are installed: MPI's one-sided
 * calls over TCP (its ranks run on this host's loopback, pinned as the hosts are), and Redis on
 * host A asked from host B. Neither encrypts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/ops.h"
#include "tests/bench/process.h"
#include "tests/bench/wire.h"

#define MPI_TIMEOUT_MS 60000
#define GETS 500u
#define KEYS 256u
#define VALUE_BYTES 4096u
/* "$4096\r\n", the value, "\r\n" */
#define REPLY_BYTES (7u + VALUE_BYTES + 2u)

static void cpu_text(const struct bench *bench, unsigned host, char text[16])
{
    snprintf(text, 16, "%d", bench->pinning == PIN_NONE ? -1 : bench_cpu(bench, host));
}

/* own: samples a launch; MB/s instead of us when own[1] is the bytes of one. */
static int round_mpi(struct run *run)
{
    char program[PATH_BYTES * 2], cpus[2][16], count_text[16];
    uint32_t count = (uint32_t)run->op->own[0];
    double samples[GETS];
    size_t found;

    if (!find_program("dsm-bench-mpi", program, sizeof(program)) ||
        !find_program("mpirun", NULL, 0)) {
        fprintf(stderr, "dsm-bench: %s left out: MPI is not installed\n", run->op->name);
        return RUN_MISSING;
    }
    cpu_text(run->bench, HOST_B, cpus[0]);
    cpu_text(run->bench, HOST_A, cpus[1]);
    snprintf(count_text, sizeof(count_text), "%u", count);
    const char *const argv[] = {
        "mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "2", "--mca", "btl", "tcp,self",
        "--mca", "pml", "ob1", "--mca", "osc", "pt2pt",
        /* Both ranks poll; on one CPU they would not let each other run. */
        "--mca", "mpi_yield_when_idle", run->bench->pinning == PIN_1CPU ? "1" : "0", program,
        run->op->name + strlen("mpi-"), cpus[0], cpus[1], count_text, NULL};
    if (read_numbers(argv, run->bench->hosts->signals_fd, MPI_TIMEOUT_MS, samples, count, &found)) {
        return -1;
    }
    for (size_t i = 0; i < found && run->op->own[1]; i++) {
        samples[i] = (double)run->op->own[1] / samples[i];
    }
    return run_add(run, &run->measured, samples, found);
}

static int receive_line(int fd, char *line, size_t size_bytes)
{
    size_t len = 0;

    while (len + 1 < size_bytes && (len == 0 || line[len - 1] != '\n')) {
        if (wire_receive(fd, line + len, 1, false) != 1) {
            return -1;
        }
        len++;
    }
    line[len] = 0;
    return 0;
}

static int redis_set(int fd, unsigned key)
{
    char head[128], line[64];
    uint8_t value[VALUE_BYTES + 2];
    int len =
        snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$4\r\n%04u\r\n$%u\r\n", key, VALUE_BYTES);

    memset(value, (int)key, VALUE_BYTES);
    memcpy(value + VALUE_BYTES, "\r\n", 2);
    if (write(fd, head, (size_t)len) != len ||
        write(fd, value, sizeof(value)) != (ssize_t)sizeof(value) ||
        receive_line(fd, line, sizeof(line))) {
        return -1;
    }
    return strcmp(line, "+OK\r\n") ? -1 : 0;
}

static int redis_get(int fd, unsigned key)
{
    char order[64];
    uint8_t reply[REPLY_BYTES];
    int len = snprintf(order, sizeof(order), "*2\r\n$3\r\nGET\r\n$4\r\n%04u\r\n", key);
    size_t got = 0;

    if (write(fd, order, (size_t)len) != len) {
        return -1;
    }
    while (got < sizeof(reply)) {
        ssize_t count = wire_receive(fd, reply + got, sizeof(reply) - got, false);

        if (count <= 0) {
            return -1;
        }
        got += (size_t)count;
    }
    return memcmp(reply, "$4096\r\n", 7) || reply[7] != (uint8_t)key ? -1 : 0;
}

/* text: address, a: port. */
static int order_redis(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int fd = wire_connect(order->text, (uint16_t)order->a), error = fd < 0 ? -1 : 0;

    for (unsigned key = 0; key < KEYS && !error; key++) {
        error = redis_set(fd, key);
    }
    for (unsigned i = 0; i < GETS && !error; i++) {
        double begin = clock_us();

        error = redis_get(fd, i * 37 % KEYS);
        hand->samples[i] = clock_us() - begin;
    }
    if (fd >= 0) {
        close(fd);
    }
    outcome->count = GETS;
    return error ? DSM_EDOWN : 0;
}

static int round_redis(struct run *run)
{
    struct order order = {.a = REDIS_PORT};

    if (!find_program("redis-server", NULL, 0)) {
        fprintf(stderr, "dsm-bench: %s left out: redis-server is not installed\n", run->op->name);
        return RUN_MISSING;
    }
    memcpy(order.text, run_worker(run, HOST_A)->board->address, sizeof(order.text));
    if (bench_start_redis(run->bench, order.text) ||
        run_do_program(run, HOST_B, 0, order_redis, &order)) {
        return -1;
    }
    return run_add(run, &run->measured, run_worker(run, HOST_B)->board->samples, GETS);
}

const struct op ops_peers[] = {
    {
        .name = "mpi-get-4k",
        .text = "peer: MPI_Get of 4 KiB over TCP, OpenMPI, both ranks poll",
        .meaning = "A get of 4 KiB by OpenMPI over loopback TCP; both ranks poll, always.",
        .unit = "us",
        .count_hosts = 2,
        .own = {GETS, 0},
        .round = round_mpi,
    },
    {
        .name = "mpi-get-1m",
        .text = "peer: MPI_Get of 1 MiB over TCP",
        .meaning = "Gets of 1 MiB by OpenMPI, one after the other, without encryption.",
        .unit = "MB/s",
        .is_rate = true,
        .count_hosts = 2,
        .own = {100, 1 << 20},
        .round = round_mpi,
    },
    {
        .name = "mpi-get-busy",
        .text = "peer: MPI_Get of 4 KiB while the other rank computes for 0.5 s",
        .meaning = "The same while the other rank computes: it waits until that calls MPI again.",
        .unit = "us",
        .count_hosts = 2,
        .is_once = true,
        .own = {3, 0},
        .round = round_mpi,
    },
    {
        .name = "mpi-fetch-add",
        .text = "peer: MPI_Fetch_and_op over TCP",
        .meaning = "An addition to the other rank's memory by OpenMPI; both ranks poll.",
        .unit = "us",
        .count_hosts = 2,
        .own = {GETS, 0},
        .round = round_mpi,
    },
    {
        .name = "mpi-barrier",
        .text = "peer: MPI_Barrier of two ranks over TCP",
        .meaning = "OpenMPI's barrier of two ranks; both poll.",
        .unit = "us",
        .count_hosts = 2,
        .own = {GETS, 0},
        .round = round_mpi,
    },
    {
        .name = "redis-get-4k",
        .text = "peer: Redis GET of 4 KiB from host A, without TLS",
        .meaning = "A GET of 4 KiB from a Redis server on the other host, without encryption.",
        .unit = "us",
        .count_hosts = 2,
        .round = round_redis,
    },
    {.name = NULL},
};
