/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/message.h"

struct kind_row {
    const char *name;
    uint32_t fields;
    bool payload;
};

static const struct kind_row kinds[MESSAGE_KINDS] = {
#define MESSAGE_ROW(number, kind_name, kind_fields, kind_payload)                                  \
    [number] = {#kind_name, (uint32_t)(kind_fields), kind_payload},
    MESSAGES(MESSAGE_ROW)
#undef MESSAGE_ROW
};

const char *message_kind_name(uint32_t kind)
{
    return kind < MESSAGE_KINDS && kinds[kind].name != NULL ? kinds[kind].name : "?";
}

uint32_t message_kind_fields(uint32_t kind)
{
    return kind > MESSAGE_NONE && kind < MESSAGE_KINDS ? kinds[kind].fields : 0;
}

bool message_kind_has_payload(uint32_t kind)
{
    return kind > MESSAGE_NONE && kind < MESSAGE_KINDS && kinds[kind].payload;
}
