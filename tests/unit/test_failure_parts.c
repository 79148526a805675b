/* SPDX-License-Identifier: Apache-2.0 */
/* What one part of the agent does when another one fails it: connections that find no memory, and a
 * keeper that cannot read its catalog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/catalog_store.h"
#include "dsm.h"
#include "net/link.h"
#include "tests/unit/cluster.h"

#define STRANGERS 3

int __real_link_new(struct tls_context *tls, bool is_server, struct link **link);
int __wrap_link_new(struct tls_context *tls, bool is_server, struct link **link);
int __real_catalog_store_find_member(struct catalog_store *store, uint32_t node,
                                     struct record *record);
int __wrap_catalog_store_find_member(struct catalog_store *store, uint32_t node,
                                     struct record *record);

/** How often what is to fail still fails; one for the whole program, as the functions are. */
struct failing {
    uint32_t links, members;
};

static struct failing *failing(void)
{
    static struct failing *only;
    if (only == NULL) {
        only = calloc(1, sizeof(*only));
    }
    return only;
}

int __wrap_link_new(struct tls_context *tls, bool is_server, struct link **link)
{
    if (is_server && failing()->links > 0) {
        failing()->links--;
        return DSM_ENOMEM;
    }
    return __real_link_new(tls, is_server, link);
}

int __wrap_catalog_store_find_member(struct catalog_store *store, uint32_t node,
                                     struct record *record)
{
    if (failing()->members > 0) {
        failing()->members--;
        return DSM_ESYS;
    }
    return __real_catalog_store_find_member(store, node, record);
}

static bool are_closed(void *context)
{
    const struct stranger *strangers = context;
    for (uint32_t i = 0; i < STRANGERS; i++) {
        if (!strangers[i].is_closed) {
            return false;
        }
    }
    return true;
}

static bool has_up(void *context)
{
    return ((struct host *)context)->ups > 0;
}

/* Who finds no memory is turned away, each of several that come at once; the next one is let in. */
static void test_connection_without_memory_is_closed_and_the_next_accepted(void **state)
{
    struct stage stage;
    struct host a = {0}, b = {0};
    struct stranger strangers[STRANGERS] = {{0}};
    uint16_t port;
    char host[64];
    (void)state;
    stage_open(&stage);
    host_open(&a, &stage, "ca", "a", 11);
    assert_int_equal(config_split_address(a.address, host, sizeof(host), &port), 0);
    failing()->links = STRANGERS;
    for (uint32_t i = 0; i < STRANGERS; i++) {
        stranger_open(&strangers[i], &stage, "ca", NULL, port);
    }
    assert_true(stage_run(&stage, are_closed, strangers));
    assert_int_equal(failing()->links, 0);
    host_open(&b, &stage, "ca", "b", 21);
    host_know(&b, 1, &a, "a", 0);
    assert_true(stage_run(&stage, has_up, &b));
    for (uint32_t i = 0; i < STRANGERS; i++) {
        stranger_close(&strangers[i]);
    }
    host_close(&b);
    host_close(&a);
    stage_close(&stage);
    tls_context_free(a.tls);
    tls_context_free(b.tls);
}

/* A member whose record cannot be read again has joined all the same, and everybody hears of it. */
static void test_member_that_was_stored_is_told_of(void **state)
{
    struct cluster cluster = {0};
    (void)state;
    cluster_open(&cluster);
    cluster_add(&cluster, &cluster.b, "b", 21);
    failing()->members = UINT32_MAX;
    cluster_add(&cluster, &cluster.c, "c", 31);
    failing()->members = 0;
    cluster_check_even(&cluster, 0, (struct node_host *const[]){&cluster.a, &cluster.b, &cluster.c},
                       3);
    cluster_close(&cluster);
}

static bool is_b_dead(void *context)
{
    struct cluster *cluster = context;
    const struct record *record = node_host_find(&cluster->a, RECORD_NODE, "b");
    return record != NULL && !record->alive;
}

/* The keeper comes back and cannot read a member's record: it is waited for all the same. */
static void test_member_of_before_the_restart_is_waited_for(void **state)
{
    struct cluster cluster = {0};
    (void)state;
    cluster_open(&cluster);
    cluster_add(&cluster, &cluster.b, "b", 21);
    node_host_close(&cluster.a);
    node_host_close(&cluster.b);
    failing()->members = UINT32_MAX;
    cluster.a.host.config.lease_ms = 200;
    cluster_restart_keeper(&cluster, 12);
    failing()->members = 0;
    assert_true(node_host_find(&cluster.a, RECORD_NODE, "b")->alive);
    assert_true(stage_run(&cluster.stage, is_b_dead, &cluster));
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection_without_memory_is_closed_and_the_next_accepted),
        cmocka_unit_test(test_member_that_was_stored_is_told_of),
        cmocka_unit_test(test_member_of_before_the_restart_is_waited_for),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(failing());
    return failed;
}
