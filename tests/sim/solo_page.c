/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/solo_page.h"

#include <stdlib.h>

struct solo_page *solo_page_new(const struct node_config *config)
{
    struct solo_page *page = calloc(1, sizeof(*page));
    struct record record = solo_region(5, 600, 0);

    page->solo = solo_new(1, 4, config);
    page->region = record.id;
    solo_record(page->solo, &record);
    page->map = solo_map(page->solo, 1, &record, &page->handle);
    solo_forget(page->solo);
    return page;
}

void solo_page_free(struct solo_page *page)
{
    solo_free(page->solo);
    free(page);
}

static uint64_t newest_request(const struct solo *solo)
{
    uint64_t request = 9999 * NODES_MAX;

    for (uint32_t i = 0; i < solo->count; i++) {
        const struct message *message = &solo->list[i].message;

        if (solo->list[i].kind == ACTION_SEND &&
            (message->kind == MESSAGE_READ || message->kind == MESSAGE_WRITE ||
             message->kind == MESSAGE_LEAVE)) {
            request = message->request;
        }
    }
    return request;
}

struct message solo_page_message(const struct solo_page *page, uint32_t kind, uint32_t from,
                                 uint64_t number, uint32_t count, uint64_t version)
{
    struct message message = {
        .kind = (uint8_t)kind,
        .from = (uint16_t)from,
        .to = 1,
        .epoch = node_epoch(page->solo->node),
        .region = page->region,
        .page = number,
        .count = (uint16_t)count,
        .granted = (uint16_t)count,
        .version = version,
        .requester = 1,
        .request = newest_request(page->solo),
    };

    return message;
}

void solo_page_say(struct solo_page *page, const struct message *message)
{
    solo_message(page->solo, message, message->kind == MESSAGE_DATA ? message->count : 0);
}

void solo_page_have(struct solo_page *page, uint64_t number, bool write, uint64_t version)
{
    struct message grant;

    solo_forget(page->solo);
    solo_fault(page->solo, page->map, number, write);
    grant = solo_page_message(page, MESSAGE_GRANT, 0, number, 1, version);
    grant.flags = FLAG_ZERO;
    solo_page_say(page, &grant);
    solo_forget(page->solo);
}
