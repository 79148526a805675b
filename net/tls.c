/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "dsm.h"

/** The first is what bulk data goes fastest with; every TLS 1.3 has it. */
#define CIPHER_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/** The three files of an identity while they are loaded. */
struct identity {
    const char *ca_path, *certificate_path, *key_path;
    STACK_OF(X509) * cas;
    STACK_OF(X509) * chain; /* the node's certificate first */
    EVP_PKEY *key;
    char *text; /* borrowed: what is wrong */
};

/** Say what is wrong with a file. */
static int refuse(struct identity *identity, const char *what, const char *path, const char *why)
{
    snprintf(identity->text, TEXT_BYTES_MAX, "%s %s %s", what, path, why);
    return DSM_ECERT;
}

/** OpenSSL's reason for its last error. */
static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "unknown reason";
}

bool openssl_lacked_memory(void)
{
    bool lacked = false;
    unsigned long code;

    while ((code = ERR_get_error()) != 0) {
        lacked = lacked || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    }
    return lacked;
}

/** As refuse(), after an error of OpenSSL's, which may come from a want of memory. */
static int refuse_unless_memory(struct identity *identity, const char *what, const char *path,
                                const char *why)
{
    return openssl_lacked_memory() ? DSM_ENOMEM : refuse(identity, what, path, why);
}

static int open_file(struct identity *identity, const char *what, const char *path, BIO **bio)
{
    FILE *file = fopen(path, "re");
    char why[160];

    if (!file && errno == ENOMEM) {
        return DSM_ENOMEM;
    }
    if (!file) {
        snprintf(why, sizeof(why), "cannot be read: %s", strerror(errno));
        return refuse(identity, what, path, why);
    }
    *bio = BIO_new_fp(file, BIO_CLOSE);
    if (!*bio) {
        fclose(file);
        return DSM_ENOMEM;
    }
    return 0;
}

void certificate_time_text(const ASN1_TIME *time, char text[TIME_TEXT_BYTES])
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(time, &tm) || strftime(text, TIME_TEXT_BYTES, "%F %T UTC", &tm) == 0) {
        snprintf(text, TIME_TEXT_BYTES, "an unknown time");
    }
}

static int check_times(struct identity *identity, const char *what, const char *path,
                       const X509 *certificate)
{
    char time_text[TIME_TEXT_BYTES];
    char why[TIME_TEXT_BYTES + 80];

    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        certificate_time_text(X509_get0_notAfter(certificate), time_text);
        snprintf(why, sizeof(why), "has expired on %s: make a new one", time_text);
        return refuse(identity, what, path, why);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        certificate_time_text(X509_get0_notBefore(certificate), time_text);
        snprintf(why, sizeof(why), "is not valid before %s: is this host's clock right?",
                 time_text);
        return refuse(identity, what, path, why);
    }
    return 0;
}

/** Read all certificates of a file. */
static int read_certificates(struct identity *identity, const char *what, const char *path,
                             STACK_OF(X509) * *list)
{
    X509 *certificate;
    BIO *bio = NULL;
    int error = open_file(identity, what, path, &bio);
    int reason;

    if (error) {
        return error;
    }
    *list = sk_X509_new_null();
    if (!*list) {
        BIO_free(bio);
        return DSM_ENOMEM;
    }
    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_push(*list, certificate) == 0) {
            X509_free(certificate);
            BIO_free(bio);
            return DSM_ENOMEM;
        }
    }
    /* The end of the file looks to OpenSSL like a block that does not begin. */
    reason = ERR_GET_REASON(ERR_peek_last_error());
    BIO_free(bio);
    if (openssl_lacked_memory()) {
        return DSM_ENOMEM;
    }
    if (reason != PEM_R_NO_START_LINE) {
        return refuse(identity, what, path, "is malformed: a certificate in it cannot be decoded");
    }
    if (sk_X509_num(*list) == 0) {
        return refuse(identity, what, path, "is malformed: it holds no certificate in PEM form");
    }
    return 0;
}

/** An agent has nobody to ask for a passphrase. */
static int no_passphrase(char *buffer, int size, int is_writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)data;
    return -1;
}

static int read_key(struct identity *identity)
{
    BIO *bio = NULL;
    int error = open_file(identity, "the key", identity->key_path, &bio);

    if (error) {
        return error;
    }
    identity->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (!identity->key) {
        return refuse_unless_memory(
            identity, "the key", identity->key_path,
            "is malformed: it holds no private key in PEM form without a passphrase");
    }
    return 0;
}

/** Read the files and check all that one can tell without a peer. */
static int read_identity(struct identity *identity)
{
    static const char ca_what[] = "the CA certificate";
    static const char node_what[] = "the certificate";
    char why[300];
    X509 *node;
    int error = read_certificates(identity, ca_what, identity->ca_path, &identity->cas);

    for (int i = 0; !error && i < sk_X509_num(identity->cas); i++) {
        error = check_times(identity, ca_what, identity->ca_path, sk_X509_value(identity->cas, i));
    }
    if (!error) {
        error =
            read_certificates(identity, node_what, identity->certificate_path, &identity->chain);
    }
    if (error) {
        return error;
    }
    node = sk_X509_value(identity->chain, 0);
    error = check_times(identity, node_what, identity->certificate_path, node);
    if (!error) {
        error = read_key(identity);
    }
    if (error) {
        return error;
    }
    if (X509_check_private_key(node, identity->key) != 1) {
        snprintf(why, sizeof(why), "does not belong to the certificate %.200s",
                 identity->certificate_path);
        return refuse_unless_memory(identity, "the key", identity->key_path, why);
    }
    return 0;
}

bool certificate_name(X509 *certificate, char *name)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    bool is_good;
    int len_bytes;

    name[0] = 0;
    if (index < 0) {
        return false;
    }
    len_bytes =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
    if (len_bytes < 0) {
        return false;
    }
    /* A NUL inside would make two nodes of one name to everybody who compares strings. */
    is_good = len_bytes > 0 && len_bytes < RECORD_NAME_BYTES && !memchr(utf8, 0, (size_t)len_bytes);
    if (is_good) {
        memcpy(name, utf8, (size_t)len_bytes);
        name[len_bytes] = 0;
    }
    OPENSSL_free(utf8);
    return is_good;
}

/** TLS 1.3 only, both sides show certificates, nothing is kept from one connection to the next. */
static bool set_policy(SSL_CTX *ssl)
{
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, link_on_verify);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, CIPHER_SUITES) == 1 &&
           SSL_CTX_set_num_tickets(ssl, 0) == 1;
}

/** Put the identity into OpenSSL's context. */
static int use_identity(struct identity *identity, SSL_CTX *ssl)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    char why[300];

    for (int i = 0; i < sk_X509_num(identity->cas); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(identity->cas, i)) != 1) {
            return DSM_ENOMEM;
        }
    }
    if (SSL_CTX_use_certificate(ssl, sk_X509_value(identity->chain, 0)) != 1 ||
        SSL_CTX_use_PrivateKey(ssl, identity->key) != 1) {
        snprintf(why, sizeof(why), "cannot be used: %.200s", openssl_reason());
        return refuse_unless_memory(identity, "the certificate", identity->certificate_path, why);
    }
    for (int i = 1; i < sk_X509_num(identity->chain); i++) {
        if (SSL_CTX_add1_chain_cert(ssl, sk_X509_value(identity->chain, i)) != 1) {
            snprintf(why, sizeof(why), "has a chain that cannot be used: %.200s", openssl_reason());
            return refuse_unless_memory(identity, "the certificate", identity->certificate_path,
                                        why);
        }
    }
    return 0;
}

static BIO_METHOD *method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "link");

    if (method && BIO_meth_set_read_ex(method, link_bio_read) == 1 &&
        BIO_meth_set_write_ex(method, link_bio_write) == 1 &&
        BIO_meth_set_ctrl(method, link_bio_control) == 1) {
        return method;
    }
    BIO_meth_free(method);
    return NULL;
}

/** Seconds since 1970 of a certificate's time; 0 when it has none. */
static int64_t time_seconds(const ASN1_TIME *time)
{
    struct tm tm;

    return ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

static int context_fill(struct identity *identity, struct tls_context *tls)
{
    X509 *node;
    int error = read_identity(identity);

    if (error) {
        return error;
    }
    node = sk_X509_value(identity->chain, 0);
    if (!certificate_name(node, tls->name)) {
        return refuse_unless_memory(identity, "the certificate", identity->certificate_path,
                                    "names no node: its subject has no usable common name");
    }
    tls->expiry_s = time_seconds(X509_get0_notAfter(node));
    tls->ssl = SSL_CTX_new(TLS_method());
    tls->method = method_new();
    if (!tls->ssl || !tls->method || !set_policy(tls->ssl)) {
        return DSM_ENOMEM;
    }
    return use_identity(identity, tls->ssl);
}

int tls_context_new(const char *ca, const char *certificate, const char *key,
                    struct tls_context **tls, char *text)
{
    struct identity identity = {
        .ca_path = ca, .certificate_path = certificate, .key_path = key, .text = text};
    struct tls_context *context = calloc(1, sizeof(*context));
    int error = DSM_ENOMEM;

    text[0] = 0;
    ERR_clear_error();
    if (context) {
        error = context_fill(&identity, context);
    }
    sk_X509_pop_free(identity.cas, X509_free);
    sk_X509_pop_free(identity.chain, X509_free);
    EVP_PKEY_free(identity.key);
    if (error) {
        if (error == DSM_ENOMEM) {
            snprintf(text, TEXT_BYTES_MAX, "out of memory while loading keys and certificates");
        }
        tls_context_free(context);
        ERR_clear_error();
        return error;
    }
    *tls = context;
    return 0;
}

void tls_context_free(struct tls_context *tls)
{
    if (tls) {
        SSL_CTX_free(tls->ssl);
        BIO_meth_free(tls->method);
        free(tls);
    }
}

const char *tls_context_name(const struct tls_context *tls)
{
    return tls->name;
}

int64_t tls_context_expiry_s(const struct tls_context *tls)
{
    return tls->expiry_s;
}
