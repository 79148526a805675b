/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The catalog, as bytes choose: one record's body in the file of an agent that keeps it; what
 * members send to an agent that keeps it; what the keeper sends to an agent that is a member. What
 * the keeper has stored is read again at the end, and must be what its rules allow.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/catalog_seats.h"
#include "dsm.h"
#include "tests/fuzz/whole_agent.h"

#define STEPS_MAX 100u

/* The invariants of agent/catalog_store.h, as far as a list of all records can tell. */
static void check_records(struct catalog_store *store, bool is_own_work)
{
    struct record_list list = {0};
    uint64_t revision = 0;

    require(catalog_store_list(store, 0, &list) == 0);
    for (uint32_t i = 0; i < list.count && is_own_work; i++) {
        const struct record *record = &list.records[i];

        require(record->revision > revision); /* C2 */
        revision = record->revision;
        require(!record->deleted);
        if (record->kind == RECORD_NODE) {
            continue;
        }
        require(nodeset_is_empty(nodeset_minus(record->writers, record->readers))); /* C5 */
        require(!record->unlinked || !nodeset_is_empty(record->readers));           /* C6 */
        for (uint32_t j = 0; j < i; j++) {                                          /* C3 */
            const struct record *other = &list.records[j];

            require(record->unlinked || other->unlinked || other->kind != record->kind ||
                    strcmp(other->name, record->name) != 0);
        }
    }
    record_list_close(&list);
}

static void steps(struct whole *whole, struct input *input)
{
    for (uint32_t i = 0; i < STEPS_MAX && !input_is_over(input) && !whole->agent->is_stopping;
         i++) {
        uint8_t step = input_byte(input);

        if (step < 208) {
            whole_peer_step(whole, input);
        } else {
            whole_program_step(whole, input);
        }
        if (step % 4 != 0) {
            whole_run(whole);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    struct input input = {bytes, bytes + len_bytes};
    uint32_t descriptors = whole_descriptors();
    uint8_t way = input_byte(&input);
    bool is_keeper = way % 4 != 0, has_file = way % 4 == 1;
    const uint8_t *body = NULL;
    size_t body_bytes = has_file ? input_piece(&input, &body) : 0;
    struct whole *whole = has_file ? whole_new_over(body, body_bytes) : whole_new(is_keeper);

    if (whole == NULL) {
        require(descriptor_count() == descriptors);
        return 0; /* the file was refused */
    }
    steps(whole, &input);
    if (is_keeper) {
        check_records(((struct keeper *)whole->agent->catalog)->store, !has_file);
    }
    whole_free(whole);
    require(descriptor_count() == descriptors);
    return 0;
}
