/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/process.h"

#define READY_MS 20000
#define STEP_MS 20

static const char *const names[2] = {"bench-a", "bench-b"};
static const char *const addresses[2] = {"10.98.0.1", "10.98.0.2"};

static int fail(const char *what)
{
    fprintf(stderr, "dsm-bench: %s: %s\n", what, strerror(errno));
    return -1;
}

/* A program of this build, found from where this one lies: build/tests/dsm-bench. */
static int find_program(const char *name, char path[PATH_MAX])
{
    char self[PATH_MAX - 32];
    ssize_t len_bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len_bytes <= 0) {
        return fail("/proc/self/exe");
    }
    self[len_bytes] = 0;
    *strrchr(self, '/') = 0;
    snprintf(path, PATH_MAX, "%s/../agent/%s", self, name);
    if (access(path, X_OK)) {
        /* Installed: beside this program, or wherever the shell would find it. */
        snprintf(path, PATH_MAX, "%s/%s", self, name);
    }
    if (access(path, X_OK)) {
        snprintf(path, PATH_MAX, "%s", name);
    }
    return 0;
}

/* An authority, and each host's certificate and configuration, in directories "a" and "b". */
static int make_certificates(struct hosts *hosts)
{
    char dsmctl[PATH_MAX], directories[2][PATH_BYTES], address[2][32];

    if (find_program("dsmctl", dsmctl)) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        struct host *host = &hosts->host[i];

        snprintf(directories[i], PATH_BYTES, "%s/%c", hosts->directory, 'a' + i);
        snprintf(host->socket, sizeof(host->socket), "%s/%c/agent.sock", hosts->directory, 'a' + i);
        snprintf(address[i], sizeof(address[i]), "%s:7400", addresses[i]);
    }
    const char *const init[] = {dsmctl,
                                "init",
                                directories[0],
                                "--name",
                                names[0],
                                "--address",
                                address[0],
                                "--state-dir",
                                directories[0],
                                "--socket",
                                hosts->host[0].socket,
                                NULL};
    const char *const add[] = {dsmctl,        "node",
                               "add",         names[1],
                               "--config",    directories[0],
                               "--out",       directories[1],
                               "--address",   address[1],
                               "--state-dir", directories[1],
                               "--socket",    hosts->host[1].socket,
                               NULL};
    return run_program(init, -1, true) || run_program(add, -1, true) ? -1 : 0;
}

/* A network namespace without a name: it lives as long as the descriptor and its processes. */
static int new_namespace(void)
{
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), made = -1;

    if (own < 0) {
        return fail("/proc/self/ns/net");
    }
    if (unshare(CLONE_NEWNET)) {
        fprintf(stderr, "dsm-bench: --local makes network namespaces, which takes root: %s\n",
                strerror(errno));
    } else {
        made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (setns(own, CLONE_NEWNET)) {
            fail("setns");
            close(made);
            made = -1;
        }
    }
    close(own);
    return made;
}

static int make_network(struct hosts *hosts)
{
    char other[64];

    for (int i = 0; i < 2; i++) {
        hosts->host[i].netns = new_namespace();
        if (hosts->host[i].netns < 0) {
            return -1;
        }
    }
    snprintf(other, sizeof(other), "/proc/%d/fd/%d", (int)getpid(), hosts->host[1].netns);
    const char *const veth[] = {"ip",   "link", "add",   "veth0", "type", "veth",
                                "peer", "name", "veth0", "netns", other,  NULL};
    if (run_program(veth, hosts->host[0].netns, false)) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        char address[32];
        int netns = hosts->host[i].netns;

        snprintf(address, sizeof(address), "%s/24", addresses[i]);
        const char *const add[] = {"ip", "address", "add", address, "dev", "veth0", NULL};
        const char *const up[] = {"ip", "link", "set", "veth0", "up", NULL};
        const char *const lo[] = {"ip", "link", "set", "lo", "up", NULL};
        if (run_program(add, netns, false) || run_program(up, netns, false) ||
            run_program(lo, netns, false)) {
            return -1;
        }
    }
    return 0;
}

static int start_agent(struct hosts *hosts, int i, unsigned spin_us)
{
    struct host *host = &hosts->host[i];
    char agent[PATH_MAX], config[PATH_BYTES], log[PATH_BYTES], spin[16];

    snprintf(config, sizeof(config), "%s/%c/agent.ini", hosts->directory, 'a' + i);
    snprintf(log, sizeof(log), "%s/%c/agent.log", hosts->directory, 'a' + i);
    snprintf(spin, sizeof(spin), "%u", spin_us);
    const char *const argv[] = {agent, "--config", config, "--spin-us", spin, NULL};
    if (find_program("dsm-agent", agent) || start_program(argv, host->netns, log, &host->agent)) {
        return -1;
    }
    host->is_child = true;
    return 0;
}

/* Is the agent a member, with the catalog at hand? An open of what does not exist says so. */
static bool agent_is_ready(const struct host *host)
{
    struct dsm_region *region = NULL;
    struct dsm *dsm = NULL;

    if (access(host->socket, F_OK) || dsm_connect(host->socket, &dsm)) {
        return false;
    }
    int error = dsm_shm_open(dsm, "/dsm-bench-none", O_RDONLY, 0, NULL, &region);
    dsm_disconnect(dsm);
    return error == DSM_ENOENT;
}

static int wait_ready(struct hosts *hosts)
{
    double end_us = clock_us() + READY_MS * 1e3;

    for (int i = 0; i < 2; i++) {
        const struct host *host = &hosts->host[i];

        while (!agent_is_ready(host)) {
            if (child_has_ended(host->agent) || clock_us() > end_us) {
                fprintf(stderr, "dsm-bench: the agent of %s %s\n", names[i],
                        child_has_ended(host->agent) ? "has ended" : "does not become ready");
                return -1;
            }
            if (wait_readable(-1, hosts->signals_fd, STEP_MS) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int hosts_init(struct hosts *hosts, int signals_fd)
{
    *hosts = (struct hosts){.signals_fd = signals_fd};
    hosts->host[0].netns = hosts->host[1].netns = -1;
    snprintf(hosts->directory, sizeof(hosts->directory), "/tmp/dsm-bench-XXXXXX");
    if (!mkdtemp(hosts->directory)) {
        hosts->directory[0] = 0;
        return fail("/tmp");
    }
    return 0;
}

int hosts_open_local(struct hosts *hosts, unsigned spin_us, int signals_fd)
{
    if (hosts_init(hosts, signals_fd) || make_certificates(hosts) || make_network(hosts) ||
        start_agent(hosts, 0, spin_us) || start_agent(hosts, 1, spin_us) || wait_ready(hosts)) {
        hosts_close(hosts, true);
        return -1;
    }
    return 0;
}

/* Who listens at the socket, and in which network namespace. */
static int find_agent(struct host *host, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred credential = {0};
    socklen_t len_bytes = sizeof(credential);
    char namespace[64];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), error = -1;

    snprintf(host->socket, sizeof(host->socket), "%s", path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credential, &len_bytes)) {
        fail(path);
    } else {
        host->agent = credential.pid;
        snprintf(namespace, sizeof(namespace), "/proc/%d/ns/net", (int)credential.pid);
        host->netns = open(namespace, O_RDONLY | O_CLOEXEC);
        error = 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return error;
}

int hosts_open_sockets(struct hosts *hosts, const char *socket_a, const char *socket_b,
                       int signals_fd)
{
    struct stat a, b;

    if (hosts_init(hosts, signals_fd) || make_certificates(hosts) ||
        find_agent(&hosts->host[0], socket_a) || find_agent(&hosts->host[1], socket_b)) {
        hosts_close(hosts, false);
        return -1;
    }
    if (fstat(hosts->host[0].netns, &a) || fstat(hosts->host[1].netns, &b) ||
        a.st_ino == b.st_ino) {
        hosts->one_network = true;
    }
    return 0;
}

static void print_log(const struct hosts *hosts, int i)
{
    char path[PATH_BYTES], line[512];

    snprintf(path, sizeof(path), "%s/%c/agent.log", hosts->directory, 'a' + i);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        fprintf(stderr, "  %s: %s", names[i], line);
    }
    if (file) {
        fclose(file);
    }
}

void hosts_close(struct hosts *hosts, bool failed)
{
    for (int i = 1; i >= 0; i--) {
        struct host *host = &hosts->host[i];

        if (host->is_child) {
            int status = end_child(host->agent);

            if (status != 0) {
                fprintf(stderr, "dsm-bench: the agent of %s ended with status %#x\n", names[i],
                        (unsigned)status);
                failed = true;
            }
            if (failed) {
                print_log(hosts, i);
            }
        }
        if (host->netns >= 0) {
            close(host->netns);
            host->netns = -1;
        }
    }
    if (hosts->directory[0]) {
        remove_tree(hosts->directory);
        hosts->directory[0] = 0;
    }
}
