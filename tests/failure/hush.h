/* SPDX-License-Identifier: Apache-2.0 */
/** What is said on standard error while a failure is tried: kept, so that it can be looked at. */
#ifndef DSM_TESTS_FAILURE_HUSH_H
#define DSM_TESTS_FAILURE_HUSH_H

#include <stdbool.h>

#define HUSH_BYTES 16384

/** Where it goes meanwhile: a file in memory that is mapped, so that no call that may be made to
 * fail is needed to turn to it and to read it. */
struct hush {
    int kept, own;
    char *text; /* what was said last, HUSH_BYTES at most */
};

void hush_open(struct hush *hush);
void hush_close(struct hush *hush);
/** From now on nothing comes through. */
void hush_begin(struct hush *hush);
/** Let it through again; `text` has what was said. */
void hush_end(struct hush *hush);

#endif
