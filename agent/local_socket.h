/* SPDX-License-Identifier: Apache-2.0 */
/** The agent's listening Unix socket and who is at the other end of one that was accepted. */
#ifndef DSM_AGENT_LOCAL_SOCKET_H
#define DSM_AGENT_LOCAL_SOCKET_H

#include "dsm/core/record.h"

/**
 * Listen at a path. A socket that nobody listens at is replaced; "PATH.lock" is locked as long as
 * *lock is open, so that of two agents started together one is refused.
 *
 * @fd, @lock returned, release with local_socket_close()
 * @text      on error: what is wrong with the path; TEXT_BYTES_MAX bytes
 *
 * Errors: DSM_EBUSY  another agent has it
 *         DSM_ESYS
 */
int local_socket_listen(const char *path, int *fd, int *lock, char *text);
/** Remove the socket and give up the path. */
void local_socket_close(const char *path, int fd, int lock);
/**
 * Who connected, as the kernel knows.
 *
 * Errors: DSM_ESYS, DSM_ENOMEM
 */
int local_socket_credential(int fd, struct credential *credential);
/**
 * A pidfd of the process that connected, which the caller closes; -1 when the kernel cannot
 * tell.
 */
int local_socket_process(int fd);

#endif
