/* SPDX-License-Identifier: Apache-2.0 */
/** A session with the agent of this node: the socket, what hangs on it, and the handles of objects.
 */
#ifndef DSM_LIB_SESSION_H
#define DSM_LIB_SESSION_H

#include <sys/un.h>

#include "dsm.h"
#include "dsm/lib/error.h"
#include "dsm/lib/fault.h"
#include "dsm/lib/request.h"
#include "dsm/lib/space.h"
#include "dsm/lib/tokens.h"
#include "dsm/lib/views.h"
#include "dsm/lib/watchdog.h"

/** How long the agent may take for what waits for nobody else. */
#define SESSION_TIMEOUT_MS 30000

/** What regions and semaphores have in common; the first member of both. */
struct handle {
    struct handle *next, *previous; /* of the session */
    struct dsm *dsm;
    uint64_t number; /* the agent's */
    region_id id;
    char name[RECORD_NAME_BYTES];
};

struct dsm_region {
    struct handle handle;
    bool writable;
    _Atomic bool sealed; /* through this handle, which was a writable one */
    uint32_t page_size;
    struct tokens tokens;
    _Atomic uint64_t size_bytes; /* as last heard; a region never shrinks */
};

struct dsm_sem {
    struct handle handle;
};

struct dsm {
    pid_t pid;           /* the process that connected */
    uint64_t page_bytes; /* of the hardware */
    int socket;
    char node_name[RECORD_NAME_BYTES];
    struct sockaddr_un address;
    struct fault fault;
    struct space space;
    struct views views;
    struct watchdog watchdog;
    struct requests requests;
    struct pulse pulse;
    pthread_mutex_t handles_lock;
    struct handle *handles;
    pthread_mutex_t text_lock;
    char text[TEXT_BYTES_MAX]; /* dsm_last_error() */
};

/** Set the sentence of dsm_last_error() to a format's text. Returns error. */
int session_fail(struct dsm *dsm, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** As session_fail() with the general sentence on a deed. */
int session_fail_deed(struct dsm *dsm, int error, const struct deed *deed);

/**
 * May this process use the session? Errors: DSM_EINVAL it was forked from the one that connected.
 */
int session_check(struct dsm *dsm);

/**
 * Ask the agent, and make the sentence when it fails.
 *
 * @deed    what for, borrowed
 * @request borrowed
 * @descriptor to send along, borrowed, or -1
 * @answer  written on success, and when the reply tells an error; has a descriptor only after a
 *          successful HELLO, MAP or TOKENS
 *
 * Returns 0, or the error of the reply or of requests_ask().
 */
int session_ask(struct dsm *dsm, const struct deed *deed, struct session_request *request,
                int descriptor, int64_t timeout_ms, struct answer *answer);
/**
 * session_ask() with a call whose answer waits for nobody else.
 *
 * @answer may be NULL
 */
int session_call(struct dsm *dsm, const struct deed *deed, const struct call *call,
                 struct answer *answer);

/**
 * session_call() with one that gives something back, of which nothing is left here. When this
 * process is short of what it takes to ask, it waits and tries again for a while: the agent would
 * keep the thing for as long as the session lasts.
 */
int session_release(struct dsm *dsm, const struct deed *deed, const struct call *call);

/**
 * Tell the agent what it does not answer. Errors: DSM_EINVAL as session_check(), DSM_ENOAGENT,
 * DSM_ETIMEDOUT it does not read.
 */
int session_tell(struct dsm *dsm, const struct deed *deed, const struct call *call);

/** Enter a handle into the session. */
void handle_enter(struct handle *handle, struct dsm *dsm, const char *name,
                  const struct reply *reply);
/** Take it out, and tell the agent. The caller frees it. Errors: as session_call(). */
int handle_leave(struct handle *handle);

/**
 * Open an object of the catalog: checks the name, applies the umask.
 *
 * @verb "open region"
 * @call with all but name and kind set
 */
int object_open(struct dsm *dsm, const char *verb, const char *name, struct call *call,
                struct answer *answer);
/** Note a size that the agent told; answers may come out of order, and a region never shrinks. */
void region_size_note(struct dsm_region *region, uint64_t size_bytes);
/** Remove an object's name. @object RECORD_REGION or RECORD_SEM */
int object_unlink(struct dsm *dsm, const char *verb, const char *name, uint8_t object);

#endif
