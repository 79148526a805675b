/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/record.h"

#include <string.h>

static bool credential_has_group(const struct credential *credential, uint32_t gid)
{
    if (credential->gid == gid) {
        return true;
    }
    for (uint32_t i = 0; i < credential->count_groups && i < CREDENTIAL_GROUPS_MAX; i++) {
        if (credential->groups[i] == gid) {
            return true;
        }
    }
    return false;
}

uint32_t record_rights(const struct record *record, const struct credential *credential)
{
    uint32_t bits = record->mode;

    if (credential->uid == 0) {
        return RIGHTS_READ | RIGHTS_WRITE;
    }
    if (credential->uid == record->uid) {
        bits >>= 6;
    } else if (credential_has_group(credential, record->gid)) {
        bits >>= 3;
    }
    return bits & (RIGHTS_READ | RIGHTS_WRITE);
}

bool record_name_is_valid(const char *name)
{
    const char *end = memchr(name, 0, RECORD_NAME_BYTES);

    if (end == NULL || name[0] != '/' || end - name < 2) {
        return false;
    }
    return memchr(name + 1, '/', (size_t)(end - name) - 1) == NULL;
}
