/* SPDX-License-Identifier: Apache-2.0 */
/** Doubly linked lists inside the objects that they link. */
#ifndef DSM_CORE_LIST_H
#define DSM_CORE_LIST_H

#include "dsm/core/types.h"

/** Our own mistakes stop the process at once, in release builds too; `rule` cites the invariant. */
#define core_assert(condition, rule)                                                               \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            __builtin_trap();                                                                      \
        }                                                                                          \
    } while (0)

/** A list's head, or an object's place in a list. An object in no list points at itself. */
struct list {
    struct list *prev, *next;
};

/** The object of this type whose `member` is *place. */
#define list_object(place, type, member) ((type *)(void *)((char *)(place)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->prev = list;
    list->next = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_add_tail(struct list *list, struct list *place)
{
    place->prev = list->prev;
    place->next = list;
    list->prev->next = place;
    list->prev = place;
}

/** Take an object out of its list; nothing happens when it is in none. */
static inline void list_remove(struct list *place)
{
    place->prev->next = place->next;
    place->next->prev = place->prev;
    list_init(place);
}

#endif
