/* SPDX-License-Identifier: Apache-2.0 */
/** A catalog in a file of its own with the nodes a (0) and b (1), for the tests of its rules. */
#ifndef DSM_TESTS_STORE_FIXTURE_H
#define DSM_TESTS_STORE_FIXTURE_H

#include "agent/catalog_store.h"
#include "tests/unit/certs.h"

#define REGION_MAX (UINT64_C(1) << 30)
#define ALICE 1000
#define BOB 1001

struct fixture {
    char directory[CERTS_PATH_BYTES];
    char path[CERTS_PATH_BYTES];
    struct catalog_store *store;
    struct record_list changes;
    char text[TEXT_BYTES_MAX];
};

/** For cmocka; *state is a struct fixture. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/** Close the file and open it again. */
void fixture_reopen(struct fixture *f);
/** Make it a member, which must work. Returns its number. */
uint32_t fixture_join(struct fixture *f, const char *name, uint32_t incarnation);
/** As fixture_join(), from an address; returns what the store does. */
int fixture_ask(struct fixture *f, const char *name, uint32_t incarnation, const char *address,
                uint32_t *node);
/** The proposal of a new region. */
struct proposal create_of(const char *name, uint32_t uid, uint32_t mode);
/** The proposal to put this record in its own place, to be changed. */
struct proposal update_of(const struct record *record, uint32_t uid);
/** Propose; the last record that has changed is written on success unless `changed` is NULL. */
int fixture_propose(struct fixture *f, uint32_t node, const struct proposal *proposal,
                    struct record *changed);
/** Create a region that the node has open for writing, which must work. */
struct record fixture_create(struct fixture *f, uint32_t node, const char *name, uint32_t uid,
                             uint32_t mode);
/** How many records are listed after a revision; they must be in order. */
uint32_t fixture_count(struct fixture *f, uint64_t after);

#endif
