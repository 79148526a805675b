/* SPDX-License-Identifier: Apache-2.0 */
/** As much of Redis's protocol (RESP2) as it takes to put values and to get parts of them. */
#ifndef SCENE_RESP_H
#define SCENE_RESP_H

#include <stddef.h>
#include <stdint.h>

#define RESP_BUFFER_BYTES 4096u

struct resp {
    int fd;
    size_t begin, end; /* of what was received and not taken yet */
    char buffer[RESP_BUFFER_BYTES];
};

/** Connect to an IPv4 address. All return 0, or -1 when the connection failed or said otherwise. */
int resp_open(struct resp *resp, const char *address, uint16_t port);
void resp_close(struct resp *resp);
/** Set a value, and wait until it is. */
int resp_set(struct resp *resp, const char *name, const void *value, size_t len_bytes);
/** Ask for a value, or for bytes [first, last) of it, without waiting. */
int resp_ask(struct resp *resp, const char *name);
int resp_ask_part(struct resp *resp, const char *name, uint32_t first, uint32_t last);
/** Take the next one asked for, which must have this length. */
int resp_take(struct resp *resp, void *to, size_t len_bytes);

#endif
