/* SPDX-License-Identifier: Apache-2.0 */
/* Values as bytes: types, byte orders, and conversion between them (O17). */
#include "tests/sim/cluster_bytes.h"

#include <stdlib.h>
#include <string.h>

#include "dsm/core/convert.h"
#include "tests/sim/cluster_parts.h"

/** Pages below this one have their window at their start: programs do atomic operations there. */
#define FIRST_PAGES 8u
#define WORD_BYTES 8u

struct sim_layout {
    struct type type;
    struct converter converter;
};

static const struct record *record_of(const struct cluster *cluster, uint32_t region)
{
    region_id id = cluster->regions[region];

    return id.slot != 0 && id.slot <= cluster->count_records &&
                   region_id_equal(cluster->records[id.slot - 1].id, id)
               ? &cluster->records[id.slot - 1]
               : NULL;
}

uint32_t cluster_page_bytes(struct cluster *cluster, uint32_t region)
{
    struct sim_region *area = &cluster->areas[region];

    if (area->page_bytes == 0) {
        const struct record *record = record_of(cluster, region);

        area->page_bytes =
            record != NULL && record->page_size != 0 ? record->page_size : CLUSTER_PAGE_BYTES;
    }
    return area->page_bytes;
}

/* What is known of the region's type; NULL: it has none. */
static const struct sim_layout *layout_of(struct cluster *cluster, uint32_t region)
{
    struct sim_region *area = &cluster->areas[region];
    const struct record *record;
    struct type_error error;

    if (area->has_layout) {
        return area->layout;
    }
    area->has_layout = true;
    record = record_of(cluster, region);
    if (record != NULL && record->type[0] != 0) {
        area->layout = malloc(sizeof(*area->layout));
        if (area->layout == NULL || type_parse(record->type, &area->layout->type, &error) != 0) {
            cluster_broken(cluster, "a record holds no type");
        }
        convert_compile(&area->layout->type, &area->layout->converter);
    }
    return area->layout;
}

/* Where the window of a page begins in the region: each page has it elsewhere. */
static uint64_t window_at(struct cluster *cluster, uint32_t region, uint64_t page)
{
    uint64_t page_bytes = cluster_page_bytes(cluster, region);
    uint64_t words = (page_bytes - CLUSTER_WINDOW_BYTES) / WORD_BYTES + 1;

    return page * page_bytes +
           (page < FIRST_PAGES ? 0 : page * UINT64_C(0x9e3779b97f4a7c15) % words * WORD_BYTES);
}

/* Bytes of the scalar that begins at an offset; 1 for what is never converted. */
static uint32_t width_at(const struct sim_layout *layout, uint64_t offset)
{
    uint64_t inside = 0;
    uint32_t kind, bytes;

    if (layout == NULL) {
        return WORD_BYTES;
    }
    kind = type_at(&layout->type, offset, &inside);
    bytes = kind == KIND_REF || inside != 0 ? 1 : type_scalar_bytes(kind);
    return bytes == 0 ? 1 : bytes;
}

/* The bytes that stand for a value: its first scalar is the value, others follow from it. */
static void encode(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                   uint64_t value, uint8_t *bytes)
{
    const struct sim_layout *layout = layout_of(cluster, region);
    bool big_endian = layout != NULL && cluster->machines[node].big_endian;
    uint64_t offset = window_at(cluster, region, page);
    uint32_t width;

    for (uint32_t at = 0; at < CLUSTER_WINDOW_BYTES; at += width) {
        uint64_t number = at == 0 ? value : value * (UINT64_C(0x9e3779b97f4a7c15) + 2 * at);

        width = width_at(layout, offset + at);
        for (uint32_t i = 0; i < width; i++) {
            bytes[at + (big_endian ? width - 1 - i : i)] = (uint8_t)(number >> 8 * i);
        }
    }
}

void bytes_write(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                 struct sim_bytes *bytes)
{
    encode(cluster, node, region, page, bytes->value, bytes->window);
}

bool bytes_are_right(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                     const struct sim_bytes *bytes)
{
    uint8_t wanted[CLUSTER_WINDOW_BYTES] = {0};

    if (bytes->stamp != 0) {
        encode(cluster, node, region, page, bytes->value, wanted);
    }
    return memcmp(wanted, bytes->window, sizeof(wanted)) == 0;
}

bool bytes_are_whole_number(struct cluster *cluster, uint32_t region, uint64_t offset)
{
    const struct sim_layout *layout = layout_of(cluster, region);
    uint64_t inside = 0;
    uint32_t kind = layout != NULL ? type_at(&layout->type, offset, &inside) : KIND_U64;

    return inside == 0 && (kind == KIND_U64 || kind == KIND_I64);
}

void bytes_arrive(struct cluster *cluster, struct envelope *envelope)
{
    const struct message *message = &envelope->message;
    bool is_big = (message->flags & FLAG_BIG_ENDIAN) != 0;
    const struct sim_layout *layout;
    uint32_t region;

    if (envelope->payload_pages == 0 || is_big == cluster->machines[message->to].big_endian) {
        return;
    }
    region = cluster_region_index(cluster, message->region);
    layout = layout_of(cluster, region);
    for (uint32_t i = 0; layout != NULL && i < envelope->payload_pages; i++) {
        convert_bytes(&layout->converter, window_at(cluster, region, message->page + i),
                      envelope->payload[i].window, CLUSTER_WINDOW_BYTES);
    }
}
