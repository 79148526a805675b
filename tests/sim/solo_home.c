/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/solo_home.h"

static const region_id id = {SOLO_HOME_SLOT, SOLO_HOME_GENERATION};

struct solo *solo_home_new(void)
{
    struct node_config config = {.resend_ms = 100};
    struct record record = solo_region(SOLO_HOME_SLOT, 600, 0);
    struct solo *solo = solo_new(0, 4, &config);

    solo_record(solo, &record);
    solo_forget(solo);
    return solo;
}

struct message solo_home_message(const struct solo *solo, uint32_t kind, uint32_t from,
                                 uint64_t number, uint64_t page, uint32_t count)
{
    struct message message = {
        .kind = (uint8_t)kind,
        .from = (uint16_t)from,
        .requester = (uint16_t)from,
        .epoch = node_epoch(solo->node),
        .region = id,
        .page = page,
        .count = (uint16_t)count,
        .granted = (uint16_t)count,
        .request = number * NODES_MAX,
    };

    return message;
}

void solo_home_say(struct solo *solo, uint32_t kind, uint32_t from, uint64_t number, uint64_t page,
                uint32_t count)
{
    struct message message = solo_home_message(solo, kind, from, number, page, count);

    solo_message(solo, &message, 0);
}

void solo_home_say_for(struct solo *solo, uint32_t kind, uint32_t from, uint32_t requester,
                    uint64_t number, uint64_t page)
{
    struct message message = solo_home_message(solo, kind, from, number, page, 1);

    message.requester = (uint16_t)requester;
    solo_message(solo, &message, 0);
}

void solo_home_say_adopt(struct solo *solo, uint32_t kind, uint32_t from,
                      const struct message *adopt)
{
    struct message message = solo_home_message(solo, kind, from, 0, adopt->page, 1);

    message.request = adopt->request;
    message.flags = FLAG_ADOPT;
    solo_message(solo, &message, 0);
}

void solo_home_has(struct solo *solo, uint32_t kind, uint32_t node, uint64_t page)
{
    solo_home_say(solo, kind, node, 1000 + page, page, 1);
    solo_home_say(solo, MESSAGE_CONFIRM, node, 1000 + page, page, 1);
    solo_forget(solo);
}

void solo_home_die(struct solo *solo, uint32_t node)
{
    solo_member(solo, node, node + 1, false, node_epoch(solo->node) + 1);
}

struct page_run solo_home_run(const struct solo *solo, uint64_t page)
{
    struct page_run run = {.owner = 99};

    node_page_runs(solo->node, id, page, &run, 1);
    return run;
}

uint32_t solo_home_sent(const struct solo *solo, uint32_t kind)
{
    uint32_t count = 0;

    while (solo_sent(solo, kind, count) != NULL) {
        count++;
    }
    return count;
}
