/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The catalog's records: regions, semaphores and member nodes, under one order of revisions. The
 * core reads them from RECORD events and changes them by PROPOSE actions; who keeps them it does
 * not know.
 */
#ifndef DSM_CORE_RECORD_H
#define DSM_CORE_RECORD_H

#include "dsm/core/types.h"

#define RECORD_NAME_BYTES 256   /* with the final NUL */
#define RECORD_ADDRESS_BYTES 64 /* with the final NUL */
#define RECORD_TYPE_BYTES 1024  /* with the final NUL: DSM_TYPE_MAX */
#define CREDENTIAL_GROUPS_MAX 32
/** The size of a region at most: whole pages of it can still be told as a file's offset. */
#define RECORD_SIZE_BYTES_MAX ((uint64_t)INT64_MAX - DSM_PAGE_SIZE_MAX)

enum record_kind {
    RECORD_NONE = 0,
    RECORD_REGION = 1,
    RECORD_SEM = 2,
    RECORD_NODE = 3,
};

/** Rights on a region or semaphore. */
enum rights {
    RIGHTS_READ = 4,
    RIGHTS_WRITE = 2,
};

/** What a node's machine is like. */
struct node_kind {
    uint32_t page_bytes; /* of the hardware */
    uint8_t word_bits;   /* of a program's pointers: 32 or 64 */
    bool big_endian;
};

/**
 * One record. Regions and semaphores share the slots of `id`; a node's slot is its node number and
 * its generation is its incarnation (another one each time its agent starts).
 */
struct record {
    uint8_t kind;  /* enum record_kind */
    bool unlinked; /* the name is free; the object goes when nobody uses it any more */
    bool deleted;  /* this record is gone: the last that is heard of its id */
    bool alive;    /* NODE: a member; false: declared dead */
    bool sealed;   /* REGION: its bytes never change again; it has no writers (sealed.h) */
    region_id id;
    uint64_t revision;            /* of the last change; the order of all changes to all records */
    char name[RECORD_NAME_BYTES]; /* with its '/'; NODE: the certificate's name */
    uint32_t uid, gid, mode;
    uint64_t size_bytes; /* SEM: the initial value */
    uint32_t page_size;  /* bytes */
    uint32_t home;       /* enum dsm_home */
    nodeset homes;       /* the nodes that home its pages or its synchronisation objects */
    nodeset readers;     /* nodes with a program that has it open */
    nodeset writers;     /* of them, those where it is open for writing */
    char address[RECORD_ADDRESS_BYTES]; /* NODE: "host:port" where its agent listens */
    uint32_t epoch;  /* NODE: the membership epoch that its last death began, 0 before */
    uint32_t window_ms; /* REGION: a page that bounces stays for so long at most; 0: the usual,
                           DSM_WINDOW_NONE: it does not stay */
    uint64_t joined; /* NODE: the revision at which this incarnation became a member: what was
                            homed there by records of lower generation died with an earlier one */
    struct node_kind machine;     /* NODE */
    char type[RECORD_TYPE_BYTES]; /* REGION: what its bytes are (type.h); "": untyped */
};

/** Who asks: a local program as the kernel tells (SO_PEERCRED, SO_PEERGROUPS). */
struct credential {
    uint32_t uid, gid;
    uint32_t count_groups;
    uint32_t groups[CREDENTIAL_GROUPS_MAX];
};

/** Which node asks to be a member. */
struct joiner {
    const char *name;    /* the certificate's */
    const char *address; /* "host:port" where its agent listens */
    uint32_t incarnation;
    struct node_kind machine;
};

enum proposal_kind {
    PROPOSAL_CREATE = 1,  /* DSM_EEXIST when (kind, name) is taken; the keeper gives the id */
    PROPOSAL_UPDATE = 2,  /* compare-and-swap on record.revision; DSM_EAGAIN when it has moved */
    PROPOSAL_NOTHING = 3, /* asks for the news: all that there were come before its outcome */
    PROPOSAL_KINDS
};

/**
 * A change asked of the keeper. When an UPDATE leaves a REGION or SEM unlinked with no readers, the
 * keeper deletes it. With `replaces` the new name takes the place of that id, which becomes
 * unlinked in the same transaction (O_TRUNC).
 */
struct proposal {
    uint8_t kind; /* enum proposal_kind */
    struct record record;
    region_id replaces;           /* {0, 0}: none */
    struct credential credential; /* in whose name; the keeper checks the mode once more */
};

/**
 * The rights that a credential has by a record's mode: owner, group, others, as for files; uid 0
 * has all.
 *
 * Returns a sum of enum rights.
 */
uint32_t record_rights(const struct record *record, const struct credential *credential);

/** Is this a legal object name ('/' first, no other, 2 to 255 bytes)? */
bool record_name_is_valid(const char *name);

#endif
