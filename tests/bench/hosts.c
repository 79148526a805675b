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

#include "tests/bench/network.h"
#include "tests/bench/process.h"

#define READY_MS 20000
#define STEP_MS 20
#define NAME_BYTES 16

static int fail(const char *what)
{
    fprintf(stderr, "dsm-bench: %s: %s\n", what, strerror(errno));
    return -1;
}

static void host_name(unsigned i, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "bench-%c", 'a' + (int)i);
}

static void host_directory(const struct hosts *hosts, unsigned i, char directory[PATH_BYTES])
{
    snprintf(directory, PATH_BYTES, "%s/%c", hosts->directory, 'a' + (int)i);
}

static int need_program(const char *name, char path[PATH_MAX])
{
    if (find_program(name, path, PATH_MAX)) {
        return 0;
    }
    fprintf(stderr, "dsm-bench: there is no %s in this build, beside this program or in PATH\n",
            name);
    return -1;
}

/* The first host's configuration comes with the authority; the others' are issued by it. */
static int make_certificate(struct hosts *hosts, unsigned i)
{
    char dsmctl[PATH_MAX], directory[PATH_BYTES], first[PATH_BYTES], name[NAME_BYTES];
    char address[ADDRESS_BYTES], listen[32];
    struct host *host = &hosts->host[i];

    network_address(i, address);
    snprintf(listen, sizeof(listen), "%s:7400", address);
    host_name(i, name);
    host_directory(hosts, i, directory);
    host_directory(hosts, 0, first);
    snprintf(host->socket, sizeof(host->socket), "%.200s/agent.sock", directory);
    const char *const init[] = {"init",      directory,    "--name",      name,
                                "--address", listen,       "--state-dir", directory,
                                "--socket",  host->socket, NULL};
    const char *const add[] = {"node",    "add",      name,         "--config", first,
                               "--out",   directory,  "--address",  listen,     "--state-dir",
                               directory, "--socket", host->socket, NULL};
    const char *argv[16] = {dsmctl};
    const char *const *words = i == 0 ? init : add;
    for (int k = 0; words[k]; k++) {
        argv[k + 1] = words[k];
    }
    return need_program("dsmctl", dsmctl) || run_program(argv, -1, true) ? -1 : 0;
}

static int start_agent(struct hosts *hosts, unsigned i, unsigned spin_us)
{
    struct host *host = &hosts->host[i];
    char agent[PATH_MAX], config[PATH_BYTES], log[PATH_BYTES], spin[16];

    snprintf(config, sizeof(config), "%s/%c/agent.ini", hosts->directory, 'a' + (int)i);
    snprintf(log, sizeof(log), "%s/%c/agent.log", hosts->directory, 'a' + (int)i);
    snprintf(spin, sizeof(spin), "%u", spin_us);
    const char *const argv[] = {agent, "--config", config, "--spin-us", spin, NULL};
    if (need_program("dsm-agent", agent) || start_program(argv, host->netns, log, &host->agent)) {
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

    for (unsigned i = 0; i < hosts->count; i++) {
        const struct host *host = &hosts->host[i];

        while (!agent_is_ready(host)) {
            if (child_has_ended(host->agent) || clock_us() > end_us) {
                fprintf(stderr, "dsm-bench: the agent of host %c %s\n", 'a' + (int)i,
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

static int hosts_init(struct hosts *hosts, unsigned count, int signals_fd)
{
    *hosts = (struct hosts){.count = count, .signals_fd = signals_fd};
    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        hosts->host[i].netns = -1;
    }
    snprintf(hosts->directory, sizeof(hosts->directory), "/tmp/dsm-bench-XXXXXX");
    if (!mkdtemp(hosts->directory)) {
        hosts->directory[0] = 0;
        return fail("/tmp");
    }
    for (unsigned i = 0; i < count; i++) {
        if (make_certificate(hosts, i)) {
            return -1;
        }
    }
    return 0;
}

static int make_network(struct hosts *hosts)
{
    int netns[HOSTS_MAX];
    int error = network_open(netns, hosts->count);

    for (unsigned i = 0; i < hosts->count; i++) {
        hosts->host[i].netns = netns[i];
    }
    return error;
}

int hosts_open_local(struct hosts *hosts, unsigned count, unsigned spin_us, int signals_fd)
{
    int error = hosts_init(hosts, count, signals_fd) || make_network(hosts);

    for (unsigned i = 0; i < count && !error; i++) {
        error = start_agent(hosts, i, spin_us);
    }
    if (error || wait_ready(hosts)) {
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

int hosts_open_sockets(struct hosts *hosts, const char *const *sockets, unsigned count,
                       int signals_fd)
{
    struct stat first, other;
    int error = hosts_init(hosts, count, signals_fd);

    for (unsigned i = 0; i < count && !error; i++) {
        error = find_agent(&hosts->host[i], sockets[i]);
    }
    if (error) {
        hosts_close(hosts, false);
        return -1;
    }
    hosts->one_network = fstat(hosts->host[0].netns, &first) ||
                         fstat(hosts->host[1].netns, &other) || first.st_ino == other.st_ino;
    return 0;
}

static void print_log(const struct hosts *hosts, unsigned i)
{
    char path[PATH_BYTES], line[512];

    snprintf(path, sizeof(path), "%s/%c/agent.log", hosts->directory, 'a' + (int)i);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        fprintf(stderr, "  host %c: %s", 'a' + (int)i, line);
    }
    if (file) {
        fclose(file);
    }
}

void hosts_close(struct hosts *hosts, bool failed)
{
    for (unsigned i = hosts->count; i-- > 0;) {
        struct host *host = &hosts->host[i];

        if (host->is_child) {
            int status = end_child(host->agent);

            if (status != 0) {
                fprintf(stderr, "dsm-bench: the agent of host %c ended with status %#x\n",
                        'a' + (int)i, (unsigned)status);
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
