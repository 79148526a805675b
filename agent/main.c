/* SPDX-License-Identifier: Apache-2.0 */
/* dsm-agent: options, configuration, exit codes. */
#include "agent/agent.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dsm.h"

#define CONFIG_FILE_DEFAULT "/etc/dsm/agent.ini"

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/** What each setting's flag is called at most: its key with '-' for '_'. */
#define FLAG_BYTES 32

struct setting {
    const char *key, *type, *value, *what;
};

static const struct setting settings[] = {
#define SETTING_ROW(name, type, value, what) {#name, #type, value, what},
    CONFIG_SETTINGS(SETTING_ROW)
#undef SETTING_ROW
};

#define SETTINGS_COUNT (sizeof(settings) / sizeof(settings[0]))

enum option_value {
    OPTION_CONFIG = 256,
    OPTION_CHECK,
    OPTION_PRINT,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_SETTING, /* and the settings after it */
};

/** What the command line says. */
struct command {
    const char *file;
    bool is_check, is_print;
    const char *values[SETTINGS_COUNT]; /* NULL: not given */
};

static void flag_name(const char *key, char *flag)
{
    size_t at = 0;

    for (; key[at] && at < FLAG_BYTES - 1; at++) {
        flag[at] = key[at] == '_' ? '-' : key[at];
    }
    flag[at] = 0;
}

static void help_print(void)
{
    printf(
        "Usage: dsm-agent [OPTION]...\n"
        "Hold this node's share of the cluster's shared memory: answer the page faults of local\n"
        "programs and keep the copies coherent with the agents of other nodes.\n\n"
        "      --config FILE          read this file (default: " CONFIG_FILE_DEFAULT
        ", if it is there)\n"
        "      --check-config         check configuration and certificates, and exit\n"
        "      --print-config         print the configuration that is in force, and exit\n"
        "      --help                 print this, and exit\n"
        "      --version              print the version, and exit\n\n"
        "Settings, each also a line KEY = VALUE of the file and a variable DSM_KEY; a flag beats\n"
        "the variable, which beats the file:\n");
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        char flag[FLAG_BYTES], left[FLAG_BYTES + 16];

        flag_name(settings[i].key, flag);
        snprintf(left, sizeof(left), "--%s %s", flag,
                 strcmp(settings[i].type, "text") == 0   ? "TEXT"
                 : strcmp(settings[i].type, "size") == 0 ? "SIZE"
                                                         : "N");
        printf("      %-22s %s", left, settings[i].what);
        if (settings[i].value[0]) {
            printf(" (default: %s)", settings[i].value);
        }
        putchar('\n');
    }
    printf("\nSIGTERM and SIGINT make it leave the cluster in good order.\n"
           "Exit status: 0 all went well; 1 it could not start or go on; 2 wrong usage or\n"
           "configuration.\n");
}

static void options_make(struct option *options, char flags[][FLAG_BYTES])
{
    static const struct option plain[] = {
        {"config", required_argument, NULL, OPTION_CONFIG},
        {"check-config", no_argument, NULL, OPTION_CHECK},
        {"print-config", no_argument, NULL, OPTION_PRINT},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
    };
    size_t count = sizeof(plain) / sizeof(plain[0]);

    memcpy(options, plain, sizeof(plain));
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        flag_name(settings[i].key, flags[i]);
        options[count + i] =
            (struct option){flags[i], required_argument, NULL, OPTION_SETTING + (int)i};
    }
    options[count + SETTINGS_COUNT] = (struct option){0};
}

/** Read the command line; -1 to go on, else the exit code. */
static int command_read(int argc, char **argv, struct command *command)
{
    struct option options[SETTINGS_COUNT + 8];
    char flags[SETTINGS_COUNT][FLAG_BYTES];
    int value;

    options_make(options, flags);
    while ((value = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (value) {
        case OPTION_CONFIG:
            command->file = optarg;
            break;
        case OPTION_CHECK:
            command->is_check = true;
            break;
        case OPTION_PRINT:
            command->is_print = true;
            break;
        case OPTION_HELP:
            help_print();
            return EXIT_OK;
        case OPTION_VERSION:
            printf("dsm-agent " DSM_VERSION " (protocol %u, session %u)\n", PROTOCOL_VERSION,
                   SESSION_VERSION);
            return EXIT_OK;
        case '?':
            fprintf(stderr, "dsm-agent: `dsm-agent --help` lists the options\n");
            return EXIT_USAGE;
        default:
            command->values[value - OPTION_SETTING] = optarg;
            break;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "dsm-agent: '%s' is no option; `dsm-agent --help` lists them\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

/** Default, file, environment, flags: each over the one before. */
static int config_gather(const struct command *command, struct config *config, char *error)
{
    const char *file = command->file;

    config_init(config);
    if (file == NULL && access(CONFIG_FILE_DEFAULT, F_OK) == 0) {
        file = CONFIG_FILE_DEFAULT;
    }
    if ((file && config_read_file(config, file, error) < 0) ||
        config_read_environment(config, error) < 0) {
        return DSM_ECONFIG;
    }
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        char flag[FLAG_BYTES + 2] = "--";

        if (command->values[i]) {
            flag_name(settings[i].key, flag + 2);
            if (config_set(config, settings[i].key, command->values[i], flag, error) < 0) {
                return DSM_ECONFIG;
            }
        }
    }
    return 0;
}

static int config_try(const struct config *config)
{
    struct tls_context *tls;
    char text[TEXT_BYTES_MAX];

    if (tls_context_new(config->ca, config->certificate, config->key, &tls, text) < 0) {
        fprintf(stderr, "dsm-agent: %s\n", text);
        return EXIT_USAGE;
    }
    printf("configuration is good: node %s, listens at %s, %s%s\n", tls_context_name(tls),
           config->listen, config->keeper[0] ? "catalog kept at " : "keeps the catalog in ",
           config->keeper[0] ? config->keeper : config->state_dir);
    tls_context_free(tls);
    return EXIT_OK;
}

/** libuv ends the process without a word when its table of descriptors cannot grow. */
static void *loop_realloc(void *old, size_t len_bytes)
{
    void *memory = realloc(old, len_bytes);

    if (memory == NULL && len_bytes > 0) {
        log_line(LOG_LEVEL_ERROR, "no memory for the event loop, which may end the agent bytes=%zu",
                 len_bytes);
    }
    return memory;
}

/** Programs that compute all the time would else let a page wait for the rest of their slice. */
static void priority_raise(const struct config *config)
{
    int nice = -(int)config->boost;

    if (nice < getpriority(PRIO_PROCESS, 0) && setpriority(PRIO_PROCESS, 0, nice) != 0) {
        log_line(LOG_LEVEL_INFO, "priority unchanged: boost=%" PRIu64 " is not permitted",
                 config->boost);
    }
}

static int serve(const struct config *config)
{
    struct agent *agent;
    char text[TEXT_BYTES_MAX];
    int error;

    /* A peer or program that hangs up is an error of that write, not the end of the agent. */
    signal(SIGPIPE, SIG_IGN);
    uv_replace_allocator(malloc, loop_realloc, calloc, free);
    priority_raise(config);
    error = agent_new(config, &agent, text);
    if (error < 0) {
        log_line(LOG_LEVEL_ERROR, "start failed error=\"%s\"", text);
        return error == DSM_ECONFIG ? EXIT_USAGE : EXIT_FAILED;
    }
    error = agent_run(agent);
    agent_free(agent);
    log_line(LOG_LEVEL_INFO, "stopped node=%s", config->node);
    return error < 0 ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
    struct command command = {0};
    struct config config;
    char error[CONFIG_ERROR_BYTES] = "";
    int code = command_read(argc, argv, &command);

    if (code >= 0) {
        return code;
    }
    if (config_gather(&command, &config, error) < 0) {
        fprintf(stderr, "dsm-agent: %s\n", error);
        return EXIT_USAGE;
    }
    if (command.is_print) {
        config_print(&config);
        if (fflush(stdout) != 0) {
            fprintf(stderr, "dsm-agent: the configuration cannot be written: %s\n",
                    strerror(errno));
            return EXIT_FAILED;
        }
        return EXIT_OK;
    }
    if (config_check(&config, error) < 0) {
        fprintf(stderr, "dsm-agent: %s\n", error);
        return EXIT_USAGE;
    }
    return command.is_check ? config_try(&config) : serve(&config);
}
