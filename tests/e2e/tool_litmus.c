/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Litmus tests as litmus7 runs them (Alglave, Maranget, Sarkar & Sewell 2011): the test's few
 * accesses are done on many instances of its variables, in random order, by all roles at once.
 *
 * Roles are threads of programs on any hosts. They meet at a barrier before each batch of
 * instances and race freely within it, through as many page transfers as it takes. Nothing is
 * cleared between batches: a value says the batch that wrote it, and what the batch before left is
 * the initial value. Anything older, or newer, is an outcome that no test allows.
 *
 * What is possible under which memory model is not known here: tests/e2e/litmus.py works it out.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/tool.h"

#define ROLES_MAX 6u
#define STEPS_MAX 4u
#define VARIABLES_MAX 4u
#define OUTCOMES_MAX 512u
/* How often an awaiting load looks. */
#define LOOKS 100000u
#define BARRIER_MS 60000
/* Values of a batch are 4 * batch + 1 and + 2. */
#define VALUES 4u
#define IMPOSSIBLE 3u

/* How an access is made. */
enum mode { MODE_SC, MODE_RELAXED, MODE_PLAIN };

struct step {
    bool is_store;
    bool is_awaited; /* a load that looks again for a while until the variable is written */
    unsigned variable;
    uint64_t value; /* of a store: 1 or 2 */
};

struct role {
    unsigned count;
    struct step steps[STEPS_MAX];
};

/* Instance i of a variable lies at memory + i * stride. */
struct place {
    uint8_t *memory;
    uint64_t stride;
};

struct litmus {
    unsigned roles_count;
    struct role roles[ROLES_MAX];
    unsigned finals_count; /* variables whose last value role 0 reads after each batch */
    unsigned finals[VARIABLES_MAX];
    unsigned variables_count;
    struct place places[VARIABLES_MAX];
    enum mode mode;
    uint64_t rounds;
    uint64_t batch;
    uint64_t seed;
    struct dsm_region *barrier;
    uint8_t *results; /* 2 bytes for each role and round */
};

struct runner {
    const struct litmus *litmus;
    unsigned role;
    int error;
    pthread_t thread;
};

/*
 * Roles are separated by '/', accesses by ','; Wx1 stores 1 in x, Rx loads it, Lx too, after it has
 * waited a while for a store; variables are x, y, z, w. What follows '=' are
 * the variables whose last value counts.
 */
static int parse_shape(struct litmus *litmus, const char *text)
{
    struct role *role = litmus->roles;

    litmus->roles_count = 1;
    for (; *text && *text != '='; text++) {
        const char *place = NULL;

        if (*text == '/') {
            role = &litmus->roles[litmus->roles_count++];
            if (litmus->roles_count > ROLES_MAX) {
                return DSM_EINVAL;
            }
        } else if (strchr("WRL", *text)) {
            struct step *step = &role->steps[role->count++];

            place = text[1] ? strchr("xyzw", text[1]) : NULL;
            if (role->count > STEPS_MAX || !place) {
                return DSM_EINVAL;
            }
            step->is_store = *text == 'W';
            step->is_awaited = *text == 'L';
            step->variable = (unsigned)(place - strchr("xyzw", 'x'));
            text++;
            if (step->is_store) {
                step->value = (uint64_t)(*++text - '0');
            }
        }
    }
    for (; *text && *++text && litmus->finals_count < VARIABLES_MAX;) {
        litmus->finals[litmus->finals_count++] =
            *text == 'w' ? 3 : (unsigned)(*text - 'x'); /* x, y, z follow one another */
    }
    return 0;
}

static void *at(const struct litmus *litmus, unsigned variable, uint64_t instance)
{
    const struct place *place = &litmus->places[variable];

    return place->memory + instance * place->stride;
}

static void store(enum mode mode, void *word, uint64_t value)
{
    _Atomic uint64_t *atomic = word;
    volatile uint64_t *plain = word;

    switch (mode) {
    case MODE_SC:
        atomic_store(atomic, value);
        break;
    case MODE_RELAXED:
        atomic_store_explicit(atomic, value, memory_order_relaxed);
        break;
    case MODE_PLAIN:
        *plain = value;
        break;
    }
}

static uint64_t load(enum mode mode, void *word)
{
    _Atomic uint64_t *atomic = word;
    volatile uint64_t *plain = word;

    switch (mode) {
    case MODE_SC:
        return atomic_load(atomic);
    case MODE_RELAXED:
        return atomic_load_explicit(atomic, memory_order_relaxed);
    default:
        return *plain;
    }
}

/* What a value means in a batch (from 1): 0 initial, 1 or 2 written, or impossible. */
static unsigned meaning(uint64_t value, uint64_t batch)
{
    if (value / VALUES == batch) {
        return value % VALUES != 0 ? (unsigned)(value % VALUES) : IMPOSSIBLE;
    }
    if (value / VALUES == batch - 1) {
        return value % VALUES != 0 || value == 0 ? 0 : IMPOSSIBLE;
    }
    return IMPOSSIBLE;
}

/* A load that finds what it waits for, or what there is after so many looks. */
static uint64_t await(const struct litmus *litmus, void *word, uint64_t batch)
{
    uint64_t value = load(litmus->mode, word);

    for (unsigned look = 0; look < LOOKS && meaning(value, batch) == 0; look++) {
        if (look % 1024 == 1023) {
            sched_yield();
        }
        value = load(litmus->mode, word);
    }
    return value;
}

/* The accesses of a role to one instance; returns what it saw, two bits for each load. */
static unsigned do_role(const struct litmus *litmus, const struct role *role, uint64_t batch,
                        uint64_t instance)
{
    uint64_t seen[STEPS_MAX] = {0};
    unsigned loads = 0, result = 0;

    for (unsigned i = 0; i < role->count; i++) {
        const struct step *step = &role->steps[i];
        void *word = at(litmus, step->variable, instance);

        if (step->is_store) {
            store(litmus->mode, word, VALUES * batch + step->value);
        } else {
            seen[loads++] =
                step->is_awaited ? await(litmus, word, batch) : load(litmus->mode, word);
        }
    }
    for (unsigned i = 0; i < loads; i++) {
        result |= meaning(seen[i], batch) << (2 * i);
    }
    return result;
}

/* Put instances in an order: in every other batch all roles take the same one. */
static void shuffle(const struct litmus *litmus, unsigned role, uint64_t batch, uint32_t *order)
{
    uint64_t seed = litmus->seed + 2 * batch + (batch % 2) * (1 + role) * 1000003;

    for (uint32_t i = 0; i < litmus->batch; i++) {
        order[i] = i;
    }
    for (uint32_t i = (uint32_t)litmus->batch; i > 1; i--) {
        uint32_t other = (uint32_t)(pattern(seed, i) % i), kept = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static int meet(const struct litmus *litmus)
{
    return dsm_barrier_wait(litmus->barrier, 0, litmus->roles_count, BARRIER_MS);
}

/* Role 0 reads what is left of an instance's variables, behind the bits of its own loads. */
static unsigned read_finals(const struct litmus *litmus, uint64_t batch, uint64_t instance)
{
    unsigned result = 0;

    for (unsigned i = 0; i < litmus->finals_count; i++) {
        uint64_t value = load(MODE_SC, at(litmus, litmus->finals[i], instance));

        result |= meaning(value, batch) << (2 * (STEPS_MAX + i));
    }
    return result;
}

/*
 * Before a batch each role takes copies of what it will use, of some or, now and then, of all: so
 * its accesses meet pages that are absent, read and written here, and others' copies that must
 * first go away.
 */
static void take_copies(const struct litmus *litmus, unsigned role, uint64_t batch)
{
    for (uint64_t i = 0; i < litmus->batch; i++) {
        uint64_t chance = pattern(litmus->seed + 977 * role, batch * litmus->batch + i);

        for (unsigned variable = 0; variable < litmus->variables_count; variable++) {
            if (batch % 4 == 0 || chance >> variable & 1) {
                (void)load(MODE_PLAIN, at(litmus, variable, i));
            }
        }
    }
}

static int run_batch(const struct litmus *litmus, unsigned role, uint64_t batch, uint32_t *order,
                     uint16_t *results)
{
    int error = 0;

    take_copies(litmus, role, batch);
    shuffle(litmus, role, batch, order);
    error = meet(litmus);
    for (uint64_t i = 0; i < litmus->batch && !error; i++) {
        results[order[i]] = (uint16_t)do_role(litmus, &litmus->roles[role], batch, order[i]);
    }
    if (litmus->finals_count == 0 || error) {
        return error;
    }
    error = meet(litmus);
    for (uint64_t i = 0; i < litmus->batch && role == 0 && !error; i++) {
        results[i] = (uint16_t)(results[i] | read_finals(litmus, batch, i));
    }
    return error;
}

static void *run_role(void *argument)
{
    struct runner *runner = argument;
    const struct litmus *litmus = runner->litmus;
    uint16_t *results = calloc(litmus->rounds, sizeof(*results));
    uint32_t *order = calloc(litmus->batch, sizeof(*order));

    runner->error = results && order ? 0 : DSM_ENOMEM;
    for (uint64_t done = 0; done < litmus->rounds && !runner->error; done += litmus->batch) {
        runner->error =
            run_batch(litmus, runner->role, 1 + done / litmus->batch, order, results + done);
    }
    if (!runner->error) {
        memcpy(litmus->results + runner->role * litmus->rounds * sizeof(*results), results,
               litmus->rounds * sizeof(*results));
        runner->error = meet(litmus);
    }
    free(results);
    free(order);
    return NULL;
}

/* One thread for each role that this program has. */
static int run_roles(const struct litmus *litmus, const char *roles)
{
    struct runner runners[ROLES_MAX];
    unsigned count = 0;
    int error = 0;

    for (; *roles && count < ROLES_MAX; roles++, count++) {
        runners[count] = (struct runner){.litmus = litmus, .role = (unsigned)(*roles - '0')};
        if (runners[count].role >= litmus->roles_count ||
            pthread_create(&runners[count].thread, NULL, run_role, &runners[count])) {
            error = DSM_EINVAL;
            break;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(runners[i].thread, NULL);
        error = error ? error : runners[i].error;
    }
    return error;
}

/* MAP:OFFSET:STRIDE of each variable */
static int parse_places(struct tool *tool, const struct words *words, unsigned first,
                        struct litmus *litmus)
{
    for (unsigned i = 0; first + i < words->count && i < VARIABLES_MAX; i++) {
        unsigned map = 0;
        unsigned long long offset = 0, stride = 0;

        if (sscanf(word_text(words, first + i), "%u:%llu:%llu", &map, &offset, &stride) != 3 ||
            map >= SLOTS || !tool->maps[map].memory ||
            offset + stride * (litmus->batch - 1) + sizeof(uint64_t) > tool->maps[map].len_bytes) {
            return DSM_EINVAL;
        }
        litmus->places[i] = (struct place){tool->maps[map].memory + offset, stride};
        litmus->variables_count++;
    }
    return 0;
}

/* litmus SHAPE ROLES MODE ROUNDS BATCH SEED BARRIER RESULTS PLACE...: rounds a multiple of batch */
static int on_litmus(struct tool *tool, const struct words *words)
{
    static const char *const modes[] = {"sc", "relaxed", "plain"};
    struct litmus litmus = {.rounds = word_number(words, 4),
                            .batch = word_number(words, 5),
                            .seed = word_number(words, 6),
                            .barrier = tool->regions[word_slot(words, 7)]};
    int error = parse_shape(&litmus, word_text(words, 1));

    if (error || litmus.batch == 0 || litmus.rounds % litmus.batch != 0) {
        return DSM_EINVAL;
    }
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        litmus.mode = strcmp(modes[i], word_text(words, 3)) ? litmus.mode : (enum mode)i;
    }
    litmus.results = map_at(tool, words, 8, 0, 2 * litmus.roles_count * litmus.rounds);
    error = parse_places(tool, words, 9, &litmus);
    return error ? error : run_roles(&litmus, word_text(words, 2));
}

struct outcome {
    uint64_t key; /* 16 bits a role */
    uint64_t count;
};

/* outcomes MAP ROLES ROUNDS: "KEY:COUNT" of each that came about; a KEY has 16 bits a role */
static int on_outcomes(struct tool *tool, const struct words *words)
{
    unsigned roles = (unsigned)word_number(words, 2);
    uint64_t rounds = word_number(words, 3);
    const uint16_t *results = (const void *)map_at(tool, words, 1, 0, 2 * roles * rounds);
    struct outcome outcomes[OUTCOMES_MAX];
    unsigned count = 0;
    size_t used = 0;

    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t key = 0;
        unsigned found = 0;

        for (unsigned role = 0; role < roles && role < 4; role++) {
            key |= (uint64_t)results[role * rounds + round] << (16 * role);
        }
        while (found < count && outcomes[found].key != key) {
            found++;
        }
        if (found == OUTCOMES_MAX) {
            return DSM_EOVERFLOW;
        }
        if (found == count) {
            outcomes[count++] = (struct outcome){.key = key};
        }
        outcomes[found].count++;
    }
    for (unsigned i = 0; i < count; i++) {
        used += (size_t)snprintf(tool->answer + used, sizeof(tool->answer) - used, "%llx:%llu ",
                                 (unsigned long long)outcomes[i].key,
                                 (unsigned long long)outcomes[i].count);
    }
    return 0;
}

const struct command litmus_commands[] = {
    {"litmus", on_litmus},
    {"outcomes", on_outcomes},
    {NULL, NULL},
};
