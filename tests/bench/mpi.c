/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm-bench-mpi: what dsm-bench compares with MPI, as a program of two ranks. It is started by
 * dsm-bench through mpirun:
 *
 *     dsm-bench-mpi OPERATION CPU_OF_RANK_0 CPU_OF_RANK_1 COUNT
 *
 * A CPU of -1 is any. Rank 0 measures and prints COUNT lines, microseconds each.
 */
#include <mpi.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW_BYTES (64 << 20)
#define BUSY_US 500e3

/** What both ranks have. */
struct rank {
    int number;
    uint8_t *window_bytes, *bytes;
    MPI_Win window;
};

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Each at another place of the other's window, in no order. */
static void get(struct rank *rank, size_t index, size_t len_bytes)
{
    size_t pieces = WINDOW_BYTES / len_bytes;
    size_t piece = (uint32_t)(index * 2654435761u) % pieces;

    MPI_Get(rank->bytes, (int)len_bytes, MPI_BYTE, 1, (MPI_Aint)(piece * len_bytes), (int)len_bytes,
            MPI_BYTE, rank->window);
    MPI_Win_flush(1, rank->window);
}

static void get_4k(struct rank *rank, size_t index)
{
    get(rank, index, 4096);
}

static void get_1m(struct rank *rank, size_t index)
{
    get(rank, index, 1 << 20);
}

static void fetch_add(struct rank *rank, size_t index)
{
    uint64_t one = 1, old;

    (void)index;
    MPI_Fetch_and_op(&one, &old, MPI_UINT64_T, 1, 0, MPI_SUM, rank->window);
    MPI_Win_flush(1, rank->window);
}

static void barrier(struct rank *rank, size_t index)
{
    (void)rank;
    (void)index;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void compute(void)
{
    double end_us = now_us() + BUSY_US;
    volatile uint64_t sum = 0;

    while (now_us() < end_us) {
        sum = sum * 3 + 1;
    }
}

static const struct {
    const char *name;
    void (*one)(struct rank *rank, size_t index);
    bool both;    /* both ranks do it */
    bool is_busy; /* the other rank computes meanwhile, without a call of MPI */
} operations[] = {
    {"get-4k", get_4k, false, false},  {"get-1m", get_1m, false, false},
    {"get-busy", get_4k, false, true}, {"fetch-add", fetch_add, false, false},
    {"barrier", barrier, true, false},
};

static void measure(struct rank *rank, size_t operation, size_t count, double *samples)
{
    bool is_one_sided = !operations[operation].both;

    if (rank->number == 0 && is_one_sided) {
        MPI_Win_lock(MPI_LOCK_SHARED, 1, 0, rank->window);
    }
    for (size_t i = 0; i < count; i++) {
        if (operations[operation].is_busy) {
            MPI_Barrier(MPI_COMM_WORLD);
        }
        double begin_us = now_us();
        if (rank->number == 0 || operations[operation].both) {
            operations[operation].one(rank, i);
        } else if (operations[operation].is_busy) {
            compute();
        }
        samples[i] = now_us() - begin_us;
    }
    if (rank->number == 0 && is_one_sided) {
        MPI_Win_unlock(1, rank->window);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void pin(const char *cpu_text)
{
    long cpu = strtol(cpu_text, NULL, 10);
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    if (cpu >= 0 && cpu < CPU_SETSIZE) {
        CPU_SET((size_t)cpu, &cpus);
        if (sched_setaffinity(0, sizeof(cpus), &cpus)) {
            perror("dsm-bench-mpi: sched_setaffinity");
        }
    }
}

int main(int argc, char **argv)
{
    struct rank rank = {0};
    size_t operation = 0, count;
    const size_t count_operations = sizeof(operations) / sizeof(operations[0]);

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank.number);
    while (argc == 5 && operation < count_operations &&
           strcmp(operations[operation].name, argv[1]) != 0) {
        operation++;
    }
    count = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    double *samples = calloc(count + 1, sizeof(*samples));
    rank.bytes = calloc(1, 1 << 20);
    if (count == 0 || operation == count_operations || !samples || !rank.bytes) {
        fprintf(stderr, "usage: dsm-bench-mpi OPERATION CPU CPU COUNT\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
        return 2;
    }
    pin(argv[2 + rank.number % 2]);
    MPI_Win_allocate(WINDOW_BYTES, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &rank.window_bytes,
                     &rank.window);
    memset(rank.window_bytes, 1, WINDOW_BYTES);
    MPI_Barrier(MPI_COMM_WORLD);
    /* The first ones make connections. */
    measure(&rank, operation, operations[operation].is_busy ? 1 : count / 10 + 1, samples);
    measure(&rank, operation, count, samples);
    for (size_t i = 0; i < count && rank.number == 0; i++) {
        printf("%.3f\n", samples[i]);
    }
    MPI_Win_free(&rank.window);
    MPI_Finalize();
    free(samples);
    free(rank.bytes);
    return 0;
}
