/* SPDX-License-Identifier: Apache-2.0 */
/** dsmctl: the operator's tool. Its commands, their options, and its exit codes. */
#ifndef DSM_AGENT_CTL_H
#define DSM_AGENT_CTL_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/ctl_session.h"

/** Exit codes; --help and dsmctl(1) tell them. */
enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,    /* the operation failed; standard error says why */
    CTL_USAGE = 2,     /* not a legal command line */
    CTL_NO_AGENT = 3,  /* no agent answers */
    CTL_UNHEALTHY = 4, /* doctor found a failure */
};

/** Bytes of a sentence on an error. */
#define CTL_ERROR_BYTES 2048

/** What the command line says. Texts are borrowed from argv; NULL or false when not given. */
struct ctl_options {
    const char *socket;
    const char *config;
    const char *name;
    const char *address;
    const char *out;
    const char *keeper;
    const char *state_dir;
    unsigned days; /* 0: not given */
    bool json;
    bool all;
    bool pages;
    bool sem;
    const char *argument; /* the command's own: a directory or a name */
};

/** The program: parse, do, and return the exit code. */
int ctl_main(int argc, char **argv);

/* The commands. Each prints its result and returns an exit code. */
int ctl_init(const struct ctl_options *options);
int ctl_node_add(const struct ctl_options *options);
int ctl_status(const struct ctl_options *options);
int ctl_nodes(const struct ctl_options *options);
int ctl_regions(const struct ctl_options *options);
int ctl_sems(const struct ctl_options *options);
int ctl_region(const struct ctl_options *options);
int ctl_rm(const struct ctl_options *options);
int ctl_stats(const struct ctl_options *options);
int ctl_doctor(const struct ctl_options *options);

/** Say what went wrong: on standard error, and with --json as an object on standard output as well.
 */
int ctl_fail(const struct ctl_options *options, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Print a document as --json does. */
void ctl_print_json(const json_t *json);
/** The socket to use: --socket, $DSM_SOCKET, or the default. */
const char *ctl_socket(const struct ctl_options *options);
/**
 * Ask the agent for one topic, and complain when that fails.
 *
 * @json returned, release with json_decref()
 *
 * Returns an exit code.
 */
int ctl_fetch(const struct ctl_options *options, const char *topic, json_t **json);

/** A member of an object as text ("?" when it is no text) or as a number (0 when it is none). */
const char *ctl_text(const json_t *object, const char *key);
long long ctl_number(const json_t *object, const char *key);
/** The texts of an array with ", " between them, "-" for none. */
void ctl_names(const json_t *array, char *text, size_t text_bytes);
/** Bytes for people: "12.5 MiB". */
void ctl_size(long long bytes, char *text, size_t text_bytes);
/** Warn on standard error of nodes that did not answer ("incomplete" of a document). */
void ctl_warn_incomplete(const json_t *document);

#endif
