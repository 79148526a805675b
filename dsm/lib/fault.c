/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dsm.h"

static const struct fault_ops *const best_first[] = {
    &fault_device_ops,
    &fault_call_ops,
    &fault_user_ops,
    &fault_segv_ops,
};
#define COUNT_OPS (sizeof best_first / sizeof best_first[0])

int fault_init(struct fault *fault, int device, int socket)
{
    *fault = (struct fault){.device = device, .socket = socket};
    return pthread_mutex_init(&fault->lock, NULL) == 0 ? 0 : DSM_ESYS;
}

static void __attribute__((format(printf, 2, 3))) why_add(char *why, const char *format, ...)
{
    size_t len = strlen(why);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why + len, SESSION_WHY_BYTES - len, format, arguments);
    va_end(arguments);
}

/* 0 when the program leaves it to us. */
static int wish_read(uint32_t *wish, char *text)
{
    const char *word = getenv("DSM_FAULTS");

    *wish = 0;
    if (word == NULL || word[0] == 0) {
        return 0;
    }
    for (uint32_t backend = SESSION_USERFAULTFD; backend < SESSION_BACKENDS; backend++) {
        if (strcmp(word, session_backend_name(backend)) == 0) {
            *wish = backend;
            return 0;
        }
    }
    (void)snprintf(text, TEXT_BYTES_MAX,
                   "DSM_FAULTS is '%.64s'; it may be userfaultfd, user-mode or sigsegv, or unset",
                   word);
    return DSM_EINVAL;
}

/* Under the lock. */
static int choose(struct fault *fault, char *text)
{
    char why[SESSION_WHY_BYTES];
    uint32_t wish;
    int error = wish_read(&wish, text);

    if (error != 0) {
        return error;
    }
    fault->why[0] = 0;
    if (wish != 0) {
        why_add(fault->why, "DSM_FAULTS is '%s'", session_backend_name(wish));
    }
    error = DSM_ENOTSUP;
    for (size_t i = 0; i < COUNT_OPS; i++) {
        if (wish != 0 && best_first[i]->backend != wish) {
            continue;
        }
        error = best_first[i]->open(fault, why);
        if (error == 0) {
            fault->ops = best_first[i];
            return 0;
        }
        why_add(fault->why, "%s%s", fault->why[0] != 0 ? "; " : "", why);
        /* What fails for want of something may be had a moment later: no reason for a worse one. */
        if (error != DSM_ENOTSUP && error != DSM_EPERM) {
            break;
        }
    }
    (void)snprintf(text, TEXT_BYTES_MAX,
                   "no way to watch it for faults: %s; `dsmctl doctor` "
                   "checks this machine",
                   fault->why);
    return error;
}

int fault_choose(struct fault *fault, char *text)
{
    int error = 0;

    (void)pthread_mutex_lock(&fault->lock);
    if (fault->ops == NULL) {
        error = choose(fault, text);
    }
    (void)pthread_mutex_unlock(&fault->lock);
    return error;
}

static void close_all(struct fault *fault, bool in_child)
{
    if (fault->ops != NULL) {
        fault->ops->close(fault, in_child);
        fault->ops = NULL;
    }
    if (fault->device >= 0) {
        (void)close(fault->device);
        fault->device = -1;
    }
}

void fault_close(struct fault *fault)
{
    close_all(fault, false);
    (void)pthread_mutex_destroy(&fault->lock);
}

void fault_close_in_child(struct fault *fault)
{
    close_all(fault, true);
}
