/* SPDX-License-Identifier: Apache-2.0 */
/** What all fuzz targets share: reading an input from start to end, and giving up. */
#ifndef DSM_TESTS_FUZZ_INPUT_H
#define DSM_TESTS_FUZZ_INPUT_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes);

/** Bytes that steer the target; past the end they are 0. */
struct input {
    const uint8_t *next, *end;
};

/** What must hold whatever the input is. */
#define require(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            __builtin_trap();                                                                      \
        }                                                                                          \
    } while (0)

static inline bool input_is_over(const struct input *input)
{
    return input->next == input->end;
}

static inline uint8_t input_byte(struct input *input)
{
    return input_is_over(input) ? 0 : *input->next++;
}

/** An unsigned number of 1 to 8 bytes, little endian. */
static inline uint64_t input_number(struct input *input, uint32_t count_bytes)
{
    uint64_t number = 0;

    for (uint32_t i = 0; i < count_bytes; i++) {
        number |= (uint64_t)input_byte(input) << (8 * i);
    }
    return number;
}

/** Open descriptors: as many before as after an input that leaks none. */
static inline uint32_t descriptor_count(void)
{
    uint32_t count = 0;

    for (int descriptor = 0; descriptor < 512; descriptor++) {
        count += fcntl(descriptor, F_GETFD) >= 0;
    }
    return count;
}

/** Some of what is left, its length said by two bytes before it; borrowed. */
static inline size_t input_piece(struct input *input, const uint8_t **bytes)
{
    size_t len_bytes = (size_t)input_number(input, 2);
    size_t left = (size_t)(input->end - input->next);

    len_bytes = len_bytes < left ? len_bytes : left;
    *bytes = input->next;
    input->next += len_bytes;
    return len_bytes;
}

/** A number that is often small, often at an edge, and may be anything; at most `max`. */
static inline uint64_t input_edge(struct input *input, uint64_t max)
{
    uint8_t way = input_byte(input);
    uint64_t number;

    if (way < 192) {
        number = way;
    } else if (way < 224) {
        number = max - (way - 192u);
    } else if (way < 240) {
        number = input_number(input, 2);
    } else {
        number = input_number(input, 8);
    }
    return number <= max ? number : max == UINT64_MAX ? number : number % (max + 1);
}

/** A text out of a piece, cut to its room. */
static inline void input_text(struct input *input, char *text, size_t room_bytes)
{
    size_t len_bytes = input_byte(input);
    size_t left = (size_t)(input->end - input->next);

    len_bytes = len_bytes < left ? len_bytes : left;
    len_bytes = len_bytes < room_bytes ? len_bytes : room_bytes - 1;
    memcpy(text, input->next, len_bytes);
    text[len_bytes] = 0;
    input->next += len_bytes;
}

#endif
