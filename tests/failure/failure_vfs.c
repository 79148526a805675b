/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/failure/failure_vfs.h"

#include <stdlib.h>
#include <string.h>

/** An open file; the real one's own memory follows it. */
struct handle {
    sqlite3_file base; /* first */
    struct disk *disk;
    struct disk_file *file; /* NULL: a temporary one */
};

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((struct handle *)(void *)file + 1);
}

static struct handle *handle_of(sqlite3_file *file)
{
    return (struct handle *)(void *)file;
}

static struct disk *disk_of(sqlite3_vfs *vfs)
{
    return (struct disk *)(void *)vfs;
}

/* Failing. */

/** Shall this call fail? Counts it. */
static bool is_hit(struct disk *disk, enum disk_call call)
{
    if (disk->is_off) {
        return true;
    }
    if (disk->fault == 0 || (disk->calls & call) == 0) {
        return false;
    }
    uint32_t number = disk->count++;
    if (number != disk->n && !(disk->is_lasting && number > disk->n)) {
        return false;
    }
    disk->was_injected = true;
    return true;
}

/** The power goes while this call is under way: true once, after which nothing is. */
static bool is_going_off(struct disk *disk)
{
    bool is_going = !disk->is_off && disk->fault == DISK_FAULT_POWER;
    disk->is_off = disk->is_off || is_going;
    return is_going;
}

static int on_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int on_read(sqlite3_file *file, void *to, int len_bytes, sqlite3_int64 offset)
{
    struct disk *disk = handle_of(file)->disk;
    if (is_hit(disk, DISK_READ)) {
        is_going_off(disk);
        if (disk->fault == DISK_FAULT_SHORT && !disk->is_off) {
            memset(to, 0, (size_t)len_bytes);
            real_of(file)->pMethods->xRead(real_of(file), to, len_bytes / 2, offset);
            return SQLITE_IOERR_SHORT_READ;
        }
        return SQLITE_IOERR_READ;
    }
    return real_of(file)->pMethods->xRead(real_of(file), to, len_bytes, offset);
}

static int on_write(sqlite3_file *file, const void *from, int len_bytes, sqlite3_int64 offset)
{
    struct handle *handle = handle_of(file);
    struct disk *disk = handle->disk;
    bool is_failing = is_hit(disk, DISK_WRITE);
    if (is_failing && is_going_off(disk)) {
        file_note(handle->file, CHANGE_BYTES, (uint64_t)offset, from, (size_t)len_bytes);
    }
    if (is_failing && (disk->is_off || disk->fault == DISK_FAULT_IO)) {
        return SQLITE_IOERR_WRITE;
    }
    len_bytes = is_failing ? len_bytes / 2 : len_bytes;
    file_note(handle->file, CHANGE_BYTES, (uint64_t)offset, from, (size_t)len_bytes);
    int rc = real_of(file)->pMethods->xWrite(real_of(file), from, len_bytes, offset);
    if (is_failing) {
        return disk->fault == DISK_FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return rc;
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 len_bytes)
{
    struct handle *handle = handle_of(file);
    bool is_failing = is_hit(handle->disk, DISK_TRUNCATE);
    if (!is_failing || is_going_off(handle->disk)) {
        file_note(handle->file, CHANGE_END, (uint64_t)len_bytes, NULL, 0);
    }
    return is_failing ? SQLITE_IOERR_TRUNCATE
                      : real_of(file)->pMethods->xTruncate(real_of(file), len_bytes);
}

static int on_sync(sqlite3_file *file, int flags)
{
    struct handle *handle = handle_of(file);
    (void)flags;
    if (!is_hit(handle->disk, DISK_SYNC)) {
        if (handle->file != NULL) {
            platter_sync(&handle->disk->platter, handle->file);
        }
        return SQLITE_OK;
    }
    if (!handle->disk->is_off && !is_going_off(handle->disk) && handle->file != NULL) {
        platter_tear(&handle->disk->platter, handle->file);
    }
    return SQLITE_IOERR_FSYNC;
}

static int on_size(sqlite3_file *file, sqlite3_int64 *len_bytes)
{
    if (is_hit(handle_of(file)->disk, DISK_OTHER)) {
        return SQLITE_IOERR_FSTAT;
    }
    return real_of(file)->pMethods->xFileSize(real_of(file), len_bytes);
}

static int on_lock(sqlite3_file *file, int level)
{
    if (is_hit(handle_of(file)->disk, DISK_OTHER)) {
        return SQLITE_IOERR_LOCK;
    }
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int on_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int on_check_reserved(sqlite3_file *file, int *is_reserved)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), is_reserved);
}

static int on_control(sqlite3_file *file, int operation, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int on_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int on_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

/**
 * Version 1: no memory-mapped reading, which would go by, and no shared memory: the catalog has its
 * file for itself, and then SQLite keeps the log's index in memory of its own.
 */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
};

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                   int *flags_out)
{
    struct disk *disk = disk_of(vfs);
    struct handle *handle = handle_of(file);
    handle->base.pMethods = NULL;
    if (is_hit(disk, DISK_OPEN)) {
        is_going_off(disk);
        return SQLITE_CANTOPEN;
    }
    handle->disk = disk;
    handle->file = path != NULL ? platter_find(&disk->platter, path) : NULL;
    int rc = disk->real->xOpen(disk->real, path, real_of(file), flags, flags_out);
    if (rc == SQLITE_OK) {
        handle->base.pMethods = &methods;
        if (handle->file != NULL && (flags & SQLITE_OPEN_CREATE) != 0 &&
            (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0) {
            handle->file->is_new = true;
        }
    }
    return rc;
}

/** Until the directory is synced a loss of power brings back what it had. */
static int on_delete(sqlite3_vfs *vfs, const char *path, int is_synced)
{
    struct disk *disk = disk_of(vfs);
    struct disk_file *file = platter_find(&disk->platter, path);
    if (is_hit(disk, DISK_DELETE)) {
        if (is_going_off(disk)) {
            file_note(file, CHANGE_GONE, 0, NULL, 0);
        }
        return SQLITE_IOERR_DELETE;
    }
    int rc = disk->real->xDelete(disk->real, path, 0);
    if (rc == SQLITE_OK) {
        file_note(file, CHANGE_GONE, 0, NULL, 0);
    }
    if (rc == SQLITE_OK && is_synced) {
        platter_sync_directory(&disk->platter);
    }
    return rc;
}

static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *is_there)
{
    struct disk *disk = disk_of(vfs);
    if (is_hit(disk, DISK_OTHER)) {
        return SQLITE_IOERR_ACCESS;
    }
    return disk->real->xAccess(disk->real, path, flags, is_there);
}

void disk_open(struct disk *disk, uint64_t seed)
{
    *disk = (struct disk){.real = sqlite3_vfs_find("unix"), .seed = seed};
    platter_init(&disk->platter, seed);
    if (disk->real == NULL) {
        abort();
    }
    disk->base = *disk->real;
    disk->base.iVersion = 1;
    disk->base.zName = "disk";
    disk->base.pNext = NULL;
    disk->base.szOsFile = (int)sizeof(struct handle) + disk->real->szOsFile;
    disk->base.xOpen = on_open;
    disk->base.xDelete = on_delete;
    disk->base.xAccess = on_access;
    sqlite3_vfs_register(&disk->base, 1);
}

void disk_close(struct disk *disk)
{
    sqlite3_vfs_unregister(&disk->base);
    platter_close(&disk->platter);
}

void disk_arm(struct disk *disk, uint32_t calls, enum disk_fault fault, uint32_t n)
{
    disk->calls = calls;
    disk->fault = fault;
    disk->n = n;
    disk->count = 0;
    disk->was_injected = false;
}

void disk_disarm(struct disk *disk)
{
    disk->fault = 0;
    disk->is_lasting = false;
}

void disk_power_off(struct disk *disk)
{
    disk->is_off = true;
}

bool disk_power_on(struct disk *disk)
{
    bool is_whole = platter_restore(&disk->platter);
    disk->is_off = false;
    disk->fault = 0;
    return is_whole;
}
