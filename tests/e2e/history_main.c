/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsm-history DUMP...: do the recorded operations of all threads (tests/e2e/dump.h, a file each)
 * make a sequentially consistent history? Exit status 0: yes; 1: no, with the reason; 2: a dump
 * cannot be used.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/dump.h"
#include "tests/sim/history.h"

#define WHY_BYTES 8192u

struct history {
    struct history_op *ops;
    size_t count;
};

static int refuse(const char *path, const char *what)
{
    (void)fprintf(stderr, "dsm-history: %s: %s\n", path, what);
    return 2;
}

static int add_ops(struct history *history, FILE *file, const char *path)
{
    struct dump_header header;
    struct dump_op op;
    struct history_op *ops = NULL;

    if (fread(&header, sizeof(header), 1, file) != 1 ||
        memcmp(header.magic, DUMP_MAGIC, sizeof(header.magic)) != 0) {
        return refuse(path, "not a dump of operations");
    }
    header.thread = le32toh(header.thread);
    header.count = le32toh(header.count);
    ops = realloc(history->ops, (history->count + header.count) * sizeof(*ops) + 1);
    if (!ops) {
        return refuse(path, "no memory for so many operations");
    }
    history->ops = ops;
    for (uint32_t i = 0; i < header.count; i++) {
        if (fread(&op, sizeof(op), 1, file) != 1) {
            return refuse(path, "it has fewer operations than it says");
        }
        ops[history->count++] = (struct history_op){.thread = header.thread,
                                                    .location = le32toh(op.location),
                                                    .reads = (le32toh(op.flags) & DUMP_READS) != 0,
                                                    .writes =
                                                        (le32toh(op.flags) & DUMP_WRITES) != 0,
                                                    .read = le64toh(op.read),
                                                    .written = le64toh(op.written)};
    }
    return fgetc(file) == EOF ? 0 : refuse(path, "it has more operations than it says");
}

static int add_dump(struct history *history, const char *path)
{
    FILE *file = fopen(path, "rbe");
    int status = 0;

    if (!file) {
        return refuse(path, "it cannot be opened");
    }
    status = add_ops(history, file, path);
    (void)fclose(file);
    return status;
}

int main(int argc, char **argv)
{
    struct history history = {0};
    char why[WHY_BYTES] = "";
    int status = argc > 1 ? 0 : refuse("usage", "dsm-history DUMP...");

    for (int i = 1; i < argc && status == 0; i++) {
        status = add_dump(&history, argv[i]);
    }
    if (status == 0) {
        bool is_sequential = history_is_sequential(history.ops, history.count, why, sizeof(why));

        (void)printf(
            "%zu operations of %d threads: %s%s\n", history.count, argc - 1,
            is_sequential ? "sequentially consistent" : "NOT sequentially consistent: ", why);
        status = is_sequential ? 0 : 1;
    }
    free(history.ops);
    return status;
}
