/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/catalog_rules.h"

#include <string.h>

#include "dsm.h"
#include "dsm/core/type.h"

/** Permission bits of a record. */
#define MODE_BITS 0777u

static int check_bytes(uint64_t size_bytes, uint64_t region_bytes_max)
{
    bool is_beyond = region_bytes_max != 0 && size_bytes > region_bytes_max;
    return is_beyond || size_bytes > RECORD_SIZE_BYTES_MAX ? DSM_ESIZE : 0;
}

int rules_check_create(const struct record *record, uint32_t node, uint64_t region_bytes_max)
{
    if (record->kind != RECORD_REGION && record->kind != RECORD_SEM) {
        return DSM_EINVAL;
    }
    if (!record_name_is_valid(record->name)) {
        return DSM_ENAME;
    }
    if ((record->mode & ~MODE_BITS) != 0 || record->unlinked || record->deleted ||
        record->sealed) {
        return DSM_EINVAL;
    }
    if (!nodeset_is_part(record->readers, nodeset_of(node)) ||
        !nodeset_is_part(record->writers, record->readers)) {
        return DSM_EACCES;
    }
    if (record->kind == RECORD_SEM) {
        return record->size_bytes > INT32_MAX || record->type[0] != 0 ? DSM_EINVAL : 0;
    }
    if (record->type[0] != 0 && !type_text_is_sound(record->type)) {
        return DSM_EINVAL;
    }
    if (record->page_size < DSM_PAGE_SIZE_MIN || record->page_size > DSM_PAGE_SIZE_MAX ||
        (record->page_size & (record->page_size - 1)) != 0) {
        return DSM_EINVAL;
    }
    if (record->home != DSM_HOME_CREATOR && record->home != DSM_HOME_STRIPED) {
        return DSM_EINVAL;
    }
    if (record->window_ms > DSM_WINDOW_MS_MAX && record->window_ms != DSM_WINDOW_NONE) {
        return DSM_EINVAL;
    }
    return check_bytes(record->size_bytes, region_bytes_max);
}

bool rules_check_joiner(const struct joiner *joiner)
{
    const struct node_kind *machine = &joiner->machine;
    return joiner->name[0] != 0 && strlen(joiner->name) < RECORD_NAME_BYTES &&
           strlen(joiner->address) < RECORD_ADDRESS_BYTES && joiner->incarnation != 0 &&
           machine->page_bytes != 0 && (machine->page_bytes & (machine->page_bytes - 1)) == 0 &&
           (machine->word_bits == 32 || machine->word_bits == 64);
}

/** Are the members that nobody may change as they are? */
static bool is_same_object(const struct record *a, const struct record *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 && a->uid == b->uid &&
           a->gid == b->gid && a->mode == b->mode && a->page_size == b->page_size &&
           a->home == b->home && a->window_ms == b->window_ms &&
           nodeset_equal(a->homes, b->homes) && a->alive == b->alive && a->deleted == b->deleted &&
           a->epoch == b->epoch && a->joined == b->joined &&
           a->machine.page_bytes == b->machine.page_bytes &&
           a->machine.word_bits == b->machine.word_bits &&
           a->machine.big_endian == b->machine.big_endian && strcmp(a->type, b->type) == 0 &&
           strcmp(a->address, b->address) == 0;
}

/** May the node change who has it open in this way? Only its own bits; clearing is always allowed.
 */
static int check_users(const struct record *old, const struct record *new, uint32_t node,
                       uint32_t rights)
{
    nodeset own = nodeset_of(node);
    if (!nodeset_equal(nodeset_minus(old->readers, own), nodeset_minus(new->readers, own)) ||
        !nodeset_equal(nodeset_minus(old->writers, own), nodeset_minus(new->writers, own))) {
        return DSM_EACCES;
    }
    if (!nodeset_is_part(new->writers, new->readers)) {
        return DSM_EINVAL;
    }
    if (!nodeset_is_part(new->readers, old->readers) && (rights & RIGHTS_READ) == 0) {
        return DSM_EACCES;
    }
    if (!nodeset_is_part(new->writers, old->writers) && (rights & RIGHTS_WRITE) == 0) {
        return DSM_EACCES;
    }
    return 0;
}

/** May the size become this one? Growing takes a program here that has it open for writing. */
static int check_size(const struct record *old, const struct record *new, uint32_t node,
                      uint32_t rights, uint64_t region_bytes_max)
{
    if (new->size_bytes == old->size_bytes) {
        return 0;
    }
    if (old->kind != RECORD_REGION) {
        return DSM_EACCES;
    }
    if (new->size_bytes < old->size_bytes) {
        return DSM_EINVAL;
    }
    int error = check_bytes(new->size_bytes, region_bytes_max);
    if (error != 0) {
        return error;
    }
    return nodeset_has(old->writers, node) || (rights & RIGHTS_WRITE) != 0 ? 0 : DSM_EACCES;
}

/** May it be sealed (I1 in sealed.c)? Once it is, nobody has it open for writing ever again. */
static int check_seal(const struct record *old, const struct record *new, uint32_t node,
                      uint32_t rights)
{
    if (old->sealed && !new->sealed) {
        return DSM_EACCES;
    }
    if (!new->sealed) {
        return 0;
    }
    if (new->kind != RECORD_REGION || !nodeset_is_empty(new->writers)) {
        return DSM_EINVAL;
    }
    if (old->sealed) {
        return new->size_bytes == old->size_bytes ? 0 : DSM_ESEALED;
    }
    return nodeset_has(old->writers, node) || (rights & RIGHTS_WRITE) != 0 ? 0 : DSM_EACCES;
}

int rules_check_update(const struct record *old, const struct proposal *proposal, uint32_t node,
                       uint64_t region_bytes_max)
{
    const struct record *new = &proposal->record;
    const struct credential *credential = &proposal->credential;
    uint32_t rights = record_rights(old, credential);
    if (!is_same_object(old, new) || (old->unlinked && !new->unlinked)) {
        return DSM_EACCES;
    }
    if (new->unlinked && !old->unlinked && credential->uid != 0 && credential->uid != old->uid) {
        return DSM_EACCES;
    }
    int error = check_users(old, new, node, rights);
    if (error == 0) {
        error = check_seal(old, new, node, rights);
    }
    return error != 0 ? error : check_size(old, new, node, rights, region_bytes_max);
}
