/* SPDX-License-Identifier: Apache-2.0 */
/** What net/tls.c and net/link.c share: OpenSSL's side of a tls_context. */
#ifndef DSM_NET_TLS_H
#define DSM_NET_TLS_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "net/link.h"

struct tls_context {
    SSL_CTX *ssl;
    BIO_METHOD *method; /* of the links' BIOs; here, because it must outlive them */
    int64_t expiry_s;
    char name[RECORD_NAME_BYTES];
};

/**
 * The node that a certificate names: its subject's common name.
 *
 * @name written: RECORD_NAME_BYTES bytes; empty when false
 *
 * Returns false when there is none, or none that is a usable name.
 */
bool certificate_name(X509 *certificate, char *name);

/** Bytes of a time as text, with the final NUL. */
#define TIME_TEXT_BYTES 40

/** A certificate's time, such as "2026-01-31 12:00:00 UTC". */
void certificate_time_text(const ASN1_TIME *time, char text[TIME_TEXT_BYTES]);

/**
 * Did OpenSSL run out of memory? Where that happens deep inside, the errors on top of it tell of
 * something else, so all are looked at; they are cleared.
 */
bool openssl_lacked_memory(void);

/** The callbacks of the links' BIOs and of verification, in net/link.c. */
int link_bio_read(BIO *bio, char *bytes, size_t len_bytes, size_t *done_bytes);
int link_bio_write(BIO *bio, const char *bytes, size_t len_bytes, size_t *done_bytes);
long link_bio_control(BIO *bio, int command, long number, void *pointer);
int link_on_verify(int is_good, X509_STORE_CTX *store);

#endif
