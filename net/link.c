/* SPDX-License-Identifier: Apache-2.0 */
#include "net/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "dsm.h"
#include "net/tls.h"

/** Bytes of one TLS record at most. */
#define TLS_RECORD_BYTES 16384u

/**
 * Records after which the sending key is renewed. AES-GCM's margin under one key ends at some
 * 2^24.5 full records (RFC 8446, 5.5), minutes at full speed, and OpenSSL does not count them.
 */
#define TLS_KEY_RECORDS (UINT64_C(1) << 18)

#define ERROR_TEXT_BYTES 512

struct link {
    SSL *ssl;
    bool is_ready;
    bool has_begun;       /* the first byte from the peer was seen */
    const uint8_t *input; /* what link_receive() was given and OpenSSL has not taken yet */
    size_t input_bytes;
    struct buffer output;
    struct frame_reader frames;
    uint64_t key_records; /* sent under this key */
    uint64_t count_records;
    struct buffer held;   /* the beginning of a record, of frames still to be encrypted */
    int error;
    char error_text[ERROR_TEXT_BYTES];
    char peer_name[RECORD_NAME_BYTES];
};

/** The first error stays. */
__attribute__((format(printf, 3, 4))) static int fail(struct link *link, int error,
                                                      const char *format, ...)
{
    va_list arguments;

    if (!link->error) {
        link->error = error;
        va_start(arguments, format);
        vsnprintf(link->error_text, sizeof(link->error_text), format, arguments);
        va_end(arguments);
    }
    ERR_clear_error();
    return link->error;
}

/* ---- OpenSSL reads the caller's bytes and writes into the output buffer. ---- */

int link_bio_read(BIO *bio, char *bytes, size_t len_bytes, size_t *done_bytes)
{
    struct link *link = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (link->input_bytes == 0) {
        BIO_set_retry_read(bio);
        *done_bytes = 0;
        return -1;
    }
    *done_bytes = len_bytes < link->input_bytes ? len_bytes : link->input_bytes;
    memcpy(bytes, link->input, *done_bytes);
    link->input += *done_bytes;
    link->input_bytes -= *done_bytes;
    return 1;
}

int link_bio_write(BIO *bio, const char *bytes, size_t len_bytes, size_t *done_bytes)
{
    struct link *link = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    buffer_append(&link->output, bytes, len_bytes);
    *done_bytes = link->output.failed ? 0 : len_bytes;
    return link->output.failed ? -1 : 1;
}

long link_bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* ---- Errors in words. ---- */

/** Why a certificate is refused, in words for an operator. */
static void describe_refusal(X509_STORE_CTX *store, char *text, size_t text_bytes)
{
    int reason = X509_STORE_CTX_get_error(store);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    char time_text[TIME_TEXT_BYTES] = "an unknown time";

    switch (reason) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        if (certificate) {
            certificate_time_text(X509_get0_notAfter(certificate), time_text);
        }
        snprintf(text, text_bytes, "it has expired on %s", time_text);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        if (certificate) {
            certificate_time_text(X509_get0_notBefore(certificate), time_text);
        }
        snprintf(text, text_bytes, "it is not valid before %s: are both clocks right?", time_text);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        snprintf(text, text_bytes, "it is not signed by this cluster's CA (%s)",
                 X509_verify_cert_error_string(reason));
        break;
    default:
        snprintf(text, text_bytes, "%s", X509_verify_cert_error_string(reason));
        break;
    }
}

int link_on_verify(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct link *link = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    char name[RECORD_NAME_BYTES] = "";
    char why[200];

    if (!is_good &&
        (X509_STORE_CTX_get_error(store) == X509_V_ERR_OUT_OF_MEM || openssl_lacked_memory())) {
        fail(link, DSM_ENOMEM, "out of memory");
    } else if (!is_good) {
        if (certificate) {
            certificate_name(certificate, name);
        }
        describe_refusal(store, why, sizeof(why));
        fail(link, DSM_ECERT, "the peer's certificate (%.200s) is refused: %s",
             name[0] ? name : "without a name", why);
    }
    return is_good;
}

/** Is this alert about certificates? */
static bool alert_is_refusal(int alert)
{
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR:
    case SSL_AD_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

/** What the peer meant by it, for an operator. */
static const char *alert_meaning(int alert)
{
    switch (alert) {
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_DECRYPT_ERROR: /* a CA of the same name as the peer's, but with another key */
        return "it is not signed by the peer's CA";
    case SSL_AD_CERTIFICATE_EXPIRED:
        return "by the peer's clock it has expired";
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "we showed none";
    default:
        return "the peer's log says why";
    }
}

/** Turn OpenSSL's refusal into the link's error. */
static int fail_tls(struct link *link, int result)
{
    int kind = SSL_get_error(link->ssl, result);
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *why = ERR_reason_error_string(code);
    int alert = reason - SSL_AD_REASON_OFFSET;

    if (link->output.failed || openssl_lacked_memory()) {
        return fail(link, DSM_ENOMEM, "out of memory");
    }
    if (kind == SSL_ERROR_ZERO_RETURN) {
        return fail(link, DSM_EPROTO, "the peer ended TLS without closing the connection");
    }
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        return fail(link, DSM_ECERT, "the peer showed no certificate");
    }
    if (alert >= 0 && alert_is_refusal(alert)) {
        return fail(link, DSM_ECERT, "the peer refused our certificate: %s (%s)",
                    alert_meaning(alert), SSL_alert_desc_string_long(alert));
    }
    if (reason == SSL_R_UNSUPPORTED_PROTOCOL || alert == SSL_AD_PROTOCOL_VERSION) {
        return fail(link, DSM_EPROTO, "the peer does not speak TLS 1.3: %s",
                    why ? why : "unsupported protocol");
    }
    return fail(link, DSM_EPROTO, "TLS failed: %s", why ? why : "unknown reason");
}

/* ---- Receiving. ---- */

/** OpenSSL wants more bytes, or has refused those that it got. */
static int fail_unless_wanting(struct link *link, int result)
{
    return SSL_get_error(link->ssl, result) == SSL_ERROR_WANT_READ ? 0 : fail_tls(link, result);
}

static int handshake(struct link *link)
{
    int result = SSL_do_handshake(link->ssl);
    X509 *certificate;

    if (result != 1) {
        return fail_unless_wanting(link, result);
    }
    certificate = SSL_get0_peer_certificate(link->ssl);
    if (!certificate || !certificate_name(certificate, link->peer_name)) {
        if (openssl_lacked_memory()) {
            return fail(link, DSM_ENOMEM, "out of memory");
        }
        return fail(link, DSM_ECERT, "the peer's certificate names no node");
    }
    link->is_ready = true;
    return 0;
}

/** Decrypt straight into the frames' room until OpenSSL has no whole record left. */
static int decrypt(struct link *link)
{
    uint8_t *room;
    size_t room_bytes;
    size_t len_bytes;

    do {
        room_bytes = frame_reader_room(&link->frames, TLS_RECORD_BYTES, &room);
        if (room_bytes == 0) {
            return fail(link, DSM_ENOMEM, "out of memory");
        }
        if (SSL_read_ex(link->ssl, room, room_bytes, &len_bytes) != 1) {
            return fail_unless_wanting(link, 0);
        }
        if (!frame_reader_commit(&link->frames, len_bytes)) {
            return fail(link, DSM_EPROTO, "the peer sent %s", link->frames.refused);
        }
    } while (link->input_bytes > 0 || SSL_pending(link->ssl) > 0);
    return 0;
}

/** A connection of TLS begins with a handshake record, or an alert from a peer that will not. */
static int check_first_byte(struct link *link, uint8_t byte)
{
    if (byte != SSL3_RT_HANDSHAKE && byte != SSL3_RT_ALERT) {
        return fail(link, DSM_EPROTO, "the peer does not speak TLS: its first byte is 0x%02x",
                    byte);
    }
    link->has_begun = true;
    return 0;
}

int link_receive(struct link *link, const uint8_t *bytes, size_t len_bytes)
{
    int error = link->error;

    if (error || len_bytes == 0) {
        return error;
    }
    if (!link->has_begun) {
        error = check_first_byte(link, bytes[0]);
    }
    link->input = bytes;
    link->input_bytes = len_bytes;
    ERR_clear_error();
    if (!error && !link->is_ready) {
        error = handshake(link);
    }
    if (!error && link->is_ready) {
        error = decrypt(link);
    }
    link->input = NULL;
    link->input_bytes = 0;
    return error;
}

int link_next(struct link *link, struct frame *frame)
{
    if (link->error) {
        return link->error;
    }
    return frame_reader_next(&link->frames, frame) ? 1 : 0;
}

/* ---- Sending. ---- */

static int encrypt(struct link *link, const uint8_t *bytes, size_t len_bytes)
{
    size_t written_bytes, records = (len_bytes + TLS_RECORD_BYTES - 1) / TLS_RECORD_BYTES;

    if (link->key_records >= TLS_KEY_RECORDS) {
        if (SSL_key_update(link->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
            return fail_tls(link, 0);
        }
        link->key_records = 0;
    }
    link->key_records += records;
    link->count_records += records;
    if (SSL_write_ex(link->ssl, bytes, len_bytes, &written_bytes) != 1) {
        return fail_tls(link, 0);
    }
    return 0;
}

int link_seal(struct link *link)
{
    int error = link->error;

    if (!error && buffer_len(&link->held) > 0) {
        ERR_clear_error();
        error = encrypt(link, buffer_data(&link->held), buffer_len(&link->held));
        buffer_clear(&link->held);
    }
    return error;
}

/** Put bytes behind those that are held; a record that is full is encrypted. */
static int hold(struct link *link, const uint8_t *bytes, size_t len_bytes)
{
    while (len_bytes > 0) {
        size_t room_bytes = TLS_RECORD_BYTES - buffer_len(&link->held);
        size_t piece_bytes = len_bytes < room_bytes ? len_bytes : room_bytes;
        int error = 0;

        buffer_append(&link->held, bytes, piece_bytes);
        if (link->held.failed) {
            return fail(link, DSM_ENOMEM, "out of memory");
        }
        bytes += piece_bytes;
        len_bytes -= piece_bytes;
        if (piece_bytes == room_bytes) {
            error = link_seal(link);
        }
        if (!error && len_bytes >= TLS_RECORD_BYTES) {
            /* Of what is long OpenSSL makes full records from where it is. */
            piece_bytes = len_bytes - len_bytes % TLS_RECORD_BYTES;
            error = encrypt(link, bytes, piece_bytes);
            bytes += piece_bytes;
            len_bytes -= piece_bytes;
        }
        if (error) {
            return error;
        }
    }
    return 0;
}

int link_hold(struct link *link, const uint8_t *head, size_t head_bytes, const uint8_t *payload,
              size_t payload_bytes)
{
    uint8_t header[FRAME_HEADER_BYTES];
    int error;

    if (link->error) {
        return link->error;
    }
    if (!link->is_ready) {
        return DSM_EAGAIN;
    }
    if (frame_bounds(head_bytes, payload_bytes) ||
        (payload_bytes > 0 && !frame_head_has_payload(head, head_bytes))) {
        return DSM_EINVAL;
    }
    frame_header_write(header, head_bytes, payload_bytes);
    error = hold(link, header, sizeof(header));
    if (!error) {
        error = hold(link, head, head_bytes);
    }
    return error ? error : hold(link, payload, payload_bytes);
}

int link_send(struct link *link, const uint8_t *head, size_t head_bytes, const uint8_t *payload,
              size_t payload_bytes)
{
    int error = link_hold(link, head, head_bytes, payload, payload_bytes);

    return error ? error : link_seal(link);
}

uint64_t link_count_records(const struct link *link)
{
    return link->count_records;
}

size_t link_output(struct link *link, const uint8_t **bytes)
{
    *bytes = buffer_data(&link->output);
    return buffer_len(&link->output);
}

void link_output_done(struct link *link, size_t len_bytes)
{
    buffer_consume(&link->output, len_bytes);
}

/* ---- Life. ---- */

/** One BIO for both ways; the SSL owns it. */
static bool attach_bio(struct link *link, struct tls_context *tls)
{
    BIO *bio = BIO_new(tls->method);

    if (!bio) {
        return false;
    }
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    SSL_set_bio(link->ssl, bio, bio);
    return true;
}

int link_new(struct tls_context *tls, bool is_server, struct link **result)
{
    struct link *link = calloc(1, sizeof(*link));

    if (!link) {
        return DSM_ENOMEM;
    }
    link->ssl = SSL_new(tls->ssl);
    if (!link->ssl || SSL_set_app_data(link->ssl, link) != 1 || !attach_bio(link, tls)) {
        goto free_link;
    }
    if (is_server) {
        SSL_set_accept_state(link->ssl);
    } else {
        SSL_set_connect_state(link->ssl);
        /* The first flight is ready to go before anything has come. */
        ERR_clear_error();
        if (handshake(link)) {
            goto free_link;
        }
    }
    *result = link;
    return 0;

free_link:
    ERR_clear_error();
    link_free(link);
    return DSM_ENOMEM;
}

void link_free(struct link *link)
{
    if (link) {
        SSL_free(link->ssl);
        buffer_close(&link->held);
        buffer_close(&link->output);
        frame_reader_close(&link->frames);
        free(link);
    }
}

bool link_is_ready(const struct link *link)
{
    return link->is_ready && !link->error;
}

const char *link_peer_name(const struct link *link)
{
    return link->is_ready ? link->peer_name : NULL;
}

int link_error(const struct link *link)
{
    return link->error;
}

const char *link_cipher(const struct link *link)
{
    return link->is_ready ? SSL_get_cipher_name(link->ssl) : NULL;
}

const char *link_error_text(const struct link *link)
{
    return link->error_text;
}
