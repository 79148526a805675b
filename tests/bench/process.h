/* SPDX-License-Identifier: Apache-2.0 */
/** Processes that the benchmark starts, pins and ends, and waits that a signal breaks off. */
#ifndef DSM_BENCH_PROCESS_H
#define DSM_BENCH_PROCESS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Microseconds of the monotonic clock, the same for all processes of this machine. */
double clock_us(void);

/**
 * Block the signals that end the benchmark and make a descriptor that tells of them.
 *
 * Returns the descriptor, or -1.
 */
int signals_open(void);
/** In a child: let signals through again, and die with the parent. */
void child_prepare(int death_signal);

/**
 * Wait until a descriptor is readable, a signal came, or the time is over.
 *
 * @fd         -1 to wait for the time only
 * @signals_fd of signals_open(), or -1
 *
 * Returns 1 when fd is readable, 0 when the time is over, -1 after a signal.
 */
int wait_readable(int fd, int signals_fd, int timeout_ms);

/**
 * Find a program: one of this build (in ../agent or here, seen from this program's folder), else
 * one that the shell would find.
 *
 * @path written on success; NULL when nobody wants to know
 */
bool find_program(const char *name, char *path, size_t size_bytes);
/**
 * Run a program to its end.
 *
 * @netns  a network namespace to run it in, or -1
 * @quiet  its standard output goes to /dev/null
 *
 * Returns 0 when it exits with status 0; else -1 after a line on standard error.
 */
int run_program(const char *const *argv, int netns, bool quiet);
/**
 * Start a program.
 *
 * @netns    as above
 * @log_path where its standard error and output go
 * @pid      written on success
 *
 * Returns 0 or -1.
 */
int start_program(const char *const *argv, int netns, const char *log_path, pid_t *pid);
/**
 * The same; its standard output is read from a descriptor.
 *
 * @out written on success; the caller closes it
 */
int start_program_piped(const char *const *argv, int netns, pid_t *pid, int *out);
/**
 * Run a program to its end and read what it prints: numbers, one on each line. A signal or the time
 * ends it early.
 *
 * @numbers room for size
 * @count   written on success, at least 1
 *
 * Returns 0; or -1 after a line on standard error.
 */
int read_numbers(const char *const *argv, int signals_fd, int timeout_ms, double *numbers,
                 size_t size, size_t *count);
/** End a child in good order: SIGTERM, after 5 s SIGKILL. Returns its wait status, -1 when unknown.
 */
int end_child(pid_t pid);
/**
 * Let a child come to its end: a signal if it is not 0, then wait; after the time end_child().
 *
 * Returns its wait status, -1 when unknown.
 */
int finish_child(pid_t pid, int signal, int timeout_ms);
/** Has the child ended (it stays to be waited for)? */
bool child_has_ended(pid_t pid);

/** Put all threads of a process on these CPUs. Returns 0 or -1. */
int pin_process(pid_t pid, const cpu_set_t *cpus);
/** Bytes of a process's anonymous resident memory, 0 when unknown. */
uint64_t process_anonymous_bytes(pid_t pid);
/** Touch as much memory and give it back, so that this machine has it from the one that it runs on:
 * memory that was idle for long may have to be fetched there first. */
void memory_warm(uint64_t len_bytes);
/** Remove a directory with all that is in it; errors are not told. */
void remove_tree(const char *path);

#endif
