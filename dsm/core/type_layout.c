/* SPDX-License-Identifier: Apache-2.0 */
/* Where each part of a type lies. */
#include "dsm/core/type_parts.h"

#include <string.h>

#include "dsm.h"

/** Bytes of a field's path in a sentence, with the final NUL. */
#define PATH_BYTES 128

static const struct {
    const char *word;
    uint8_t size_bytes;
    uint8_t align_bytes;
} scalars[TYPE_KINDS] = {
    [KIND_NONE] = {"untyped", 0, 1}, [KIND_U8] = {"u8", 1, 1},         [KIND_I8] = {"i8", 1, 1},
    [KIND_U16] = {"u16", 2, 2},      [KIND_I16] = {"i16", 2, 2},       [KIND_U32] = {"u32", 4, 4},
    [KIND_I32] = {"i32", 4, 4},      [KIND_U64] = {"u64", 8, 8},       [KIND_I64] = {"i64", 8, 8},
    [KIND_F32] = {"f32", 4, 4},      [KIND_F64] = {"f64", 8, 8},       [KIND_REF] = {"ref", 16, 8},
    [KIND_PAD] = {"pad", 0, 1},      [KIND_STRUCT] = {"struct", 0, 1},
};

/** The walk over the nodes. */
struct layout {
    struct type *type;
    struct type_error *error;
};

const char *type_word(uint32_t kind)
{
    return scalars[kind < TYPE_KINDS ? kind : (uint32_t)KIND_NONE].word;
}

uint32_t type_scalar_bytes(uint32_t kind)
{
    return kind < TYPE_KINDS ? scalars[kind].size_bytes : 0;
}

/* --- what is wrong --- */

static void add_names(struct line *line, const struct type *type, const struct type_node *node)
{
    const struct type_node *parent = &type->nodes[node->parent];

    if (parent->len_name > 0) {
        add_names(line, type, parent);
        line_add(line, ".");
    }
    line_add_bytes(line, type->text + node->name, node->len_name);
}

/** "element 2, field 'corner.x'": the element only where it is not the first, or has no field. */
static void add_path(struct line *line, const struct type *type, uint32_t number)
{
    const struct type_node *node = &type->nodes[number];
    uint32_t element = 1, top = 1;
    char path[PATH_BYTES];
    struct line names;

    while (type->nodes[top].end <= number) {
        top = type->nodes[top].end;
        element++;
    }
    if (element > 1 || node->len_name == 0) {
        line_add(line, "element ");
        line_add_number(line, element);
        line_add(line, node->len_name > 0 ? ", " : "");
    }
    if (node->len_name > 0) {
        line_begin(&names, path, sizeof(path));
        add_names(&names, type, node);
        line_add(line, "field '");
        line_add(line, path);
        line_add(line, names.is_cut ? "...'" : "'");
    }
}

/** Begin the sentence with the place. */
static struct line complain(const struct layout *layout, uint32_t number, uint64_t offset)
{
    struct line line;

    layout->error->position = layout->type->nodes[number].at;
    line_begin(&line, layout->error->text, sizeof(layout->error->text));
    add_path(&line, layout->type, number);
    line_add(&line, " at offset ");
    line_add_number(&line, offset);
    line_add(&line, ": ");
    return line;
}

/** Of elements, which lie in the region itself, pads have no semicolon. */
static void add_pad(struct line *line, uint64_t len_bytes, bool is_element)
{
    line_add(line, "put `pad ");
    line_add_number(line, len_bytes);
    line_add(line, is_element ? "`" : ";`");
}

static int refuse_offset(const struct layout *layout, uint32_t number, uint64_t offset)
{
    const struct type_node *node = &layout->type->nodes[number];
    struct line line = complain(layout, number, offset);

    line_add(&line, strchr("fi", type_word(node->kind)[0]) != NULL ? "an " : "a ");
    line_add(&line, type_word(node->kind));
    line_add(&line, " must lie at a multiple of ");
    line_add_number(&line, node->align_bytes);
    line_add(&line, "; ");
    add_pad(&line, node->align_bytes - offset % node->align_bytes, node->parent == 0);
    line_add(&line, " before it");
    return DSM_EINVAL;
}

static int refuse_stride(const struct layout *layout, uint32_t number, uint64_t offset)
{
    const struct type_node *node = &layout->type->nodes[number];
    struct line line = complain(layout, number, offset);

    line_add(&line, "its struct has ");
    line_add_number(&line, node->size_bytes);
    line_add(&line, " bytes, so the next one's fields would not lie at multiples of ");
    line_add_number(&line, node->align_bytes);
    line_add(&line, "; ");
    add_pad(&line, node->align_bytes - node->size_bytes % node->align_bytes, false);
    line_add(&line, " at its end");
    return DSM_EINVAL;
}

static int refuse_size(const struct layout *layout, uint32_t number, uint64_t offset)
{
    struct line line = complain(layout, number, offset);

    line_add(&line, "ends beyond ");
    line_add_number(&line, TYPE_BYTES_MAX);
    line_add(&line, " bytes, the size of a region at most");
    return DSM_EINVAL;
}

/* --- the walk --- */

static int lay_out_fields(const struct layout *layout, uint32_t number, uint64_t base);

/** A node whose first copy is to lie at this offset of the region. */
static int lay_out_node(const struct layout *layout, uint32_t number, uint64_t offset)
{
    struct type *type = layout->type;
    struct type_node *node = &type->nodes[number];
    bool is_last = node->parent == 0 && node->end == type->count_nodes;
    int error = 0;

    if (node->kind == KIND_STRUCT) {
        error = lay_out_fields(layout, number, offset);
    } else {
        node->align_bytes = scalars[node->kind].align_bytes;
        if (node->kind != KIND_PAD) {
            node->size_bytes = scalars[node->kind].size_bytes;
        }
        if (offset % node->align_bytes != 0) {
            error = refuse_offset(layout, number, offset);
        }
    }
    if (error != 0) {
        return error;
    }
    if (node->count > (TYPE_BYTES_MAX - offset) / node->size_bytes) {
        return refuse_size(layout, number, offset);
    }
    if ((node->count > 1 || (type->repeats && is_last)) &&
        node->size_bytes % node->align_bytes != 0) {
        return refuse_stride(layout, number, offset);
    }
    return 0;
}

static int lay_out_fields(const struct layout *layout, uint32_t number, uint64_t base)
{
    struct type_node *nodes = layout->type->nodes;
    struct type_node *outer = &nodes[number];

    outer->align_bytes = 1;
    for (uint32_t i = number + 1; i < outer->end; i = nodes[i].end) {
        int error = lay_out_node(layout, i, base + outer->size_bytes);

        if (error != 0) {
            return error;
        }
        nodes[i].offset = outer->size_bytes;
        outer->size_bytes += nodes[i].size_bytes * nodes[i].count;
        if (nodes[i].align_bytes > outer->align_bytes) {
            outer->align_bytes = nodes[i].align_bytes;
        }
    }
    return 0;
}

int type_lay_out(struct type *type, struct type_error *error)
{
    struct layout layout = {type, error};

    return lay_out_fields(&layout, 0, 0);
}

/* --- questions --- */

/** The last element's number. */
static uint32_t last_element(const struct type *type)
{
    uint32_t last = 1;

    while (type->nodes[last].end < type->count_nodes) {
        last = type->nodes[last].end;
    }
    return last;
}

uint32_t type_at(const struct type *type, uint64_t offset, uint64_t *inside)
{
    const struct type_node *nodes = type->nodes;
    const struct type_node *last = &nodes[last_element(type)];
    uint32_t i = 1;

    if (type->repeats && offset >= last->offset) {
        offset = last->offset + (offset - last->offset) % (last->size_bytes * last->count);
    }
    *inside = 0;
    if (offset >= nodes[0].size_bytes) {
        return KIND_NONE;
    }
    for (;;) {
        while (offset - nodes[i].offset >= nodes[i].size_bytes * nodes[i].count) {
            i = nodes[i].end;
        }
        offset = (offset - nodes[i].offset) % nodes[i].size_bytes;
        if (nodes[i].kind != KIND_STRUCT) {
            *inside = offset;
            return nodes[i].kind;
        }
        i++;
    }
}
