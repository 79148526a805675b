/* SPDX-License-Identifier: Apache-2.0 */
/** dsmctl doctor: checks of one host, each with what was found and what to do about it. */
#ifndef DSM_AGENT_DOCTOR_H
#define DSM_AGENT_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/config.h"

#define DOCTOR_FINDINGS_MAX 64
#define DOCTOR_TEXT_BYTES 1200

enum doctor_result { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_finding {
    enum doctor_result result;
    const char *check; /* static */
    char found[DOCTOR_TEXT_BYTES];
    char advice[DOCTOR_TEXT_BYTES]; /* "" for ok */
};

struct doctor {
    unsigned count;
    struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
};

/** Add a finding. @check a static string. Without room it is dropped: there are fewer checks. */
void doctor_find(struct doctor *doctor, enum doctor_result result, const char *check,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
/** What to do about the latest finding. */
void doctor_advise(struct doctor *doctor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The kernel: version, memfd, huge pages. */
void doctor_check_kernel(struct doctor *doctor);
/** The machine's kind, and the fault back ends that it has: which, and why not the better ones. */
void doctor_check_faults(struct doctor *doctor);
/**
 * The host: descriptors, memory against the budget, clock.
 *
 * @agent_pid the running agent, whose limits count; 0: this process's
 */
void doctor_check_host(struct doctor *doctor, const struct config *config, long agent_pid);
/** The certificates that the configuration names. */
void doctor_check_certificates(struct doctor *doctor, const struct config *config);
/**
 * The agent: does it answer, its keeper, its links.
 *
 * Returns its process number, 0 when there is none.
 */
long doctor_check_agent(struct doctor *doctor, const char *socket_path);

#endif
