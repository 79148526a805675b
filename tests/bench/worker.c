/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/hand.h"
#include "tests/bench/process.h"
#include "tests/bench/wire.h"

/* The host's own address: its first one that is up and not loopback. */
static void find_address(bool loopback, char *address, size_t size_bytes)
{
    struct ifaddrs *all = NULL;

    snprintf(address, size_bytes, "127.0.0.1");
    if (loopback || getifaddrs(&all)) {
        return;
    }
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct sockaddr_in found;

        if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET && one->ifa_flags & IFF_UP &&
            !(one->ifa_flags & IFF_LOOPBACK)) {
            memcpy(&found, one->ifa_addr, sizeof(found));
            inet_ntop(AF_INET, &found.sin_addr, address, (socklen_t)size_bytes);
            break;
        }
    }
    freeifaddrs(all);
}

/* Serve the limit's TLS in a process of its own on this host; any free port. */
static int start_limit_server(struct hand *hand, struct board *board, bool loopback)
{
    int listen_fd = wire_listen(&board->port);

    if (listen_fd < 0) {
        return -1;
    }
    find_address(loopback, board->address, sizeof(board->address));
    pid_t pid = fork();
    if (pid == 0) {
        child_prepare(SIGKILL);
        tls_serve(&hand->tls, listen_fd);
        _exit(0);
    }
    board->limit_server = pid;
    close(listen_fd);
    return pid < 0 ? -1 : 0;
}

static int hand_open(struct hand *hand, const struct worker_config *config, struct board *board)
{
    *hand = (struct hand){.config = config, .board = board, .samples = board->samples};
    if (config->netns >= 0 && setns(config->netns, CLONE_NEWNET)) {
        perror("dsm-bench: cannot enter the host's network");
        return -1;
    }
    /* Processes first, then the session: it has a thread, which a fork would lose. */
    if (config->has_limits) {
        if (handoff_open(&hand->handoff)) {
            return -1;
        }
        board->handoff_server = hand->handoff.server;
        if (tls_end_init(&hand->tls, config->ca, config->certificate, config->key) ||
            start_limit_server(hand, board, config->loopback)) {
            return -1;
        }
    }
    int error = dsm_connect(config->socket, &hand->dsm);
    if (error) {
        fprintf(stderr, "dsm-bench: %s: %s\n", config->socket, dsm_strerror(error));
        return -1;
    }
    return 0;
}

static void hand_close(struct hand *hand)
{
    dsm_disconnect(hand->dsm);
    if (hand->config->has_limits) {
        tls_end_close(&hand->tls);
        handoff_close(&hand->handoff);
    }
    if (hand->board->limit_server > 0) {
        kill(hand->board->limit_server, SIGKILL);
        waitpid(hand->board->limit_server, NULL, 0);
    }
}

static void execute(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    static const struct outcome none;
    char why[384] = "";

    *outcome = none;
    outcome->error = order->function(hand, order, outcome);
    if (outcome->error) {
        dsm_last_error(hand->dsm, why, sizeof(why));
        snprintf(outcome->text, sizeof(outcome->text), "%s: %s (%s)", order->text,
                 dsm_strerror(outcome->error), why);
    }
}

static void worker_run(int fd, const struct worker_config *config, struct board *board)
{
    static const struct outcome none;
    struct outcome outcome = none;
    struct hand hand;
    struct order order;

    child_prepare(SIGKILL);
    outcome.error = hand_open(&hand, config, board) ? DSM_ENOAGENT : 0;
    snprintf(outcome.text, sizeof(outcome.text), "no worker for %s", config->socket);
    if (send(fd, &outcome, sizeof(outcome), MSG_NOSIGNAL) == sizeof(outcome) && !outcome.error) {
        while (recv(fd, &order, sizeof(order), 0) == sizeof(order)) {
            execute(&hand, &order, &outcome);
            if (send(fd, &outcome, sizeof(outcome), MSG_NOSIGNAL) != sizeof(outcome)) {
                break;
            }
        }
    }
    if (!outcome.error || hand.dsm) {
        hand_close(&hand);
    }
    _exit(0);
}

int worker_open(struct worker *worker, const struct worker_config *config)
{
    struct outcome outcome;
    int pair[2];

    *worker = (struct worker){.fd = -1, .signals_fd = config->signals_fd};
    worker->board = mmap(NULL, sizeof(*worker->board), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (worker->board == MAP_FAILED ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        perror("dsm-bench: worker");
        if (worker->board != MAP_FAILED) {
            munmap(worker->board, sizeof(*worker->board));
        }
        worker->board = NULL;
        return -1;
    }
    worker->pid = fork();
    if (worker->pid == 0) {
        close(pair[0]);
        worker_run(pair[1], config, worker->board);
    }
    close(pair[1]);
    worker->fd = pair[0];
    if (worker->pid < 0 || worker_wait(worker, &outcome)) {
        worker_close(worker);
        return -1;
    }
    return 0;
}

void worker_close(struct worker *worker)
{
    if (worker->fd >= 0) {
        close(worker->fd); /* the worker sees the end of its orders */
        worker->fd = -1;
    }
    if (worker->pid > 0) {
        end_child(worker->pid);
        worker->pid = 0;
    }
    if (worker->board) {
        munmap(worker->board, sizeof(*worker->board));
        worker->board = NULL;
    }
}

int worker_tell(struct worker *worker, const struct order *order)
{
    return send(worker->fd, order, sizeof(*order), MSG_NOSIGNAL) == sizeof(*order) ? 0 : -1;
}

int worker_wait(struct worker *worker, struct outcome *outcome)
{
    int ready = wait_readable(worker->fd, worker->signals_fd, 120000);

    if (ready < 0) {
        return -1;
    }
    if (ready == 0 || recv(worker->fd, outcome, sizeof(*outcome), 0) != sizeof(*outcome)) {
        fprintf(stderr, "dsm-bench: a worker %s\n", ready ? "died" : "does not answer");
        return -1;
    }
    if (outcome->error) {
        fprintf(stderr, "dsm-bench: %s\n", outcome->text);
        return -1;
    }
    return 0;
}

int worker_do(struct worker *worker, order_function function, uint64_t a, uint64_t b, uint64_t c,
              struct outcome *outcome)
{
    struct order order = {.function = function, .a = a, .b = b, .c = c};

    return worker_tell(worker, &order) || worker_wait(worker, outcome) ? -1 : 0;
}
