/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm.h"

/** Bytes of one line of the file at most: a key, a value, and a comment behind it. */
#define LINE_BYTES_MAX 2048

enum setting_type { SETTING_text, SETTING_size, SETTING_number };

struct setting {
    const char *key;
    const char *value; /* the default */
    enum setting_type type;
    size_t offset; /* in struct config */
};

static const struct setting settings[] = {
#define CONFIG_ROW(name, type, value, what)                                                        \
    {#name, value, SETTING_##type, offsetof(struct config, name)},
    CONFIG_SETTINGS(CONFIG_ROW)
#undef CONFIG_ROW
};

#define SETTINGS_COUNT (sizeof(settings) / sizeof(settings[0]))

/** Where a value comes from. */
struct source {
    const char *where; /* for errors: "FILE, line 3", "--budget", "DSM_BUDGET" */
    const char *base;  /* directory that a relative path starts at; NULL: the working directory */
};

/** State of config_read_file() between lines. */
struct reading {
    struct config *config;
    const char *path;
    const char *base;
    FILE *file;
    char *error;
    unsigned line;       /* the one that was read last */
    unsigned error_line; /* of the first error, 0 without */
    unsigned set_line[SETTINGS_COUNT];
};

int config_fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, CONFIG_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return DSM_ECONFIG;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/** Edits (insert, delete, replace) between two words; words of more than 31 letters are far apart.
 */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[32];
    size_t len_a = strlen(a);
    size_t len_b = strlen(b);
    if (len_a > 31 || len_b > 31) {
        return 32;
    }
    for (size_t j = 0; j <= len_b; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= len_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            size_t above = row[j];
            size_t differ = tolower((unsigned char)a[i - 1]) != b[j - 1];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + differ);
            diagonal = above;
        }
    }
    return row[len_b];
}

static int fail_unknown(const char *key, const char *where, char *error)
{
    size_t best = 0;
    size_t best_distance = 32;
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        size_t distance = edit_distance(key, settings[i].key);
        if (distance < best_distance) {
            best_distance = distance;
            best = i;
        }
    }
    if (best_distance <= 2 || best_distance * 3 <= strlen(key)) {
        return config_fail(error, "%s: there is no setting '%s'; did you mean '%s'?", where, key,
                           settings[best].key);
    }
    return config_fail(error, "%s: there is no setting '%.64s'; dsm-agent(8) lists them", where,
                       key);
}

static const struct setting *setting_find(const char *key)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        if (strcmp(key, settings[i].key) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

static bool setting_is_path(const struct setting *setting)
{
    size_t offset = setting->offset;
    return offset == offsetof(struct config, state_dir) ||
           offset == offsetof(struct config, socket) || offset == offsetof(struct config, ca) ||
           offset == offsetof(struct config, certificate) || offset == offsetof(struct config, key);
}

/** Digits, and for a size one letter of the powers of 1024. False: anything else, or beyond 64
 * bits. */
static bool parse_number(const char *text, bool is_size, uint64_t *number)
{
    static const char suffixes[] = "KMGT";
    char *end = NULL;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    if (is_size && *end != '\0') {
        const char *suffix = strchr(suffixes, toupper((unsigned char)*end));
        unsigned shift = suffix ? 10u * (unsigned)(suffix - suffixes + 1) : 0;
        if (!suffix || value > UINT64_MAX >> shift) {
            return false;
        }
        value <<= shift;
        end++;
    }
    if (*end != '\0') {
        return false;
    }
    *number = value;
    return true;
}

/**
 * Text is kept as an INI file can say it (config_print() must be readable again): libinih has no
 * quotes, so what begins a comment there cannot be a part of a value.
 */
static int set_text(char *member, const struct setting *setting, const char *value, size_t len,
                    const struct source *source, char *error)
{
    char directory[PATH_MAX] = {0};
    for (size_t i = 0; i < len; i++) {
        bool is_comment = value[i] == ';' && (i == 0 || isspace((unsigned char)value[i - 1]));
        if (iscntrl((unsigned char)value[i]) || is_comment) {
            return config_fail(error,
                               "%s: %s may hold neither control characters nor ' ;', which begins "
                               "a comment",
                               source->where, setting->key);
        }
    }
    if (setting_is_path(setting) && len == 0) {
        return config_fail(error, "%s: %s needs a path, such as %s", source->where, setting->key,
                           setting->value);
    }
    if (setting_is_path(setting) && value[0] != '/') {
        if (source->base) {
            snprintf(directory, sizeof(directory), "%s/", source->base);
        } else if (getcwd(directory, sizeof(directory) - 1)) {
            directory[strlen(directory)] = '/';
        } else {
            return config_fail(error,
                               "%s: %s is relative to the working directory, which cannot be "
                               "found: %s; give an absolute path",
                               source->where, setting->key, strerror(errno));
        }
    }
    if (strlen(directory) + len >= CONFIG_TEXT_BYTES) {
        return config_fail(error, "%s: %s is longer than %d bytes", source->where, setting->key,
                           CONFIG_TEXT_BYTES - 1);
    }
    size_t prefix = strlen(directory);
    memset(member, 0, CONFIG_TEXT_BYTES);
    memcpy(member, directory, prefix);
    memcpy(member + prefix, value, len);
    if (setting->offset == offsetof(struct config, node)) {
        for (char *c = member; *c != '\0'; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
    }
    return 0;
}

static int set_number(void *member, const struct setting *setting, const char *value, size_t len,
                      const struct source *source, char *error)
{
    char text[32];
    uint64_t number = 0;
    bool is_size = setting->type == SETTING_size;
    snprintf(text, sizeof(text), "%.*s", (int)len, value);
    if (len >= sizeof(text) || !parse_number(text, is_size, &number)) {
        return config_fail(
            error, "%s: %s = '%.*s' is not a %s; %s, such as %s", source->where, setting->key,
            (int)(len < 64 ? len : 64), value, is_size ? "size" : "number",
            is_size ? "give bytes, or a number with K, M, G or T" : "give a whole number",
            is_size ? "512M" : setting->value);
    }
    memcpy(member, &number, sizeof(number));
    return 0;
}

static int set_from(struct config *config, const char *key, const char *value,
                    const struct source *source, char *error)
{
    const struct setting *setting = setting_find(key);
    if (!setting) {
        return fail_unknown(key, source->where, error);
    }
    while (isspace((unsigned char)*value)) {
        value++;
    }
    size_t len = strlen(value);
    while (len > 0 && isspace((unsigned char)value[len - 1])) {
        len--;
    }
    char *member = (char *)config + setting->offset;
    if (setting->type == SETTING_text) {
        return set_text(member, setting, value, len, source, error);
    }
    return set_number(member, setting, value, len, source, error);
}

int config_set(struct config *config, const char *key, const char *value, const char *where,
               char *error)
{
    struct source source = {where, NULL};
    return set_from(config, key, value, &source, error);
}

void config_init(struct config *config)
{
    char error[CONFIG_ERROR_BYTES];
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        /* Defaults are legal values; test_config.c holds that. */
        (void)config_set(config, settings[i].key, settings[i].value, "default", error);
    }
}

/** For libinih: the next line. Counts lines, and refuses those that it would cut in two. */
static char *read_line(char *text, int size, void *context)
{
    struct reading *reading = context;
    char *line = fgets(text, size, reading->file);
    if (!line) {
        return NULL;
    }
    reading->line++;
    if (strlen(line) + 1 >= (size_t)size && !strchr(line, '\n') && reading->error_line == 0) {
        reading->error_line = reading->line;
        config_fail(reading->error, "%s, line %u: longer than %d bytes", reading->path,
                    reading->line, size - 2);
    }
    return line;
}

/** For libinih: one "key = value". */
static int on_setting(void *context, const char *section, const char *key, const char *value)
{
    struct reading *reading = context;
    char where[PATH_MAX + 32];
    if (reading->error_line != 0) {
        return 0;
    }
    snprintf(where, sizeof(where), "%.512s, line %u", reading->path, reading->line);
    struct source source = {where, reading->base};
    const struct setting *setting = setting_find(key);
    size_t index = setting ? (size_t)(setting - settings) : 0;
    int result;
    if (section[0] != '\0' && strcmp(section, "agent") != 0) {
        result = config_fail(reading->error,
                             "%s: there is no section [%.64s]; settings stand under "
                             "[agent] or before any section",
                             where, section);
    } else if (setting && reading->set_line[index] != 0) {
        result = config_fail(reading->error, "%s: %s is set for the second time, first in line %u",
                             where, key, reading->set_line[index]);
    } else {
        result = set_from(reading->config, key, value, &source, reading->error);
    }
    if (result != 0) {
        reading->error_line = reading->line;
        return 0;
    }
    reading->set_line[index] = reading->line;
    return 1;
}

/** libinih's limits are variables of that library; these are the values that this program wants. */
static void prepare_inih(void)
{
    ini_use_stack = false;
    ini_max_line = LINE_BYTES_MAX;
    ini_initial_alloc = LINE_BYTES_MAX;
    ini_allow_multiline = false; /* an indented line is a setting like any other */
}

/** The directory of a file, absolute; false when it cannot be found. */
static bool find_directory(const char *path, char directory[PATH_MAX])
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
        return false;
    }
    return realpath(dirname(copy), directory) != NULL;
}

int config_read_file(struct config *config, const char *path, char *error)
{
    char base[PATH_MAX];
    struct stat status;
    FILE *file = fopen(path, "re");
    if (!file || !find_directory(path, base)) {
        int number = errno;
        if (file) {
            fclose(file);
        }
        return config_fail(error, "%s: cannot be read: %s; %s", path, strerror(number),
                           number == ENOENT
                               ? "'dsmctl init' writes one, --config names another"
                               : "make it readable for this user, or name another by --config");
    }
    if (fstat(fileno(file), &status) != 0 || S_ISDIR(status.st_mode)) {
        fclose(file);
        return config_fail(error, "%s: is a directory; name the file in it, such as %s/agent.ini",
                           path, path);
    }
    /* Into a copy: an error leaves the caller's settings alone. */
    struct config copy = *config;
    struct reading reading = {
        .config = &copy, .path = path, .base = base, .file = file, .error = error};
    prepare_inih();
    int line = ini_parse_stream(read_line, &reading, on_setting, &reading);
    bool is_unread = ferror(file) != 0;
    fclose(file);
    if (line < 0 || is_unread) {
        return config_fail(error, "%s: cannot be read: %s", path,
                           strerror(line < 0 ? ENOMEM : EIO));
    }
    if (line > 0 && (reading.error_line == 0 || (unsigned)line < reading.error_line)) {
        return config_fail(error,
                           "%s, line %d: this is neither 'key = value' nor '[agent]' nor a comment",
                           path, line);
    }
    if (reading.error_line != 0) {
        return DSM_ECONFIG;
    }
    *config = copy;
    return 0;
}

int config_read_environment(struct config *config, char *error)
{
    struct config copy = *config;
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        char variable[64] = "DSM_";
        size_t len = strlen(variable);
        for (const char *c = settings[i].key; *c != '\0' && len + 1 < sizeof(variable); c++) {
            variable[len++] = (char)toupper((unsigned char)*c);
        }
        variable[len] = '\0';
        const char *value = getenv(variable);
        if (value) {
            int result = config_set(&copy, settings[i].key, value, variable, error);
            if (result != 0) {
                return result;
            }
        }
    }
    *config = copy;
    return 0;
}

void config_print(const struct config *config)
{
    printf("[agent]\n");
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const char *member = (const char *)config + settings[i].offset;
        if (settings[i].type == SETTING_text) {
            printf("%s = %s\n", settings[i].key, member);
        } else {
            uint64_t number;
            memcpy(&number, member, sizeof(number));
            printf("%s = %llu\n", settings[i].key, (unsigned long long)number);
        }
    }
}
