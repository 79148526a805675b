/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>

#include "dsm/lib/session.h"
#include "dsm/lib/sync.h"

int dsm_sem_open(struct dsm *dsm, const char *name, int oflag, mode_t mode, uint32_t value,
                 struct dsm_sem **sem)
{
    struct call call = {
        .object = RECORD_SEM,
        .mode = mode,
        .value = value,
        .oflag = (uint8_t)(CALL_OFLAG_WRITE | (oflag & O_CREAT ? CALL_OFLAG_CREATE : 0) |
                           (oflag & O_EXCL ? CALL_OFLAG_EXCLUSIVE : 0)),
    };
    const char *shown = name != NULL ? name : "";
    struct dsm_sem *new;
    struct answer answer;
    int error;

    if ((oflag & ~(O_CREAT | O_EXCL)) != 0) {
        return session_fail(dsm, DSM_EINVAL,
                            "open semaphore '%.255s': flags 0x%x; use 0, or any of O_CREAT, O_EXCL",
                            shown, (unsigned)oflag);
    }
    if ((oflag & O_CREAT) != 0 && value > INT32_MAX) {
        return session_fail(dsm, DSM_EINVAL,
                            "open semaphore '%.255s': value %u; it may be %d at most", shown, value,
                            INT32_MAX);
    }
    new = calloc(1, sizeof *new);
    if (new == NULL) {
        return session_fail(dsm, DSM_ENOMEM, "open semaphore '%.255s': out of memory", shown);
    }
    error = object_open(dsm, "open semaphore", name, &call, &answer);
    if (error != 0) {
        free(new);
        return error;
    }
    handle_enter(&new->handle, dsm, name, &answer.reply);
    *sem = new;
    return 0;
}

int dsm_sem_wait(struct dsm_sem *sem, int64_t timeout_ms)
{
    struct sync_wish wish = {
        .verb = "wait for semaphore", .op = SYNC_SEM_WAIT, .timeout_ms = timeout_ms};

    return sync_wait_acquired(&sem->handle, &wish);
}

int dsm_sem_post(struct dsm_sem *sem)
{
    struct sync_wish wish = {.verb = "post semaphore", .op = SYNC_SEM_POST};

    return sync_do_released(&sem->handle, &wish);
}

int dsm_sem_value(struct dsm_sem *sem, uint32_t *value)
{
    struct sync_wish wish = {.verb = "read semaphore", .op = SYNC_SEM_VALUE};
    uint64_t found;
    int error = sync_do(&sem->handle, &wish, &found);

    if (error == 0) {
        *value = (uint32_t)found;
    }
    return error;
}

int dsm_sem_close(struct dsm_sem *sem)
{
    int error;

    if (sem == NULL) {
        return 0;
    }
    error = handle_leave(&sem->handle);
    free(sem);
    return error;
}

int dsm_sem_unlink(struct dsm *dsm, const char *name)
{
    return object_unlink(dsm, "unlink semaphore", name, RECORD_SEM);
}
