/* SPDX-License-Identifier: Apache-2.0 */
/** A growable byte buffer with a sticky error: bytes go in at the end and out at the start. */
#ifndef DSM_NET_BUFFER_H
#define DSM_NET_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes appended at the end, consumed at the start. All zero is an empty buffer. */
struct buffer {
    uint8_t *bytes;
    size_t start, end, capacity;
    bool failed; /* an append ran out of memory; sticky, all later appends do nothing */
    bool is_fixed; /* the memory is the caller's, and does not grow */
};

/** Make it empty, over memory of the caller; an append that does not fit fails. */
void buffer_over(struct buffer *buffer, uint8_t *bytes, size_t capacity);

/** Free the buffer's memory and make it empty. */
void buffer_close(struct buffer *buffer);
/** Make it empty, and no longer failed; keep its memory. */
void buffer_clear(struct buffer *buffer);
/** Bytes between start and end. */
size_t buffer_len(const struct buffer *buffer);
/** The first of them. */
const uint8_t *buffer_data(const struct buffer *buffer);
/** Append; sets `failed` when there is no memory. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t len_bytes);
/**
 * Make room for len_bytes at the end and return it, NULL (and `failed`) without memory. What was
 * returned by buffer_data() moves.
 */
uint8_t *buffer_reserve(struct buffer *buffer, size_t len_bytes);
/** Count len_bytes that were written into reserved room. */
void buffer_commit(struct buffer *buffer, size_t len_bytes);
/** Drop len_bytes at the start; at most buffer_len(). */
void buffer_consume(struct buffer *buffer, size_t len_bytes);

#endif
