/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The authority's files: PEM, written once and never over another file. Every function here that
 * can fail writes a sentence into `error` (AUTHORITY_ERROR_BYTES), names the file in it, and
 * returns a DSM_E... value.
 */
#ifndef DSM_AGENT_AUTHORITY_FILES_H
#define DSM_AGENT_AUTHORITY_FILES_H

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "agent/authority.h"

/** Write the sentence and return the code. Forgets OpenSSL's own errors. */
int authority_fail(char *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** The same with OpenSSL's reason; DSM_ENOMEM, for nothing else can fail where it is used. */
int authority_fail_openssl(char *error, const char *what);

/** directory/name; DSM_ESYS when that is too long. */
int authority_join(char path[PATH_MAX], const char *directory, const char *name, char *error);
/** DSM_EEXIST when directory/name exists, a dangling link included. */
int authority_check_absent(const char *directory, const char *name, char *error);

/** Write directory/name (a certificate 0644, a key 0600) to the disk; nothing is left on error. */
int authority_write_certificate(const char *directory, const char *name, X509 *certificate,
                                char *error);
int authority_write_key(const char *directory, const char *name, EVP_PKEY *key, char *error);
/** Take back what was written, as far as that is possible. */
void authority_remove_file(const char *directory, const char *name);

/**
 * Read a PEM file; what is returned is freed by X509_free(), EVP_PKEY_free(). DSM_ECERT otherwise,
 * or DSM_ENOMEM where OpenSSL tells so.
 */
int authority_read_certificate(const char *path, X509 **certificate, char *error);
int authority_read_key(const char *path, EVP_PKEY **key, char *error);

#endif
