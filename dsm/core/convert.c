/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/convert.h"

#include <string.h>

#include "dsm/core/swap.h"

/** Scalars lie at multiples of their size, so none is in two words. */
#define WORD_BYTES 8u
/** Words of a pattern at least, so that vector code has something to do between two calls. */
#define PATTERN_WORDS_MIN 64u
/** Words in which a pattern begins anew at most. */
#define PERIOD_WORDS_MAX 128u

/* --- compiling --- */

static uint32_t width_of(uint32_t kind)
{
    uint32_t size = kind == KIND_REF ? 0 : type_scalar_bytes(kind);

    return size > 1 ? size : 0;
}

/** The last operation of the loop whose operations begin with number `first`. */
static struct convert_op *last_op(struct converter *converter, uint32_t first)
{
    uint32_t i = first;

    while (converter->ops[i].end < converter->count_ops) {
        i = converter->ops[i].end;
    }
    return &converter->ops[i];
}

/** Add scalars; to the operation before, of the same loop, if they go on with it. */
static void add_run(struct converter *converter, uint32_t first, uint32_t width, uint64_t offset,
                    uint64_t count)
{
    struct convert_op *last;

    if (converter->count_ops > first) {
        last = last_op(converter, first);
        if (last->width == width && last->offset + width * last->count == offset) {
            last->count += count;
            return;
        }
    }
    last = &converter->ops[converter->count_ops++];
    *last = (struct convert_op){.width = (uint8_t)width,
                                .end = (uint16_t)converter->count_ops,
                                .offset = offset,
                                .stride_bytes = width,
                                .count = count};
}

static void compile_fields(const struct type *type, uint32_t number, uint64_t base, uint32_t first,
                           struct converter *converter);

/** An array of structs: a loop; but one run if the whole of the struct is scalars of one size. */
static void compile_loop(const struct type *type, uint32_t number, uint64_t offset, uint64_t count,
                         uint32_t first, struct converter *converter)
{
    const struct type_node *node = &type->nodes[number];
    uint32_t loop = converter->count_ops++;
    struct convert_op *op = &converter->ops[loop], *body = op + 1;

    *op = (struct convert_op){.offset = offset, .stride_bytes = node->size_bytes, .count = count};
    compile_fields(type, number, 0, loop + 1, converter);
    op->end = (uint16_t)converter->count_ops;
    if (op->end == loop + 1) {
        converter->count_ops = loop; /* there is nothing to convert in it */
    } else if (op->end == loop + 2 && body->stride_bytes * body->count == node->size_bytes) {
        converter->count_ops = loop; /* one operation is a run: a loop would have its own too */
        add_run(converter, first, body->width, offset, count * body->count);
    }
}

/**
 * The fields of a struct that begins at `base` of the loop that it is in, whose operations begin
 * with number `first`.
 */
static void compile_fields(const struct type *type, uint32_t number, uint64_t base, uint32_t first,
                           struct converter *converter)
{
    const struct type_node *nodes = type->nodes;

    for (uint32_t i = number + 1; i < nodes[number].end; i = nodes[i].end) {
        uint64_t offset = base + nodes[i].offset;
        uint64_t count = nodes[i].count;

        if (type->repeats && number == 0 && nodes[i].end == type->count_nodes) {
            count = ((uint64_t)INT64_MAX - offset) / nodes[i].size_bytes; /* to any end */
        }
        if (nodes[i].kind != KIND_STRUCT) {
            if (width_of(nodes[i].kind) != 0) {
                add_run(converter, first, width_of(nodes[i].kind), offset, count);
            }
        } else if (count == 1) {
            compile_fields(type, i, offset, first, converter);
        } else {
            compile_loop(type, i, offset, count, first, converter);
        }
    }
}

/* --- patterns --- */

/** Set the masks of the scalars of an operation in one turn of the loop that is made a pattern. */
static void draw(const struct converter *converter, uint32_t number, uint64_t base,
                 uint8_t masks[3][PERIOD_WORDS_MAX * WORD_BYTES])
{
    const struct convert_op *op = &converter->ops[number];

    for (uint64_t i = 0; i < op->count; i++) {
        uint64_t offset = base + op->offset + i * op->stride_bytes;

        if (op->width == 0) {
            for (uint32_t j = number + 1; j < op->end; j = converter->ops[j].end) {
                draw(converter, j, offset, masks);
            }
            continue;
        }
        for (uint32_t step = 0; 2u << step <= op->width; step++) {
            memset(&masks[step][offset], 0xff, op->width);
        }
    }
}

/** The words after which an array with this stride looks the same again. */
static uint64_t period_of(uint64_t stride_bytes)
{
    uint64_t words = stride_bytes;

    for (uint32_t size = WORD_BYTES; size > 1 && words % 2 == 0; size /= 2) {
        words /= 2;
    }
    return words;
}

/** Give a loop its pattern, if it is small enough and there is room. */
static bool add_pattern(struct converter *converter, uint32_t number)
{
    uint8_t masks[3][PERIOD_WORDS_MAX * WORD_BYTES] = {{0}};
    struct convert_op *op = &converter->ops[number];
    uint64_t period = period_of(op->stride_bytes);
    struct convert_op whole = *op;
    uint64_t count;

    if (period > PERIOD_WORDS_MAX) {
        return false;
    }
    count = period * ((PATTERN_WORDS_MIN + period - 1) / period);
    if (count > CONVERT_WORDS_MAX - converter->count_words) {
        return false;
    }
    op->offset = 0;
    op->count = period * WORD_BYTES / op->stride_bytes;
    draw(converter, number, 0, masks);
    *op = whole;
    op->first_word = (uint16_t)converter->count_words;
    op->count_words = (uint16_t)count;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t to = converter->count_words++;

        memcpy(&converter->pairs[to], &masks[0][i % period * WORD_BYTES], WORD_BYTES);
        memcpy(&converter->quads[to], &masks[1][i % period * WORD_BYTES], WORD_BYTES);
        memcpy(&converter->whole[to], &masks[2][i % period * WORD_BYTES], WORD_BYTES);
    }
    return true;
}

/** Words lie alike in each turn only of a loop that begins, each time, where a word does. */
static void add_patterns(struct converter *converter, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i = converter->ops[i].end) {
        const struct convert_op *op = &converter->ops[i];

        if (op->width == 0 && op->offset % WORD_BYTES == 0 && !add_pattern(converter, i) &&
            op->stride_bytes % WORD_BYTES == 0) {
            add_patterns(converter, i + 1, op->end);
        }
    }
}

void convert_compile(const struct type *type, struct converter *converter)
{
    converter->count_ops = 0;
    converter->count_words = 0;
    compile_fields(type, 0, 0, 0, converter);
    add_patterns(converter, 0, converter->count_ops);
}

/* --- converting --- */

static void convert_ops(const struct converter *converter, uint32_t first, uint32_t end,
                        uint64_t from, uint64_t to, uint8_t *bytes);

/** Whole words by the loop's pattern. */
static void convert_pattern(const struct converter *converter, const struct convert_op *op,
                            uint64_t phase_words, uint64_t count, uint8_t *bytes)
{
    uint64_t at = phase_words % op->count_words;

    while (count > 0) {
        uint64_t now = op->count_words - at < count ? op->count_words - at : count;
        uint64_t word = op->first_word + at;

        swap_words(bytes, &converter->pairs[word], &converter->quads[word], &converter->whole[word],
                   now);
        bytes += now * WORD_BYTES;
        count -= now;
        at = 0;
    }
}

/** [from, to) of a loop, counted from the loop's start. */
static void convert_loop(const struct converter *converter, uint32_t number, uint64_t from,
                         uint64_t to, uint8_t *bytes)
{
    const struct convert_op *op = &converter->ops[number];

    if (op->count_words > 0) {
        uint64_t count = (to - from) / WORD_BYTES;

        convert_pattern(converter, op, from / WORD_BYTES, count, bytes);
        from += count * WORD_BYTES;
        bytes += count * WORD_BYTES;
    }
    while (from < to) {
        uint64_t inside = from % op->stride_bytes;
        uint64_t len_bytes = op->stride_bytes - inside;

        len_bytes = len_bytes < to - from ? len_bytes : to - from;
        convert_ops(converter, number + 1, op->end, inside, inside + len_bytes, bytes);
        from += len_bytes;
        bytes += len_bytes;
    }
}

/** [from, to) of one turn of a loop, or of the region, by the operations from `first` to `end`. */
static void convert_ops(const struct converter *converter, uint32_t first, uint32_t end,
                        uint64_t from, uint64_t to, uint8_t *bytes)
{
    for (uint32_t i = first; i < end; i = converter->ops[i].end) {
        const struct convert_op *op = &converter->ops[i];
        uint64_t op_end = op->offset + op->stride_bytes * op->count;
        uint64_t op_from = from > op->offset ? from : op->offset;
        uint64_t op_to = to < op_end ? to : op_end;
        uint8_t *place;

        if (op_from >= op_to) {
            continue;
        }
        place = bytes + (op_from - from);
        switch (op->width) {
        case 2:
            swap_2(place, (op_to - op_from) / 2);
            break;
        case 4:
            swap_4(place, (op_to - op_from) / 4);
            break;
        case 8:
            swap_8(place, (op_to - op_from) / 8);
            break;
        default:
            convert_loop(converter, i, op_from - op->offset, op_to - op->offset, place);
            break;
        }
    }
}

void convert_bytes(const struct converter *converter, uint64_t offset, uint8_t *bytes,
                   uint64_t len_bytes)
{
    convert_ops(converter, 0, converter->count_ops, offset, offset + len_bytes, bytes);
}
