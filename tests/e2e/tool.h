/* SPDX-License-Identifier: Apache-2.0 */
/**
 * e2e-tool: a program of the service that does what it is told, one command a line on standard
 * input, one answer a line on standard output: "ok [text]", or "error DSM_E... sentence". The
 * end-to-end tests run many of them, on several hosts and as several users.
 */
#ifndef DSM_E2E_TOOL_H
#define DSM_E2E_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsm.h"

#define SLOTS 128
#define WORDS_MAX 16
#define ANSWER_BYTES (64u << 10)

/** A region's mapping. */
struct mapping {
    uint8_t *memory;
    uint64_t len_bytes;
};

struct tool {
    struct dsm *dsm;
    struct dsm_region *regions[SLOTS];
    struct dsm_sem *sems[SLOTS];
    struct mapping maps[SLOTS];
    char answer[ANSWER_BYTES];
};

/** The words of a command; word 0 is its name. Reading beyond the last gives "" or 0. */
struct words {
    unsigned count;
    const char *word[WORDS_MAX];
};

/** A command: returns 0 and may write tool->answer; or a DSM_E... value. */
typedef int (*command_function)(struct tool *tool, const struct words *words);

struct command {
    const char *name;
    command_function function;
};

extern const struct command region_commands[];
extern const struct command memory_commands[];
extern const struct command sync_commands[];
extern const struct command release_commands[];
extern const struct command litmus_commands[];
extern const struct command exclusion_commands[];
extern const struct command history_commands[];
extern const struct command program_commands[];
extern const struct command value_commands[];
extern const struct command visit_commands[];

/** A word as text, as a number (base 10, 8 or 16 as in C). */
const char *word_text(const struct words *words, unsigned index);
uint64_t word_number(const struct words *words, unsigned index);
int64_t word_signed(const struct words *words, unsigned index);
/** The slot that a word names; a number out of bounds ends the program, for the test is wrong. */
unsigned word_slot(const struct words *words, unsigned index);
/** O_... of letters: r w c x t. */
int word_flags(const struct words *words, unsigned index);
/** The address of [offset, offset + len_bytes) of a mapping; out of bounds ends the program. */
uint8_t *map_at(struct tool *tool, const struct words *words, unsigned map, uint64_t offset,
                uint64_t len_bytes);
/** Write an answer. */
void answer(struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Write bytes as hexadecimal digits. */
void answer_hex(struct tool *tool, const uint8_t *bytes, uint64_t len_bytes);
/** Read hexadecimal digits; returns the bytes' number; too many end the program. */
size_t word_hex(const struct words *words, unsigned index, uint8_t *bytes, size_t size_bytes);
/** The number that a seed and a position give: what "fill" writes and "check" expects. */
uint64_t pattern(uint64_t seed, uint64_t position);

#endif
