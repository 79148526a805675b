/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/token_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/log.h"
#include "dsm.h"
#include "net/token_table.h"

struct region_tokens {
    struct table_link link; /* the first member */
    struct token_table *words;
    int memfd;
};

static uint64_t key_of(region_id region)
{
    return (uint64_t)region.slot << 32 | region.generation;
}

static struct region_tokens *find(const struct token_tables *tables, region_id region)
{
    return (struct region_tokens *)table_find(&tables->regions, key_of(region));
}

int token_tables_init(struct token_tables *tables)
{
    return table_init(&tables->regions);
}

/* Programs may go on having the memory: its words say nothing from now on. */
static void region_tokens_free(struct region_tokens *tokens)
{
    for (uint32_t i = 0; i < TOKEN_SLOTS; i++) {
        atomic_store_explicit(&tokens->words->words[i], 0, memory_order_release);
    }
    munmap(tokens->words, sizeof(*tokens->words));
    close(tokens->memfd);
    free(tokens);
}

void token_tables_close(struct token_tables *tables)
{
    struct table_link *link;

    while ((link = table_any(&tables->regions)) != NULL) {
        table_remove(&tables->regions, link->key);
        region_tokens_free((struct region_tokens *)link);
    }
    table_close(&tables->regions);
}

/* Programs have it as well: none of them may make it smaller under the agent. */
static int memory_make(struct region_tokens *tokens, region_id region)
{
    char name[64];

    snprintf(name, sizeof(name), "dsm-mutexes:%" PRIu32 ".%" PRIu32, region.slot,
             region.generation);
    tokens->memfd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (tokens->memfd < 0) {
        return DSM_ESYS;
    }
    if (ftruncate(tokens->memfd, sizeof(*tokens->words)) != 0 ||
        fcntl(tokens->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        goto close_memfd;
    }
    tokens->words = mmap(NULL, sizeof(*tokens->words), PROT_READ | PROT_WRITE, MAP_SHARED,
                         tokens->memfd, 0);
    if (tokens->words != MAP_FAILED) {
        return 0;
    }

close_memfd:
    log_line(LOG_LEVEL_ERROR, "mutexes: no memory file name=%s error=\"%s\"", name,
             strerror(errno));
    close(tokens->memfd);
    return DSM_ESYS;
}

int token_tables_open(struct token_tables *tables, region_id region)
{
    struct region_tokens *tokens = find(tables, region);
    int error;

    if (tokens != NULL) {
        return 0;
    }
    tokens = calloc(1, sizeof(*tokens));
    if (tokens == NULL) {
        return DSM_ENOMEM;
    }
    error = memory_make(tokens, region);
    if (error != 0) {
        free(tokens);
        return error;
    }
    table_add(&tables->regions, &tokens->link, key_of(region));
    return 0;
}

int token_tables_memfd(const struct token_tables *tables, region_id region)
{
    const struct region_tokens *tokens = find(tables, region);

    return tokens != NULL ? tokens->memfd : -1;
}

bool token_tables_act(struct token_tables *tables, const struct action *action,
                      struct event *event)
{
    const struct region_tokens *tokens = find(tables, action->region);

    if (tokens == NULL) {
        return false; /* CALL_TOKENS does not reach the core before there is one */
    }
    if (action->token.verb != TOKEN_TAKE) {
        token_table_put(tokens->words, action->token.verb, action->token.offset,
                        action->token.client);
        return false;
    }
    *event = (struct event){
        .kind = EVENT_TOKEN,
        .token = {.region = action->region,
                  .offset = action->token.offset,
                  .request = action->token.request,
                  .client = token_table_take(tokens->words, action->token.offset)},
    };
    return true;
}

void token_tables_close_region(struct token_tables *tables, region_id region)
{
    struct region_tokens *tokens =
        (struct region_tokens *)table_remove(&tables->regions, key_of(region));

    if (tokens != NULL) {
        region_tokens_free(tokens);
    }
}
