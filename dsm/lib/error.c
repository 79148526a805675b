/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/error.h"

#include <inttypes.h>
#include <stdio.h>

#include "dsm.h"

const char *dsm_strerror(int error)
{
    switch (error) {
    case 0:
        return "success";
#define DSM_ERROR_TEXT(name, value, text) \
    case name:                            \
        return text;
        DSM_ERRORS(DSM_ERROR_TEXT)
#undef DSM_ERROR_TEXT
    default:
        return "unknown error";
    }
}

const char *dsm_error_name(int error)
{
    switch (error) {
    case 0:
        return "DSM_OK";
#define DSM_ERROR_NAME(name, value, text) \
    case name:                            \
        return #name;
        DSM_ERRORS(DSM_ERROR_NAME)
#undef DSM_ERROR_NAME
    default:
        return "DSM_E?";
    }
}

const char *error_advice(int error)
{
    switch (error) {
    case DSM_ENOENT:
        return "make it first, or open it with O_CREAT; `dsmctl regions` lists what there is";
    case DSM_EEXIST:
        return "open it without O_EXCL, or unlink it first";
    case DSM_EACCES:
        return "ask its owner for a wider mode, or open it with the rights that you use";
    case DSM_ESIZE:
        return "ask for 1 byte at least, and for less than the agent's region_max allows";
    case DSM_ERANGE:
        return "stay within the size that dsm_shm_stat() tells, or enlarge it first";
    case DSM_ESTALE:
        return "open it again by its name";
    case DSM_ETIMEDOUT:
        return "try again, or wait longer";
    case DSM_EAGAIN:
        return "somebody else has it now; try again or give a timeout";
    case DSM_EDOWN:
        return "the agent's log and `dsmctl nodes` tell which node and why";
    case DSM_ENOMEM:
        return "free memory or raise the limits of this program and its agent";
    case DSM_ENOAGENT:
        return "start dsm-agent on this machine, then connect again";
    case DSM_EOWNERDEAD:
        return "check the data that it guards, then go on and unlock as usual";
    case DSM_EPERM:
        return "only the session that took it can release it";
    case DSM_EVERSION:
        return "install the same release of the library and of the agent";
    case DSM_EKEEPER:
        return "start the agent that keeps the catalog, or check the link to it; nothing was "
               "changed";
    case DSM_EOVERFLOW:
        return "somebody posts without waiting";
    default:
        return "";
    }
}

void error_compose(int error, const struct deed *deed, uint32_t node, char *text, size_t size_bytes)
{
    char where[RECORD_NAME_BYTES + 48] = "";
    char who[32] = "";
    const char *advice = error_advice(error);

    if (deed->name != NULL && deed->has_offset) {
        (void)snprintf(where, sizeof where, " '%.255s' at offset %" PRIu64, deed->name,
                       deed->offset);
    } else if (deed->name != NULL) {
        (void)snprintf(where, sizeof where, " '%.255s'", deed->name);
    }
    if (error == DSM_EDOWN && node != NODE_NONE) {
        (void)snprintf(who, sizeof who, " (node number %" PRIu32 ")", node);
    }
    (void)snprintf(text, size_bytes, "%s%s: %s%s%s%s", deed->verb, where, dsm_strerror(error), who,
                   advice[0] ? "; " : "", advice);
}
