/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_child.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim_machines.h"

/* --- overrides --- */

void sim_overrides_apply(const struct sim_overrides *overrides, uint64_t seed,
                         struct sim_options *options)
{
    sim_options_draw(options, seed);
    options->salt = overrides->salt;
    options->nodes = overrides->nodes != 0 ? overrides->nodes : options->nodes;
    options->programs = overrides->programs != 0 ? overrides->programs : options->programs;
    options->pages = overrides->pages != 0 ? overrides->pages : options->pages;
    options->steps = overrides->steps != 0 ? overrides->steps : options->steps;
    if (overrides->read_ahead_pages != 0) {
        options->read_ahead_pages = overrides->read_ahead_pages;
    }
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        options->weights[i] = overrides->off[i] ? 0 : options->weights[i];
    }
    if (overrides->same_sizes) {
        sim_machines_same_sizes(options);
    }
    if (overrides->same_orders) {
        sim_machines_same_orders(options);
    }
    if (overrides->no_types) {
        sim_machines_no_types(options);
    }
}

static size_t print_one(char *text, size_t bytes, size_t used, const char *name, uint64_t value)
{
    int more = value != 0 && used < bytes ? snprintf(text + used, bytes - used, " --%s %llu", name,
                                                     (unsigned long long)value)
                                          : 0;

    return used + (more > 0 ? (size_t)more : 0);
}

static size_t print_no(char *text, size_t bytes, size_t used, bool is_off, const char *name)
{
    int more = is_off && used < bytes ? snprintf(text + used, bytes - used, " --no-%s", name) : 0;

    return used + (more > 0 ? (size_t)more : 0);
}

void sim_overrides_print(const struct sim_overrides *overrides, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = 0;
    used = print_one(text, bytes, used, "salt", overrides->salt);
    used = print_one(text, bytes, used, "nodes", overrides->nodes);
    used = print_one(text, bytes, used, "programs", overrides->programs);
    used = print_one(text, bytes, used, "pages", overrides->pages);
    used = print_one(text, bytes, used, "steps", overrides->steps);
    used = print_one(text, bytes, used, "read-ahead", overrides->read_ahead_pages);
    used = print_no(text, bytes, used, overrides->same_sizes, "sizes");
    used = print_no(text, bytes, used, overrides->same_orders, "orders");
    used = print_no(text, bytes, used, overrides->no_types, "types");
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        used = print_no(text, bytes, used, overrides->off[i], sim_fault_name(i));
    }
}

/* --- inside the child --- */

static void raise_to(uint64_t *most, uint64_t value)
{
    *most = value > *most ? value : *most;
}

void sim_stats_add(struct sim_stats *sum, const struct sim_stats *stats)
{
    sum->operations += stats->operations;
    sum->fast_locks += stats->fast_locks;
    sum->events += stats->events;
    sum->steps += stats->steps;
    sum->messages += stats->messages;
    sum->poisoned += stats->poisoned;
    sum->sealed += stats->sealed;
    sum->deaths += stats->deaths;
    sum->virtual_us += stats->virtual_us;
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        sum->faults[i] += stats->faults[i];
    }
    raise_to(&sum->settle_us, stats->settle_us);
    raise_to(&sum->settle_permille, stats->settle_permille);
    raise_to(&sum->wait_us, stats->wait_us);
    raise_to(&sum->wait_permille, stats->wait_permille);
}

/*
 * A trap of the core says nothing by itself: tell where it was, as an offset that addr2line
 * understands.
 */
static void on_crash(int number, siginfo_t *info, void *context)
{
    char text[128];
    Dl_info where = {0};
    uintptr_t address = (uintptr_t)info->si_addr;
    int bytes;

    (void)context;
    if ((number == SIGILL || number == SIGTRAP || number == SIGFPE) &&
        dladdr(info->si_addr, &where) != 0) {
        address -= (uintptr_t)where.dli_fbase;
    }
    bytes = snprintf(text, sizeof(text), "%s at 0x%llx\n",
                     number == SIGILL || number == SIGTRAP ? "trap" : "crash",
                     (unsigned long long)address);
    if (write(STDERR_FILENO, text, (size_t)bytes) < 0) {
        _exit(2);
    }
    signal(number, SIG_DFL);
    kill(getpid(), number);
}

static void catch_crashes(void)
{
    static const int numbers[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_RESETHAND};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

static void run_seeds(struct sim_child *child, const struct sim_overrides *overrides,
                      uint64_t first, uint32_t guard_s, bool is_verbose)
{
    struct sim_shared *shared = child->shared;
    const struct itimerval guard = {.it_value = {.tv_sec = guard_s}};

    for (uint64_t seed = first; seed < child->end; seed++) {
        struct sim_options options;

        memset(&shared->sim, 0, sizeof(shared->sim));
        shared->seed = seed;
        setitimer(ITIMER_PROF, &guard, NULL); /* of its CPU: others may need the machine as well */
        sim_overrides_apply(overrides, seed, &options);
        sim_run(&shared->sim, &options, &overrides->plant, is_verbose);
        shared->count++;
        sim_stats_add(&shared->sum, &shared->sim.stats);
    }
}

/* --- the parent's side --- */

int sim_child_init(struct sim_child *child)
{
    memset(child, 0, sizeof(*child));
    child->shared = mmap(NULL, sizeof(*child->shared), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (child->shared == MAP_FAILED) {
        return -errno;
    }
    child->errors = memfd_create("dsm-sim-errors", MFD_CLOEXEC);
    if (child->errors < 0) {
        int error = -errno;

        munmap(child->shared, sizeof(*child->shared));
        return error;
    }
    return 0;
}

void sim_child_close(struct sim_child *child)
{
    if (child->pid != 0) {
        kill(-child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    close(child->errors);
    munmap(child->shared, sizeof(*child->shared));
}

int sim_child_start(struct sim_child *child, const struct sim_overrides *overrides, uint64_t first,
                    uint64_t end, uint32_t guard_s, bool is_verbose)
{
    pid_t parent = getpid();
    pid_t pid;

    child->end = end;
    child->shared->count = 0;
    child->shared->seed = first;
    memset(&child->shared->sum, 0, sizeof(child->shared->sum));
    if (ftruncate(child->errors, 0) != 0 || lseek(child->errors, 0, SEEK_SET) != 0) {
        return -errno;
    }
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(child->errors, STDERR_FILENO) < 0) {
            _exit(2);
        }
        catch_crashes();
        setvbuf(stdout, NULL, is_verbose ? _IOLBF : _IOFBF, BUFSIZ);
        run_seeds(child, overrides, first, guard_s, is_verbose);
        exit(0); /* and not _exit(): what a coverage build has counted is written out */
    }
    child->pid = pid;
    return 0;
}

/* What a shrunk run must fail with too: the first words, without the numbers. */
static void name_kind(struct sim_outcome *outcome)
{
    size_t used = 0;

    if (outcome->text[0] == 'O' && outcome->text[1] >= '1' && outcome->text[1] <= '9') {
        sscanf(outcome->text, "%15s", outcome->kind);
        return;
    }
    for (const char *c = outcome->text; *c != 0 && *c != '\n' && *c != ',' && used < 62; c++) {
        if (strncmp(outcome->text, "trap", 4) == 0 || *c < '0' || *c > '9') {
            outcome->kind[used++] = *c;
        }
    }
    outcome->kind[used] = 0;
}

bool sim_child_ended(struct sim_child *child, int status, struct sim_outcome *outcome)
{
    ssize_t bytes;

    child->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    memset(outcome, 0, sizeof(*outcome));
    outcome->seed = child->shared->seed;
    bytes = pread(child->errors, outcome->text, sizeof(outcome->text) - 1, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF) {
        snprintf(outcome->text, sizeof(outcome->text), "it hangs: the seed took too long");
    } else if (bytes <= 0) {
        snprintf(outcome->text, sizeof(outcome->text), "it ended with status 0x%x",
                 (unsigned)status);
    }
    name_kind(outcome);
    return false;
}

bool sim_child_run(struct sim_child *child, const struct sim_overrides *overrides, uint64_t seed,
                   uint32_t guard_s, bool is_verbose, struct sim_outcome *outcome)
{
    int status = 0;
    int error = sim_child_start(child, overrides, seed, seed + 1, guard_s, is_verbose);

    if (error != 0) {
        fprintf(stderr, "dsm-sim: cannot start a process: %s\n", strerror(-error));
        exit(2);
    }
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return sim_child_ended(child, status, outcome);
}
