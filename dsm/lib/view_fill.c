/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that fills the pages of views when they are touched. */
#include "dsm/lib/view.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/thread.h"

#define EVENTS_PER_TURN 16u
/* Pages that are filled at once for a thread that goes through them in order, bytes. */
#define AHEAD_BYTES_MAX (1u << 20)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* How many pages to fill at a touch: twice as many each time in a run, none that are filled. */
static uint64_t count_wanted(struct view *view, uint64_t page)
{
    uint64_t end = view->len_bytes / view->page_bytes, count = 1;
    uint32_t max = AHEAD_BYTES_MAX / view->page_bytes;

    view->count_ahead = page == view->next_fill ? view->count_ahead * 2 : 1;
    if (view->count_ahead > max) {
        view->count_ahead = max > 0 ? max : 1;
    }
    end = page + view->count_ahead < end ? page + view->count_ahead : end;
    while (page + count < end && !view_is_filled(view, page + count)) {
        count++;
    }
    view->next_fill = page + count;
    return count;
}

static void fill(struct view *view, uint64_t page)
{
    uint64_t bytes = view->page_bytes, offset = page * bytes, count, done;

    if (view_is_filled(view, page)) {
        view_wake(view, offset, bytes);
        return;
    }
    count = count_wanted(view, page);
    /* A page that is lost ends it; those before it have come. */
    if (madvise(view->base->address + offset, count * bytes, MADV_POPULATE_READ) != 0) {
        count = 1;
    }
    done = view_copy(view, offset, count * bytes) / bytes;
    if (done == 0) {
        view_lose(view, page);
        return;
    }
    view_set_filled(view, page, done);
    view->stat.pages_filled += done;
}

/* A touch of an address; what is none of a view's is a race with its end. */
static void on_touch(struct view *view, uint64_t address)
{
    uint64_t offset = address - (uintptr_t)view->address;

    if (offset >= view->len_bytes) {
        return;
    }
    (void)pthread_mutex_lock(&view->lock);
    fill(view, offset / view->page_bytes);
    (void)pthread_mutex_unlock(&view->lock);
}

static void serve(struct view *view)
{
    struct uffd_msg messages[EVENTS_PER_TURN];
    ssize_t len = read(view->watch.uffd, messages, sizeof messages);

    for (ssize_t i = 0; i < len / (ssize_t)sizeof messages[0]; i++) {
        if (messages[i].event == UFFD_EVENT_PAGEFAULT) {
            on_touch(view, messages[i].arg.pagefault.address);
        }
    }
}

/* A view that is removed meanwhile is not found any more. */
static void serve_by_id(struct views *views, uint64_t id)
{
    struct view *view;

    (void)pthread_rwlock_rdlock(&views->lock);
    for (view = views->list; view != NULL && view->id != id; view = view->next) {
    }
    if (view != NULL) {
        serve(view);
    }
    (void)pthread_rwlock_unlock(&views->lock);
}

static void *run(void *argument)
{
    struct views *views = argument;
    struct epoll_event events[EVENTS_PER_TURN];

    for (;;) {
        int count = epoll_wait(views->epoll, events, EVENTS_PER_TURN, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == 0) {
                return NULL; /* `stop` */
            }
            serve_by_id(views, events[i].data.u64);
        }
    }
}

static int watch(const struct views *views, int descriptor, uint64_t id)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = id};

    if (epoll_ctl(views->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0) {
        return 0;
    }
    return errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS;
}

int views_serve(struct dsm *dsm)
{
    struct views *views = &dsm->views;
    const struct thread_work work = {"dsm-views", run, views};
    int error;

    if (views->serving) {
        return 0;
    }
    views->epoll = epoll_create1(EPOLL_CLOEXEC);
    views->stop = eventfd(0, EFD_CLOEXEC);
    error = views->epoll >= 0 && views->stop >= 0 ? watch(views, views->stop, 0) : DSM_ESYS;
    if (error == 0) {
        error = thread_start(&work, &views->thread);
    }
    if (error == 0) {
        views->serving = true;
        return 0;
    }
    if (views->epoll >= 0) {
        (void)close(views->epoll);
    }
    if (views->stop >= 0) {
        (void)close(views->stop);
    }
    views->epoll = -1;
    views->stop = -1;
    return error;
}

int views_watch(struct dsm *dsm, const struct view *view)
{
    return watch(&dsm->views, view->watch.uffd, view->id);
}
