/* SPDX-License-Identifier: Apache-2.0 */
/**
 * An agent for tests of libdsm: one thread that speaks the session protocol for one region, and
 * answers the page faults of its programs out of a known pattern. It has no protocol behind it.
 */
#ifndef DSM_TESTS_FAKE_AGENT_H
#define DSM_TESTS_FAKE_AGENT_H

#include <sys/types.h>

#include "net/codec.h"

/** The name of its node. */
#define FAKE_NODE "fake"
/** The region that it has; any other name is DSM_ENOENT, but for the semaphore FAKE_SEM. */
#define FAKE_REGION "/photo"
#define FAKE_SEM "/ready"
#define FAKE_PAGE 4096u
/** Programs and mappings at one time at most. */
#define FAKE_CLIENTS_MAX 8u
#define FAKE_MAPS_MAX 32u
#define FAKE_HELD_MAX 8u
/** Hardware pages of one mapping at most, over a channel. */
#define FAKE_PAGES_MAX 4096u

struct fake_agent;

/** Bytes that it gives and takes at once: a hardware page, FAKE_PAGE at least. */
uint64_t fake_unit(void);

/** How it behaves; all zero is well. */
struct fake_options {
    bool refuse_version;
    bool no_device;       /* HELLO's reply passes no descriptor of /dev/userfaultfd */
    uint32_t page_size;   /* of the region, 0: FAKE_PAGE */
    uint64_t size_bytes;  /* of the region at first */
    uint64_t lost_page;   /* its page (of fake_unit()) that is poisoned; 0: none */
    uint64_t silent_page; /* faults on it are not answered; 0: none */
    uint32_t count_hold;  /* hold so many SYNC_FETCH_ADD back, then answer them last first */
};

/** What it has seen. */
struct fake_seen {
    struct call open; /* the last CALL_OPEN */
    struct call sync; /* the last CALL_SYNC */
    uint32_t backend; /* of the last ATTACH */
    char why[SESSION_WHY_BYTES];
    uint32_t count_faults;
    uint32_t count_silent; /* faults that were not answered */
    uint32_t count_maps;   /* attached now */
    uint32_t count_clients;
    uint32_t count_unlocks;
    uint32_t count_held;   /* calls held back now */
    uint32_t count_locks;  /* SYNC_LOCK */
    uint32_t count_tokens; /* CALL_TOKENS */
};

/** Start one on a socket in a new directory. Returns 0, or -1 with errno. */
int fake_start(const struct fake_options *options, struct fake_agent **fake);
/**
 * fork() while its thread waits: else the child could wait for ever for a lock that the thread has
 * taken, such as those of a sanitizer's allocator.
 */
pid_t fake_fork(struct fake_agent *fake);
/** Where it listens. */
const char *fake_path(const struct fake_agent *fake);
/** The byte of the region at an offset, never 0. */
uint8_t fake_byte(uint64_t offset);
/** Copy out what it has seen. */
void fake_look(struct fake_agent *fake, struct fake_seen *seen);
/** Wait until `is_so` tells that what it has seen is enough; false after 20 s. */
bool fake_await(struct fake_agent *fake, bool (*is_so)(const struct fake_seen *seen));
/** Hold back every answer to SYNC_LOCK from now on. */
void fake_hold_locks(struct fake_agent *fake);
/** Answer each fault to read of a mapping that may write with the right to write from now on. */
void fake_give_writes(struct fake_agent *fake);
/** Answer CALL_TOKENS with this table from now on (borrowed) and that number of the client. */
void fake_share_tokens(struct fake_agent *fake, int memfd, uint64_t client);
/** Send what is held back, now, the last first. */
void fake_release(struct fake_agent *fake);
/**
 * Take pages (of fake_unit()) away from every program, as another node's write does; not `all`:
 * only the right to write. Their bytes are kept, and given again.
 */
void fake_take(struct fake_agent *fake, uint64_t page, uint64_t count, bool all);
/** Send every program a packet that is no reply. */
void fake_babble(struct fake_agent *fake);
/** Close every descriptor at once, as a crash does. */
void fake_die(struct fake_agent *fake);
/** End the thread and free; also after fake_die(). */
void fake_stop(struct fake_agent *fake);

#endif
