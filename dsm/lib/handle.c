/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where /proc is not to be had: nothing for others. */
#define UMASK_UNKNOWN 077u

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
    return session_call(dsm, &deed, &call, NULL);
}

/* umask(2) tells the mask only by changing it, for all threads at once; /proc just tells it. */
static uint32_t umask_read(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    uint32_t mask = UMASK_UNKNOWN;
    char line[256];

    if (status == NULL) {
        return mask;
    }
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "Umask:", 6) == 0) {
            mask = (uint32_t)strtoul(line + 6, NULL, 8);
            break;
        }
    }
    (void)fclose(status);
    return mask;
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

    if (error != 0) {
        return error;
    }
    call->kind = CALL_OPEN;
    (void)snprintf(call->name, sizeof call->name, "%s", name);
    call->mode &= 0777u;
    if ((call->oflag & CALL_OFLAG_CREATE) != 0) {
        call->mode &= ~umask_read();
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
