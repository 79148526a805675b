/* SPDX-License-Identifier: Apache-2.0 */
/** What tls_context_new() says of files that an operator got wrong. */
#include "net/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/certs.h"

#define DAY_S (24 * 3600)

struct files {
    char directory[CERTS_PATH_BYTES];
    char ca[CERTS_PATH_BYTES], certificate[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES];
    char text[TEXT_BYTES_MAX];
};

static int set_up(void **state)
{
    struct files *files = calloc(1, sizeof(*files));

    if (!files || certs_directory_make(files->directory) != 0 ||
        certs_make(files->directory, "ca", "node", -DAY_S, DAY_S) != 0) {
        return -1;
    }
    certs_path(files->ca, files->directory, "ca", ".pem");
    certs_path(files->certificate, files->directory, "node", ".pem");
    certs_path(files->key, files->directory, "node", ".key");
    *state = files;
    return 0;
}

static int tear_down(void **state)
{
    struct files *files = *state;

    certs_directory_remove(files->directory);
    free(files);
    return 0;
}

/** Loading must fail with a text that has both the file and the reason. */
static void expect_refusal(struct files *files, const char *file, const char *reason)
{
    struct tls_context *tls = NULL;

    assert_int_equal(tls_context_new(files->ca, files->certificate, files->key, &tls, files->text),
                     DSM_ECERT);
    assert_null(tls);
    if (!strstr(files->text, file) || !strstr(files->text, reason)) {
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", files->text, file, reason);
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/** A good identity loads, and tells its name and its end. */
static void test_good_identity_loads(void **state)
{
    struct files *files = *state;
    struct tls_context *tls;
    int64_t left_s;

    assert_int_equal(tls_context_new(files->ca, files->certificate, files->key, &tls, files->text),
                     0);
    assert_string_equal(files->text, "");
    assert_string_equal(tls_context_name(tls), "node");
    left_s = tls_context_expiry_s(tls) - (int64_t)time(NULL);
    assert_true(left_s > DAY_S - 600 && left_s <= DAY_S);
    tls_context_free(tls);
    tls_context_free(NULL);
}

/** A file that is not there is named, whichever it is. */
static void test_missing_file_is_named(void **state)
{
    struct files *files = *state;
    char *const paths[] = {files->ca, files->certificate, files->key};

    for (int i = 0; i < 3; i++) {
        char kept[CERTS_PATH_BYTES];

        memcpy(kept, paths[i], sizeof(kept));
        certs_path(paths[i], files->directory, "nowhere", ".pem");
        expect_refusal(files, "nowhere.pem", "cannot be read: No such file");
        memcpy(paths[i], kept, sizeof(kept));
    }
}

/** Files that hold something else. */
static void test_malformed_file_is_named(void **state)
{
    struct files *files = *state;
    char *const paths[] = {files->ca, files->certificate, files->key};
    static const char *const texts[] = {
        "",
        "hello\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    };

    for (int i = 0; i < 3; i++) {
        char kept[CERTS_PATH_BYTES];

        memcpy(kept, paths[i], sizeof(kept));
        certs_path(paths[i], files->directory, "bad", ".pem");
        for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
            write_file(paths[i], texts[t]);
            expect_refusal(files, "bad.pem", "is malformed");
        }
        memcpy(paths[i], kept, sizeof(kept));
    }
    /* A directory can be opened, and not read. */
    memcpy(files->ca, files->directory, sizeof(files->ca));
    expect_refusal(files, files->directory, "malformed");
}

/** Expired and not yet valid, with the time. */
static void test_wrong_times_are_named(void **state)
{
    struct files *files = *state;

    assert_int_equal(certs_make(files->directory, "ca", "node", -2 * DAY_S, -DAY_S), 0);
    expect_refusal(files, "the certificate", "has expired on 20");
    assert_int_equal(certs_make(files->directory, "ca", "node", DAY_S, 2 * DAY_S), 0);
    expect_refusal(files, "the certificate", "is not valid before 20");
    assert_int_equal(certs_make_ca(files->directory, "ca", -2 * DAY_S, -DAY_S), 0);
    expect_refusal(files, "the CA certificate", "has expired on 20");
}

/** The key of another certificate. */
static void test_foreign_key_is_named(void **state)
{
    struct files *files = *state;

    assert_int_equal(certs_make(files->directory, "ca", "second", -DAY_S, DAY_S), 0);
    certs_path(files->key, files->directory, "second", ".key");
    expect_refusal(files, "second.key", "does not belong to the certificate");
}

/** A key behind a passphrase is refused and nobody is asked for it. */
static void test_encrypted_key_is_refused(void **state)
{
    struct files *files = *state;

    write_file(files->key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                           "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg=\n"
                           "-----END ENCRYPTED PRIVATE KEY-----\n");
    expect_refusal(files, "node.key", "without a passphrase");
}

/** Every test gets its own files. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good_identity_loads),     TEST(test_missing_file_is_named),
        TEST(test_malformed_file_is_named), TEST(test_wrong_times_are_named),
        TEST(test_foreign_key_is_named),    TEST(test_encrypted_key_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
