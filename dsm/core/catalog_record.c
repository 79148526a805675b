/* SPDX-License-Identifier: Apache-2.0 */
/* The records of regions and semaphores as the catalog tells them. */
#include "dsm/core/catalog.h"
#include "dsm/core/type.h"

#include <string.h>

/* A record that breaks the rules of its kind would divide by zero, or have no home. */
static bool is_sound(const struct record *record)
{
    uint32_t size = record->page_size;

    if (nodeset_is_empty(record->homes) || memchr(record->name, 0, RECORD_NAME_BYTES) == NULL ||
        record->size_bytes > RECORD_SIZE_BYTES_MAX ||
        (record->type[0] != 0 && !type_text_is_sound(record->type)) ||
        (record->sealed && !nodeset_is_empty(record->writers))) {
        return false;
    }
    return record->kind == RECORD_SEM ||
           (record->kind == RECORD_REGION && size >= DSM_PAGE_SIZE_MIN &&
            size <= DSM_PAGE_SIZE_MAX && (size & (size - 1)) == 0);
}

/* What its pages are counted in, and what their bytes are, never changes; nor is a seal undone. */
static bool is_same(const struct region *region, const struct record *record)
{
    return region->record.kind == record->kind && region->record.page_size == record->page_size &&
           strcmp(region->record.type, record->type) == 0 &&
           (record->sealed || !region->record.sealed);
}

struct region *catalog_on_record(struct catalog_view *view, const struct record *record)
{
    struct context *context = view->context;
    struct region *region = context_region(context, record->id);

    if (!record->deleted && (!is_sound(record) || (region != NULL && !is_same(region, record)))) {
        return region;
    }
    if (region == NULL) {
        if (record->deleted) {
            return NULL;
        }
        region = pool_get(&context->region_pool);
        list_init(&region->maps);
        list_init(&region->bindings);
        list_init(&region->seats);
        list_init(&region->parents);
        list_add_tail(&context->regions[record->id.slot % REGION_BUCKETS], &region->place);
    }
    if (region->is_open && record->size_bytes > region->record.size_bytes) {
        region->record = *record;
        region->is_open = false;
        region_open(context, region);
    }
    region->record = *record;
    return region;
}
