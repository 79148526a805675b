/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/conversions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/log.h"
#include "dsm.h"
#include "dsm/core/convert.h"

/* A typed region. */
struct conversion {
    struct table_link link; /* in conversions->regions; the first member */
    struct type type;
    struct converter converter;
};

static uint64_t region_key(region_id id)
{
    return (uint64_t)id.slot << 32 | id.generation;
}

int conversions_init(struct conversions *conversions)
{
    return table_init(&conversions->regions);
}

void conversions_close(struct conversions *conversions)
{
    struct table_link *link;

    while ((link = table_any(&conversions->regions)) != NULL) {
        free(table_remove(&conversions->regions, link->key));
    }
    table_close(&conversions->regions);
}

/* What was compiled of the region's type, or is now; NULL without memory. */
static const struct conversion *conversion_get(struct conversions *conversions,
                                               const struct record *record)
{
    uint64_t key = region_key(record->id);
    struct conversion *made = (struct conversion *)(void *)table_find(&conversions->regions, key);
    struct type_error error;

    if (made != NULL) {
        return made;
    }
    made = malloc(sizeof(*made));
    if (made == NULL) {
        return NULL;
    }
    if (type_parse(record->type, &made->type, &error) != 0) {
        /* No record has such a type: the codec refuses them. */
        log_line(LOG_LEVEL_ERROR, "type of a region is none region=%s error=\"%s\"", record->name,
                 error.text);
        free(made);
        return NULL;
    }
    convert_compile(&made->type, &made->converter);
    table_add(&conversions->regions, &made->link, key);
    return made;
}

int conversions_turn(struct conversions *conversions, const struct record *record, uint64_t offset,
                     uint8_t *bytes, uint64_t len_bytes)
{
    const struct conversion *conversion;

    if (record->type[0] == '\0') {
        return 0;
    }
    conversion = conversion_get(conversions, record);
    if (conversion == NULL) {
        return DSM_ENOMEM;
    }
    convert_bytes(&conversion->converter, offset, bytes, len_bytes);
    return 0;
}

int conversions_check_atomic(struct conversions *conversions, const struct record *record,
                             uint64_t offset, char *text, size_t text_bytes)
{
    const struct conversion *conversion;
    uint64_t inside = 0;
    uint32_t kind;

    if (record->type[0] == '\0') {
        return 0;
    }
    conversion = conversion_get(conversions, record);
    if (conversion == NULL) {
        return DSM_ENOMEM;
    }
    kind = type_at(&conversion->type, offset, &inside);
    if ((kind == KIND_U64 || kind == KIND_I64) && inside == 0) {
        return 0;
    }
    snprintf(text, text_bytes,
             "the 8 bytes at offset %" PRIu64 " of region '%s' are no u64 or i64: byte %" PRIu64
             " of %s is there, and an atomic operation needs one of those in a typed region",
             offset, record->name, inside,
             kind == KIND_NONE ? "what its type leaves untyped" : type_word(kind));
    return DSM_EINVAL;
}

void conversions_forget(struct conversions *conversions, region_id region)
{
    free(table_remove(&conversions->regions, region_key(region)));
}
