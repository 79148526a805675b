/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm.h: named shared memory over a cluster.
 *
 * A region is to a cluster what a POSIX shared memory object is to one machine: programs open it by
 * name, map it, and use plain loads and stores. This header says first what will bite you.
 *
 * Caveats
 *   back ends   What serves the faults is chosen when the first mapping is made, best first:
 *               userfaultfd; userfaultfd for user mode alone; SIGSEGV with mprotect(2).
 *               $DSM_FAULTS=userfaultfd, user-mode or sigsegv forces one. The agent logs which.
 *   fork        Mappings are not inherited: a child that touches one gets SIGSEGV. A session
 *               belongs to the process that made it; the child calls dsm_connect() itself.
 *   system      With userfaultfd read(2), write(2), send(2) and the like may have region memory.
 *   calls       With the others they give EFAULT for a page that is not here at that moment:
 *               dsm_read(), dsm_write(), dsm_send(), dsm_recv() (dsm_io.h) work with all.
 *               io_uring fixed buffers, O_DIRECT, RDMA and vfio pin pages and lose writes. So do
 *               mremap, mprotect, madvise(MADV_REMOVE) and munmap of a part of a mapping.
 *   signals     A load or store may block for as long as a page takes to come; signals are handled
 *               meanwhile. A handler that touches region memory may block too. No dsm_ function but
 *               dsm_on_sigsegv() may be called from a handler. Where SIGSEGV serves the faults, no
 *               thread may block it while it touches a region; a handler of it that the program had
 *               before its first mapping gets what is not ours, one that it installs later has to
 *               call dsm_on_sigsegv().
 *   stacks      Where SIGSEGV serves the faults, a thread with its stack inside a region needs
 *               sigaltstack(2) elsewhere, with room for each handler that may nest.
 *   granularity Ownership moves in whole pages (options.page_size, 4 KiB by default): two variables
 *               on a page that two nodes write make it travel. Correct, but slow (dsm_release.h).
 *   lost owner  When the only copy of a page dies with its node, touching it gives SIGBUS, and the
 *               agent logs region, page, node and cause. Never an old copy, never zeros.
 *   lost agent  When the agent of this node goes away, every mapping is fenced: touching one gives
 *               SIGSEGV after a message on standard error that names the region. Never zeros.
 *   read-only   A program that may only read gets a read-only mapping from this library. On its own
 *               node it is trusted not to go round it; other nodes are protected by the home.
 *   threads     Every function may be called from any thread. A handle must not be closed while
 *               another thread is using it.
 *
 * Consistency  Loads and stores of all programs and nodes are sequentially consistent in a region,
 *              so C11 atomics and lock-free code work between machines as they do on one. A mapping
 *              may ask for less (DSM_RELEASE, dsm_release.h).
 *
 * Errors       Functions return 0 or a negative DSM_E... value; results leave through the last
 *              parameters and are written only on success. dsm_strerror() gives the general text,
 *              dsm_last_error() the sentence that names the thing and says what to do.
 *              Beside its own errors, a function that asks the agent returns DSM_ENOMEM or DSM_ESYS
 *              when this process has no memory or descriptor left for it, or the kernel refuses: it
 *              may be called again then. To unlock, post, unmap and close takes neither.
 */
#ifndef DSM_H
#define DSM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dsm_stats.h"
#include "dsm_type.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Every error of every level: name, value, text. The values travel and never change. */
#define DSM_ERRORS(X)                                                                              \
    X(DSM_EINVAL, -1, "invalid argument")                                                          \
    X(DSM_ENAME, -2, "a name must start with '/', hold no other '/', and have 2 to 255 bytes")     \
    X(DSM_ENOENT, -3, "no object has this name")                                                   \
    X(DSM_EEXIST, -4, "an object of this name exists")                                             \
    X(DSM_EACCES, -5, "permission denied by the object's mode")                                    \
    X(DSM_ESIZE, -6, "the size is 0, too large, or beyond the budget")                             \
    X(DSM_ERANGE, -7, "the range leaves the region")                                               \
    X(DSM_ESTALE, -8, "the handle's object is gone")                                               \
    X(DSM_ETIMEDOUT, -9, "the deadline passed")                                                    \
    X(DSM_EAGAIN, -10, "would block")                                                              \
    X(DSM_EDOWN, -11, "the node that held it is lost")                                             \
    X(DSM_ENOMEM, -12, "out of memory")                                                            \
    X(DSM_ENOAGENT, -13, "no agent answers")                                                       \
    X(DSM_EOWNERDEAD, -14, "the holder of the lock died; the lock is yours, its data is suspect")  \
    X(DSM_EPERM, -15, "not the holder")                                                            \
    X(DSM_EVERSION, -16, "protocol versions differ")                                               \
    X(DSM_EPROTO, -17, "malformed message")                                                        \
    X(DSM_ECERT, -18, "certificate refused")                                                       \
    X(DSM_ESYS, -19, "a system call failed")                                                       \
    X(DSM_EBUSY, -20, "in use")                                                                    \
    X(DSM_EKEEPER, -21, "the catalog's keeper cannot be reached")                                  \
    X(DSM_ECONFIG, -22, "bad configuration")                                                       \
    X(DSM_EOVERFLOW, -23, "the value would overflow")                                              \
    X(DSM_ECANCELED, -24, "cancelled")                                                             \
    X(DSM_ENOTSUP, -25, "not supported here")                                                      \
    X(DSM_ETYPE, -26, "the region has another type")                                               \
    X(DSM_ESEALED, -27, "the region is sealed: its bytes never change again")

enum dsm_error {
#define DSM_ERROR_ENUM(name, value, text) name = value,
    DSM_ERRORS(DSM_ERROR_ENUM)
#undef DSM_ERROR_ENUM
};

/** Bytes of an object's name at most, its '/' included, the final NUL not. */
#define DSM_NAME_MAX 255
/** Region page sizes: powers of two in this range, bytes. */
#define DSM_PAGE_SIZE_MIN 4096u
#define DSM_PAGE_SIZE_MAX (2u << 20)
/** A timeout that never passes. */
#define DSM_FOREVER (-1)

/** Protection of a mapping. */
#define DSM_READ 1
#define DSM_WRITE 2

/** A session with the agent of this node. */
struct dsm;
/** A handle of an open region. */
struct dsm_region;
/** A handle of an open named semaphore. */
struct dsm_sem;

/** Of dsm_shm_options.window_ms: the longest, and none. */
#define DSM_WINDOW_MS_MAX 100u
#define DSM_WINDOW_NONE UINT32_MAX

/** Where the home of each page is. */
enum dsm_home {
    DSM_HOME_CREATOR = 0, /* on the node that created the region */
    DSM_HOME_STRIPED = 1, /* spread in stripes of 64 pages over the nodes alive at creation */
};

/** How a region is made; all zero is the default. */
struct dsm_shm_options {
    uint32_t page_size; /* bytes, power of two, 0 means 4096 */
    uint32_t home;      /* enum dsm_home */
    const char *type;   /* what its bytes are (dsm_type.h), NULL: untyped; borrowed */
    /*
     * A page that is written on one node while another one wants it stays for a while when that has
     * proved to be of use (two writers get more done so); for so long at most, ms, up to
     * DSM_WINDOW_MS_MAX; 0 means 4, DSM_WINDOW_NONE that it goes at once.
     */
    uint32_t window_ms;
};

/** What dsm_shm_stat() tells. */
struct dsm_shm_stat {
    uint64_t size_bytes;
    uint32_t page_size; /* bytes */
    uint32_t mode;      /* permission bits */
    uint32_t uid, gid;  /* owner */
    uint32_t home;      /* enum dsm_home */
    uint32_t slot, generation; /* the region's id */
    uint32_t window_ms; /* as in struct dsm_shm_options */
    char type[DSM_TYPE_MAX + 1]; /* what its bytes are (dsm_type.h), "": untyped */
};

/**
 * The general text of an error.
 *
 * @error a DSM_E... value or 0
 *
 * Returns a static string, never NULL. Any thread; safe in a signal handler.
 */
const char *dsm_strerror(int error);

/**
 * The name of an error, such as "DSM_ENOENT".
 *
 * @error a DSM_E... value or 0
 *
 * Returns a static string, never NULL.
 */
const char *dsm_error_name(int error);

/**
 * Open a session with the agent of this node.
 *
 * @socket_path the agent's socket; NULL means $DSM_SOCKET, else /run/dsm/agent.sock; borrowed
 * @dsm         returned, release with dsm_disconnect()
 *
 * Errors: DSM_ENOAGENT nothing listens there
 *         DSM_EVERSION the agent speaks another version of the session protocol
 *         DSM_EACCES   this user may not open the socket
 *         DSM_ENOMEM, DSM_ESYS
 * Starts one watchdog thread, which blocks all signals. Waits 10 s at most.
 */
int dsm_connect(const char *socket_path, struct dsm **dsm);

/**
 * Close a session: unmaps every mapping of it, closes every handle, releases every lock it holds.
 *
 * @dsm given, or NULL
 */
void dsm_disconnect(struct dsm *dsm);

/**
 * A sentence on the most recent failure of this session, by any thread: names the thing, says what
 * to do.
 *
 * @text       written, always terminated
 * @size_bytes of text, at least 1
 */
void dsm_last_error(struct dsm *dsm, char *text, size_t size_bytes);

/**
 * The name of the node that this session's agent is.
 *
 * Returns a string that lives as long as the session.
 */
const char *dsm_node_name(struct dsm *dsm);

/**
 * Open a region by name, and make it if asked to.
 *
 * @name    '/' and 1 to 254 other bytes without '/', borrowed
 * @oflag   O_RDONLY or O_RDWR, with any of O_CREAT, O_EXCL, O_TRUNC (as in shm_open(3)); O_TRUNC
 *          gives the name a new, empty region, programs that have mapped the old one keep it
 * @mode    permission bits of a new region, lessened by the umask
 * @options of a new region, borrowed, or NULL for the defaults; of a region that exists only the
 *          type counts: where one is given, the region must have been made with the same
 * @region  returned, release with dsm_shm_close()
 *
 * Errors: DSM_ENAME, DSM_EINVAL  bad name, flags, page size, home policy, window or type
 *         DSM_ENOENT  no such region and no O_CREAT
 *         DSM_EEXIST  O_CREAT | O_EXCL and the name is taken
 *         DSM_EACCES  the mode forbids
 *         DSM_ETYPE   the region has another type than options->type, or none
 *         DSM_EKEEPER the catalog's keeper cannot be reached; nothing was made
 *         DSM_ETIMEDOUT, DSM_ENOAGENT, DSM_ENOMEM
 * Blocks for one or two round trips to the catalog's keeper. Source: shm_open(3).
 */
int dsm_shm_open(struct dsm *dsm, const char *name, int oflag, mode_t mode,
                 const struct dsm_shm_options *options, struct dsm_region **region);

/**
 * Set a region's size. A new region has size 0; it may grow, not shrink (O_TRUNC starts anew).
 *
 * @size_bytes at least the present size; rounded up to whole pages when mapped
 *
 * Errors: DSM_EINVAL  smaller than the present size
 *         DSM_ESIZE   0, or beyond what the agent's configuration allows for one region
 *         DSM_EACCES  the handle was opened O_RDONLY
 *         DSM_ESTALE  the region is gone
 *         DSM_EKEEPER, DSM_ETIMEDOUT, DSM_ENOAGENT
 * Source: ftruncate(2).
 */
int dsm_shm_truncate(struct dsm_region *region, uint64_t size_bytes);

/**
 * Tell a region's size and properties, as the catalog has them now.
 *
 * @stat written on success
 *
 * Errors: DSM_ESTALE, DSM_EKEEPER, DSM_ETIMEDOUT, DSM_ENOAGENT
 * Blocks for a round trip to the catalog's keeper. Source: fstat(2).
 */
int dsm_shm_stat(struct dsm_region *region, struct dsm_shm_stat *stat);

/**
 * Map a part of a region.
 *
 * @address    where, replaces nothing that is mapped; or NULL. A multiple of the region's page size
 *             and of this machine's; when offset is none of the latter, plus what is over
 * @offset     bytes, a multiple of the region's page size, whatever this machine's is
 * @len_bytes  at least 1; rounded up to whole pages, of this machine when those are larger
 * @protection DSM_READ, or DSM_READ | DSM_WRITE; either with DSM_RELEASE. Whoever only reads does
 *             well to say so: pages that are on this node already then cost next to nothing
 * @mapped     the address; release with dsm_shm_unmap()
 *
 * Errors: DSM_EINVAL  misaligned address or offset, len_bytes 0, unknown protection or $DSM_FAULTS
 *         DSM_ERANGE  [offset, offset + len_bytes) leaves the region, says the catalog's keeper
 *         DSM_EKEEPER it cannot be reached, and the region has not been as large so far
 *         DSM_ENOTSUP, DSM_EPERM  nothing can serve its faults here, or not what $DSM_FAULTS says
 *         DSM_ENOMEM  too little memory, or more than this program can address: map a part of it
 *         DSM_EACCES  DSM_WRITE through a handle that was opened O_RDONLY
 *         DSM_EBUSY   something is mapped at address
 *         DSM_ESTALE, DSM_ESYS, DSM_ETIMEDOUT, DSM_ENOAGENT
 * The mapping outlives the handle. The same region may be mapped any number of times.
 * No page moves before it is touched. Source: mmap(2), Mach vm_map.
 */
int dsm_shm_map(struct dsm_region *region, void *address, uint64_t offset, uint64_t len_bytes,
                int protection, void **mapped);

/**
 * Remove a whole mapping.
 *
 * @mapped what dsm_shm_map() returned
 *
 * Errors: DSM_EINVAL  nothing of this session is mapped there
 */
int dsm_shm_unmap(struct dsm *dsm, void *mapped);

/**
 * Close a handle. Mappings made through it stay.
 *
 * @region given, or NULL
 *
 * Errors: DSM_ENOAGENT  the agent is gone; the handle is released all the same
 */
int dsm_shm_close(struct dsm_region *region);

/**
 * Remove a region's name at once. Its storage goes when the last program on the last node unmaps
 * it.
 *
 * Errors: DSM_ENAME, DSM_ENOENT, DSM_EACCES (neither owner nor root), DSM_EKEEPER, DSM_ETIMEDOUT,
 *         DSM_ENOAGENT
 * Source: shm_unlink(3).
 */
int dsm_shm_unlink(struct dsm *dsm, const char *name);

/**
 * Copy bytes from a region into this process.
 *
 * @region    its handle must allow reading
 * @offset    bytes from the start of the region, any alignment
 * @to        len_bytes bytes, written
 *
 * Errors: DSM_ERANGE  [offset, offset + len_bytes) leaves the region; nothing was read
 *         DSM_EDOWN   an owner was lost; the bytes before that page were read
 *         DSM_ESTALE, DSM_ENOMEM, DSM_ENOAGENT
 * Blocks until each touched page is here. No signal is raised for a lost page, but by userfaultfd
 * for user mode alone. Source: Mach vm_read.
 */
int dsm_vm_read(struct dsm_region *region, uint64_t offset, void *to, size_t len_bytes);

/**
 * Copy bytes from this process into a region.
 *
 * @region    its handle must allow writing
 * @offset    bytes from the start of the region, any alignment
 * @from      len_bytes bytes, borrowed until return
 *
 * Errors: DSM_ERANGE  [offset, offset + len_bytes) leaves the region; nothing was written
 *         DSM_EACCES  the handle was opened O_RDONLY
 *         DSM_EDOWN   an owner was lost; the bytes before that page are written
 *         DSM_ESTALE, DSM_ENOMEM, DSM_ENOAGENT
 * Blocks until each touched page has been owned here. Source: Mach vm_write; page order is
 * ascending.
 */
int dsm_vm_write(struct dsm_region *region, uint64_t offset, const void *from, size_t len_bytes);

/**
 * Open a named semaphore of the cluster, and make it if asked to.
 *
 * @name  as for dsm_shm_open(); semaphores have a name space of their own
 * @oflag 0, or any of O_CREAT, O_EXCL
 * @mode  permission bits of a new one, lessened by the umask; to use one takes read and write
 * @value of a new one, at most INT32_MAX
 * @sem   returned, release with dsm_sem_close()
 *
 * Errors: DSM_ENAME, DSM_EINVAL, DSM_ENOENT, DSM_EEXIST, DSM_EACCES, DSM_EKEEPER, DSM_ETIMEDOUT,
 *         DSM_ENOAGENT, DSM_ENOMEM
 * Source: sem_open(3).
 */
int dsm_sem_open(struct dsm *dsm, const char *name, int oflag, mode_t mode, uint32_t value,
                 struct dsm_sem **sem);

/**
 * Lower the semaphore by one, waiting until that is possible. Waiters are served in order of
 * arrival.
 *
 * @timeout_ms 0 to try once, DSM_FOREVER to wait without end
 *
 * Errors: DSM_ETIMEDOUT  (DSM_EAGAIN when timeout_ms is 0) it stayed at zero; nothing was taken
 *         DSM_EDOWN      the semaphore's home is lost
 *         DSM_ESTALE, DSM_ENOAGENT
 */
int dsm_sem_wait(struct dsm_sem *sem, int64_t timeout_ms);

/**
 * Raise the semaphore by one, or wake the first waiter.
 *
 * Errors: DSM_EOVERFLOW  it stands at INT32_MAX
 *         DSM_EDOWN, DSM_ESTALE, DSM_ETIMEDOUT, DSM_ENOAGENT
 */
int dsm_sem_post(struct dsm_sem *sem);

/**
 * Read the semaphore's value; it may have changed before you look.
 *
 * @value written on success
 *
 * Errors: DSM_EDOWN, DSM_ESTALE, DSM_ETIMEDOUT, DSM_ENOAGENT
 */
int dsm_sem_value(struct dsm_sem *sem, uint32_t *value);

/**
 * Close a semaphore handle.
 *
 * @sem given, or NULL
 */
int dsm_sem_close(struct dsm_sem *sem);

/**
 * Remove a semaphore's name at once; who has it open keeps it.
 *
 * Errors: as dsm_shm_unlink().
 */
int dsm_sem_unlink(struct dsm *dsm, const char *name);

/**
 * Wait until count_parties callers, anywhere, are at the barrier named by (region, offset).
 *
 * @count_parties at least 1; all callers of one round must give the same number
 * @timeout_ms    DSM_FOREVER to wait without end
 *
 * Errors: DSM_ETIMEDOUT  not all came; this caller no longer counts
 *         DSM_EINVAL     another count_parties than the first of this round gave
 *         DSM_ERANGE, DSM_EACCES, DSM_EDOWN, DSM_ESTALE, DSM_ENOAGENT
 * A party that dies while it waits no longer counts.
 */
int dsm_barrier_wait(struct dsm_region *region, uint64_t offset, uint32_t count_parties,
                     int64_t timeout_ms);

/**
 * Add to a 64-bit integer of the region, atomically with every load and store anywhere.
 *
 * @offset bytes, a multiple of 8
 * @delta  added, modulo 2^64
 * @old    the value before, written on success; may be NULL
 *
 * In a typed region the integer is a u64 or i64 of the type, and each node sees it in its own byte
 * order. In an untyped one it is 8 little-endian bytes on every node: a plain load of it on a
 * big-endian machine needs le64toh().
 *
 * Errors: DSM_EINVAL misaligned, or no u64 or i64 begins there in a typed region
 *         DSM_ERANGE, DSM_EACCES, DSM_EDOWN, DSM_ESTALE, DSM_ETIMEDOUT, DSM_ENOAGENT
 * Done at the page's home: many nodes adding make no page travel. A node that adds alone is faster
 * with C11 atomics on its mapping.
 */
int dsm_fetch_add(struct dsm_region *region, uint64_t offset, uint64_t delta, uint64_t *old);

/**
 * Replace a 64-bit integer of the region if it has the expected value, atomically as
 * dsm_fetch_add().
 *
 * @expected the value that it must have
 * @desired  the value that it gets then
 * @old      the value before, written on success; the swap took place if it equals expected
 *
 * Errors: as dsm_fetch_add().
 */
int dsm_compare_swap(struct dsm_region *region, uint64_t offset, uint64_t expected,
                     uint64_t desired, uint64_t *old);

#ifdef __cplusplus
}
#endif
#include "dsm_io.h"
#include "dsm_mutex.h"
#include "dsm_release.h"
#endif
