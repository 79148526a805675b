/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where /proc is not to be had: nothing for others. */
#define UMASK_UNKNOWN 077u
/* The mask is in its second line. */
#define STATUS_BYTES 1024

void handle_enter(struct handle *handle, struct dsm *dsm, const char *name,
                  const struct reply *reply)
{
    handle->dsm = dsm;
    handle->number = reply->handle;
    handle->id = reply->region;
    handle->previous = NULL;
    (void)snprintf(handle->name, sizeof handle->name, "%s", name);
    (void)pthread_mutex_lock(&dsm->handles_lock);
    handle->next = dsm->handles;
    if (handle->next != NULL) {
        handle->next->previous = handle;
    }
    dsm->handles = handle;
    (void)pthread_mutex_unlock(&dsm->handles_lock);
}

int handle_leave(struct handle *handle)
{
    struct dsm *dsm = handle->dsm;
    struct deed deed = {.verb = "close", .name = handle->name};
    struct call call = {.kind = CALL_CLOSE, .handle = handle->number};

    (void)pthread_mutex_lock(&dsm->handles_lock);
    if (handle->previous != NULL) {
        handle->previous->next = handle->next;
    } else {
        dsm->handles = handle->next;
    }
    if (handle->next != NULL) {
        handle->next->previous = handle->previous;
    }
    (void)pthread_mutex_unlock(&dsm->handles_lock);
    return session_release(dsm, &deed, &call);
}

/* umask(2) tells the mask only by changing it, for all threads at once; /proc just tells it. */
static int umask_read(uint32_t *mask)
{
    int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    char text[STATUS_BYTES];
    const char *line;
    ssize_t len;

    *mask = UMASK_UNKNOWN;
    if (status < 0) {
        /* A file that is there and cannot be had now must not change the mode of an object. */
        return errno == ENOMEM ? DSM_ENOMEM : errno == EMFILE || errno == ENFILE ? DSM_ESYS : 0;
    }
    do {
        len = read(status, text, sizeof text - 1);
    } while (len < 0 && errno == EINTR);
    (void)close(status);
    if (len < 0) {
        return DSM_ESYS;
    }
    text[len] = 0;
    line = strstr(text, "\nUmask:");
    if (line != NULL) {
        *mask = (uint32_t)strtoul(line + strlen("\nUmask:"), NULL, 8);
    }
    return 0;
}

static int name_check(struct dsm *dsm, const char *verb, const char *name)
{
    if (name == NULL) {
        return session_fail(dsm, DSM_ENAME, "%s: the name is NULL", verb);
    }
    if (!record_name_is_valid(name)) {
        return session_fail(dsm, DSM_ENAME, "%s '%.*s'%s: %s", verb, DSM_NAME_MAX, name,
                            strnlen(name, DSM_NAME_MAX + 1) > DSM_NAME_MAX ? "..." : "",
                            dsm_strerror(DSM_ENAME));
    }
    return 0;
}

int object_open(struct dsm *dsm, const char *verb, const char *name, struct call *call,
                struct answer *answer)
{
    struct deed deed = {.verb = verb, .name = name};
    int error = name_check(dsm, verb, name);
    uint32_t mask;

    if (error != 0) {
        return error;
    }
    call->kind = CALL_OPEN;
    (void)snprintf(call->name, sizeof call->name, "%s", name);
    call->mode &= 0777u;
    if ((call->oflag & CALL_OFLAG_CREATE) != 0) {
        error = umask_read(&mask);
        if (error != 0) {
            return session_fail(dsm, error, "%s '%s': the umask cannot be read: %s", verb, name,
                                strerror(errno));
        }
        call->mode &= ~mask;
    }
    error = session_call(dsm, &deed, call, answer);
    if (error == 0 && answer->reply.handle == 0) {
        return session_fail(dsm, DSM_EPROTO, "%s '%s': the agent's answer has no handle", verb,
                            name);
    }
    return error;
}

int object_unlink(struct dsm *dsm, const char *verb, const char *name, uint8_t object)
{
    struct deed deed = {.verb = verb, .name = name};
    struct call call = {.kind = CALL_UNLINK, .object = object};
    int error = name_check(dsm, verb, name);

    if (error != 0) {
        return error;
    }
    (void)snprintf(call.name, sizeof call.name, "%s", name);
    return session_call(dsm, &deed, &call, NULL);
}
