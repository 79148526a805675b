/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/tokens.h"

#include <sys/mman.h>
#include <unistd.h>

#include "dsm/lib/session.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* Memory that is to be wiped at a fork; NULL: the system will not do it. */
static void *wiped_map(int sharing)
{
    size_t len_bytes = sizeof(_Atomic uint8_t);
    void *memory = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);

    if (memory != MAP_FAILED && madvise(memory, len_bytes, MADV_WIPEONFORK) == 0) {
        return memory;
    }
    if (memory != MAP_FAILED) {
        (void)munmap(memory, len_bytes);
    }
    return NULL;
}

void pulse_init(struct pulse *pulse)
{
    /* Shared memory is never wiped: who says yes to that is an emulator that heeds no advice. */
    void *heedless = wiped_map(MAP_SHARED);

    pulse->beats = NULL;
    pulse->memory = heedless == NULL ? wiped_map(MAP_PRIVATE) : NULL;
    if (heedless != NULL) {
        (void)munmap(heedless, sizeof(*pulse->beats));
    }
    if (pulse->memory != NULL) {
        pulse->beats = pulse->memory;
        atomic_store(pulse->beats, 1);
    }
}

void pulse_stop(struct pulse *pulse)
{
    if (pulse->beats != NULL) {
        atomic_store(pulse->beats, 0);
    }
}

bool pulse_beats(const struct pulse *pulse)
{
    return pulse->beats != NULL &&
           atomic_load_explicit(pulse->beats, memory_order_relaxed) != 0;
}

void pulse_close(struct pulse *pulse)
{
    if (pulse->beats != NULL) {
        (void)munmap(pulse->memory, sizeof(*pulse->beats));
    }
}

static void table_map(struct dsm_region *region, const struct answer *answer)
{
    void *memory;

    if (answer->reply.value == 0 || answer->reply.value > UINT32_MAX) {
        return;
    }
    memory = mmap(NULL, sizeof(struct token_table), PROT_READ | PROT_WRITE, MAP_SHARED,
                  answer->descriptor, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    (void)madvise(memory, sizeof(struct token_table), MADV_DONTFORK);
    region->tokens.client = (client_id)answer->reply.value;
    atomic_store_explicit(&region->tokens.table, memory, memory_order_release);
}

void tokens_share(struct dsm_region *region)
{
    struct dsm *dsm = region->handle.dsm;
    struct deed deed = {.verb = "share the mutexes of region", .name = region->handle.name};
    struct call call = {.kind = CALL_TOKENS, .handle = region->handle.number};
    struct answer answer;

    if (dsm->pulse.beats == NULL || atomic_exchange(&region->tokens.was_asked, true)) {
        return;
    }
    if (session_call(dsm, &deed, &call, &answer) == 0 && answer.descriptor >= 0) {
        table_map(region, &answer);
        (void)close(answer.descriptor);
    }
}

void tokens_close(struct dsm_region *region)
{
    struct token_table *table = atomic_load(&region->tokens.table);

    if (table != NULL) {
        (void)munmap(table, sizeof(*table));
    }
}

static struct token_table *table_of(struct dsm_region *region, uint64_t offset)
{
    struct token_table *table =
        atomic_load_explicit(&region->tokens.table, memory_order_acquire);

    if (table == NULL || !token_word_can(offset, region->tokens.client) ||
        !pulse_beats(&region->handle.dsm->pulse)) {
        return NULL;
    }
    return table;
}

bool tokens_lock(struct dsm_region *region, uint64_t offset)
{
    struct token_table *table = table_of(region, offset);

    return table != NULL && token_table_lock(table, offset, region->tokens.client);
}

enum token_let_go tokens_unlock(struct dsm_region *region, uint64_t offset)
{
    struct token_table *table = table_of(region, offset);

    return table != NULL ? token_table_unlock(table, offset, region->tokens.client)
                         : TOKEN_IS_UNKNOWN;
}
