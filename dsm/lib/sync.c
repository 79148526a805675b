/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/sync.h"

#include <inttypes.h>
#include <unistd.h>

#include "dsm/lib/view.h"

/*
 * The agent keeps the deadline; it alone knows whether the thing was granted in the last moment.
 * Ours is later, in case the agent does not answer at all.
 */
static int sync_ask(struct handle *handle, const struct sync_wish *wish, int64_t call_timeout_ms,
                    int64_t timeout_ms, uint64_t *value)
{
    struct session_request request = {
        .kind = SESSION_CALL,
        .call =
            {
                .kind = CALL_SYNC,
                .handle = handle->number,
                .op = wish->op,
                .offset = wish->offset,
                .value = wish->value,
                .operand = wish->operand,
                .timeout_ms = call_timeout_ms,
            },
    };
    struct deed deed = {.verb = wish->verb,
                        .name = handle->name,
                        .has_offset = wish->has_offset,
                        .offset = wish->offset};
    struct answer answer;
    int error = session_ask(handle->dsm, &deed, &request, -1, timeout_ms, &answer);

    if (error != 0) {
        return error;
    }
    if (value != NULL) {
        *value = answer.reply.value;
    }
    return 0;
}

int sync_do(struct handle *handle, const struct sync_wish *wish, uint64_t *value)
{
    return sync_ask(handle, wish, DSM_FOREVER, SESSION_TIMEOUT_MS, value);
}

int sync_wait(struct handle *handle, const struct sync_wish *wish)
{
    int64_t timeout_ms = wish->timeout_ms;

    if (timeout_ms < 0 && timeout_ms != DSM_FOREVER) {
        return session_fail(handle->dsm, DSM_EINVAL,
                            "%s '%s': a timeout of %" PRId64 " ms; use DSM_FOREVER to wait without "
                            "end",
                            wish->verb, handle->name, timeout_ms);
    }
    if (timeout_ms > INT64_MAX - SESSION_TIMEOUT_MS) {
        timeout_ms = DSM_FOREVER;
    }
    return sync_ask(handle, wish, timeout_ms,
                    timeout_ms < 0 ? DSM_FOREVER : timeout_ms + SESSION_TIMEOUT_MS, NULL);
}

int sync_do_released(struct handle *handle, const struct sync_wish *wish)
{
    int released = views_release(handle->dsm, NULL), error;
    char text[TEXT_BYTES_MAX];

    dsm_last_error(handle->dsm, text, sizeof text);
    error = sync_do(handle, wish, NULL);
    if (error == 0 && released != 0) {
        return session_fail(handle->dsm, released, "%s", text);
    }
    return error;
}

int sync_wait_acquired(struct handle *handle, const struct sync_wish *wish)
{
    int error = sync_wait(handle, wish);

    if (error == 0 || error == DSM_EOWNERDEAD) {
        (void)views_acquire(handle->dsm, NULL);
    }
    return error;
}

/* The agent checks as well; here it costs no packet. */
int sync_check_writable(struct dsm_region *region, const char *verb)
{
    if (region->writable) {
        return 0;
    }
    return session_fail(region->handle.dsm, DSM_EACCES,
                        "%s '%s': the handle was opened O_RDONLY; open it O_RDWR", verb,
                        region->handle.name);
}

int dsm_barrier_wait(struct dsm_region *region, uint64_t offset, uint32_t count_parties,
                     int64_t timeout_ms)
{
    struct sync_wish wish = {.verb = "wait at barrier of region",
                             .op = SYNC_BARRIER,
                             .has_offset = true,
                             .offset = offset,
                             .value = count_parties,
                             .timeout_ms = timeout_ms};
    int error = sync_check_writable(region, wish.verb);

    if (error != 0) {
        return error;
    }
    if (count_parties == 0) {
        return session_fail(region->handle.dsm, DSM_EINVAL,
                            "%s '%s': 0 parties; a barrier takes 1 at least", wish.verb,
                            region->handle.name);
    }
    error = views_release(region->handle.dsm, NULL);
    return error != 0 ? error : sync_wait_acquired(&region->handle, &wish);
}

static int atomic_do(struct dsm_region *region, const struct sync_wish *wish, uint64_t *old)
{
    int error = sync_check_writable(region, wish->verb);

    if (error != 0) {
        return error;
    }
    if (wish->offset % 8 != 0) {
        return session_fail(region->handle.dsm, DSM_EINVAL,
                            "%s '%s': offset %" PRIu64 " is no multiple of 8", wish->verb,
                            region->handle.name, wish->offset);
    }
    return sync_do(&region->handle, wish, old);
}

int dsm_fetch_add(struct dsm_region *region, uint64_t offset, uint64_t delta, uint64_t *old)
{
    struct sync_wish wish = {.verb = "add to an integer of region",
                             .op = SYNC_FETCH_ADD,
                             .has_offset = true,
                             .offset = offset,
                             .value = delta};

    return atomic_do(region, &wish, old);
}

int dsm_compare_swap(struct dsm_region *region, uint64_t offset, uint64_t expected,
                     uint64_t desired, uint64_t *old)
{
    struct sync_wish wish = {.verb = "compare and swap an integer of region",
                             .op = SYNC_COMPARE_SWAP,
                             .has_offset = true,
                             .offset = offset,
                             .value = desired,
                             .operand = expected};

    return atomic_do(region, &wish, old);
}
