/* SPDX-License-Identifier: Apache-2.0 */
/**
 * job.h: what the kernels have in common: programs that are started once on each host, with a rank
 * each, and work on one region until the answer is there.
 *
 * Use       job_open(), job_memory(); each rank writes its part; job_start(); the work, with
 *           job_barrier() between its steps; job_stop(); rank 0 computes the answer in another way;
 *           job_close(). All of this is plain libdsm: what a job of your own needs is in job.c.
 * Errors    What fails is told on standard error, and the program ends with status 1: the other
 *           ranks then stop at their next barrier, since each wait has a deadline.
 * Placement Rank 0 makes the region, so that all pages have their home on its node unless --striped
 *           is given. Who writes a page owns it from then on, wherever its home is.
 */
#ifndef KERNELS_JOB_H
#define KERNELS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsm.h"

#define JOB_RANKS_MAX 64u
/** Bytes of a page of the region. Parts that begin on a page of their own never share one. */
#define JOB_PAGE_BYTES 4096u

/** What a kernel says of itself; borrowed for the life of the job. */
struct job_about {
    const char *name;
    const char *type;        /* of the region's bytes (dsm_type.h) */
    const char *size_is;     /* what --size counts */
    uint32_t size, size_max; /* the default, and the most */
    uint32_t iterations;     /* the default */
    bool has_iterations;     /* --iterations means something */
};

struct job_book;

struct job {
    const struct job_about *about;
    uint32_t rank, ranks;
    uint32_t size, iterations;
    const char *name;   /* of the region */
    uint32_t page_size; /* of the region, bytes, 0: the default */
    bool is_striped, is_unchecked;
    struct dsm *dsm;
    struct dsm_region *region; /* of the job's memory */
    struct dsm_region *notes;  /* of what the ranks tell each other about the run */
    struct job_book *book;     /* the same, mapped */
    struct dsm_stats before;
    double start_s, busy_s;             /* at job_start(): the clock, and this thread's CPU time */
    double for_cpu_s;                   /* and how long it had waited for a CPU */
    double in_calls_s, busy_in_calls_s; /* of barriers and locks since then */
};

/**
 * Read the arguments and reach the agent. Does not return when they are wrong.
 *
 * @about borrowed for the life of the job
 */
void job_open(struct job *job, int argc, char **argv, const struct job_about *about);
/**
 * Make the region's pages as large as a row, the nearest power of two below, unless --page-size
 * says otherwise: what is read and written together then moves together. Before job_memory().
 */
void job_prefer_pages(struct job *job, uint64_t row_bytes);
/**
 * The job's memory, mapped by every rank; zeros at first. Call it once.
 *
 * Returns the address; released by job_close().
 */
void *job_memory(struct job *job, uint64_t len_bytes);
/** Wait until every rank is here. */
void job_barrier(struct job *job);
/** Take and release the mutex that is named by an offset of the memory. */
void job_lock(struct job *job, uint64_t offset);
void job_unlock(struct job *job, uint64_t offset);
/** This rank's share [first, last) of count things in a row. */
void job_share(const struct job *job, uint32_t count, uint32_t *first, uint32_t *last);
/** Begin the time that is measured, when every rank is here. */
void job_start(struct job *job);
/** End it, when every rank is here. */
void job_stop(struct job *job);
/** Is this the rank that checks the answer? */
bool job_checks(const struct job *job);
/**
 * Rank 0: print the result, one JSON object in a line. All: release what the job had.
 *
 * @is_right what rank 0 found of the answer; of other ranks ignored
 * @checksum a number that depends on all of the answer, of rank 0
 *
 * Returns the exit status: 0, or 1 when the answer was wrong.
 */
int job_close(struct job *job, bool is_right, double checksum);

/** Memory of this process alone, zeros; released with free(). Does not return without memory. */
void *job_private(struct job *job, size_t count, size_t one_bytes);
/** Say what is wrong and end the program. */
_Noreturn void job_fail(struct job *job, const char *what, int error);

#endif
