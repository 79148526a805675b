/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever runs out of memory while keys are loaded and while two nodes greet each other: nobody
 * is let in unseen, nothing is left behind, and the next try goes well. */
#include "tests/unit/link_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/failure/failure.h"

/** OpenSSL takes thousands of blocks in each; set FAILURE_EXHAUSTIVE to let each of them fail. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 23
#else
#define STRIDE 8
#endif

/** The want of memory is not taken for a bad file: an operator would look for what is not there. */
static void test_identity_is_loaded_or_the_reason_is_named(void **state)
{
    struct place *place = *state;
    static const struct {
        uint32_t kinds;
        int error;
        const char *word;
    } cases[] = {
        {FAILURE_MEMORY, DSM_ENOMEM, "out of memory"},
        {FAILURE_DESCRIPTOR, DSM_ECERT, "Too many open files"},
        {FAILURE_FILE, DSM_ECERT, "cannot be read"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t named = 0, tries = 0;

        FAILURE_LOOP(loop, cases[i].kinds)
        {
            struct tls_context *tls = NULL;
            char text[TEXT_BYTES_MAX];
            int error;

            loop.stride = cases[i].kinds == FAILURE_MEMORY ? STRIDE : 1;
            failure_loop_arm(&loop);
            error = tls_context_new(place->ca, place->certificate, place->key, &tls, text);
            failure_disarm();
            if (error == 0) {
                assert_string_equal(tls_context_name(tls), "node-a");
                assert_true(tls_context_expiry_s(tls) > 0);
                assert_string_equal(text, "");
                tls_context_free(tls);
                continue;
            }
            assert_true(failure_was_injected());
            assert_null(tls);
            tries++;
            named += error == cases[i].error && strstr(text, cases[i].word) != NULL;
            /* What OpenSSL forgot to tell is taken for a file that cannot be used. */
            if (error != cases[i].error && (error != DSM_ECERT || text[0] == 0)) {
                fail_msg("call %u (%s) failed: %d, '%s'", loop.n, failure_call(), error, text);
            }
        }
        /* Most have the right word; OpenSSL forgets why for some of those that are its own. */
        assert_true(named >= (cases[i].kinds == FAILURE_MEMORY ? tries / 2 : tries));
    }
}

/**
 * Who lacked memory says so, or what OpenSSL made of it; the other at most hears that the handshake
 * failed. If neither has an error both are ready.
 */
static void check_errors(const struct failure_loop *loop, const struct pair *pair)
{
    struct link *sides[2] = {pair->client, pair->server};

    for (int i = 0; i < 2; i++) {
        int error = link_error(sides[i]);

        if (error != 0 && (pair->victim == NULL || link_error_text(sides[i])[0] == 0 ||
                           (error != DSM_ENOMEM && error != DSM_ECERT && error != DSM_EPROTO) ||
                           (error == DSM_ENOMEM && sides[i] != pair->victim))) {
            fail_msg("call %u failed, the %s has %d: %s", loop->n,
                     sides[i] == pair->victim ? "victim" : "peer", error,
                     link_error_text(sides[i]));
        }
    }
    if (link_error(pair->client) == 0 && link_error(pair->server) == 0) {
        assert_true(link_is_ready(pair->client));
        assert_true(link_is_ready(pair->server));
    }
}

/** Either both are ready and know each other, or the one that lacked memory has an error. */
static void test_handshake_ends_or_lacks_memory(void **state)
{
    struct place *place = *state;
    uint32_t told = 0, failed = 0;

    FAILURE_LOOP(loop, FAILURE_MEMORY)
    {
        struct pair pair = {0};
        int client_error, server_error;

        loop.stride = STRIDE;
        failure_loop_arm(&loop);
        client_error = link_new(place->a, false, &pair.client);
        server_error = link_new(place->b, true, &pair.server);
        if (client_error == 0 && server_error == 0) {
            pair_settle(&pair, 1 << 20);
        }
        failure_disarm();
        if (client_error != 0 || server_error != 0) {
            assert_true(failure_was_injected());
            assert_int_equal(client_error + server_error, DSM_ENOMEM);
        } else {
            check_errors(&loop, &pair);
            if (link_is_ready(pair.client) && link_is_ready(pair.server)) {
                assert_string_equal(link_peer_name(pair.client), "node-b");
                assert_string_equal(link_peer_name(pair.server), "node-a");
            } else {
                assert_non_null(pair.victim);
                failed++;
                told += link_error(pair.victim) == DSM_ENOMEM;
            }
        }
        pair_free(&pair);
    }
    assert_true(told > failed / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_is_loaded_or_the_reason_is_named),
        cmocka_unit_test(test_handshake_ends_or_lacks_memory),
    };

    return cmocka_run_group_tests(tests, place_set_up, place_tear_down);
}
