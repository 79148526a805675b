/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A link: one connection between two agents as a machine of bytes. TLS 1.3 with certificates on
 * both sides over memory BIOs, then frames. It owns no socket and reads no clock: bytes that came
 * from the peer go in, bytes for the peer and whole frames come out. The agent, the benchmark's
 * limit and the fuzzer use it alike.
 *
 * What a frame is: net/frame.h. A TLS record (16 KiB at most) holds what was held until it was
 * sealed: several small frames, one, or a part of a large one.
 */
#ifndef DSM_NET_LINK_H
#define DSM_NET_LINK_H

#include "net/codec.h"
#include "net/frame.h"

/** Keys and certificates of this node, shared by all its links. */
struct tls_context;

/**
 * Load a node's identity.
 *
 * @ca, @certificate, @key paths of PEM files, borrowed
 * @tls                    returned, release with tls_context_free()
 * @text                   on error: which file and what is wrong with it; TEXT_BYTES_MAX bytes
 *
 * Errors: DSM_ECERT  a file cannot be read, is malformed, has expired, or is of another key
 *         DSM_ENOMEM where OpenSSL tells that it had no memory; where it tells of something else,
 *                    it looks like a file that cannot be used
 */
int tls_context_new(const char *ca, const char *certificate, const char *key,
                    struct tls_context **tls, char *text);
void tls_context_free(struct tls_context *tls);
/** The common name of the own certificate; lives as long as the context. */
const char *tls_context_name(const struct tls_context *tls);
/** Seconds since 1970 at which the own certificate ends. */
int64_t tls_context_expiry_s(const struct tls_context *tls);

struct link;

/**
 * Make a link.
 *
 * @tls       borrowed for the link's life
 * @is_server the side that accepted the connection
 * @link      returned, release with link_free()
 *
 * Errors: DSM_ENOMEM
 */
int link_new(struct tls_context *tls, bool is_server, struct link **link);
void link_free(struct link *link);

/**
 * Give the link bytes that came from the peer; takes all of them. After an error link_output() may
 * still hold an alert that tells the peer why.
 *
 * Errors (sticky): DSM_ECERT  the peer's certificate is refused, or the peer refused ours
 *                  DSM_EPROTO not TLS 1.3, a broken record, or a frame out of bounds
 *                  DSM_ENOMEM where OpenSSL tells so; in a handshake it may tell of something else,
 *                             and then it looks like one of the others
 */
int link_receive(struct link *link, const uint8_t *bytes, size_t len_bytes);

/**
 * The next whole frame. Its bytes stay where they are until the next link_next(), link_receive() or
 * link_free(); link_send() leaves them alone.
 *
 * Returns 1 and the frame, 0 when none is whole yet, or the link's sticky error.
 */
int link_next(struct link *link, struct frame *frame);

/** Is the handshake over, so that frames may be sent? */
bool link_is_ready(const struct link *link);
/** The common name of the peer's certificate once ready, else NULL. */
const char *link_peer_name(const struct link *link);
/** The cipher suite agreed on, as TLS names it, static; NULL before the handshake is over. */
const char *link_cipher(const struct link *link);
/** The link's sticky error, 0 without. */
int link_error(const struct link *link);
/** A sentence on that error, "" without. */
const char *link_error_text(const struct link *link);

/**
 * Take a frame to be sent; both parts are copied before return. It is encrypted together with what
 * else was held, by link_seal() or when a record is full, whichever comes first.
 *
 * Errors: DSM_EAGAIN the handshake is not over; or the sticky error
 *         DSM_EINVAL the frame is out of the bounds that the peer would check; nothing was taken
 */
int link_hold(struct link *link, const uint8_t *head, size_t head_bytes, const uint8_t *payload,
              size_t payload_bytes);
/** Encrypt what is held, if anything is: it is output now. Errors: the sticky error. */
int link_seal(struct link *link);
/** link_hold() and link_seal(); errors as link_hold(). */
int link_send(struct link *link, const uint8_t *head, size_t head_bytes, const uint8_t *payload,
              size_t payload_bytes);
/** TLS records with frames sent so far. */
uint64_t link_count_records(const struct link *link);

/** Bytes for the peer, in order: their number, and where they are until the next call. */
size_t link_output(struct link *link, const uint8_t **bytes);
/** The first len_bytes of them were handed to the socket. */
void link_output_done(struct link *link, size_t len_bytes);

#endif
