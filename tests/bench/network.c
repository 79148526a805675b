/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/network.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/process.h"

#define NAME_BYTES 16

static int fail(const char *what)
{
    fprintf(stderr, "dsm-bench: %s: %s\n", what, strerror(errno));
    return -1;
}

void network_address(unsigned index, char address[ADDRESS_BYTES])
{
    snprintf(address, ADDRESS_BYTES, "10.98.0.%u", index % HOSTS_MAX + 1);
}

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

/* One end of a pair: host `from` reaches host `to`, and nobody else, through it. */
static int add_end(const int *netns, unsigned from, unsigned to, const char *device)
{
    char own[ADDRESS_BYTES], peer[ADDRESS_BYTES];

    network_address(from, own);
    network_address(to, peer);
    const char *const add[] = {"ip", "address", "add", own, "peer", peer, "dev", device, NULL};
    const char *const up[] = {"ip", "link", "set", device, "up", NULL};
    return run_program(add, netns[from], false) || run_program(up, netns[from], false) ? -1 : 0;
}

static int join(const int *netns, unsigned left, unsigned right)
{
    char to_right[NAME_BYTES], to_left[NAME_BYTES], namespace[64];

    snprintf(to_right, sizeof(to_right), "to-%c", 'a' + (int)right);
    snprintf(to_left, sizeof(to_left), "to-%c", 'a' + (int)left);
    snprintf(namespace, sizeof(namespace), "/proc/%d/fd/%d", (int)getpid(), netns[right]);
    const char *const veth[] = {"ip",   "link", "add",   to_right, "type",    "veth",
                                "peer", "name", to_left, "netns",  namespace, NULL};
    if (run_program(veth, netns[left], false) || add_end(netns, left, right, to_right) ||
        add_end(netns, right, left, to_left)) {
        return -1;
    }
    return 0;
}

int network_open(int *netns, unsigned count)
{
    static const char *const loopback[] = {"ip", "link", "set", "lo", "up", NULL};

    for (unsigned i = 0; i < count; i++) {
        netns[i] = -1;
    }
    for (unsigned i = 0; i < count; i++) {
        netns[i] = new_namespace();
        if (netns[i] < 0 || run_program(loopback, netns[i], false)) {
            return -1;
        }
        for (unsigned k = 0; k < i; k++) {
            if (join(netns, k, i)) {
                return -1;
            }
        }
    }
    return 0;
}
