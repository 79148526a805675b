/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/channel.h"

/** A thread that waits for an answer; lives on its stack. */
struct waiter {
    struct waiter *next;
    uint64_t number;
    struct answer *answer;
    bool done;
    pthread_cond_t changed;
};

/** A request whose thread gave up; what it may yet be granted has to be given back. */
struct orphan {
    struct orphan *next;
    uint64_t number;
    struct call call; /* what was asked for, or once that is granted: what gives it back */
    bool is_due;      /* it is the latter */
};

int requests_init(struct requests *requests)
{
    requests->socket = -1;
    requests->waiters = NULL;
    requests->orphans = NULL;
    requests->last_number = 0;
    requests->receiving = false;
    requests->failed = 0;
    return pthread_mutex_init(&requests->lock, NULL) == 0 ? 0 : DSM_ESYS;
}

void requests_close_in_child(struct requests *requests)
{
    while (requests->orphans != NULL) {
        struct orphan *orphan = requests->orphans;

        requests->orphans = orphan->next;
        free(orphan);
    }
}

void requests_close(struct requests *requests)
{
    requests_close_in_child(requests);
    (void)pthread_mutex_destroy(&requests->lock);
}

/* Under the lock. */
static void fail_locked(struct requests *requests, int error)
{
    if (requests->failed == 0) {
        requests->failed = error;
    }
    for (struct waiter *waiter = requests->waiters; waiter != NULL; waiter = waiter->next) {
        (void)pthread_cond_signal(&waiter->changed);
    }
}

void requests_fail(struct requests *requests, int error)
{
    (void)pthread_mutex_lock(&requests->lock);
    fail_locked(requests, error);
    (void)pthread_mutex_unlock(&requests->lock);
}

static int request_send(struct requests *requests, struct session_request *request, int descriptor,
                        int64_t deadline)
{
    uint8_t bytes[SESSION_REQUEST_MAX];
    struct buffer buffer;

    /* On the stack: to give something back must not take memory. */
    buffer_over(&buffer, bytes, sizeof bytes);
    session_request_pack(request, &buffer);
    return buffer.failed ? DSM_EINVAL
                         : channel_send(requests->socket, buffer_data(&buffer), buffer_len(&buffer),
                                        descriptor, deadline);
}

/* By the receiver, without the lock: wait for a packet and unpack it into requests->received. */
static int reply_receive(struct requests *requests, int64_t deadline, struct arrival *arrival)
{
    int error = channel_receive(requests->socket, deadline, requests->packet,
                                sizeof requests->packet, arrival);

    if (error == 0 && arrival->len_bytes > 0 &&
        session_reply_unpack(requests->packet, arrival->len_bytes, &requests->received) != 0) {
        error = DSM_EPROTO;
    }
    if (error != 0 && arrival->descriptor >= 0) {
        (void)close(arrival->descriptor);
        arrival->descriptor = -1;
    }
    return error;
}

/* Its answer came: make its call the one that gives back what was granted. False: nothing was. */
static bool orphan_turn(struct orphan *orphan, const struct reply *reply)
{
    struct call *call = &orphan->call;
    struct call undo = {.timeout_ms = DSM_FOREVER, .handle = call->handle, .offset = call->offset};

    if (reply->error != 0 && reply->error != DSM_EOWNERDEAD) {
        return false;
    }
    if (call->kind == CALL_OPEN) {
        undo.kind = CALL_CLOSE;
        undo.handle = reply->handle;
    } else if (call->kind == CALL_MAP) {
        undo.kind = CALL_UNMAP;
        undo.map = reply->map;
    } else if (call->op == SYNC_LOCK) {
        undo.kind = CALL_SYNC;
        undo.op = SYNC_UNLOCK;
    } else {
        undo.kind = CALL_SYNC;
        undo.op = SYNC_SEM_POST;
    }
    orphan->call = undo;
    orphan->is_due = true;
    return true;
}

/* Under the lock: send what is due; nobody waits for the answers. What cannot be sent now stays. */
static void orphans_settle(struct requests *requests)
{
    struct orphan **link = &requests->orphans;

    while (*link != NULL) {
        struct orphan *orphan = *link;
        struct session_request request = {.kind = SESSION_CALL, .call = orphan->call};
        int error = DSM_EAGAIN;

        if (orphan->is_due) {
            request.number = ++requests->last_number;
            error = request_send(requests, &request, -1, clock_ms());
        }
        if (error == 0 || error == DSM_ENOAGENT) {
            *link = orphan->next;
            free(orphan);
        } else {
            link = &orphan->next;
        }
    }
}

static bool leaves_something(const struct session_request *request)
{
    const struct call *call = &request->call;

    return request->kind == SESSION_CALL &&
           (call->kind == CALL_OPEN || call->kind == CALL_MAP ||
            (call->kind == CALL_SYNC && (call->op == SYNC_LOCK || call->op == SYNC_SEM_WAIT)));
}

/* Under the lock. @orphan given, or NULL */
static void orphan_add(struct requests *requests, const struct session_request *request,
                       struct orphan *orphan)
{
    if (orphan != NULL) {
        orphan->number = request->number;
        orphan->call = request->call;
        orphan->is_due = false;
        orphan->next = requests->orphans;
        requests->orphans = orphan;
    }
}

static void waiter_remove(struct requests *requests, struct waiter *waiter)
{
    struct waiter **link = &requests->waiters;

    while (*link != NULL && *link != waiter) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = waiter->next;
    }
}

/* Under the lock. Writes all of the answer but its descriptor. */
static void answer_fill(const struct session_reply *received, struct answer *answer)
{
    size_t len = received->text_bytes;

    answer->reply = received->reply;
    answer->value = received->value;
    answer->cursor = received->cursor;
    answer->count_counters = received->count_counters;
    memcpy(answer->counters, received->counters, sizeof answer->counters);
    if (len >= sizeof answer->text) {
        len = sizeof answer->text - 1;
    }
    memcpy(answer->text, received->text, len);
    answer->text[len] = 0;
}

/* Under the lock: hand what the receiver got to whom it is for. */
static void arrival_dispatch(struct requests *requests, const struct arrival *arrival)
{
    uint64_t number = requests->received.number;
    struct orphan **link = &requests->orphans;

    for (struct waiter *waiter = requests->waiters; waiter != NULL; waiter = waiter->next) {
        if (waiter->number == number) {
            answer_fill(&requests->received, waiter->answer);
            waiter->answer->descriptor = arrival->descriptor;
            waiter->answer->descriptor_was_lost = arrival->descriptor_was_lost;
            waiter->done = true;
            waiter_remove(requests, waiter);
            (void)pthread_cond_signal(&waiter->changed);
            return;
        }
    }
    if (arrival->descriptor >= 0) {
        (void)close(arrival->descriptor);
    }
    while (*link != NULL && ((*link)->is_due || (*link)->number != number)) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        struct orphan *orphan = *link;

        if (!orphan_turn(orphan, &requests->received.reply)) {
            *link = orphan->next;
            free(orphan);
        }
        orphans_settle(requests);
    }
}

/* Under the lock, which it lets go while it waits: be the receiver for one packet. */
static void receive_turn(struct requests *requests, int64_t deadline)
{
    struct arrival arrival;
    int error;

    requests->receiving = true;
    (void)pthread_mutex_unlock(&requests->lock);
    error = reply_receive(requests, deadline, &arrival);
    if (error != 0) {
        /* No answer will come any more, so no page may either: the watchdog sees the hang-up and
         * fences. */
        (void)shutdown(requests->socket, SHUT_RDWR);
    }
    (void)pthread_mutex_lock(&requests->lock);
    requests->receiving = false;
    if (error != 0) {
        fail_locked(requests, error);
    } else if (arrival.len_bytes > 0) {
        arrival_dispatch(requests, &arrival);
    }
}

/* Under the lock: wait until somebody else's turn is over. */
static void waiter_sleep(struct requests *requests, struct waiter *waiter, int64_t deadline)
{
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000),
                             .tv_nsec = (long)(deadline % 1000) * 1000000};

    if (deadline == INT64_MAX) {
        (void)pthread_cond_wait(&waiter->changed, &requests->lock);
    } else {
        (void)pthread_cond_timedwait(&waiter->changed, &requests->lock, &until);
    }
}

static int answer_await(struct requests *requests, struct waiter *waiter, int64_t deadline)
{
    int error = 0;

    while (!waiter->done && error == 0) {
        if (requests->failed != 0) {
            error = requests->failed;
        } else if (deadline != INT64_MAX && clock_ms() >= deadline) {
            error = DSM_ETIMEDOUT;
        } else if (requests->receiving) {
            waiter_sleep(requests, waiter, deadline);
        } else {
            receive_turn(requests, deadline);
        }
    }
    if (!waiter->done) {
        waiter_remove(requests, waiter);
    }
    if (!requests->receiving && requests->waiters != NULL) {
        (void)pthread_cond_signal(&requests->waiters->changed);
    }
    return waiter->done ? 0 : error;
}

static int waiter_init(struct waiter *waiter)
{
    pthread_condattr_t attributes;
    int error = 0;

    if (pthread_condattr_init(&attributes) != 0) {
        return DSM_ESYS;
    }
    if (pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&waiter->changed, &attributes) != 0) {
        error = DSM_ESYS;
    }
    (void)pthread_condattr_destroy(&attributes);
    return error;
}

/* The waiter is entered before the request is sent: the answer may come to another thread at once.
 */
static int ask(struct requests *requests, struct session_request *request, int descriptor,
               int64_t deadline, struct answer *answer, struct orphan **orphan)
{
    struct waiter waiter = {.answer = answer};
    int error = waiter_init(&waiter);

    if (error != 0) {
        return error;
    }
    answer->descriptor = -1;
    (void)pthread_mutex_lock(&requests->lock);
    orphans_settle(requests);
    request->number = ++requests->last_number;
    waiter.number = request->number;
    waiter.next = requests->waiters;
    requests->waiters = &waiter;
    (void)pthread_mutex_unlock(&requests->lock);

    error = request_send(requests, request, descriptor, deadline);

    (void)pthread_mutex_lock(&requests->lock);
    if (error == 0) {
        error = answer_await(requests, &waiter, deadline);
        if (error == DSM_ETIMEDOUT) {
            orphan_add(requests, request, *orphan);
            *orphan = NULL;
        }
    } else {
        error = requests->failed != 0 ? requests->failed : error;
        waiter_remove(requests, &waiter);
        if (!requests->receiving && requests->waiters != NULL) {
            (void)pthread_cond_signal(&requests->waiters->changed);
        }
    }
    (void)pthread_mutex_unlock(&requests->lock);
    (void)pthread_cond_destroy(&waiter.changed);
    return error;
}

int requests_ask(struct requests *requests, struct session_request *request, int descriptor,
                 int64_t timeout_ms, struct answer *answer)
{
    struct orphan *orphan = NULL;
    int state, error;

    /* Taken before anything is asked for: a lock that is granted to nobody, and cannot be given
     * back for want of memory, would be held until the session ends. */
    if (leaves_something(request)) {
        orphan = malloc(sizeof *orphan);
        if (orphan == NULL) {
            return DSM_ENOMEM;
        }
    }
    /* A thread that is cancelled in here would leave its waiter in the list. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    error = ask(requests, request, descriptor, deadline_after(timeout_ms), answer, &orphan);
    (void)pthread_setcancelstate(state, NULL);
    free(orphan);
    return error;
}

int requests_tell(struct requests *requests, struct session_request *request, int64_t timeout_ms)
{
    int state, error;

    (void)pthread_mutex_lock(&requests->lock);
    request->number = ++requests->last_number;
    error = requests->failed;
    (void)pthread_mutex_unlock(&requests->lock);
    if (error != 0) {
        return error;
    }
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    error = request_send(requests, request, -1, deadline_after(timeout_ms));
    (void)pthread_setcancelstate(state, NULL);
    return error;
}
