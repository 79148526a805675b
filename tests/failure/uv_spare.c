/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/failure/uv_spare.h"

#include <stdlib.h>
#include <uv.h>

#include "tests/failure/failure.h"

static void *exempt_malloc(size_t len_bytes)
{
    failure_exempt(true);
    void *memory = malloc(len_bytes);
    failure_exempt(false);
    return memory;
}

static void *exempt_realloc(void *old, size_t len_bytes)
{
    failure_exempt(true);
    void *memory = realloc(old, len_bytes);
    failure_exempt(false);
    return memory;
}

static void *exempt_calloc(size_t count, size_t len_bytes)
{
    failure_exempt(true);
    void *memory = calloc(count, len_bytes);
    failure_exempt(false);
    return memory;
}

int uv_spare_memory(void)
{
    return uv_replace_allocator(exempt_malloc, exempt_realloc, exempt_calloc, free);
}
