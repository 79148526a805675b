/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/core/record.h"
#include "dsm/core/types.h"

#define NODE_NAME_CHARS_MAX 63
#define BUDGET_BYTES_MIN (64ull << 10)
#define LEASE_MS_MIN 100u
#define LEASE_MS_MAX 600000u
#define SPIN_US_MAX 1000000u
#define BOOST_MAX 20u
#define HOST_BYTES 256

uint64_t config_budget_bytes(const struct config *config)
{
    if (config->budget != 0) {
        return config->budget;
    }
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) {
        return BUDGET_BYTES_MIN;
    }
    return (uint64_t)pages * (uint64_t)page_bytes / 2;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool config_name_is_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NODE_NAME_CHARS_MAX || !is_letter_or_digit(name[0]) ||
        !is_letter_or_digit(name[len - 1])) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_letter_or_digit(name[i]) && name[i] != '.' && name[i] != '-') {
            return false;
        }
    }
    return true;
}

bool config_host_is_wildcard(const char *host)
{
    struct in6_addr six;
    struct in_addr four;
    if (inet_pton(AF_INET, host, &four) == 1) {
        return four.s_addr == htonl(INADDR_ANY);
    }
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_UNSPECIFIED(&six);
}

/** Letters, digits, '.', '-', '_'; what looks like an IPv4 address must be one. */
static bool host_name_is_valid(const char *host)
{
    struct in_addr four;
    bool is_numeric = true;
    for (const char *c = host; *c != '\0'; c++) {
        if (!is_letter_or_digit(*c) && *c != '.' && *c != '-' && *c != '_') {
            return false;
        }
        is_numeric = is_numeric && (isdigit((unsigned char)*c) || *c == '.');
    }
    return host[0] != '\0' && (!is_numeric || inet_pton(AF_INET, host, &four) == 1);
}

int config_split_address(const char *address, char *host, uint32_t host_bytes, uint16_t *port)
{
    char name[HOST_BYTES];
    struct in6_addr six;
    const char *colon = strrchr(address, ':');
    bool is_six = address[0] == '[';
    if (!colon || colon == address) {
        return DSM_ECONFIG;
    }
    const char *start = is_six ? address + 1 : address;
    const char *end = is_six ? colon - 1 : colon;
    if ((is_six && *end != ']') || end <= start || (size_t)(end - start) >= sizeof(name)) {
        return DSM_ECONFIG;
    }
    memcpy(name, start, (size_t)(end - start));
    name[end - start] = '\0';
    if (is_six ? inet_pton(AF_INET6, name, &six) != 1 : !host_name_is_valid(name)) {
        return DSM_ECONFIG;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    long number = strtol(colon + 1, NULL, 10);
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' || number > UINT16_MAX) {
        return DSM_ECONFIG;
    }
    if (strlen(name) >= host_bytes) {
        return DSM_ECONFIG;
    }
    memcpy(host, name, strlen(name) + 1);
    *port = (uint16_t)number;
    return 0;
}

static int check_address(const char *key, const char *address, bool may_be_wildcard, char *error)
{
    char host[HOST_BYTES];
    uint16_t port;
    if (strlen(address) >= RECORD_ADDRESS_BYTES) {
        return config_fail(error, "%s = %.80s...: longer than %d bytes", key, address,
                           RECORD_ADDRESS_BYTES - 1);
    }
    if (config_split_address(address, host, sizeof(host), &port) != 0) {
        return config_fail(error,
                           "%s = '%s' is not an address; write HOST:PORT or [IPV6]:PORT, such as "
                           "10.0.0.1:7400",
                           key, address);
    }
    if (port == 0) {
        return config_fail(error,
                           "%s = '%s': port 0 cannot be connected to; choose one, such as 7400",
                           key, address);
    }
    if (!may_be_wildcard && config_host_is_wildcard(host)) {
        return config_fail(error,
                           "%s = '%s': nobody can connect to %s; name this host's own address", key,
                           address, host);
    }
    return 0;
}

static int check_addresses(const struct config *config, char *error)
{
    char host[HOST_BYTES];
    uint16_t port;
    int result = check_address("listen", config->listen, true, error);
    if (result == 0 && config->advertise[0] != '\0') {
        result = check_address("advertise", config->advertise, false, error);
    } else if (result == 0) {
        (void)config_split_address(config->listen, host, sizeof(host), &port);
        if (config_host_is_wildcard(host)) {
            return config_fail(
                error,
                "advertise is not set and listen = '%s' is every address of this "
                "host: other agents could not tell where to connect; set advertise to "
                "HOST:%u, HOST as others reach this host",
                config->listen, port);
        }
    }
    if (result == 0 && config->keeper[0] != '\0') {
        result = check_address("keeper", config->keeper, false, error);
    }
    return result;
}

static int check_number(const char *key, uint64_t value, uint64_t least, uint64_t most, char *error)
{
    if (value < least || value > most) {
        return config_fail(error, "%s = %llu: give a value from %llu to %llu", key,
                           (unsigned long long)value, (unsigned long long)least,
                           (unsigned long long)most);
    }
    return 0;
}

static int check_numbers(const struct config *config, char *error)
{
    if (config->budget != 0 && config->budget < BUDGET_BYTES_MIN) {
        return config_fail(
            error,
            "budget = %llu: give at least %llu bytes, or 0 for half of the machine's "
            "memory",
            (unsigned long long)config->budget, BUDGET_BYTES_MIN);
    }
    int result =
        check_number("region_max", config->region_max, DSM_PAGE_SIZE_MIN, 1ull << 62, error);
    if (result == 0) {
        result = check_number("lease_ms", config->lease_ms, LEASE_MS_MIN, LEASE_MS_MAX, error);
    }
    if (result == 0) {
        result =
            check_number("read_ahead_pages", config->read_ahead_pages, 1, RANGE_PAGES_MAX, error);
    }
    if (result == 0) {
        result = check_number("spin_us", config->spin_us, 0, SPIN_US_MAX, error);
    }
    if (result == 0) {
        result = check_number("boost", config->boost, 0, BOOST_MAX, error);
    }
    return result;
}

static int check_file(const char *key, const char *path, char *error)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return config_fail(error, "%s = %s: %s; 'dsmctl init' and 'dsmctl node add' make it", key,
                           path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return config_fail(error, "%s = %s: not a file", key, path);
    }
    if (access(path, R_OK) != 0) {
        return config_fail(error,
                           "%s = %s: cannot be read: %s; run as the user that owns it, or change "
                           "its owner with chown",
                           key, path, strerror(errno));
    }
    return 0;
}

static int check_files(const struct config *config, char *error)
{
    struct stat status;
    struct sockaddr_un address;
    if (strlen(config->socket) >= sizeof(address.sun_path)) {
        return config_fail(error,
                           "socket = %s: longer than the %zu bytes that a socket's path may have",
                           config->socket, sizeof(address.sun_path) - 1);
    }
    int result = check_file("ca", config->ca, error);
    if (result == 0) {
        result = check_file("certificate", config->certificate, error);
    }
    if (result == 0) {
        result = check_file("key", config->key, error);
    }
    if (result != 0 || config->keeper[0] != '\0') {
        return result;
    }
    /* Only the keeper has something to keep there. */
    if (stat(config->state_dir, &status) != 0) {
        return config_fail(error, "state_dir = %s: %s; make it with: install -d -m 0700 %s",
                           config->state_dir, strerror(errno), config->state_dir);
    }
    if (!S_ISDIR(status.st_mode)) {
        return config_fail(error, "state_dir = %s: not a directory", config->state_dir);
    }
    if (access(config->state_dir, R_OK | W_OK | X_OK) != 0) {
        return config_fail(error, "state_dir = %s: this user may not write there: %s",
                           config->state_dir, strerror(errno));
    }
    return 0;
}

int config_check(const struct config *config, char *error)
{
    if (config->node[0] == '\0') {
        return config_fail(error, "node is not set: give this node's name, as in its certificate "
                                  "(node = NAME in the file, --node NAME, or DSM_NODE)");
    }
    if (!config_name_is_valid(config->node)) {
        return config_fail(error,
                           "node = '%.80s' is no node name: use 1 to %d letters, digits, '.' and "
                           "'-', with a letter or digit at both ends",
                           config->node, NODE_NAME_CHARS_MAX);
    }
    int result = check_addresses(config, error);
    if (result == 0) {
        result = check_numbers(config, error);
    }
    if (result == 0) {
        result = check_files(config, error);
    }
    return result;
}
