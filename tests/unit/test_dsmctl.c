/* SPDX-License-Identifier: Apache-2.0 */
/* dsmctl against an agent that is played here: what it prints, in both forms; its exit codes. */
#include "tests/unit/ctl_place.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "dsm.h"
#include "net/codec.h"

/** Pieces are small, so that every document comes in several. */
#define PIECE_BYTES 61

/** How the played agent behaves. */
enum behaviour {
    AGENT_GOOD,
    AGENT_HANGS_UP, /* after HELLO */
    AGENT_OLD,      /* refuses HELLO's version */
    AGENT_FOREIGN,  /* answers with bytes that are no reply */
    AGENT_NO_JSON,  /* answers with text that is no JSON */
    AGENT_LOOPS,    /* gives the same piece for ever */
};

static const struct {
    const char *topic;
    int error;
    const char *text;
} answers[] = {
    {"status", 0,
     "{\"node\":\"a\",\"number\":0,\"version\":\"0.1.0\",\"protocol\":1,\"incarnation\":123,"
     "\"epoch\":2,\"pid\":1,\"uptime_s\":93784,\"listen\":\"0.0.0.0:7400\",\"keeper\":{"
     "\"available\":true,\"text\":\"kept here\"},\"members\":3,\"peers_up\":2,\"regions\":7,"
     "\"clients\":5,\"budget_bytes\":1073741824,\"resident_bytes\":49152}"},
    {"nodes", 0,
     "{\"nodes\":[{\"node\":0,\"name\":\"a\",\"address\":\"10.0.0.1:7400\",\"alive\":true,"
     "\"self\":true,\"link\":\"self\",\"incarnation\":123,\"epoch\":0,\"heard_ms_ago\":null,"
     "\"page_bytes\":4096,\"byte_order\":\"little\",\"word_bits\":64},"
     "{\"node\":1,\"name\":\"beta\",\"address\":\"10.0.0.2:7400\",\"alive\":true,\"self\":false,"
     "\"link\":\"up\",\"incarnation\":77,\"epoch\":0,\"heard_ms_ago\":12,"
     "\"page_bytes\":65536,\"byte_order\":\"little\",\"word_bits\":64},"
     "{\"node\":2,\"name\":\"c\",\"address\":\"10.0.0.3:7400\",\"alive\":false,\"self\":false,"
     "\"link\":\"down\",\"incarnation\":78,\"epoch\":4,\"heard_ms_ago\":null,"
     "\"page_bytes\":4096,\"byte_order\":\"big\",\"word_bits\":32}]}"},
    {"regions", 0,
     "{\"regions\":[{\"name\":\"/photo\",\"kind\":\"region\",\"slot\":1,\"generation\":5,"
     "\"size_bytes\":67108864,\"page_size\":4096,\"mode\":\"0644\",\"uid\":0,\"gid\":0,\"home\":"
     "\"creator\",\"homes\":[\"a\"],\"readers\":[\"a\",\"beta\"],\"writers\":[\"a\"],\"unlinked\":"
     "false,\"resident_pages\":12,\"type\":\"u16[4] struct { u16 red; u16 green; }[]\"},"
     "{\"name\":\"/ready\",\"kind\":\"sem\",\"slot\":2,"
     "\"generation\":6,\"size_bytes\":3,\"page_size\":4096,\"mode\":\"0600\",\"uid\":1000,\"gid\":"
     "1000,\"home\":\"creator\",\"homes\":[\"beta\"],\"readers\":[],\"writers\":[],\"unlinked\":"
     "false},{\"name\":\"/o\\u001b[31mld\",\"kind\":\"region\",\"slot\":3,\"generation\":7,"
     "\"size_bytes\":6144,\"page_size\":65536,\"mode\":\"0600\",\"uid\":1000,\"gid\":1000,\"home\":"
     "\"striped\",\"homes\":[\"a\",\"beta\"],\"readers\":[\"a\"],\"writers\":[],\"unlinked\":true,"
     "\"resident_pages\":0}]}"},
    {"region /photo", 0,
     "{\"region\":{\"name\":\"/photo\",\"kind\":\"region\",\"slot\":1,\"generation\":5,"
     "\"size_bytes\":81920,\"page_size\":4096,\"mode\":\"0644\",\"uid\":0,\"gid\":0,\"home\":"
     "\"creator\",\"homes\":[\"a\"],\"readers\":[\"a\",\"beta\"],\"writers\":[\"a\"],\"unlinked\":"
     "false,\"resident_pages\":12,\"type\":\"u16[4] struct { u16 red; u16 green; }[]\"},"
     "\"pages\":["
     "{\"page\":0,\"count\":4,\"owner\":\"a\",\"readers\":[\"a\",\"beta\"],\"state\":\"shared\"},"
     "{\"page\":4,\"count\":8,\"owner\":\"a\",\"readers\":[\"a\",\"beta\"],\"state\":\"shared\"},"
     "{\"page\":12,\"count\":3,\"owner\":\"beta\",\"readers\":[],\"state\":\"owned\"},"
     "{\"page\":15,\"count\":5,\"owner\":null,\"readers\":[],\"state\":\"zero\"}],"
     "\"incomplete\":[\"c\"]}"},
    {"region /empty", 0,
     "{\"region\":{\"name\":\"/empty\",\"size_bytes\":0,\"page_size\":4096,\"mode\":\"0644\"},"
     "\"pages\":[],\"incomplete\":[]}"},
    {"region /torn", 0,
     "{\"region\":{\"name\":\"/torn\",\"size_bytes\":65536,\"page_size\":4096,\"mode\":\"0644\","
     "\"group_bytes\":65536,\"bounces\":[{\"page\":3,\"offset\":12288,\"other_nodes\":[\"beta\"],"
     "\"per_s_peak\":120,\"advice\":\"create the region with a page_size of 65536 or more\"}]},"
     "\"pages\":[],\"incomplete\":[]}"},
    {"region /none", DSM_ENOENT, "no region is named '/none': 'dsmctl regions' lists them"},
    {"stats", 0, "{\"node\":\"a\",\"counters\":{\"faults\":17,\"messages_sent\":4}}"},
    {"stats all", 0,
     "{\"nodes\":[{\"node\":\"a\",\"counters\":{\"faults\":17,\"messages_sent\":4}},{\"node\":"
     "\"beta\",\"counters\":{\"faults\":1800,\"messages_sent\":5}}],\"incomplete\":[\"c\"]}"},
    {"rm /photo", 0, "{\"removed\":\"/photo\"}"},
    {"rm-sem /ready", 0, "{\"removed\":\"/ready\"}"},
    {"rm /mine", DSM_EACCES, ""},
};

/* The played agent: a process of its own, one program at a time, until it is killed. */

static void agent_reply(int fd, const struct session_reply *reply)
{
    struct buffer buffer = {0};
    session_reply_pack(reply, &buffer);
    (void)send(fd, buffer_data(&buffer), buffer_len(&buffer), MSG_NOSIGNAL);
    buffer_close(&buffer);
}

static void agent_answer(int fd, enum behaviour behaviour, const struct session_request *request)
{
    struct session_reply reply = {.number = request->number};
    const char *text = "the agent knows no such topic";
    reply.reply.error = DSM_EINVAL;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (strcmp(answers[i].topic, request->topic) == 0) {
            reply.reply.error = answers[i].error;
            text = answers[i].text;
        }
    }
    if (behaviour == AGENT_NO_JSON) {
        text = "{\"half\":";
    } else if (behaviour == AGENT_LOOPS) {
        text = "{}";
        reply.cursor = 1;
    }
    if (reply.reply.error == 0 && behaviour == AGENT_GOOD) {
        size_t left = strlen(text) - request->cursor;
        text += request->cursor;
        reply.cursor = left > PIECE_BYTES ? request->cursor + PIECE_BYTES : 0;
        snprintf(reply.text, PIECE_BYTES + 1, "%s", text);
    } else {
        snprintf(reply.text, sizeof(reply.text), "%s", text);
    }
    reply.text_bytes = strlen(reply.text);
    agent_reply(fd, &reply);
}

static void agent_converse(int fd, enum behaviour behaviour)
{
    uint8_t packet[4096];
    struct session_request request;
    ssize_t received;
    while ((received = recv(fd, packet, sizeof(packet), 0)) > 0) {
        if (session_request_unpack(packet, (size_t)received, &request) != 0) {
            return;
        }
        struct session_reply reply = {.number = request.number};
        if (behaviour == AGENT_FOREIGN) {
            (void)send(fd, "220 hello\r\n", 11, MSG_NOSIGNAL);
        } else if (request.kind == SESSION_HELLO) {
            reply.reply.error = behaviour == AGENT_OLD ? DSM_EVERSION : 0;
            snprintf(reply.text, sizeof(reply.text), "a");
            reply.text_bytes = 1;
            agent_reply(fd, &reply);
            if (behaviour == AGENT_HANGS_UP) {
                return;
            }
        } else {
            agent_answer(fd, behaviour, &request);
        }
    }
}

static void agent_start(struct place *place, enum behaviour behaviour)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", place->socket);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 8), 0);
    fflush(NULL);
    place->agent = fork();
    assert_true(place->agent >= 0);
    if (place->agent == 0) {
        int fd;
        while ((fd = accept(listener, NULL, NULL)) >= 0) {
            agent_converse(fd, behaviour);
            close(fd);
        }
        _exit(1);
    }
    close(listener);
}

/** The table of status names each fact. */
static void test_status_shows_the_agent(void **state)
{
    struct place *place = *state;
    agent_start(place, AGENT_GOOD);
    run(place, "status", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "node        a (number 0, incarnation 123)\n");
    assert_text(place->out, "up 1 d 2 h\n");
    assert_text(place->out, "keeper      available: kept here\n");
    assert_text(place->out, "members     3, links up: 2, epoch 2\n");
    assert_text(place->out, "memory      48 KiB of pages, budget 1 GiB\n");
    assert_string_equal(place->err, "");
    run(place, "status", "--json", NULL);
    assert_run(place, CTL_OK);
    json_t *json = parse_out(place);
    assert_int_equal(ctl_number(json, "clients"), 5);
    assert_string_equal(ctl_text(json_object_get(json, "keeper"), "text"), "kept here");
    json_decref(json);
}

/** Nodes stand in aligned columns: living, linked and dead ones. */
static void test_nodes_are_a_table(void **state)
{
    struct place *place = *state;
    agent_start(place, AGENT_GOOD);
    run(place, "nodes", NULL);
    assert_run(place, CTL_OK);
    assert_string_equal(place->out,
                        "NODE  NAME  ADDRESS        STATE  LINK  INCARNATION  EPOCH      HEARD"
                        "    PAGE  ORDER     WORD\n"
                        "   0  a     10.0.0.1:7400  alive  self          123      0          -"
                        "   4 KiB  little  64 bit\n"
                        "   1  beta  10.0.0.2:7400  alive  up             77      0  12 ms ago"
                        "  64 KiB  little  64 bit\n"
                        "   2  c     10.0.0.3:7400  dead   down           78      4          -"
                        "   4 KiB  big     32 bit\n");
    run(place, "nodes", "--json", NULL);
    json_t *json = parse_out(place);
    assert_int_equal(json_array_size(json_object_get(json, "nodes")), 3);
    json_decref(json);
}

/** Regions and semaphores are told apart, and a name cannot speak to the terminal. */
static void test_regions_and_semaphores_are_listed_apart(void **state)
{
    struct place *place = *state;
    agent_start(place, AGENT_GOOD);
    run(place, "regions", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "/photo     64 MiB    4K  0644     0     0  creator: a");
    assert_text(place->out, "a, beta  a            named           12  "
                "u16[4] struct { u16 red; u16 gre...\n");
    assert_text(place->out, "/o?[31mld   6 KiB   64K  0600  1000  1000  striped: a, beta");
    assert_text(place->out, "unlinked         0  -\n");
    assert_null(strstr(place->out, "/ready"));
    assert_null(strchr(place->out, 0x1b));
    run(place, "regions", "--all", NULL);
    assert_text(place->out, "/ready     sem");
    assert_text(place->out, "/photo     region");
    run(place, "sems", NULL);
    assert_run(place, CTL_OK);
    assert_string_equal(place->out, "NAME    INITIAL  MODE   UID   GID  HOME  OPEN ON  STATE\n"
                                    "/ready        3  0600  1000  1000  beta  -        named\n");
    run(place, "regions", "--json", NULL);
    json_t *json = parse_out(place);
    assert_int_equal(json_array_size(json_object_get(json, "regions")), 2);
    json_decref(json);
    run(place, "sems", "--json", NULL);
    json = parse_out(place);
    assert_int_equal(json_array_size(json_object_get(json, "semaphores")), 1);
    json_decref(json);
}

/** A region's map joins runs that go on, sums up by node, and says who did not answer. */
static void test_region_shows_where_its_pages_are(void **state)
{
    struct place *place = *state;
    agent_start(place, AGENT_GOOD);
    run(place, "region", "/photo", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "size           80 KiB (81920 bytes): 20 pages of 4 KiB\n");
    assert_text(place->out, "type           u16[4] struct { u16 red; u16 green; }[]\n");
    assert_text(place->out, "open on        a, beta\n");
    assert_text(place->out, "NODE  PAGES OWNED  COPIES\n"
                            "a              12       0\n"
                            "beta            3      12\n");
    assert_text(place->out, "FIRST PAGE  COUNT  STATE   OWNER  READERS\n"
                            "         0     12  shared  a      a, beta\n"
                            "        12      3  owned   beta   -\n"
                            "        15      5  zero    -      -\n");
    assert_text(place->err, "no answer from c");
    run(place, "region", "/photo", "--json", NULL);
    assert_run(place, CTL_OK);
    json_t *json = parse_out(place);
    assert_int_equal(json_array_size(json_object_get(json, "pages")), 4);
    json_decref(json);
    run(place, "region", "/torn", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "pages of 64 KiB of the hardware\n");
    assert_text(place->out, "page 3 (offset 12288), wanted by beta, 120 times in one second: cr");
    run(place, "region", "/empty", "--pages", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "type         none: bytes, which no node converts\n");
    assert_text(place->out, "no page has been touched yet");
    assert_string_equal(place->err, "");
}

/** Counters stand in one column per node. */
static void test_stats_are_side_by_side(void **state)
{
    struct place *place = *state;
    agent_start(place, AGENT_GOOD);
    run(place, "stats", NULL);
    assert_run(place, CTL_OK);
    assert_string_equal(place->out, "COUNTER         a\nfaults         17\nmessages_sent   4\n");
    run(place, "stats", "--all", NULL);
    assert_run(place, CTL_OK);
    assert_string_equal(place->out, "COUNTER         a  beta\n"
                                    "faults         17  1800\n"
                                    "messages_sent   4     5\n");
    assert_text(place->err, "no answer from c");
    run(place, "stats", "--all", "--json", NULL);
    json_t *json = parse_out(place);
    assert_int_equal(json_array_size(json_object_get(json, "nodes")), 2);
    json_decref(json);
}

/** A name goes, or the agent's refusal is told in its own words. */
static void test_rm_removes_or_says_why_not(void **state)
{
    struct place *place = *state;
    agent_start(place, AGENT_GOOD);
    run(place, "rm", "/photo", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "removed region /photo");
    run(place, "rm", "--sem", "/ready", "--json", NULL);
    assert_run(place, CTL_OK);
    json_t *json = parse_out(place);
    assert_string_equal(ctl_text(json, "removed"), "/ready");
    json_decref(json);
    run(place, "rm", "/mine", NULL);
    assert_run(place, CTL_FAILED);
    assert_text(place->err, dsm_strerror(DSM_EACCES));
    run(place, "region", "/none", "--json", NULL);
    assert_run(place, CTL_FAILED);
    assert_text(place->err, "no region is named '/none'");
    json = parse_out(place);
    assert_text(ctl_text(json, "error"), "no region is named '/none'");
    assert_int_equal(ctl_number(json, "exit_code"), CTL_FAILED);
    json_decref(json);
}

/** A wrong command line is exit code 2 and says what would be right, before any agent is asked. */
static void test_wrong_command_line_is_a_usage_error(void **state)
{
    struct place *place = *state;
    run(place, NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "no command is given");
    run(place, "stat", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "there is no command 'stat'");
    run(place, "node", "remove", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "did you mean 'node add' or 'nodes'?");
    run(place, "region", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "region needs a NAME");
    run(place, "rm", "photo", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "must start with '/'");
    run(place, "region", "/a/b", NULL);
    assert_run(place, CTL_USAGE);
    run(place, "rm", "/a", "/b", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "'/b' is one word too many");
    run(place, "status", "--all", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "--all does not go with 'status'");
    run(place, "status", "--bogus", NULL);
    assert_run(place, CTL_USAGE);
    run(place, "init", "/tmp/x", "--name", "a", "--days", "0", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "from 1 to 3650");
}

/** Help is on standard output, for all and for each command, with the exit codes. */
static void test_help_helps(void **state)
{
    static const char *const names[] = {"init",   "status", "nodes", "regions", "sems",
                                        "region", "rm",     "stats", "doctor"};
    struct place *place = *state;
    run(place, "--help", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "Exit codes: 0 done");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_text(place->out, names[i]);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        run(place, names[i], "--help", NULL);
        assert_run(place, CTL_OK);
        assert_text(place->out, "Usage: dsmctl ");
        assert_text(place->out, "Exit codes: 0 done");
    }
    run(place, "help", "node", "add", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "Usage: dsmctl node add NAME");
    run(place, "--version", NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "dsmctl 0.");
}

/** Without an agent every question is exit code 3, and says which socket and what to do. */
static void test_no_agent_is_exit_code_three(void **state)
{
    static const char *const names[] = {"status", "nodes", "regions", "sems", "stats"};
    struct place *place = *state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        run(place, names[i], NULL);
        assert_run(place, CTL_NO_AGENT);
        assert_text(place->err, place->socket);
        assert_text(place->err, "systemctl start dsm-agent");
    }
    run(place, "region", "/photo", "--json", NULL);
    assert_run(place, CTL_NO_AGENT);
    json_t *json = parse_out(place);
    assert_int_equal(ctl_number(json, "exit_code"), CTL_NO_AGENT);
    json_decref(json);
    run(place, "status", "--socket", "/nonexistent/sock", NULL);
    assert_run(place, CTL_NO_AGENT);
    assert_text(place->err, "/nonexistent/sock");
}

static void assert_behaviour(struct place *place, enum behaviour behaviour, int exit_code,
                             const char *words)
{
    unlink(place->socket);
    agent_start(place, behaviour);
    run(place, "status", NULL);
    kill(place->agent, SIGKILL);
    waitpid(place->agent, NULL, 0);
    place->agent = 0;
    assert_run(place, exit_code);
    assert_text(place->err, words);
    assert_string_equal(place->out, "");
}

/** An agent that goes away, is of another version, or is none at all is told apart. */
static void test_agent_that_misbehaves_is_named(void **state)
{
    struct place *place = *state;
    assert_behaviour(place, AGENT_HANGS_UP, CTL_NO_AGENT, "closed the connection");
    assert_behaviour(place, AGENT_OLD, CTL_FAILED, "is of another version");
    assert_behaviour(place, AGENT_FOREIGN, CTL_FAILED, "does not speak as a dsm-agent");
    assert_behaviour(place, AGENT_NO_JSON, CTL_FAILED, "is no JSON object");
    assert_behaviour(place, AGENT_LOOPS, CTL_FAILED, "does not advance");
}

/** Doctor tells of a configuration that cannot be read, and of an agent that answers. */
static void test_doctor_finds_bad_configuration_and_good_agent(void **state)
{
    struct place *place = *state;
    char path[160];
    place_path(place, "agent.ini", path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs("node = a\nbudgt = 1G\n", file);
    assert_int_equal(fclose(file), 0);
    agent_start(place, AGENT_GOOD);
    run(place, "doctor", "--config", path, "--json", NULL);
    assert_run(place, CTL_UNHEALTHY);
    json_t *json = parse_out(place);
    assert_string_equal(check_result(json, "configuration", "did you mean 'budget'?"), "fail");
    assert_string_equal(check_result(json, "agent", "node a answers"), "ok");
    assert_string_equal(check_result(json, "keeper", "kept here"), "ok");
    assert_string_equal(check_result(json, "links", "up to all living nodes (1)"), "ok");
    json_decref(json);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        ROW(test_status_shows_the_agent),
        ROW(test_nodes_are_a_table),
        ROW(test_regions_and_semaphores_are_listed_apart),
        ROW(test_region_shows_where_its_pages_are),
        ROW(test_stats_are_side_by_side),
        ROW(test_rm_removes_or_says_why_not),
        ROW(test_wrong_command_line_is_a_usage_error),
        ROW(test_help_helps),
        ROW(test_no_agent_is_exit_code_three),
        ROW(test_agent_that_misbehaves_is_named),
        ROW(test_doctor_finds_bad_configuration_and_good_agent),
    };
#undef ROW
    return cmocka_run_group_tests(tests, NULL, NULL);
}
