/* SPDX-License-Identifier: Apache-2.0 */
/* dsmctl's command line: a table of commands, a table of options, and their help. */
#include "agent/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_MAX 3650

/** Options; each is a bit of command.allowed. */
enum option_bit {
    OPTION_SOCKET = 1 << 0,
    OPTION_JSON = 1 << 1,
    OPTION_ALL = 1 << 2,
    OPTION_PAGES = 1 << 3,
    OPTION_SEM = 1 << 4,
    OPTION_CONFIG = 1 << 5,
    OPTION_NAME = 1 << 6,
    OPTION_ADDRESS = 1 << 7,
    OPTION_OUT = 1 << 8,
    OPTION_KEEPER = 1 << 9,
    OPTION_STATE_DIR = 1 << 10,
    OPTION_DAYS = 1 << 11,
    OPTION_HELP = 1 << 12,
    OPTION_VERSION = 1 << 13,
};

#define OPTIONS_COMMON (OPTION_SOCKET | OPTION_JSON | OPTION_HELP)

static const struct option options_long[] = {
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"all", no_argument, NULL, OPTION_ALL},
    {"pages", no_argument, NULL, OPTION_PAGES},
    {"sem", no_argument, NULL, OPTION_SEM},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"name", required_argument, NULL, OPTION_NAME},
    {"address", required_argument, NULL, OPTION_ADDRESS},
    {"out", required_argument, NULL, OPTION_OUT},
    {"keeper", required_argument, NULL, OPTION_KEEPER},
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {"days", required_argument, NULL, OPTION_DAYS},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

struct command {
    const char *name;     /* "node add" is two words */
    const char *argument; /* what it takes, NULL: nothing */
    int allowed;          /* of enum option_bit */
    int (*run)(const struct ctl_options *options);
    const char *usage;
    const char *summary;
    const char *help;
};

static const struct command commands[] = {
    {"init", "DIR", OPTIONS_COMMON | OPTION_NAME | OPTION_ADDRESS | OPTION_STATE_DIR | OPTION_DAYS,
     ctl_init, "init DIR --name NAME [--address HOST:PORT]", "make a cluster and its first node",
     "Makes in DIR the cluster's authority (ca.crt, ca.key), the certificate of the first node\n"
     "(node.crt, node.key) and its configuration (agent.ini). The first node keeps the catalog.\n"
     "Nothing that exists is overwritten.\n\n"
     "  --name NAME          the node's name: letters, digits, '.' and '-'\n"
     "  --address HOST:PORT  where the other nodes reach it; default: the first address of this\n"
     "                       host, port 7400\n"
     "  --state-dir PATH     directory of the catalog; default /var/lib/dsm\n"
     "  --socket PATH        the agent's socket; default /run/dsm/agent.sock\n"
     "  --days N             how long the node's certificate is valid; default 730\n\n"
     "Example:\n"
     "  dsmctl init /etc/dsm --name alpha --address 10.0.0.1:7400\n"},
    {"node add", "NAME",
     OPTIONS_COMMON | OPTION_CONFIG | OPTION_OUT | OPTION_ADDRESS | OPTION_KEEPER |
         OPTION_STATE_DIR | OPTION_DAYS,
     ctl_node_add, "node add NAME --config DIR --out DIR2", "make the files of another node",
     "Makes in DIR2 the certificate and key of another node, signed by the authority in DIR, the\n"
     "authority's certificate, and a configuration. Copy DIR2 to that node. The same command, "
     "with\n"
     "the same name and another DIR2, renews a certificate that is about to end.\n\n"
     "  --config DIR         the directory that 'dsmctl init' made\n"
     "  --out DIR2           where the files go; nothing that exists is overwritten\n"
     "  --address HOST:PORT  where the other nodes reach the new node; without it, set advertise\n"
     "                       in DIR2/agent.ini before its agent starts\n"
     "  --keeper HOST:PORT   the first node's address; default: as DIR/agent.ini says\n"
     "  --state-dir PATH, --socket PATH, --days N  as for init\n\n"
     "Example:\n"
     "  dsmctl node add beta --config /etc/dsm --out beta.d --address 10.0.0.2:7400\n"},
    {"status", NULL, OPTIONS_COMMON, ctl_status, "status", "this node's agent at a glance",
     "Shows the agent's node, version, keeper, members, regions, programs and memory.\n"},
    {"nodes", NULL, OPTIONS_COMMON, ctl_nodes, "nodes", "the cluster's nodes and the links to them",
     "Shows every node that the catalog knows. LINK is the connection from this node to it; HEARD\n"
     "is when something last came from there.\n"},
    {"regions", NULL, OPTIONS_COMMON | OPTION_ALL, ctl_regions, "regions [--all]",
     "the regions in the catalog",
     "Shows every region: size, mode, owner, where its pages are at home, on which nodes it is\n"
     "open, and how many of its pages are on this node. 'unlinked' ones have lost their name and\n"
     "go with the last program that has them mapped; 'sealed' ones never change again.\n\n"
     "  --all  semaphores as well\n"},
    {"sems", NULL, OPTIONS_COMMON, ctl_sems, "sems", "the named semaphores in the catalog",
     "Shows every named semaphore: initial value, mode, owner, its home, where it is open.\n"},
    {"region", "NAME", OPTIONS_COMMON | OPTION_PAGES, ctl_region, "region NAME [--pages]",
     "one region, and where its pages are",
     "Shows a region's properties, how many of its pages each node owns or has a copy of, and "
     "runs\n"
     "of pages with one owner and the same readers. STATE is\n"
     "  owned   one node has it, and may write it\n"
     "  shared  the readers have the same bytes\n"
     "  zero    never written\n"
     "  busy    changing hands at this moment\n"
     "  lost    its only copy died with its node; touching it gives SIGBUS\n\n"
     "  --pages  all runs, not only the first ones\n\n"
     "Example:\n"
     "  dsmctl region /photo --pages\n"},
    {"rm", "NAME", OPTIONS_COMMON | OPTION_SEM, ctl_rm, "rm NAME [--sem]",
     "remove the name of a region or semaphore",
     "Removes a name at once; the storage goes when the last program unmaps or closes it. Only "
     "its\n"
     "owner and root may.\n\n"
     "  --sem  the name is a semaphore's\n\n"
     "Example:\n"
     "  dsmctl rm /photo\n"},
    {"stats", NULL, OPTIONS_COMMON | OPTION_ALL, ctl_stats, "stats [--all]",
     "the agent's counters since it started",
     "Shows the counters of this node's agent; dsm.h tells what each counts.\n\n"
     "  --all  of all nodes, side by side\n"},
    {"doctor", NULL, OPTIONS_COMMON | OPTION_CONFIG, ctl_doctor, "doctor [--config FILE]",
     "check this host, and say what to do",
     "Checks the kernel's features, /dev/userfaultfd, limits, memory, the configuration, the\n"
     "certificates, the clock, and whether the agent answers and reaches its peers. Each line "
     "says\n"
     "ok, warn or FAIL, what was found, and below it what to do. Exits 4 when something fails.\n\n"
     "  --config FILE  the agent's configuration; default /etc/dsm/agent.ini\n"},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static const char exit_codes_text[] =
    "Exit codes: 0 done; 1 the operation failed; 2 wrong command line; 3 no agent answers;\n"
    "4 doctor found a failure.\n";

static void print_help(void)
{
    printf("Usage: dsmctl COMMAND [OPTION]...\n"
           "Look after a cluster of DSM agents.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        printf("  %-42s  %s\n", commands[i].usage, commands[i].summary);
    }
    printf("\nOptions of every command:\n"
           "  --socket PATH  the agent's socket; default $DSM_SOCKET, else /run/dsm/agent.sock\n"
           "  --json         print one JSON document\n"
           "  --help         this text; with a command, what it does\n"
           "  --version      print the version\n\n"
           "Examples:\n"
           "  dsmctl init /etc/dsm --name alpha     a cluster whose first node is this host\n"
           "  dsmctl doctor                         is this host fit, and what to do if not\n"
           "  dsmctl region /photo                  where the pages of a region are\n"
           "  dsmctl stats --all --json | jq        counters of all nodes for a program\n\n"
           "%s",
           exit_codes_text);
}

static void print_command_help(const struct command *command)
{
    printf("Usage: dsmctl %s\n%s.\n\n%s\n  --json  print one JSON document\n\n%s", command->usage,
           command->summary, command->help, exit_codes_text);
}

static int fail_usage(const struct ctl_options *options, const char *what, const char *detail,
                      const char *advice)
{
    const char *quote = detail[0] != '\0' ? "'" : "";
    return ctl_fail(options, CTL_USAGE, "%s%s%.200s%s; %s", what, quote, detail, quote, advice);
}

static const struct command *command_find(int count, char **words, int *count_words)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        const char *name = commands[i].name;
        size_t first = strcspn(name, " ");
        if (count < 1 || strlen(words[0]) != first || strncmp(words[0], name, first) != 0) {
            continue;
        }
        if (name[first] == '\0') {
            *count_words = 1;
            return &commands[i];
        }
        if (count >= 2 && strcmp(words[1], name + first + 1) == 0) {
            *count_words = 2;
            return &commands[i];
        }
    }
    return NULL;
}

static int take_days(struct ctl_options *options, const char *text)
{
    char *end = NULL;
    errno = 0;
    long days = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || days < 1 || days > DAYS_MAX) {
        return fail_usage(options, "--days ", text, "give a number of days from 1 to 3650");
    }
    options->days = (unsigned)days;
    return CTL_OK;
}

static int take_option(struct ctl_options *options, int option, const char *text)
{
    switch (option) {
    case OPTION_SOCKET:
        options->socket = text;
        break;
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_ALL:
        options->all = true;
        break;
    case OPTION_PAGES:
        options->pages = true;
        break;
    case OPTION_SEM:
        options->sem = true;
        break;
    case OPTION_CONFIG:
        options->config = text;
        break;
    case OPTION_NAME:
        options->name = text;
        break;
    case OPTION_ADDRESS:
        options->address = text;
        break;
    case OPTION_OUT:
        options->out = text;
        break;
    case OPTION_KEEPER:
        options->keeper = text;
        break;
    case OPTION_STATE_DIR:
        options->state_dir = text;
        break;
    case OPTION_DAYS:
        return take_days(options, text);
    case OPTION_HELP:
    case OPTION_VERSION:
        break;
    default:
        /* getopt_long() has said what is wrong. */
        fprintf(stderr, "Try 'dsmctl --help'.\n");
        return CTL_USAGE;
    }
    return CTL_OK;
}

/** An option that a command does not know is a mistake, not to be passed over. */
static int check_allowed(const struct ctl_options *options, const struct command *command,
                         int given)
{
    char advice[128];
    for (const struct option *option = options_long; option->name; option++) {
        if (given & option->val & ~command->allowed) {
            snprintf(advice, sizeof(advice), "'dsmctl %s --help' tells its options", command->name);
            return ctl_fail(options, CTL_USAGE, "--%s does not go with '%s'; %s", option->name,
                            command->name, advice);
        }
    }
    return CTL_OK;
}

static int run_command(struct ctl_options *options, int given, int count, char **words)
{
    int count_words = 0;
    bool is_help = count > 0 && strcmp(words[0], "help") == 0;
    if (is_help) {
        count--;
        words++;
    }
    if (count == 0) {
        if (is_help || (given & OPTION_HELP)) {
            print_help();
            return CTL_OK;
        }
        return fail_usage(options, "no command is given", "", "'dsmctl --help' lists them");
    }
    const struct command *command = command_find(count, words, &count_words);
    if (!command) {
        return fail_usage(options, "there is no command ", words[0],
                          strcmp(words[0], "node") == 0 ? "did you mean 'node add' or 'nodes'?"
                                                        : "'dsmctl --help' lists the commands");
    }
    if (is_help || (given & OPTION_HELP)) {
        print_command_help(command);
        return CTL_OK;
    }
    int result = check_allowed(options, command, given);
    if (result != CTL_OK) {
        return result;
    }
    int count_arguments = command->argument ? 1 : 0;
    if (count - count_words < count_arguments) {
        return ctl_fail(options, CTL_USAGE, "%s needs a %s: dsmctl %s", command->name,
                        command->argument, command->usage);
    }
    if (count - count_words > count_arguments) {
        return ctl_fail(options, CTL_USAGE, "'%.200s' is one word too many: dsmctl %s",
                        words[count_words + count_arguments], command->usage);
    }
    options->argument = command->argument ? words[count_words] : NULL;
    return command->run(options);
}

int ctl_main(int argc, char **argv)
{
    struct ctl_options options = {0};
    int given = 0;
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "h", options_long, NULL)) != -1) {
        option = option == 'h' ? OPTION_HELP : option;
        int result = take_option(&options, option, optarg);
        if (result != CTL_OK) {
            return result;
        }
        given |= option;
    }
    if (given & OPTION_VERSION) {
        printf("dsmctl %s\n", DSM_VERSION);
        return CTL_OK;
    }
    int result = run_command(&options, given, argc - optind, argv + optind);
    /* A full disk or a closed pipe must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && result == CTL_OK) {
        fprintf(stderr, "dsmctl: the output could not be written\n");
        return CTL_FAILED;
    }
    return result;
}
