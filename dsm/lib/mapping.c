/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/mapping.h"
#include "dsm/lib/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static int map_fail(struct dsm_region *region, int error, const char *why)
{
    return session_fail(region->handle.dsm, error, "map region '%s': %s", region->handle.name, why);
}

/* Both are powers of two: the larger is what a mapping is made of here. */
static uint64_t step_of(const struct dsm_region *region)
{
    uint64_t hardware = region->handle.dsm->page_bytes;

    return region->page_size > hardware ? region->page_size : hardware;
}

/* What lies in the same hardware page before the first byte that is wanted. */
static uint64_t lead_of(const struct dsm_region *region, uint64_t offset)
{
    return offset & (region->handle.dsm->page_bytes - 1);
}

static int place_check(struct dsm_region *region, const struct mapping_wish *wish)
{
    uint64_t lead = lead_of(region, wish->offset), step = step_of(region);

    if ((wish->offset & (region->page_size - 1)) != 0) {
        return session_fail(region->handle.dsm, DSM_EINVAL,
                            "map region '%s': offset %" PRIu64
                            " must be a multiple of its page size %" PRIu32,
                            region->handle.name, wish->offset, region->page_size);
    }
    if (wish->address != NULL && (((uintptr_t)wish->address - lead) & (step - 1)) != 0) {
        return session_fail(region->handle.dsm, DSM_EINVAL,
                            "map region '%s': offset %" PRIu64
                            " cannot be at address %p: on this machine that must be a multiple of "
                            "%" PRIu64 "%s%.0" PRIu64,
                            region->handle.name, wish->offset, wish->address, step,
                            lead != 0 ? ", plus " : "", lead);
    }
    return 0;
}

int mapping_check(struct dsm_region *region, const struct mapping_wish *wish)
{
    uint64_t room = lead_of(region, wish->offset) + step_of(region);
    int error;

    if (wish->len_bytes == 0) {
        return map_fail(region, DSM_EINVAL, "the length is 0; map 1 byte at least");
    }
    if (wish->protection != DSM_READ && wish->protection != (DSM_READ | DSM_WRITE)) {
        return map_fail(region, DSM_EINVAL,
                        "unknown protection; use DSM_READ or DSM_READ | DSM_WRITE, and "
                        "DSM_RELEASE with either");
    }
    error = place_check(region, wish);
    if (error != 0) {
        return error;
    }
    if ((wish->protection & DSM_WRITE) != 0 && !region->writable) {
        return map_fail(region, DSM_EACCES,
                        "DSM_WRITE through a handle that was opened O_RDONLY; open it O_RDWR");
    }
    if (wish->offset + wish->len_bytes < wish->offset ||
        wish->offset + wish->len_bytes > UINT64_MAX - room) {
        return map_fail(region, DSM_ERANGE, dsm_strerror(DSM_ERANGE));
    }
    if (wish->len_bytes > SIZE_MAX - room) {
        return session_fail(region->handle.dsm, DSM_ENOMEM,
                            "map region '%s': %" PRIu64
                            " bytes are more than this program can address; map a part of it",
                            region->handle.name, wish->len_bytes);
    }
    return 0;
}

/* Room for len bytes at a multiple of the page size: more than needed, then cut on both sides. */
static void *reserve_aligned(uint64_t len_bytes, uint32_t page_size)
{
    uint64_t total = len_bytes + page_size;
    uint8_t *start, *aligned;
    uint64_t head;

    if (total < len_bytes || total > SIZE_MAX) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    start = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) {
        return MAP_FAILED;
    }
    head = (page_size - ((uintptr_t)start & (page_size - 1))) & (page_size - 1);
    aligned = start + head;
    if (head > 0) {
        (void)munmap(start, head);
    }
    (void)munmap(aligned + len_bytes, total - head - len_bytes);
    return aligned;
}

/* A kernel that does not know MAP_FIXED_NOREPLACE takes the address as a hint. */
static void *map_at(void *address, uint64_t len_bytes, int protection, int memfd, off_t offset)
{
    void *got =
        mmap(address, len_bytes, protection, MAP_SHARED | MAP_FIXED_NOREPLACE, memfd, offset);

    if (got != MAP_FAILED && got != address) {
        (void)munmap(got, len_bytes);
        errno = EEXIST;
        return MAP_FAILED;
    }
    return got;
}

static void *map_anywhere(const struct dsm_region *region, uint64_t len_bytes, int protection,
                          int memfd, off_t offset)
{
    void *room, *got;

    if (region->page_size <= region->handle.dsm->page_bytes) {
        return mmap(NULL, len_bytes, protection, MAP_SHARED, memfd, offset);
    }
    room = reserve_aligned(len_bytes, region->page_size);
    if (room == MAP_FAILED) {
        return MAP_FAILED;
    }
    got = mmap(room, len_bytes, protection, MAP_SHARED | MAP_FIXED, memfd, offset);
    if (got == MAP_FAILED) {
        int saved = errno;

        (void)munmap(room, len_bytes);
        errno = saved;
    }
    return got;
}

static int mmap_fail(struct dsm_region *region, const struct mapping_wish *wish)
{
    int number = errno;
    int error = number == EEXIST                       ? DSM_EBUSY
                : number == ENOMEM && !wish->address   ? DSM_ENOMEM
                : number == EPERM || number == EINVAL  ? DSM_EINVAL
                : number == ENOMEM || number == EAGAIN ? DSM_ENOMEM
                                                       : DSM_ESYS;

    return session_fail(region->handle.dsm, error,
                        "map region '%s': %" PRIu64 " bytes at %p: %s; %s", region->handle.name,
                        wish->len_bytes, wish->address,
                        error == DSM_EBUSY ? "something is mapped there" : strerror(number),
                        wish->address != NULL ? "choose another address, or NULL for any"
                                              : "ask for less, or raise the limits (ulimit -v)");
}

int mapping_reserve(struct dsm_region *region, const struct mapping_wish *wish, uint64_t len_bytes,
                    uint8_t **room)
{
    void *got;

    if (wish->address == NULL) {
        got = reserve_aligned(len_bytes, region->page_size);
    } else {
        uint8_t *at = (uint8_t *)wish->address - lead_of(region, wish->offset);

        got = mmap(at, len_bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (got != MAP_FAILED && got != at) {
            (void)munmap(got, len_bytes);
            errno = EEXIST;
            got = MAP_FAILED;
        }
    }
    if (got == MAP_FAILED) {
        return mmap_fail(region, wish);
    }
    *room = got;
    return 0;
}

/* The kernel does not take an advice that the mapping cannot do without. */
static int range_refuse(struct dsm_region *region, void *address, uint64_t len, const char *advice)
{
    int error = errno == ENOMEM || errno == EAGAIN ? DSM_ENOMEM : DSM_ESYS;

    (void)session_fail(region->handle.dsm, error, "map region '%s': %s: %s", region->handle.name,
                       advice, strerror(errno));
    (void)munmap(address, len);
    return error;
}

/*
 * The descriptor is for writing also where the mapping is not: the kernel registers no range of a
 * file that is open for reading only. A forked child would inherit the range without its watch and
 * would read zeros from it, so it does not inherit it at all. Huge pages would be filled as a
 * whole.
 */
static int range_map(struct dsm_region *region, const struct mapping_wish *wish, int memfd,
                     struct mapping *mapping)
{
    int protection = region->handle.dsm->fault.ops->closed ? PROT_NONE
                     : (wish->protection & DSM_WRITE) != 0 ? PROT_READ | PROT_WRITE
                                                           : PROT_READ;
    uint64_t len = mapping->len_bytes;
    off_t offset = (off_t)mapping->offset;
    void *address;

    if (wish->address != NULL) {
        address =
            map_at((uint8_t *)wish->address - mapping->lead_bytes, len, protection, memfd, offset);
    } else {
        address = map_anywhere(region, len, protection, memfd, offset);
    }
    if (address == MAP_FAILED) {
        return mmap_fail(region, wish);
    }
    if (madvise(address, len, MADV_DONTFORK) != 0) {
        return range_refuse(region, address, len, "MADV_DONTFORK");
    }
    /* A kernel that has none does not know the advice. */
    if (madvise(address, len, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
        return range_refuse(region, address, len, "MADV_NOHUGEPAGE");
    }
    mapping->address = address;
    return 0;
}

/* The agent answers when no thread can write anywhere in it: before that no program may see it. */
static int mapping_attach(struct dsm_region *region, struct mapping *mapping)
{
    struct session_request request = {
        .kind = SESSION_ATTACH,
        .map = mapping->map,
        .address = (uintptr_t)mapping->address,
        .size_bytes = mapping->len_bytes,
        .backend = region->handle.dsm->fault.ops->backend,
    };
    struct deed deed = {.verb = "attach region", .name = region->handle.name};
    struct dsm *dsm = region->handle.dsm;
    struct answer answer;
    int error;

    memcpy(request.why, dsm->fault.why, sizeof request.why);
    error =
        session_ask(dsm, &deed, &request, mapping->fault.descriptor, SESSION_TIMEOUT_MS, &answer);
    if (error == 0) {
        dsm->fault.ops->attached(&mapping->fault);
        error = space_set_ready(&dsm->space, mapping);
        if (error != 0) {
            (void)session_fail_deed(dsm, error, &deed);
        }
    }
    return error;
}

/* From the agent's answer to the served mapping. The descriptor and the mapping are given. */
static int mapping_finish(struct dsm_region *region, const struct mapping_wish *wish, int memfd,
                          struct mapping *mapping)
{
    struct dsm *dsm = region->handle.dsm;
    const struct fault_ops *ops = dsm->fault.ops;
    struct fault_range range;
    char text[TEXT_BYTES_MAX] = "";
    int error = range_map(region, wish, memfd, mapping);

    (void)close(memfd);
    if (error != 0) {
        free(mapping);
        return error;
    }
    range = (struct fault_range){.address = mapping->address,
                                 .len_bytes = (size_t)mapping->len_bytes,
                                 .writable = (wish->protection & DSM_WRITE) != 0};
    error = ops->start(&dsm->fault, &range, &mapping->fault, text);
    if (error != 0) {
        (void)map_fail(region, error, text);
    } else {
        error = space_add(&dsm->space, mapping);
        if (error != 0) {
            (void)map_fail(region, error, dsm_strerror(error));
            ops->retire(&mapping->fault);
        }
    }
    if (error != 0) {
        (void)munmap(mapping->address, mapping->len_bytes);
        ops->stop(&mapping->fault, false);
        free(mapping);
        return error;
    }
    error = mapping_attach(region, mapping);
    if (error != 0) {
        (void)space_remove(&dsm->space, mapping);
    }
    return error;
}

/* What the agent answered to MAP must be what was asked; it comes from another program, after all.
 */
static int answer_check(struct dsm_region *region, const struct call *asked, struct answer *answer)
{
    uint64_t mask = region->page_size - 1;

    if (answer->descriptor < 0 && answer->descriptor_was_lost) {
        return map_fail(region, DSM_ESYS,
                        "no room for a descriptor; raise the limit of open files (ulimit -n)");
    }
    if (answer->descriptor < 0 || answer->reply.map == 0 ||
        answer->reply.size_bytes != ((asked->size_bytes + mask) & ~mask)) {
        if (answer->descriptor >= 0) {
            (void)close(answer->descriptor);
        }
        return map_fail(region, DSM_EPROTO, "the agent's answer is not what was asked for");
    }
    return 0;
}

void mapping_tell_gone(struct dsm *dsm, const char *name, map_id map)
{
    struct deed deed = {.verb = "unmap region", .name = name};
    struct call call = {.kind = CALL_UNMAP, .map = map};

    if (map != 0) {
        /* A failure means that the agent is gone or forgets it with the session; there is nothing
         * left here that could be given back once more. */
        (void)session_release(dsm, &deed, &call);
        dsm->fault.ops->settle(&dsm->fault);
    }
}

int mapping_make(struct dsm_region *region, const struct mapping_wish *wish,
                 struct mapping **mapping)
{
    struct deed deed = {.verb = "map region",
                        .name = region->handle.name,
                        .has_offset = true,
                        .offset = wish->offset};
    uint64_t lead = lead_of(region, wish->offset);
    struct call call = {
        .kind = CALL_MAP,
        .handle = region->handle.number,
        .offset = wish->offset - lead,
        .size_bytes = wish->len_bytes + lead,
        .rights = (uint8_t)(RIGHTS_READ | (wish->protection & DSM_WRITE ? RIGHTS_WRITE : 0)),
    };
    struct dsm *dsm = region->handle.dsm;
    uint64_t mask = dsm->page_bytes - 1;
    char text[TEXT_BYTES_MAX];
    struct mapping *new;
    struct answer answer;
    int error = session_check(dsm);

    if (error == 0) {
        error = mapping_check(region, wish);
    }
    if (error != 0) {
        return error;
    }
    error = fault_choose(&dsm->fault, text);
    if (error != 0) {
        return map_fail(region, error, text);
    }
    new = calloc(1, sizeof *new);
    if (new == NULL) {
        return map_fail(region, DSM_ENOMEM, dsm_strerror(DSM_ENOMEM));
    }
    error = session_call(dsm, &deed, &call, &answer);
    if (error != 0) {
        free(new);
        return error;
    }
    error = answer_check(region, &call, &answer);
    if (error != 0) {
        free(new);
        mapping_tell_gone(dsm, region->handle.name, answer.reply.map);
        return error;
    }
    new->map = answer.reply.map;
    new->region = region->handle.id;
    new->is_base = wish->is_base;
    new->window_of = wish->is_window ? region : NULL;
    new->offset = call.offset;
    new->lead_bytes = lead;
    new->len_bytes = (answer.reply.size_bytes + mask) & ~mask;
    new->protection = wish->protection;
    new->fault.descriptor = -1;
    memcpy(new->name, region->handle.name, sizeof new->name);
    error = mapping_finish(region, wish, answer.descriptor, new);
    if (error != 0) {
        /* Its own failure must not hide the sentence on the first one. */
        dsm_last_error(dsm, text, sizeof text);
        mapping_tell_gone(dsm, region->handle.name, answer.reply.map);
        return session_fail(dsm, error, "%s", text);
    }
    *mapping = new;
    return 0;
}

void windows_remove(struct dsm_region *region)
{
    struct dsm *dsm = region->handle.dsm;
    map_id map;

    while ((map = space_remove_window(&dsm->space, region)) != 0) {
        mapping_tell_gone(dsm, region->handle.name, map);
    }
}

int dsm_shm_map(struct dsm_region *region, void *address, uint64_t offset, uint64_t len_bytes,
                int protection, void **mapped)
{
    struct mapping_wish wish = {
        .address = address, .offset = offset, .len_bytes = len_bytes, .protection = protection};
    struct mapping *mapping;
    int error;

    if ((protection & DSM_RELEASE) != 0) {
        wish.protection &= ~DSM_RELEASE;
        return view_map(region, &wish, mapped);
    }
    error = mapping_make(region, &wish, &mapping);
    if (error == 0) {
        *mapped = mapping->address + mapping->lead_bytes;
    }
    return error;
}

int dsm_shm_unmap(struct dsm *dsm, void *mapped)
{
    map_id map;
    int error = session_check(dsm);

    if (error != 0) {
        return error;
    }
    map = view_remove_at(dsm, mapped, &error);
    map = map != 0 ? map : space_remove_at(&dsm->space, mapped);
    if (map == 0) {
        return session_fail(dsm, DSM_EINVAL,
                            "unmap: nothing of this session is mapped at %p; give what "
                            "dsm_shm_map() returned",
                            mapped);
    }
    /* In this order: what the agent does to the range until it hears of this, the kernel refuses.
     */
    mapping_tell_gone(dsm, "", map);
    return error;
}
