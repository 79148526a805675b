/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A struct's members as a table of fields, and two functions that pack and unpack any struct by its
 * table: the list of a message's fields exists once, and packing cannot drift from unpacking.
 *
 * Packing is msgpack-c's. Unpacking is not: its parser makes a tree of objects in a zone of its own
 * (two allocations and several times the cost of the message), and believes the counts that it
 * reads (msgpack-c #1013: 20 bytes make it ask for 256 GiB). The walk that must come first visits
 * every value, so it takes the values while it is there. msgpack-c's parser is the judge in the
 * unit tests.
 */
#ifndef DSM_NET_FIELDS_H
#define DSM_NET_FIELDS_H

#include <msgpack.h>

#include "net/buffer.h"

enum field_type {
    TYPE_UINT = 1, /* unsigned, `size` bytes in memory, at most `max` */
    TYPE_ENUM,     /* the same, but not 0 */
    TYPE_NODE,     /* the same, but NODE_NONE is legal as well */
    TYPE_INT,      /* signed, `size` bytes in memory */
    TYPE_BOOL,
    TYPE_TEXT,  /* char[size], terminated; on the wire a string without NUL */
    TYPE_LIST,  /* `max` unsigned of `size` bytes, the uint32_t at `offset_count` says how many; on
                   the wire binary, big endian: so an array of fields stays flat */
    TYPE_GROUP, /* the fields of a struct inside the struct */
};

struct field_group;

struct field {
    uint8_t type; /* enum field_type */
    uint32_t offset;
    uint32_t size;
    uint32_t offset_count;
    uint64_t max;
    const struct field_group *group;
};

/** A table of fields, and which of them (bits) are packed. */
struct field_group {
    const struct field *fields;
    uint32_t mask;
};

/** One row: the type's letter, the struct, the member, and what the letter wants to know. */
#define FIELD_ROW(letter, of, member, extra) FIELD_ROW_##letter(of, member, extra)
#define FIELD_SIZE(of, member) (uint32_t)sizeof(((of *)0)->member)
#define FIELD_PLACE(of, member) \
    .offset = (uint32_t)offsetof(of, member), .size = FIELD_SIZE(of, member)
#define FIELD_ROW_u(of, member, limit)                             \
    {                                                              \
        .type = TYPE_UINT, FIELD_PLACE(of, member), .max = (limit) \
    }
#define FIELD_ROW_e(of, member, limit)                             \
    {                                                              \
        .type = TYPE_ENUM, FIELD_PLACE(of, member), .max = (limit) \
    }
#define FIELD_ROW_n(of, member, limit)                             \
    {                                                              \
        .type = TYPE_NODE, FIELD_PLACE(of, member), .max = (limit) \
    }
#define FIELD_ROW_i(of, member, limit)                            \
    {                                                             \
        .type = TYPE_INT, FIELD_PLACE(of, member), .max = (limit) \
    }
#define FIELD_ROW_b(of, member, unused)            \
    {                                              \
        .type = TYPE_BOOL, FIELD_PLACE(of, member) \
    }
#define FIELD_ROW_t(of, member, unused)            \
    {                                              \
        .type = TYPE_TEXT, FIELD_PLACE(of, member) \
    }
#define FIELD_ROW_l(of, member, counter)                                                    \
    {                                                                                       \
        .type = TYPE_LIST, .offset = (uint32_t)offsetof(of, member),                        \
        .size = FIELD_SIZE(of, member[0]), .offset_count = (uint32_t)offsetof(of, counter), \
        .max = FIELD_SIZE(of, member) / FIELD_SIZE(of, member[0])                           \
    }
#define FIELD_ROW_g(of, member, inner)                                                  \
    {                                                                                   \
        .type = TYPE_GROUP, .offset = (uint32_t)offsetof(of, member), .group = &(inner) \
    }

/** How many values the group is on the wire. */
uint32_t fields_count(const struct field_group *group);

/** Pack the group's fields of the struct at `base`, in the order of their bits. */
void fields_pack(const struct field_group *group, const void *base, msgpack_packer *packer);

/** Bytes that are read once, from start to end. */
struct reader {
    const uint8_t *next, *end;
    bool failed; /* sticky: all later reads give 0 */
};

/** The count of the array that begins here; fails when it exceeds the bytes that are left. */
uint32_t reader_array(struct reader *reader);
/** An unsigned value of at most max. */
uint64_t reader_uint(struct reader *reader, uint64_t max);

/**
 * Unpack the group's fields into the struct at `base`, or, without a base, only check them.
 * Whatever is not as the table says makes the reader fail.
 */
void fields_unpack(const struct field_group *group, void *base, struct reader *reader);

#endif
