/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Text that people write: an INI file, the name of a node, an address. What is accepted is accepted
 * again when it is set from what was understood.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/config.h"
#include "dsm.h"
#include "tests/fuzz/input.h"

static void check_value(const char *key, const char *value, const struct config *config,
                        size_t offset, size_t len_bytes)
{
    struct config again;
    char error[CONFIG_ERROR_BYTES] = "";

    config_init(&again);
    require(config_set(&again, key, value, "again", error) == 0);
    require(memcmp((char *)&again + offset, (const char *)config + offset, len_bytes) == 0);
}

/* Each setting that was read can be set again, as config_print() tells it. */
static void check_again(const struct config *config)
{
    char text[32];

#define CHECK_VALUE(name, value)                                                                   \
    check_value(#name, value, config, offsetof(struct config, name), sizeof(config->name));
#define AGAIN_text(name) CHECK_VALUE(name, config->name)
#define AGAIN_size(name)                                                                           \
    snprintf(text, sizeof(text), "%llu", (unsigned long long)config->name);                        \
    CHECK_VALUE(name, text)
#define AGAIN_number(name) AGAIN_size(name)
#define AGAIN(name, type, value, what) AGAIN_##type(name)
    CONFIG_SETTINGS(AGAIN)
#undef AGAIN
}

static void read_file(const uint8_t *bytes, size_t len_bytes)
{
    char path[64], error[CONFIG_ERROR_BYTES] = "";
    struct config config, before;
    int file = memfd_create("agent.ini", MFD_CLOEXEC);

    require(file >= 0 && write(file, bytes, len_bytes) == (ssize_t)len_bytes);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    config_init(&config);
    before = config;
    if (config_read_file(&config, path, error) == 0) {
        check_again(&config);
        config_check(&config, error);
        config_budget_bytes(&config);
    } else {
        require(error[0] != 0 && strlen(error) < sizeof(error));
        require(memcmp(&before, &config, sizeof(config)) == 0);
    }
    close(file);
}

static void read_words(const char *text)
{
    char host[64], error[CONFIG_ERROR_BYTES];
    struct config config;
    uint16_t port;

    if (config_split_address(text, host, sizeof(host), &port) == 0) {
        require(strlen(host) < sizeof(host));
        config_host_is_wildcard(host);
    }
    if (config_name_is_valid(text)) {
        require(strlen(text) <= 63 && strchr(text, '/') == NULL);
    }
    config_init(&config);
    config_set(&config, text, text, "words", error);
    config_set(&config, "budget", text, "words", error);
    config_set(&config, "node", text, "words", error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    char *text = malloc(len_bytes + 1);

    require(text != NULL);
    memcpy(text, bytes, len_bytes);
    text[len_bytes] = 0;
    read_file(bytes, len_bytes);
    read_words(text);
    free(text);
    return 0;
}
