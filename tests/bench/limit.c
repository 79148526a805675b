/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/process.h"
#include "tests/bench/shuffle.h"

#define PAGE_BYTES 4096u
/* Twice as many pages as faults: only every other page is touched, as in the measured operation. */
#define HANDOFF_BYTES ((size_t)HANDOFF_FAULTS_MAX * 2 * PAGE_BYTES)
#define BULK_FRAME_BYTES PAYLOAD_BYTES_TARGET
static int fail(const char *what)
{
    fprintf(stderr, "dsm-bench: %s: %s\n", what, strerror(errno));
    return -1;
}

static int uffd_open(void)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int uffd = -1;

    if (device >= 0) {
        uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        close(device);
    }
    if (uffd < 0) {
        uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    }
    return uffd;
}

/* The other process: waits in epoll as an agent does, and copies a page in for each event. */
static void handoff_serve(int uffd)
{
    static const uint8_t page[PAGE_BYTES] = {1};
    struct epoll_event interest = {.events = EPOLLIN}, event;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, uffd, &interest)) {
        _exit(1);
    }
    for (;;) {
        struct uffd_msg message;

        if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR) {
            _exit(1);
        }
        while (read(uffd, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
            struct uffdio_copy copy = {
                .dst = message.arg.pagefault.address & ~(uint64_t)(PAGE_BYTES - 1),
                .src = (uintptr_t)page,
                .len = PAGE_BYTES,
                .mode = UFFDIO_COPY_MODE_WP,
            };

            if (ioctl(uffd, UFFDIO_COPY, &copy) && errno != EEXIST) {
                _exit(1);
            }
        }
    }
}

int handoff_open(struct handoff *handoff)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_MISSING_SHMEM |
                                         UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                                         UFFD_FEATURE_WP_HUGETLBFS_SHMEM};

    *handoff = (struct handoff){.memfd = -1, .uffd = -1, .memory = MAP_FAILED};
    handoff->memfd = memfd_create("dsm-bench", MFD_CLOEXEC);
    if (handoff->memfd < 0 || ftruncate(handoff->memfd, (off_t)HANDOFF_BYTES)) {
        fail("memfd");
        goto fail;
    }
    handoff->memory =
        mmap(NULL, HANDOFF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, handoff->memfd, 0);
    handoff->uffd = uffd_open();
    if (handoff->memory == MAP_FAILED || handoff->uffd < 0 ||
        ioctl(handoff->uffd, UFFDIO_API, &api)) {
        fail("userfaultfd");
        goto fail;
    }
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)handoff->memory, .len = HANDOFF_BYTES},
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
    };
    if (ioctl(handoff->uffd, UFFDIO_REGISTER, &range)) {
        fail("UFFDIO_REGISTER");
        goto fail;
    }
    handoff->server = fork();
    if (handoff->server == 0) {
        child_prepare(SIGKILL);
        handoff_serve(handoff->uffd);
    }
    if (handoff->server < 0) {
        handoff->server = 0;
        fail("fork");
        goto fail;
    }
    return 0;
fail:
    handoff_close(handoff);
    return -1;
}

void handoff_close(struct handoff *handoff)
{
    if (handoff->server > 0) {
        kill(handoff->server, SIGKILL);
        waitpid(handoff->server, NULL, 0);
    }
    if (handoff->memory != MAP_FAILED) {
        munmap(handoff->memory, HANDOFF_BYTES);
    }
    if (handoff->uffd >= 0) {
        close(handoff->uffd);
    }
    if (handoff->memfd >= 0) {
        close(handoff->memfd);
    }
}

int handoff_measure(struct handoff *handoff, double *samples, size_t count)
{
    uint32_t order[HANDOFF_FAULTS_MAX];

    if (count > HANDOFF_FAULTS_MAX) {
        return -1;
    }
    if (fallocate(handoff->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  (off_t)HANDOFF_BYTES)) {
        return fail("fallocate");
    }
    shuffle(order, (uint32_t)count, 1);
    for (size_t i = 0; i < count; i++) {
        volatile const uint8_t *byte = handoff->memory + (size_t)order[i] * 2 * PAGE_BYTES;
        double begin = clock_us();

        if (*byte != 1) {
            return -1;
        }
        samples[i] = clock_us() - begin;
    }
    return 0;
}

int tls_end_init(struct tls_end *end, const char *ca, const char *certificate, const char *key)
{
    char text[TEXT_BYTES_MAX] = "";

    *end = (struct tls_end){.fd = -1};
    if (tls_context_new(ca, certificate, key, &end->tls, text)) {
        fprintf(stderr, "dsm-bench: %s\n", text);
        return -1;
    }
    return 0;
}

static void tls_end_disconnect(struct tls_end *end)
{
    if (end->link) {
        link_free(end->link);
        end->link = NULL;
    }
    if (end->fd >= 0) {
        close(end->fd);
        end->fd = -1;
    }
}

void tls_end_close(struct tls_end *end)
{
    tls_end_disconnect(end);
    if (end->tls) {
        tls_context_free(end->tls);
        end->tls = NULL;
    }
}

static int tls_flush(struct tls_end *end)
{
    const uint8_t *bytes;
    size_t len_bytes;

    while ((len_bytes = link_output(end->link, &bytes)) > 0) {
        ssize_t done = send(end->fd, bytes, len_bytes, MSG_NOSIGNAL);

        if (done < 0 && errno != EINTR) {
            return -1;
        }
        link_output_done(end->link, done > 0 ? (size_t)done : 0);
    }
    return 0;
}

/* Let the link have what the socket has; waits for it. */
static int tls_pump(struct tls_end *end)
{
    uint8_t bytes[64 << 10];
    ssize_t count = recv(end->fd, bytes, sizeof(bytes), 0);

    if (count < 0 && errno == EINTR) {
        return 0;
    }
    if (count <= 0 || link_receive(end->link, bytes, (size_t)count)) {
        return -1;
    }
    return 0;
}

static int tls_handshake(struct tls_end *end)
{
    while (!link_is_ready(end->link)) {
        if (tls_flush(end) || (!link_is_ready(end->link) && tls_pump(end))) {
            return -1;
        }
    }
    return tls_flush(end);
}

static int tls_start(struct tls_end *end, bool is_server)
{
    int one = 1;

    setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (link_new(end->tls, is_server, &end->link)) {
        return -1;
    }
    return tls_handshake(end);
}

static int tls_next(struct tls_end *end, struct frame *frame)
{
    int found;

    while ((found = link_next(end->link, frame)) == 0) {
        if (tls_pump(end)) {
            return -1;
        }
    }
    return found < 0 ? -1 : 0;
}

static int tls_send(struct tls_end *end, const struct message *message, const uint8_t *payload,
                    size_t payload_bytes)
{
    struct buffer head = {0};

    message_pack(message, &head);
    int error = head.failed ||
                link_send(end->link, buffer_data(&head), buffer_len(&head), payload, payload_bytes);
    buffer_close(&head);
    return error ? -1 : tls_flush(end);
}

/* The messages are those of a read miss: READ one way; DATA with page bytes the other way. */
static void tls_answer(struct tls_end *end, const uint8_t *payload)
{
    const struct message data = {.kind = MESSAGE_DATA, .epoch = 1, .count = 1, .granted = 1};
    struct message request;
    struct frame frame;

    while (!tls_next(end, &frame)) {
        if (message_unpack(frame.head, frame.head_bytes, &request) ||
            request.page > BULK_FRAME_BYTES) {
            return;
        }
        for (uint64_t i = 0; i < request.request; i++) {
            if (tls_send(end, &data, payload, request.page)) {
                return;
            }
        }
    }
}

void tls_serve(struct tls_end *end, int listen_fd)
{
    uint8_t *payload = calloc(1, BULK_FRAME_BYTES);

    while (payload) {
        end->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (end->fd < 0 && errno != EINTR) {
            break;
        }
        if (end->fd >= 0 && !tls_start(end, true)) {
            tls_answer(end, payload);
        }
        tls_end_disconnect(end);
    }
    free(payload);
}

int tls_connect(struct tls_end *end, const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

    tls_end_disconnect(end);
    if (port == 0) {
        return 0;
    }
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        errno = EINVAL;
        return fail(address);
    }
    end->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (end->fd < 0 || connect(end->fd, (struct sockaddr *)&to, sizeof(to))) {
        return fail("the limit's connection");
    }
    if (tls_start(end, false)) {
        fprintf(stderr, "dsm-bench: the limit's TLS handshake: %s\n",
                end->link ? link_error_text(end->link) : "out of memory");
        return -1;
    }
    return 0;
}

/* Ask for frames with so many page bytes each. The large numbers make it 64 bytes before TLS. */
static int tls_request(struct tls_end *end, uint32_t payload_bytes, uint32_t count_frames)
{
    const struct message request = {
        .kind = MESSAGE_READ,
        .epoch = UINT32_MAX,
        .request = count_frames,
        .region = {.slot = UINT32_MAX, .generation = UINT32_MAX},
        .page = payload_bytes,
        .count = 1,
        .floor = UINT64_MAX,
        .have = UINT64_MAX,
    };

    return tls_send(end, &request, NULL, 0);
}

int tls_measure_round_trips(struct tls_end *end, size_t payload_bytes, double *samples,
                            size_t count)
{
    struct frame frame;

    for (size_t i = 0; i < count; i++) {
        double begin = clock_us();

        if (tls_request(end, (uint32_t)payload_bytes, 1) || tls_next(end, &frame) ||
            frame.payload_bytes != payload_bytes) {
            return -1;
        }
        samples[i] = clock_us() - begin;
    }
    return 0;
}

int tls_measure_bulk(struct tls_end *end, uint64_t total_bytes, double *mb_per_s)
{
    uint32_t count_frames = (uint32_t)(total_bytes / BULK_FRAME_BYTES);
    double begin = clock_us();
    struct frame frame;

    if (tls_request(end, BULK_FRAME_BYTES, count_frames)) {
        return -1;
    }
    for (uint32_t i = 0; i < count_frames; i++) {
        if (tls_next(end, &frame) || frame.payload_bytes != BULK_FRAME_BYTES) {
            return -1;
        }
    }
    *mb_per_s = (double)count_frames * BULK_FRAME_BYTES / (clock_us() - begin);
    return 0;
}
