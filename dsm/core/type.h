/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The type of a region: what its bytes are, so that nodes of the other byte order can convert them.
 * Given as text at creation and kept as text in the catalog; dsm_type.h has the grammar and what it
 * means. Nothing here allocates, and text from anybody may be given.
 */
#ifndef DSM_CORE_TYPE_H
#define DSM_CORE_TYPE_H

#include "dsm/core/record.h"

/** Structs within each other at most. */
#define TYPE_DEPTH_MAX 8u
/** Elements, fields and pads of one type at most, the region itself counted. */
#define TYPE_NODES_MAX 256u
/** Bytes of a field's name at most. */
#define TYPE_NAME_MAX 63u
/** Bytes of the sentence on what is wrong, with the final NUL. */
#define TYPE_ERROR_BYTES 512u

enum type_kind {
    KIND_NONE = 0, /* untyped bytes */
    KIND_U8,
    KIND_I8,
    KIND_U16,
    KIND_I16,
    KIND_U32,
    KIND_I32,
    KIND_U64,
    KIND_I64,
    KIND_F32,
    KIND_F64,
    KIND_REF,
    KIND_PAD,
    KIND_STRUCT,
    TYPE_KINDS
};

/** One element, field or pad, or the region itself. */
struct type_node {
    uint8_t kind;        /* enum type_kind */
    uint8_t align_bytes; /* of what it holds, the strictest; 1 for a pad */
    uint16_t end;        /* STRUCT: the number after its last field's; else its own number + 1 */
    uint16_t parent;     /* the number of the struct that it is a field of */
    uint16_t at;         /* where it begins in the text that was parsed */
    uint16_t name;       /* where its name begins in type.text */
    uint8_t len_name;    /* 0: it has none */
    uint64_t offset;     /* in its struct */
    uint64_t size_bytes; /* of one, without count */
    uint64_t count;      /* the product of its dimensions */
};

/**
 * A type. Its nodes are in the order of the text, each struct before its fields; node 0 is the
 * region, a struct whose fields are the elements.
 */
struct type {
    uint32_t count_nodes;
    bool repeats; /* the last element, all of its array, goes on to the region's end */
    struct type_node nodes[TYPE_NODES_MAX];
    char text[RECORD_TYPE_BYTES]; /* in the one form that equal types have */
};

struct type_error {
    uint32_t position;           /* in the text, from 0 */
    char text[TYPE_ERROR_BYTES]; /* what is wrong, where, and what to do */
};

/**
 * Read a type.
 *
 * @text  borrowed, terminated
 * @type  written; not to be used after an error
 * @error written on error
 *
 * Errors: DSM_EINVAL  no type, or one that may not be
 */
int type_parse(const char *text, struct type *type, struct type_error *error);

/** Is this the text of a type, in the form that type_parse() gives? So it is what records hold. */
bool type_text_is_sound(const char *text);

/** The word for a kind of scalar, such as "u16"; "pad", "struct"; "untyped" for KIND_NONE. */
const char *type_word(uint32_t kind);
/** Bytes of a scalar, 0 for what is none. */
uint32_t type_scalar_bytes(uint32_t kind);

/**
 * What lies at an offset of the region?
 *
 * @inside written: bytes from the start of that scalar or pad
 *
 * Returns the kind of a scalar, KIND_PAD, or KIND_NONE behind the last element.
 */
uint32_t type_at(const struct type *type, uint64_t offset, uint64_t *inside);

#endif
