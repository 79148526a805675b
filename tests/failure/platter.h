/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a disk's files would be after a loss of power: what was synced, and any part of what was
 * written since.
 */
#ifndef DSM_TESTS_FAILURE_PLATTER_H
#define DSM_TESTS_FAILURE_PLATTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes at an offset, the file's end, its removal. */
enum change_kind { CHANGE_BYTES = 1, CHANGE_END, CHANGE_GONE };

struct change;

/** What the platter has of a file, and what would come to it. */
struct disk_file {
    struct disk_file *next;
    char path[512];
    bool exists;
    bool is_new; /* its first sync syncs the directory, as that of SQLite's own VFS does */
    uint8_t *bytes;
    size_t len_bytes, capacity;
    struct change *first, **last;
};

struct platter {
    uint64_t random;
    struct disk_file *files;
};

void platter_init(struct platter *platter, uint64_t seed);
void platter_close(struct platter *platter);
/** The file of this path; what it has when it is first asked for is on the platter. */
struct disk_file *platter_find(struct platter *platter, const char *path);
/** A change of the file is on its way. */
void file_note(struct disk_file *file, enum change_kind kind, uint64_t offset, const void *bytes,
               size_t len_bytes);
/** A sync of the file has succeeded. */
void platter_sync(struct platter *platter, struct disk_file *file);
/** A sync of the directory has: removals are on the platter, with what came before them. */
void platter_sync_directory(struct platter *platter);
/** A part of what is on its way arrives, the rest never does. */
void platter_tear(struct platter *platter, struct disk_file *file);
/** The power was lost: leave in the files what has survived. Returns false without success. */
bool platter_restore(struct platter *platter);

#endif
