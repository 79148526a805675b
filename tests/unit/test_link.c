/* SPDX-License-Identifier: Apache-2.0 */
#include "net/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "dsm.h"
#include "tests/unit/certs.h"

#define DAY_S (24 * 3600)

/** A cluster of two nodes, and a node of another cluster that trusts this one's CA. */
struct cluster {
    char directory[CERTS_PATH_BYTES];
    struct tls_context *a, *b, *stranger;
};

/** The context of a node, with the certificate of CA_PREFIX as what it trusts. */
static struct tls_context *load(const char *directory, const char *ca_prefix, const char *node)
{
    char ca[CERTS_PATH_BYTES];
    char certificate[CERTS_PATH_BYTES];
    char key[CERTS_PATH_BYTES];
    char text[TEXT_BYTES_MAX];
    struct tls_context *tls = NULL;

    assert_int_equal(tls_context_new(certs_path(ca, directory, ca_prefix, ".pem"),
                                     certs_path(certificate, directory, node, ".pem"),
                                     certs_path(key, directory, node, ".key"), &tls, text),
                     0);
    assert_string_equal(text, "");
    return tls;
}

static int set_up(void **state)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    if (!cluster || certs_directory_make(cluster->directory) != 0 ||
        certs_make(cluster->directory, "ca", "node-a", -DAY_S, DAY_S) != 0 ||
        certs_make(cluster->directory, "ca", "node-b", -DAY_S, DAY_S) != 0 ||
        certs_make(cluster->directory, "other", "stranger", -DAY_S, DAY_S) != 0) {
        return -1;
    }
    cluster->a = load(cluster->directory, "ca", "node-a");
    cluster->b = load(cluster->directory, "ca", "node-b");
    cluster->stranger = load(cluster->directory, "ca", "stranger");
    *state = cluster;
    return 0;
}

static int tear_down(void **state)
{
    struct cluster *cluster = *state;

    tls_context_free(cluster->a);
    tls_context_free(cluster->b);
    tls_context_free(cluster->stranger);
    certs_directory_remove(cluster->directory);
    free(cluster);
    return 0;
}

/** Two links back to back. */
struct pair {
    struct link *client, *server;
};

static struct pair pair_new(struct tls_context *client, struct tls_context *server)
{
    struct pair pair = {0};

    assert_int_equal(link_new(client, false, &pair.client), 0);
    assert_int_equal(link_new(server, true, &pair.server), 0);
    return pair;
}

static void pair_free(struct pair *pair)
{
    link_free(pair->client);
    link_free(pair->server);
}

/** Carry all that one side has for the other, `chunk` bytes at a time. Returns the bytes. */
static size_t carry(struct link *from, struct link *to, size_t chunk)
{
    const uint8_t *bytes;
    size_t len_bytes;
    size_t total_bytes = 0;

    while ((len_bytes = link_output(from, &bytes)) > 0) {
        len_bytes = len_bytes < chunk ? len_bytes : chunk;
        link_receive(to, bytes, len_bytes);
        link_output_done(from, len_bytes);
        total_bytes += len_bytes;
    }
    return total_bytes;
}

/** Carry both ways until neither has anything to say. */
static void settle(struct pair *pair, size_t chunk)
{
    while (carry(pair->client, pair->server, chunk) + carry(pair->server, pair->client, chunk)) {
    }
}

/** A DATA head, which may have a payload. */
static void data_head(struct buffer *buffer, uint64_t page)
{
    struct message message = {.kind = MESSAGE_DATA, .page = page};

    buffer_clear(buffer);
    message_pack(&message, buffer);
}

static int send_data(struct link *link, uint64_t page, const uint8_t *payload, size_t len_bytes)
{
    struct buffer head = {0};
    int error;

    data_head(&head, page);
    error = link_send(link, buffer_data(&head), buffer_len(&head), payload, len_bytes);
    buffer_close(&head);
    return error;
}

/** The next frame must be a DATA head of this page with this payload. */
static void expect_data(struct link *link, uint64_t page, const uint8_t *payload, size_t len_bytes)
{
    struct message message;
    struct frame frame;

    assert_int_equal(link_next(link, &frame), 1);
    assert_int_equal(message_unpack(frame.head, frame.head_bytes, &message), 0);
    assert_int_equal(message.page, page);
    assert_int_equal(frame.payload_bytes, len_bytes);
    if (len_bytes > 0) {
        assert_memory_equal(frame.payload, payload, len_bytes);
    }
}

static uint8_t *pattern(size_t len_bytes)
{
    uint8_t *bytes = malloc(len_bytes);

    assert_non_null(bytes);
    for (size_t i = 0; i < len_bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    return bytes;
}

/** After the handshake each side knows the other's name, whatever pieces the bytes came in. */
static void test_handshake_in_any_chunks_names_peers(void **state)
{
    static const size_t chunks[] = {1, 2, 5, 100, 1 << 20};
    struct cluster *cluster = *state;

    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct pair pair = pair_new(cluster->a, cluster->b);

        assert_false(link_is_ready(pair.client));
        assert_null(link_peer_name(pair.client));
        assert_null(link_cipher(pair.client));
        assert_int_equal(send_data(pair.client, 0, NULL, 0), DSM_EAGAIN);
        settle(&pair, chunks[i]);
        assert_true(link_is_ready(pair.client));
        assert_true(link_is_ready(pair.server));
        assert_string_equal(link_cipher(pair.client), link_cipher(pair.server));
        assert_memory_equal(link_cipher(pair.client), "TLS_", 4);
        assert_string_equal(link_peer_name(pair.client), "node-b");
        assert_string_equal(link_peer_name(pair.server), "node-a");
        assert_int_equal(link_error(pair.client), 0);
        assert_string_equal(link_error_text(pair.server), "");
        pair_free(&pair);
    }
}

/** Frames of every size arrive whole and in order, both ways, in any pieces. */
static void test_frames_of_all_sizes_arrive(void **state)
{
    static const size_t sizes[] = {0,     1,     4095,   4096,   16300,   16384,
                                   16385, 65536, 262144, 262145, 1 << 20, PAYLOAD_BYTES_MAX};
    static const size_t chunks[] = {97, 16384, 1 << 22};
    struct cluster *cluster = *state;
    uint8_t *payload = pattern(PAYLOAD_BYTES_MAX);

    for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++) {
        struct pair pair = pair_new(cluster->a, cluster->b);
        struct frame frame;

        settle(&pair, 1 << 20);
        for (uint64_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            assert_int_equal(send_data(pair.client, i, payload, sizes[i]), 0);
            assert_int_equal(send_data(pair.server, i, payload, sizes[i]), 0);
        }
        settle(&pair, chunks[c]);
        for (uint64_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            expect_data(pair.server, i, payload, sizes[i]);
            expect_data(pair.client, i, payload, sizes[i]);
        }
        assert_int_equal(link_next(pair.server, &frame), 0);
        assert_int_equal(link_next(pair.client, &frame), 0);
        pair_free(&pair);
    }
    free(payload);
}

/** A frame comes out as soon as its last byte is in, not before, and stays while one answers. */
static void test_frame_is_there_with_its_last_byte(void **state)
{
    struct cluster *cluster = *state;
    struct pair pair = pair_new(cluster->a, cluster->b);
    uint8_t *payload = pattern(4096);
    struct frame frame;
    const uint8_t *bytes;
    size_t len_bytes;

    settle(&pair, 1 << 20);
    assert_int_equal(send_data(pair.client, 9, payload, 4096), 0);
    len_bytes = link_output(pair.client, &bytes);
    /* One record: the frame, 5 bytes of header, one of type, 16 of authentication. */
    assert_true(len_bytes < 4096 + FRAME_HEADER_BYTES + 64 + 22);
    assert_int_equal(link_receive(pair.server, bytes, len_bytes - 1), 0);
    assert_int_equal(link_next(pair.server, &frame), 0);
    assert_int_equal(link_receive(pair.server, bytes + len_bytes - 1, 1), 0);
    assert_int_equal(link_next(pair.server, &frame), 1);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(send_data(pair.server, 9, payload, 4096), 0);
    }
    assert_memory_equal(frame.payload, payload, 4096);
    pair_free(&pair);
    free(payload);
}

/** The sending key is renewed as records go by; neither side notices. */
static void test_key_is_renewed_in_flight(void **state)
{
    struct cluster *cluster = *state;
    struct pair pair = pair_new(cluster->a, cluster->b);
    struct frame frame;
    size_t usual_bytes;
    uint32_t renewals = 0;

    settle(&pair, 1 << 20);
    assert_int_equal(send_data(pair.client, 1, NULL, 0), 0);
    usual_bytes = carry(pair.client, pair.server, 1 << 20);
    assert_int_equal(link_next(pair.server, &frame), 1);
    for (uint32_t i = 0; i < (1u << 18) + 10; i++) {
        assert_int_equal(send_data(pair.client, 1, NULL, 0), 0);
        if (carry(pair.client, pair.server, 1 << 20) > usual_bytes) {
            renewals++;
        }
        assert_int_equal(link_next(pair.server, &frame), 1);
    }
    assert_int_equal(renewals, 1);
    assert_int_equal(send_data(pair.server, 2, NULL, 0), 0);
    settle(&pair, 1 << 20);
    expect_data(pair.client, 2, NULL, 0);
    pair_free(&pair);
}

/** What the peer would refuse is not sent. */
static void test_illegal_frame_is_not_sent(void **state)
{
    struct cluster *cluster = *state;
    struct pair pair = pair_new(cluster->a, cluster->b);
    uint8_t *bytes = calloc(1, PAYLOAD_BYTES_MAX + 1);
    struct buffer head = {0};
    struct wire wire = {.kind = WIRE_PING};
    const uint8_t *output;

    assert_non_null(bytes);
    settle(&pair, 1 << 20);
    data_head(&head, 0);
    assert_int_equal(link_send(pair.client, bytes, 0, NULL, 0), DSM_EINVAL);
    assert_int_equal(link_send(pair.client, bytes, HEAD_BYTES_MAX + 1, NULL, 0), DSM_EINVAL);
    assert_int_equal(send_data(pair.client, 0, bytes, PAYLOAD_BYTES_MAX + 1), DSM_EINVAL);
    buffer_clear(&head);
    wire_pack(&wire, &head);
    assert_int_equal(link_send(pair.client, buffer_data(&head), buffer_len(&head), bytes, 1),
                     DSM_EINVAL);
    assert_int_equal(link_output(pair.client, &output), 0);
    assert_int_equal(link_send(pair.client, buffer_data(&head), buffer_len(&head), NULL, 0), 0);
    buffer_close(&head);
    pair_free(&pair);
    free(bytes);
}

/** Bytes that are no TLS are refused at the first; the error stays. */
static void test_plain_nonsense_is_refused(void **state)
{
    static const uint8_t http[] = "GET / HTTP/1.1\r\n\r\n";
    struct cluster *cluster = *state;
    struct link *link;
    struct frame frame;
    char text[200];

    assert_int_equal(link_new(cluster->a, true, &link), 0);
    assert_int_equal(link_receive(link, http, 1), DSM_EPROTO);
    assert_non_null(strstr(link_error_text(link), "does not speak TLS"));
    snprintf(text, sizeof(text), "%s", link_error_text(link));
    assert_int_equal(link_receive(link, http, sizeof(http)), DSM_EPROTO);
    assert_int_equal(link_next(link, &frame), DSM_EPROTO);
    assert_int_equal(send_data(link, 0, NULL, 0), DSM_EPROTO);
    assert_int_equal(link_error(link), DSM_EPROTO);
    assert_string_equal(link_error_text(link), text);
    assert_false(link_is_ready(link));
    link_free(link);
}

/** Nonsense that begins as TLS does is refused as well, at both sides. */
static void test_nonsense_like_tls_is_refused(void **state)
{
    static const uint8_t nonsense[64] = {0x16, 3, 1, 0, 40, 0xff, 0xff, 0xff, 0xff};
    struct cluster *cluster = *state;

    for (int is_server = 0; is_server < 2; is_server++) {
        struct link *link;

        assert_int_equal(link_new(cluster->a, is_server, &link), 0);
        assert_int_equal(link_receive(link, nonsense, sizeof(nonsense)), DSM_EPROTO);
        assert_true(strlen(link_error_text(link)) > 0);
        link_free(link);
    }
}

/** A byte changed on the way breaks the link; no changed frame ever comes out. */
static void test_changed_byte_breaks_link(void **state)
{
    struct cluster *cluster = *state;
    struct pair pair = pair_new(cluster->a, cluster->b);
    uint8_t *payload = pattern(100);
    uint8_t copy[400];
    const uint8_t *bytes;
    struct frame frame;
    size_t len_bytes;

    settle(&pair, 1 << 20);
    assert_int_equal(send_data(pair.client, 1, payload, 100), 0);
    len_bytes = link_output(pair.client, &bytes);
    assert_true(len_bytes <= sizeof(copy));
    memcpy(copy, bytes, len_bytes);
    copy[50] ^= 1;
    assert_int_equal(link_receive(pair.server, copy, len_bytes), DSM_EPROTO);
    assert_int_equal(link_next(pair.server, &frame), DSM_EPROTO);
    pair_free(&pair);
    free(payload);
}

/** Both sides of a handshake that must fail: who has which error. */
static void expect_refusal(struct tls_context *client, struct tls_context *server,
                           const char *client_text, const char *server_text)
{
    struct pair pair = pair_new(client, server);

    settle(&pair, 1 << 20);
    assert_int_equal(link_error(pair.client), DSM_ECERT);
    assert_int_equal(link_error(pair.server), DSM_ECERT);
    assert_non_null(strstr(link_error_text(pair.client), client_text));
    assert_non_null(strstr(link_error_text(pair.server), server_text));
    assert_false(link_is_ready(pair.client));
    assert_false(link_is_ready(pair.server));
    pair_free(&pair);
}

/** A certificate of another CA is refused, named, and its owner is told. */
static void test_certificate_of_other_ca_is_refused(void **state)
{
    struct cluster *cluster = *state;

    expect_refusal(cluster->stranger, cluster->a,
                   "refused our certificate: it is not signed by the peer's CA",
                   "(stranger) is refused: it is not signed by this cluster's CA");
    expect_refusal(cluster->a, cluster->stranger,
                   "(stranger) is refused: it is not signed by this cluster's CA",
                   "refused our certificate: it is not signed by the peer's CA");
}

/** Talk to a server link with a bare OpenSSL client; returns the server's error. */
static int talk_to_server(struct link *server, SSL_CTX *raw)
{
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL *ssl = SSL_new(raw);
    const uint8_t *bytes;
    uint8_t copy[8192];
    size_t moved;
    int len;

    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    do {
        SSL_do_handshake(ssl);
        len = BIO_read(out, copy, sizeof(copy));
        if (len > 0) {
            link_receive(server, copy, (size_t)len);
        }
        moved = link_output(server, &bytes);
        if (moved > 0) {
            BIO_write(in, bytes, (int)moved);
            link_output_done(server, moved);
        }
    } while (len > 0 || moved > 0);
    SSL_free(ssl);
    return link_error(server);
}

/** A certificate that ends while its agent runs is refused by the peers, with the day. */
static void test_expired_peer_is_refused(void **state)
{
    struct cluster *cluster = *state;
    SSL_CTX *raw = SSL_CTX_new(TLS_client_method());
    struct link *server;
    char pem[CERTS_PATH_BYTES];
    char key[CERTS_PATH_BYTES];

    /* tls_context_new() would not load it, so the client is a bare OpenSSL. */
    assert_non_null(raw);
    assert_int_equal(certs_make(cluster->directory, "ca", "late", -2 * DAY_S, -DAY_S), 0);
    certs_path(pem, cluster->directory, "late", ".pem");
    certs_path(key, cluster->directory, "late", ".key");
    assert_int_equal(SSL_CTX_use_certificate_file(raw, pem, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(raw, key, SSL_FILETYPE_PEM), 1);
    assert_int_equal(link_new(cluster->b, true, &server), 0);
    assert_int_equal(talk_to_server(server, raw), DSM_ECERT);
    assert_non_null(strstr(link_error_text(server), "(late) is refused: it has expired on 20"));
    link_free(server);
    SSL_CTX_free(raw);
}

/** A peer that can do TLS 1.2 at most is refused, and so is one without a certificate. */
static void test_old_tls_and_no_certificate_are_refused(void **state)
{
    struct cluster *cluster = *state;
    SSL_CTX *raw = SSL_CTX_new(TLS_client_method());
    struct link *server;

    assert_non_null(raw);
    assert_int_equal(link_new(cluster->a, true, &server), 0);
    assert_int_equal(talk_to_server(server, raw), DSM_ECERT);
    assert_non_null(strstr(link_error_text(server), "showed no certificate"));
    link_free(server);

    SSL_CTX_set_max_proto_version(raw, TLS1_2_VERSION);
    assert_int_equal(link_new(cluster->a, true, &server), 0);
    assert_int_equal(talk_to_server(server, raw), DSM_EPROTO);
    assert_non_null(strstr(link_error_text(server), "TLS 1.3"));
    link_free(server);
    SSL_CTX_free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_in_any_chunks_names_peers),
        cmocka_unit_test(test_frames_of_all_sizes_arrive),
        cmocka_unit_test(test_frame_is_there_with_its_last_byte),
        cmocka_unit_test(test_key_is_renewed_in_flight),
        cmocka_unit_test(test_illegal_frame_is_not_sent),
        cmocka_unit_test(test_plain_nonsense_is_refused),
        cmocka_unit_test(test_nonsense_like_tls_is_refused),
        cmocka_unit_test(test_changed_byte_breaks_link),
        cmocka_unit_test(test_certificate_of_other_ca_is_refused),
        cmocka_unit_test(test_expired_peer_is_refused),
        cmocka_unit_test(test_old_tls_and_no_certificate_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
