/* SPDX-License-Identifier: Apache-2.0 */
/** What a session keeps of its views (view.h). */
#ifndef DSM_LIB_VIEWS_H
#define DSM_LIB_VIEWS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct view;

/** The views of a session. */
struct views {
    pthread_rwlock_t lock;
    struct view *list;
    _Atomic uint32_t count; /* in the list: where there is none, locks cost nothing more */
    uint32_t last_id;
    bool serving; /* the thread runs */
    bool tells_races;
    _Atomic uint32_t count_told;
    int epoll, stop, pagemap; /* -1: none */
    pthread_t thread;
};

#endif
