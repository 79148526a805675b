/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm.h"

#include <inttypes.h>

#include "dsm/lib/sync.h"
#include "dsm/lib/view.h"

static bool is_timeout(int64_t timeout_ms)
{
    return timeout_ms >= 0 || timeout_ms == DSM_FOREVER;
}

int dsm_mutex_lock(struct dsm_region *region, uint64_t offset, int64_t timeout_ms)
{
    struct sync_wish wish = {.verb = "lock mutex of region",
                             .op = SYNC_LOCK,
                             .has_offset = true,
                             .offset = offset,
                             .timeout_ms = timeout_ms};
    int error;

    if (is_timeout(timeout_ms) && tokens_lock(region, offset)) {
        (void)views_acquire(region->handle.dsm, NULL);
        return 0;
    }
    error = sync_check_writable(region, wish.verb);
    if (error != 0) {
        return error;
    }
    tokens_share(region);
    return sync_wait_acquired(&region->handle, &wish);
}

/* The agent is told, and answers nothing: that it was held by this session its word has said. */
static int tell(struct dsm_region *region, const struct sync_wish *wish)
{
    struct deed deed = {.verb = wish->verb,
                        .name = region->handle.name,
                        .has_offset = true,
                        .offset = wish->offset};
    struct call call = {.kind = CALL_SYNC,
                        .handle = region->handle.number,
                        .op = SYNC_UNLOCK,
                        .offset = wish->offset,
                        .value = 1,
                        .timeout_ms = DSM_FOREVER};

    return session_tell(region->handle.dsm, &deed, &call);
}

int dsm_mutex_unlock(struct dsm_region *region, uint64_t offset)
{
    struct sync_wish wish = {
        .verb = "unlock mutex of region", .op = SYNC_UNLOCK, .has_offset = true, .offset = offset};
    struct dsm *dsm = region->handle.dsm;
    int released = views_release(dsm, NULL), error = 0;
    char text[TEXT_BYTES_MAX];

    if (released != 0) {
        dsm_last_error(dsm, text, sizeof text);
    }
    switch (tokens_unlock(region, offset)) {
    case TOKEN_IS_FREE:
        break;
    case TOKEN_IS_OWED:
        error = tell(region, &wish);
        break;
    default:
        error = sync_do(&region->handle, &wish, NULL);
        break;
    }
    return error == 0 && released != 0 ? session_fail(dsm, released, "%s", text) : error;
}

int dsm_mutex_bind(struct dsm_region *region, uint64_t mutex, uint64_t offset, uint64_t len_bytes)
{
    struct deed deed = {.verb = "bind a range to a mutex of region", .name = region->handle.name};
    struct call call = {.kind = CALL_BIND,
                        .handle = region->handle.number,
                        .value = mutex,
                        .offset = offset,
                        .size_bytes = len_bytes};
    int error = sync_check_writable(region, deed.verb);

    if (error != 0) {
        return error;
    }
    if (len_bytes > DSM_BIND_BYTES_MAX) {
        return session_fail(region->handle.dsm, DSM_EINVAL,
                            "%s '%s': %" PRIu64 " bytes; %u come with a mutex at most", deed.verb,
                            region->handle.name, len_bytes, DSM_BIND_BYTES_MAX);
    }
    return session_call(region->handle.dsm, &deed, &call, NULL);
}
