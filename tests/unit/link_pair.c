/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/link_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/failure/failure.h"

#define DAY_S (24 * 3600)

static struct tls_context *load(struct place *place, const char *node)
{
    char text[TEXT_BYTES_MAX];
    struct tls_context *tls = NULL;

    certs_path(place->ca, place->directory, "ca", ".pem");
    certs_path(place->certificate, place->directory, node, ".pem");
    certs_path(place->key, place->directory, node, ".key");
    assert_int_equal(tls_context_new(place->ca, place->certificate, place->key, &tls, text), 0);
    return tls;
}

int place_set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    if (!place || certs_directory_make(place->directory) != 0 ||
        certs_make(place->directory, "ca", "node-b", -DAY_S, DAY_S) != 0 ||
        certs_make(place->directory, "ca", "node-a", -DAY_S, DAY_S) != 0) {
        return -1;
    }
    place->b = load(place, "node-b");
    place->a = load(place, "node-a");
    *state = place;
    return 0;
}

int place_tear_down(void **state)
{
    struct place *place = *state;

    tls_context_free(place->a);
    tls_context_free(place->b);
    certs_directory_remove(place->directory);
    free(place);
    return 0;
}

void pair_blame(struct pair *pair, struct link *link)
{
    if (pair->victim == NULL && failure_was_injected()) {
        pair->victim = link;
    }
}

static size_t carry(struct pair *pair, struct link *from, struct link *to, size_t chunk)
{
    const uint8_t *bytes;
    size_t len_bytes, total_bytes = 0;

    while ((len_bytes = link_output(from, &bytes)) > 0) {
        len_bytes = len_bytes < chunk ? len_bytes : chunk;
        link_receive(to, bytes, len_bytes);
        pair_blame(pair, to);
        link_output_done(from, len_bytes);
        total_bytes += len_bytes;
    }
    return total_bytes;
}

void pair_settle(struct pair *pair, size_t chunk)
{
    while (carry(pair, pair->client, pair->server, chunk) +
           carry(pair, pair->server, pair->client, chunk)) {
    }
}

void pair_free(struct pair *pair)
{
    link_free(pair->client);
    link_free(pair->server);
}

void pair_new(struct place *place, struct pair *pair)
{
    *pair = (struct pair){0};
    assert_int_equal(link_new(place->a, false, &pair->client), 0);
    assert_int_equal(link_new(place->b, true, &pair->server), 0);
    pair_settle(pair, 1 << 20);
    assert_true(link_is_ready(pair->client));
    assert_true(link_is_ready(pair->server));
    pair->victim = NULL; /* of the try before */
}
