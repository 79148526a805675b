/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake_state.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dsm.h"

#ifndef UFFDIO_POISON
struct uffdio_poison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif

uint8_t fake_byte(uint64_t offset)
{
    return (uint8_t)((offset / FAKE_PAGE * 131 + offset % FAKE_PAGE * 7) | 1);
}

void descriptor_close(int *descriptor)
{
    if (*descriptor >= 0) {
        (void)close(*descriptor);
        *descriptor = -1;
    }
}

void map_drop(struct fake_agent *fake, struct fake_map *map)
{
    if (map->map != 0 && map->uffd >= 0) {
        fake->seen.count_maps--;
        descriptor_close(&map->uffd);
    }
    stale_map_close(&map->stale);
    *map = (struct fake_map){.uffd = -1, .client = -1};
}

void client_drop(struct fake_agent *fake, int *client)
{
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        if (fake->maps[i].map != 0 && fake->maps[i].client == *client) {
            map_drop(fake, &fake->maps[i]);
        }
    }
    fake->seen.count_clients--;
    descriptor_close(client);
}

static void reply_send(int client, const struct session_reply *reply, int descriptor)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct buffer buffer = {0};
    struct iovec part;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    session_reply_pack(reply, &buffer);
    part = (struct iovec){.iov_base = buffer.bytes + buffer.start, .iov_len = buffer_len(&buffer)};
    if (descriptor >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    }
    (void)sendmsg(client, &message, MSG_NOSIGNAL);
    buffer_close(&buffer);
}

static void hold(struct fake_agent *fake, int client, const struct session_reply *reply)
{
    struct held *held = &fake->held[fake->seen.count_held];

    if (fake->seen.count_held < FAKE_HELD_MAX) {
        held->client = client;
        held->reply = *reply;
        fake->seen.count_held++;
    }
}

void held_release(struct fake_agent *fake)
{
    while (fake->seen.count_held > 0) {
        struct held *held = &fake->held[--fake->seen.count_held];

        reply_send(held->client, &held->reply, -1);
    }
}

/* Returns the descriptor to pass along, or -1. */
static int on_map(struct fake_agent *fake, int client, const struct call *call,
                  struct session_reply *reply)
{
    uint32_t page_size = fake->options.page_size;

    if (call->offset + call->size_bytes > fake->size_bytes) {
        reply->reply.error = DSM_ERANGE;
        return -1;
    }
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        struct fake_map *map = &fake->maps[i];

        if (map->map == 0) {
            *map = (struct fake_map){.map = ++fake->last_map,
                                     .client = client,
                                     .uffd = -1,
                                     .writable = (call->rights & RIGHTS_WRITE) != 0,
                                     .offset = call->offset,
                                     .len_bytes = (call->size_bytes + page_size - 1) / page_size *
                                                  page_size};
            reply->reply.map = map->map;
            reply->reply.size_bytes = map->len_bytes;
            return fake->memfd;
        }
    }
    reply->reply.error = DSM_ENOMEM;
    return -1;
}

static void on_open(struct fake_agent *fake, const struct call *call, struct session_reply *reply)
{
    bool known = strcmp(call->name, call->object == RECORD_SEM ? FAKE_SEM : FAKE_REGION) == 0;

    fake->seen.open = *call;
    if (strcmp(call->name, "/secret") == 0) {
        reply->reply.error = DSM_EACCES;
        (void)snprintf(reply->text, sizeof reply->text, "region '/secret' is of uid 7, mode 0600");
        reply->text_bytes = strlen(reply->text);
    } else if (!known) {
        reply->reply.error = DSM_ENOENT;
    } else {
        reply->reply.handle = ++fake->last_handle;
        reply->reply.region = (region_id){.slot = 3, .generation = 9};
        reply->reply.size_bytes = fake->size_bytes;
        reply->reply.page_size = fake->options.page_size;
    }
}

static void on_sync(struct fake_agent *fake, const struct call *call, struct session_reply *reply)
{
    fake->seen.sync = *call;
    switch (call->op) {
    case SYNC_LOCK:
        fake->seen.count_locks++;
        reply->reply.error = call->timeout_ms == 0   ? DSM_EAGAIN
                             : call->timeout_ms == 1 ? DSM_ETIMEDOUT
                             : call->offset == 4096  ? DSM_EOWNERDEAD
                                                     : 0;
        break;
    case SYNC_UNLOCK:
        fake->seen.count_unlocks++;
        break;
    case SYNC_SEM_VALUE:
        reply->reply.value = 7;
        break;
    case SYNC_FETCH_ADD:
        reply->reply.value = fake->options.count_hold > 0 ? call->value * 2 : fake->counter;
        fake->counter += call->value;
        break;
    case SYNC_COMPARE_SWAP:
        reply->reply.value = fake->counter;
        fake->counter = fake->counter == call->operand ? call->value : fake->counter;
        break;
    default:
        break;
    }
}

/* Should the answer wait? */
static bool is_held(const struct fake_agent *fake, const struct call *call)
{
    return call->kind == CALL_SYNC &&
           ((call->op == SYNC_FETCH_ADD && fake->options.count_hold > 0) ||
            (call->op == SYNC_LOCK && fake->hold_locks));
}

static int on_call(struct fake_agent *fake, int client, const struct call *call,
                   struct session_reply *reply)
{
    switch (call->kind) {
    case CALL_OPEN:
        on_open(fake, call, reply);
        break;
    case CALL_TRUNCATE:
        fake->size_bytes = call->size_bytes;
        reply->reply.error = ftruncate(fake->memfd, (off_t)call->size_bytes) != 0 ? DSM_ESYS : 0;
        break;
    case CALL_STAT:
        reply->reply.size_bytes = fake->size_bytes;
        reply->reply.page_size = fake->options.page_size;
        reply->reply.mode = 0640;
        reply->reply.uid = 7;
        reply->reply.gid = 8;
        (void)snprintf(reply->text, sizeof reply->text, "%s", fake->seen.open.type);
        reply->text_bytes = strlen(reply->text);
        break;
    case CALL_MAP:
        return on_map(fake, client, call, reply);
    case CALL_UNMAP:
        for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
            if (fake->maps[i].map == call->map) {
                map_drop(fake, &fake->maps[i]);
            }
        }
        break;
    case CALL_SYNC:
        on_sync(fake, call, reply);
        break;
    case CALL_TOKENS:
        fake->seen.count_tokens++;
        reply->reply.value = fake->tokens_client;
        return fake->tokens_memfd;
    default:
        break;
    }
    return -1;
}

/* A mapping that is only read through is never protected. */
static bool is_closed(const struct fake_map *map, const struct session_request *request,
                      int descriptor)
{
    struct uffdio_writeprotect protect = {
        .range = {.start = request->address, .len = request->size_bytes},
        .mode = UFFDIO_WRITEPROTECT_MODE_WP,
    };

    return request->backend == SESSION_SIGSEGV ||
           (ioctl(descriptor, UFFDIO_WRITEPROTECT, &protect) == 0) == map->writable;
}

static void on_attach(struct fake_agent *fake, const struct session_request *request, int uffd,
                      struct session_reply *reply)
{
    uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE);

    fake->seen.backend = request->backend;
    memcpy(fake->seen.why, request->why, sizeof fake->seen.why);
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        struct fake_map *map = &fake->maps[i];

        if (map->map == request->map && map->uffd < 0 && uffd >= 0 &&
            (map->len_bytes + unit - 1) / unit * unit == request->size_bytes &&
            is_closed(map, request, uffd)) {
            map->address = request->address;
            map->is_channel = request->backend == SESSION_SIGSEGV;
            map->uffd = uffd;
            fake->seen.count_maps++;
            return;
        }
    }
    descriptor_close(&uffd);
    reply->reply.error = DSM_EINVAL;
}

static int on_follow(struct fake_agent *fake, map_id number, struct session_reply *reply)
{
    int descriptor = -1;

    reply->reply.error = DSM_EINVAL;
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        struct fake_map *map = &fake->maps[i];

        if (map->map == number && map->uffd >= 0) {
            reply->reply.error =
                stale_map_make(map->len_bytes / fake->options.page_size, &map->stale, &descriptor);
        }
    }
    reply->value = descriptor >= 0;
    return descriptor;
}

/* What is about to be written through one mapping may change under the others. */
static void tell_open(struct fake_agent *fake, const struct fake_map *writer, uint64_t offset)
{
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        struct fake_map *map = &fake->maps[i];

        if (map != writer && map->stale.words != NULL && offset >= map->offset &&
            offset < map->offset + map->len_bytes) {
            stale_map_set_open(&map->stale, (offset - map->offset) / fake->options.page_size, 1);
        }
    }
}

static void on_request(struct fake_agent *fake, int client, const struct session_request *request,
                       int given)
{
    struct session_reply *reply = calloc(1, sizeof *reply);
    int descriptor = -1, passed = -1;

    if (reply == NULL) {
        abort();
    }
    reply->number = request->number;
    reply->reply.node = NODE_NONE;
    if (request->kind == SESSION_ATTACH) {
        on_attach(fake, request, given, reply);
    } else if (request->kind == SESSION_HELLO) {
        reply->reply.error = fake->options.refuse_version ? DSM_EVERSION : 0;
        descriptor = fake->options.no_device ? -1 : fake->device;
        reply->value = descriptor >= 0;
        (void)snprintf(reply->text, sizeof reply->text, FAKE_NODE);
        reply->text_bytes = strlen(reply->text);
    } else if (request->kind == SESSION_FOLLOW) {
        descriptor = on_follow(fake, request->map, reply);
        passed = descriptor;
    } else if (request->kind == SESSION_STATS) {
        reply->count_counters = sizeof(struct dsm_stats) / sizeof(uint64_t);
        for (uint32_t i = 0; i < reply->count_counters; i++) {
            reply->counters[i] = i + 1;
        }
    } else if (request->kind == SESSION_CALL) {
        descriptor = on_call(fake, client, &request->call, reply);
    }
    if (request->kind == SESSION_CALL && is_held(fake, &request->call)) {
        hold(fake, client, reply);
        if (!fake->hold_locks && fake->seen.count_held == fake->options.count_hold) {
            held_release(fake);
        }
    } else {
        reply_send(client, reply, descriptor);
    }
    descriptor_close(&passed);
    free(reply);
}

void on_client(struct fake_agent *fake, int *client)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    uint8_t bytes[8192];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t len = recvmsg(*client, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct session_request request;
    struct cmsghdr *header = len > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    int descriptor = -1;

    if (header != NULL) {
        memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    }
    if (len <= 0 || session_request_unpack(bytes, (size_t)len, &request) != 0) {
        descriptor_close(&descriptor);
        client_drop(fake, client);
        return;
    }
    on_request(fake, *client, &request, descriptor);
}

/* The page is in the memfd already: let the thread look again, with the right to write if it wants
 * that. */
static void page_grant(const struct fake_map *map, uint64_t address, bool write)
{
    struct uffdio_writeprotect protect = {.range = {.start = address, .len = FAKE_PAGE}};
    struct uffdio_range range = {.start = address, .len = FAKE_PAGE};

    if (write) {
        (void)ioctl(map->uffd, UFFDIO_WRITEPROTECT, &protect);
    } else {
        (void)ioctl(map->uffd, UFFDIO_WAKE, &range);
    }
}

static void on_fault(struct fake_agent *fake, const struct fake_map *map,
                     const struct uffd_msg *event)
{
    uint64_t address = event->arg.pagefault.address & ~(uint64_t)(FAKE_PAGE - 1);
    uint64_t offset = map->offset + (address - map->address);
    bool write =
        (event->arg.pagefault.flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP)) != 0 ||
        (fake->gives_writes && map->writable);
    uint8_t page[FAKE_PAGE];
    struct uffdio_copy copy = {.dst = address,
                               .src = (uintptr_t)page,
                               .len = FAKE_PAGE,
                               .mode = write || !map->writable ? 0 : UFFDIO_COPY_MODE_WP};

    fake->seen.count_faults++;
    if (offset / FAKE_PAGE == fake->options.silent_page && offset >= FAKE_PAGE) {
        fake->seen.count_silent++;
        return;
    }
    if (offset / FAKE_PAGE == fake->options.lost_page && offset >= FAKE_PAGE) {
        struct uffdio_poison poison = {.range = {.start = address, .len = FAKE_PAGE}};
        struct uffdio_writeprotect lift = {.range = poison.range,
                                           .mode = UFFDIO_WRITEPROTECT_MODE_DONTWAKE};

        /* The kernel poisons an empty place only, and the marker of the protection is something. */
        (void)ioctl(map->uffd, UFFDIO_WRITEPROTECT, &lift);
        (void)ioctl(map->uffd, UFFDIO_POISON, &poison);
        return;
    }
    if (write) {
        tell_open(fake, map, offset);
    }
    page_make(fake, offset, page);
    if (ioctl(map->uffd, UFFDIO_COPY, &copy) != 0 && errno == EEXIST) {
        page_grant(map, address, write);
    }
}

void on_uffd(struct fake_agent *fake, struct fake_map *map)
{
    struct uffd_msg event;

    while (read(map->uffd, &event, sizeof event) == (ssize_t)sizeof event) {
        if (event.event == UFFD_EVENT_PAGEFAULT) {
            on_fault(fake, map, &event);
        }
    }
}
