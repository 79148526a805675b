/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void give_up(const char *what, const char *word)
{
    fprintf(stderr, "e2e-tool: %s: %s\n", what, word);
    exit(2);
}

const char *word_text(const struct words *words, unsigned index)
{
    return index < words->count ? words->word[index] : "";
}

uint64_t word_number(const struct words *words, unsigned index)
{
    return strtoull(word_text(words, index), NULL, 0);
}

int64_t word_signed(const struct words *words, unsigned index)
{
    return strtoll(word_text(words, index), NULL, 0);
}

unsigned word_slot(const struct words *words, unsigned index)
{
    uint64_t slot = word_number(words, index);

    if (index >= words->count || slot >= SLOTS) {
        give_up("no such slot", word_text(words, index));
    }
    return (unsigned)slot;
}

int word_flags(const struct words *words, unsigned index)
{
    const char *letters = word_text(words, index);

    return (strchr(letters, 'w') ? O_RDWR : O_RDONLY) | (strchr(letters, 'c') ? O_CREAT : 0) |
           (strchr(letters, 'x') ? O_EXCL : 0) | (strchr(letters, 't') ? O_TRUNC : 0);
}

uint8_t *map_at(struct tool *tool, const struct words *words, unsigned map, uint64_t offset,
                uint64_t len_bytes)
{
    const struct mapping *mapping = &tool->maps[word_slot(words, map)];

    if (!mapping->memory || offset > mapping->len_bytes ||
        len_bytes > mapping->len_bytes - offset) {
        give_up("outside of the mapping", word_text(words, map));
    }
    return mapping->memory + offset;
}

void answer(struct tool *tool, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(tool->answer, sizeof(tool->answer), format, arguments);
    va_end(arguments);
}

void answer_hex(struct tool *tool, const uint8_t *bytes, uint64_t len_bytes)
{
    static const char digits[] = "0123456789abcdef";

    if (len_bytes >= sizeof(tool->answer) / 2) {
        give_up("too long", "answer");
    }
    for (uint64_t i = 0; i < len_bytes; i++) {
        tool->answer[2 * i] = digits[bytes[i] >> 4];
        tool->answer[2 * i + 1] = digits[bytes[i] & 15];
    }
    tool->answer[2 * len_bytes] = 0;
}

size_t word_hex(const struct words *words, unsigned index, uint8_t *bytes, size_t size_bytes)
{
    const char *text = word_text(words, index);
    size_t len_bytes = strlen(text) / 2;

    if (len_bytes > size_bytes) {
        give_up("too long", text);
    }
    for (size_t i = 0; i < len_bytes; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0};

        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return len_bytes;
}

uint64_t pattern(uint64_t seed, uint64_t position)
{
    uint64_t value = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + position;

    value ^= value >> 31;
    value *= UINT64_C(0xbf58476d1ce4e5b9);
    return value ^ (value >> 29);
}

static const struct command *find_command(const char *name)
{
    static const struct command *const tables[] = {
        region_commands,  memory_commands,  sync_commands,  litmus_commands, exclusion_commands,
        release_commands,
        history_commands, program_commands, value_commands, visit_commands,
    };

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct command *command = tables[i]; command->name; command++) {
            if (!strcmp(command->name, name)) {
                return command;
            }
        }
    }
    return NULL;
}

static void execute(struct tool *tool, char *line)
{
    struct words words = {0};
    char *rest = NULL, why[512] = "";

    for (char *word = strtok_r(line, " \n", &rest); word && words.count < WORDS_MAX;
         word = strtok_r(NULL, " \n", &rest)) {
        words.word[words.count++] = word;
    }
    if (words.count == 0) {
        return;
    }
    const struct command *command = find_command(words.word[0]);
    if (!command) {
        give_up("no such command", words.word[0]);
    }
    tool->answer[0] = 0;
    int error = command->function(tool, &words);
    if (error) {
        if (tool->dsm) {
            dsm_last_error(tool->dsm, why, sizeof(why));
        }
        printf("error %s %s\n", dsm_error_name(error), why[0] ? why : dsm_strerror(error));
    } else {
        printf("ok %s\n", tool->answer);
    }
    fflush(stdout);
}

int main(void)
{
    struct tool *tool = calloc(1, sizeof(*tool));
    char *line = NULL;
    size_t size_bytes = 0;

    if (!tool) {
        return 1;
    }
    while (getline(&line, &size_bytes, stdin) > 0) {
        execute(tool, line);
    }
    dsm_disconnect(tool->dsm);
    free(line);
    free(tool);
    return 0;
}
