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
        {"memory", FAILURE_MEMORY, 0, {DSM_ENOMEM}, false},
        {"no memory from then on", FAILURE_MEMORY, 0, {DSM_ENOMEM}, true},
        {"descriptors", FAILURE_DESCRIPTOR, 0, {DSM_ESYS}, false},
        {"no descriptor from then on", FAILURE_DESCRIPTOR, 0, {DSM_ESYS}, true},
        {"mappings", FAILURE_MAPPING, 0, {DSM_ENOMEM}, false},
        {"mappings that are forbidden", FAILURE_MAPPING, EACCES, {DSM_ESYS}, false},
        {"locks", FAILURE_THREAD, 0, {DSM_ESYS}, false},
        {"signals", FAILURE_INTERRUPT, 0, {0}, false},
        {"full sockets", FAILURE_AGAIN, 0, {DSM_ESYS}, false, false, "read"},
        {"a kernel without memory", FAILURE_TRANSFER, ENOMEM, {DSM_ENOMEM, DSM_ESYS}, false},
        {"ioctls", FAILURE_CONTROL, ENOMEM, {DSM_ENOMEM, DSM_ENOTSUP}, false},
        {"ioctls that are unknown", FAILURE_CONTROL, EINVAL, {DSM_ESYS, DSM_ENOTSUP}, false},
        {"short transfers", FAILURE_SHORT, 0, {0}, false},
        {"copies", FAILURE_COPY, 0, {DSM_ENOMEM}, false},
        {"copies that become forbidden", FAILURE_COPY, ENOSYS, {0}, true},
        {"pipes", FAILURE_DESCRIPTOR, 0, {DSM_ESYS}, false, true},
        {"signals at pipes", FAILURE_INTERRUPT, 0, {0}, false, true},
        {"short pipes", FAILURE_SHORT, 0, {0}, false, true},
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
        {"memory", FAILURE_MEMORY, 0, {DSM_ENOMEM, DSM_ESYS}, false},
        {"no memory from then on", FAILURE_MEMORY, 0, {DSM_ENOMEM, DSM_ESYS}, true},
        {"descriptors", FAILURE_DESCRIPTOR, 0, {DSM_ESYS}, false},
        {"threads and locks", FAILURE_THREAD, 0, {DSM_ESYS}, false},
        {"signals", FAILURE_INTERRUPT, 0, {0}, false},
        {"full sockets", FAILURE_AGAIN, 0, {DSM_ENOAGENT}, false},
        {"broken sockets", FAILURE_TRANSFER, 0, {DSM_ENOAGENT, DSM_ENOMEM}, false},
        {"settings", FAILURE_CONTROL, 0, {0}, false},
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
    static const struct trouble trouble = {
        "a broken socket", FAILURE_TRANSFER, 0, {DSM_ENOAGENT, DSM_ENOMEM, DSM_ESYS}, false};
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
