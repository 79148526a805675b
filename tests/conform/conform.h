/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What dsm.h promises of faults, whatever serves them: one suite for every back end ($DSM_FAULTS
 * chooses). Each program is a forked child of the test, with an agent that is played in the test;
 * nothing but this machine, or an emulator of another, is needed.
 */
#ifndef DSM_TESTS_CONFORM_H
#define DSM_TESTS_CONFORM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "dsm.h"
#include "tests/unit/fake_agent.h"

/** Pages (of fake_unit()) of the region. */
#define CONFORM_PAGES 64u
#define CONFORM_LOST 60u
#define CONFORM_SILENT 61u

/** In a program: a promise that was not kept ends it with status 1. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

struct program {
    const char *path; /* of the agent's socket */
    struct dsm *dsm;
    struct dsm_region *region;
    volatile uint8_t *bytes; /* all of it */
    size_t page;             /* bytes */
};

/** What a program does. It has its mapping; to return is to end well. */
typedef void program_role(struct program *program);
/** What the agent does while programs run, over and over; NULL: nothing. */
typedef void agent_role(struct fake_agent *fake);

/** Start an agent. @return stop it with fake_stop() */
struct fake_agent *agent_start(void);
/** Run `count` programs at once until all have ended well. */
void programs_run(struct fake_agent *fake, program_role *role, int count, agent_role *meanwhile);
/** Run one program that a signal has to end. */
void program_dies(struct fake_agent *fake, program_role *role, int signal_number);
/** As both, with an agent of its own. */
void program_run(program_role *role);
void program_run_dies(program_role *role, int signal_number);
/** As a child of a program: fork, run, and return what waitpid() tells. */
int child_status(program_role *role, struct program *program);
/** The byte that the region begins with at a place. */
uint8_t first_byte(const struct program *program, size_t page, size_t at);
/** Bytes that the compiler does not know to be memory of this program. */
uint8_t *plain_bytes(struct program *program, size_t page);

/** Take pages 0 to 7 away, all of their access or, each second time, the right to write. */
void take_first_pages(struct fake_agent *fake);

/** The tests of each file. */
extern const struct CMUnitTest page_tests[], signal_tests[], handler_tests[], call_tests[],
    end_tests[];
extern const size_t page_tests_count, signal_tests_count, handler_tests_count, call_tests_count,
    end_tests_count;

#endif
