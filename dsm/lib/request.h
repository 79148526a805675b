/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Requests to the agent and their answers, over one packet socket. Many threads may have one open
 * each.
 *
 * No thread of its own receives: of the threads that wait, one is the receiver. It hands the
 * answers of the others to them, and when it has its own, makes another one the receiver. So a call
 * that nobody contends switches no threads.
 */
#ifndef DSM_LIB_REQUEST_H
#define DSM_LIB_REQUEST_H

#include <pthread.h>

#include "net/codec.h"

struct waiter;
struct orphan;

/** What came back. */
struct answer {
    struct reply reply;
    uint64_t value, cursor;
    uint32_t count_counters;
    uint64_t counters[SESSION_COUNTERS_MAX];
    int descriptor;           /* returned, close it; -1: none */
    bool descriptor_was_lost; /* one came, and this process had no room for it */
    char text[TEXT_BYTES_MAX];
};

struct requests {
    int socket; /* borrowed, -1 before it is connected */
    pthread_mutex_t lock;
    struct waiter *waiters; /* those without their answer */
    struct orphan *orphans; /* given up, to be undone when the answer comes after all */
    uint64_t last_number;
    bool receiving; /* a thread is the receiver */
    int failed;     /* 0, or why there will be no more answers */
    /* The rest is the receiver's. */
    uint8_t packet[SESSION_PACKET_MAX];
    struct session_reply received;
};

/** Errors: DSM_ESYS. */
int requests_init(struct requests *requests);
/** Nobody may be waiting. */
void requests_close(struct requests *requests);
/** As requests_close() in a forked child, where the lock cannot be trusted. */
void requests_close_in_child(struct requests *requests);

/**
 * Send a request and wait for its answer. Not a cancellation point.
 *
 * @request    its number is set here
 * @descriptor to send along, borrowed, or -1
 * @timeout_ms or negative: for ever
 * @answer     written on success; its reply may tell an error
 *
 * Errors: DSM_ENOAGENT the agent went away
 *         DSM_EPROTO   it sent what is no reply; the session is over
 *         DSM_ETIMEDOUT, DSM_ENOMEM, DSM_ESYS
 */
int requests_ask(struct requests *requests, struct session_request *request, int descriptor,
                 int64_t timeout_ms, struct answer *answer);

/**
 * Send a request that is not answered.
 *
 * @request    its number is set here
 * @timeout_ms for the agent to take it
 *
 * Errors: DSM_ENOAGENT, DSM_ETIMEDOUT, DSM_ESYS
 */
int requests_tell(struct requests *requests, struct session_request *request, int64_t timeout_ms);

/** Make all waiting and later requests fail. @error DSM_E...; the first one stays */
void requests_fail(struct requests *requests, int error);

#endif
