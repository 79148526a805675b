/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The hosts that are measured: made here (--local: a network namespace each, each joined to each
 * by a veth pair, a certificate authority, an agent each), or given by the sockets of their agents.
 * What is made here also ends when this process is killed: children die with it, namespaces with
 * their last user.
 */
#ifndef DSM_BENCH_HOSTS_H
#define DSM_BENCH_HOSTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/bench/worker.h"

struct host {
    char socket[PATH_BYTES]; /* of its agent */
    pid_t agent;
    bool is_child; /* the agent was started here */
    int netns;     /* -1: this process's own */
};

struct hosts {
    char directory[64]; /* of certificates, sockets and logs; removed at the end */
    bool one_network;   /* all hosts are in one network namespace */
    int signals_fd;
    unsigned count;
    struct host host[HOSTS_MAX];
};

/**
 * Make hosts.
 *
 * @count      2 to HOSTS_MAX
 * @spin_us    for the agents' configuration, 0 for none
 * @signals_fd borrowed
 *
 * Returns 0; or -1 after a line on standard error, with nothing left behind.
 */
int hosts_open_local(struct hosts *hosts, unsigned count, unsigned spin_us, int signals_fd);
/** Use count hosts that run, by the sockets of their agents; returns as above. */
int hosts_open_sockets(struct hosts *hosts, const char *const *sockets, unsigned count,
                       int signals_fd);
/** Take down what was made; prints the agents' logs when failed is set. */
void hosts_close(struct hosts *hosts, bool failed);

#endif
