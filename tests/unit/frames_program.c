/* SPDX-License-Identifier: Apache-2.0 */
#include "frames_program.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/packet.h"
#include "dsm.h"

#define WAIT_MS 10000
/* The loop asks the kernel for what its callbacks have started only in its next turn. */
#define SLICE_MS 10

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* The child's part. */

struct child {
    uint8_t *base;
    uint64_t hardware_page;
    int descriptor, socket;
    struct channel_child *channel; /* NULL: a userfaultfd */
    volatile uint64_t *stop;
    bool is_reader;
    sigjmp_buf back;
};

/* A signal handler gets no argument of ours; it is the one pointer that has to be found by itself.
 */
static struct child *child_of_handler(struct child *set)
{
    static struct child *only;

    if (set != NULL) {
        only = set;
    }
    return only;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct child *child = child_of_handler(NULL);

    (void)context;
    if (number != SIGSEGV || child->channel == NULL ||
        !channel_child_touch(child->channel, info, &number)) {
        siglongjmp(child->back, number);
    }
}

static uint64_t child_syscall(const uint8_t *from)
{
    uint64_t value = 0;
    int ends[2];

    if (pipe(ends) != 0 || write(ends[1], from, sizeof(value)) != (ssize_t)sizeof(value) ||
        read(ends[0], &value, sizeof(value)) != (ssize_t)sizeof(value)) {
        value = UINT64_MAX;
    }
    close(ends[0]);
    close(ends[1]);
    return value;
}

static uint64_t child_count(struct child *child, volatile uint64_t *counter)
{
    volatile uint64_t count = 0; /* a fault may jump out of the loop */

    do { /* once at least: it may run only when the others are done */
        *counter = *counter + 1;
        count++;
    } while (*child->stop == 0);
    return count;
}

/* Pages of [0, count) of the mapping that are in this process's page table. */
static uint64_t child_count_mapped(const struct child *child, uint64_t count)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    volatile uint64_t found = 0; /* likewise */

    for (uint64_t i = 0; i < count; i++) {
        uint64_t entry = 0;

        if (pread(pagemap, &entry, sizeof(entry),
                  (off_t)(((uintptr_t)child->base / HARDWARE_PAGE + i) * sizeof(entry))) !=
            (ssize_t)sizeof(entry)) {
            return UINT64_MAX;
        }
        found += entry >> 63;
    }
    close(pagemap);
    return found;
}

static uint64_t child_obey(struct child *child, const struct program_order *order)
{
    uint8_t *at = child->base + order->offset;
    volatile uint64_t *word = (volatile uint64_t *)(void *)at;

    switch (order->op) {
    case PROGRAM_READ:
        return *word;
    case PROGRAM_WRITE:
        *word = order->value;
        return 0;
    case PROGRAM_SYSCALL:
        return child_syscall(at);
    case PROGRAM_COUNT:
        return child_count(child, word);
    case PROGRAM_SPLIT:
        return (uint64_t)mprotect(at, HARDWARE_PAGE, PROT_READ);
    case PROGRAM_MAPPED:
        return child_count_mapped(child, order->value);
    case PROGRAM_UNMAP:
        return (uint64_t)munmap(at, HARDWARE_PAGE);
    case PROGRAM_BLOCKING:
        return (uint64_t)fcntl(child->descriptor, F_SETFL, O_RDWR);
    case PROGRAM_MISBEHAVE:
        channel_child_misbehave(child->channel, (enum channel_fault)order->value);
        return channel_child_count(child->channel);
    default:
        return 0;
    }
}

static void child_run(struct child *child)
{
    struct program_order order;

    while (recv(child->socket, &order, sizeof(order), 0) == (ssize_t)sizeof(order)) {
        struct program_result result = {0};

        result.signal = sigsetjmp(child->back, 1);
        if (result.signal == 0) {
            result.value = child_obey(child, &order);
        }
        if (send(child->socket, &result, sizeof(result), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
}

static int make_uffd(void *base, uint64_t len_bytes, bool is_reader)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                    UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_EXACT_ADDRESS,
    };
    struct uffdio_register registration = {
        .range = {.start = (uint64_t)(uintptr_t)base, .len = len_bytes},
        .mode = UFFDIO_REGISTER_MODE_MISSING | (is_reader ? 0 : UFFDIO_REGISTER_MODE_WP),
    };
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);

    close(device);
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0 ||
        ioctl(uffd, UFFDIO_REGISTER, &registration) != 0) {
        _exit(3);
    }
    return uffd;
}

static void child_main(struct child *child, uint32_t backend, int memfd, uint64_t offset,
                       uint64_t len_bytes)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    bool by_channel = backend == SESSION_SIGSEGV;
    uint8_t *base;
    uint64_t address;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* A failed test leaves nobody behind. */
    child_of_handler(child);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    /* Where a larger hardware page is played, the kernel would not align it so. */
    base = mmap(NULL, len_bytes + child->hardware_page, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    base += (0 - (uintptr_t)base) % child->hardware_page;
    child->base = mmap(base, len_bytes,
                       by_channel ? PROT_NONE : PROT_READ | (child->is_reader ? 0 : PROT_WRITE),
                       MAP_SHARED | MAP_NORESERVE | MAP_FIXED, memfd, (off_t)offset);
    if (child->base == MAP_FAILED) {
        _exit(2);
    }
    madvise(child->base, len_bytes, MADV_NOHUGEPAGE);
    if (by_channel) {
        child->channel =
            channel_child_new(child->base, len_bytes, child->hardware_page, &child->descriptor);
    } else {
        child->descriptor = make_uffd(child->base, len_bytes, child->is_reader);
    }
    address = (uint64_t)(uintptr_t)child->base;
    if (packet_send(child->socket, (const uint8_t *)&address, sizeof(address), child->descriptor) !=
        0) {
        _exit(4);
    }
    if (by_channel) {
        close(child->descriptor);
    }
    child_run(child);
    _exit(0);
}

/* The agent's part. */

static void on_fault(void *context, map_id map, uint64_t page, bool write)
{
    struct agent_side *side = context;

    if (side->is_taking) {
        assert_true(side->count_pending < SIDE_PENDING_MAX);
        side->pending[side->count_pending].map = map;
        side->pending[side->count_pending].page = page;
        side->pending[side->count_pending++].write = write;
        return;
    }
    side->count_faults++;
    side->map = map;
    side->page = page;
    side->write = write;
    if (side->answer != NULL) {
        side->answer(side);
    }
}

void side_begin_taking(struct agent_side *side)
{
    side->is_taking = true;
}

void side_end_taking(struct agent_side *side)
{
    uint32_t count = side->count_pending;

    side->is_taking = false;
    side->count_pending = 0;
    for (uint32_t at = 0; at < count; at++) {
        on_fault(side, side->pending[at].map, side->pending[at].page, side->pending[at].write);
    }
}

void side_take(struct agent_side *side, uint64_t page, uint32_t count, bool drops)
{
    side_begin_taking(side);
    frames_protect(side->frames, side->region, page, count);
    if (drops) {
        frames_drop(side->frames, side->region, page, count);
    }
    side_end_taking(side);
}

void side_open(struct agent_side *side, uint64_t count_pages, uint32_t page_size)
{
    side_open_on(side, count_pages, page_size, HARDWARE_PAGE);
}

void side_open_on(struct agent_side *side, uint64_t count_pages, uint32_t page_size,
                  uint32_t hardware_page)
{
    struct frames_events events = {.context = side, .on_fault = on_fault};

    memset(side, 0, sizeof(*side));
    side->region = (region_id){.slot = 7, .generation = 3};
    side->page_size = page_size;
    side->hardware_page = hardware_page;
    side->backend = SESSION_USERFAULTFD;
    assert_int_equal(uv_loop_init(&side->loop), 0);
    assert_int_equal(frames_new(&side->loop, hardware_page, &events, &side->frames), 0);
    assert_int_equal(
        frames_region_open(side->frames, side->region, count_pages * page_size, page_size), 0);
}

void side_close(struct agent_side *side)
{
    frames_free(side->frames);
    uv_run(&side->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&side->loop), 0);
    free(side->store);
}

void side_turn(struct agent_side *side, int fd)
{
    struct pollfd fds[2] = {{.events = POLLIN}, {.fd = fd, .events = POLLIN}};

    uint32_t before = side->count_faults;

    uv_run(&side->loop, UV_RUN_NOWAIT); /* Also tells the kernel of what the loop watches. */
    if (side->count_faults != before) {
        return;
    }
    fds[0].fd = uv_backend_fd(&side->loop);
    poll(fds, 2, SLICE_MS);
    uv_run(&side->loop, UV_RUN_NOWAIT);
}

void side_wait_faults(struct agent_side *side, uint32_t count)
{
    uint64_t end_ms = clock_ms() + WAIT_MS;

    while (side->count_faults < count) {
        assert_true(clock_ms() < end_ms);
        side_turn(side, -1);
    }
}

void side_settle(struct agent_side *side)
{
    for (uint32_t turn = 0; turn < 8; turn++) {
        uv_run(&side->loop, UV_RUN_NOWAIT);
    }
}

void side_serve(struct agent_side *side)
{
    const uint8_t *bytes = side->store + side->page * side->page_size;

    if (side->state[side->page] == 0) {
        frames_fill(side->frames, side->region, side->page, 1, side->map, side->write, bytes);
        side->state[side->page] = side->write ? 2 : 1;
    } else if (side->write) {
        side->state[side->page] = 2;
        frames_allow(side->frames, side->region, side->page, 1, side->map);
    } else {
        frames_wake(side->frames, side->region, side->page, 1, side->map);
    }
}

void program_start(struct program *program, struct agent_side *side, uint64_t page, uint64_t count)
{
    struct packet packet;
    uint64_t end_ms = clock_ms() + WAIT_MS;
    int ends[2];
    int error;

    memset(program, 0, sizeof(*program));
    program->backend = side->backend;
    program->len_bytes = (count * side->page_size + side->hardware_page - 1) / side->hardware_page *
                         side->hardware_page;
    program->stop =
        mmap(NULL, HARDWARE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(program->stop != MAP_FAILED);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    program->pid = fork();
    assert_true(program->pid >= 0);
    if (program->pid == 0) {
        struct child child = {.socket = ends[1],
                              .stop = program->stop,
                              .is_reader = side->has_readers,
                              .hardware_page = side->hardware_page};

        close(ends[0]);
        child_main(&child, side->backend, frames_memfd(side->frames, side->region),
                   page * side->page_size, program->len_bytes);
    }
    close(ends[1]);
    program->process = (int)syscall(SYS_pidfd_open, program->pid, 0);
    assert_true(program->process >= 0);
    program->socket = ends[0];
    do {
        assert_true(clock_ms() < end_ms);
        side_turn(side, program->socket);
        error = packet_receive(program->socket, (uint8_t *)&program->address,
                               sizeof(program->address), &packet);
    } while (error == DSM_EAGAIN);
    assert_int_equal(error, 0);
    assert_int_equal(packet.count_fds, 1);
    program->descriptor = packet.fds[0];
}

int program_attach(struct program *program, struct agent_side *side, map_id map)
{
    struct frames_attachment attachment = {
        .backend = program->backend,
        .descriptor = program->descriptor,
        .process = program->process,
        .address = program->address,
        .len_bytes = program->len_bytes,
    };

    program->descriptor = -1;
    return frames_attach(side->frames, map, map, &attachment);
}

void program_start_attached(struct program *program, struct agent_side *side, map_id map,
                            uint64_t page, uint64_t count)
{
    program_start(program, side, page, count);
    assert_int_equal(
        frames_map_add(side->frames, map, map, side->region, page, count, !side->has_readers), 0);
    assert_int_equal(program_attach(program, side, map), 0);
}

void program_order(struct program *program, uint32_t op, uint64_t offset, uint64_t value)
{
    struct program_order order = {.op = op, .offset = offset, .value = value};

    assert_int_equal(send(program->socket, &order, sizeof(order), MSG_NOSIGNAL), sizeof(order));
}

struct program_result program_result(struct program *program, struct agent_side *side)
{
    struct program_result result = {0};
    uint64_t end_ms = clock_ms() + WAIT_MS;
    ssize_t len;

    while ((len = recv(program->socket, &result, sizeof(result), MSG_DONTWAIT)) < 0) {
        assert_true(clock_ms() < end_ms);
        side_turn(side, program->socket);
    }
    assert_int_equal(len, sizeof(result));
    return result;
}

uint64_t program_do(struct program *program, struct agent_side *side, uint32_t op, uint64_t offset,
                    uint64_t value)
{
    struct program_result result;

    program_order(program, op, offset, value);
    result = program_result(program, side);
    assert_int_equal(result.signal, 0);
    return result.value;
}

void program_stop(const struct program *program)
{
    int status = 0;

    assert_int_equal(kill(program->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(program->pid, &status, WUNTRACED), program->pid);
    assert_true(WIFSTOPPED(status));
}

void program_kill(struct program *program)
{
    kill(program->pid, SIGKILL);
    assert_int_equal(waitpid(program->pid, NULL, 0), program->pid);
    close(program->socket);
    munmap(program->stop, HARDWARE_PAGE);
    close(program->process);
    if (program->descriptor >= 0) {
        close(program->descriptor);
    }
}

bool program_was_killed(const struct program *program)
{
    siginfo_t info = {0};

    /* It stays to be waited for by program_kill(). */
    return waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == program->pid && info.si_code == CLD_KILLED && info.si_status == SIGKILL;
}
