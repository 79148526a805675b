/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SIGSEGV back end of a session: a channel to the agent for each mapping, and one thread that
 * carries out the orders that come through all of them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/segv_map.h"
#include "dsm/lib/thread.h"

#define EVENTS_PER_TURN 32
#define ORDERS_PER_TURN 64u

/** What the mappings of a session share. */
struct segv_service {
    struct segv *segv;
    int session; /* socket, borrowed */
    int epoll, stop, empty;
    pthread_t thread;
    pthread_mutex_t lock;
    struct segv_map *maps;
};

static void list_add(struct segv_service *service, struct segv_map *map)
{
    (void)pthread_mutex_lock(&service->segv->lock);
    map->next = service->maps;
    service->maps = map;
    (void)pthread_mutex_unlock(&service->segv->lock);
}

static void map_free(struct segv_map *map)
{
    (void)munmap(map->room, map->count_pages);
    (void)close(map->channel);
    free(map);
}

/* Take it off the list and free it. */
static void list_remove(struct segv_service *service, struct segv_map *map)
{
    struct segv_map **link;

    (void)pthread_mutex_lock(&service->segv->lock);
    for (link = &service->maps; *link != map; link = &(*link)->next) {
    }
    *link = map->next;
    (void)pthread_mutex_unlock(&service->segv->lock);
    /* It does not go by itself while children of a fork have the channel, too. */
    (void)epoll_ctl(service->epoll, EPOLL_CTL_DEL, map->channel, NULL);
    map_free(map);
}

static void watch_for(struct segv_service *service, struct segv_map *map, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = map}};

    (void)epoll_ctl(service->epoll, EPOLL_CTL_MOD, map->channel, &event);
}

/* One answer stands for all orders before it. */
static void done_send(struct segv_service *service, struct segv_map *map)
{
    struct fault_report report = {.word = FAULT_WORD_DONE, .number = map->done};
    ssize_t len = send(map->channel, &report, sizeof report, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool owes = len < 0 && errno != EPIPE && errno != ECONNRESET;

    if (owes != map->owes_done) {
        map->owes_done = owes;
        watch_for(service, map, owes ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* Returns false when nothing more will come, or what came makes no sense. */
static bool orders_take(struct segv_service *service, struct segv_map *map)
{
    bool carried_out = false, is_well = true;

    for (uint32_t i = 0; i < ORDERS_PER_TURN && is_well; i++) {
        struct fault_order order;
        ssize_t len = recv(map->channel, &order, sizeof order, MSG_DONTWAIT | MSG_TRUNC);

        if (len < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOMEM)) {
            break;
        }
        is_well = len == (ssize_t)sizeof order &&
                  (map->is_gone || segv_order_apply(service->segv, map, &order) == 0);
        if (is_well) {
            map->done = order.number;
            carried_out = true;
        }
    }
    if (carried_out || map->owes_done) {
        done_send(service, map);
    }
    return is_well;
}

/* While it is mapped, the end of its channel is to the program as if the agent had gone. */
static void on_hang_up(struct segv_service *service, struct segv_map *map)
{
    (void)epoll_ctl(service->epoll, EPOLL_CTL_DEL, map->channel, NULL);
    map->hung_up = true;
    if (map->is_orphan) {
        list_remove(service, map);
    } else if (!map->is_gone) {
        (void)shutdown(service->session, SHUT_RDWR);
    }
}

/* Events are asked for again under the lock: a mapping may have been retired since. */
static bool turn(struct segv_service *service)
{
    struct epoll_event events[EVENTS_PER_TURN];
    bool go_on = true;
    int count;

    (void)pthread_mutex_lock(&service->lock);
    count = epoll_wait(service->epoll, events, EVENTS_PER_TURN, 0);
    for (int i = 0; i < count; i++) {
        struct segv_map *map = events[i].data.ptr;

        if (map == NULL) {
            go_on = false;
        } else if ((!map->is_retired || map->is_gone) && !orders_take(service, map)) {
            on_hang_up(service, map);
        }
    }
    (void)pthread_mutex_unlock(&service->lock);
    return go_on;
}

static void *serve(void *argument)
{
    struct segv_service *service = argument;
    struct epoll_event first;

    do {
        (void)epoll_wait(service->epoll, &first, 1, -1);
    } while (turn(service));
    return NULL;
}

static void descriptors_close(struct segv_service *service)
{
    int *const descriptors[] = {&service->epoll, &service->stop, &service->empty};

    for (size_t i = 0; i < 3; i++) {
        if (*descriptors[i] >= 0) {
            (void)close(*descriptors[i]);
        }
    }
}

static int service_start(struct segv_service *service)
{
    struct epoll_event stop = {.events = EPOLLIN, .data = {.ptr = NULL}};
    const struct thread_work work = {"dsm-faults", serve, service};
    int error = DSM_ESYS;

    service->epoll = epoll_create1(EPOLL_CLOEXEC);
    service->stop = eventfd(0, EFD_CLOEXEC);
    service->empty = memfd_create("dsm-lost", MFD_CLOEXEC);
    if (service->epoll < 0 || service->stop < 0 || service->empty < 0 ||
        epoll_ctl(service->epoll, EPOLL_CTL_ADD, service->stop, &stop) != 0) {
        goto close_descriptors;
    }
    if (pthread_mutex_init(&service->lock, NULL) != 0) {
        goto close_descriptors;
    }
    error = segv_handler_add(service->segv);
    if (error != 0) {
        goto close_lock;
    }
    error = thread_start(&work, &service->thread);
    if (error == 0) {
        return 0;
    }
    segv_handler_remove(service->segv);
close_lock:
    (void)pthread_mutex_destroy(&service->lock);
close_descriptors:
    descriptors_close(service);
    return error;
}

static int segv_open(struct fault *fault, char *why)
{
    struct segv_service *service = calloc(1, sizeof *service);
    int error;

    if (service == NULL) {
        (void)snprintf(why, SESSION_WHY_BYTES, "no memory for the thread that serves faults");
        return DSM_ENOMEM;
    }
    service->segv = segv_get();
    service->session = fault->socket;
    error = service->segv == NULL ? DSM_ENOMEM : service_start(service);
    if (error != 0) {
        (void)snprintf(why, SESSION_WHY_BYTES,
                       "no descriptor, memory or thread to serve faults with");
        free(service);
        return error;
    }
    fault->service = service;
    return 0;
}

static void segv_close(struct fault *fault, bool in_child)
{
    struct segv_service *service = fault->service;
    uint64_t one = 1;

    /* Only orphans are left. */
    if (!in_child) {
        while (write(service->stop, &one, sizeof one) < 0 && errno == EINTR) {
        }
        (void)pthread_join(service->thread, NULL);
        (void)pthread_mutex_destroy(&service->lock);
    }
    while (service->maps != NULL) {
        struct segv_map *map = service->maps;

        service->maps = map->next;
        if (!in_child) {
            (void)shutdown(map->channel, SHUT_RDWR);
        }
        map_free(map);
    }
    segv_handler_remove(service->segv);
    descriptors_close(service);
    free(service);
    fault->service = NULL;
}

static int refuse(int number, const char *what, char *text)
{
    (void)snprintf(text, TEXT_BYTES_MAX, "%s: %s", what, strerror(number));
    return number == ENOMEM || number == ENOBUFS ? DSM_ENOMEM : DSM_ESYS;
}

/* Room for what each page may do; untouched, it takes none. */
static int access_make(struct segv_map *map)
{
    map->room = mmap(NULL, map->count_pages, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    map->access = map->room;
    return map->room == MAP_FAILED ? -1 : 0;
}

/* Enter it into the table and among what the thread waits for. */
static int map_enter(struct segv_service *service, struct segv_map *map, char *text)
{
    struct segv_watch watch = {.start = map->range.address,
                               .len_bytes = map->range.len_bytes,
                               .writable = map->range.writable,
                               .channel = map->channel,
                               .access = map->access};
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = map}};
    int error;

    map->place = segv_add(service->segv, &watch);
    if (map->place == NULL) {
        return refuse(ENOMEM, "noting a mapping", text);
    }
    if (epoll_ctl(service->epoll, EPOLL_CTL_ADD, map->channel, &event) != 0) {
        error = refuse(errno, "waiting for orders", text);
        segv_remove(service->segv, map->place);
        return error;
    }
    (void)pthread_mutex_lock(&service->lock);
    list_add(service, map);
    (void)pthread_mutex_unlock(&service->lock);
    return 0;
}

static int segv_start(struct fault *fault, const struct fault_range *range,
                      struct fault_map *fault_map, char *text)
{
    struct segv_service *service = fault->service;
    struct segv_map *map = calloc(1, sizeof *map);
    int ends[2], error;

    if (map == NULL) {
        return refuse(ENOMEM, "noting a mapping", text);
    }
    map->range = *range;
    map->empty = service->empty;
    map->count_pages = range->len_bytes / service->segv->page_bytes;
    if (access_make(map) != 0) {
        error = refuse(errno, "noting the pages of a mapping", text);
        free(map);
        return error;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        error = refuse(errno, "a channel to the agent", text);
        (void)munmap(map->room, map->count_pages);
        free(map);
        return error;
    }
    map->service = service;
    map->channel = ends[0];
    error = map_enter(service, map, text);
    if (error != 0) {
        map_free(map);
        (void)close(ends[1]);
        return error;
    }
    *fault_map = (struct fault_map){.descriptor = ends[1], .place = map->place, .segv = map};
    return 0;
}

/* Its end is the agent's alone from now on: so we see when that closes it. */
static void segv_attached(struct fault_map *fault_map)
{
    (void)close(fault_map->descriptor);
    fault_map->descriptor = -1;
}

static void segv_retire(struct fault_map *fault_map)
{
    struct segv_map *map = fault_map->segv;

    if (fault_map->place == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&map->service->lock);
    map->is_retired = true;
    (void)pthread_mutex_unlock(&map->service->lock);
    segv_remove(map->service->segv, map->place);
    fault_map->place = NULL;
}

/* The agent may be waiting for answers all the time: it gets them from now on. */
static void segv_wake_all(const struct fault_map *fault_map, void *address, size_t len_bytes)
{
    struct segv_map *map = fault_map->segv;

    (void)pthread_mutex_lock(&map->service->lock);
    map->is_gone = true;
    (void)pthread_mutex_unlock(&map->service->lock);
    segv_wake(map->service->segv, (uintptr_t)address, len_bytes);
}

/*
 * The channel stays until the agent has closed its end, or the session is over: the agent takes one
 * that ends before for that of a program which has withdrawn from its control. Without a mapping at
 * the agent, which has not seen the channel then, there is nothing to wait for.
 */
static void segv_stop(struct fault_map *fault_map, bool in_child)
{
    struct segv_map *map = fault_map->segv;
    struct segv_service *service;
    bool unseen = fault_map->descriptor >= 0;

    fault_map->segv = NULL;
    if (unseen) {
        (void)close(fault_map->descriptor);
        fault_map->descriptor = -1;
    }
    if (map == NULL || in_child) {
        return;
    }
    service = map->service;
    (void)pthread_mutex_lock(&service->lock);
    map->is_orphan = true;
    if (map->hung_up || unseen) {
        list_remove(service, map);
    }
    (void)pthread_mutex_unlock(&service->lock);
}

/* The agent has closed its end, so this finds it closed. */
static void segv_settle(struct fault *fault)
{
    (void)turn(fault->service);
}

const struct fault_ops fault_segv_ops = {
    .backend = SESSION_SIGSEGV,
    .closed = true,
    .open = segv_open,
    .close = segv_close,
    .start = segv_start,
    .attached = segv_attached,
    .retire = segv_retire,
    .wake = segv_wake_all,
    .stop = segv_stop,
    .settle = segv_settle,
};
