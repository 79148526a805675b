/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a sealed region (I5 in sealed.c): seats at the home, the parent elsewhere. A seat is
 * given once; when nobody sits on it any more, the children of who did are sent to the next
 * forebear above, and whoever comes next takes it.
 */
#include "dsm/core/sealed.h"

static struct seat *find_seat(struct list *seats, uint32_t node)
{
    for (struct list *place = seats->next; place != seats; place = place->next) {
        struct seat *seat = list_object(place, struct seat, place);

        if (seat->node == node) {
            return seat;
        }
    }
    return NULL;
}

static struct seat *add_seat(struct pages *pages, struct list *seats, uint32_t node)
{
    struct seat *seat = pool_get(&pages->seat_pool);

    seat->node = (uint16_t)node;
    seat->parent = (uint16_t)node;
    seat->below = UINT32_MAX;
    list_add_tail(seats, &seat->place);
    return seat;
}

struct seat *sealed_parent(struct pages *pages, struct region *region, uint32_t home)
{
    struct seat *seat = find_seat(&region->parents, home);

    if (seat == NULL) {
        seat = add_seat(pages, &region->parents, home);
    }
    if (!nodeset_has(pages->context->alive, seat->parent)) {
        seat->parent = (uint16_t)home;
    }
    return seat;
}

/* Does somebody sit there who may serve others? */
static bool is_taken(const struct pages *pages, const struct region *region,
                     const struct seat *seat)
{
    return nodeset_has(pages->context->alive, seat->node) &&
           nodeset_has(region->record.readers, seat->node);
}

/* A node's seat: its own, one that nobody sits on any more, or a new one. */
static struct seat *take_seat(struct pages *pages, struct region *region, uint32_t node)
{
    struct seat *seat = find_seat(&region->seats, node);

    for (struct list *place = region->seats.next; seat == NULL && place != &region->seats;
         place = place->next) {
        struct seat *other = list_object(place, struct seat, place);

        if (!is_taken(pages, region, other)) {
            seat = other;
            seat->node = (uint16_t)node;
            seat->below = UINT32_MAX;
        }
    }
    return seat != NULL ? seat : add_seat(pages, &region->seats, node);
}

static uint32_t rank_of(const struct region *region, const struct seat *seat)
{
    uint32_t rank = 1;

    for (const struct list *place = region->seats.next; place != &seat->place;
         place = place->next) {
        rank++;
    }
    return rank;
}

static const struct seat *seat_of(const struct region *region, uint32_t rank)
{
    const struct list *place = region->seats.next;

    while (--rank > 0) {
        place = place->next;
    }
    return list_object((struct list *)(uintptr_t)place, struct seat, place);
}

uint32_t sealed_forebear(struct pages *pages, struct region *region, uint32_t node, uint32_t shun)
{
    struct seat *seat = take_seat(pages, region, node);
    uint32_t rank = rank_of(region, seat);

    for (rank = (rank - 1) / 2; rank > 0; rank = (rank - 1) / 2) {
        const struct seat *above = seat_of(region, rank);

        if (above->node == shun && rank < seat->below) {
            seat->below = rank;
        } else if (rank < seat->below && is_taken(pages, region, above)) {
            return above->node;
        }
    }
    return pages->context->config.self;
}

void sealed_region_gone(struct pages *pages, struct region *region)
{
    struct list *lists[] = {&region->seats, &region->parents};

    for (uint32_t i = 0; i < 2; i++) {
        while (!list_is_empty(lists[i])) {
            struct seat *seat = list_object(lists[i]->next, struct seat, place);

            list_remove(&seat->place);
            pool_put(&pages->seat_pool, seat);
        }
    }
}
