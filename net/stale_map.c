/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stale_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm.h"

#define WORD_BITS 64u
/* Words that one bit of `blocks` stands for. */
#define BLOCK_WORDS 64u
#define MEMORY_UNIT 4096u

static uint64_t count_words(uint64_t count_pages)
{
    return (count_pages + WORD_BITS - 1) / WORD_BITS;
}

static uint64_t count_block_words(uint64_t count_pages)
{
    uint64_t bits_per_word = (uint64_t)WORD_BITS * BLOCK_WORDS * WORD_BITS;

    return (count_pages + bits_per_word - 1) / bits_per_word;
}

static _Atomic uint64_t *open_words(const struct stale_map *map)
{
    return map->words + count_block_words(map->count_pages);
}

static _Atomic uint64_t *changed_words(const struct stale_map *map)
{
    return open_words(map) + count_words(map->count_pages);
}

size_t stale_map_bytes(uint64_t count_pages)
{
    uint64_t words;

    if (count_pages > SIZE_MAX / 2) {
        return 0;
    }
    words = count_block_words(count_pages) + 2 * count_words(count_pages);
    return (size_t)((words * sizeof(uint64_t) + MEMORY_UNIT - 1) & ~(uint64_t)(MEMORY_UNIT - 1));
}

static int map_memory(uint64_t count_pages, int descriptor, struct stale_map *map)
{
    size_t len_bytes = stale_map_bytes(count_pages);
    void *words = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

    if (words == MAP_FAILED) {
        return errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS;
    }
    (void)madvise(words, len_bytes, MADV_DONTFORK);
    *map = (struct stale_map){.words = words, .count_pages = count_pages, .len_bytes = len_bytes};
    return 0;
}

int stale_map_make(uint64_t count_pages, struct stale_map *map, int *descriptor)
{
    size_t len_bytes = stale_map_bytes(count_pages);
    int made, error;

    if (len_bytes == 0) {
        return DSM_ENOMEM;
    }
    made = memfd_create("dsm:stale", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0) {
        return errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS;
    }
    error = DSM_ESYS;
    if (ftruncate(made, (off_t)len_bytes) == 0 &&
        fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
        error = map_memory(count_pages, made, map);
    }
    if (error != 0) {
        (void)close(made);
        return error;
    }
    *descriptor = made;
    return 0;
}

int stale_map_open(uint64_t count_pages, int descriptor, struct stale_map *map)
{
    size_t len_bytes = stale_map_bytes(count_pages);
    struct stat stat;

    if (len_bytes == 0 || fstat(descriptor, &stat) != 0 || stat.st_size < 0 ||
        (uint64_t)stat.st_size != len_bytes) {
        return DSM_EPROTO;
    }
    return map_memory(count_pages, descriptor, map);
}

void stale_map_close(struct stale_map *map)
{
    if (map->words != NULL) {
        (void)munmap((void *)(uintptr_t)map->words, map->len_bytes);
    }
    *map = (struct stale_map){0};
}

/* The bits of [page, end) in word `word`. */
static uint64_t bits_of(uint64_t word, uint64_t page, uint64_t end)
{
    uint64_t first = word * WORD_BITS, low = page > first ? page - first : 0;
    uint64_t high = end - first < WORD_BITS ? end - first : WORD_BITS;
    uint64_t below = high == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << high) - 1;

    return below & ~((UINT64_C(1) << low) - 1);
}

static void set_block(struct stale_map *map, uint64_t word)
{
    uint64_t block = word / BLOCK_WORDS;

    (void)atomic_fetch_or(&map->words[block / WORD_BITS], UINT64_C(1) << block % WORD_BITS);
}

static void set_bits(struct stale_map *map, _Atomic uint64_t *words, uint64_t page, uint64_t end)
{
    for (uint64_t word = page / WORD_BITS; word * WORD_BITS < end; word++) {
        (void)atomic_fetch_or(&words[word], bits_of(word, page, end));
        set_block(map, word);
    }
}

void stale_map_set_open(struct stale_map *map, uint64_t page, uint64_t count)
{
    set_bits(map, open_words(map), page, page + count);
}

void stale_map_set_changed(struct stale_map *map, uint64_t page, uint64_t count)
{
    set_bits(map, changed_words(map), page, page + count);
}

void stale_map_settle(struct stale_map *map, uint64_t page, uint64_t count)
{
    _Atomic uint64_t *open = open_words(map), *changed = changed_words(map);

    for (uint64_t word = page / WORD_BITS; word * WORD_BITS < page + count; word++) {
        uint64_t bits = atomic_load(&open[word]) & bits_of(word, page, page + count);

        if (bits != 0) {
            (void)atomic_fetch_or(&changed[word], bits); /* rule 3 */
            (void)atomic_fetch_and(&open[word], ~bits);
            set_block(map, word);
        }
    }
}

/* A run of pages that grows until one comes that does not follow. */
struct run {
    stale_map_visit *visit;
    void *context;
    uint64_t page, count;
};

static void run_end(struct run *run)
{
    if (run->count != 0) {
        run->visit(run->context, run->page, run->count);
        run->count = 0;
    }
}

/* The pages of one word. */
static void run_add(struct run *run, uint64_t word, uint64_t bits)
{
    while (bits != 0) {
        uint64_t page = word * WORD_BITS + (uint64_t)__builtin_ctzll(bits);

        if (run->page + run->count != page) {
            run_end(run);
        }
        run->page = run->count == 0 ? page : run->page;
        run->count++;
        bits &= bits - 1;
    }
}

static void take_block(struct stale_map *map, uint64_t block, struct run *run)
{
    uint64_t end = count_words(map->count_pages), first = block * BLOCK_WORDS;
    bool is_open = false;

    end = first + BLOCK_WORDS < end ? first + BLOCK_WORDS : end;
    for (uint64_t word = first; word < end; word++) {
        uint64_t open = atomic_load(&open_words(map)[word]); /* before `changed`: rule 3 */
        uint64_t changed = atomic_load(&changed_words(map)[word]);

        if (changed != 0) {
            changed = atomic_exchange(&changed_words(map)[word], 0);
        }
        is_open = is_open || open != 0;
        run_add(run, word, open | changed);
    }
    if (is_open) {
        set_block(map, first); /* to be looked at again each time until it is settled */
    }
}

void stale_map_take(struct stale_map *map, stale_map_visit *visit, void *context)
{
    struct run run = {.visit = visit, .context = context};

    for (uint64_t word = 0; word < count_block_words(map->count_pages); word++) {
        uint64_t blocks = atomic_load(&map->words[word]);

        if (blocks == 0) {
            continue;
        }
        blocks = atomic_exchange(&map->words[word], 0);
        while (blocks != 0) {
            take_block(map, word * WORD_BITS + (uint64_t)__builtin_ctzll(blocks), &run);
            blocks &= blocks - 1;
        }
    }
    run_end(&run);
}
