/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Feeds files to a fuzz target, for compilers without libFuzzer and for the tests.
 *
 *   replay_TARGET FILE_OR_DIRECTORY...
 *
 * A directory stands for the files in it; one that is absent for none. Names each file before it is
 * fed, so that the last line of a crash says which it was; ends with "N passed, 0 failed".
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/input.h"

static int feed_file(const char *path, uint32_t *count)
{
    FILE *file = fopen(path, "r");
    uint8_t *bytes;
    long len;

    printf("%s\n", path);
    fflush(stdout);
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0 ||
        fseek(file, 0, SEEK_SET) != 0 || (bytes = malloc((size_t)len + 1)) == NULL) {
        perror(path);
        return 1;
    }
    /* As libFuzzer does it: of the exact size, so that reading beyond it is seen. */
    bytes = realloc(bytes, (size_t)len > 0 ? (size_t)len : 1);
    if (fread(bytes, 1, (size_t)len, file) != (size_t)len) {
        perror(path);
        return 1;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, (size_t)len);
    free(bytes);
    ++*count;
    return 0;
}

static int feed_directory(const char *path, uint32_t *count)
{
    struct dirent **entries;
    int number = scandir(path, &entries, NULL, alphasort);
    int error = 0;

    for (int i = 0; i < number; i++) {
        char name[4096];

        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            error |= feed_file(name, count);
        }
        free(entries[i]);
    }
    if (number >= 0) {
        free(entries);
    }
    return error;
}

int main(int argc, char **argv)
{
    uint32_t count = 0;
    struct stat status;
    int error = 0;

    for (int i = 1; i < argc; i++) {
        if (stat(argv[i], &status) != 0) {
            if (errno != ENOENT) {
                perror(argv[i]);
                return 1;
            }
        } else if (S_ISDIR(status.st_mode)) {
            error |= feed_directory(argv[i], &count);
        } else {
            error |= feed_file(argv[i], &count);
        }
    }
    if (count == 0) {
        fprintf(stderr, "nothing to feed\n");
        return 1;
    }
    printf("%u passed, %d failed\n", count, error);
    return error;
}
