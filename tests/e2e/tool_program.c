/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random program without data races, the same for each seed whether it runs on plain memory, all
 * workers in turn, or on a region, its workers being programs on several hosts.
 *
 * A phase cuts the memory at random bytes into blocks; each block belongs to one worker, who may
 * write it, or to nobody, and then all may read it. Neighbours share pages, of course. Each worker
 * changes its blocks in random ways, from what it may read; counters are added to under mutexes
 * and by remote additions. Between barriers each worker then takes the hash of some of the memory,
 * and one, in turn, of all of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/e2e/tool.h"

#define BLOCKS_MAX 96u
#define COUNTERS 16u
#define COUNTERS_BYTES (COUNTERS * sizeof(uint64_t))
#define COPY_MAX 20000u
#define BARRIER_MS 60000

struct block {
    uint64_t begin, end;
    unsigned owner; /* worker; `workers`: nobody */
};

struct program {
    uint64_t seed;
    unsigned workers;
    uint64_t bytes; /* of the blocks; the counters follow */
    uint8_t *memory;
    struct dsm_region *region; /* NULL: plain memory */
    int file;                  /* a scratch file, for system calls on the memory */
    unsigned blocks_count;
    struct block blocks[BLOCKS_MAX];
};

/* Random numbers of one worker in one phase. */
struct dice {
    uint64_t seed, thrown;
};

static uint64_t throw(struct dice * dice, uint64_t limit)
{
    return limit == 0 ? 0 : pattern(dice->seed, dice->thrown++) % limit;
}

static int compare_numbers(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

    return (a > b) - (a < b);
}

static void cut(struct program *program, unsigned phase)
{
    struct dice dice = {.seed = program->seed * 7919 + phase};
    uint64_t cuts[BLOCKS_MAX + 1] = {0};

    program->blocks_count = 2 + (unsigned) throw(&dice, BLOCKS_MAX - 1);
    for (unsigned i = 1; i < program->blocks_count; i++) {
        cuts[i] = throw(&dice, program->bytes);
    }
    cuts[program->blocks_count] = program->bytes;
    qsort(cuts, program->blocks_count + 1, sizeof(cuts[0]), compare_numbers);
    for (unsigned i = 0; i < program->blocks_count; i++) {
        program->blocks[i] = (struct block){.begin = cuts[i],
                                            .end = cuts[i + 1],
                                            .owner = (unsigned) throw(&dice, program->workers + 1)};
    }
}

/* A random part, of so many bytes at most, of a block. */
static struct block part_of(const struct block *block, struct dice *dice, uint64_t most)
{
    struct block part = *block;

    part.begin += throw(dice, block->end - block->begin);
    part.end = part.begin + throw(dice, block->end - part.begin + 1);
    if (part.end - part.begin > most) {
        part.end = part.begin + most;
    }
    return part;
}

/* A part of a block that this worker may read; perhaps an empty one. */
static struct block readable(const struct program *program, unsigned worker, struct dice *dice,
                             uint64_t most)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        const struct block *block = &program->blocks[throw(dice, program->blocks_count)];

        if (block->owner == worker || block->owner == program->workers) {
            return part_of(block, dice, most);
        }
    }
    return (struct block){0};
}

static uint64_t hash(const uint8_t *bytes, uint64_t len_bytes)
{
    uint64_t result = len_bytes;

    for (; len_bytes > 0; len_bytes -= len_bytes < 8 ? len_bytes : 8) {
        uint64_t value = 0;

        memcpy(&value, bytes, len_bytes < 8 ? len_bytes : 8);
        result = pattern(result, value);
        bytes += 8;
    }
    return result;
}

/* Through private memory: by dsm_vm_read and dsm_vm_write, or by system calls on a file. */
static int copy_aside(const struct program *program, struct block to, struct block from,
                      bool by_file)
{
    uint8_t bytes[COPY_MAX];
    uint64_t room = to.end - to.begin, len_bytes = from.end - from.begin;
    int error = 0;

    len_bytes = len_bytes < room ? len_bytes : room;
    if (by_file) {
        bool is_done =
            pwrite(program->file, program->memory + from.begin, len_bytes, 0) ==
                (ssize_t)len_bytes &&
            pread(program->file, program->memory + to.begin, len_bytes, 0) == (ssize_t)len_bytes;

        return is_done ? 0 : DSM_ESYS;
    }
    if (len_bytes == 0) {
        return 0;
    }
    if (!program->region) {
        memmove(program->memory + to.begin, program->memory + from.begin, len_bytes);
        return 0;
    }
    /* They are about the region: what a view has of it is released before and acquired after. */
    error = dsm_release(program->region);
    error = error ? error : dsm_vm_read(program->region, from.begin, bytes, len_bytes);
    error = error ? error : dsm_vm_write(program->region, to.begin, bytes, len_bytes);
    return error ? error : dsm_acquire(program->region);
}

/* One random change of a block. */
static int change(const struct program *program, unsigned worker, const struct block *block,
                  struct dice *dice)
{
    struct block to = part_of(block, dice, COPY_MAX);
    struct block from = readable(program, worker, dice, COPY_MAX);
    uint64_t room = to.end - to.begin, len_bytes = from.end - from.begin;
    uint64_t kind = throw(dice, 8), stride = 1 + throw(dice, 5000), value = throw(dice, 251) + 1;
    uint8_t *memory = program->memory;

    switch (kind) {
    case 0:
        memset(memory + to.begin, (int)value, room);
        break;
    case 1:
        memmove(memory + to.begin, memory + from.begin, len_bytes < room ? len_bytes : room);
        break;
    case 2: /* a walk over all of the block */
        for (uint64_t i = block->begin; i < block->end; i += stride) {
            memory[i] = (uint8_t)(memory[i] + value);
        }
        break;
    case 3:
        value = hash(memory + from.begin, len_bytes);
        memcpy(memory + to.begin, &value, room < sizeof(value) ? room : sizeof(value));
        break;
    case 4: /* words at any alignment, backwards */
        for (uint64_t i = room / sizeof(value); i > 0; i--) {
            uint64_t number = pattern(value, i);

            memcpy(memory + to.begin + (i - 1) * sizeof(number), &number, sizeof(number));
        }
        break;
    case 5: /* each byte depends on two */
        for (uint64_t i = 0; i < room && i < len_bytes; i++) {
            memory[to.begin + i] = (uint8_t)(memory[to.begin + i] ^ memory[from.begin + i]);
        }
        break;
    default:
        return copy_aside(program, to, from, kind == 6);
    }
    return 0;
}

/* Additions commute: whoever comes first, the sums are the same behind the barrier. */
static int count(const struct program *program, struct dice *dice)
{
    uint64_t index = throw(dice, COUNTERS), delta = throw(dice, 1000000);
    uint64_t offset = program->bytes + index * sizeof(uint64_t);
    volatile uint64_t *counter = (void *)(program->memory + offset);
    int error = 0;

    if (!program->region) {
        *counter += delta;
        return 0;
    }
    if (index % 2 == 0) {
        return dsm_fetch_add(program->region, offset, delta, NULL);
    }
    error = dsm_mutex_lock(program->region, offset, BARRIER_MS);
    if (error) {
        return error;
    }
    *counter += delta;
    return dsm_mutex_unlock(program->region, offset);
}

static int work(const struct program *program, unsigned phase, unsigned worker)
{
    struct dice dice = {.seed = program->seed * 104729 + phase * 64 + worker};
    int error = 0;

    for (unsigned i = 0; i < program->blocks_count && !error; i++) {
        if (program->blocks[i].owner != worker) {
            continue;
        }
        for (uint64_t changes = 1 + throw(&dice, 3); changes > 0 && !error; changes--) {
            error = change(program, worker, &program->blocks[i], &dice);
        }
        if (!error && throw(&dice, 4) == 0) {
            error = count(program, &dice);
        }
    }
    return error;
}

/* The hash that a worker takes behind a phase. */
static uint64_t look(const struct program *program, unsigned phase, unsigned worker)
{
    struct dice dice = {.seed = program->seed * 15485863 + phase * 64 + worker};
    struct block all = {.end = program->bytes + COUNTERS_BYTES};

    if (phase % program->workers != worker) {
        all = part_of(&all, &dice, program->bytes / 4);
    }
    return hash(program->memory + all.begin, all.end - all.begin);
}

static int meet(const struct program *program)
{
    return program->region ? dsm_barrier_wait(program->region, 0, program->workers, BARRIER_MS) : 0;
}

static int run(struct program *program, unsigned phases, unsigned who, uint64_t *hashes)
{
    int error = 0;

    for (unsigned phase = 0; phase < phases && !error; phase++) {
        cut(program, phase);
        for (unsigned worker = 0; worker < program->workers && !error; worker++) {
            if (!program->region || worker == who) {
                error = work(program, phase, worker);
            }
        }
        error = error ? error : meet(program);
        if (!error) {
            hashes[phase] = look(program, phase, who);
            error = meet(program);
        }
    }
    return error;
}

/* All of the memory, by write(2), for a comparison byte by byte. */
static int save(const struct program *program, const char *path)
{
    FILE *file = fopen(path, "wbe");
    uint64_t len_bytes = program->bytes + COUNTERS_BYTES;
    bool is_written = false;

    if (!file) {
        return DSM_ESYS;
    }
    is_written = fwrite(program->memory, 1, len_bytes, file) == len_bytes;
    return fclose(file) == 0 && is_written ? 0 : DSM_ESYS;
}

static void tell_hashes(struct tool *tool, const uint64_t *hashes, unsigned phases)
{
    size_t used = 0;

    for (unsigned i = 0; i < phases && used + 20 < sizeof(tool->answer); i++) {
        used += (size_t)snprintf(tool->answer + used, sizeof(tool->answer) - used, "%llx ",
                                 (unsigned long long)hashes[i]);
    }
}

/*
 * program SEED PHASES WORKERS WHO BYTES FILE [SLOT]: the hashes that worker WHO takes; all of the
 * memory at the end is written to FILE. Without SLOT on plain memory, for all workers; else on that
 * slot's region, all of which is mapped there, for WHO alone.
 */
static int on_program(struct tool *tool, const struct words *words)
{
    struct program program = {.seed = word_number(words, 1),
                              .workers = (unsigned)word_number(words, 3),
                              .bytes = word_number(words, 5)};
    unsigned phases = (unsigned)word_number(words, 2);
    uint64_t *hashes = calloc(phases + 1, sizeof(*hashes));
    uint8_t *plain = calloc(1, program.bytes + COUNTERS_BYTES);
    int error = hashes && plain ? 0 : DSM_ENOMEM;

    program.memory = plain;
    program.file = memfd_create("scratch", MFD_CLOEXEC);
    if (words->count > 7) {
        program.memory = map_at(tool, words, 7, 0, program.bytes + COUNTERS_BYTES);
        program.region = tool->regions[word_slot(words, 7)];
    }
    if (!error) {
        error = run(&program, phases, (unsigned)word_number(words, 4), hashes);
    }
    error = error ? error : save(&program, word_text(words, 6));
    if (!error) {
        tell_hashes(tool, hashes, phases);
    }
    close(program.file);
    free(plain);
    free(hashes);
    return error;
}

const struct command program_commands[] = {
    {"program", on_program},
    {NULL, NULL},
};
