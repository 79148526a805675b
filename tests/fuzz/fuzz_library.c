/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What an agent, or what poses as one, may send to libdsm. A thread plays it: to each request it
 * sends packets out of the input until one of them answers, and hangs up where the input ends. The
 * program makes the calls that the input names, and touches no memory of a region.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/packet.h"
#include "dsm.h"
#include "net/codec.h"
#include "tests/fuzz/input.h"

#define CALLS_MAX 24u
#define REGIONS 3u

/** The agent's side. */
struct played {
    struct input input;
    int listener;
    pthread_t thread;
    struct session_request request;
    struct session_reply reply;
    uint8_t packet[SESSION_PACKET_MAX];
};

/** The program's side. */
struct caller {
    struct dsm *dsm;
    struct dsm_region *regions[REGIONS];
    struct dsm_sem *sem;
    void *mapped[REGIONS];
};

static int descriptor_make(uint8_t which)
{
    int fd;

    switch (which % 5) {
    case 0:
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        require(fd >= 0 && ftruncate(fd, 1 << 16) == 0);
        return fd;
    case 1:
        return open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    case 2:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 3:
        return eventfd(0, EFD_CLOEXEC);
    default:
        return -1;
    }
}

/* A reply to the request that came, true; or bytes that are anything, false. */
static bool answer_make(struct played *played, struct buffer *out)
{
    struct session_reply *reply = &played->reply;
    struct input *input = &played->input;
    uint8_t way = input_byte(input);
    const uint8_t *bytes;

    if (way >= 240) {
        size_t len_bytes = input_piece(input, &bytes);

        buffer_append(out, bytes, len_bytes);
        return false;
    }
    memset(reply, 0, sizeof(*reply));
    reply->number = played->request.number - (way % 8 == 7 ? input_byte(input) : 0);
    reply->reply.error = way % 8 == 6 ? -(int32_t)input_byte(input) : 0;
    reply->reply.node = input_byte(input);
    reply->reply.handle = input_byte(input);
    reply->reply.map = input_byte(input);
    reply->reply.region = (region_id){input_byte(input), 1};
    reply->reply.page_size = way & 8 ? (uint32_t)input_edge(input, UINT32_MAX) : 4096;
    reply->reply.size_bytes = way & 16 ? input_edge(input, UINT64_MAX) : 1 << 16;
    reply->reply.value = reply->value = way & 32 ? input_edge(input, UINT64_MAX) : 1;
    reply->cursor = way & 32 ? 1 : 0;
    reply->count_counters = way & 64 ? input_byte(input) % (SESSION_COUNTERS_MAX + 1) : 0;
    input_text(input, reply->text, sizeof(reply->text));
    session_reply_pack(reply, out);
    return reply->number == played->request.number;
}

/* False: hang up. */
static bool answer(struct played *played, int socket)
{
    bool is_answered = false;

    while (!is_answered) {
        struct buffer out = {0};
        int fd = -1;

        if (input_is_over(&played->input)) {
            return false;
        }
        fd = descriptor_make(input_byte(&played->input));
        is_answered = answer_make(played, &out);
        is_answered =
            packet_send(socket, buffer_data(&out), buffer_len(&out), fd) != 0 || is_answered;
        buffer_close(&out);
        if (fd >= 0) {
            close(fd);
        }
    }
    return true;
}

static void *play(void *argument)
{
    struct played *played = argument;
    int socket = accept4(played->listener, NULL, NULL, SOCK_CLOEXEC);

    for (;;) {
        struct pollfd in = {.fd = socket, .events = POLLIN};
        struct packet packet;

        if (poll(&in, 1, -1) < 0 ||
            packet_receive(socket, played->packet, sizeof(played->packet), &packet) != 0) {
            break;
        }
        packet_close_fds(&packet);
        /* What libdsm asks is legal, whatever it was told before. */
        require(session_request_unpack(played->packet, packet.len_bytes, &played->request) == 0);
        if (!answer(played, socket)) {
            break;
        }
    }
    close(socket);
    return NULL;
}

static void call_region(struct caller *caller, uint32_t which, uint8_t step)
{
    struct dsm_region *region = caller->regions[which];
    struct dsm_shm_stat stat;
    uint64_t old;

    switch (step % 8) {
    case 0:
        dsm_shm_stat(region, &stat);
        break;
    case 1:
        dsm_shm_truncate(region, (step / 8 + 1) * UINT64_C(4096));
        break;
    case 2:
    case 3:
        if (caller->mapped[which] == NULL &&
            dsm_shm_map(region, NULL, 0, (step / 16 + 1) * UINT64_C(4096),
                        step & 16 ? DSM_READ : DSM_READ | DSM_WRITE, &caller->mapped[which]) != 0) {
            caller->mapped[which] = NULL;
        }
        break;
    case 4:
        dsm_mutex_lock(region, 0, DSM_FOREVER);
        dsm_mutex_unlock(region, 0);
        break;
    case 5:
        dsm_fetch_add(region, 8, 1, &old);
        dsm_compare_swap(region, 8, 1, 2, &old);
        break;
    case 6:
        dsm_barrier_wait(region, 16, 1, DSM_FOREVER);
        break;
    default:
        if (caller->mapped[which] != NULL &&
            dsm_shm_unmap(caller->dsm, caller->mapped[which]) != DSM_EINVAL) {
            caller->mapped[which] = NULL;
        }
        break;
    }
}

static void call_session(struct caller *caller, uint8_t step)
{
    struct dsm_stats stats;
    uint32_t value;

    if (step % 4 == 0) {
        dsm_stats_get(caller->dsm, &stats);
    } else if (step % 4 == 1) {
        dsm_shm_unlink(caller->dsm, "/a");
    } else if (caller->sem == NULL) {
        dsm_sem_open(caller->dsm, "/s", O_CREAT, 0600, 1, &caller->sem);
    } else {
        dsm_sem_wait(caller->sem, DSM_FOREVER);
        dsm_sem_post(caller->sem);
        dsm_sem_value(caller->sem, &value);
    }
}

static void call(struct caller *caller, uint8_t step, uint8_t detail)
{
    uint32_t which = step % 4;
    char text[TEXT_BYTES_MAX];

    if (which == REGIONS) {
        call_session(caller, detail);
    } else if (caller->regions[which] == NULL) {
        dsm_shm_open(caller->dsm, "/a", O_RDWR | O_CREAT, 0600, NULL, &caller->regions[which]);
    } else {
        call_region(caller, which, detail);
    }
    dsm_last_error(caller->dsm, text, sizeof(text));
    require(strlen(text) < sizeof(text));
}

static void listen_start(struct played *played, struct sockaddr_un *address)
{
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof(address->sun_path), "/tmp/dsm-fuzz-%d", (int)getpid());
    unlink(address->sun_path);
    played->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    require(bind(played->listener, (const struct sockaddr *)address, sizeof(*address)) == 0);
    require(listen(played->listener, 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    struct input input = {bytes, bytes + len_bytes};
    struct played *played = calloc(1, sizeof(*played));
    struct caller caller = {.dsm = NULL};
    uint8_t steps[2 * CALLS_MAX] = {0};
    uint32_t count_calls = input_byte(&input) % CALLS_MAX;
    struct sockaddr_un address = {0};
    uint32_t descriptors = descriptor_count();

    require(played != NULL);
    for (uint32_t i = 0; i < 2 * count_calls; i++) {
        steps[i] = input_byte(&input);
    }
    played->input = input;
    listen_start(played, &address);
    require(pthread_create(&played->thread, NULL, play, played) == 0);
    if (dsm_connect(address.sun_path, &caller.dsm) == 0) {
        for (uint32_t i = 0; i < count_calls; i++) {
            call(&caller, steps[2 * i], steps[2 * i + 1]);
        }
        dsm_disconnect(caller.dsm);
    }
    pthread_join(played->thread, NULL);
    close(played->listener);
    unlink(address.sun_path);
    free(played);
    require(descriptor_count() == descriptors);
    return 0;
}
