/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"

#define SOCKET_DEFAULT "/run/dsm/agent.sock"

int ctl_fail(const struct ctl_options *options, int exit_code, const char *format, ...)
{
    char text[CTL_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "dsmctl: %s\n", text);
    if (options->json) {
        json_t *json = json_pack("{s:s+, s:i}", "error", text, "", "exit_code", exit_code);
        if (json) {
            ctl_print_json(json);
        }
        json_decref(json);
    }
    return exit_code;
}

void ctl_print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
}

const char *ctl_socket(const struct ctl_options *options)
{
    const char *variable = getenv("DSM_SOCKET");
    if (options->socket) {
        return options->socket;
    }
    return variable && variable[0] != '\0' ? variable : SOCKET_DEFAULT;
}

int ctl_fetch(const struct ctl_options *options, const char *topic, json_t **json)
{
    char error[CTL_SESSION_ERROR_BYTES] = "";
    struct ctl_session *session = NULL;
    int result = ctl_session_open(ctl_socket(options), &session, error);
    if (result == 0) {
        result = ctl_session_fetch(session, topic, json, error);
    }
    ctl_session_close(session);
    if (result != 0) {
        return ctl_fail(options, result == DSM_ENOAGENT ? CTL_NO_AGENT : CTL_FAILED, "%s", error);
    }
    return CTL_OK;
}

const char *ctl_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "?";
}

long long ctl_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

void ctl_names(const json_t *array, char *text, size_t text_bytes)
{
    size_t len = 0;
    size_t index;
    json_t *name;
    snprintf(text, text_bytes, "-");
    json_array_foreach(array, index, name)
    {
        int added = snprintf(text + len, text_bytes - len, "%s%s", index > 0 ? ", " : "",
                             json_is_string(name) ? json_string_value(name) : "?");
        if (added < 0 || len + (size_t)added >= text_bytes) {
            break;
        }
        len += (size_t)added;
    }
}

void ctl_size(long long bytes, char *text, size_t text_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    if (value == (double)(long long)value) {
        snprintf(text, text_bytes, "%lld %s", (long long)value, units[unit]);
    } else {
        snprintf(text, text_bytes, "%.1f %s", value, units[unit]);
    }
}

void ctl_warn_incomplete(const json_t *document)
{
    char names[1024];
    const json_t *incomplete = json_object_get(document, "incomplete");
    if (json_array_size(incomplete) == 0) {
        return;
    }
    ctl_names(incomplete, names, sizeof(names));
    fprintf(
        stderr,
        "dsmctl: no answer from %s: what only they know is missing; 'dsmctl nodes' tells more\n",
        names);
}
