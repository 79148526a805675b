/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/binding_story.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

int32_t story_bind(struct solo_page *p, uint64_t mutex, uint64_t offset, uint64_t size_bytes)
{
    struct call call = {.kind = CALL_BIND,
                        .handle = p->handle,
                        .value = mutex,
                        .offset = offset,
                        .size_bytes = size_bytes};

    return solo_do(p->solo, 1, &call);
}

void story_bind_pages(struct solo_page *p, uint64_t page, uint64_t count)
{
    assert_int_equal(story_bind(p, BOUND_AT, page * SOLO_PAGE_BYTES, count * SOLO_PAGE_BYTES), 0);
}

uint64_t story_sync(struct solo_page *p, uint32_t op, int64_t timeout_ms)
{
    struct call call = {.kind = CALL_SYNC,
                        .handle = p->handle,
                        .op = (uint8_t)op,
                        .offset = BOUND_AT,
                        .timeout_ms = timeout_ms};

    return solo_call(p->solo, 1, &call);
}

struct message story_lock(struct solo_page *p)
{
    solo_forget(p->solo);
    (void)story_sync(p, SYNC_LOCK, -1);
    assert_non_null(solo_sent(p->solo, MESSAGE_SYNC, 0));
    return *solo_sent(p->solo, MESSAGE_SYNC, 0);
}

void story_answer_lock(struct solo_page *p, const struct message *lock_sent, int32_t error)
{
    struct message grant = *lock_sent;

    grant.kind = MESSAGE_SYNC_REPLY;
    grant.from = 0;
    grant.to = 1;
    grant.error = error;
    grant.flags = FLAG_WANTED;
    solo_message(p->solo, &grant, 0);
}

void story_grant_pages(struct solo_page *p, struct message write, uint64_t version)
{
    write.kind = MESSAGE_GRANT;
    write.from = 0;
    write.to = 1;
    write.flags = FLAG_ZERO | FLAG_WRITE;
    write.granted = write.count;
    write.version = version;
    solo_message(p->solo, &write, 0);
}

struct message story_asked(const struct solo_page *p, uint32_t nth)
{
    const struct message *write = solo_sent(p->solo, MESSAGE_WRITE, nth);

    assert_non_null(write);
    return *write;
}

uint32_t story_count_asked(const struct solo_page *p)
{
    uint32_t count = 0;

    while (solo_sent(p->solo, MESSAGE_WRITE, count) != NULL) {
        count++;
    }
    return count;
}

void story_hold(struct solo_page *p)
{
    struct message sent;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    sent = story_lock(p);
    story_grant_pages(p, story_asked(p, 0), 5);
    story_answer_lock(p, &sent, 0);
    solo_forget(p->solo);
}

bool story_want(struct solo_page *p, uint64_t page, uint32_t count, bool writes, uint64_t version)
{
    struct message forward = solo_page_message(p, MESSAGE_FORWARD, 0, page, count, version);

    forward.requester = 2;
    forward.request = version * NODES_MAX;
    forward.flags = writes ? FLAG_WRITE : 0;
    solo_forget(p->solo);
    solo_page_say(p, &forward);
    return solo_sent(p->solo, MESSAGE_DATA, 0) != NULL;
}

void story_use_window(struct solo_page *p, uint32_t window_ms)
{
    struct record record = solo_region(6, 600, 0);

    record.window_ms = window_ms;
    solo_record(p->solo, &record);
    p->region = record.id;
    p->map = solo_map(p->solo, 1, &record, &p->handle);
}
