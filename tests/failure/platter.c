/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/failure/platter.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** A disk writes each of these whole or not at all. */
#define SECTOR_BYTES 512u
/** A file of the tests has so many at most. */
#define FILE_BYTES_MAX (64u << 20)

/** A change that is on its way to the platter. */
struct change {
    struct change *next;
    enum change_kind kind;
    uint64_t offset;
    size_t len_bytes;
    uint8_t *bytes;
};

/** xorshift64*. */
static uint32_t draw(struct platter *platter)
{
    platter->random ^= platter->random >> 12;
    platter->random ^= platter->random << 25;
    platter->random ^= platter->random >> 27;
    return (uint32_t)((platter->random * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}

static void file_resize(struct disk_file *file, size_t len_bytes)
{
    if (len_bytes > FILE_BYTES_MAX) {
        abort();
    }
    if (len_bytes > file->capacity) {
        file->capacity = len_bytes * 2;
        file->bytes = realloc(file->bytes, file->capacity);
    }
    if (file->bytes == NULL && len_bytes > 0) {
        abort();
    }
    if (len_bytes > file->len_bytes) {
        memset(file->bytes + file->len_bytes, 0, len_bytes - file->len_bytes);
    }
    file->len_bytes = len_bytes;
}

static void file_write(struct disk_file *file, const struct change *change, size_t from,
                       size_t len_bytes)
{
    if (change->offset + from + len_bytes > file->len_bytes) {
        file_resize(file, change->offset + from + len_bytes);
    }
    memcpy(file->bytes + change->offset + from, change->bytes + from, len_bytes);
}

/** Some of the sectors reach the platter. */
static void change_tear(struct platter *platter, struct disk_file *file,
                        const struct change *change)
{
    size_t from = 0;
    while (from < change->len_bytes) {
        size_t part = SECTOR_BYTES - (change->offset + from) % SECTOR_BYTES;
        part = part < change->len_bytes - from ? part : change->len_bytes - from;
        if (draw(platter) % 2 == 0) {
            file_write(file, change, from, part);
        }
        from += part;
    }
}

static void change_apply(struct disk_file *file, const struct change *change)
{
    file->exists = change->kind != CHANGE_GONE;
    if (change->kind == CHANGE_BYTES) {
        file_write(file, change, 0, change->len_bytes);
    } else {
        file_resize(file, change->offset);
    }
}

static void change_remove_first(struct disk_file *file)
{
    struct change *change = file->first;
    file->first = change->next;
    if (file->first == NULL) {
        file->last = &file->first;
    }
    free(change->bytes);
    free(change);
}

/** All up to this change reaches the platter; NULL: all. */
static void file_settle(struct disk_file *file, const struct change *last)
{
    bool is_over = false;
    while (file->first != NULL && !is_over) {
        is_over = file->first == last;
        change_apply(file, file->first);
        change_remove_first(file);
    }
}

void platter_sync_directory(struct platter *platter)
{
    for (struct disk_file *file = platter->files; file != NULL; file = file->next) {
        const struct change *gone = NULL;
        for (const struct change *change = file->first; change != NULL; change = change->next) {
            gone = change->kind == CHANGE_GONE ? change : gone;
        }
        if (gone != NULL) {
            file_settle(file, gone);
        }
    }
}

void platter_tear(struct platter *platter, struct disk_file *file)
{
    enum { NOTHING, ALL, CHANGES, SECTORS } how = draw(platter) % 4;
    for (const struct change *change = file->first; change != NULL; change = change->next) {
        if (how == ALL || (how == CHANGES && draw(platter) % 2 == 0)) {
            change_apply(file, change);
        } else if (how == SECTORS && change->kind == CHANGE_BYTES) {
            change_tear(platter, file, change);
            file->exists = true;
        }
    }
    while (file->first != NULL) {
        change_remove_first(file);
    }
}

void file_note(struct disk_file *file, enum change_kind kind, uint64_t offset, const void *bytes,
               size_t len_bytes)
{
    if (file == NULL) {
        return;
    }
    struct change *change = calloc(1, sizeof(*change));
    change->kind = kind;
    change->offset = offset;
    if (kind == CHANGE_BYTES) {
        change->len_bytes = len_bytes;
        change->bytes = malloc(len_bytes);
        memcpy(change->bytes, bytes, len_bytes);
    }
    *file->last = change;
    file->last = &change->next;
}

/** What is in the file now is on the platter. */
static void file_load(struct disk_file *file)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    file->exists = fd >= 0;
    if (fd >= 0) {
        off_t end = lseek(fd, 0, SEEK_END);
        file_resize(file, end > 0 ? (size_t)end : 0);
        if (pread(fd, file->bytes, file->len_bytes, 0) != (ssize_t)file->len_bytes) {
            abort();
        }
        close(fd);
    }
}

struct disk_file *platter_find(struct platter *platter, const char *path)
{
    for (struct disk_file *file = platter->files; file != NULL; file = file->next) {
        if (strcmp(file->path, path) == 0) {
            return file;
        }
    }
    struct disk_file *file = calloc(1, sizeof(*file));
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->last = &file->first;
    file->next = platter->files;
    platter->files = file;
    file_load(file);
    return file;
}

static bool file_restore(const struct disk_file *file)
{
    if (!file->exists) {
        unlink(file->path);
        return true;
    }
    int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_whole = fd >= 0 && (file->len_bytes == 0 || write(fd, file->bytes, file->len_bytes) ==
                                                            (ssize_t)file->len_bytes);
    if (fd >= 0) {
        close(fd);
    }
    return is_whole;
}

void platter_sync(struct platter *platter, struct disk_file *file)
{
    file->exists = true;
    file_settle(file, NULL);
    if (file->is_new) {
        file->is_new = false;
        platter_sync_directory(platter);
    }
}

bool platter_restore(struct platter *platter)
{
    bool is_whole = true;
    for (struct disk_file *file = platter->files; file != NULL; file = file->next) {
        platter_tear(platter, file);
        is_whole = file_restore(file) && is_whole;
    }
    return is_whole;
}

void platter_init(struct platter *platter, uint64_t seed)
{
    *platter = (struct platter){.random = seed * 2 + 1};
    for (int i = 0; i < 8; i++) {
        draw(platter);
    }
}

void platter_close(struct platter *platter)
{
    while (platter->files != NULL) {
        struct disk_file *file = platter->files;
        platter->files = file->next;
        file_settle(file, NULL);
        free(file->bytes);
        free(file);
    }
}
