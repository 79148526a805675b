/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the manual and the sample file in step with the one list of settings (agent/config.h).
 *
 *   settings man TEMPLATE   prints the manual page with the settings in the place of @SETTINGS@
 *   settings check FILE     fails unless the sample file is legal, names every setting, and sets
 *                           each that it sets to its default
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config.h"

struct row {
    const char *key, *type, *value, *what;
};

static const struct row rows[] = {
#define SETTING_ROW(name, type, value, what) {#name, #type, value, what},
    CONFIG_SETTINGS(SETTING_ROW)
#undef SETTING_ROW
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))

static void print_rows(void)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        printf(".TP\n.B %s\n(%s", rows[i].key, rows[i].type);
        if (rows[i].value[0] != '\0') {
            printf(", default %s", rows[i].value);
        }
        printf(") %s.\n", rows[i].what);
    }
}

static int print_manual(FILE *template)
{
    char line[1024];
    bool is_filled = false;
    while (fgets(line, sizeof(line), template)) {
        if (strcmp(line, "@SETTINGS@\n") == 0) {
            print_rows();
            is_filled = true;
        } else {
            fputs(line, stdout);
        }
    }
    return is_filled && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/** Is there a line that sets the key, or a comment that shows how to? */
static bool is_named(FILE *file, const char *key)
{
    char line[1024];
    bool is_found = false;
    rewind(file);
    while (fgets(line, sizeof(line), file)) {
        const char *start = line[0] == ';' ? line + 1 : line;
        size_t len = strlen(key);
        is_found =
            is_found || (strncmp(start, key, len) == 0 && strncmp(start + len, " =", 2) == 0);
    }
    return is_found;
}

static int check_sample(FILE *file, const char *path)
{
    char error[CONFIG_ERROR_BYTES];
    struct config defaults;
    struct config sample;
    int status = EXIT_SUCCESS;
    config_init(&defaults);
    config_init(&sample);
    if (config_read_file(&sample, path, error) != 0) {
        fprintf(stderr, "%s\n", error);
        return EXIT_FAILURE;
    }
    if (memcmp(&defaults, &sample, sizeof(sample)) != 0) {
        fprintf(stderr, "%s: sets something to another value than its default\n", path);
        status = EXIT_FAILURE;
    }
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        if (!is_named(file, rows[i].key)) {
            fprintf(stderr, "%s: does not name the setting %s\n", path, rows[i].key);
            status = EXIT_FAILURE;
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: settings man TEMPLATE | settings check FILE\n");
        return EXIT_FAILURE;
    }
    FILE *file = fopen(argv[2], "re");
    if (!file) {
        perror(argv[2]);
        return EXIT_FAILURE;
    }
    int status = strcmp(argv[1], "man") == 0 ? print_manual(file) : check_sample(file, argv[2]);
    fclose(file);
    return status;
}
