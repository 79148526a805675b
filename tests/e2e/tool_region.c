/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on sessions, regions and mappings. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm_advice.h"
#include "dsm_seal.h"
#include "tests/e2e/tool.h"

static int on_connect(struct tool *tool, const struct words *words)
{
    return dsm_connect(word_text(words, 1), &tool->dsm);
}

static int on_disconnect(struct tool *tool, const struct words *words)
{
    (void)words;
    dsm_disconnect(tool->dsm);
    memset(tool, 0, sizeof(*tool));
    return 0;
}

static int on_node(struct tool *tool, const struct words *words)
{
    (void)words;
    answer(tool, "%s", dsm_node_name(tool->dsm));
    return 0;
}

static int on_umask(struct tool *tool, const struct words *words)
{
    (void)tool;
    umask((mode_t)word_number(words, 1));
    return 0;
}

/* open SLOT NAME FLAGS MODE [PAGE_SIZE [HOME [TYPE]]]: a type's spaces are written as commas */
static int on_open(struct tool *tool, const struct words *words)
{
    char type[DSM_TYPE_MAX + 2];
    struct dsm_shm_options options = {.page_size = (uint32_t)word_number(words, 5),
                                      .home = (uint32_t)word_number(words, 6),
                                      .type = words->count > 7 ? type : NULL};

    snprintf(type, sizeof(type), "%s", word_text(words, 7));
    for (char *comma = strchr(type, ','); comma != NULL; comma = strchr(comma, ',')) {
        *comma = ' ';
    }
    return dsm_shm_open(tool->dsm, word_text(words, 2), word_flags(words, 3),
                        (mode_t)word_number(words, 4), words->count > 5 ? &options : NULL,
                        &tool->regions[word_slot(words, 1)]);
}

static int on_close(struct tool *tool, const struct words *words)
{
    struct dsm_region **region = &tool->regions[word_slot(words, 1)];
    int error = dsm_shm_close(*region);

    *region = NULL;
    return error;
}

static int on_truncate(struct tool *tool, const struct words *words)
{
    return dsm_shm_truncate(tool->regions[word_slot(words, 1)], word_number(words, 2));
}

static int on_seal(struct tool *tool, const struct words *words)
{
    return dsm_shm_seal(tool->regions[word_slot(words, 1)]);
}

static int on_stat(struct tool *tool, const struct words *words)
{
    struct dsm_shm_stat stat;
    int error = dsm_shm_stat(tool->regions[word_slot(words, 1)], &stat);

    if (!error) {
        answer(tool, "%llu %u %o %u %u %u %u %u", (unsigned long long)stat.size_bytes,
               stat.page_size, stat.mode, stat.uid, stat.gid, stat.home, stat.slot,
               stat.generation);
    }
    return error;
}

/* map SLOT REGION OFFSET LENGTH r|w[v] [ADDRESS]; v: with DSM_RELEASE */
static int on_map(struct tool *tool, const struct words *words)
{
    struct mapping *mapping = &tool->maps[word_slot(words, 1)];
    void *address = NULL;
    uint64_t wanted = word_number(words, 6);
    int protection = DSM_READ | (strchr(word_text(words, 5), 'w') ? DSM_WRITE : 0) |
                     (strchr(word_text(words, 5), 'v') ? DSM_RELEASE : 0);

    memcpy(&address, &wanted, sizeof(address));
    int error = dsm_shm_map(tool->regions[word_slot(words, 2)], address, word_number(words, 3),
                            word_number(words, 4), protection, &address);
    if (!error) {
        *mapping = (struct mapping){address, word_number(words, 4)};
        answer(tool, "%p", address);
    }
    return error;
}

static int on_unmap(struct tool *tool, const struct words *words)
{
    struct mapping *mapping = &tool->maps[word_slot(words, 1)];
    int error = dsm_shm_unmap(tool->dsm, mapping->memory);

    *mapping = (struct mapping){0};
    return error;
}

static int on_unlink(struct tool *tool, const struct words *words)
{
    return dsm_shm_unlink(tool->dsm, word_text(words, 1));
}

/* stats COUNTER */
static int on_stats(struct tool *tool, const struct words *words)
{
    struct dsm_stats stats;
    int error = dsm_stats_get(tool->dsm, &stats);

    if (error) {
        return error;
    }
#define ANSWER_COUNTER(name)                                                                       \
    if (!strcmp(word_text(words, 1), #name)) {                                                     \
        answer(tool, "%llu", (unsigned long long)stats.name);                                      \
        return 0;                                                                                  \
    }
    DSM_COUNTERS(ANSWER_COUNTER)
#undef ANSWER_COUNTER
    return DSM_EINVAL;
}

/* vmread REGION OFFSET LENGTH */
static int on_vmread(struct tool *tool, const struct words *words)
{
    uint8_t bytes[ANSWER_BYTES / 4];
    uint64_t len_bytes = word_number(words, 3);

    if (len_bytes > sizeof(bytes)) {
        return DSM_EINVAL;
    }
    int error =
        dsm_vm_read(tool->regions[word_slot(words, 1)], word_number(words, 2), bytes, len_bytes);
    if (!error) {
        answer_hex(tool, bytes, len_bytes);
    }
    return error;
}

/* vmwrite REGION OFFSET HEX */
static int on_vmwrite(struct tool *tool, const struct words *words)
{
    uint8_t bytes[ANSWER_BYTES / 4];
    size_t len_bytes = word_hex(words, 3, bytes, sizeof(bytes));

    return dsm_vm_write(tool->regions[word_slot(words, 1)], word_number(words, 2), bytes,
                        len_bytes);
}

/* advise REGION OFFSET LENGTH ADVICE */
static int on_advise(struct tool *tool, const struct words *words)
{
    static const char *const names[] = {"will-need", "done-with",  "normal",
                                        "random",    "sequential", "migratory"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(word_text(words, 4), names[i])) {
            return dsm_advise(tool->regions[word_slot(words, 1)], word_number(words, 2),
                              word_number(words, 3), DSM_ADVICE_WILL_NEED + (enum dsm_advice)i);
        }
    }
    return DSM_EINVAL;
}

static int on_pid(struct tool *tool, const struct words *words)
{
    (void)words;
    answer(tool, "%d", (int)getpid());
    return 0;
}

const struct command region_commands[] = {
    {"connect", on_connect},   {"disconnect", on_disconnect},
    {"node", on_node},         {"umask", on_umask},
    {"open", on_open},         {"close", on_close},
    {"truncate", on_truncate}, {"stat", on_stat},
    {"map", on_map},           {"unmap", on_unmap},
    {"unlink", on_unlink},     {"stats", on_stats},
    {"vmread", on_vmread},     {"vmwrite", on_vmwrite},
    {"pid", on_pid},           {"seal", on_seal},
    {"advise", on_advise},     {NULL, NULL},
};
