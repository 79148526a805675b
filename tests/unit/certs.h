/* SPDX-License-Identifier: Apache-2.0 */
/** Cluster CAs and node certificates for tests, made on the spot. */
#ifndef DSM_TESTS_CERTS_H
#define DSM_TESTS_CERTS_H

#include <stdint.h>

/** Bytes of a path that these functions make at most. */
#define CERTS_PATH_BYTES 512

/** Make a new directory in $TMPDIR (or /tmp); `directory` has CERTS_PATH_BYTES. Returns 0 or -1. */
int certs_directory_make(char *directory);
/** Remove a directory and the files in it. */
void certs_directory_remove(const char *directory);

/**
 * Make a node's key DIRECTORY/NODE_NAME.key and certificate DIRECTORY/NODE_NAME.pem (P-256, for
 * both sides of TLS, common name NODE_NAME), signed by DIRECTORY/CA_PREFIX.key. That CA is made if
 * DIRECTORY/CA_PREFIX.pem is not there yet, valid from a day before now to ten years after.
 *
 * @valid_from_s, valid_to_s seconds from now; negative ones are in the past
 *
 * Returns 0 or -1.
 */
int certs_make(const char *directory, const char *ca_prefix, const char *node_name,
               int64_t valid_from_s, int64_t valid_to_s);

/** As certs_make() for a CA alone; replaces the one that is there. */
int certs_make_ca(const char *directory, const char *ca_prefix, int64_t valid_from_s,
                  int64_t valid_to_s);

/** The path DIRECTORY/NAMESUFFIX; `path` has CERTS_PATH_BYTES. Returns path. */
char *certs_path(char *path, const char *directory, const char *name, const char *suffix);

#endif
