/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/failure/catalog_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsm.h"
#include "net/codec.h"

#define USER 1000
/** A page of the log, with its head; at 1000 of them the log is moved into the file. */
#define LOG_PAGE_BYTES (4096 + 24)
#define LOG_PAGES_BEFORE 985

/* Steps. */

static int join(struct story *story, const char *name, uint32_t incarnation, const char *address)
{
    const struct joiner joiner = {.name = name,
                                  .address = address,
                                  .incarnation = incarnation,
                                  .machine = {.page_bytes = 4096, .word_bits = 64}};
    uint32_t node;
    return catalog_store_join(story->store, &joiner, &story->changes, &node);
}

static int propose(struct story *story, uint32_t node, uint64_t request,
                   const struct proposal *proposal)
{
    region_id id;
    return catalog_store_propose(story->store, node, request, proposal, &story->changes, &id);
}

static struct proposal create_of(const char *name, uint32_t node)
{
    struct proposal proposal = {.kind = PROPOSAL_CREATE,
                                .record = {.kind = RECORD_REGION,
                                           .mode = 0644,
                                           .page_size = 4096,
                                           .size_bytes = 8192,
                                           .readers = nodeset_of(node),
                                           .writers = nodeset_of(node)},
                                .credential = {.uid = USER, .gid = USER}};
    snprintf(proposal.record.name, sizeof(proposal.record.name), "%s", name);
    return proposal;
}

/** The proposal to put what has this name in its own place. */
static int update_of(struct story *story, const char *name, struct proposal *proposal)
{
    story->all.count = 0;
    int error = catalog_store_list(story->store, 0, &story->all);
    for (uint32_t i = 0; error == 0 && i < story->all.count; i++) {
        if (strcmp(story->all.records[i].name, name) == 0 && !story->all.records[i].unlinked) {
            *proposal = (struct proposal){.kind = PROPOSAL_UPDATE,
                                          .record = story->all.records[i],
                                          .credential = {.uid = USER, .gid = USER}};
            return 0;
        }
    }
    return error != 0 ? error : DSM_ENOENT;
}

static int step_join_a(struct story *story)
{
    return join(story, "a", 11, "10.0.0.1:7400");
}

static int step_join_b(struct story *story)
{
    return join(story, "b", 21, "10.0.0.2:7400");
}

static int step_create_x(struct story *story)
{
    struct proposal create = create_of("/x", 0);
    return propose(story, 0, 0, &create);
}

static int step_create_striped(struct story *story)
{
    struct proposal create = create_of("/y", 1);
    create.record.home = DSM_HOME_STRIPED;
    return propose(story, 1, 5, &create);
}

static int step_create_sem(struct story *story)
{
    struct proposal create = create_of("/s", 1);
    create.record.kind = RECORD_SEM;
    create.record.size_bytes = 3;
    return propose(story, 1, 6, &create);
}

static int step_grow_x(struct story *story)
{
    struct proposal update;
    int error = update_of(story, "/x", &update);
    update.record.size_bytes = 1 << 20;
    return error != 0 ? error : propose(story, 0, 0, &update);
}

static int step_read_y(struct story *story)
{
    struct proposal update;
    int error = update_of(story, "/y", &update);
    nodeset_add(&update.record.readers, 0);
    return error != 0 ? error : propose(story, 0, 0, &update);
}

static int step_remove_x(struct story *story)
{
    struct proposal update;
    int error = update_of(story, "/x", &update);
    update.record.unlinked = true;
    update.record.readers = NODESET_EMPTY;
    update.record.writers = NODESET_EMPTY;
    return error != 0 ? error : propose(story, 0, 0, &update);
}

static int step_replace_x(struct story *story)
{
    struct proposal create = create_of("/x", 0), old;
    int error = update_of(story, "/x", &old);
    create.replaces = old.record.id;
    return error != 0 ? error : propose(story, 0, 0, &create);
}

static int step_open_again(struct story *story)
{
    story_close_store(story);
    return story_open_store(story);
}

static int step_lose_b(struct story *story)
{
    return catalog_store_declare_dead(story->store, 1, &story->changes);
}

static int step_return_b(struct story *story)
{
    return join(story, "b", 22, "10.0.0.2:7400");
}

static int step_restart_a(struct story *story)
{
    return join(story, "a", 12, "10.0.0.9:7400"); /* a death and a birth */
}

static int step_trim(struct story *story)
{
    return catalog_store_trim(story->store, 1);
}

static int step_create_last(struct story *story)
{
    struct proposal create = create_of("/last", 1);
    return propose(story, 1, 1, &create);
}

static int step_ask(struct story *story)
{
    struct proposal nothing = {.kind = PROPOSAL_NOTHING};
    return propose(story, 0, 8, &nothing);
}

/** A region of a name of its own. */
static int step_create_next(struct story *story)
{
    char name[32];
    snprintf(name, sizeof(name), "/n%llu",
             (unsigned long long)catalog_store_revision(story->store));
    struct proposal create = create_of(name, 0);
    return propose(story, 0, 0, &create);
}

static story_step *const all_steps[] = {
    step_join_a,   step_join_b,    step_create_x, step_create_striped, step_create_sem, step_grow_x,
    step_read_y,   step_remove_x,  step_create_x, step_open_again,     step_replace_x,  step_lose_b,
    step_return_b, step_restart_a, step_trim,     step_create_last,    step_open_again, step_ask,
};

static story_step *const large_steps[] = {
    step_create_next, step_create_next, step_create_next, step_create_next,
    step_create_next, step_create_next, step_create_next,
};

/* What the catalog is. */

static void pack_number(struct buffer *to, uint64_t number)
{
    buffer_append(to, &number, sizeof(number));
}

static int pack_list(struct story *story, uint64_t after, struct buffer *to)
{
    story->all.count = 0;
    int error = catalog_store_list(story->store, after, &story->all);
    if (error == DSM_ESTALE) {
        pack_number(to, 0); /* trimmed: that is a part of the catalog, too */
        return 0;
    }
    for (uint32_t i = 0; error == 0 && i < story->all.count; i++) {
        assert_true(story->all.records[i].revision >
                    (i == 0 ? after : story->all.records[i - 1].revision));
        record_pack(&story->all.records[i], to);
    }
    return error;
}

/** All records, all deletions that are remembered, and the revision. */
static int pack_catalog(struct story *story, struct buffer *to)
{
    buffer_clear(to);
    pack_number(to, catalog_store_revision(story->store));
    pack_number(to, catalog_store_count_deleted(story->store));
    int error = pack_list(story, 0, to);
    uint64_t revision = catalog_store_revision(story->store);
    for (uint64_t after = 1; error == 0 && after <= revision; after += 3 + revision / 8) {
        error = pack_list(story, after, to);
    }
    assert_false(to->failed);
    return error;
}

bool story_is_at(struct story *story, uint32_t at)
{
    struct buffer now = {0};
    assert_int_equal(story_open_store(story), 0);
    assert_int_equal(pack_catalog(story, &now), 0);
    bool is_same =
        buffer_len(&now) == buffer_len(&story->expected[at]) &&
        memcmp(buffer_data(&now), buffer_data(&story->expected[at]), buffer_len(&now)) == 0;
    buffer_close(&now);
    return is_same;
}

/* Its life. */

int story_open_store(struct story *story)
{
    int error = 0;
    if (story->store == NULL) {
        memset(story->text, 0, sizeof(story->text));
        error = catalog_store_open(story->path, 0, &story->store, story->text);
    }
    return error;
}

void story_close_store(struct story *story)
{
    catalog_store_close(story->store);
    story->store = NULL;
}

int story_step_on(struct story *story)
{
    assert_true(story->at < story->count_steps);
    hush_begin(&story->hush);
    int error = story_open_store(story);
    if (error == 0) {
        error = story->steps[story->at](story);
    }
    hush_end(&story->hush);
    story->at += error == 0 ? 1 : 0;
    return error;
}

void story_finish(struct story *story)
{
    while (story->at < story->count_steps) {
        int error = story_step_on(story);
        if (error != 0) {
            fail_msg("step %u: %s %s %s", story->at, dsm_strerror(error), story->text,
                     story->hush.text);
        }
        assert_true(story_is_at(story, story->at));
    }
}

/** Go through it once with nothing failing, and note what the catalog is. */
static void learn(struct story *story)
{
    for (uint32_t at = 0; at <= story->count_steps; at++) {
        assert_int_equal(story_open_store(story), 0);
        assert_int_equal(pack_catalog(story, &story->expected[at]), 0);
        assert_int_equal(at < story->count_steps ? story_step_on(story) : 0, 0);
    }
}

static void open_with(struct story *story, story_step *const *steps, uint32_t count_steps)
{
    memset(story, 0, sizeof(*story));
    hush_open(&story->hush);
    /* Nothing here is to outlive the power, so the files need no disk. */
    assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);
    assert_int_equal(certs_directory_make(story->directory), 0);
    certs_path(story->path, story->directory, "catalog", ".db");
    certs_path(story->log_path, story->directory, "catalog", ".db-wal");
    story->steps = steps;
    story->count_steps = count_steps;
}

void story_open(struct story *story)
{
    open_with(story, all_steps, sizeof(all_steps) / sizeof(all_steps[0]));
    learn(story);
    story_restart(story);
}

static void copy_file(const struct story *story, const char *from_name, const char *to_name)
{
    char from_path[CERTS_PATH_BYTES], to_path[CERTS_PATH_BYTES], bytes[65536];
    size_t len_bytes;
    FILE *from = fopen(certs_path(from_path, story->directory, from_name, ""), "re");
    FILE *to = fopen(certs_path(to_path, story->directory, to_name, ""), "we");
    assert_non_null(from);
    assert_non_null(to);
    while ((len_bytes = fread(bytes, 1, sizeof(bytes), from)) > 0) {
        assert_int_equal(fwrite(bytes, 1, len_bytes, to), len_bytes);
    }
    fclose(from);
    assert_int_equal(fclose(to), 0);
}

void story_open_large(struct story *story)
{
    struct stat status = {0};
    open_with(story, large_steps, sizeof(large_steps) / sizeof(large_steps[0]));
    assert_int_equal(story_open_store(story), 0);
    assert_int_equal(step_join_a(story), 0);
    assert_int_equal(step_join_b(story), 0);
    while (status.st_size < (off_t)LOG_PAGES_BEFORE * LOG_PAGE_BYTES) {
        assert_int_equal(step_create_next(story), 0);
        assert_int_equal(stat(story->log_path, &status), 0);
    }
    /* As they are, while the store is open: closing would empty the log. */
    copy_file(story, "catalog.db", "before.db");
    copy_file(story, "catalog.db-wal", "before.db-wal");
    learn(story);
    story_restart(story);
}

void story_restart(struct story *story)
{
    char path[CERTS_PATH_BYTES];
    story_close_store(story);
    unlink(story->path);
    unlink(story->log_path);
    unlink(certs_path(path, story->directory, "catalog", ".db-journal"));
    story->at = 0;
    if (access(certs_path(path, story->directory, "before", ".db"), F_OK) == 0) {
        copy_file(story, "before.db", "catalog.db");
        copy_file(story, "before.db-wal", "catalog.db-wal");
    }
}

void story_close(struct story *story)
{
    story_close_store(story);
    record_list_close(&story->changes);
    record_list_close(&story->all);
    for (uint32_t at = 0; at <= STORY_STEPS_MAX; at++) {
        buffer_close(&story->expected[at]);
    }
    certs_directory_remove(story->directory);
    hush_close(&story->hush);
}
