/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/log.h"
#include "dsm.h"
#include "net/codec.h"

#define BACKLOG 128

/* What failed on which path, and why. */
static int say(char *text, const char *what, const char *path, const char *why)
{
    snprintf(text, TEXT_BYTES_MAX, "%s %s: %s", what, path, why);
    return DSM_ESYS;
}

static int make_parent(const char *path, char *text)
{
    char parent[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (slash == NULL || slash == parent) {
        return 0;
    }
    *slash = '\0';
    if (mkdir(parent, 0755) != 0 && errno != EEXIST) {
        return say(text, "cannot make the socket's directory", parent, strerror(errno));
    }
    return 0;
}

static int take_lock(const char *path, int *lock, char *text)
{
    char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + sizeof(".lock")];
    int fd;

    snprintf(name, sizeof(name), "%s.lock", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return say(text, "cannot open", name, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int number = errno;

        close(fd);
        if (number != EWOULDBLOCK) {
            return say(text, "cannot lock", name, strerror(number));
        }
        snprintf(text, TEXT_BYTES_MAX,
                 "another agent uses the socket %s: stop it, or give this one another socket",
                 path);
        return DSM_EBUSY;
    }
    *lock = fd;
    return 0;
}

/* Remove what is at the path if it is a socket at which nobody listens. */
static int remove_stale(int fd, const struct sockaddr_un *address, char *text)
{
    const char *path = address->sun_path;
    struct stat status;

    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? 0 : say(text, "cannot look at", path, strerror(errno));
    }
    if (!S_ISSOCK(status.st_mode)) {
        return say(text, "will not replace", path, "it is not a socket");
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
        errno != ECONNREFUSED) {
        snprintf(text, TEXT_BYTES_MAX,
                 "something listens at the socket %s: stop it, or give this agent another socket",
                 path);
        return DSM_EBUSY;
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return say(text, "cannot remove the stale socket", path, strerror(errno));
    }
    return 0;
}

/* A descriptor that a connect() was tried with cannot listen, so the probe has its own. */
static int probe(const struct sockaddr_un *address, char *text)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (fd < 0) {
        return say(text, "no socket for", address->sun_path, strerror(errno));
    }
    error = remove_stale(fd, address, text);
    close(fd);
    return error;
}

static int bind_and_listen(const struct sockaddr_un *address, int *fd, char *text)
{
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (made < 0) {
        return say(text, "no socket for", address->sun_path, strerror(errno));
    }
    if (bind(made, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        error = say(text, "cannot make the socket", address->sun_path, strerror(errno));
        close(made);
        return error;
    }
    if (chmod(address->sun_path, 0666) != 0 || listen(made, BACKLOG) != 0) {
        error = say(text, "cannot listen at", address->sun_path, strerror(errno));
        close(made);
        unlink(address->sun_path);
        return error;
    }
    *fd = made;
    return 0;
}

int local_socket_listen(const char *path, int *fd, int *lock, char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error;

    if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
        return say(text, "not usable as a socket's path:", path, "it must have 1 to 107 bytes");
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    error = make_parent(path, text);
    if (error != 0) {
        return error;
    }
    error = take_lock(path, lock, text);
    if (error != 0) {
        return error;
    }
    error = probe(&address, text);
    if (error == 0) {
        error = bind_and_listen(&address, fd, text);
    }
    if (error != 0) {
        close(*lock);
        *lock = -1;
    }
    return error;
}

void local_socket_close(const char *path, int fd, int lock)
{
    unlink(path);
    close(fd);
    close(lock); /* The file stays: who removed it could remove another agent's. */
}

/* All groups, of which the first CREDENTIAL_GROUPS_MAX count. */
static int read_groups(int fd, struct credential *credential)
{
    socklen_t len = 0;
    gid_t *groups;
    uint32_t count;

    /* The kernel tells the room that it needs; none at all means no groups. So do those that it is
     * silent about, as under an emulator: who has no groups may do less, never more. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE ||
        len == 0) {
        return len == 0 ? 0 : DSM_ESYS;
    }
    groups = malloc(len);
    if (groups == NULL) {
        return DSM_ENOMEM;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0) {
        free(groups);
        return DSM_ESYS;
    }
    count = (uint32_t)(len / sizeof(gid_t));
    if (count > CREDENTIAL_GROUPS_MAX) {
        log_line(LOG_LEVEL_WARNING, "clients: only %u groups of a user count uid=%u groups=%u",
                 CREDENTIAL_GROUPS_MAX, credential->uid, count);
        count = CREDENTIAL_GROUPS_MAX;
    }
    for (uint32_t at = 0; at < count; at++) {
        credential->groups[at] = groups[at];
    }
    credential->count_groups = count;
    free(groups);
    return 0;
}

int local_socket_credential(int fd, struct credential *credential)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return DSM_ESYS;
    }
    memset(credential, 0, sizeof(*credential));
    credential->uid = peer.uid;
    credential->gid = peer.gid;
    return read_groups(fd, credential);
}

int local_socket_process(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int process = -1;
    socklen_t process_len = sizeof(process);

    /* Newer than the headers of Debian 12 (Linux 6.5): tells of the very process that connected. */
    if (getsockopt(fd, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &process, &process_len) == 0) {
        return process;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.pid <= 0) {
        return -1;
    }
    return (int)syscall(SYS_pidfd_open, peer.pid, 0);
}
