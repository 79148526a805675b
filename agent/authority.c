/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/authority.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/authority_files.h"
#include "agent/config.h"
#include "dsm.h"
#include "net/tls.h"

#define CLOCK_SKEW_S 3600
#define DAY_S 86400
#define NAME_BYTES 64

/** A certificate with its private key. */
struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

static void identity_close(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    identity->certificate = NULL;
    identity->key = NULL;
}

struct authority_validity authority_validity_days(unsigned days)
{
    int64_t now_s = (int64_t)time(NULL);
    struct authority_validity validity = {now_s - CLOCK_SKEW_S, now_s + (int64_t)days * DAY_S};
    return validity;
}

/* Certificates. */

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool is_added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

/** 127 random bits, as RFC 5280 4.1.2.2 wants serial numbers: positive, unique, up to 20 bytes. */
static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool is_set = number && BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_set;
}

static bool set_subject(X509 *certificate, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1;
}

static bool set_times(X509 *certificate, const struct authority_validity *validity)
{
    return ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)validity->from_s) &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)validity->until_s);
}

static bool add_extensions(X509 *certificate, X509 *issuer, const char *name)
{
    char alternative[NAME_BYTES + 8];
    if (certificate == issuer) {
        return add_extension(certificate, issuer, NID_basic_constraints,
                             "critical,CA:TRUE,pathlen:0") &&
               add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
               add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
    }
    snprintf(alternative, sizeof(alternative), "DNS:%s", name);
    return add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
           add_extension(certificate, issuer, NID_subject_alt_name, alternative);
}

/**
 * A new key and a certificate of it.
 *
 * @issuer   who signs; NULL: itself
 * @identity returned, release with identity_close()
 */
static int make_identity(const char *name, const struct authority_validity *validity,
                         const struct identity *issuer, struct identity *identity, char *error)
{
    struct identity made = {X509_new(), EVP_EC_gen("P-256")};
    bool is_made = made.certificate && made.key;
    X509 *signer = issuer ? issuer->certificate : made.certificate;
    EVP_PKEY *signer_key = issuer ? issuer->key : made.key;
    is_made = is_made && X509_set_version(made.certificate, X509_VERSION_3) == 1 &&
              set_serial(made.certificate) && set_subject(made.certificate, name) &&
              X509_set_issuer_name(made.certificate, X509_get_subject_name(signer)) == 1 &&
              set_times(made.certificate, validity) &&
              X509_set_pubkey(made.certificate, made.key) == 1 &&
              add_extensions(made.certificate, signer, name) &&
              X509_sign(made.certificate, signer_key, EVP_sha256()) > 0;
    if (!is_made) {
        identity_close(&made);
        return authority_fail_openssl(error, "cannot make a certificate");
    }
    *identity = made;
    return 0;
}

/** Read the authority itself. */
static int identity_read(const char *directory, struct identity *identity, char *error)
{
    char path[PATH_MAX];
    struct identity read = {NULL, NULL};
    int result = authority_join(path, directory, AUTHORITY_CA_CERTIFICATE, error);
    if (result == 0) {
        result = authority_read_certificate(path, &read.certificate, error);
    }
    if (result == 0) {
        result = authority_join(path, directory, AUTHORITY_CA_KEY, error);
    }
    if (result == 0) {
        result = authority_read_key(path, &read.key, error);
    }
    if (result == 0 && X509_check_private_key(read.certificate, read.key) != 1) {
        result = authority_fail(error, DSM_ECERT, "%.900s is not the key of the %s beside it", path,
                                AUTHORITY_CA_CERTIFICATE);
    }
    if (result != 0) {
        identity_close(&read);
        return result;
    }
    *identity = read;
    return 0;
}

/* The public calls. */

int authority_make(const char *directory, const struct authority_validity *validity, char *error)
{
    struct identity authority;
    char name[NAME_BYTES];
    unsigned char random[4];
    int result = authority_check_absent(directory, AUTHORITY_CA_CERTIFICATE, error);
    if (result == 0) {
        result = authority_check_absent(directory, AUTHORITY_CA_KEY, error);
    }
    if (result != 0) {
        return result;
    }
    if (RAND_bytes(random, sizeof(random)) != 1) {
        return authority_fail_openssl(error, "no random numbers");
    }
    /* A name of its own per cluster, so that an error that shows it tells which authority it was.
     */
    snprintf(name, sizeof(name), "dsm cluster %02x%02x%02x%02x", random[0], random[1], random[2],
             random[3]);
    result = make_identity(name, validity, NULL, &authority, error);
    if (result != 0) {
        return result;
    }
    result = authority_write_key(directory, AUTHORITY_CA_KEY, authority.key, error);
    if (result == 0) {
        result = authority_write_certificate(directory, AUTHORITY_CA_CERTIFICATE,
                                             authority.certificate, error);
        if (result != 0) {
            authority_remove_file(directory, AUTHORITY_CA_KEY);
        }
    }
    identity_close(&authority);
    return result;
}

static bool is_same_directory(const char *a, const char *b)
{
    struct stat status_a;
    struct stat status_b;
    return stat(a, &status_a) == 0 && stat(b, &status_b) == 0 &&
           status_a.st_dev == status_b.st_dev && status_a.st_ino == status_b.st_ino;
}

/** All or none of a node's files. */
static int write_node(const char *to, const struct identity *node, X509 *authority, char *error)
{
    int result = authority_write_key(to, AUTHORITY_NODE_KEY, node->key, error);
    if (result != 0) {
        return result;
    }
    result = authority_write_certificate(to, AUTHORITY_NODE_CERTIFICATE, node->certificate, error);
    if (result != 0) {
        authority_remove_file(to, AUTHORITY_NODE_KEY);
        return result;
    }
    if (authority) {
        result = authority_write_certificate(to, AUTHORITY_CA_CERTIFICATE, authority, error);
        if (result != 0) {
            authority_remove_file(to, AUTHORITY_NODE_KEY);
            authority_remove_file(to, AUTHORITY_NODE_CERTIFICATE);
        }
    }
    return result;
}

int authority_issue(const char *directory, const char *name,
                    const struct authority_validity *validity, const char *to, char *error)
{
    char lower[NAME_BYTES];
    struct identity authority;
    struct identity node;
    if (!config_name_is_valid(name)) {
        return authority_fail(error, DSM_EINVAL,
                              "'%.80s' is no node name: use 1 to 63 letters, digits, '.' "
                              "and '-', with a letter or digit at both ends",
                              name);
    }
    size_t len = strlen(name);
    for (size_t i = 0; i <= len; i++) {
        lower[i] = (char)tolower((unsigned char)name[i]);
    }
    bool is_copy = !is_same_directory(directory, to);
    int result = is_copy ? authority_check_absent(to, AUTHORITY_CA_CERTIFICATE, error) : 0;
    if (result == 0) {
        result = authority_check_absent(to, AUTHORITY_NODE_KEY, error);
    }
    if (result == 0) {
        result = authority_check_absent(to, AUTHORITY_NODE_CERTIFICATE, error);
    }
    if (result != 0) {
        return result;
    }
    result = identity_read(directory, &authority, error);
    if (result != 0) {
        return result;
    }
    result = make_identity(lower, validity, &authority, &node, error);
    if (result == 0) {
        result = write_node(to, &node, is_copy ? authority.certificate : NULL, error);
        identity_close(&node);
    }
    identity_close(&authority);
    return result;
}

static int64_t asn1_seconds(const ASN1_TIME *asn1)
{
    struct tm tm;
    return ASN1_TIME_to_tm(asn1, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/** Is `certificate` signed by `ca`, expiry aside? Says why not. */
static bool is_signed_by(X509 *certificate, X509 *ca, char *text, size_t text_bytes)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool is_signed = false;
    text[0] = '\0';
    if (store && context && X509_STORE_add_cert(store, ca) == 1 &&
        X509_STORE_CTX_init(context, store, certificate, NULL) == 1) {
        X509_STORE_CTX_set_flags(context, X509_V_FLAG_NO_CHECK_TIME);
        is_signed = X509_verify_cert(context) == 1;
        if (!is_signed) {
            snprintf(text, text_bytes, "%s",
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
        }
    } else {
        snprintf(text, text_bytes, "out of memory");
    }
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return is_signed;
}

static void describe(X509 *authority, const struct identity *node, struct authority_report *report)
{
    report->node.from_s = asn1_seconds(X509_get0_notBefore(node->certificate));
    report->node.until_s = asn1_seconds(X509_get0_notAfter(node->certificate));
    report->ca.from_s = asn1_seconds(X509_get0_notBefore(authority));
    report->ca.until_s = asn1_seconds(X509_get0_notAfter(authority));
    report->is_key = X509_check_private_key(node->certificate, node->key) == 1;
    report->is_signed =
        is_signed_by(node->certificate, authority, report->text, sizeof(report->text));
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(node->certificate), NID_commonName,
                                  report->name, sizeof(report->name)) < 0) {
        report->name[0] = '\0';
    }
}

int authority_examine(const char *ca, const char *certificate, const char *key,
                      struct authority_report *report, char *error)
{
    struct stat status;
    struct identity node = {NULL, NULL};
    X509 *authority = NULL;
    int result = authority_read_certificate(ca, &authority, error);
    if (result == 0) {
        result = authority_read_certificate(certificate, &node.certificate, error);
    }
    if (result == 0) {
        result = authority_read_key(key, &node.key, error);
    }
    if (result == 0 && stat(key, &status) != 0) {
        result = authority_fail(error, DSM_ECERT, "%.900s: %s", key, strerror(errno));
    }
    if (result == 0) {
        memset(report, 0, sizeof(*report));
        report->key_mode = status.st_mode & 07777;
        ERR_clear_error();
        describe(authority, &node, report);
        /* What was not checked for want of memory is not to look bad. */
        if (openssl_lacked_memory()) {
            result =
                authority_fail(error, DSM_ENOMEM, "%.900s: no memory to check it", certificate);
        }
    }
    identity_close(&node);
    X509_free(authority);
    return result;
}
