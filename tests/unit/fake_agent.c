/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake_agent.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/fake_state.h"

#define DEADLINE_S 20

static void on_listener(struct fake_agent *fake)
{
    int client = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);

    for (uint32_t i = 0; i < FAKE_CLIENTS_MAX && client >= 0; i++) {
        if (fake->clients[i] < 0) {
            fake->clients[i] = client;
            fake->seen.count_clients++;
            return;
        }
    }
    descriptor_close(&client);
}

static void die(struct fake_agent *fake)
{
    descriptor_close(&fake->listener);
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        map_drop(fake, &fake->maps[i]);
    }
    for (uint32_t i = 0; i < FAKE_CLIENTS_MAX; i++) {
        if (fake->clients[i] >= 0) {
            client_drop(fake, &fake->clients[i]);
        }
    }
    descriptor_close(&fake->memfd);
    fake->dead = true;
}

/* Returns false when the thread is to end. */
static bool command_do(struct fake_agent *fake)
{
    enum command command = fake->command;
    uint64_t count;
    ssize_t len = read(fake->wake, &count, sizeof count);

    (void)len;
    fake->command = COMMAND_NONE;
    if (command == COMMAND_RELEASE) {
        held_release(fake);
        fake->hold_locks = false;
    } else if (command == COMMAND_BABBLE) {
        for (uint32_t i = 0; i < FAKE_CLIENTS_MAX; i++) {
            if (fake->clients[i] >= 0) {
                (void)send(fake->clients[i], "babble", 6, MSG_NOSIGNAL);
            }
        }
    } else if (command == COMMAND_DIE) {
        die(fake);
    } else if (command == COMMAND_TAKE) {
        pages_take(fake, fake->take_page, fake->take_count, fake->take_all);
    }
    return command != COMMAND_STOP;
}

/* All descriptors of interest: the wake-up, the listener, then clients and maps at their places. */
#define POLL_COUNT (2 + FAKE_CLIENTS_MAX + FAKE_MAPS_MAX)

static bool turn(struct fake_agent *fake, const struct pollfd *fds)
{
    bool go_on = true;

    if (fds[1].revents != 0) {
        on_listener(fake);
    }
    for (uint32_t i = 0; i < FAKE_CLIENTS_MAX; i++) {
        if (fds[2 + i].revents != 0) {
            on_client(fake, &fake->clients[i]);
        }
    }
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        const struct pollfd *fd = &fds[2 + FAKE_CLIENTS_MAX + i];

        if (fd->revents != 0 && fake->maps[i].uffd == fd->fd) {
            if (fake->maps[i].is_channel) {
                on_channel(fake, &fake->maps[i]);
            } else {
                on_uffd(fake, &fake->maps[i]);
            }
        }
    }
    if (fds[0].revents != 0) {
        go_on = command_do(fake);
    }
    return go_on;
}

static void *serve(void *argument)
{
    struct fake_agent *fake = argument;
    bool go_on = true;

    (void)pthread_mutex_lock(&fake->lock);
    fake->is_up = true;
    (void)pthread_cond_broadcast(&fake->changed);
    (void)pthread_mutex_unlock(&fake->lock);
    while (go_on) {
        struct pollfd fds[POLL_COUNT];

        fds[0] = (struct pollfd){.fd = fake->wake, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = fake->listener, .events = POLLIN};
        for (uint32_t i = 0; i < FAKE_CLIENTS_MAX; i++) {
            fds[2 + i] = (struct pollfd){.fd = fake->clients[i], .events = POLLIN};
        }
        for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
            fds[2 + FAKE_CLIENTS_MAX + i] =
                (struct pollfd){.fd = fake->maps[i].uffd, .events = POLLIN};
        }
        if (poll(fds, POLL_COUNT, -1) > 0) {
            (void)pthread_mutex_lock(&fake->lock);
            go_on = turn(fake, fds);
            (void)pthread_cond_broadcast(&fake->changed);
            (void)pthread_mutex_unlock(&fake->lock);
        }
    }
    return NULL;
}

static int listen_start(struct fake_agent *fake)
{
    (void)snprintf(fake->directory, sizeof fake->directory, "/tmp/dsm-fake-XXXXXX");
    if (mkdtemp(fake->directory) == NULL) {
        return -1;
    }
    fake->address.sun_family = AF_UNIX;
    (void)snprintf(fake->address.sun_path, sizeof fake->address.sun_path, "%s/agent.sock",
                   fake->directory);
    fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fake->listener < 0 ||
        bind(fake->listener, (const struct sockaddr *)&fake->address, sizeof fake->address) != 0) {
        return -1;
    }
    return listen(fake->listener, 8);
}

uint64_t fake_unit(void)
{
    uint64_t hardware = (uint64_t)sysconf(_SC_PAGESIZE);

    return hardware > FAKE_PAGE ? hardware : FAKE_PAGE;
}

/* Whole hardware pages: what lies behind the region's end can be mapped. */
static uint64_t room_of(uint64_t size_bytes)
{
    return (size_bytes + fake_unit() - 1) / fake_unit() * fake_unit();
}

int fake_start(const struct fake_options *options, struct fake_agent **fake)
{
    struct fake_agent *new = calloc(1, sizeof *new);

    if (new == NULL) {
        return -1;
    }
    new->options = *options;
    new->options.page_size = options->page_size ? options->page_size : FAKE_PAGE;
    new->size_bytes = options->size_bytes;
    for (uint32_t i = 0; i < FAKE_CLIENTS_MAX; i++) {
        new->clients[i] = -1;
    }
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        new->maps[i].uffd = -1;
    }
    new->store_bytes = room_of(new->size_bytes);
    new->store = calloc(1, new->store_bytes);
    new->is_stored = calloc(new->store_bytes / fake_unit(), sizeof(bool));
    new->device = open("/dev/userfaultfd", O_RDONLY | O_CLOEXEC);
    new->tokens_memfd = -1;
    new->memfd = memfd_create("fake", MFD_CLOEXEC);
    new->wake = eventfd(0, EFD_CLOEXEC);
    if (new->store == NULL || new->is_stored == NULL || new->memfd < 0 || new->wake < 0 ||
        ftruncate(new->memfd, (off_t) new->store_bytes) != 0 || listen_start(new) != 0 ||
        pthread_mutex_init(&new->lock, NULL) != 0 || pthread_cond_init(&new->changed, NULL) != 0 ||
        pthread_create(&new->thread, NULL, serve, new) != 0) {
        free(new);
        return -1;
    }
    (void)pthread_mutex_lock(&new->lock);
    while (!new->is_up) {
        (void)pthread_cond_wait(&new->changed, &new->lock);
    }
    (void)pthread_mutex_unlock(&new->lock);
    *fake = new;
    return 0;
}

pid_t fake_fork(struct fake_agent *fake)
{
    pid_t child;

    (void)pthread_mutex_lock(&fake->lock);
    child = fork();
    (void)pthread_mutex_unlock(&fake->lock);
    return child;
}

const char *fake_path(const struct fake_agent *fake)
{
    return fake->address.sun_path;
}

void fake_look(struct fake_agent *fake, struct fake_seen *seen)
{
    (void)pthread_mutex_lock(&fake->lock);
    *seen = fake->seen;
    (void)pthread_mutex_unlock(&fake->lock);
}

bool fake_await(struct fake_agent *fake, bool (*is_so)(const struct fake_seen *seen))
{
    struct timespec until;
    bool so;
    int error = 0;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_S;
    (void)pthread_mutex_lock(&fake->lock);
    while (!(so = is_so(&fake->seen)) && error == 0) {
        error = pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
    }
    (void)pthread_mutex_unlock(&fake->lock);
    return so;
}

/* Gives a command and waits until the thread has taken it. */
static void command_give(struct fake_agent *fake, enum command command)
{
    uint64_t one = 1;
    ssize_t len;

    (void)pthread_mutex_lock(&fake->lock);
    fake->command = command;
    len = write(fake->wake, &one, sizeof one);
    while (len == (ssize_t)sizeof one && fake->command != COMMAND_NONE) {
        (void)pthread_cond_wait(&fake->changed, &fake->lock);
    }
    (void)pthread_mutex_unlock(&fake->lock);
}

void fake_hold_locks(struct fake_agent *fake)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->hold_locks = true;
    (void)pthread_mutex_unlock(&fake->lock);
}

void fake_give_writes(struct fake_agent *fake)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->gives_writes = true;
    (void)pthread_mutex_unlock(&fake->lock);
}

void fake_share_tokens(struct fake_agent *fake, int memfd, uint64_t client)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->tokens_memfd = memfd;
    fake->tokens_client = client;
    (void)pthread_mutex_unlock(&fake->lock);
}

void fake_release(struct fake_agent *fake)
{
    command_give(fake, COMMAND_RELEASE);
}

void fake_take(struct fake_agent *fake, uint64_t page, uint64_t count, bool all)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->take_page = page;
    fake->take_count = count;
    fake->take_all = all;
    (void)pthread_mutex_unlock(&fake->lock);
    command_give(fake, COMMAND_TAKE);
}

void fake_babble(struct fake_agent *fake)
{
    command_give(fake, COMMAND_BABBLE);
}

void fake_die(struct fake_agent *fake)
{
    command_give(fake, COMMAND_DIE);
}

void fake_stop(struct fake_agent *fake)
{
    command_give(fake, COMMAND_STOP);
    (void)pthread_join(fake->thread, NULL);
    if (!fake->dead) {
        die(fake);
    }
    descriptor_close(&fake->device);
    descriptor_close(&fake->wake);
    (void)unlink(fake->address.sun_path);
    (void)rmdir(fake->directory);
    (void)pthread_cond_destroy(&fake->changed);
    (void)pthread_mutex_destroy(&fake->lock);
    free(fake->store);
    free(fake->is_stored);
    free(fake);
}
