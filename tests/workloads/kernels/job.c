/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A wait of so long means that another rank is gone. */
#define JOB_WAIT_MS 60000
/* What the ranks tell each other is in a region of its own, beside the job's memory. */
#define NOTES_SUFFIX ".job"
#define READY_SUFFIX ".ready"
#define NOTES_BARRIER 0u

/* What a rank found out about its run. Each has a page: who writes disturbs nobody. */
struct job_note {
    double seconds;     /* from start to stop */
    double in_calls_s;  /* waiting in barriers and locks */
    double in_faults_s; /* neither computing nor in a call: the pages were not there */
    double for_cpu_s;   /* of all that: it could have run, and others had the CPU */
    uint64_t faults, faults_remote, messages, bytes; /* of this rank's agent */
    uint8_t rest[JOB_PAGE_BYTES - 64];
};
#define JOB_NOTE_LIST                                                                              \
    (f64, seconds), (f64, in_calls_s), (f64, in_faults_s), (f64, for_cpu_s), (u64, faults),        \
        (u64, faults_remote), (u64, messages), (u64, bytes), (u8, rest, 4032)
DSM_TYPE_CHECK(struct job_note, JOB_NOTE_LIST);

struct job_book {
    struct job_note of_rank[JOB_RANKS_MAX];
};
#define JOB_BOOK_LIST (structs, of_rank, 64, JOB_NOTE_LIST)
DSM_TYPE_CHECK(struct job_book, JOB_BOOK_LIST);

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How long this thread has waited for a CPU; 0 where the kernel does not tell. */
static double for_cpu_s(void)
{
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    unsigned long long ran_ns, waited_ns = 0;

    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &ran_ns, &waited_ns) != 2) {
            waited_ns = 0;
        }
        fclose(file);
    }
    return (double)waited_ns / 1e9;
}

_Noreturn void job_fail(struct job *job, const char *what, int error)
{
    char text[512] = "";

    if (job->dsm != NULL) {
        dsm_last_error(job->dsm, text, sizeof text);
    }
    fprintf(stderr, "%s: rank %u: %s: %s %s\n", job->about->name, job->rank, what,
            error != 0 ? dsm_strerror(error) : "", text);
    exit(EXIT_FAILURE);
}

static void check(struct job *job, const char *what, int error)
{
    if (error != 0) {
        job_fail(job, what, error);
    }
}

static void print_help(const struct job_about *about, FILE *to)
{
    fprintf(to,
            "Usage: %s --rank=R --ranks=N [OPTION]...\n"
            "One of N programs of a parallel job; start one for each rank, 0 to N - 1.\n\n"
            "  --rank=R         which of them this is\n"
            "  --ranks=N        how many there are, at most %u\n"
            "  --region=NAME    the job's name, the same for all (default /%s)\n"
            "  --size=COUNT     %s (default %u, at most %u)\n",
            about->name, JOB_RANKS_MAX, about->name, about->size_is, about->size, about->size_max);
    if (about->has_iterations) {
        fprintf(to, "  --iterations=N   how often (default %u)\n", about->iterations);
    }
    fputs("  --striped        spread the pages' homes over the nodes\n"
          "  --page-size=N    bytes of the region's pages (default: as suits the kernel)\n"
          "  --unchecked      leave out the check of the answer\n"
          "  --socket=PATH    the agent's (default $DSM_SOCKET or /run/dsm/agent.sock)\n"
          "  --help           show this\n\n"
          "Rank 0 prints a line of JSON. Exit status: 0, 1 wrong or failed, 2 usage.\n",
          to);
}

static bool parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *value)
{
    char *end = NULL;

    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < least ||
        number > most) {
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

static bool take_option(struct job *job, int letter, const char *text, const char **socket)
{
    switch (letter) {
    case 'r':
        return parse_number(text, 0, JOB_RANKS_MAX - 1, &job->rank);
    case 'n':
        return parse_number(text, 1, JOB_RANKS_MAX, &job->ranks);
    case 'm':
        job->name = text;
        return strlen(text) + sizeof READY_SUFFIX <= DSM_NAME_MAX;
    case 'z':
        return parse_number(text, 4, job->about->size_max, &job->size);
    case 'i':
        return job->about->has_iterations && parse_number(text, 1, 1000000, &job->iterations);
    case 'x':
        job->is_striped = true;
        return true;
    case 'p':
        return parse_number(text, DSM_PAGE_SIZE_MIN, DSM_PAGE_SIZE_MAX, &job->page_size);
    case 'u':
        job->is_unchecked = true;
        return true;
    case 's':
        *socket = text;
        return true;
    default:
        return false;
    }
}

void job_open(struct job *job, int argc, char **argv, const struct job_about *about)
{
    static const struct option known[] = {
        {"rank", required_argument, NULL, 'r'},
        {"ranks", required_argument, NULL, 'n'},
        {"region", required_argument, NULL, 'm'},
        {"size", required_argument, NULL, 'z'},
        {"iterations", required_argument, NULL, 'i'},
        {"striped", no_argument, NULL, 'x'},
        {"unchecked", no_argument, NULL, 'u'},
        {"socket", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"page-size", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    static const char default_name[] = "/job";
    const char *socket = NULL;
    int letter;

    *job = (struct job){
        .about = about, .size = about->size, .iterations = about->iterations, .name = default_name};
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 'h') {
            print_help(about, stdout);
            exit(EXIT_SUCCESS);
        }
        if (letter == '?' || !take_option(job, letter, optarg, &socket)) {
            fprintf(stderr, "%s: '%s' makes no sense here; --help shows the options\n", about->name,
                    letter == '?' ? argv[optind - 1] : optarg);
            exit(2);
        }
    }
    if (job->rank >= job->ranks || optind < argc) {
        fprintf(stderr,
                "%s: --rank and --ranks are needed, the first less than the second, "
                "and nothing else; --help shows the options\n",
                about->name);
        exit(2);
    }
    check(job, "reach the agent of this node", dsm_connect(socket, &job->dsm));
}

/* Rank 0 makes the region, the others open it. */
static void *open_region(struct job *job, const char *suffix, const char *type, uint64_t len_bytes,
                         uint32_t page_size, struct dsm_region **region)
{
    const struct dsm_shm_options options = {
        .type = type,
        .page_size = page_size,
        .home = job->is_striped ? DSM_HOME_STRIPED : DSM_HOME_CREATOR,
    };
    char name[DSM_NAME_MAX + 1];
    void *mapped;

    snprintf(name, sizeof name, "%s%s", job->name, suffix);
    int flags = job->rank == 0 ? O_RDWR | O_CREAT | O_TRUNC : O_RDWR;
    check(job, "open the region", dsm_shm_open(job->dsm, name, flags, 0600, &options, region));
    if (job->rank == 0) {
        check(job, "size the region", dsm_shm_truncate(*region, len_bytes));
    }
    check(job, "map the region",
          dsm_shm_map(*region, NULL, 0, len_bytes, DSM_READ | DSM_WRITE, &mapped));
    return mapped;
}

void job_prefer_pages(struct job *job, uint64_t row_bytes)
{
    uint32_t page_size = DSM_PAGE_SIZE_MIN;

    while (page_size < DSM_PAGE_SIZE_MAX && 2 * (uint64_t)page_size <= row_bytes) {
        page_size *= 2;
    }
    job->page_size = job->page_size != 0 ? job->page_size : page_size;
}

void *job_memory(struct job *job, uint64_t len_bytes)
{
    char name[DSM_NAME_MAX + 1];
    struct dsm_sem *ready;
    void *memory = NULL;

    snprintf(name, sizeof name, "%s" READY_SUFFIX, job->name);
    check(job, "open the semaphore", dsm_sem_open(job->dsm, name, O_CREAT, 0600, 0, &ready));
    if (job->rank != 0) {
        check(job, "wait for rank 0", dsm_sem_wait(ready, JOB_WAIT_MS));
    }
    memory = open_region(job, "", job->about->type, len_bytes, job->page_size, &job->region);
    job->book = open_region(job, NOTES_SUFFIX, DSM_TYPE_TEXT(JOB_BOOK_LIST),
                            sizeof(struct job_book), 0, &job->notes);
    for (uint32_t other = 1; job->rank == 0 && other < job->ranks; other++) {
        check(job, "let the other ranks in", dsm_sem_post(ready));
    }
    check(job, "close the semaphore", dsm_sem_close(ready));
    return memory;
}

/* A call that waits is no computing: its time is kept apart. */
static void begin_call(struct job *job)
{
    job->in_calls_s -= seconds_of(CLOCK_MONOTONIC);
    job->busy_in_calls_s -= seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

static void end_call(struct job *job, const char *what, int error)
{
    check(job, what, error);
    job->in_calls_s += seconds_of(CLOCK_MONOTONIC);
    job->busy_in_calls_s += seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

void job_barrier(struct job *job)
{
    begin_call(job);
    end_call(job, "wait for the other ranks",
             dsm_barrier_wait(job->notes, NOTES_BARRIER, job->ranks, JOB_WAIT_MS));
}

void job_lock(struct job *job, uint64_t offset)
{
    begin_call(job);
    end_call(job, "take a mutex", dsm_mutex_lock(job->region, offset, JOB_WAIT_MS));
}

void job_unlock(struct job *job, uint64_t offset)
{
    begin_call(job);
    end_call(job, "release a mutex", dsm_mutex_unlock(job->region, offset));
}

void job_share(const struct job *job, uint32_t count, uint32_t *first, uint32_t *last)
{
    *first = (uint32_t)((uint64_t)count * job->rank / job->ranks);
    *last = (uint32_t)((uint64_t)count * (job->rank + 1) / job->ranks);
}

void job_start(struct job *job)
{
    job_barrier(job);
    check(job, "read the counters", dsm_stats_get(job->dsm, &job->before));
    job_barrier(job);
    job->in_calls_s = job->busy_in_calls_s = 0;
    job->for_cpu_s = for_cpu_s();
    job->busy_s = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    job->start_s = seconds_of(CLOCK_MONOTONIC);
}

void job_stop(struct job *job)
{
    struct job_note *note = &job->book->of_rank[job->rank];
    struct dsm_stats after;

    job_barrier(job);
    double seconds = seconds_of(CLOCK_MONOTONIC) - job->start_s;
    double busy_s = seconds_of(CLOCK_THREAD_CPUTIME_ID) - job->busy_s - job->busy_in_calls_s;
    note->for_cpu_s = for_cpu_s() - job->for_cpu_s;
    check(job, "read the counters", dsm_stats_get(job->dsm, &after));
    note->seconds = seconds;
    note->in_calls_s = job->in_calls_s;
    note->in_faults_s = seconds - job->in_calls_s - busy_s;
    note->faults = after.faults - job->before.faults;
    note->faults_remote = after.faults_remote - job->before.faults_remote;
    note->messages = after.messages_sent - job->before.messages_sent;
    note->bytes = after.bytes_sent - job->before.bytes_sent;
    job_barrier(job);
}

bool job_checks(const struct job *job)
{
    return job->rank == 0 && !job->is_unchecked;
}

static void print_result(const struct job *job, bool is_right, double checksum)
{
    struct job_note sum = {.seconds = 0};

    for (uint32_t rank = 0; rank < job->ranks; rank++) {
        const struct job_note *note = &job->book->of_rank[rank];

        sum.seconds = fmax(sum.seconds, note->seconds);
        sum.in_calls_s += note->in_calls_s / job->ranks;
        sum.in_faults_s += note->in_faults_s / job->ranks;
        sum.for_cpu_s += note->for_cpu_s / job->ranks;
        sum.faults += note->faults;
        sum.faults_remote += note->faults_remote;
        sum.messages += note->messages;
        sum.bytes += note->bytes;
    }
    printf("{\"kernel\": \"%s\", \"hosts\": %u, \"size\": %u, \"iterations\": %u, "
           "\"seconds\": %.6f, \"in_faults_s\": %.6f, \"in_calls_s\": %.6f, \"for_cpu_s\": %.6f, "
           "\"faults\": %llu, \"faults_remote\": %llu, \"messages\": %llu, \"bytes\": %llu, "
           "\"checksum\": %.17g, "
           "\"ok\": %s}\n",
           job->about->name, job->ranks, job->size, job->iterations, sum.seconds, sum.in_faults_s,
           sum.in_calls_s, sum.for_cpu_s, (unsigned long long)sum.faults,
           (unsigned long long)sum.faults_remote, (unsigned long long)sum.messages,
           (unsigned long long)sum.bytes, checksum,
           job->is_unchecked ? "null"
           : is_right        ? "true"
                             : "false");
}

int job_close(struct job *job, bool is_right, double checksum)
{
    static const char *const suffixes[] = {"", NOTES_SUFFIX};
    char name[DSM_NAME_MAX + 1];

    /* Whoever is still looking at the memory has it until all are here. */
    job_barrier(job);
    if (job->rank == 0) {
        print_result(job, is_right, checksum);
        for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
            snprintf(name, sizeof name, "%s%s", job->name, suffixes[i]);
            check(job, "remove the region", dsm_shm_unlink(job->dsm, name));
        }
        snprintf(name, sizeof name, "%s" READY_SUFFIX, job->name);
        check(job, "remove the semaphore", dsm_sem_unlink(job->dsm, name));
    }
    dsm_shm_close(job->region);
    dsm_shm_close(job->notes);
    dsm_disconnect(job->dsm);
    return job->rank == 0 && !job->is_unchecked && !is_right ? EXIT_FAILURE : EXIT_SUCCESS;
}

void *job_private(struct job *job, size_t count, size_t one_bytes)
{
    void *memory = calloc(count, one_bytes);

    if (memory == NULL) {
        job_fail(job, "this program's own memory", DSM_ENOMEM);
    }
    return memory;
}
