/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sentence.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "dsm.h"
#include "dsm/core/type.h"

/** Where a sentence is written to. */
struct page_of_text {
    char *text;
    size_t size_bytes;
};

static void __attribute__((format(printf, 2, 3)))
say(const struct page_of_text *to, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(to->text, to->size_bytes, format, arguments);
    va_end(arguments);
}

static const char *call_verb(const struct call *call)
{
    switch (call->kind) {
    case CALL_OPEN:
        return "open";
    case CALL_CLOSE:
        return "close";
    case CALL_TRUNCATE:
        return "set the size of";
    case CALL_STAT:
        return "look at";
    case CALL_MAP:
        return "map";
    case CALL_UNMAP:
        return "unmap";
    case CALL_UNLINK:
        return "remove";
    case CALL_SEAL:
        return "seal";
    case CALL_SYNC:
        return "use";
    case CALL_TOKENS:
        return "share the mutexes of";
    case CALL_ADVISE:
        return "take advice on";
    case CALL_BIND:
        return "bind a range to a mutex of";
    default:
        return "handle";
    }
}

static const char *object_word(const struct sentence_facts *facts)
{
    return facts->object == RECORD_SEM ? "semaphore" : "region";
}

/** What a synchronisation call is about, "mutex at offset 8 of region '/x'". */
static void sync_describe(const struct sentence_facts *facts, char *text, size_t size_bytes)
{
    const struct call *call = facts->call;
    const char *what = "integer";

    switch (call->op) {
    case SYNC_SEM_WAIT:
    case SYNC_SEM_POST:
    case SYNC_SEM_VALUE:
        snprintf(text, size_bytes, "semaphore '%s'", facts->name);
        return;
    case SYNC_LOCK:
    case SYNC_UNLOCK:
    case SYNC_UNLOCK_DEAD:
        what = "mutex";
        break;
    case SYNC_BARRIER:
        what = "barrier";
        break;
    default:
        break;
    }
    snprintf(text, size_bytes, "the %s at offset %" PRIu64 " of region '%s'", what, call->offset,
             facts->name);
}

static void say_access(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const struct call *call = facts->call;
    const struct record *record = facts->record;
    const char *word = object_word(facts);

    if (call->kind == CALL_OPEN && record) {
        uint32_t rights = record_rights(record, &call->credential);
        bool is_read = (rights & RIGHTS_READ) != 0;

        say(to, "%s '%s' is mode %04o of uid %u and gid %u: uid %u may not %s it", word,
            facts->name, record->mode, record->uid, record->gid, call->credential.uid,
            call->object == RECORD_SEM ? "use"
            : is_read                  ? "write"
                                       : "read");
    } else if (call->kind == CALL_UNLINK && record) {
        say(to, "%s '%s' belongs to uid %u: uid %u may not remove it, only its owner and root may",
            word, facts->name, record->uid, call->credential.uid);
    } else if (call->kind == CALL_OPEN || call->kind == CALL_UNLINK) {
        say(to, "uid %u may not %s %s '%s'", call->credential.uid, call_verb(call), word,
            facts->name);
    } else {
        say(to,
            "the handle of %s '%s' does not allow this: open it with O_RDWR (its mode must let "
            "uid %u write)",
            word, facts->name, call->credential.uid);
    }
}

static void say_size(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const struct call *call = facts->call;

    if (call->size_bytes == 0) {
        say(to, "region '%s' cannot have size 0: give at least 1 byte", facts->name);
    } else if (facts->region_max && call->size_bytes > facts->region_max) {
        say(to,
            "%" PRIu64 " bytes are too many for region '%s': the agent's setting region_max "
            "allows %" PRIu64,
            call->size_bytes, facts->name, facts->region_max);
    } else {
        say(to, "%" PRIu64 " bytes are no size for region '%s': %s", call->size_bytes, facts->name,
            dsm_strerror(DSM_ESIZE));
    }
}

static void say_range(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const struct call *call = facts->call;
    uint64_t size_bytes = facts->record ? facts->record->size_bytes : 0;

    if (call->kind == CALL_MAP) {
        say(to,
            "%" PRIu64 " bytes from offset %" PRIu64 " leave region '%s', which has %" PRIu64
            " bytes: set its size first",
            call->size_bytes, call->offset, facts->name, size_bytes);
    } else if (call->kind == CALL_BIND) {
        say(to,
            "%" PRIu64 " bytes from offset %" PRIu64 " cannot be bound to the mutex at offset "
            "%" PRIu64 ": region '%s' has %" PRIu64 " bytes",
            call->size_bytes, call->offset, call->value, facts->name, size_bytes);
    } else {
        say(to, "offset %" PRIu64 " is outside region '%s', which has %" PRIu64 " bytes",
            call->offset, facts->name, size_bytes);
    }
}

/** Is it the type given that is wrong? */
static bool say_bad_type(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const char *text = facts->call->type;
    struct type type;
    struct type_error error;

    if (text[0] == 0) {
        return false;
    }
    if (facts->object == RECORD_SEM) {
        say(to, "semaphore '%s' cannot have a type", facts->name);
        return true;
    }
    if (type_parse(text, &type, &error) == 0) {
        return false;
    }
    say(to, "region '%s' cannot have this type: %s", facts->name, error.text);
    return true;
}

/** Both types, each cut where it would leave no room for the other. */
static void say_type(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const char *type = facts->record ? facts->record->type : "";

    if (type[0] == 0) {
        say(to,
            "region '%s' was made without a type, so it cannot be opened with '%.400s': give "
            "none, or make it anew",
            facts->name, facts->call->type);
    } else {
        say(to,
            "region '%s' has the type '%.280s', not '%.280s': open it with its own, which "
            "`dsmctl region` shows, or with none",
            facts->name, type, facts->call->type);
    }
}

static void say_invalid(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const struct call *call = facts->call;
    const struct record *record = facts->record;

    if (call->kind == CALL_TRUNCATE && record) {
        say(to,
            "region '%s' has %" PRIu64 " bytes and cannot shrink to %" PRIu64
            ": make a new one with O_TRUNC",
            facts->name, record->size_bytes, call->size_bytes);
    } else if (call->kind == CALL_MAP && record) {
        say(to,
            "region '%s' cannot be mapped from offset %" PRIu64 " for %" PRIu64
            " bytes: offset must be a multiple of its page size, %u, and the length at least 1",
            facts->name, call->offset, call->size_bytes, record->page_size);
    } else if (call->kind == CALL_OPEN && say_bad_type(facts, to)) {
        return;
    } else if (call->kind == CALL_OPEN) {
        say(to,
            "%s '%s' cannot be opened so: the page size (%u) must be 0 or a power of two from "
            "%u to %u, the home policy (%u), the window (%u ms) and the flags as dsm.h says",
            object_word(facts), facts->name, call->page_size, DSM_PAGE_SIZE_MIN, DSM_PAGE_SIZE_MAX,
            call->home, call->window_ms);
    } else if (call->kind == CALL_UNMAP) {
        say(to, "there is no mapping number %u of this program", call->map);
    } else if (call->kind == CALL_SYNC && call->op == SYNC_BARRIER) {
        say(to,
            "the barrier at offset %" PRIu64 " of region '%s' was begun with another number of "
            "parties than %" PRIu64,
            call->offset, facts->name, call->value);
    } else if (call->kind == CALL_SYNC) {
        say(to, "offset %" PRIu64 " of region '%s' will not do: it must be a multiple of 8",
            call->offset, facts->name);
    } else {
        say(to, "cannot %s %s '%s': %s", call_verb(call), object_word(facts), facts->name,
            dsm_strerror(DSM_EINVAL));
    }
}

/** Errors that end a wait or an operation on a lock, semaphore, barrier or integer. */
static bool say_sync(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const struct call *call = facts->call;
    char what[RECORD_NAME_BYTES + 64];

    if (call->kind != CALL_SYNC) {
        return false;
    }
    sync_describe(facts, what, sizeof(what));
    switch (facts->reply->error) {
    case DSM_ETIMEDOUT:
        say(to, "%s: not done within %" PRId64 " ms", what, call->timeout_ms);
        return true;
    case DSM_EAGAIN:
        say(to, "%s: not free now, and the call was not to wait", what);
        return true;
    case DSM_EOWNERDEAD:
        say(to, "%s: its holder died; it is yours now, check the data that it guards", what);
        return true;
    case DSM_EPERM:
        say(to, "%s: this session does not hold it", what);
        return true;
    case DSM_EOVERFLOW:
        say(to, "%s: it stands at its largest value already", what);
        return true;
    case DSM_EDOWN:
        say(to, "%s: its home, node %s, is lost", what, facts->node ? facts->node : "?");
        return true;
    default:
        return false;
    }
}

static void say_general(const struct sentence_facts *facts, const struct page_of_text *to)
{
    const struct call *call = facts->call;
    const char *word = object_word(facts);
    int error = facts->reply->error;

    switch (error) {
    case DSM_ENAME:
        say(to, "'%s' is no name for a %s: %s", facts->name, word, dsm_strerror(error));
        break;
    case DSM_ENOENT:
        say(to, "no %s is named '%s': %scheck `dsmctl %ss`", word, facts->name,
            call->kind == CALL_OPEN ? "create it with O_CREAT or " : "",
            facts->object == RECORD_SEM ? "sem" : "region");
        break;
    case DSM_EEXIST:
        say(to,
            "a %s named '%s' exists: open it without O_EXCL, or remove it with `dsmctl rm %s%s`",
            word, facts->name, facts->object == RECORD_SEM ? "--sem " : "", facts->name);
        break;
    case DSM_ESTALE:
        say(to, "handle %" PRIu64 " stands for nothing any more: open the %s again by name",
            call->handle, word);
        break;
    case DSM_ESEALED:
        say(to,
            "cannot %s %s '%s': it is sealed, its bytes never change again: open it O_RDONLY and "
            "map it DSM_READ",
            call_verb(call), word, facts->name);
        break;
    case DSM_EBUSY:
        say(to,
            "cannot %s %s '%s': a program on node %s has it open or mapped for writing: unmap and "
            "close it there first",
            call_verb(call), word, facts->name, facts->node ? facts->node : "(this one)");
        break;
    case DSM_EDOWN:
        say(to, "cannot %s %s '%s': node %s, which it needs, is lost", call_verb(call), word,
            facts->name, facts->node ? facts->node : "?");
        break;
    case DSM_EKEEPER:
        say(to,
            "cannot %s %s '%s': the catalog's keeper cannot be reached: %s; nothing was changed",
            call_verb(call), word, facts->name,
            facts->keeper ? facts->keeper : "see dsmctl status");
        break;
    case DSM_ETIMEDOUT:
        say(to, "could not %s %s '%s' in time: see `dsmctl nodes` for nodes that do not answer",
            call_verb(call), word, facts->name);
        break;
    default:
        say(to, "cannot %s %s '%s': %s", call_verb(call), word, facts->name, dsm_strerror(error));
        break;
    }
}

void sentence_write(const struct sentence_facts *given, char *text, size_t size_bytes)
{
    struct page_of_text to = {text, size_bytes};
    struct sentence_facts facts = *given;

    text[0] = 0;
    if (facts.reply->error == 0) {
        return;
    }
    if (facts.name == NULL) {
        facts.name = "?";
    }
    if (say_sync(&facts, &to)) {
        return;
    }
    switch (facts.reply->error) {
    case DSM_EACCES:
        say_access(&facts, &to);
        break;
    case DSM_ESIZE:
        say_size(&facts, &to);
        break;
    case DSM_ERANGE:
        say_range(&facts, &to);
        break;
    case DSM_EINVAL:
        say_invalid(&facts, &to);
        break;
    case DSM_ETYPE:
        say_type(&facts, &to);
        break;
    default:
        say_general(&facts, &to);
        break;
    }
}
