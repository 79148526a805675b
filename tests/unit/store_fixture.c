/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"

void fixture_reopen(struct fixture *f)
{
    catalog_store_close(f->store);
    f->store = NULL;
    assert_int_equal(catalog_store_open(f->path, REGION_MAX, &f->store, f->text), 0);
}

int fixture_ask(struct fixture *f, const char *name, uint32_t incarnation, const char *address,
                uint32_t *node)
{
    const struct joiner joiner = {.name = name,
                                  .address = address,
                                  .incarnation = incarnation,
                                  .machine = {.page_bytes = 4096, .word_bits = 64}};
    return catalog_store_join(f->store, &joiner, &f->changes, node);
}

uint32_t fixture_join(struct fixture *f, const char *name, uint32_t incarnation)
{
    uint32_t node = NODE_NONE;
    assert_int_equal(fixture_ask(f, name, incarnation, "10.0.0.1:7400", &node), 0);
    return node;
}

int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(certs_directory_make(f->directory), 0);
    certs_path(f->path, f->directory, "catalog", ".db");
    fixture_reopen(f);
    assert_int_equal(fixture_join(f, "a", 11), 0);
    assert_int_equal(fixture_join(f, "b", 21), 1);
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    catalog_store_close(f->store);
    record_list_close(&f->changes);
    certs_directory_remove(f->directory);
    free(f);
    return 0;
}

struct proposal create_of(const char *name, uint32_t uid, uint32_t mode)
{
    struct proposal proposal = {.kind = PROPOSAL_CREATE,
                                .record = {.kind = RECORD_REGION, .mode = mode, .page_size = 4096},
                                .credential = {.uid = uid, .gid = uid}};
    snprintf(proposal.record.name, sizeof(proposal.record.name), "%s", name);
    return proposal;
}

int fixture_propose(struct fixture *f, uint32_t node, const struct proposal *proposal,
                    struct record *changed)
{
    region_id id = {0, 0};
    int error = catalog_store_propose(f->store, node, 0, proposal, &f->changes, &id);
    if (error == 0 && changed != NULL) {
        assert_true(f->changes.count > 0);
        *changed = f->changes.records[f->changes.count - 1];
        assert_true(region_id_equal(changed->id, id));
    }
    if (error != 0) {
        assert_int_equal(f->changes.count, 0);
    }
    return error;
}

struct record fixture_create(struct fixture *f, uint32_t node, const char *name, uint32_t uid,
                             uint32_t mode)
{
    struct proposal proposal = create_of(name, uid, mode);
    struct record record;
    proposal.record.readers = nodeset_of(node);
    proposal.record.writers = nodeset_of(node);
    assert_int_equal(fixture_propose(f, node, &proposal, &record), 0);
    return record;
}

struct proposal update_of(const struct record *record, uint32_t uid)
{
    return (struct proposal){
        .kind = PROPOSAL_UPDATE, .record = *record, .credential = {.uid = uid, .gid = uid}};
}

uint32_t fixture_count(struct fixture *f, uint64_t after)
{
    struct record_list list = {0};
    assert_int_equal(catalog_store_list(f->store, after, &list), 0);
    uint32_t count = list.count;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(list.records[i].revision > (i == 0 ? after : list.records[i - 1].revision));
    }
    record_list_close(&list);
    return count;
}
