/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX
/* From how many ops of a cycle a shorter one is looked for. */
#define STARTS 64

/* A value that a location had, and the ops that made, saw and ended it. */
struct value {
    uint32_t location;
    uint64_t value;
    size_t writer;       /* NONE: nobody; right for the initial value only */
    size_t overwriter;   /* NONE: it is the last one */
    size_t first_reader; /* of a list through node.next_reader */
};

struct node {
    size_t thread_before; /* program order */
    size_t thread_after;
    size_t index; /* within the thread */
    size_t from;  /* the value read or overwritten */
    size_t to;    /* the value written, or NONE */
    size_t next_reader;
    size_t waits_for; /* edges to it from ops that are not ordered yet */
};

struct thread {
    uint32_t number;
    size_t last; /* the op that came last; NONE: the slot is free */
};

struct graph {
    const struct history_op *ops;
    size_t count;
    struct node *nodes;
    struct value *values;
    size_t value_count;
    size_t *value_slots; /* hash tables with linear probing, a power of two in size */
    struct thread *thread_slots;
    size_t mask;
    size_t *queue; /* of ops; each is in it once */
    char *why;
    size_t why_bytes;
    size_t why_used;
};

/* The ops that must come later than one op: one after the other in the field `op`. */
struct edges {
    size_t op;
    const char *name;
    size_t from;
    int step;
    size_t reader;
};

static void *allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);

    if (memory == NULL) {
        (void)fprintf(stderr, "history: no memory for %zu times %zu bytes\n", count, bytes);
        abort();
    }
    return memory;
}

__attribute__((format(printf, 2, 3))) static void tell(struct graph *graph, const char *format, ...)
{
    va_list arguments;
    int length = 0;

    if (graph->why_used + 1 >= graph->why_bytes) {
        return;
    }
    va_start(arguments, format);
    length = vsnprintf(graph->why + graph->why_used, graph->why_bytes - graph->why_used, format,
                       arguments);
    va_end(arguments);
    if (length > 0) {
        graph->why_used += (size_t)length;
    }
}

static void tell_op(struct graph *graph, size_t op)
{
    const struct history_op *it = &graph->ops[op];

    tell(graph, "thread %u op %zu ", it->thread, graph->nodes[op].index);
    if (it->reads && it->writes) {
        tell(graph, "[location %u: reads %llu, writes %llu]", it->location,
             (unsigned long long)it->read, (unsigned long long)it->written);
    } else if (it->reads) {
        tell(graph, "[location %u: reads %llu]", it->location, (unsigned long long)it->read);
    } else {
        tell(graph, "[location %u: writes %llu over %llu]", it->location,
             (unsigned long long)it->written, (unsigned long long)it->read);
    }
}

/* The finalizer of MurmurHash3: every bit of the key moves every bit of the result. */
static uint64_t mix(uint64_t key)
{
    key ^= key >> 33;
    key *= 0xff51afd7ed558ccdU;
    key ^= key >> 33;
    key *= 0xc4ceb9fe1a85ec53U;
    return key ^ key >> 33;
}

/* The entry of a value, which is made if it is not there. */
static size_t value_get(struct graph *graph, uint32_t location, uint64_t number)
{
    size_t slot = mix(mix(location) ^ number) & graph->mask;

    while (graph->value_slots[slot] != NONE) {
        const struct value *value = &graph->values[graph->value_slots[slot]];

        if (value->location == location && value->value == number) {
            return graph->value_slots[slot];
        }
        slot = (slot + 1) & graph->mask;
    }
    graph->values[graph->value_count] = (struct value){.location = location,
                                                       .value = number,
                                                       .writer = NONE,
                                                       .overwriter = NONE,
                                                       .first_reader = NONE};
    graph->value_slots[slot] = graph->value_count;
    return graph->value_count++;
}

/* Put an op behind the thread's last one. */
static void append_to_thread(struct graph *graph, size_t op)
{
    uint32_t number = graph->ops[op].thread;
    size_t slot = mix(number) & graph->mask;
    struct node *node = &graph->nodes[op];

    while (graph->thread_slots[slot].last != NONE && graph->thread_slots[slot].number != number) {
        slot = (slot + 1) & graph->mask;
    }
    node->thread_before = graph->thread_slots[slot].last;
    node->thread_after = NONE;
    if (node->thread_before != NONE) {
        graph->nodes[node->thread_before].thread_after = op;
        node->index = graph->nodes[node->thread_before].index + 1;
        node->waits_for++;
    }
    graph->thread_slots[slot] = (struct thread){.number = number, .last = op};
}

static void graph_open(struct graph *graph)
{
    size_t slots = 16;

    while (slots < 4 * graph->count) {
        slots *= 2;
    }
    graph->mask = slots - 1;
    graph->nodes = allocate(graph->count + 1, sizeof(*graph->nodes));
    graph->values = allocate(2 * graph->count + 1, sizeof(*graph->values));
    graph->queue = allocate(graph->count + 1, sizeof(*graph->queue));
    graph->value_slots = allocate(slots, sizeof(*graph->value_slots));
    graph->thread_slots = allocate(slots, sizeof(*graph->thread_slots));
    for (size_t i = 0; i < slots; i++) {
        graph->value_slots[i] = NONE;
        graph->thread_slots[i].last = NONE;
    }
}

static void graph_close(struct graph *graph)
{
    free(graph->nodes);
    free(graph->values);
    free(graph->queue);
    free(graph->value_slots);
    free(graph->thread_slots);
}

static bool two_ops(struct graph *graph, size_t one, size_t other, const char *what)
{
    tell_op(graph, one);
    tell(graph, " and ");
    tell_op(graph, other);
    tell(graph, " %s", what);
    return false;
}

static bool one_op(struct graph *graph, size_t op, const char *what)
{
    tell_op(graph, op);
    tell(graph, " %s", what);
    return false;
}

/* Enter what an op writes, and that it ends what it overwrites. */
static bool add_write(struct graph *graph, size_t op)
{
    const struct history_op *it = &graph->ops[op];
    struct node *node = &graph->nodes[op];
    struct value *from = &graph->values[node->from];
    struct value *to = NULL;

    if (it->written == 0) {
        return one_op(graph, op, "writes the initial value again");
    }
    node->to = value_get(graph, it->location, it->written);
    to = &graph->values[node->to];
    if (to->writer != NONE) {
        return two_ops(graph, to->writer, op, "wrote the same value");
    }
    to->writer = op;
    if (from == to) {
        return one_op(graph, op, "comes after itself: it saw its own value before it wrote it");
    }
    if (from->overwriter != NONE) {
        return two_ops(graph, from->overwriter, op, "both overwrote the same value");
    }
    from->overwriter = op;
    return true;
}

static bool add_ops(struct graph *graph)
{
    for (size_t op = 0; op < graph->count; op++) {
        const struct history_op *it = &graph->ops[op];
        struct node *node = &graph->nodes[op];

        append_to_thread(graph, op);
        node->to = NONE;
        node->next_reader = NONE;
        node->from = value_get(graph, it->location, it->read);
        if (!it->reads && !it->writes) {
            return one_op(graph, op, "neither reads nor writes");
        }
        if (it->writes && !add_write(graph, op)) {
            return false;
        }
        /* What a read-modify-write saw is what it overwrote: one edge says both. */
        if (!it->writes) {
            struct value *from = &graph->values[node->from];

            node->next_reader = from->first_reader;
            from->first_reader = op;
        }
    }
    for (size_t op = 0; op < graph->count; op++) {
        if (graph->ops[op].read != 0 && graph->values[graph->nodes[op].from].writer == NONE) {
            return one_op(graph, op,
                          graph->ops[op].reads ? "read a value that nobody wrote"
                                               : "overwrote a value that nobody wrote");
        }
    }
    return true;
}

static struct edges edges_of(size_t op)
{
    return (struct edges){.op = NONE, .from = op, .reader = NONE};
}

/* Step to the next op that must be later; false: there is none. */
static bool edges_next(const struct graph *graph, struct edges *edges)
{
    const struct node *node = &graph->nodes[edges->from];

    for (;;) {
        switch (edges->step++) {
        case 0:
            edges->op = node->thread_after;
            edges->name = "program order";
            break;
        case 1:
            edges->op = graph->values[node->to != NONE ? node->to : node->from].overwriter;
            edges->name = node->to != NONE ? "is overwritten by" : "reads what is overwritten by";
            break;
        case 2:
            edges->reader = node->to != NONE ? graph->values[node->to].first_reader : NONE;
            edges->op = edges->reader;
            edges->name = "is read by";
            break;
        case 3:
            if (edges->reader == NONE) {
                return false;
            }
            edges->reader = graph->nodes[edges->reader].next_reader;
            edges->op = edges->reader;
            edges->step = 3;
            break;
        default:
            return false;
        }
        if (edges->op != NONE) {
            return true;
        }
    }
}

/* Kahn 1962: take away ops that wait for nothing until none is left; true if all could be taken. */
static bool order_ops(struct graph *graph)
{
    size_t head = 0;
    size_t tail = 0;

    for (size_t op = 0; op < graph->count; op++) {
        struct edges edges = edges_of(op);

        while (edges_next(graph, &edges)) {
            /* Program order was counted as the threads were strung. */
            graph->nodes[edges.op].waits_for += edges.step > 1;
        }
    }
    for (size_t op = 0; op < graph->count; op++) {
        if (graph->nodes[op].waits_for == 0) {
            graph->queue[tail++] = op;
        }
    }
    while (head < tail) {
        struct edges edges = edges_of(graph->queue[head++]);

        while (edges_next(graph, &edges)) {
            if (--graph->nodes[edges.op].waits_for == 0) {
                graph->queue[tail++] = edges.op;
            }
        }
    }
    return tail == graph->count;
}

/*
 * The ops of the shortest cycle through one op, by breadth-first search among the ops that could
 * not be ordered; parents[op] is the op before it. The length; NONE: it is on no cycle.
 */
static size_t cycle_through(const struct graph *graph, size_t start, size_t *parents)
{
    size_t head = 0;
    size_t tail = 0;

    for (size_t op = 0; op < graph->count; op++) {
        parents[op] = NONE;
    }
    graph->queue[tail++] = start;
    while (head < tail) {
        struct edges edges = edges_of(graph->queue[head++]);

        while (edges_next(graph, &edges)) {
            if (graph->nodes[edges.op].waits_for == 0 || parents[edges.op] != NONE) {
                continue;
            }
            parents[edges.op] = edges.from;
            if (edges.op == start) {
                size_t length = 1;

                for (size_t op = parents[start]; op != start; op = parents[op]) {
                    length++;
                }
                return length;
            }
            graph->queue[tail++] = edges.op;
        }
    }
    return NONE;
}

static const char *edge_name(const struct graph *graph, size_t from, size_t to)
{
    struct edges edges = edges_of(from);

    while (edges_next(graph, &edges)) {
        if (edges.op == to) {
            return edges.name;
        }
    }
    return "?";
}

/* An op that could not be ordered and on a cycle: one waits for another without end. */
static size_t find_on_cycle(const struct graph *graph, size_t *parents)
{
    size_t op = 0;

    for (size_t i = 0; i < graph->count; i++) {
        struct edges edges = edges_of(i);

        parents[i] = NONE;
        while (graph->nodes[i].waits_for != 0 && edges_next(graph, &edges)) {
            graph->queue[edges.op] = i; /* some op that edges.op waits for */
        }
    }
    while (graph->nodes[op].waits_for == 0) {
        op++;
    }
    while (parents[op] == NONE) {
        parents[op] = op;
        op = graph->queue[op];
    }
    return op;
}

/* Tell of a cycle, of those through the ops of the first one found the shortest. */
static void tell_cycle(struct graph *graph)
{
    size_t *parents = allocate(graph->count, sizeof(*parents));
    size_t starts[STARTS];
    size_t start_count = 0;
    size_t best = find_on_cycle(graph, parents);
    size_t best_length = cycle_through(graph, best, parents);
    size_t op = best;

    do {
        starts[start_count++] = op;
        op = parents[op];
    } while (op != best && start_count < STARTS);
    for (size_t i = 1; i < start_count; i++) {
        size_t length = cycle_through(graph, starts[i], parents);

        if (length < best_length) {
            best_length = length;
            best = starts[i];
        }
    }
    (void)cycle_through(graph, best, parents);
    tell(graph, "a cycle of %zu ops: ", best_length);
    /* parents lead backwards; the queue takes them so that they can be told forwards. */
    op = best;
    for (size_t i = best_length; i > 0; i--) {
        op = parents[op];
        graph->queue[i - 1] = op;
    }
    for (size_t i = 0; i < best_length; i++) {
        tell_op(graph, graph->queue[i]);
        tell(graph, " --%s--> ",
             edge_name(graph, graph->queue[i], graph->queue[(i + 1) % best_length]));
    }
    tell(graph, "the first again");
    free(parents);
}

bool history_is_sequential(const struct history_op *ops, size_t count, char *why, size_t why_bytes)
{
    struct graph graph = {.ops = ops, .count = count, .why = why, .why_bytes = why_bytes};
    bool sequential = false;

    if (why_bytes > 0) {
        why[0] = '\0';
    }
    graph_open(&graph);
    if (add_ops(&graph)) {
        sequential = order_ops(&graph);
        if (!sequential) {
            tell_cycle(&graph);
        }
    }
    graph_close(&graph);
    return sequential;
}
