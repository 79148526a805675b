/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that touch mapped memory: by loads and stores, by atomics, by system calls. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/tool.h"

/* read MAP OFFSET LENGTH */
static int on_read(struct tool *tool, const struct words *words)
{
    uint64_t len_bytes = word_number(words, 3);

    answer_hex(tool, map_at(tool, words, 1, word_number(words, 2), len_bytes), len_bytes);
    return 0;
}

/* write MAP OFFSET HEX */
static int on_write(struct tool *tool, const struct words *words)
{
    uint8_t bytes[ANSWER_BYTES / 4];
    size_t len_bytes = word_hex(words, 3, bytes, sizeof(bytes));

    memcpy(map_at(tool, words, 1, word_number(words, 2), len_bytes), bytes, len_bytes);
    return 0;
}

/* fill MAP OFFSET LENGTH SEED */
static int on_fill(struct tool *tool, const struct words *words)
{
    uint64_t len_bytes = word_number(words, 3);
    uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), len_bytes);

    for (uint64_t at = 0; at < len_bytes; at += sizeof(uint64_t)) {
        uint64_t value = pattern(word_number(words, 4), at);

        memcpy(memory + at, &value, sizeof(value));
    }
    return 0;
}

/* check MAP OFFSET LENGTH SEED: the number of words that are wrong */
static int on_check(struct tool *tool, const struct words *words)
{
    uint64_t len_bytes = word_number(words, 3), seed = word_number(words, 4), wrong = 0;
    const uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), len_bytes);

    for (uint64_t at = 0; at < len_bytes; at += sizeof(uint64_t)) {
        uint64_t value;

        memcpy(&value, memory + at, sizeof(value));
        wrong += value != pattern(seed, at);
    }
    answer(tool, "%llu", (unsigned long long)wrong);
    return 0;
}

/* zeros MAP OFFSET LENGTH: the number of bytes that are not zero */
static int on_zeros(struct tool *tool, const struct words *words)
{
    uint64_t len_bytes = word_number(words, 3), wrong = 0;
    const uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), len_bytes);

    for (uint64_t at = 0; at < len_bytes; at++) {
        wrong += memory[at] != 0;
    }
    answer(tool, "%llu", (unsigned long long)wrong);
    return 0;
}

/* add MAP OFFSET COUNT: C11 atomics on a 64-bit word */
static int on_add(struct tool *tool, const struct words *words)
{
    _Atomic uint64_t *word = (void *)map_at(tool, words, 1, word_number(words, 2), 8);
    uint64_t count = word_number(words, 3);

    for (uint64_t i = 0; i < count; i++) {
        atomic_fetch_add(word, 1);
    }
    return 0;
}

/* cells MAP OFFSET STRIDE CELLS COUNT: plain increments, in turn, of cells that are this one's own
 */
static int on_cells(struct tool *tool, const struct words *words)
{
    uint64_t stride = word_number(words, 3), cells = word_number(words, 4);
    uint64_t count = word_number(words, 5);
    uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), stride * (cells - 1) + 8);

    for (uint64_t i = 0; i < count; i++) {
        volatile uint64_t *cell = (void *)(memory + stride * (i % cells));
        uint64_t value = *cell;

        if (value != i / cells) {
            answer(tool, "cell %llu is %llu before increment %llu", (unsigned long long)(i % cells),
                   (unsigned long long)value, (unsigned long long)i);
            return 0;
        }
        *cell = value + 1;
    }
    answer(tool, "right");
    return 0;
}

/* wait MAP OFFSET VALUE SECONDS: until a 64-bit word has a value */
static int on_wait(struct tool *tool, const struct words *words)
{
    _Atomic uint64_t *word = (void *)map_at(tool, words, 1, word_number(words, 2), 8);
    uint64_t value = word_number(words, 3);
    struct timespec begin, now;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (atomic_load(word) != value) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec > word_signed(words, 4)) {
            return DSM_ETIMEDOUT;
        }
        sched_yield();
    }
    return 0;
}

/* All of read(2) or write(2), or what stopped it. */
static int transfer(struct tool *tool, int fd, uint8_t *memory, uint64_t len_bytes, bool is_read)
{
    uint64_t done = 0;

    while (done < len_bytes) {
        ssize_t count = is_read ? read(fd, memory + done, len_bytes - done)
                                : write(fd, memory + done, len_bytes - done);

        if (count < 0 && errno != EINTR) {
            answer(tool, "errno %s after %llu", strerror(errno), (unsigned long long)done);
            return 0;
        }
        if (count == 0) {
            break;
        }
        done += count > 0 ? (uint64_t)count : 0;
    }
    answer(tool, "%llu", (unsigned long long)done);
    return 0;
}

/* sysread MAP OFFSET LENGTH FILE, syswrite MAP OFFSET LENGTH FILE */
static int on_system(struct tool *tool, const struct words *words)
{
    bool is_read = !strcmp(words->word[0], "sysread");
    uint64_t len_bytes = word_number(words, 3);
    uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), len_bytes);
    int fd = is_read ? open(word_text(words, 4), O_RDONLY | O_CLOEXEC)
                     : open(word_text(words, 4), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        return DSM_ESYS;
    }
    int error = transfer(tool, fd, memory, len_bytes, is_read);
    close(fd);
    return error;
}

struct drain {
    int fd;
    uint64_t wrong, len_bytes, seed;
};

/* Receive what "syssend" sends, and compare it with the pattern. */
static void *drain_run(void *argument)
{
    struct drain *drain = argument;
    uint64_t value;

    for (uint64_t at = 0; at < drain->len_bytes; at += sizeof(value)) {
        if (recv(drain->fd, &value, sizeof(value), MSG_WAITALL) != (ssize_t)sizeof(value)) {
            drain->wrong += (drain->len_bytes - at) / sizeof(value);
            break;
        }
        drain->wrong += value != pattern(drain->seed, at);
    }
    return NULL;
}

/* syssend MAP OFFSET LENGTH SEED: send(2) to a socket; the number of words that arrived wrong */
static int on_send(struct tool *tool, const struct words *words)
{
    struct drain drain = {.len_bytes = word_number(words, 3), .seed = word_number(words, 4)};
    const uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), drain.len_bytes);
    pthread_t thread;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        return DSM_ESYS;
    }
    drain.fd = pair[1];
    if (pthread_create(&thread, NULL, drain_run, &drain)) {
        close(pair[0]);
        close(pair[1]);
        return DSM_ENOMEM;
    }
    for (uint64_t done = 0; done < drain.len_bytes;) {
        ssize_t count = send(pair[0], memory + done, drain.len_bytes - done, MSG_NOSIGNAL);

        if (count <= 0) {
            break;
        }
        done += (uint64_t)count;
    }
    close(pair[0]);
    pthread_join(thread, NULL);
    close(pair[1]);
    answer(tool, "%llu", (unsigned long long)drain.wrong);
    return 0;
}

/* fork MAP OFFSET: how a child ends that touches the mapping */
static int on_fork(struct tool *tool, const struct words *words)
{
    volatile uint8_t *memory = map_at(tool, words, 1, word_number(words, 2), 1);
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(*memory ? 3 : 4);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return DSM_ESYS;
    }
    answer(tool, "%s %d", WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return 0;
}

const struct command memory_commands[] = {
    {"read", on_read},      {"write", on_write},     {"fill", on_fill},    {"check", on_check},
    {"zeros", on_zeros},    {"add", on_add},         {"cells", on_cells},  {"wait", on_wait},
    {"sysread", on_system}, {"syswrite", on_system}, {"syssend", on_send}, {"fork", on_fork},
    {NULL, NULL},
};
