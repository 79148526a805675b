/* SPDX-License-Identifier: Apache-2.0 */
/* What may be created and updated in the catalog, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/store_fixture.h"

/* The keeper gives id, owner and homes, whatever the proposal says of them. */
static void test_create_gives_id_owner_and_homes(void **state)
{
    struct fixture *f = *state;
    struct proposal proposal = create_of("/one", ALICE, 0640);
    struct record one, two, sem;
    proposal.record.uid = BOB;
    proposal.record.id = (region_id){99, 99};
    proposal.record.homes = nodeset_below(NODES_MAX);
    proposal.record.readers = nodeset_of(1);
    assert_int_equal(fixture_propose(f, 1, &proposal, &one), 0);
    assert_int_equal(one.id.slot, 1);
    assert_int_equal(one.id.generation, one.revision);
    assert_int_equal(one.uid, ALICE);
    assert_int_equal(nodeset_word(one.homes), nodeset_word(nodeset_of(1)));
    assert_int_equal(nodeset_word(one.readers), nodeset_word(nodeset_of(1)));
    proposal = create_of("/two", ALICE, 0640);
    proposal.record.home = DSM_HOME_STRIPED;
    assert_int_equal(fixture_propose(f, 0, &proposal, &two), 0);
    assert_int_equal(two.id.slot, 2);
    assert_int_equal(nodeset_word(two.homes),
                     nodeset_word(nodeset_union(nodeset_of(0), nodeset_of(1))));
    proposal = create_of("/one", ALICE, 0600); /* the other kind has names of its own */
    proposal.record.kind = RECORD_SEM;
    proposal.record.page_size = 0;
    proposal.record.home = DSM_HOME_STRIPED;
    proposal.record.size_bytes = 7;
    assert_int_equal(fixture_propose(f, 1, &proposal, &sem), 0);
    assert_int_equal(sem.id.slot, 3);
    assert_int_equal(nodeset_word(sem.homes), nodeset_word(nodeset_of(1)));
    assert_int_equal(sem.size_bytes, 7);
}

static void test_create_with_dead_node_is_not_homed_there(void **state)
{
    struct fixture *f = *state;
    struct proposal proposal = create_of("/x", ALICE, 0600);
    struct record record;
    assert_int_equal(catalog_store_declare_dead(f->store, 1, &f->changes), 0);
    proposal.record.home = DSM_HOME_STRIPED;
    assert_int_equal(fixture_propose(f, 0, &proposal, &record), 0);
    assert_int_equal(nodeset_word(record.homes), nodeset_word(nodeset_of(0)));
    assert_int_equal(fixture_propose(f, 1, &proposal, NULL), DSM_EDOWN);
    assert_int_equal(fixture_propose(f, 5, &proposal, NULL), DSM_EDOWN);
}

static int create_with(struct fixture *f, void (*spoil)(struct record *record))
{
    struct proposal proposal = create_of("/bad", ALICE, 0600);
    spoil(&proposal.record);
    return fixture_propose(f, 0, &proposal, NULL);
}

static void spoil_name(struct record *r)
{
    r->name[0] = 'x';
}
static void spoil_kind(struct record *r)
{
    r->kind = RECORD_NODE;
}
static void spoil_mode(struct record *r)
{
    r->mode = 01000;
}
static void spoil_size(struct record *r)
{
    r->size_bytes = REGION_MAX + 1;
}
static void spoil_page(struct record *r)
{
    r->page_size = 5000;
}
static void spoil_page_small(struct record *r)
{
    r->page_size = 2048;
}
static void spoil_page_large(struct record *r)
{
    r->page_size = 4u << 20;
}
static void spoil_type(struct record *r)
{
    memcpy(r->type, "u16 u32", 8);
}
static void spoil_home(struct record *r)
{
    r->home = 9;
}
static void spoil_unlinked(struct record *r)
{
    r->unlinked = true;
}
static void spoil_users(struct record *r)
{
    r->readers = nodeset_of(1);
}
static void spoil_writers(struct record *r)
{
    r->writers = nodeset_of(0);
}

static void spoil_value(struct record *r)
{
    r->kind = RECORD_SEM;
    r->size_bytes = (uint64_t)INT32_MAX + 1;
}

static void test_create_of_bad_record_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t revision = catalog_store_revision(f->store);
    assert_int_equal(create_with(f, spoil_name), DSM_ENAME);
    assert_int_equal(create_with(f, spoil_kind), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_mode), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_size), DSM_ESIZE);
    assert_int_equal(create_with(f, spoil_page), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_page_small), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_page_large), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_home), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_type), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_unlinked), DSM_EINVAL);
    assert_int_equal(create_with(f, spoil_users), DSM_EACCES);
    assert_int_equal(create_with(f, spoil_writers), DSM_EACCES);
    assert_int_equal(create_with(f, spoil_value), DSM_EINVAL);
    assert_int_equal(catalog_store_revision(f->store), revision);
}

static void test_create_of_taken_name_is_refused(void **state)
{
    struct fixture *f = *state;
    struct proposal proposal = create_of("/x", BOB, 0600);
    struct record record = fixture_create(f, 0, "/x", ALICE, 0600);
    assert_int_equal(fixture_propose(f, 1, &proposal, NULL), DSM_EEXIST);
    struct proposal unlink = update_of(&record, ALICE);
    unlink.record.unlinked = true;
    assert_int_equal(fixture_propose(f, 0, &unlink, &record), 0);
    assert_false(record.deleted); /* node 0 has it open: C6 */
    assert_int_equal(fixture_propose(f, 1, &proposal, NULL), 0);
}

/* O_TRUNC: both records in one transaction, the old one first; owner and mode stay. */
static void test_create_replaces_in_one_transaction(void **state)
{
    struct fixture *f = *state;
    struct record old = fixture_create(f, 0, "/x", ALICE, 0622);
    struct proposal proposal = create_of("/x", BOB, 0777);
    struct record new;
    proposal.replaces = old.id;
    assert_int_equal(fixture_propose(f, 1, &proposal, &new), 0);
    assert_int_equal(f->changes.count, 2);
    assert_true(region_id_equal(f->changes.records[0].id, old.id));
    assert_true(f->changes.records[0].unlinked);
    assert_false(f->changes.records[0].deleted);
    assert_int_equal(new.uid, ALICE);
    assert_int_equal(new.mode, 0622);
    assert_int_equal(new.id.slot, 2);
    assert_int_equal(fixture_propose(f, 1, &proposal, NULL),
                     DSM_EAGAIN); /* it is unlinked by now */
    proposal.replaces = (region_id){77, 1};
    assert_int_equal(fixture_propose(f, 1, &proposal, NULL), DSM_EAGAIN);
}

static void test_create_replaces_without_right_is_refused(void **state)
{
    struct fixture *f = *state;
    struct record old = fixture_create(f, 0, "/x", ALICE, 0644);
    struct proposal proposal = create_of("/x", BOB, 0777);
    proposal.replaces = old.id;
    assert_int_equal(fixture_propose(f, 1, &proposal, NULL), DSM_EACCES);
    proposal = create_of("/y", ALICE, 0777);
    proposal.replaces = old.id;
    assert_int_equal(fixture_propose(f, 1, &proposal, NULL), DSM_EINVAL);
    assert_int_equal(fixture_count(f, 0), 3);
}

/* What nobody has open goes at once, and its slot comes back with another generation. */
static void test_replace_of_unused_record_deletes_it(void **state)
{
    struct fixture *f = *state;
    struct proposal proposal = create_of("/x", ALICE, 0600);
    struct record old, new;
    assert_int_equal(fixture_propose(f, 0, &proposal, &old), 0);
    proposal.replaces = old.id;
    assert_int_equal(fixture_propose(f, 0, &proposal, &new), 0);
    assert_true(f->changes.records[0].deleted);
    assert_int_equal(new.id.slot, old.id.slot);
    assert_int_not_equal(new.id.generation, old.id.generation);
    struct proposal stale = update_of(&old, ALICE);
    assert_int_equal(fixture_propose(f, 0, &stale, NULL), DSM_ESTALE);
}

static void test_update_of_old_revision_is_refused(void **state)
{
    struct fixture *f = *state;
    struct record record = fixture_create(f, 0, "/x", ALICE, 0666);
    struct proposal grow = update_of(&record, ALICE);
    struct proposal also = update_of(&record, ALICE);
    grow.record.size_bytes = 8192;
    nodeset_add(&also.record.readers, 1);
    assert_int_equal(fixture_propose(f, 0, &grow, &record), 0);
    assert_int_equal(record.size_bytes, 8192);
    assert_int_equal(fixture_propose(f, 1, &also, NULL), DSM_EAGAIN);
    also.record.revision = record.revision;
    also.record.size_bytes = 8192;
    assert_int_equal(fixture_propose(f, 1, &also, &record), 0);
    assert_int_equal(nodeset_word(record.readers),
                     nodeset_word(nodeset_union(nodeset_of(0), nodeset_of(1))));
    also.record.id.slot = 50;
    assert_int_equal(fixture_propose(f, 1, &also, NULL), DSM_ESTALE);
}

static void test_update_without_change_makes_no_revision(void **state)
{
    struct fixture *f = *state;
    struct record record = fixture_create(f, 0, "/x", ALICE, 0666);
    struct proposal same = update_of(&record, ALICE);
    uint64_t revision = catalog_store_revision(f->store);
    assert_int_equal(fixture_propose(f, 0, &same, NULL), 0);
    assert_int_equal(f->changes.count, 0);
    assert_int_equal(catalog_store_revision(f->store), revision);
}

/* Who asks for the news alone: a member, and nothing is done for it. */
static void test_proposal_of_nothing_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct proposal nothing = {.kind = PROPOSAL_NOTHING};
    uint64_t revision = catalog_store_revision(f->store);
    struct record_list news = {0};
    region_id id = {9, 9};
    assert_int_equal(catalog_store_propose(f->store, 1, 5, &nothing, &f->changes, &id), 0);
    assert_true(region_id_equal(id, (region_id){0, 0}));
    assert_int_equal(f->changes.count, 0);
    assert_int_equal(catalog_store_revision(f->store), revision);
    assert_int_equal(catalog_store_propose(f->store, 5, 5, &nothing, &f->changes, &id), DSM_EDOWN);
    assert_int_equal(catalog_store_declare_dead(f->store, 1, &news), 0);
    record_list_close(&news);
    assert_int_equal(catalog_store_propose(f->store, 1, 6, &nothing, &f->changes, &id), DSM_EDOWN);
    nothing.kind = PROPOSAL_KINDS;
    assert_int_equal(catalog_store_propose(f->store, 0, 1, &nothing, &f->changes, &id), DSM_EINVAL);
}

static void test_update_of_size_only_grows_within_limits(void **state)
{
    struct fixture *f = *state;
    struct record record = fixture_create(f, 0, "/x", ALICE, 0600);
    struct proposal update = update_of(&record, ALICE);
    update.record.size_bytes = REGION_MAX + 1;
    assert_int_equal(fixture_propose(f, 0, &update, NULL), DSM_ESIZE);
    update.record.size_bytes = 8192;
    update.credential.uid = BOB;
    assert_int_equal(fixture_propose(f, 1, &update, NULL), DSM_EACCES);
    assert_int_equal(fixture_propose(f, 0, &update, &record),
                     0); /* a program there has it open to write */
    update = update_of(&record, ALICE);
    update.record.size_bytes = 4096;
    assert_int_equal(fixture_propose(f, 0, &update, NULL), DSM_EINVAL);
    struct proposal sem = create_of("/s", ALICE, 0600);
    sem.record.kind = RECORD_SEM;
    assert_int_equal(fixture_propose(f, 0, &sem, &record), 0);
    update = update_of(&record, ALICE);
    update.record.size_bytes = 1;
    assert_int_equal(fixture_propose(f, 0, &update, NULL), DSM_EACCES);
}

static int update_with(struct fixture *f, const struct record *record,
                       void (*spoil)(struct record *record))
{
    struct proposal proposal = update_of(record, 0);
    spoil(&proposal.record);
    return fixture_propose(f, 0, &proposal, NULL);
}

static void spoil_uid(struct record *r)
{
    r->uid = BOB;
}
static void spoil_gid(struct record *r)
{
    r->gid = BOB;
}
static void spoil_mode_bits(struct record *r)
{
    r->mode = 0777;
}
static void spoil_page_size(struct record *r)
{
    r->page_size = 8192;
}
static void spoil_home_policy(struct record *r)
{
    r->home = DSM_HOME_STRIPED;
}
static void spoil_homes(struct record *r)
{
    r->homes = nodeset_of(1);
}
static void spoil_rename(struct record *r)
{
    r->name[1] = 'z';
}
static void spoil_sem(struct record *r)
{
    r->kind = RECORD_SEM;
}
static void spoil_address(struct record *r)
{
    r->address[0] = 'z';
}
static void spoil_epoch(struct record *r)
{
    r->epoch = 4;
}
static void spoil_alive(struct record *r)
{
    r->alive = true;
}
static void spoil_deleted(struct record *r)
{
    r->deleted = true;
}
static void spoil_others(struct record *r)
{
    nodeset_add(&r->readers, 1);
}
static void spoil_other_writers(struct record *r)
{
    nodeset_add(&r->readers, 0);
    nodeset_add(&r->writers, 1);
}
static void spoil_reader_of_writer(struct record *r)
{
    r->readers = NODESET_EMPTY;
}

/* Even root at the asking node changes nothing but what an update may change. */
static void test_update_of_anything_else_is_refused(void **state)
{
    struct fixture *f = *state;
    struct record x = fixture_create(f, 0, "/x", ALICE, 0600);
    void (*const spoils[])(struct record *) = {
        spoil_uid,   spoil_gid,     spoil_mode_bits, spoil_page_size,    spoil_home_policy,
        spoil_homes, spoil_rename,  spoil_sem,       spoil_address,      spoil_epoch,
        spoil_alive, spoil_deleted, spoil_others,    spoil_other_writers};
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        assert_int_equal(update_with(f, &x, spoils[i]), DSM_EACCES);
    }
    assert_int_equal(update_with(f, &x, spoil_reader_of_writer), DSM_EINVAL);
    assert_int_equal(update_with(f, &x, spoil_kind), DSM_EACCES);
    struct proposal nothing = update_of(&x, 0);
    nothing.kind = 9;
    assert_int_equal(fixture_propose(f, 0, &nothing, NULL), DSM_EINVAL);
}

/* Unlinking is for the owner and root; the last reader's leaving deletes. */
static void test_unlink_is_for_owner_and_last_reader_deletes(void **state)
{
    struct fixture *f = *state;
    struct record x = fixture_create(f, 0, "/x", ALICE, 0666);
    struct proposal update = update_of(&x, BOB);
    update.record.unlinked = true;
    assert_int_equal(fixture_propose(f, 1, &update, NULL), DSM_EACCES);
    update.credential.uid = ALICE;
    assert_int_equal(fixture_propose(f, 1, &update, &x), 0);
    assert_true(x.unlinked);
    assert_false(x.deleted);
    update = update_of(&x, ALICE);
    update.record.unlinked = false;
    assert_int_equal(fixture_propose(f, 0, &update, NULL), DSM_EACCES);
    uint64_t before = catalog_store_revision(f->store);
    update = update_of(&x, BOB); /* giving it up takes no right */
    update.record.readers = NODESET_EMPTY;
    update.record.writers = NODESET_EMPTY;
    assert_int_equal(fixture_propose(f, 0, &update, &x), 0);
    assert_true(x.deleted);
    assert_int_equal(fixture_count(f, before), 1); /* who saw it alive hears of its end */
    assert_int_equal(fixture_count(f, 0), 2);      /* who saw nothing hears of the nodes only */
    struct record y = fixture_create(f, 0, "/y", 0, 0666);
    update = update_of(&y, 0);
    update.record.unlinked = true;
    update.record.readers = NODESET_EMPTY;
    update.record.writers = NODESET_EMPTY;
    assert_int_equal(fixture_propose(f, 0, &update, &y), 0);
    assert_true(y.deleted);
}

static void test_opening_takes_the_rights_of_the_mode(void **state)
{
    struct fixture *f = *state;
    struct record x = fixture_create(f, 0, "/x", ALICE, 0604);
    struct proposal update = update_of(&x, BOB);
    nodeset_add(&update.record.readers, 1);
    nodeset_add(&update.record.writers, 1);
    assert_int_equal(fixture_propose(f, 1, &update, NULL), DSM_EACCES);
    update.record.writers = x.writers;
    assert_int_equal(fixture_propose(f, 1, &update, &x), 0);
    struct record y = fixture_create(f, 0, "/y", ALICE, 0602);
    update = update_of(&y, BOB);
    nodeset_add(&update.record.readers, 1);
    assert_int_equal(fixture_propose(f, 1, &update, NULL), DSM_EACCES);
}

/* By a writer's node, for ever, and without writers. */
static void test_seal_is_for_ever_and_leaves_no_writers(void **state)
{
    struct fixture *f = *state;
    struct record x = fixture_create(f, 0, "/x", ALICE, 0644);
    struct proposal seal = update_of(&x, BOB);
    seal.record.sealed = true;
    assert_int_equal(fixture_propose(f, 0, &seal, NULL), DSM_EINVAL); /* it still has a writer */
    seal.record.writers = NODESET_EMPTY;
    assert_int_equal(fixture_propose(f, 1, &seal, NULL), DSM_EACCES); /* another node's */
    assert_int_equal(fixture_propose(f, 0, &seal, &x), 0);
    assert_true(x.sealed);
    struct proposal update = update_of(&x, ALICE);
    nodeset_add(&update.record.writers, 0);
    assert_int_equal(fixture_propose(f, 0, &update, NULL), DSM_EINVAL);
    update = update_of(&x, ALICE);
    update.record.sealed = false;
    assert_int_equal(fixture_propose(f, 0, &update, NULL), DSM_EACCES);
    update = update_of(&x, ALICE);
    update.record.size_bytes += 4096;
    assert_int_equal(fixture_propose(f, 0, &update, NULL), DSM_ESEALED);
    update = update_of(&x, BOB);
    nodeset_add(&update.record.readers, 1);
    assert_int_equal(fixture_propose(f, 1, &update, NULL), 0); /* who wants to read it may */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_create_gives_id_owner_and_homes),
        TEST(test_create_with_dead_node_is_not_homed_there),
        TEST(test_create_of_bad_record_is_refused),
        TEST(test_create_of_taken_name_is_refused),
        TEST(test_create_replaces_in_one_transaction),
        TEST(test_create_replaces_without_right_is_refused),
        TEST(test_replace_of_unused_record_deletes_it),
        TEST(test_update_of_old_revision_is_refused),
        TEST(test_update_without_change_makes_no_revision),
        TEST(test_proposal_of_nothing_changes_nothing),
        TEST(test_update_of_size_only_grows_within_limits),
        TEST(test_update_of_anything_else_is_refused),
        TEST(test_unlink_is_for_owner_and_last_reader_deletes),
        TEST(test_opening_takes_the_rights_of_the_mode),
        TEST(test_seal_is_for_ever_and_leaves_no_writers),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
