/* SPDX-License-Identifier: Apache-2.0 */
/** dsm_stats.h: what an agent counts. */
#ifndef DSM_STATS_H
#define DSM_STATS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dsm;

/**
 * Counters of this node's agent since it started. One name each; also the keys of `dsmctl
 * stats`.
 */
#define DSM_COUNTERS(X)                                                                            \
    X(faults)             /* page faults of local programs answered */                             \
    X(faults_remote)      /* of them, those that asked a home for a page */                        \
    X(messages_sent)      /* protocol messages to other nodes */                                   \
    X(messages_received)  /* protocol messages from other nodes */                                 \
    X(sends)              /* pieces handed to the network: several messages may be in one */       \
    X(bytes_sent)         /* on the wire, encrypted, all kinds */                                  \
    X(bytes_received)                                                                              \
    X(pages_sent)         /* pages whose bytes travelled from here */                              \
    X(pages_received)                                                                              \
    X(invalidations)      /* pages dropped here because another node writes */                     \
    X(downgrades)         /* pages made read-only here because another node reads */               \
    X(evictions)          /* pages dropped here to keep within the budget */                       \
    X(pages_resident)     /* pages whose bytes are here now */                                     \
    X(pages_lost)         /* pages poisoned because their only copy died */                        \
    X(resends)            /* protocol messages repeated */                                         \
    X(old_epoch)          /* messages dropped for an old membership epoch */                       \
    X(refused)            /* messages dropped as illegal from that sender */                       \
    X(repairs)            /* pages found filled behind the agent's back and put right */           \
    X(groups_gathered)    /* hardware pages put together from a region's smaller ones */           \
    X(groups_scattered)   /* hardware pages taken apart since another node wants a part */         \
    X(bounces)            /* pages that other nodes wanted when they had just come here */         \
    X(holds)              /* of them, those that stayed for a while (dsm_shm_options) */           \
    X(core_bytes)         /* memory of the protocol's own records */

struct dsm_stats {
#define DSM_COUNTER_MEMBER(name) uint64_t name;
    DSM_COUNTERS(DSM_COUNTER_MEMBER)
#undef DSM_COUNTER_MEMBER
};

/**
 * Read the counters of this node's agent.
 *
 * @stats written on success
 *
 * Errors: DSM_ENOAGENT the agent went away
 *         DSM_ETIMEDOUT it did not answer in 30 s
 */
int dsm_stats_get(struct dsm *dsm, struct dsm_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
