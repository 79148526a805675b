/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm_io.h: system calls on region memory, and region faults in a program's own signal handler. For
 * every back end; programs that are sure of userfaultfd with system calls need none of it.
 */
#ifndef DSM_IO_H
#define DSM_IO_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * read(2), where `bytes` may be region memory, or any other.
 *
 * @fd    any that read(2) takes
 * @bytes len_bytes bytes, written as far as the result says
 *
 * Returns as read(2) does, with its errno. Beside that: EFAULT when the first page is lost or the
 * mapping is read-only, without anything taken from fd; ENOMEM when there is no memory to read to.
 * Reads once from fd, but from a regular file until len_bytes are there or there are no more. What
 * was taken from fd is never lost to another node's writing meanwhile.
 */
ssize_t dsm_read(int fd, void *bytes, size_t len_bytes);

/**
 * write(2), where `bytes` may be region memory, or any other.
 *
 * @bytes len_bytes bytes, borrowed until return
 *
 * Returns as write(2) does, with its errno; EFAULT when a page is lost and nothing before it was
 * written. Writes to a regular file until all is written. When other nodes take the pages away all
 * the time, the bytes go through a copy, of which each page is of one moment.
 */
ssize_t dsm_write(int fd, const void *bytes, size_t len_bytes);

/**
 * send(2), where `bytes` may be region memory, or any other; a message goes whole or not at all.
 *
 * @bytes len_bytes bytes, borrowed until return
 *
 * Returns as send(2) does, with its errno; EFAULT as dsm_write().
 */
ssize_t dsm_send(int socket, const void *bytes, size_t len_bytes, int flags);

/**
 * recv(2), where `bytes` may be region memory, or any other.
 *
 * @bytes len_bytes bytes, written as far as the result says
 *
 * Returns as recv(2) does, with its errno; EFAULT and ENOMEM as dsm_read().
 */
ssize_t dsm_recv(int socket, void *bytes, size_t len_bytes, int flags);

/**
 * For a program's own SIGSEGV handler that was installed after the first mapping was made, and so
 * in place of this library's: is the signal a touch of region memory?
 *
 * @info    the siginfo_t that the handler (SA_SIGINFO) got
 * @context its third argument
 *
 * Returns 1 when it was: the page has come or the thread is to try again, so the handler must
 * return at once. 0: it is the program's own affair, and so is a store into a read-only mapping, a
 * fenced mapping, and any signal where userfaultfd serves the regions.
 * In a signal handler only. Blocks until the page is here; other signals come in meanwhile.
 */
int dsm_on_sigsegv(const void *info, void *context);

#ifdef __cplusplus
}
#endif
#endif
