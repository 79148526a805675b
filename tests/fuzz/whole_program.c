/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of whole_agent.h: packets of the session protocol, right and wrong. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/packet.h"
#include "dsm.h"
#include "tests/fuzz/whole_parts.h"

#define PAGE UINT64_C(4096)

/** Mappings of a program are made here; nobody ever touches them. */
struct attachment {
    void *address;
    uint64_t len_bytes;
    int uffd;
};

void program_close(struct program *program)
{
    if (program->socket >= 0) {
        close(program->socket);
    }
    if (program->memory >= 0) {
        close(program->memory);
    }
    *program = (struct program){.socket = -1, .memory = -1};
}

static void reply_take(struct program *program, const struct session_reply *reply, int fd)
{
    const struct call *asked = &program->asked[reply->number % WHOLE_NUMBERS];

    if (reply->number == program->last_number && reply->reply.error == 0) {
        if (asked->kind == CALL_OPEN) {
            program->handles[program->count_handles++ % WHOLE_NUMBERS] = reply->reply.handle;
        } else if (asked->kind == CALL_MAP) {
            program->maps[program->count_maps++ % WHOLE_NUMBERS] = reply->reply.map;
            program->memory_bytes = asked->size_bytes;
            if (program->memory >= 0) {
                close(program->memory);
            }
            program->memory = fd;
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

uint32_t programs_drain(struct whole *whole)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < WHOLE_PROGRAMS; i++) {
        struct program *program = &whole->programs[i];
        struct packet packet;

        while (program->socket >= 0 && packet_receive(program->socket, whole->packet,
                                                      sizeof(whole->packet), &packet) == 0) {
            /* What the agent says is legal, whatever it was told. */
            require(session_reply_unpack(whole->packet, packet.len_bytes, &whole->reply) == 0);
            require(packet.count_fds <= 1);
            reply_take(program, &whole->reply, packet.count_fds == 1 ? packet.fds[0] : -1);
            count++;
        }
    }
    return count;
}

static void program_connect(struct whole *whole, struct program *program)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (program->socket >= 0 || whole->agent->clients == NULL) {
        return;
    }
    program->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", whole->config.socket);
    require(connect(program->socket, (const struct sockaddr *)&address, sizeof(address)) == 0);
}

static void request_send(struct program *program, const struct session_request *request, int fd)
{
    struct buffer buffer = {0};

    session_request_pack(request, &buffer);
    packet_send(program->socket, buffer_data(&buffer), buffer_len(&buffer), fd);
    buffer_close(&buffer);
}

static int descriptor_make(uint8_t which)
{
    switch (which % 4) {
    case 0:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 1:
        return eventfd(0, EFD_CLOEXEC);
    case 2:
        return memfd_create("fuzz", MFD_CLOEXEC);
    default:
        return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
}

/* A userfaultfd over an honest mapping of the memory that came with the last MAP. */
static bool attachment_make(const struct program *program, struct attachment *made)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_MISSING_SHMEM |
                                         UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                                         UFFD_FEATURE_WP_HUGETLBFS_SHMEM};
    struct uffdio_register over;
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

    if (device < 0 || program->memory < 0 || program->memory_bytes == 0) {
        if (device >= 0) {
            close(device);
        }
        return false;
    }
    made->len_bytes = (program->memory_bytes + PAGE - 1) / PAGE * PAGE;
    made->uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    close(device);
    if (made->uffd < 0) {
        return false; /* an emulator that has none */
    }
    made->address =
        mmap(NULL, made->len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, program->memory, 0);
    require(made->address != MAP_FAILED);
    over = (struct uffdio_register){
        .range = {.start = (uintptr_t)made->address, .len = made->len_bytes},
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};
    return ioctl(made->uffd, UFFDIO_API, &api) == 0 &&
           ioctl(made->uffd, UFFDIO_REGISTER, &over) == 0;
}

static void program_attach(struct whole *whole, struct program *program, struct input *input)
{
    struct session_request *request = &whole->request;
    struct attachment made = {.uffd = -1};
    bool is_honest = input_byte(input) % 2 == 0 && attachment_make(program, &made);
    int fd = is_honest ? made.uffd : descriptor_make(input_byte(input));

    *request = (struct session_request){.kind = SESSION_ATTACH,
                                        .number = ++program->last_number,
                                        .map = program->maps[input_byte(input) % WHOLE_NUMBERS],
                                        .address = (uintptr_t)made.address,
                                        .size_bytes = made.len_bytes,
                                        .backend = SESSION_USERFAULTFD};
    if (!is_honest) {
        request->address = input_edge(input, UINT64_MAX);
        request->size_bytes = input_edge(input, UINT64_MAX);
        request->backend += input_byte(input) % SESSION_SIGSEGV;
    }
    request_send(program, request, fd);
    close(fd);
    whole_run(whole);
    if (made.address != NULL) {
        munmap(made.address, made.len_bytes);
    }
    if (!is_honest && made.uffd >= 0) {
        close(made.uffd);
    }
}

static void name_draw(struct input *input, char *name, size_t room_bytes)
{
    uint8_t way = input_byte(input);

    if (way < 224) {
        snprintf(name, room_bytes, "/%c", 'a' + way % 4);
    } else {
        input_text(input, name, room_bytes);
    }
}

/* Values that are near what this program was given. */
static void program_call(struct whole *whole, struct program *program, struct input *input)
{
    struct session_request *request = &whole->request;
    struct call *call = &request->call;
    uint8_t bits = input_byte(input);

    *request = (struct session_request){.kind = SESSION_CALL, .number = ++program->last_number};
    call->kind = (uint8_t)(1 + input_byte(input) % (CALL_KINDS - 1));
    call->object = bits % 2 ? RECORD_SEM : RECORD_REGION;
    call->oflag = bits / 2 % 16;
    call->rights = bits & 64 ? RIGHTS_READ | RIGHTS_WRITE : RIGHTS_READ;
    call->mode = bits & 128 ? (uint32_t)input_edge(input, UINT32_MAX) : 0600;
    call->op = (uint8_t)(input_byte(input) % SYNC_OP_COUNT);
    call->handle = program->handles[input_byte(input) % WHOLE_NUMBERS];
    call->map = program->maps[input_byte(input) % WHOLE_NUMBERS];
    call->page_size = 4096u << (input_byte(input) % 3);
    call->home = input_byte(input) % 4;
    call->size_bytes = input_edge(input, 32) * PAGE;
    call->offset = input_edge(input, 32) * PAGE;
    call->value = input_edge(input, UINT64_MAX);
    call->operand = input_edge(input, UINT64_MAX);
    call->timeout_ms = (int64_t)(input_byte(input) % 4) - 1;
    name_draw(input, call->name, sizeof(call->name));
    program->asked[request->number % WHOLE_NUMBERS] = *call;
    request_send(program, request, -1);
}

static void program_ask(struct whole *whole, struct program *program, struct input *input)
{
    static const char *const topics[] = {"status",    "nodes", "regions",  "region /a",
                                         "region /b", "stats", "sems",     "rm /a",
                                         "rm-sem /b", "",      "region /", "stats all"};
    struct session_request *request = &whole->request;
    uint8_t which = input_byte(input);

    *request = (struct session_request){.kind = which & 128 ? SESSION_STATS : SESSION_ADMIN,
                                        .number = ++program->last_number};
    if (which > 250) {
        request->kind = SESSION_FOLLOW;
        request->map = which - 250;
        request_send(program, request, -1);
        return;
    }
    request->cursor = input_edge(input, UINT64_MAX);
    if (which % 16 < sizeof(topics) / sizeof(topics[0])) {
        snprintf(request->topic, sizeof(request->topic), "%s", topics[which % 16]);
    } else {
        input_text(input, request->topic, sizeof(request->topic));
    }
    request_send(program, request, -1);
}

static void program_babble(struct program *program, struct input *input)
{
    uint8_t which = input_byte(input);
    int fd = which & 1 ? descriptor_make(which / 2) : -1;
    const uint8_t *bytes;
    size_t len_bytes = input_piece(input, &bytes);

    packet_send(program->socket, bytes, len_bytes, fd);
    if (fd >= 0) {
        close(fd);
    }
}

/* A blocked thread's fault; of the kernel's hints only the mapping and the page are believed. */
static void program_fault(struct whole *whole, struct program *program, struct input *input)
{
    struct event event = {.kind = EVENT_FAULT};

    event.fault.map = program->maps[input_byte(input) % WHOLE_NUMBERS];
    event.fault.page = input_byte(input) % 32;
    event.fault.write = input_byte(input) % 2;
    agent_post(whole->agent, &event);
}

void whole_program_step(struct whole *whole, struct input *input)
{
    uint8_t step = input_byte(input);
    struct program *program = &whole->programs[step / 16 % WHOLE_PROGRAMS];

    if (program->socket < 0) {
        program_connect(whole, program);
        if (program->socket < 0) {
            return;
        }
        if (step % 16 != 0) { /* 0: a program that does not know how to begin */
            whole->request = (struct session_request){.kind = SESSION_HELLO,
                                                      .version = SESSION_VERSION,
                                                      .number = ++program->last_number};
            request_send(program, &whole->request, -1);
        }
    }
    switch (step % 16) {
    case 0:
    case 1:
        program_babble(program, input);
        break;
    case 2:
        program_close(program);
        break;
    case 3:
        program_ask(whole, program, input);
        break;
    case 4:
    case 5:
        program_attach(whole, program, input);
        break;
    case 6:
    case 7:
        program_fault(whole, program, input);
        break;
    default:
        program_call(whole, program, input);
        break;
    }
}
