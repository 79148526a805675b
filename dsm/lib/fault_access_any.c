/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processors whose signal frames do not tell: a thread that finds no access is taken to read; one
 * that finds the right to read is taken to write. (s390x: its kernel keeps the store indication to
 * itself.)
 */
#include "dsm/lib/fault_access.h"

enum access_hint access_hint(const void *context)
{
    (void)context;
    return ACCESS_HINT_UNKNOWN;
}
