/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "dsm.h"

struct document {
    struct table_link link;
    uint32_t serial;
    size_t len_bytes;
    char *text;
};

int pieces_init(struct pieces *pieces)
{
    pieces->serial = 0;
    return table_init(&pieces->kept);
}

void pieces_close(struct pieces *pieces)
{
    struct table_link *link;

    while ((link = table_any(&pieces->kept)) != NULL) {
        pieces_forget(pieces, (uint32_t)link->key);
    }
    table_close(&pieces->kept);
}

/** A cursor names the document, too, so that pieces of two are never put together. */
static uint64_t cursor_make(const struct document *document, size_t at)
{
    return (uint64_t)document->serial << 32 | at;
}

int pieces_start(struct pieces *pieces, uint32_t client, char *text, char *to, size_t size_bytes,
                 uint64_t *cursor)
{
    size_t len_bytes = strlen(text);
    struct document *document;

    if (len_bytes < size_bytes) {
        memcpy(to, text, len_bytes + 1);
        free(text);
        *cursor = 0;
        return 0;
    }
    document = len_bytes <= UINT32_MAX ? malloc(sizeof(*document)) : NULL;
    if (document == NULL) {
        free(text);
        return DSM_ENOMEM;
    }
    pieces_forget(pieces, client);
    pieces->serial = pieces->serial == UINT32_MAX ? 1 : pieces->serial + 1;
    document->serial = pieces->serial;
    document->len_bytes = len_bytes;
    document->text = text;
    table_add(&pieces->kept, &document->link, client);
    return pieces_next(pieces, client, cursor_make(document, 0), to, size_bytes, cursor);
}

int pieces_next(struct pieces *pieces, uint32_t client, uint64_t at, char *to, size_t size_bytes,
                uint64_t *cursor)
{
    const struct document *document = (const struct document *)table_find(&pieces->kept, client);
    size_t first = (uint32_t)at;
    size_t len_bytes;

    if (document == NULL || document->serial != at >> 32 || first >= document->len_bytes) {
        return DSM_ESTALE;
    }
    len_bytes = document->len_bytes - first;
    if (len_bytes < size_bytes) {
        memcpy(to, document->text + first, len_bytes + 1);
        *cursor = 0;
        pieces_forget(pieces, client);
    } else {
        len_bytes = size_bytes - 1;
        memcpy(to, document->text + first, len_bytes);
        to[len_bytes] = 0;
        *cursor = cursor_make(document, first + len_bytes);
    }
    return 0;
}

void pieces_forget(struct pieces *pieces, uint32_t client)
{
    struct document *document = (struct document *)table_remove(&pieces->kept, client);

    if (document) {
        free(document->text);
        free(document);
    }
}
