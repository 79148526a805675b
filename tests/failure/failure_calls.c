/* SPDX-License-Identifier: Apache-2.0 */
/* System calls and what wraps them; threads, and syscall() itself, are in failure_threads.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/failure/failure_state.h"

#define TRANSFERS (FAILURE_TRANSFER | FAILURE_INTERRUPT | FAILURE_AGAIN)

/** One that fails with a value and errno. `own` as for failure_take(). */
#define CALL(type, failed, name, parameters, arguments, kinds, own)                                \
    type name parameters                                                                           \
    {                                                                                              \
        int number = failure_take(#name, (kinds), (own));                                          \
                                                                                                   \
        if (number != 0) {                                                                         \
            errno = number;                                                                        \
            return (failed);                                                                       \
        }                                                                                          \
        return REAL(name) arguments;                                                               \
    }

/** One of a stream of bytes, which may be short. `len_bytes` is its length. */
#define STREAM(name, parameters, arguments, kinds, own)                                            \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        int number = failure_take(#name, (kinds) | (len_bytes > 1 ? FAILURE_SHORT : 0), (own));    \
                                                                                                   \
        if (number == FAILURE_TAKE_SHORT) {                                                        \
            len_bytes = len_bytes / 2;                                                             \
        } else if (number != 0) {                                                                  \
            errno = number;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
        return REAL(name) arguments;                                                               \
    }

/** The same with parts: the first of several, or half of the only one. */
#define PARTS(name, parameters, arguments, kinds)                                                  \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        bool may_be_short = count_parts > 1 || (count_parts == 1 && parts->iov_len > 1);           \
        int number = failure_take(#name, (kinds) | (may_be_short ? FAILURE_SHORT : 0), EIO);       \
        struct iovec part;                                                                         \
                                                                                                   \
        if (number == FAILURE_TAKE_SHORT) {                                                        \
            part = parts[0];                                                                       \
            part.iov_len = count_parts > 1 ? part.iov_len : part.iov_len / 2;                      \
            parts = &part;                                                                         \
            count_parts = 1;                                                                       \
        } else if (number != 0) {                                                                  \
            errno = number;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
        return REAL(name) arguments;                                                               \
    }

/* ---- What makes a descriptor. ---- */

CALL(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol),
     FAILURE_DESCRIPTOR, 0)
CALL(int, -1, socketpair, (int domain, int type, int protocol, int ends[2]),
     (domain, type, protocol, ends), FAILURE_DESCRIPTOR, 0)
CALL(int, -1, accept, (int fd, __SOCKADDR_ARG address, socklen_t *len_bytes),
     (fd, address, len_bytes), FAILURE_DESCRIPTOR | TRANSFERS, ECONNABORTED)
CALL(int, -1, accept4, (int fd, __SOCKADDR_ARG address, socklen_t *len_bytes, int flags),
     (fd, address, len_bytes, flags), FAILURE_DESCRIPTOR | TRANSFERS, ECONNABORTED)
CALL(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags), FAILURE_DESCRIPTOR,
     0)
CALL(int, -1, eventfd, (unsigned value, int flags), (value, flags), FAILURE_DESCRIPTOR, 0)
CALL(int, -1, timerfd_create, (int clock, int flags), (clock, flags), FAILURE_DESCRIPTOR, 0)
CALL(int, -1, inotify_init1, (int flags), (flags), FAILURE_DESCRIPTOR, 0)
CALL(int, -1, epoll_create1, (int flags), (flags), FAILURE_DESCRIPTOR, 0)
CALL(int, -1, pipe2, (int ends[2], int flags), (ends, flags), FAILURE_DESCRIPTOR, 0)
CALL(int, -1, dup, (int fd), (fd), FAILURE_DESCRIPTOR, 0)
CALL(int, -1, mkstemp, (char *path), (path), FAILURE_DESCRIPTOR | FAILURE_FILE, EIO)
CALL(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode),
     FAILURE_DESCRIPTOR | FAILURE_FILE, EIO)
CALL(FILE *, NULL, fopen64, (const char *path, const char *mode), (path, mode),
     FAILURE_DESCRIPTOR | FAILURE_FILE, EIO)
CALL(DIR *, NULL, opendir, (const char *path), (path), FAILURE_DESCRIPTOR | FAILURE_FILE, EIO)

/** The argument after the flags, if they take one. */
#define OPEN(name, parameters, arguments)                                                          \
    int name parameters                                                                            \
    {                                                                                              \
        int number = failure_take(#name, FAILURE_DESCRIPTOR | FAILURE_FILE, EIO);                  \
        mode_t mode = 0;                                                                           \
        va_list rest;                                                                              \
                                                                                                   \
        if (number != 0) {                                                                         \
            errno = number;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
        if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {                          \
            va_start(rest, flags);                                                                 \
            mode = va_arg(rest, mode_t);                                                           \
            va_end(rest);                                                                          \
        }                                                                                          \
        return REAL(name) arguments;                                                               \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

/* ---- Mappings. ---- */

static int64_t pages_up(size_t len_bytes)
{
    int64_t page = sysconf(_SC_PAGESIZE);

    return ((int64_t)len_bytes + page - 1) / page * page;
}

/** One that replaces what was there gives nothing new. */
#define MAP(name, type)                                                                            \
    void *name(void *address, size_t len_bytes, int protection, int flags, int fd, type offset)    \
    {                                                                                              \
        int number = failure_take(#name, FAILURE_MAPPING, 0);                                      \
        void *mapped;                                                                              \
                                                                                                   \
        if (number != 0) {                                                                         \
            errno = number;                                                                        \
            return MAP_FAILED;                                                                     \
        }                                                                                          \
        mapped = REAL(name)(address, len_bytes, protection, flags, fd, offset);                    \
        if (mapped != MAP_FAILED && (flags & MAP_FIXED) == 0 && !failure_is_exempt()) {            \
            failure_map_note(pages_up(len_bytes));                                                 \
        }                                                                                          \
        return mapped;                                                                             \
    }

MAP(mmap, off_t)
MAP(mmap64, off64_t)

int munmap(void *address, size_t len_bytes)
{
    int error = REAL(munmap)(address, len_bytes);

    if (error == 0 && !failure_is_exempt()) {
        failure_map_note(-pages_up(len_bytes));
    }
    return error;
}

CALL(int, -1, mprotect, (void *address, size_t len_bytes, int protection),
     (address, len_bytes, protection), FAILURE_MAPPING, 0)
CALL(int, -1, madvise, (void *address, size_t len_bytes, int advice), (address, len_bytes, advice),
     FAILURE_MAPPING, 0)

/* ---- Bytes. ---- */

STREAM(read, (int fd, void *bytes, size_t len_bytes), (fd, bytes, len_bytes), TRANSFERS, EIO)
STREAM(pread, (int fd, void *bytes, size_t len_bytes, off_t offset), (fd, bytes, len_bytes, offset),
       FAILURE_TRANSFER | FAILURE_INTERRUPT, EIO)
STREAM(pread64, (int fd, void *bytes, size_t len_bytes, off64_t offset),
       (fd, bytes, len_bytes, offset), FAILURE_TRANSFER | FAILURE_INTERRUPT, EIO)
STREAM(write, (int fd, const void *bytes, size_t len_bytes), (fd, bytes, len_bytes),
       TRANSFERS | FAILURE_SPACE, EIO)
STREAM(pwrite, (int fd, const void *bytes, size_t len_bytes, off_t offset),
       (fd, bytes, len_bytes, offset), FAILURE_TRANSFER | FAILURE_INTERRUPT | FAILURE_SPACE, EIO)
STREAM(pwrite64, (int fd, const void *bytes, size_t len_bytes, off64_t offset),
       (fd, bytes, len_bytes, offset), FAILURE_TRANSFER | FAILURE_INTERRUPT | FAILURE_SPACE, EIO)
PARTS(readv, (int fd, const struct iovec *parts, int count_parts), (fd, parts, count_parts),
      TRANSFERS)
PARTS(writev, (int fd, const struct iovec *parts, int count_parts), (fd, parts, count_parts),
      TRANSFERS | FAILURE_SPACE)

/** Sockets of packets are never short, so these are not either. */
CALL(ssize_t, -1, send, (int fd, const void *bytes, size_t len_bytes, int flags),
     (fd, bytes, len_bytes, flags), TRANSFERS, ECONNRESET)
CALL(ssize_t, -1, sendto,
     (int fd, const void *bytes, size_t len_bytes, int flags, __CONST_SOCKADDR_ARG to,
      socklen_t to_bytes),
     (fd, bytes, len_bytes, flags, to, to_bytes), TRANSFERS, ECONNRESET)
CALL(ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
     TRANSFERS, ECONNRESET)
CALL(ssize_t, -1, recv, (int fd, void *bytes, size_t len_bytes, int flags),
     (fd, bytes, len_bytes, flags), TRANSFERS, ECONNRESET)

/* A descriptor that is passed is lost, as when the process has no room for it. */
static void drop_descriptors(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    const int *passed;
    size_t count;

    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        failure_take("recvmsg", FAILURE_DESCRIPTOR, 0) == 0) {
        return;
    }
    passed = (const int *)(const void *)CMSG_DATA(header);
    count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        (void)close(passed[i]);
    }
    message->msg_controllen = 0;
    message->msg_flags |= MSG_CTRUNC;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    int number = failure_take("recvmsg", TRANSFERS, ECONNRESET);
    ssize_t len;

    if (number != 0) {
        errno = number;
        return -1;
    }
    len = REAL(recvmsg)(fd, message, flags);
    if (len >= 0) {
        drop_descriptors(message);
    }
    return len;
}

CALL(int, -1, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t len_bytes),
     (fd, address, len_bytes), TRANSFERS, ECONNREFUSED)
CALL(int, -1, poll, (struct pollfd * fds, nfds_t count, int timeout_ms), (fds, count, timeout_ms),
     FAILURE_TRANSFER | FAILURE_INTERRUPT, ENOMEM)
CALL(int, -1, epoll_wait, (int fd, struct epoll_event *events, int count, int timeout_ms),
     (fd, events, count, timeout_ms), FAILURE_INTERRUPT, 0)
CALL(int, -1, epoll_pwait,
     (int fd, struct epoll_event *events, int count, int timeout_ms, const sigset_t *mask),
     (fd, events, count, timeout_ms, mask), FAILURE_INTERRUPT, 0)
CALL(ssize_t, -1, getrandom, (void *bytes, size_t len_bytes, unsigned flags),
     (bytes, len_bytes, flags), FAILURE_INTERRUPT, 0)

ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long count_local,
                         const struct iovec *remote, unsigned long count_remote,
                         unsigned long flags)
{
    int number = failure_forbids_copies()
                     ? EPERM
                     : failure_take("process_vm_readv", FAILURE_COPY | FAILURE_INTERRUPT, 0);

    if (number != 0) {
        errno = number;
        return -1;
    }
    return REAL(process_vm_readv)(pid, local, count_local, remote, count_remote, flags);
}

/* ---- Settings of descriptors. ---- */

int ioctl(int fd, unsigned long request, ...)
{
    uint32_t kinds = request == USERFAULTFD_IOC_NEW ? FAILURE_DESCRIPTOR : FAILURE_CONTROL;
    int number = failure_take("ioctl", kinds, EINVAL);
    void *argument;
    va_list rest;

    if (number != 0) {
        errno = number;
        return -1;
    }
    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    return REAL(ioctl)(fd, request, argument);
}

/** Every one takes a word, or none and does not look. */
#define FCNTL(name)                                                                                \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        uint32_t kinds = command == F_DUPFD_CLOEXEC || command == F_DUPFD ? FAILURE_DESCRIPTOR     \
                                                                          : FAILURE_CONTROL;       \
        int number = failure_take(#name, kinds, EINVAL);                                           \
        void *argument;                                                                            \
        va_list rest;                                                                              \
                                                                                                   \
        if (number != 0) {                                                                         \
            errno = number;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
        va_start(rest, command);                                                                   \
        argument = va_arg(rest, void *);                                                           \
        va_end(rest);                                                                              \
        return REAL(name)(fd, command, argument);                                                  \
    }

FCNTL(fcntl)
FCNTL(fcntl64)

CALL(int, -1, setsockopt, (int fd, int level, int name, const void *value, socklen_t len_bytes),
     (fd, level, name, value, len_bytes), FAILURE_CONTROL, EINVAL)
CALL(int, -1, getsockopt, (int fd, int level, int name, void *value, socklen_t *len_bytes),
     (fd, level, name, value, len_bytes), FAILURE_CONTROL, EINVAL)
CALL(int, -1, bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t len_bytes),
     (fd, address, len_bytes), FAILURE_CONTROL, EADDRINUSE)
CALL(int, -1, listen, (int fd, int backlog), (fd, backlog), FAILURE_CONTROL, EADDRINUSE)
CALL(int, -1, shutdown, (int fd, int how), (fd, how), FAILURE_CONTROL, ENOTCONN)
CALL(int, -1, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *event),
     (epoll, op, fd, event), FAILURE_CONTROL, ENOMEM)
CALL(int, -1, timerfd_settime,
     (int fd, int flags, const struct itimerspec *new, struct itimerspec *old),
     (fd, flags, new, old), FAILURE_CONTROL, EINVAL)
CALL(int, -1, flock, (int fd, int how), (fd, how), FAILURE_CONTROL | FAILURE_INTERRUPT, ENOLCK)

/* ---- Files. ---- */

CALL(int, -1, fsync, (int fd), (fd), FAILURE_SYNC | FAILURE_SPACE, 0)
CALL(int, -1, fdatasync, (int fd), (fd), FAILURE_SYNC | FAILURE_SPACE, 0)
CALL(int, -1, ftruncate, (int fd, off_t len_bytes), (fd, len_bytes),
     FAILURE_SPACE | FAILURE_INTERRUPT | FAILURE_FILE, EIO)
CALL(int, -1, ftruncate64, (int fd, off64_t len_bytes), (fd, len_bytes),
     FAILURE_SPACE | FAILURE_INTERRUPT | FAILURE_FILE, EIO)
CALL(int, -1, fallocate, (int fd, int mode, off_t offset, off_t len_bytes),
     (fd, mode, offset, len_bytes), FAILURE_SPACE | FAILURE_INTERRUPT | FAILURE_FILE, EIO)
CALL(int, -1, stat, (const char *path, struct stat *into), (path, into), FAILURE_FILE, EIO)
CALL(int, -1, stat64, (const char *path, struct stat64 *into), (path, into), FAILURE_FILE, EIO)
CALL(int, -1, lstat, (const char *path, struct stat *into), (path, into), FAILURE_FILE, EIO)
CALL(int, -1, lstat64, (const char *path, struct stat64 *into), (path, into), FAILURE_FILE, EIO)
CALL(int, -1, fstat, (int fd, struct stat *into), (fd, into), FAILURE_FILE, EIO)
CALL(int, -1, fstat64, (int fd, struct stat64 *into), (fd, into), FAILURE_FILE, EIO)
CALL(int, -1, rename, (const char *from, const char *to), (from, to), FAILURE_FILE | FAILURE_SPACE,
     EIO)
CALL(int, -1, link, (const char *from, const char *to), (from, to), FAILURE_FILE | FAILURE_SPACE,
     EIO)
CALL(int, -1, unlink, (const char *path), (path), FAILURE_FILE, EIO)
CALL(int, -1, rmdir, (const char *path), (path), FAILURE_FILE, EIO)
CALL(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), FAILURE_FILE | FAILURE_SPACE,
     EIO)
CALL(int, -1, chmod, (const char *path, mode_t mode), (path, mode), FAILURE_FILE, EIO)
CALL(int, -1, fchmod, (int fd, mode_t mode), (fd, mode), FAILURE_FILE, EIO)
CALL(int, -1, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), FAILURE_FILE, EIO)
CALL(int, -1, statvfs, (const char *path, struct statvfs *into), (path, into), FAILURE_FILE, EIO)
CALL(char *, NULL, realpath, (const char *path, char *resolved), (path, resolved), FAILURE_FILE,
     EIO)
CALL(ssize_t, -1, readlink, (const char *path, char *text, size_t size_bytes),
     (path, text, size_bytes), FAILURE_FILE, EIO)
CALL(int, EOF, fflush, (FILE * file), (file), FAILURE_SPACE | FAILURE_FILE, EIO)

/* It is closed, whatever it says. */
int fclose(FILE *file)
{
    int number = failure_take("fclose", FAILURE_SPACE | FAILURE_FILE, EIO);
    int error = REAL(fclose)(file);

    if (number != 0) {
        errno = number;
        return EOF;
    }
    return error;
}
