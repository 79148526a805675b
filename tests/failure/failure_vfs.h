/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A disk that fails, for SQLite: a VFS over the system's own that lets the n-th call of chosen
 * kinds fail, and that knows what a loss of power would leave of each file.
 *
 * What was written reaches the platter at a sync that succeeds. Until then a loss of power may drop
 * it, wholly or each sector by itself. A sync that fails drops a part of it for good, although it
 * can be read until the power goes: Linux marks such pages clean, and a later fsync() that succeeds
 * says nothing of them.
 *
 * Real syncs are left out, which makes the tests quick.
 */
#ifndef DSM_TESTS_FAILURE_VFS_H
#define DSM_TESTS_FAILURE_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/failure/platter.h"

/** Calls that may fail. */
enum disk_call {
    DISK_READ = 1 << 0,
    DISK_WRITE = 1 << 1,
    DISK_TRUNCATE = 1 << 2,
    DISK_SYNC = 1 << 3,
    DISK_OPEN = 1 << 4,
    DISK_DELETE = 1 << 5,
    DISK_OTHER = 1 << 6, /* size, lock, access */
    DISK_CHANGE = DISK_WRITE | DISK_TRUNCATE | DISK_SYNC | DISK_OPEN | DISK_DELETE,
    DISK_ANY = (1 << 7) - 1,
};

/** How they fail. */
enum disk_fault {
    DISK_FAULT_IO = 1, /* EIO, nothing was done (of a sync: a part) */
    DISK_FAULT_SHORT,  /* a write of the first half, then EIO; a read of the first half */
    DISK_FAULT_FULL,   /* a write of the first half, then ENOSPC; of other calls as EIO */
    DISK_FAULT_POWER,  /* the power goes: this call is under way, all later ones fail */
};

/** The VFS. */
struct disk {
    sqlite3_vfs base; /* first */
    sqlite3_vfs *real;
    struct platter platter;
    uint64_t seed;
    uint32_t calls, n;
    enum disk_fault fault; /* 0: none is armed */
    bool is_lasting;       /* of DISK_FAULT_FULL and the like: all calls from the n-th on */
    bool was_injected, is_off;
    uint32_t count; /* calls of the armed kinds */
};

/** Become SQLite's VFS, with all of what is on the disk now on the platter. */
void disk_open(struct disk *disk, uint64_t seed);
/** Let the system's own be it again; no file may be open. */
void disk_close(struct disk *disk);

/** Let the call after n others (0: the first) of these kinds fail. Counts from now. */
void disk_arm(struct disk *disk, uint32_t calls, enum disk_fault fault, uint32_t n);
/** Let no call fail any more; power that is off stays off. */
void disk_disarm(struct disk *disk);

/** Nothing reaches the disk from now on. */
void disk_power_off(struct disk *disk);
/** Leave in the files what has survived; they must be closed. Returns false without success. */
bool disk_power_on(struct disk *disk);

#endif
