/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The cluster's certificate authority: one self-signed certificate per cluster, one certificate per
 * node that it signs. ECDSA on P-256, SHA-256. A node's certificate has the node's name as common
 * name and as DNS name, and serves for both sides of a TLS connection. Whoever has the authority's
 * key can make nodes; only the directory that 'dsmctl init' made holds it.
 */
#ifndef DSM_AGENT_AUTHORITY_H
#define DSM_AGENT_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>

/** Bytes of the text that these functions fill on error. */
#define AUTHORITY_ERROR_BYTES 1024
#define AUTHORITY_CA_DAYS 3650
#define AUTHORITY_NODE_DAYS 730

/** The names of the files in a directory. */
#define AUTHORITY_CA_CERTIFICATE "ca.crt"
#define AUTHORITY_CA_KEY "ca.key"
#define AUTHORITY_NODE_CERTIFICATE "node.crt"
#define AUTHORITY_NODE_KEY "node.key"

/** From when until when a certificate counts, seconds since 1970. */
struct authority_validity {
    int64_t from_s;
    int64_t until_s;
};

/**
 * Valid from now (an hour before, for clocks that differ) for so many days.
 */
struct authority_validity authority_validity_days(unsigned days);

/**
 * Make an authority: ca.crt and ca.key (mode 0600) in a directory.
 *
 * @directory must exist
 * @error     on error: which file and what to do; AUTHORITY_ERROR_BYTES bytes
 *
 * Errors: DSM_EEXIST one of the files is there; nothing was changed
 *         DSM_ESYS   a file cannot be written; none is left
 *         DSM_ENOMEM
 */
int authority_make(const char *directory, const struct authority_validity *validity, char *error);

/**
 * Make a node's key and certificate: node.crt and node.key (mode 0600), and a copy of ca.crt when
 * `to` is not the authority's own directory.
 *
 * @directory the authority's
 * @name      the node's, kept in lower case
 * @to        directory for the files, must exist
 * @error     on error: which file and what to do; AUTHORITY_ERROR_BYTES bytes
 *
 * Errors: DSM_EINVAL no legal node name
 *         DSM_EEXIST one of the files is there; nothing was changed
 *         DSM_ECERT  the authority's files are missing, unreadable or do not belong together
 *         DSM_ESYS   a file cannot be written; none is left
 *         DSM_ENOMEM
 */
int authority_issue(const char *directory, const char *name,
                    const struct authority_validity *validity, const char *to, char *error);

/** What authority_examine() finds. */
struct authority_report {
    char name[128];                 /* common name of the node's certificate */
    struct authority_validity node; /* of the node's certificate */
    struct authority_validity ca;
    uint32_t key_mode; /* permission bits of the key's file */
    bool is_signed;    /* the node's certificate is signed by the authority */
    bool is_key;       /* the key is the certificate's */
    char text[256];    /* when not signed: why */
};

/**
 * Look at a node's certificates and key. Expiry is reported, not judged.
 *
 * @ca, @certificate, @key paths of PEM files, borrowed
 * @report                 written on success
 * @error                  on error: which file and what is wrong; AUTHORITY_ERROR_BYTES bytes
 *
 * Errors: DSM_ECERT  a file cannot be read or is malformed
 */
int authority_examine(const char *ca, const char *certificate, const char *key,
                      struct authority_report *report, char *error);

#endif
