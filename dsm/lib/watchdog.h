/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One thread that waits for the agent to hang up. It receives nothing: it only looks at the state
 * of the socket, so it is asleep for as long as the agent lives, whatever the other threads do.
 */
#ifndef DSM_LIB_WATCHDOG_H
#define DSM_LIB_WATCHDOG_H

#include <pthread.h>
#include <semaphore.h>

/** Whom to tell. */
struct watchdog_events {
    void *context;
    /** The agent hung up; called once at most, in the watchdog's thread. */
    void (*on_gone)(void *context);
};

struct watchdog {
    pthread_t thread;
    int stop; /* eventfd */
    sem_t running;
    int socket;
    struct watchdog_events events;
};

/**
 * Start the thread, with all signals blocked. It runs when this returns: a fork() after that finds
 * it asleep, holding no lock of anybody.
 *
 * @socket borrowed until watchdog_stop()
 * @events borrowed until return
 *
 * Errors: DSM_ESYS no thread or no descriptor can be had
 */
int watchdog_start(struct watchdog *watchdog, int socket, const struct watchdog_events *events);
/** End the thread; after it, on_gone is not called any more. */
void watchdog_stop(struct watchdog *watchdog);
/** As watchdog_stop() in a forked child, where the thread does not exist. */
void watchdog_close_in_child(struct watchdog *watchdog);

#endif
