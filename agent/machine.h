/* SPDX-License-Identifier: Apache-2.0 */
/** What the machine of this node is like. */
#ifndef DSM_AGENT_MACHINE_H
#define DSM_AGENT_MACHINE_H

#include "dsm/core/record.h"

/** As the system tells, and as this agent was built. */
struct node_kind machine_kind(void);

#endif
