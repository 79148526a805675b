/* SPDX-License-Identifier: Apache-2.0 */
/** Local programs as processes, by a pidfd, which no later process can be mistaken for. */
#ifndef DSM_AGENT_PROCESS_H
#define DSM_AGENT_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/** May this process end it (or has it ended)? */
bool process_may_kill(int process);
/** Has it ended? */
bool process_has_ended(int process);
/** Does it map a file of memory, by its number? Also true when that cannot be told. */
bool process_maps(int process, ino_t inode);
/**
 * End it with SIGKILL and wait for that.
 *
 * Returns false when it is not known to have ended in a while. It runs no instruction of its own
 * any more even then, if the signal could be sent.
 */
bool process_kill(int process);

#endif
