/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/certs.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define DAY_S (24 * 3600)
#define CA_NAME "a cluster of tests"

char *certs_path(char *path, const char *directory, const char *name, const char *suffix)
{
    snprintf(path, CERTS_PATH_BYTES, "%.250s/%.200s%s", directory, name, suffix);
    return path;
}

int certs_directory_make(char *directory)
{
    const char *parent = getenv("TMPDIR");

    snprintf(directory, CERTS_PATH_BYTES, "%.200s/dsm-certs-XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

void certs_directory_remove(const char *directory)
{
    DIR *entries = opendir(directory);
    char path[CERTS_PATH_BYTES];
    struct dirent *entry;

    if (!entries) {
        return;
    }
    while ((entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] != '.') {
            unlink(certs_path(path, directory, entry->d_name, ""));
        }
    }
    closedir(entries);
    rmdir(directory);
}

static bool write_key(const char *path, EVP_PKEY *key)
{
    BIO *bio = BIO_new_file(path, "w");
    bool is_good = bio && chmod(path, 0600) == 0 &&
                   PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;

    BIO_free(bio);
    return is_good;
}

static bool write_certificate(const char *path, X509 *certificate)
{
    BIO *bio = BIO_new_file(path, "w");
    bool is_good = bio && PEM_write_bio_X509(bio, certificate) == 1;

    BIO_free(bio);
    return is_good;
}

static X509 *read_certificate(const char *path)
{
    BIO *bio = BIO_new_file(path, "r");
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *read_key(const char *path)
{
    BIO *bio = BIO_new_file(path, "r");
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    return key;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool is_good;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    is_good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_good;
}

static bool set_serial(X509 *certificate)
{
    uint64_t serial = 0;

    return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial | 1) == 1;
}

/** A certificate for `key`; its own issuer without one. */
static X509 *certificate_make(const char *name, EVP_PKEY *key, X509 *issuer, int64_t from_s,
                              int64_t to_s)
{
    X509 *certificate = X509_new();
    X509_NAME *subject;
    bool is_good;

    if (!certificate) {
        return NULL;
    }
    subject = X509_get_subject_name(certificate);
    is_good =
        X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                   -1, 0) == 1 &&
        X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), (long)from_s) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), (long)to_s) != NULL &&
        X509_set_pubkey(certificate, key) == 1 &&
        add_extension(certificate, issuer ? issuer : certificate, NID_basic_constraints,
                      issuer ? "critical,CA:FALSE" : "critical,CA:TRUE") &&
        add_extension(certificate, issuer ? issuer : certificate, NID_key_usage,
                      issuer ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign") &&
        (!issuer || add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth"));
    if (!is_good) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

int certs_make_ca(const char *directory, const char *ca_prefix, int64_t valid_from_s,
                  int64_t valid_to_s)
{
    char path[CERTS_PATH_BYTES];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? certificate_make(CA_NAME, key, NULL, valid_from_s, valid_to_s) : NULL;
    bool is_good = certificate && X509_sign(certificate, key, EVP_sha256()) > 0 &&
                   write_key(certs_path(path, directory, ca_prefix, ".key"), key) &&
                   write_certificate(certs_path(path, directory, ca_prefix, ".pem"), certificate);

    X509_free(certificate);
    EVP_PKEY_free(key);
    return is_good ? 0 : -1;
}

int certs_make(const char *directory, const char *ca_prefix, const char *node_name,
               int64_t valid_from_s, int64_t valid_to_s)
{
    char path[CERTS_PATH_BYTES];
    EVP_PKEY *ca_key;
    EVP_PKEY *key;
    X509 *ca;
    X509 *certificate;
    bool is_good;

    if (access(certs_path(path, directory, ca_prefix, ".pem"), F_OK) != 0 &&
        certs_make_ca(directory, ca_prefix, -DAY_S, INT64_C(3650) * DAY_S) != 0) {
        return -1;
    }
    ca = read_certificate(path);
    ca_key = read_key(certs_path(path, directory, ca_prefix, ".key"));
    key = EVP_EC_gen("P-256");
    certificate = ca && key ? certificate_make(node_name, key, ca, valid_from_s, valid_to_s) : NULL;
    is_good = certificate && ca_key && X509_sign(certificate, ca_key, EVP_sha256()) > 0 &&
              write_key(certs_path(path, directory, node_name, ".key"), key) &&
              write_certificate(certs_path(path, directory, node_name, ".pem"), certificate);
    X509_free(certificate);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return is_good ? 0 : -1;
}
