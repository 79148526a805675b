/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever call fails under libdsm: the error is the documented one, nothing is left behind, the
 * session goes on, and the same call goes well when it is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/lib_world.h"

/** What fails, how, and what may come of it. */
struct trouble {
    const char *name;
    uint32_t kinds;
    int number;    /* the errno, 0: that of the kind */
    int errors[4]; /* allowed; none: the operation goes well all the same */
    bool is_lasting;
    bool forbids_copies; /* dsm_vm_*() go through a pipe */
    const char *call;    /* they come of this one only; NULL: of any */
};

static bool is_allowed(const struct trouble *trouble, int error)
{
    for (size_t i = 0; i < 4; i++) {
        if (error == trouble->errors[i]) {
            return true;
        }
    }
    return false;
}

static void check_error(const struct trouble *trouble, const char *what, uint32_t n, int error)
{
    bool is_due = failure_was_injected() && is_allowed(trouble, error) &&
                  (trouble->call == NULL || strcmp(trouble->call, failure_call()) == 0);

    if (error != 0 && !is_due) {
        fail_msg("%s, %s: call %u (%s) failed, and the error is %s (%d)", what, trouble->name, n,
                 failure_call(), dsm_error_name(error), error);
    }
}

/* Returns the points of failure. */
static uint32_t try_operation(struct world *world, const struct operation *operation,
                              const struct trouble *trouble)
{
    uint32_t points = 0;

    FAILURE_LOOP(loop, trouble->kinds)
    {
        char text[TEXT_BYTES_MAX];
        int error;

        loop.name = operation->name;
        loop.is_quiet = true;
        loop.is_lasting = trouble->is_lasting;
        if (operation->prepare != NULL) {
            operation->prepare(world);
        }
        failure_errno(trouble->number);
        failure_forbid_copies(trouble->forbids_copies);
        failure_loop_arm(&loop);
        error = operation->run(world);
        failure_disarm();
        failure_errno(0);
        failure_forbid_copies(false);
        points += failure_was_injected();
        check_error(trouble, operation->name, loop.n, error);
        if (error != 0) {
            dsm_last_error(world->dsm, text, sizeof text);
            assert_int_not_equal(text[0], 0);
        }
        if (error != 0 && !operation->is_release) {
            assert_int_equal(operation->run(world), 0);
        }
        if (operation->undo != NULL) {
            operation->undo(world);
        }
    }
    return points;
}

/* Every operation of one session, in every trouble that leaves the session alive. */
static void test_operations_fail_whole_and_go_well_again(void **state)
{
    static const struct trouble troubles[] = {
        {.name = "memory", .kinds = FAILURE_MEMORY, .errors = {DSM_ENOMEM}},
        {.name = "no memory from then on",
         .kinds = FAILURE_MEMORY,
         .errors = {DSM_ENOMEM},
         .is_lasting = true},
        {.name = "descriptors", .kinds = FAILURE_DESCRIPTOR, .errors = {DSM_ESYS}},
        {.name = "no descriptor from then on",
         .kinds = FAILURE_DESCRIPTOR,
         .errors = {DSM_ESYS},
         .is_lasting = true},
        {.name = "mappings", .kinds = FAILURE_MAPPING, .errors = {DSM_ENOMEM}},
        {.name = "mappings that are forbidden",
         .kinds = FAILURE_MAPPING,
         .number = EACCES,
         .errors = {DSM_ESYS}},
        {.name = "locks", .kinds = FAILURE_THREAD, .errors = {DSM_ESYS}},
        {.name = "signals", .kinds = FAILURE_INTERRUPT},
        {.name = "full sockets", .kinds = FAILURE_AGAIN, .errors = {DSM_ESYS}, .call = "read"},
        {.name = "a kernel without memory",
         .kinds = FAILURE_TRANSFER,
         .number = ENOMEM,
         .errors = {DSM_ENOMEM, DSM_ESYS}},
        {.name = "ioctls",
         .kinds = FAILURE_CONTROL,
         .number = ENOMEM,
         .errors = {DSM_ENOMEM, DSM_ENOTSUP}},
        {.name = "ioctls that are unknown",
         .kinds = FAILURE_CONTROL,
         .number = EINVAL,
         .errors = {DSM_ESYS, DSM_ENOTSUP}},
        {.name = "short transfers", .kinds = FAILURE_SHORT},
        {.name = "copies", .kinds = FAILURE_COPY, .errors = {DSM_ENOMEM}},
        {.name = "copies that become forbidden",
         .kinds = FAILURE_COPY,
         .number = ENOSYS,
         .is_lasting = true},
        {.name = "pipes",
         .kinds = FAILURE_DESCRIPTOR,
         .errors = {DSM_ESYS},
         .forbids_copies = true},
        {.name = "signals at pipes", .kinds = FAILURE_INTERRUPT, .forbids_copies = true},
        {.name = "short pipes", .kinds = FAILURE_SHORT, .forbids_copies = true},
    };
    struct world world;

    (void)state;
    world_start(&world, (struct fake_options){0});
    world_enter(&world);
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        uint32_t points = 0;

        for (const struct operation *operation = operations; operation->name != NULL; operation++) {
            points += try_operation(&world, operation, &troubles[i]);
        }
        print_message("%s: %u points of failure\n", troubles[i].name, points);
    }
    world_leave(&world);
    world_settle(&world);
    world_stop(&world);
}

/* To give a thing back takes no memory: who is out of it cannot be made to keep what it holds. */
static void test_releases_take_no_memory(void **state)
{
    struct world world;

    (void)state;
    world_start(&world, (struct fake_options){0});
    world_enter(&world);
    for (const struct operation *operation = operations; operation->name != NULL; operation++) {
        int error;

        if (!operation->is_release && strcmp(operation->name, "unlock") != 0 &&
            strcmp(operation->name, "sem post") != 0) {
            continue;
        }
        if (operation->prepare != NULL) {
            operation->prepare(&world);
        }
        failure_arm_lasting(FAILURE_MEMORY | FAILURE_DESCRIPTOR | FAILURE_MAPPING, 0);
        error = operation->run(&world);
        failure_disarm();
        assert_int_equal(error, 0);
        assert_false(failure_was_injected());
    }
    failure_arm_lasting(FAILURE_MEMORY | FAILURE_DESCRIPTOR, 0);
    world_leave(&world);
    failure_disarm();
    assert_false(failure_was_injected());
    world_settle(&world);
    world_stop(&world);
}

/* A session is there whole, or not at all. */
static void test_connect_fails_whole_and_goes_well_again(void **state)
{
    static const struct trouble troubles[] = {
        {.name = "memory", .kinds = FAILURE_MEMORY, .errors = {DSM_ENOMEM, DSM_ESYS}},
        {.name = "no memory from then on",
         .kinds = FAILURE_MEMORY,
         .errors = {DSM_ENOMEM, DSM_ESYS},
         .is_lasting = true},
        {.name = "descriptors", .kinds = FAILURE_DESCRIPTOR, .errors = {DSM_ESYS}},
        {.name = "threads and locks", .kinds = FAILURE_THREAD, .errors = {DSM_ESYS}},
        {.name = "signals", .kinds = FAILURE_INTERRUPT},
        {.name = "full sockets", .kinds = FAILURE_AGAIN, .errors = {DSM_ENOAGENT}},
        {.name = "broken sockets", .kinds = FAILURE_TRANSFER, .errors = {DSM_ENOAGENT, DSM_ENOMEM}},
        {.name = "settings", .kinds = FAILURE_CONTROL, .errors = {DSM_ESYS}},
    };
    struct world world;

    (void)state;
    world_start(&world, (struct fake_options){0});
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        FAILURE_LOOP(loop, troubles[i].kinds)
        {
            struct dsm *dsm = NULL;
            int error;

            loop.name = troubles[i].name;
            loop.is_lasting = troubles[i].is_lasting;
            failure_loop_arm(&loop);
            error = dsm_connect(fake_path(world.fake), &dsm);
            failure_disarm();
            check_error(&troubles[i], "connect", loop.n, error);
            assert_true((dsm == NULL) == (error != 0));
            if (troubles[i].kinds == FAILURE_DESCRIPTOR) {
                /* Not even without the agent's device: system calls would fail later on. */
                assert_true((error != 0) == failure_was_injected());
            }
            dsm_disconnect(dsm);
            world_enter(&world);
            assert_int_equal(operations[0].run(&world), 0);
            world_leave(&world);
            world_settle(&world);
        }
    }
    world_stop(&world);
}

/* The socket breaks under a call: that call and all later ones say so, and the end cleans up. */
static void test_broken_session_ends_clean(void **state)
{
    static const struct trouble trouble = {.name = "a broken socket",
                                           .kinds = FAILURE_TRANSFER,
                                           .errors = {DSM_ENOAGENT, DSM_ENOMEM, DSM_ESYS}};
    struct world world;
    uint32_t points = 0;

    (void)state;
    world_start(&world, (struct fake_options){0});
    for (const struct operation *operation = operations; operation->name != NULL; operation++) {
        FAILURE_LOOP(loop, trouble.kinds)
        {
            int error;

            loop.name = operation->name;
            loop.is_quiet = true;
            world_enter(&world);
            world.count_added = 0;
            assert_int_equal(dsm_fetch_add(world.region, 8, 0, &world.count_added), 0);
            if (operation->prepare != NULL) {
                operation->prepare(&world);
            }
            failure_loop_arm(&loop);
            error = operation->run(&world);
            failure_disarm();
            points += failure_was_injected();
            check_error(&trouble, operation->name, loop.n, error);
            if (error == 0 && operation->undo != NULL && !failure_was_injected()) {
                operation->undo(&world);
            }
            world_leave(&world);
            world_settle(&world);
        }
    }
    print_message("%s: %u points of failure\n", trouble.name, points);
    world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations_fail_whole_and_go_well_again),
        cmocka_unit_test(test_releases_take_no_memory),
        cmocka_unit_test(test_connect_fails_whole_and_goes_well_again),
        cmocka_unit_test(test_broken_session_ends_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
