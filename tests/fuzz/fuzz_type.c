/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The text of a region's type, as a program or a peer gives it. What is a type keeps its one form,
 * lies where it says, and its converter, on pages cut where the first bytes say, is its own inverse
 * and moves no byte out of its scalar.
 */
#include <stdlib.h>

#include "dsm.h"
#include "dsm/core/convert.h"
#include "tests/fuzz/input.h"

/** Bytes of a region that are converted, from an offset that may be far. */
#define WINDOW_BYTES 4096u

static struct type *again(const struct type *type)
{
    struct type *same = malloc(sizeof(*same));
    struct type_error error;

    require(same != NULL);
    require(type_parse(type->text, same, &error) == 0);
    require(strcmp(same->text, type->text) == 0);
    require(same->count_nodes == type->count_nodes && same->repeats == type->repeats);
    require(same->nodes[0].size_bytes == type->nodes[0].size_bytes);
    return same;
}

static void convert_window(const struct converter *converter, uint64_t offset, uint32_t cut,
                           uint8_t *bytes)
{
    convert_bytes(converter, offset, bytes, cut);
    convert_bytes(converter, offset + cut, bytes + cut, WINDOW_BYTES - cut);
}

static void check_converter(const struct type *type, uint64_t offset, uint32_t cut)
{
    struct converter *converter = malloc(sizeof(*converter));
    uint8_t *bytes = malloc(WINDOW_BYTES);

    require(converter != NULL && bytes != NULL);
    convert_compile(type, converter);
    for (uint32_t i = 0; i < WINDOW_BYTES; i++) {
        bytes[i] = (uint8_t)(i * 37 + (i >> 8));
    }
    convert_window(converter, offset, cut, bytes);
    for (uint32_t i = 0; i < WINDOW_BYTES; i++) {
        uint64_t inside;
        uint32_t kind = type_at(type, offset + i, &inside);
        uint32_t size = kind == KIND_REF ? 0 : type_scalar_bytes(kind);
        uint32_t from = size > 1 ? i - (uint32_t)inside + size - 1 - (uint32_t)inside : i;

        require(bytes[i] == (uint8_t)(from * 37 + (from >> 8)));
    }
    convert_window(converter, offset, WINDOW_BYTES - cut, bytes);
    for (uint32_t i = 0; i < WINDOW_BYTES; i++) {
        require(bytes[i] == (uint8_t)(i * 37 + (i >> 8)));
    }
    free(converter);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    struct input input = {bytes, bytes + len_bytes};
    uint64_t offset = input_number(&input, 7) % (RECORD_SIZE_BYTES_MAX / WINDOW_BYTES);
    uint32_t cut = input_byte(&input) * 8u;
    size_t len_text = (size_t)(input.end - input.next);
    char *text = malloc(len_text + 1);
    struct type *type = malloc(sizeof(*type));
    struct type_error error = {.position = UINT32_MAX};
    int result;

    require(text != NULL && type != NULL);
    if (len_text > 0) {
        memcpy(text, input.next, len_text);
    }
    text[len_text] = 0;
    result = type_parse(text, type, &error);
    if (result == 0) {
        free(again(type));
        check_converter(type, offset * WINDOW_BYTES, cut);
        check_converter(type, offset % 64 * WINDOW_BYTES, cut);
    } else {
        require(result == DSM_EINVAL && error.position <= len_text);
        require(error.text[0] != 0 && strlen(error.text) < sizeof(error.text));
    }
    free(type);
    free(text);
    return 0;
}
