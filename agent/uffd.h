/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The ioctls of a userfaultfd, each carried on to its end over partial results. Errors are the
 * kernel's, as negative errno values, since the callers treat most of them as news:
 *
 *   -ESRCH   the program behind the descriptor has exited
 *   -ENOENT  nothing, or something unregistered, is mapped there now
 *   -EEXIST  the page is there already
 *   -EAGAIN  the mapping is being changed under us, and stays so
 *   -EINVAL  the kernel does not know this ioctl
 */
#ifndef DSM_AGENT_UFFD_H
#define DSM_AGENT_UFFD_H

#include <stdbool.h>
#include <stdint.h>

/** Bytes of one hardware page. */
uint64_t uffd_page_bytes(void);
/** Is this descriptor a userfaultfd? Ioctls on anything else are a program's trick on the agent. */
bool uffd_is_one(int fd);
/** A userfaultfd of this process for `len_bytes` at `address`, MISSING only; negative errno. */
int uffd_make(uint64_t address, uint64_t len_bytes);

/**
 * Put bytes into absent pages and wake who waits for them through this descriptor.
 *
 * @from    borrowed, any alignment; NULL: zeros
 * @protect write-protect the pages in that mapping; else lift any protection
 * @error   why it stopped before the end, else 0
 *
 * Returns the bytes done, a multiple of the hardware page.
 */
uint64_t uffd_copy(int uffd, uint64_t address, const uint8_t *from, uint64_t len_bytes,
                   bool protect, int *error);
/** Write-protect a range, present or not. Returns 0 or a negative errno. */
int uffd_protect(int uffd, uint64_t address, uint64_t len_bytes);
/** Lift the protection of a range; `wake`: and wake who waits there. As uffd_protect(). */
int uffd_unprotect(int uffd, uint64_t address, uint64_t len_bytes, bool wake);
/** Wake who waits in the range. */
void uffd_wake(int uffd, uint64_t address, uint64_t len_bytes);
/**
 * Make touching absent pages SIGBUS and wake who waits there. Pages that are present stay so.
 *
 * Returns 0 or a negative errno (-EINVAL: the kernel cannot, before Linux 6.6).
 */
int uffd_poison(int uffd, uint64_t address, uint64_t len_bytes);

#endif
