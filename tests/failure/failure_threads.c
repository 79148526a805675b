/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, their locks, and the one function that is every system call. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/failure/failure_state.h"

/** One that returns its error. */
#define THREAD(name, parameters, arguments)                                                        \
    int name parameters                                                                            \
    {                                                                                              \
        int number = failure_take(#name, FAILURE_THREAD, 0);                                       \
                                                                                                   \
        return number != 0 ? number : REAL(name) arguments;                                        \
    }

THREAD(pthread_attr_init, (pthread_attr_t * attributes), (attributes))
THREAD(pthread_condattr_init, (pthread_condattr_t * attributes), (attributes))
THREAD(pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes),
       (mutex, attributes))
THREAD(pthread_cond_init,
       (pthread_cond_t *__restrict condition, const pthread_condattr_t *__restrict attributes),
       (condition, attributes))

/** What a new thread is given: it is exempt if the thread that started it is. */
struct start {
    void *(*run)(void *);
    void *argument;
    bool is_exempt;
};

static void *start_run(void *argument)
{
    struct start *start = argument;
    struct start copy = *start;

    REAL(free)(start);
    failure_exempt(copy.is_exempt);
    return copy.run(copy.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    int number = failure_take("pthread_create", FAILURE_THREAD, 0);
    struct start *start;

    if (number != 0) {
        return number;
    }
    start = REAL(malloc)(sizeof *start);
    if (start == NULL) {
        return EAGAIN;
    }
    *start = (struct start){.run = run, .argument = argument, .is_exempt = failure_is_exempt()};
    number = REAL(pthread_create)(thread, attributes, start_run, start);
    if (number != 0) {
        REAL(free)(start);
    }
    return number;
}

int sem_init(sem_t *semaphore, int is_shared, unsigned value)
{
    int number = failure_take("sem_init", FAILURE_THREAD, 0);

    if (number != 0) {
        errno = number;
        return -1;
    }
    return REAL(sem_init)(semaphore, is_shared, value);
}

int sem_wait(sem_t *semaphore)
{
    int number = failure_take("sem_wait", FAILURE_INTERRUPT, 0);

    if (number != 0) {
        errno = number;
        return -1;
    }
    return REAL(sem_wait)(semaphore);
}

/* Of all that go through here, those that make a descriptor have no function of their own. */
long syscall(long number, ...)
{
    long words[6];
    int taken = number == SYS_userfaultfd ? failure_take("userfaultfd", FAILURE_DESCRIPTOR, 0) : 0;
    va_list rest;

    if (taken != 0) {
        errno = taken;
        return -1;
    }
    va_start(rest, number);
    for (int i = 0; i < 6; i++) {
        words[i] = va_arg(rest, long);
    }
    va_end(rest);
    return REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
