/* SPDX-License-Identifier: Apache-2.0 */
/* dsmctl init and dsmctl node add: the directory that makes a machine a node. */
#include "agent/ctl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/authority.h"
#include "agent/config.h"
#include "dsm/core/record.h"

#define AGENT_INI "agent.ini"
#define PORT_DEFAULT 7400
#define NAME_BYTES 64
#define HOST_BYTES 256

/** What is to be made. */
struct plan {
    const struct ctl_options *options;
    const char *command; /* for the file's first line */
    const char *directory;
    char node[NAME_BYTES];
    char address[RECORD_ADDRESS_BYTES]; /* "": the operator is to set it */
    char keeper[RECORD_ADDRESS_BYTES];  /* "": this node */
    uint16_t port;
    bool is_guessed; /* the address was found out here */
    bool is_made;    /* the directory did not exist */
    struct authority_validity validity;
    char state_dir[CONFIG_TEXT_BYTES];
    char socket[CONFIG_TEXT_BYTES]; /* "": as the agent's default */
};

static int take_name(struct plan *plan, const char *name)
{
    if (!config_name_is_valid(name)) {
        return ctl_fail(plan->options, CTL_USAGE,
                        "'%.80s' is no node name: use 1 to 63 letters, digits, '.' and '-', with a "
                        "letter or digit at both ends",
                        name);
    }
    for (size_t i = 0; i <= strlen(name); i++) {
        plan->node[i] = (char)tolower((unsigned char)name[i]);
    }
    return CTL_OK;
}

/** Take --state-dir and --socket as the agent will: checked, and absolute. */
static int take_paths(struct plan *plan)
{
    char error[CONFIG_ERROR_BYTES];
    struct config config;
    const struct ctl_options *options = plan->options;
    config_init(&config);
    if ((options->state_dir &&
         config_set(&config, "state_dir", options->state_dir, "--state-dir", error) != 0) ||
        (options->socket &&
         config_set(&config, "socket", options->socket, "--socket", error) != 0)) {
        return ctl_fail(options, CTL_USAGE, "%s", error);
    }
    memcpy(plan->state_dir, config.state_dir, sizeof(plan->state_dir));
    if (options->socket) {
        memcpy(plan->socket, config.socket, sizeof(plan->socket));
    }
    return CTL_OK;
}

/** Take "HOST:PORT", or "HOST" with the default port. */
static int take_address(const struct plan *plan, const char *option, const char *text,
                        char address[RECORD_ADDRESS_BYTES], uint16_t *port)
{
    char host[HOST_BYTES];
    char with_port[HOST_BYTES + 16];
    snprintf(with_port, sizeof(with_port), "%.*s", HOST_BYTES, text);
    if (config_split_address(with_port, host, sizeof(host), port) != 0) {
        snprintf(with_port, sizeof(with_port), "%.*s:%d", HOST_BYTES, text, PORT_DEFAULT);
        if (config_split_address(with_port, host, sizeof(host), port) != 0) {
            return ctl_fail(plan->options, CTL_USAGE,
                            "%s '%.100s' is not an address; write HOST:PORT or [IPV6]:PORT, such "
                            "as 10.0.0.1:7400",
                            option, text);
        }
    }
    if (strlen(with_port) >= RECORD_ADDRESS_BYTES || *port == 0 || config_host_is_wildcard(host)) {
        return ctl_fail(plan->options, CTL_USAGE,
                        "%s '%.100s': give an address that the other nodes can connect to, with a "
                        "port from 1 to 65535, of %d bytes at most",
                        option, text, RECORD_ADDRESS_BYTES - 1);
    }
    memcpy(address, with_port, strlen(with_port) + 1);
    return CTL_OK;
}

/** The first IPv4 address of this host that is not of the loopback; 127.0.0.1 when there is none.
 */
static void guess_address(struct plan *plan)
{
    struct ifaddrs *list = NULL;
    char host[INET_ADDRSTRLEN] = "127.0.0.1";
    if (getifaddrs(&list) == 0) {
        for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
            if (entry->ifa_addr && entry->ifa_addr->sa_family == AF_INET &&
                (entry->ifa_flags & IFF_UP) && !(entry->ifa_flags & IFF_LOOPBACK)) {
                struct sockaddr_in address;
                memcpy(&address, entry->ifa_addr, sizeof(address));
                inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
                break;
            }
        }
        freeifaddrs(list);
    }
    snprintf(plan->address, sizeof(plan->address), "%s:%d", host, PORT_DEFAULT);
    plan->port = PORT_DEFAULT;
    plan->is_guessed = true;
}

static int make_directory(struct plan *plan, const char *directory, bool *is_made)
{
    struct stat status;
    *is_made = mkdir(directory, 0700) == 0;
    if (!*is_made && errno != EEXIST) {
        return ctl_fail(plan->options, CTL_FAILED, "%.900s: the directory cannot be made: %s",
                        directory, strerror(errno));
    }
    if (stat(directory, &status) != 0) {
        int number = errno;
        if (*is_made) {
            rmdir(directory);
        }
        return ctl_fail(plan->options, CTL_FAILED, "%.900s: cannot be looked at: %s", directory,
                        strerror(number));
    }
    if (!S_ISDIR(status.st_mode)) {
        return ctl_fail(plan->options, CTL_FAILED, "%.900s: not a directory", directory);
    }
    return CTL_OK;
}

static int join(const struct plan *plan, const char *directory, const char *name,
                char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        return ctl_fail(plan->options, CTL_FAILED, "%.200s...: the path is too long", directory);
    }
    return CTL_OK;
}

static void remove_file(const struct plan *plan, const char *name)
{
    char path[PATH_MAX];
    if (join(plan, plan->directory, name, path) == CTL_OK) {
        unlink(path);
    }
}

static int check_no_ini(const struct plan *plan)
{
    char path[PATH_MAX];
    struct stat status;
    int result = join(plan, plan->directory, AGENT_INI, path);
    if (result == CTL_OK && lstat(path, &status) == 0) {
        return ctl_fail(plan->options, CTL_FAILED,
                        "%.900s exists and is not overwritten; choose another directory, or move "
                        "it away if it is no longer needed",
                        path);
    }
    return result;
}

static void print_ini(const struct plan *plan, FILE *file)
{
    bool is_six = plan->address[0] == '[';
    fprintf(
        file,
        "; The DSM agent of node %s; written by 'dsmctl %s'. dsm-agent(8) tells every setting.\n"
        "; Paths that do not begin with '/' count from the directory of this file.\n"
        "[agent]\n"
        "node = %s\n"
        "listen = %s:%u\n",
        plan->node, plan->command, plan->node, is_six ? "[::]" : "0.0.0.0", plan->port);
    if (plan->address[0] != '\0') {
        fprintf(file, "advertise = %s\n", plan->address);
    } else {
        fprintf(file, "; Set this to the address of this host that the other nodes reach:\n"
                      ";advertise = 10.0.0.2:7400\n");
    }
    if (plan->keeper[0] != '\0') {
        fprintf(file, "keeper = %s\n", plan->keeper);
    } else {
        fprintf(file, "; This node keeps the catalog; the other nodes name its address as keeper.\n"
                      "keeper =\n");
    }
    fprintf(file, "state_dir = %s\n", plan->state_dir);
    if (plan->socket[0] != '\0') {
        fprintf(file, "socket = %s\n", plan->socket);
    }
    fprintf(file, "ca = %s\ncertificate = %s\nkey = %s\n", AUTHORITY_CA_CERTIFICATE,
            AUTHORITY_NODE_CERTIFICATE, AUTHORITY_NODE_KEY);
}

static int write_ini(const struct plan *plan)
{
    char path[PATH_MAX];
    int result = join(plan, plan->directory, AGENT_INI, path);
    if (result != CTL_OK) {
        return result;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        int number = errno;
        if (fd >= 0) {
            close(fd);
        }
        return ctl_fail(plan->options, CTL_FAILED, "%.900s: cannot be made: %s", path,
                        strerror(number));
    }
    print_ini(plan, file);
    bool is_good = !ferror(file) && fflush(file) == 0 && fsync(fd) == 0;
    int number = errno;
    if (fclose(file) != 0 && is_good) {
        is_good = false;
        number = errno;
    }
    if (!is_good) {
        unlink(path);
        return ctl_fail(plan->options, CTL_FAILED, "%.900s: cannot be written: %s", path,
                        strerror(number));
    }
    return CTL_OK;
}

static void format_date(int64_t time_s, char *text, size_t text_bytes)
{
    struct tm tm;
    time_t time = (time_t)time_s;
    text[0] = '\0';
    if (gmtime_r(&time, &tm)) {
        strftime(text, text_bytes, "%Y-%m-%d", &tm);
    }
}

static void print_result_json(const struct plan *plan)
{
    char date[32];
    format_date(plan->validity.until_s, date, sizeof(date));
    json_t *json =
        json_pack("{s:s, s:s, s:s*, s:s*, s:s}", "node", plan->node, "directory", plan->directory,
                  "address", plan->address[0] != '\0' ? plan->address : NULL, "keeper",
                  plan->keeper[0] != '\0' ? plan->keeper : NULL, "valid_until", date);
    ctl_print_json(json);
    json_decref(json);
}

static void print_init(const struct plan *plan)
{
    char date[32];
    format_date(plan->validity.until_s, date, sizeof(date));
    printf("Made a new cluster in %s:\n"
           "  ca.crt, ca.key     its authority. Who has ca.key can add nodes: keep it safe\n"
           "  node.crt, node.key the certificate of node %s, valid until %s\n"
           "  agent.ini          its configuration; the node's address is %s%s\n\n",
           plan->directory, plan->node, date, plan->address,
           plan->is_guessed ? ", found on this host (--address names another)" : "");
    printf("Next:\n"
           "  1. Start the agent here:\n"
           "       install -d -m 0700 %s\n"
           "       dsm-agent --config %s/agent.ini\n"
           "     or, with the directory at /etc/dsm:  systemctl enable --now dsm-agent\n"
           "  2. Check this host:\n"
           "       dsmctl doctor --config %s/agent.ini\n"
           "  3. Make the files of another node, and copy them there:\n"
           "       dsmctl node add NAME --config %s --out NAME.d --address HOST:%d\n",
           plan->state_dir, plan->directory, plan->directory, plan->directory, PORT_DEFAULT);
}

static void print_node_add(const struct plan *plan)
{
    char date[32];
    unsigned step = 2;
    format_date(plan->validity.until_s, date, sizeof(date));
    printf("Made the files of node %s in %s: ca.crt, node.crt (valid until %s), node.key, "
           "agent.ini\n\n",
           plan->node, plan->directory, date);
    printf("Next:\n"
           "  1. Copy them to that node:\n"
           "       ssh root@%s install -d -m 0700 /etc/dsm\n"
           "       scp -p %s/* root@%s:/etc/dsm/\n",
           plan->node, plan->directory, plan->node);
    if (plan->address[0] == '\0') {
        printf(
            "  %u. There, set advertise in /etc/dsm/agent.ini to the address that the other nodes "
            "reach\n",
            step++);
    }
    printf("  %u. There, start the agent; it joins through the keeper at %s:\n"
           "       systemctl enable --now dsm-agent\n"
           "     or: dsm-agent --config /etc/dsm/agent.ini\n",
           step++, plan->keeper);
    printf("  %u. Delete %s here: it holds that node's key\n", step, plan->directory);
}

static int issue(const struct plan *plan, const char *from)
{
    char error[AUTHORITY_ERROR_BYTES];
    int result = authority_issue(from, plan->node, &plan->validity, plan->directory, error);
    if (result != 0) {
        return ctl_fail(plan->options, CTL_FAILED, "%s", error);
    }
    result = write_ini(plan);
    if (result != CTL_OK) {
        remove_file(plan, AUTHORITY_NODE_KEY);
        remove_file(plan, AUTHORITY_NODE_CERTIFICATE);
        if (from != plan->directory) {
            remove_file(plan, AUTHORITY_CA_CERTIFICATE);
        }
    }
    return result;
}

static int make_cluster(struct plan *plan)
{
    char error[AUTHORITY_ERROR_BYTES];
    struct authority_validity ca_validity = authority_validity_days(AUTHORITY_CA_DAYS);
    int result = make_directory(plan, plan->directory, &plan->is_made);
    if (result != CTL_OK) {
        return result;
    }
    result = check_no_ini(plan);
    if (result == CTL_OK) {
        int made = authority_make(plan->directory, &ca_validity, error);
        result = made == 0 ? CTL_OK : ctl_fail(plan->options, CTL_FAILED, "%s", error);
    }
    if (result == CTL_OK) {
        result = issue(plan, plan->directory);
        if (result != CTL_OK) {
            remove_file(plan, AUTHORITY_CA_KEY);
            remove_file(plan, AUTHORITY_CA_CERTIFICATE);
        }
    }
    if (result != CTL_OK && plan->is_made) {
        rmdir(plan->directory);
    }
    return result;
}

int ctl_init(const struct ctl_options *options)
{
    struct plan plan = {.options = options, .command = "init", .directory = options->argument};
    if (!options->name) {
        return ctl_fail(options, CTL_USAGE, "init needs --name NAME, the name of this first node");
    }
    plan.validity = authority_validity_days(options->days ? options->days : AUTHORITY_NODE_DAYS);
    int result = take_name(&plan, options->name);
    if (result == CTL_OK) {
        result = take_paths(&plan);
    }
    if (result == CTL_OK && options->address) {
        result = take_address(&plan, "--address", options->address, plan.address, &plan.port);
    } else if (result == CTL_OK) {
        guess_address(&plan);
    }
    if (result == CTL_OK) {
        result = make_cluster(&plan);
    }
    if (result == CTL_OK && options->json) {
        print_result_json(&plan);
    } else if (result == CTL_OK) {
        print_init(&plan);
    }
    return result;
}

/** Where the new node finds the keeper: what is said, or as the first node's own file has it. */
static int find_keeper(struct plan *plan)
{
    char path[PATH_MAX];
    char host[HOST_BYTES];
    char error[CONFIG_ERROR_BYTES];
    uint16_t port;
    struct config config;
    if (plan->options->keeper) {
        return take_address(plan, "--keeper", plan->options->keeper, plan->keeper, &port);
    }
    int result = join(plan, plan->options->config, AGENT_INI, path);
    if (result != CTL_OK) {
        return result;
    }
    config_init(&config);
    if (config_read_file(&config, path, error) != 0) {
        return ctl_fail(plan->options, CTL_FAILED, "%s; or name the keeper with --keeper HOST:PORT",
                        error);
    }
    const char *keeper = config.keeper[0] != '\0'      ? config.keeper
                         : config.advertise[0] != '\0' ? config.advertise
                                                       : config.listen;
    if (strlen(keeper) >= sizeof(plan->keeper) ||
        config_split_address(keeper, host, sizeof(host), &port) != 0 ||
        config_host_is_wildcard(host)) {
        return ctl_fail(plan->options, CTL_FAILED,
                        "%.900s does not tell the keeper's address (advertise); name it with "
                        "--keeper HOST:PORT",
                        path);
    }
    memcpy(plan->keeper, keeper, strlen(keeper) + 1);
    return CTL_OK;
}

int ctl_node_add(const struct ctl_options *options)
{
    struct plan plan = {
        .options = options, .command = "node add", .directory = options->out, .port = PORT_DEFAULT};
    if (!options->config || !options->out) {
        return ctl_fail(options, CTL_USAGE,
                        "node add needs --config DIR, the directory that 'dsmctl init' made, and "
                        "--out DIR2, where the new node's files go");
    }
    plan.validity = authority_validity_days(options->days ? options->days : AUTHORITY_NODE_DAYS);
    int result = take_name(&plan, options->argument);
    if (result == CTL_OK) {
        result = take_paths(&plan);
    }
    if (result == CTL_OK && options->address) {
        result = take_address(&plan, "--address", options->address, plan.address, &plan.port);
    }
    if (result == CTL_OK) {
        result = find_keeper(&plan);
    }
    if (result == CTL_OK) {
        result = make_directory(&plan, plan.directory, &plan.is_made);
    }
    if (result != CTL_OK) {
        return result;
    }
    result = check_no_ini(&plan);
    if (result == CTL_OK) {
        result = issue(&plan, options->config);
    }
    if (result != CTL_OK && plan.is_made) {
        rmdir(plan.directory);
    }
    if (result == CTL_OK && options->json) {
        print_result_json(&plan);
    } else if (result == CTL_OK) {
        print_node_add(&plan);
    }
    return result;
}
