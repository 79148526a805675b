/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's authority: certificates verify, keys are private, nothing is overwritten. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "agent/authority.h"
#include "dsm.h"
#include "net/link.h"

#define DAY_S 86400
#define PATH_BYTES 160

/** Two directories of the test's own: the authority's, and one for another node. */
struct place {
    char home[64];
    char other[64];
    char error[AUTHORITY_ERROR_BYTES];
};

static const char *const file_names[] = {"ca.crt", "ca.key", "node.crt", "node.key"};

static int place_make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (!place) {
        return -1;
    }
    *state = place;
    snprintf(place->home, sizeof(place->home), "/tmp/test_authority.XXXXXX");
    snprintf(place->other, sizeof(place->other), "/tmp/test_authority.XXXXXX");
    return mkdtemp(place->home) && mkdtemp(place->other) ? 0 : -1;
}

static void directory_remove(const char *directory)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof(file_names) / sizeof(file_names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, file_names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static int place_remove(void **state)
{
    struct place *place = *state;
    directory_remove(place->home);
    directory_remove(place->other);
    free(place);
    return 0;
}

static void path_of(char path[PATH_BYTES], const char *directory, const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", directory, name);
}

static bool exists(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    struct stat status;
    path_of(path, directory, name);
    return lstat(path, &status) == 0;
}

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[PATH_BYTES];
    path_of(path, directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static unsigned mode_of(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    struct stat status;
    path_of(path, directory, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static X509 *certificate_read(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    path_of(path, directory, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(certificate);
    return certificate;
}

/** Verify as one side of a TLS connection does. */
static int verify(X509 *certificate, X509 *authority, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_non_null(store);
    assert_non_null(context);
    assert_int_equal(X509_STORE_add_cert(store, authority), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, certificate, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_purpose(context, purpose), 1);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    int error = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return error;
}

static void make_authority(struct place *place)
{
    struct authority_validity validity = authority_validity_days(AUTHORITY_CA_DAYS);
    assert_int_equal(authority_make(place->home, &validity, place->error), 0);
}

static int issue(struct place *place, const char *name, const char *to)
{
    struct authority_validity validity = authority_validity_days(AUTHORITY_NODE_DAYS);
    return authority_issue(place->home, name, &validity, to, place->error);
}

static int examine(struct place *place, const char *ca, const char *node,
                   struct authority_report *report)
{
    char ca_path[PATH_BYTES];
    char certificate[PATH_BYTES];
    char key[PATH_BYTES];
    path_of(ca_path, ca, "ca.crt");
    path_of(certificate, node, "node.crt");
    path_of(key, node, "node.key");
    return authority_examine(ca_path, certificate, key, report, place->error);
}

static int load(struct place *place, const char *ca, const char *node, struct tls_context **tls)
{
    char ca_path[PATH_BYTES];
    char certificate[PATH_BYTES];
    char key[PATH_BYTES];
    char text[TEXT_BYTES_MAX] = "";
    path_of(ca_path, ca, "ca.crt");
    path_of(certificate, node, "node.crt");
    path_of(key, node, "node.key");
    int result = tls_context_new(ca_path, certificate, key, tls, text);
    snprintf(place->error, sizeof(place->error), "%.900s", text);
    return result;
}

static void assert_says(const struct place *place, const char *words)
{
    if (!strstr(place->error, words)) {
        fail_msg("'%s' does not say '%s'", place->error, words);
    }
}

/** The first node's and another node's certificates verify for both sides of a connection. */
static void test_issued_certificates_verify_against_the_authority(void **state)
{
    struct place *place = *state;
    char common[64];
    make_authority(place);
    assert_int_equal(issue(place, "a", place->home), 0);
    assert_int_equal(issue(place, "Node-B.example", place->other), 0);
    X509 *authority = certificate_read(place->other, "ca.crt");
    X509 *original = certificate_read(place->home, "ca.crt");
    X509 *a = certificate_read(place->home, "node.crt");
    X509 *b = certificate_read(place->other, "node.crt");
    assert_int_equal(X509_cmp(authority, original), 0);
    assert_int_equal(verify(a, authority, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify(a, authority, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify(b, authority, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify(b, authority, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(X509_check_ca(authority), 1);
    assert_int_equal(X509_check_ca(b), 0);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(b), NID_commonName, common,
                                          sizeof(common)) > 0);
    assert_string_equal(common, "node-b.example");
    assert_int_equal(X509_check_host(b, "node-b.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(b, "a", 0, 0, NULL), 0);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get_serialNumber(a), X509_get_serialNumber(b)), 0);
    X509_free(authority);
    X509_free(original);
    X509_free(a);
    X509_free(b);
}

/** Keys are for their owner only, whatever the umask; the authority's key stays at home. */
static void test_keys_are_private(void **state)
{
    struct place *place = *state;
    mode_t before = umask(0);
    make_authority(place);
    assert_int_equal(issue(place, "b", place->other), 0);
    umask(077);
    assert_int_equal(issue(place, "a", place->home), 0);
    umask(before);
    assert_int_equal(mode_of(place->home, "ca.key"), 0600);
    assert_int_equal(mode_of(place->home, "node.key"), 0600);
    assert_int_equal(mode_of(place->other, "node.key"), 0600);
    assert_int_equal(mode_of(place->home, "node.crt"), 0644);
    assert_int_equal(mode_of(place->other, "ca.crt"), 0644);
    assert_false(exists(place->other, "ca.key"));
}

/** The authority lasts ten years, a node's certificate two, both count an hour ago already. */
static void test_validity_is_ten_and_two_years(void **state)
{
    struct place *place = *state;
    struct authority_report report;
    int64_t now_s = (int64_t)time(NULL);
    make_authority(place);
    assert_int_equal(issue(place, "a", place->home), 0);
    assert_int_equal(examine(place, place->home, place->home, &report), 0);
    assert_in_range(report.node.until_s - now_s, 730 * DAY_S - 60, 730 * DAY_S + 60);
    assert_in_range(report.ca.until_s - now_s, 3650ll * DAY_S - 60, 3650ll * DAY_S + 60);
    assert_in_range(now_s - report.node.from_s, 3540, 3660);
    assert_int_equal(report.key_mode, 0600);
    assert_true(report.is_key);
    assert_true(report.is_signed);
    assert_string_equal(report.name, "a");
}

/** Nothing that exists is overwritten, and a refusal leaves nothing behind. */
static void test_existing_files_are_not_overwritten(void **state)
{
    struct place *place = *state;
    struct authority_validity validity = authority_validity_days(1);
    make_authority(place);
    X509 *before = certificate_read(place->home, "ca.crt");
    assert_int_equal(authority_make(place->home, &validity, place->error), DSM_EEXIST);
    assert_says(place, "/ca.crt exists and is not overwritten");
    X509 *after = certificate_read(place->home, "ca.crt");
    assert_int_equal(X509_cmp(before, after), 0);
    X509_free(before);
    X509_free(after);

    write_text(place->other, "node.key", "precious");
    assert_int_equal(issue(place, "b", place->other), DSM_EEXIST);
    assert_says(place, "/node.key exists");
    assert_false(exists(place->other, "node.crt"));
    assert_false(exists(place->other, "ca.crt"));
}

/** A name that cannot be a node's is refused before any file is made. */
static void test_illegal_name_is_refused(void **state)
{
    static const char *const names[] = {"", "a b", "-a", "a.", "*", "a,DNS:b", "a/b"};
    struct place *place = *state;
    make_authority(place);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(issue(place, names[i], place->other), DSM_EINVAL);
        assert_says(place, "is no node name");
    }
    assert_false(exists(place->other, "node.key"));
}

/** Without an authority, or with the key of another, nothing is issued. */
static void test_broken_authority_issues_nothing(void **state)
{
    struct place *place = *state;
    struct authority_validity validity = authority_validity_days(1);
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    assert_int_equal(issue(place, "b", place->other), DSM_ECERT);
    assert_says(place, "/ca.crt: cannot be read: No such file");

    make_authority(place);
    assert_int_equal(authority_make(place->other, &validity, place->error), 0);
    path_of(from, place->other, "ca.key");
    path_of(to, place->home, "ca.key");
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(issue(place, "a", place->home), DSM_ECERT);
    assert_says(place, "is not the key of the ca.crt beside it");

    write_text(place->home, "ca.key", "not a key\n");
    assert_int_equal(issue(place, "a", place->home), DSM_ECERT);
    assert_says(place, "holds no private key");
    assert_false(exists(place->home, "node.key"));
}

/** A directory that is not there is an error that names the file. */
static void test_missing_directory_is_an_error(void **state)
{
    struct place *place = *state;
    struct authority_validity validity = authority_validity_days(1);
    assert_int_equal(authority_make("/nonexistent", &validity, place->error), DSM_ESYS);
    assert_says(place, "/nonexistent/ca.key: cannot be made: No such file");
    make_authority(place);
    assert_int_equal(issue(place, "a", "/nonexistent"), DSM_ESYS);
    assert_says(place, "/nonexistent/node.key");
}

/** The examiner tells a foreign authority, a foreign key and a malformed file apart. */
static void test_examiner_finds_what_does_not_belong_together(void **state)
{
    struct place *place = *state;
    struct authority_validity validity = authority_validity_days(1);
    struct authority_report report;
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    make_authority(place);
    assert_int_equal(issue(place, "a", place->home), 0);
    assert_int_equal(authority_make(place->other, &validity, place->error), 0);
    assert_int_equal(authority_issue(place->other, "a", &validity, place->other, place->error), 0);

    assert_int_equal(examine(place, place->other, place->home, &report), 0);
    assert_false(report.is_signed);
    assert_true(report.text[0] != '\0');
    assert_true(report.is_key);

    path_of(from, place->other, "node.key");
    path_of(to, place->home, "node.key");
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(chmod(to, 0644), 0);
    assert_int_equal(examine(place, place->home, place->home, &report), 0);
    assert_true(report.is_signed);
    assert_false(report.is_key);
    assert_int_equal(report.key_mode, 0644);

    write_text(place->home, "node.crt", "nonsense\n");
    assert_int_equal(examine(place, place->home, place->home, &report), DSM_ECERT);
    assert_says(place, "/node.crt: holds no certificate");
}

/** What is made here is what a link takes. */
static void test_link_takes_the_certificates(void **state)
{
    struct place *place = *state;
    struct tls_context *tls = NULL;
    make_authority(place);
    assert_int_equal(issue(place, "b", place->other), 0);
    assert_int_equal(load(place, place->other, place->other, &tls), 0);
    assert_string_equal(tls_context_name(tls), "b");
    assert_in_range(tls_context_expiry_s(tls) - (int64_t)time(NULL), 730 * DAY_S - 60,
                    730 * DAY_S + 60);
    tls_context_free(tls);
}

/** A certificate that has ended is found by the examiner and refused by a link, by name. */
static void test_expired_certificate_is_refused(void **state)
{
    struct place *place = *state;
    int64_t now_s = (int64_t)time(NULL);
    struct authority_validity past = {now_s - 3 * DAY_S, now_s - DAY_S};
    struct authority_report report;
    struct tls_context *tls = NULL;
    make_authority(place);
    assert_int_equal(authority_issue(place->home, "a", &past, place->home, place->error), 0);
    assert_int_equal(examine(place, place->home, place->home, &report), 0);
    assert_true(report.is_signed);
    assert_true(report.node.until_s < now_s);
    assert_int_equal(load(place, place->home, place->home, &tls), DSM_ECERT);
    assert_says(place, "node.crt");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        ROW(test_issued_certificates_verify_against_the_authority),
        ROW(test_keys_are_private),
        ROW(test_validity_is_ten_and_two_years),
        ROW(test_existing_files_are_not_overwritten),
        ROW(test_illegal_name_is_refused),
        ROW(test_broken_authority_issues_nothing),
        ROW(test_missing_directory_is_an_error),
        ROW(test_examiner_finds_what_does_not_belong_together),
        ROW(test_link_takes_the_certificates),
        ROW(test_expired_certificate_is_refused),
    };
#undef ROW
    return cmocka_run_group_tests(tests, NULL, NULL);
}
