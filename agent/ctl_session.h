/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsmctl's side of the agent's socket: HELLO, then questions. An answer comes in pieces, whose
 * texts together are one JSON document.
 */
#ifndef DSM_AGENT_CTL_SESSION_H
#define DSM_AGENT_CTL_SESSION_H

#include <jansson.h>

/** Bytes of the text that these functions fill on error. */
#define CTL_SESSION_ERROR_BYTES 2048

struct ctl_session;

/**
 * Connect and say HELLO.
 *
 * @path    of the agent's socket, borrowed
 * @session returned, release with ctl_session_close()
 * @error   on error: what is wrong and what to do
 *
 * Errors: DSM_ENOAGENT nobody listens there, it may not be opened, or it does not answer
 *         DSM_EVERSION the agent is of another version
 *         DSM_EPROTO   what listens there is no agent
 *         DSM_ENOMEM, DSM_ESYS
 */
int ctl_session_open(const char *path, struct ctl_session **session, char *error);
/** @session given, or NULL */
void ctl_session_close(struct ctl_session *session);
/**
 * Ask for one topic.
 *
 * @json  returned, release with json_decref()
 * @error on error: the agent's own sentence, or what is wrong
 *
 * Errors: what the agent answers; DSM_ENOAGENT it went away or does not answer in 30 s;
 *         DSM_EPROTO, DSM_ENOMEM
 */
int ctl_session_fetch(struct ctl_session *session, const char *topic, json_t **json, char *error);

#endif
