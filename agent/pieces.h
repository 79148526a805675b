/* SPDX-License-Identifier: Apache-2.0 */
/** Long documents in pieces: one kept per client, until it has been fetched or the client goes. */
#ifndef DSM_AGENT_PIECES_H
#define DSM_AGENT_PIECES_H

#include <stddef.h>

#include "agent/table.h"

struct pieces {
    struct table kept; /* by client */
    uint32_t serial;   /* of the last document kept */
};

/** Make it empty. Errors: DSM_ENOMEM. */
int pieces_init(struct pieces *pieces);
/** Forget everything. */
void pieces_close(struct pieces *pieces);
/**
 * Start to hand out a document: the first piece goes to `to`, the rest, if any, is kept in place of
 * what was kept for this client.
 *
 * @text       given; from malloc()
 * @to         written, always terminated
 * @size_bytes of `to`, at least 2
 * @cursor     of the next piece; 0: that was all
 *
 * Errors: DSM_ENOMEM
 */
int pieces_start(struct pieces *pieces, uint32_t client, char *text, char *to, size_t size_bytes,
                 uint64_t *cursor);
/**
 * Hand out the piece at a cursor; parameters as pieces_start().
 *
 * Errors: DSM_ESTALE  no document is kept that has this cursor
 */
int pieces_next(struct pieces *pieces, uint32_t client, uint64_t at, char *to, size_t size_bytes,
                uint64_t *cursor);
/** Forget what is kept for a client. */
void pieces_forget(struct pieces *pieces, uint32_t client);

#endif
