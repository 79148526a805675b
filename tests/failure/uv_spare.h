/* SPDX-License-Identifier: Apache-2.0 */
/** libuv's own memory is left out where calls fail: see agent/agent.h. */
#ifndef DSM_TESTS_FAILURE_UV_SPARE_H
#define DSM_TESTS_FAILURE_UV_SPARE_H

/** Before its first use: its allocations never fail. What uv_replace_allocator() says. */
int uv_spare_memory(void);

#endif
