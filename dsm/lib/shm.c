/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm/lib/mapping.h"
#include "dsm/core/type.h"
#include "dsm/lib/session.h"
#include "dsm_advice.h"
#include "dsm_seal.h"

static int oflag_translate(struct dsm *dsm, const char *name, int oflag, struct call *call)
{
    const int known = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC;
    int access = oflag & O_ACCMODE;

    if ((oflag & ~known) != 0 || (access != O_RDONLY && access != O_RDWR)) {
        return session_fail(dsm, DSM_EINVAL,
                            "open region '%.255s': flags 0x%x; use O_RDONLY or O_RDWR, with any of "
                            "O_CREAT, O_EXCL, O_TRUNC",
                            name, (unsigned)oflag);
    }
    if ((oflag & O_TRUNC) != 0 && access != O_RDWR) {
        return session_fail(dsm, DSM_EINVAL, "open region '%.255s': O_TRUNC takes O_RDWR", name);
    }
    call->oflag = (uint8_t)((access == O_RDWR ? CALL_OFLAG_WRITE : 0) |
                            (oflag & O_CREAT ? CALL_OFLAG_CREATE : 0) |
                            (oflag & O_EXCL ? CALL_OFLAG_EXCLUSIVE : 0) |
                            (oflag & O_TRUNC ? CALL_OFLAG_TRUNCATE : 0));
    return 0;
}

static int type_translate(struct dsm *dsm, const char *name, const char *text, struct call *call)
{
    struct type type;
    struct type_error error;

    if (text == NULL) {
        return 0;
    }
    if (type_parse(text, &type, &error) != 0) {
        return session_fail(dsm, DSM_EINVAL, "open region '%.255s': this is no type: %s", name,
                            error.text);
    }
    memcpy(call->type, type.text, sizeof(call->type));
    return 0;
}

static int options_translate(struct dsm *dsm, const char *name,
                             const struct dsm_shm_options *options, struct call *call)
{
    uint32_t page_size = options->page_size != 0 ? options->page_size : DSM_PAGE_SIZE_MIN;

    if (page_size < DSM_PAGE_SIZE_MIN || page_size > DSM_PAGE_SIZE_MAX ||
        (page_size & (page_size - 1)) != 0) {
        return session_fail(dsm, DSM_EINVAL,
                            "open region '%.255s': page size %u; use a power of two from %u to %u",
                            name, page_size, DSM_PAGE_SIZE_MIN, DSM_PAGE_SIZE_MAX);
    }
    if (options->home > DSM_HOME_STRIPED) {
        return session_fail(dsm, DSM_EINVAL,
                            "open region '%.255s': home policy %u; use DSM_HOME_CREATOR or "
                            "DSM_HOME_STRIPED",
                            name, options->home);
    }
    if (options->window_ms > DSM_WINDOW_MS_MAX && options->window_ms != DSM_WINDOW_NONE) {
        return session_fail(dsm, DSM_EINVAL,
                            "open region '%.255s': window of %u ms; use at most %u, or "
                            "DSM_WINDOW_NONE",
                            name, options->window_ms, DSM_WINDOW_MS_MAX);
    }
    call->window_ms = options->window_ms;
    call->page_size = page_size;
    call->home = options->home;
    return type_translate(dsm, name, options->type, call);
}

int dsm_shm_open(struct dsm *dsm, const char *name, int oflag, mode_t mode,
                 const struct dsm_shm_options *options, struct dsm_region **region)
{
    static const struct dsm_shm_options defaults = {0};
    struct call call = {.object = RECORD_REGION, .mode = mode};
    const char *shown = name != NULL ? name : "";
    struct dsm_region *new;
    struct answer answer;
    int error = oflag_translate(dsm, shown, oflag, &call);

    if (error == 0) {
        error = options_translate(dsm, shown, options != NULL ? options : &defaults, &call);
    }
    if (error != 0) {
        return error;
    }
    new = calloc(1, sizeof *new);
    if (new == NULL) {
        return session_fail(dsm, DSM_ENOMEM, "open region '%.255s': out of memory", shown);
    }
    error = object_open(dsm, "open region", name, &call, &answer);
    if (error != 0) {
        free(new);
        return error;
    }
    new->writable = (call.oflag & CALL_OFLAG_WRITE) != 0;
    new->page_size = answer.reply.page_size;
    new->size_bytes = answer.reply.size_bytes;
    handle_enter(&new->handle, dsm, name, &answer.reply);
    *region = new;
    return 0;
}

void region_size_note(struct dsm_region *region, uint64_t size_bytes)
{
    uint64_t known = region->size_bytes;

    while (known < size_bytes &&
           !atomic_compare_exchange_weak(&region->size_bytes, &known, size_bytes)) {
    }
}

int dsm_shm_truncate(struct dsm_region *region, uint64_t size_bytes)
{
    struct deed deed = {.verb = "set the size of region", .name = region->handle.name};
    struct call call = {
        .kind = CALL_TRUNCATE, .handle = region->handle.number, .size_bytes = size_bytes};
    int error;

    if (!region->writable) {
        return session_fail(region->handle.dsm, DSM_EACCES,
                            "set the size of region '%s': the handle was opened O_RDONLY; open it "
                            "O_RDWR",
                            region->handle.name);
    }
    error = session_call(region->handle.dsm, &deed, &call, NULL);
    if (error == 0) {
        region_size_note(region, size_bytes);
    }
    return error;
}

int dsm_advise(struct dsm_region *region, uint64_t offset, uint64_t len_bytes,
               enum dsm_advice advice)
{
    struct deed deed = {.verb = "take advice on region", .name = region->handle.name};
    struct call call = {.kind = CALL_ADVISE,
                        .op = (uint8_t)advice,
                        .handle = region->handle.number,
                        .offset = offset,
                        .size_bytes = len_bytes};

    if (advice < DSM_ADVICE_WILL_NEED || advice > DSM_ADVICE_MIGRATORY) {
        return session_fail(region->handle.dsm, DSM_EINVAL,
                            "take advice on region '%s': advice %u; use one of enum dsm_advice",
                            region->handle.name, (unsigned)advice);
    }
    return session_call(region->handle.dsm, &deed, &call, NULL);
}

int dsm_shm_seal(struct dsm_region *region)
{
    struct deed deed = {.verb = "seal region", .name = region->handle.name};
    struct call call = {.kind = CALL_SEAL, .handle = region->handle.number};
    int error;

    if (!region->writable) {
        return session_fail(region->handle.dsm, DSM_EACCES,
                            "seal region '%s': the handle was opened O_RDONLY; open it O_RDWR",
                            region->handle.name);
    }
    windows_remove(region); /* they are this library's own, and may write */
    error = session_call(region->handle.dsm, &deed, &call, NULL);
    region->sealed |= error == 0;
    return error;
}

int dsm_shm_stat(struct dsm_region *region, struct dsm_shm_stat *stat)
{
    struct deed deed = {.verb = "stat region", .name = region->handle.name};
    struct call call = {.kind = CALL_STAT, .handle = region->handle.number};
    struct answer answer;
    int error = session_call(region->handle.dsm, &deed, &call, &answer);

    if (error != 0) {
        return error;
    }
    region_size_note(region, answer.reply.size_bytes);
    *stat = (struct dsm_shm_stat){
        .size_bytes = answer.reply.size_bytes,
        .page_size = region->page_size,
        .mode = answer.reply.mode,
        .uid = answer.reply.uid,
        .gid = answer.reply.gid,
        .home = answer.reply.home,
        .window_ms = answer.reply.window_ms,
        .slot = region->handle.id.slot,
        .generation = region->handle.id.generation,
    };
    (void)snprintf(stat->type, sizeof stat->type, "%s", answer.text);
    return 0;
}

int dsm_shm_close(struct dsm_region *region)
{
    int error;

    if (region == NULL) {
        return 0;
    }
    windows_remove(region);
    tokens_close(region);
    error = handle_leave(&region->handle);
    free(region);
    return error;
}

int dsm_shm_unlink(struct dsm *dsm, const char *name)
{
    return object_unlink(dsm, "unlink region", name, RECORD_REGION);
}
