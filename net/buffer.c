/* SPDX-License-Identifier: Apache-2.0 */
#include "net/buffer.h"

#include <stdlib.h>
#include <string.h>

/** The first allocation; most heads fit. */
#define CAPACITY_MIN 512u

void buffer_over(struct buffer *buffer, uint8_t *bytes, size_t capacity)
{
    *buffer = (struct buffer){.bytes = bytes, .capacity = capacity, .is_fixed = true};
}

void buffer_close(struct buffer *buffer)
{
    if (!buffer->is_fixed) {
        free(buffer->bytes);
    }
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->start = 0;
    buffer->end = 0;
    buffer->failed = false;
}

size_t buffer_len(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

const uint8_t *buffer_data(const struct buffer *buffer)
{
    return buffer->bytes ? buffer->bytes + buffer->start : NULL;
}

/** Move the bytes to the front of larger memory, of at least `need` bytes. */
static bool grow(struct buffer *buffer, size_t need)
{
    size_t capacity = buffer->bytes ? 2 * buffer->capacity : CAPACITY_MIN;
    uint8_t *bytes;

    if (buffer->is_fixed) {
        return false;
    }
    while (capacity < need) {
        capacity *= 2;
    }
    bytes = malloc(capacity);
    if (!bytes) {
        return false;
    }
    if (buffer->end > buffer->start) {
        memcpy(bytes, buffer->bytes + buffer->start, buffer->end - buffer->start);
    }
    free(buffer->bytes);
    buffer->bytes = bytes;
    buffer->end -= buffer->start;
    buffer->start = 0;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t len_bytes)
{
    size_t held = buffer->end - buffer->start;

    if (buffer->failed) {
        return NULL;
    }
    if (buffer->bytes && len_bytes <= buffer->capacity - buffer->end) {
        return buffer->bytes + buffer->end;
    }
    /* No object is so large; and below this the doubling cannot overflow. */
    if (len_bytes > SIZE_MAX / 4 - held) {
        buffer->failed = true;
        return NULL;
    }
    /* Bytes move to the front only when as many were consumed: each byte pays for one move of
     * another, so a long queue that is refilled little by little is not moved at every refill. */
    if (buffer->bytes && held + len_bytes <= buffer->capacity && buffer->start >= held) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, held);
        buffer->start = 0;
        buffer->end = held;
    } else if (!grow(buffer, held + len_bytes)) {
        buffer->failed = true;
        return NULL;
    }
    return buffer->bytes + buffer->end;
}

void buffer_commit(struct buffer *buffer, size_t len_bytes)
{
    buffer->end += len_bytes;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len_bytes)
{
    uint8_t *room = buffer_reserve(buffer, len_bytes);

    if (room && len_bytes > 0) {
        memcpy(room, bytes, len_bytes);
        buffer->end += len_bytes;
    }
}

void buffer_consume(struct buffer *buffer, size_t len_bytes)
{
    buffer->start += len_bytes;
    if (buffer->start == buffer->end) {
        buffer->start = 0;
        buffer->end = 0;
    }
}
