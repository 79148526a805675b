/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/whole_agent.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm.h"
#include "tests/fuzz/played_peers.h"
#include "tests/fuzz/whole_parts.h"

/** Turns of the loop in which nothing happens, after which it is taken to be at rest. */
#define IDLE_TURNS 2u
#define TURNS_MAX 2000u

void whole_run(struct whole *whole)
{
    struct agent *agent = whole->agent;
    uint64_t seen = 0, now;

    for (uint32_t turns = 0, idle = 0; idle < IDLE_TURNS && !agent->is_stopping; turns++) {
        require(turns < TURNS_MAX);
        uv_run(&agent->loop, UV_RUN_NOWAIT);
        now = (agent->driver ? driver_count_events(agent->driver) : 0) + programs_drain(whole);
        idle = now == seen ? idle + 1 : 0;
        seen = now;
    }
    played_settle(agent->peers);
}

uint32_t whole_descriptors(void)
{
    uv_loop_t loop;

    require(uv_loop_init(&loop) == 0);
    require(uv_loop_close(&loop) == 0);
    return descriptor_count();
}

static void settings_make(struct whole *whole, bool is_keeper)
{
    struct config *config = &whole->config;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(whole->directory, sizeof(whole->directory), "%s/dsm-fuzz-XXXXXX", base);
    require(mkdtemp(whole->directory) != NULL);
    config_init(config);
    config->budget = 64 * 4096;
    config->region_max = 1 << 20;
    snprintf(config->state_dir, sizeof(config->state_dir), "%s", whole->directory);
    snprintf(config->socket, sizeof(config->socket), "%s/socket", whole->directory);
    snprintf(config->listen, sizeof(config->listen), "192.0.2.9:7400");
    snprintf(config->keeper, sizeof(config->keeper), "%s", is_keeper ? "" : "192.0.2.1:7400");
}

static void directory_remove(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    char name[512];

    while (directory && (entry = readdir(directory)) != NULL) {
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') {
            unlink(name);
        }
    }
    if (directory) {
        closedir(directory);
    }
    rmdir(path);
}

static struct whole *whole_start(struct whole *whole, bool is_keeper)
{
    char text[TEXT_BYTES_MAX];

    if (agent_new(&whole->config, &whole->agent, text) != 0) {
        directory_remove(whole->directory);
        free(whole);
        return NULL;
    }
    whole_run(whole);
    require(!is_keeper || whole->agent->clients != NULL);
    return whole;
}

static struct whole *whole_prepare(bool is_keeper)
{
    struct whole *whole = calloc(1, sizeof(*whole));

    require(whole != NULL);
    for (uint32_t i = 0; i < WHOLE_PROGRAMS; i++) {
        whole->programs[i].socket = whole->programs[i].memory = -1;
    }
    settings_make(whole, is_keeper);
    return whole;
}

struct whole *whole_new(bool is_keeper)
{
    struct whole *whole = whole_start(whole_prepare(is_keeper), is_keeper);

    require(whole != NULL);
    return whole;
}

struct whole *whole_new_over(const uint8_t *body, size_t len_bytes)
{
    struct whole *whole = whole_prepare(true);

    catalog_make(whole->directory, body, len_bytes);
    return whole_start(whole, false);
}

void whole_free(struct whole *whole)
{
    struct agent *agent = whole->agent;

    for (uint32_t i = 0; i < WHOLE_PROGRAMS; i++) {
        program_close(&whole->programs[i]);
    }
    whole_run(whole);
    require(agent->is_stopping || agent->clients == NULL || clients_count(agent->clients) == 0);
    for (uint32_t i = 0; i < PLAYED_PEERS; i++) {
        played_down(agent->peers, i, false);
    }
    agent_free(agent);
    directory_remove(whole->directory);
    free(whole);
}
