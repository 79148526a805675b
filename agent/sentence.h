/* SPDX-License-Identifier: Apache-2.0 */
/** Sentences for the error of a call: they name the thing and say what to do. */
#ifndef DSM_AGENT_SENTENCE_H
#define DSM_AGENT_SENTENCE_H

#include "dsm/core/node.h"

/** What is known of the call that failed; what is not known is NULL or 0. */
struct sentence_facts {
    const struct call *call;
    const struct reply *reply;   /* with the error */
    const char *name;            /* of the object */
    uint8_t object;              /* enum record_kind */
    const struct record *record; /* of the object */
    const char *node;            /* the node that reply->node says is lost */
    const char *keeper;          /* DSM_EKEEPER: where the keeper is and what is the matter */
    uint64_t region_max;         /* bytes of one region at most */
};

/** Write the sentence; at most size_bytes with the final NUL. "" for no error. */
void sentence_write(const struct sentence_facts *facts, char *text, size_t size_bytes);

#endif
