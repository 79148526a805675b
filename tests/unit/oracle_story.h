/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Stories for the tests of the oracle: a small cluster in which something is done behind the core's
 * back, in a child process that the oracle has to end, or has to let pass.
 */
#ifndef DSM_TESTS_UNIT_ORACLE_STORY_H
#define DSM_TESTS_UNIT_ORACLE_STORY_H

#include "tests/sim/cluster.h"

#define STORY_NODES 3u
/** The page that node 1 has written to when a story begins. */
#define STORY_PAGE 5u

/** What the machines and the region are. */
struct story_kind {
    struct sim_machine machines[STORY_NODES];
    const char *type; /* "": none */
};

/** Three nodes, the first homes all pages of a region that all have mapped. */
struct story {
    struct cluster *cluster;
    uint64_t handle[STORY_NODES];
    map_id map[STORY_NODES];
};

/** It has to be refused, for this property and in these words. */
void story_refused(const struct story_kind *kind, void (*run)(struct story *story),
                   const char *property, const char *words);
/** It has to be let pass. */
void story_passed(const struct story_kind *kind, void (*run)(struct story *story));
/** An action that no core gave, of so many pages. */
void story_act_on(struct story *story, uint32_t node, uint32_t kind, uint64_t page, uint32_t count);
/** Of STORY_PAGE alone. */
void story_act(struct story *story, uint32_t node, uint32_t kind);
/** The oracle looks at STORY_PAGE as after a step of this node. */
void story_look(struct story *story, uint32_t node);
/** The frame of STORY_PAGE. */
struct sim_frame *story_frame(struct story *story, uint32_t node);
/** A program reads STORY_PAGE. */
void story_read_by(struct story *story, uint32_t node);

#endif
