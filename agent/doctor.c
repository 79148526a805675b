/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/authority.h"
#include "agent/ctl.h"
#include "agent/ctl_session.h"
#include "dsm.h"

#define CONFIG_FILE_DEFAULT "/etc/dsm/agent.ini"
#define DAY_S 86400
/** Renewing takes a person; warn a month before. */
#define EXPIRY_WARN_DAYS 30

void doctor_find(struct doctor *doctor, enum doctor_result result, const char *check,
                 const char *format, ...)
{
    va_list arguments;
    if (doctor->count == DOCTOR_FINDINGS_MAX) {
        return;
    }
    struct doctor_finding *finding = &doctor->findings[doctor->count++];
    finding->result = result;
    finding->check = check;
    finding->advice[0] = '\0';
    va_start(arguments, format);
    vsnprintf(finding->found, sizeof(finding->found), format, arguments);
    va_end(arguments);
}

void doctor_advise(struct doctor *doctor, const char *format, ...)
{
    va_list arguments;
    if (doctor->count == 0) {
        return;
    }
    struct doctor_finding *finding = &doctor->findings[doctor->count - 1];
    va_start(arguments, format);
    vsnprintf(finding->advice, sizeof(finding->advice), format, arguments);
    va_end(arguments);
}

static void check_validity(struct doctor *doctor, const char *check, const char *path,
                           const struct authority_validity *validity, const char *advice)
{
    int64_t now_s = (int64_t)time(NULL);
    long long days = (long long)((validity->until_s - now_s) / DAY_S);
    if (now_s < validity->from_s) {
        doctor_find(doctor, DOCTOR_FAIL, check, "%s: not valid yet, for %lld more minutes", path,
                    (long long)((validity->from_s - now_s) / 60 + 1));
        doctor_advise(doctor, "this host's clock is behind that of the host that made it: correct "
                              "it with timedatectl set-ntp true");
    } else if (now_s >= validity->until_s) {
        doctor_find(doctor, DOCTOR_FAIL, check, "%s: expired %lld days ago", path, -days);
        doctor_advise(doctor, "%s", advice);
    } else if (days < EXPIRY_WARN_DAYS) {
        doctor_find(doctor, DOCTOR_WARN, check, "%s: expires in %lld days", path, days);
        doctor_advise(doctor, "%s", advice);
    } else {
        doctor_find(doctor, DOCTOR_OK, check, "%s: valid for %lld more days", path, days);
    }
}

static void check_key(struct doctor *doctor, const struct config *config,
                      const struct authority_report *report)
{
    if (!report->is_key) {
        doctor_find(doctor, DOCTOR_FAIL, "key", "%s: not the key of %s", config->key,
                    config->certificate);
        doctor_advise(doctor, "copy both again from one directory that 'dsmctl node add' made");
    } else if (report->key_mode & 077) {
        doctor_find(doctor, DOCTOR_WARN, "key", "%s: mode %04o lets other users read it",
                    config->key, report->key_mode);
        doctor_advise(doctor, "chmod 600 %s", config->key);
    } else {
        doctor_find(doctor, DOCTOR_OK, "key", "%s: the certificate's, mode %04o", config->key,
                    report->key_mode);
    }
}

void doctor_check_certificates(struct doctor *doctor, const struct config *config)
{
    char error[AUTHORITY_ERROR_BYTES];
    char advice[256];
    struct authority_report report;
    if (authority_examine(config->ca, config->certificate, config->key, &report, error) != 0) {
        doctor_find(doctor, DOCTOR_FAIL, "certificates", "%s", error);
        doctor_advise(doctor, "copy ca.crt, node.crt and node.key again from the directory that "
                              "'dsmctl init' or 'dsmctl node add' made, or run this as root");
        return;
    }
    snprintf(advice, sizeof(advice),
             "renew it on the first node: dsmctl node add %.64s --config DIR --out NEW; copy "
             "NEW/node.crt and NEW/node.key here, and restart the agent",
             report.name);
    check_validity(doctor, "certificate", config->certificate, &report.node, advice);
    check_validity(doctor, "authority", config->ca, &report.ca,
                   "make a new authority with 'dsmctl init' and new certificates for all nodes");
    if (report.is_signed) {
        doctor_find(doctor, DOCTOR_OK, "signature", "the certificate is of this authority");
    } else {
        doctor_find(doctor, DOCTOR_FAIL, "signature", "%s is not signed by %s: %s",
                    config->certificate, config->ca, report.text);
        doctor_advise(doctor, "they are of two clusters; copy ca.crt and node.crt again from one "
                              "directory");
    }
    if (strcmp(report.name, config->node) == 0) {
        doctor_find(doctor, DOCTOR_OK, "node name", "%s, in configuration and certificate",
                    config->node);
    } else {
        doctor_find(doctor, DOCTOR_FAIL, "node name",
                    "the configuration says '%s', the certificate '%s'", config->node, report.name);
        doctor_advise(doctor, "set node = %s in agent.ini, or copy the other node's certificate",
                      report.name);
    }
    check_key(doctor, config, &report);
}

/** Links to living nodes that are down. */
static void check_links(struct doctor *doctor, struct ctl_session *session)
{
    char error[CTL_SESSION_ERROR_BYTES];
    char names[512] = "";
    size_t len = 0;
    size_t index;
    json_t *node;
    json_t *document = NULL;
    long long count_up = 0;
    if (ctl_session_fetch(session, "nodes", &document, error) != 0) {
        doctor_find(doctor, DOCTOR_WARN, "links", "%s", error);
        doctor_advise(doctor, "see the agent's log: journalctl -u dsm-agent");
        return;
    }
    json_array_foreach(json_object_get(document, "nodes"), index, node)
    {
        const char *link = ctl_text(node, "link");
        count_up += strcmp(link, "up") == 0;
        if (strcmp(link, "down") == 0 && json_is_true(json_object_get(node, "alive")) &&
            len < sizeof(names) - 1) {
            int added =
                snprintf(names + len, sizeof(names) - len, "%s%s at %s", len > 0 ? ", " : "",
                         ctl_text(node, "name"), ctl_text(node, "address"));
            len += added > 0 ? (size_t)added : 0;
        }
    }
    json_decref(document);
    if (names[0] != '\0') {
        doctor_find(doctor, DOCTOR_WARN, "links", "no link to %s", names);
        doctor_advise(doctor, "is its agent running, and does a firewall let TCP to that address "
                              "through? Run dsmctl doctor there as well");
    } else {
        doctor_find(doctor, DOCTOR_OK, "links", "up to all living nodes (%lld)", count_up);
    }
}

long doctor_check_agent(struct doctor *doctor, const char *socket_path)
{
    char error[CTL_SESSION_ERROR_BYTES];
    struct ctl_session *session = NULL;
    json_t *status = NULL;
    int result = ctl_session_open(socket_path, &session, error);
    if (result == 0) {
        result = ctl_session_fetch(session, "status", &status, error);
    }
    if (result != 0) {
        doctor_find(doctor, DOCTOR_FAIL, "agent", "%s", error);
        doctor_advise(doctor,
                      "correct what fails above first; if it does not stay up, its log tells why: "
                      "journalctl -u dsm-agent");
        ctl_session_close(session);
        return 0;
    }
    const json_t *keeper = json_object_get(status, "keeper");
    bool is_available = json_is_true(json_object_get(keeper, "available"));
    long pid = (long)ctl_number(status, "pid");
    doctor_find(doctor, DOCTOR_OK, "agent", "node %s answers at %s (version %s, pid %ld)",
                ctl_text(status, "node"), socket_path, ctl_text(status, "version"), pid);
    doctor_find(doctor, is_available ? DOCTOR_OK : DOCTOR_WARN, "keeper", "%s: %s",
                is_available ? "available" : "not available", ctl_text(keeper, "text"));
    if (!is_available) {
        doctor_advise(doctor,
                      "mapped regions go on working; opening and joining wait for it: start "
                      "the agent on the first node, or correct keeper in agent.ini");
    }
    check_links(doctor, session);
    json_decref(status);
    ctl_session_close(session);
    return pid;
}

/** Read the configuration as the agent does. False: there is none that could be looked at further.
 */
static bool check_config(struct doctor *doctor, const struct ctl_options *options,
                         struct config *config)
{
    char error[CONFIG_ERROR_BYTES];
    const char *path = options->config ? options->config : CONFIG_FILE_DEFAULT;
    config_init(config);
    if (!options->config && access(path, F_OK) != 0) {
        doctor_find(doctor, DOCTOR_WARN, "configuration", "there is no %s", path);
        doctor_advise(doctor, "name the agent's file with --config, or make one: dsmctl init "
                              "/etc/dsm --name NAME");
        return false;
    }
    if (config_read_file(config, path, error) != 0 || config_read_environment(config, error) != 0) {
        doctor_find(doctor, DOCTOR_FAIL, "configuration", "%s", error);
        doctor_advise(doctor, "correct that line; dsm-agent(8) tells every setting");
        return false;
    }
    if (config_check(config, error) != 0) {
        doctor_find(doctor, DOCTOR_FAIL, "configuration", "%s: %.900s", path, error);
        doctor_advise(doctor, "correct it in %s; dsm-agent(8) tells every setting", path);
    } else {
        doctor_find(doctor, DOCTOR_OK, "configuration", "%s", path);
    }
    return true;
}

static unsigned count_results(const struct doctor *doctor, enum doctor_result result)
{
    unsigned count = 0;
    for (unsigned i = 0; i < doctor->count; i++) {
        count += doctor->findings[i].result == result;
    }
    return count;
}

static void print_text(const struct doctor *doctor)
{
    static const char *const words[] = {"ok  ", "warn", "FAIL"};
    for (unsigned i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        printf("%s  %-16s  %s\n", words[finding->result], finding->check, finding->found);
        if (finding->advice[0] != '\0') {
            printf("      %-16s  -> %s\n", "", finding->advice);
        }
    }
    printf("%u ok, %u warn, %u fail\n", count_results(doctor, DOCTOR_OK),
           count_results(doctor, DOCTOR_WARN), count_results(doctor, DOCTOR_FAIL));
}

static void print_json(const struct doctor *doctor)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    json_t *checks = json_array();
    for (unsigned i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:s}", "check", finding->check,
                                                "result", words[finding->result], "found",
                                                finding->found, "advice", finding->advice));
    }
    json_t *document = json_pack("{s:o, s:i, s:i}", "checks", checks, "warnings",
                                 (int)count_results(doctor, DOCTOR_WARN), "failures",
                                 (int)count_results(doctor, DOCTOR_FAIL));
    ctl_print_json(document);
    json_decref(document);
}

int ctl_doctor(const struct ctl_options *options)
{
    struct config config;
    struct doctor *doctor = calloc(1, sizeof(*doctor));
    if (!doctor) {
        return ctl_fail(options, CTL_FAILED, "out of memory");
    }
    doctor_check_kernel(doctor);
    doctor_check_faults(doctor);
    const char *socket_path = ctl_socket(options);
    if (check_config(doctor, options, &config)) {
        doctor_check_certificates(doctor, &config);
        socket_path = options->socket ? options->socket : config.socket;
    }
    long pid = doctor_check_agent(doctor, socket_path);
    doctor_check_host(doctor, &config, pid);
    if (options->json) {
        print_json(doctor);
    } else {
        print_text(doctor);
    }
    int exit_code = count_results(doctor, DOCTOR_FAIL) > 0 ? CTL_UNHEALTHY : CTL_OK;
    free(doctor);
    return exit_code;
}
