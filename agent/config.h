/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The agent's configuration. A flag beats a DSM_* environment variable, which beats the file
 * (INI, read with libinih), which beats the default. One list makes all four, --print-config and
 * the manual.
 */
#ifndef DSM_AGENT_CONFIG_H
#define DSM_AGENT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_TEXT_BYTES 512

/**
 * Settings: member (and key; the flag has '-' for '_', the variable is DSM_ and capitals), type
 * (text; size: bytes with K, M, G, T; or number), default, what it is.
 */
#define CONFIG_SETTINGS(X)                                                                         \
    X(node, text, "", "this node's name, as in its certificate")                                   \
    X(listen, text, "0.0.0.0:7400", "address and port for other agents; IPv6 as [::1]:7400")       \
    X(advertise, text, "", "address and port that other agents connect to; empty: as listen")      \
    X(keeper, text, "", "address of the catalog's keeper; empty: this node keeps it")              \
    X(state_dir, text, "/var/lib/dsm", "directory of the catalog")                                 \
    X(socket, text, "/run/dsm/agent.sock", "socket for local programs")                            \
    X(ca, text, "/etc/dsm/ca.crt", "certificate of the cluster's authority")                       \
    X(certificate, text, "/etc/dsm/node.crt", "this node's certificate")                           \
    X(key, text, "/etc/dsm/node.key", "this node's key")                                           \
    X(budget, size, "0", "bytes of pages kept in memory; 0: half of the machine's memory")         \
    X(region_max, size, "1T", "size of one region at most")                                        \
    X(lease_ms, number, "5000", "a node that is silent for so long is declared dead")              \
    X(read_ahead_pages, number, "256", "longest sequential request, pages, 1 to 256")              \
    X(spin_us, number, "50", "poll so long at most before sleeping, while it pays; 0: never")      \
    X(boost, number, "10", "run before other programs: nice of minus that, if permitted, 0 to 20")

struct config {
#define CONFIG_MEMBER_text(name) char name[CONFIG_TEXT_BYTES];
#define CONFIG_MEMBER_size(name) uint64_t name;
#define CONFIG_MEMBER_number(name) uint64_t name;
#define CONFIG_MEMBER(name, type, value, what) CONFIG_MEMBER_##type(name)
    CONFIG_SETTINGS(CONFIG_MEMBER)
#undef CONFIG_MEMBER
};

/** Bytes of the text that config_load() and its like fill on error. */
#define CONFIG_ERROR_BYTES 1024

/** Write the sentence into CONFIG_ERROR_BYTES; returns DSM_ECONFIG. */
int config_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Set every setting to its default. */
void config_init(struct config *config);
/**
 * Read an INI file over what is there: one section, [agent] or none. A path in it that does not
 * begin with '/' is relative to the file's directory, so that a node's directory can be copied as
 * a whole. On error nothing is changed.
 *
 * @error on error: the file, the line, what is wrong and what would be right
 *
 * Errors: DSM_ECONFIG unreadable, malformed, an unknown key, or a bad value
 */
int config_read_file(struct config *config, const char *path, char *error);
/** Take DSM_* variables; errors as config_read_file(). Unknown DSM_ variables are left alone. */
int config_read_environment(struct config *config, char *error);
/**
 * Set one setting from text; errors as config_read_file(). `where` is named in the error. A path
 * that does not begin with '/' is relative to the working directory; a node name is kept in lower
 * case.
 */
int config_set(struct config *config, const char *key, const char *value, const char *where,
               char *error);
/** Check the whole: names, ports, ranges, files that must be there. Errors: DSM_ECONFIG. */
int config_check(const struct config *config, char *error);
/** Print as an INI file that config_read_file() reads, to standard output. */
void config_print(const struct config *config);
/** Bytes of pages to keep in memory: the budget, or half of the machine's memory when that is 0. */
uint64_t config_budget_bytes(const struct config *config);
/** Is it a legal node name: 1 to 63 letters, digits, '.', '-', a letter or digit at both ends? */
bool config_name_is_valid(const char *name);
/** Is the host part of an address one that only a listener can use (0.0.0.0 or ::)? */
bool config_host_is_wildcard(const char *host);
/** Split "host:port" or "[v6]:port"; DSM_ECONFIG when it is neither. Host and port are written. */
int config_split_address(const char *address, char *host, uint32_t host_bytes, uint16_t *port);

#endif
