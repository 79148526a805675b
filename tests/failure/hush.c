/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/failure/hush.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void hush_open(struct hush *hush)
{
    hush->own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    hush->kept = memfd_create("hush", MFD_CLOEXEC);
    if (hush->own < 0 || hush->kept < 0) {
        abort();
    }
    hush->text[0] = 0;
}

void hush_close(struct hush *hush)
{
    close(hush->own);
    close(hush->kept);
}

void hush_begin(struct hush *hush)
{
    if (ftruncate(hush->kept, 0) != 0 || lseek(hush->kept, 0, SEEK_SET) != 0 ||
        dup2(hush->kept, STDERR_FILENO) < 0) {
        abort();
    }
}

void hush_end(struct hush *hush)
{
    if (dup2(hush->own, STDERR_FILENO) < 0) {
        abort();
    }
    ssize_t len_bytes = pread(hush->kept, hush->text, sizeof(hush->text) - 1, 0);
    hush->text[len_bytes > 0 ? len_bytes : 0] = 0;
}
