/* SPDX-License-Identifier: Apache-2.0 */
#include "net/fields.h"

#include <endian.h>
#include <string.h>

#include "dsm/core/types.h"

/** First bytes of values, from the msgpack specification. */
enum format {
    FORMAT_FIXINT_MAX = 0x7f,
    FORMAT_FIXARRAY = 0x90,
    FORMAT_FIXSTR = 0xa0,
    FORMAT_FALSE = 0xc2,
    FORMAT_TRUE = 0xc3,
    FORMAT_BIN8 = 0xc4,
    FORMAT_UINT8 = 0xcc,
    FORMAT_INT8 = 0xd0,
    FORMAT_STR8 = 0xd9,
    FORMAT_ARRAY16 = 0xdc,
    FORMAT_FIXINT_NEGATIVE = 0xe0,
};

uint32_t fields_count(const struct field_group *group)
{
    uint32_t count = 0;

    for (uint32_t mask = group->mask; mask != 0; mask &= mask - 1) {
        const struct field *field = &group->fields[__builtin_ctz(mask)];

        count += field->type == TYPE_GROUP ? fields_count(field->group) : 1;
    }
    return count;
}

static uint64_t load_uint(const void *member, uint32_t size)
{
    uint8_t value8;
    uint16_t value16;
    uint32_t value32;
    uint64_t value64;

    switch (size) {
    case 1:
        memcpy(&value8, member, sizeof(value8));
        return value8;
    case 2:
        memcpy(&value16, member, sizeof(value16));
        return value16;
    case 4:
        memcpy(&value32, member, sizeof(value32));
        return value32;
    default:
        memcpy(&value64, member, sizeof(value64));
        return value64;
    }
}

static void store_uint(void *member, uint32_t size, uint64_t value)
{
    uint8_t value8 = (uint8_t)value;
    uint16_t value16 = (uint16_t)value;
    uint32_t value32 = (uint32_t)value;

    switch (size) {
    case 1:
        memcpy(member, &value8, sizeof(value8));
        break;
    case 2:
        memcpy(member, &value16, sizeof(value16));
        break;
    case 4:
        memcpy(member, &value32, sizeof(value32));
        break;
    default:
        memcpy(member, &value, sizeof(value));
        break;
    }
}

/** Signed members have 4 or 8 bytes. */
static int64_t load_int(const void *member, uint32_t size)
{
    uint64_t value = load_uint(member, size);

    return size == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

static void list_pack(const struct field *field, const uint8_t *base, msgpack_packer *packer)
{
    uint64_t count = load_uint(base + field->offset_count, sizeof(uint32_t));
    uint64_t big;

    count = count < field->max ? count : field->max;
    msgpack_pack_bin(packer, count * field->size);
    for (uint64_t i = 0; i < count; i++) {
        /* The value's low bytes are the last of the eight. */
        big = htobe64(load_uint(base + field->offset + i * field->size, field->size));
        msgpack_pack_bin_body(packer, (const char *)&big + sizeof(big) - field->size, field->size);
    }
}

static void text_pack(const char *text, uint32_t size, msgpack_packer *packer)
{
    size_t len_bytes = strnlen(text, size - 1);

    msgpack_pack_str(packer, len_bytes);
    msgpack_pack_str_body(packer, text, len_bytes);
}

void fields_pack(const struct field_group *group, const void *base, msgpack_packer *packer)
{
    for (uint32_t mask = group->mask; mask != 0; mask &= mask - 1) {
        const struct field *field = &group->fields[__builtin_ctz(mask)];
        const uint8_t *member = (const uint8_t *)base + field->offset;

        switch (field->type) {
        case TYPE_UINT:
        case TYPE_ENUM:
        case TYPE_NODE:
            msgpack_pack_uint64(packer, load_uint(member, field->size));
            break;
        case TYPE_INT:
            msgpack_pack_int64(packer, load_int(member, field->size));
            break;
        case TYPE_BOOL:
            if (load_uint(member, field->size)) {
                msgpack_pack_true(packer);
            } else {
                msgpack_pack_false(packer);
            }
            break;
        case TYPE_TEXT:
            text_pack((const char *)member, field->size, packer);
            break;
        case TYPE_LIST:
            list_pack(field, base, packer);
            break;
        case TYPE_GROUP:
            fields_pack(field->group, member, packer);
            break;
        }
    }
}

/** The next len_bytes, NULL (and failed) when fewer are left. */
static const uint8_t *reader_bytes(struct reader *reader, size_t len_bytes)
{
    const uint8_t *bytes = reader->next;

    if (reader->failed || len_bytes > (size_t)(reader->end - reader->next)) {
        reader->failed = true;
        return NULL;
    }
    reader->next += len_bytes;
    return bytes;
}

/** A big-endian number of 2^log2_size bytes. */
static uint64_t reader_number(struct reader *reader, unsigned log2_size)
{
    const uint8_t *bytes = reader_bytes(reader, (size_t)1 << log2_size);
    uint64_t value = 0;

    if (!bytes) {
        return 0;
    }
    for (unsigned i = 0; i < 1u << log2_size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/** The first byte of the next value; 0xc1, which msgpack never uses, when there is none. */
static unsigned reader_format(struct reader *reader)
{
    const uint8_t *byte = reader_bytes(reader, 1);

    return byte ? *byte : 0xc1;
}

static uint64_t reader_fail(struct reader *reader)
{
    reader->failed = true;
    return 0;
}

/** The number of a signed format (0xd0 to 0xd3). */
static int64_t reader_signed(struct reader *reader, unsigned log2_size)
{
    unsigned unused_bits = 64 - (8u << log2_size);
    uint64_t value = reader_number(reader, log2_size);

    /* Shifted up and down again, so that its sign bit fills the rest. */
    return (int64_t)(value << unused_bits) >> unused_bits;
}

uint64_t reader_uint(struct reader *reader, uint64_t max)
{
    unsigned format = reader_format(reader);
    uint64_t value;

    if (format <= FORMAT_FIXINT_MAX) {
        value = format;
    } else if (format >= FORMAT_UINT8 && format < FORMAT_UINT8 + 4) {
        value = reader_number(reader, format - FORMAT_UINT8);
    } else if (format >= FORMAT_INT8 && format < FORMAT_INT8 + 4) {
        /* A packer may write a value that is not negative in a signed format. */
        int64_t number = reader_signed(reader, format - FORMAT_INT8);

        if (number < 0) {
            return reader_fail(reader);
        }
        value = (uint64_t)number;
    } else {
        return reader_fail(reader);
    }
    return value <= max && !reader->failed ? value : reader_fail(reader);
}

/** A signed value of at most max, and at least -max - 1. */
static int64_t reader_int(struct reader *reader, int64_t max)
{
    unsigned format = reader_format(reader);
    int64_t value;

    if (format >= FORMAT_FIXINT_NEGATIVE) {
        value = (int64_t)format - 0x100;
    } else if (format >= FORMAT_INT8 && format < FORMAT_INT8 + 4) {
        value = reader_signed(reader, format - FORMAT_INT8);
    } else if (format <= FORMAT_FIXINT_MAX) {
        value = format;
    } else if (format >= FORMAT_UINT8 && format < FORMAT_UINT8 + 4) {
        uint64_t number = reader_number(reader, format - FORMAT_UINT8);

        if (number > (uint64_t)max) {
            return (int64_t)reader_fail(reader);
        }
        value = (int64_t)number;
    } else {
        return (int64_t)reader_fail(reader);
    }
    if (reader->failed || value > max || value < -max - 1) {
        return (int64_t)reader_fail(reader);
    }
    return value;
}

uint32_t reader_array(struct reader *reader)
{
    unsigned format = reader_format(reader);
    uint64_t count;

    if (format >= FORMAT_FIXARRAY && format < FORMAT_FIXSTR) {
        count = format - FORMAT_FIXARRAY;
    } else if (format == FORMAT_ARRAY16 || format == FORMAT_ARRAY16 + 1) {
        count = reader_number(reader, format - FORMAT_ARRAY16 + 1);
    } else {
        return (uint32_t)reader_fail(reader);
    }
    /* Each value has one byte at least, so a larger count is a lie. */
    if (reader->failed || count > (size_t)(reader->end - reader->next)) {
        return (uint32_t)reader_fail(reader);
    }
    return (uint32_t)count;
}

static void unpack_uint(const struct field *field, uint8_t *base, struct reader *reader)
{
    uint64_t max = field->type == TYPE_NODE ? NODE_NONE : field->max;
    uint64_t value = reader_uint(reader, max);

    if ((field->type == TYPE_ENUM && value == 0) ||
        (field->type == TYPE_NODE && value > field->max && value != NODE_NONE)) {
        reader->failed = true;
    } else if (base) {
        store_uint(base + field->offset, field->size, value);
    }
}

static void unpack_int(const struct field *field, uint8_t *base, struct reader *reader)
{
    int64_t value = reader_int(reader, (int64_t)field->max);

    if (base) {
        store_uint(base + field->offset, field->size, (uint64_t)value);
    }
}

static void unpack_bool(const struct field *field, uint8_t *base, struct reader *reader)
{
    unsigned format = reader_format(reader);

    if (format != FORMAT_FALSE && format != FORMAT_TRUE) {
        reader->failed = true;
    } else if (base) {
        store_uint(base + field->offset, field->size, format == FORMAT_TRUE);
    }
}

static void unpack_text(const struct field *field, uint8_t *base, struct reader *reader)
{
    unsigned format = reader_format(reader);
    const uint8_t *text;
    size_t len_bytes = 0;

    if (format >= FORMAT_FIXSTR && format < FORMAT_FIXSTR + 0x20) {
        len_bytes = format - FORMAT_FIXSTR;
    } else if (format >= FORMAT_STR8 && format < FORMAT_STR8 + 3) {
        len_bytes = reader_number(reader, format - FORMAT_STR8);
    } else {
        reader->failed = true;
    }
    text = reader_bytes(reader, len_bytes);
    if (!text || len_bytes >= field->size || memchr(text, 0, len_bytes)) {
        reader->failed = true;
    } else if (base) {
        memcpy(base + field->offset, text, len_bytes);
        base[field->offset + len_bytes] = 0;
    }
}

static void unpack_list(const struct field *field, uint8_t *base, struct reader *reader)
{
    unsigned format = reader_format(reader);
    unsigned log2_size = (unsigned)__builtin_ctz(field->size);
    uint64_t len_bytes = 0;
    uint64_t count;

    if (format >= FORMAT_BIN8 && format < FORMAT_BIN8 + 3) {
        len_bytes = reader_number(reader, format - FORMAT_BIN8);
    } else {
        reader->failed = true;
    }
    count = len_bytes >> log2_size;
    if (len_bytes != count << log2_size || count > field->max) {
        reader->failed = true;
        return;
    }
    if (!base) {
        reader_bytes(reader, len_bytes);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value = reader_number(reader, log2_size);

        store_uint(base + field->offset + i * field->size, field->size, value);
    }
    store_uint(base + field->offset_count, sizeof(uint32_t), count);
}

void fields_unpack(const struct field_group *group, void *base, struct reader *reader)
{
    for (uint32_t mask = group->mask; mask != 0 && !reader->failed; mask &= mask - 1) {
        const struct field *field = &group->fields[__builtin_ctz(mask)];

        switch (field->type) {
        case TYPE_UINT:
        case TYPE_ENUM:
        case TYPE_NODE:
            unpack_uint(field, base, reader);
            break;
        case TYPE_INT:
            unpack_int(field, base, reader);
            break;
        case TYPE_BOOL:
            unpack_bool(field, base, reader);
            break;
        case TYPE_TEXT:
            unpack_text(field, base, reader);
            break;
        case TYPE_LIST:
            unpack_list(field, base, reader);
            break;
        case TYPE_GROUP:
            fields_unpack(field->group, base ? (uint8_t *)base + field->offset : NULL, reader);
            break;
        }
    }
}
