/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/failure/hush.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void hush_open(struct hush *hush)
{
    hush->own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    hush->kept = memfd_create("hush", MFD_CLOEXEC);
    if (hush->own < 0 || hush->kept < 0 || ftruncate(hush->kept, HUSH_BYTES) != 0) {
        abort();
    }
    hush->text = mmap(NULL, HUSH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, hush->kept, 0);
    if (hush->text == MAP_FAILED) {
        abort();
    }
}

void hush_close(struct hush *hush)
{
    munmap(hush->text, HUSH_BYTES);
    close(hush->own);
    close(hush->kept);
}

void hush_begin(struct hush *hush)
{
    memset(hush->text, 0, HUSH_BYTES);
    if (lseek(hush->kept, 0, SEEK_SET) != 0 || dup2(hush->kept, STDERR_FILENO) < 0) {
        abort();
    }
}

void hush_end(struct hush *hush)
{
    if (dup2(hush->own, STDERR_FILENO) < 0) {
        abort();
    }
    hush->text[HUSH_BYTES - 1] = 0;
}
