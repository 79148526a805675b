/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mutexes that this node has. What a program holds, its node has; what its node has, no program
 * holds, perhaps, but the next one of this node gets it without a message.
 *
 *               grant                          TOKEN_PUT
 *   (at home) ---------> KNOWN <-------------------------------> OUT
 *       ^                 |  ^      EVENT_TOKEN     TOKEN_TAKE    |
 *       |     UNLOCK      |  +-------------- ASKED <--------------+
 *       +-----------------+
 *
 * L1 A struct token is there from the grant of a LOCK to the sending of its UNLOCK: while it is,
 *    the home's holder is this node by that LOCK (S1), so one node at most has it.
 * L2 KNOWN: `holder` is true, and no program changes it but by a call: its word is absent, or
 *    TOKEN_WANTED. OUT: the word is true, and programs change it; nobody waits for it here, and
 *    it is not recalled.
 * L3 Whatever needs to know who holds a token that is OUT takes its word first, and waits until the
 *    driver has told: ASKED.
 * L4 What is recalled goes back when nobody holds it and nobody waits here who was here before:
 *    who comes later asks the home.
 * L5 Who waits here is served in order of arrival. Who only tries gets what is free, else EAGAIN.
 * L6 A holder that is gone, or was never there, whatever a word says of it, is a dead one: the next
 *    one is told, here or by UNLOCK_DEAD at the home.
 * L7 What nobody has asked for is kept, up to TOKENS_MAX, while a program has the region open.
 */
#include "dsm/core/token.h"

#include "dsm/core/binding.h"
#include "dsm/core/token_word.h"

void tokens_init(struct calls *calls)
{
    pool_init(&calls->tokens_pool, sizeof(struct token), ITEMS_PER_STEP * 2, 64);
    for (uint32_t i = 0; i < TOKEN_BUCKETS; i++) {
        list_init(&calls->tokens_by_key[i]);
    }
    list_init(&calls->tokens);
    list_init(&calls->tokens_due);
}

/* --- the table --- */

/* Those with the same slot are in the same bucket. */
static struct list *bucket_of(struct calls *calls, const struct region *region, uint64_t offset)
{
    uint32_t key = token_word_slot(offset) + region->record.id.slot * 31u;

    return &calls->tokens_by_key[key % TOKEN_BUCKETS];
}

static struct token *find_token(struct calls *calls, const struct region *region, uint64_t offset)
{
    struct list *bucket = bucket_of(calls, region, offset);

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct token *token = list_object(place, struct token, by_key);

        if (token->region == region && token->offset == offset) {
            return token;
        }
    }
    return NULL;
}

bool tokens_hold(const struct calls *calls, const struct region *region, uint64_t offset)
{
    const struct token *token = find_token((struct calls *)(uintptr_t)calls, region, offset);

    return token != NULL && (token->state == TOKEN_ASKED || token->holder != NULL ||
                             !list_is_empty(&token->waiters));
}

static void act(struct calls *calls, const struct token *token, uint32_t verb, client_id client)
{
    struct action *action =
        context_act(calls->context, ACTION_TOKEN, token->region->record.id);

    action->token.verb = (uint8_t)verb;
    action->token.offset = token->offset;
    action->token.request = token->request;
    action->token.client = client;
}

static bool may_have_word(struct calls *calls, const struct token *token)
{
    const struct list *bucket = bucket_of(calls, token->region, token->offset);
    client_id client = token->holder != NULL ? token->holder->id : 0;

    if (!token->region->has_tokens || !token_word_can(token->offset, client)) {
        return false;
    }
    for (const struct list *place = bucket->next; place != bucket; place = place->next) {
        const struct token *other = list_object((struct list *)(uintptr_t)place, struct token,
                                                by_key);

        if (other != token && other->has_word && other->region == token->region &&
            token_word_slot(other->offset) == token_word_slot(token->offset)) {
            return false;
        }
    }
    return true;
}

static void clear_word(struct calls *calls, struct token *token)
{
    if (token->has_word) {
        act(calls, token, TOKEN_CLEAR, 0);
    }
    token->has_word = false;
    token->is_marked = false;
}

/* Tell the programs who holds it: for them to give up and take as they like, or to call. */
static void put_word(struct calls *calls, struct token *token, bool is_wanted)
{
    client_id client = token->holder != NULL ? token->holder->id : 0;

    if (!may_have_word(calls, token)) {
        clear_word(calls, token);
        return;
    }
    token->has_word = true;
    token->is_marked = is_wanted;
    act(calls, token, is_wanted ? TOKEN_PUT_WANTED : TOKEN_PUT, client);
    if (!is_wanted) {
        token->state = TOKEN_OUT;
        token->holder = NULL;
        list_remove(&token->by_client);
    }
}

static void take_word(struct calls *calls, struct token *token)
{
    if (token->state == TOKEN_OUT) { /* L3 */
        token->state = TOKEN_ASKED;
        act(calls, token, TOKEN_TAKE, 0);
    }
}

/* Something about it is to be decided, now or when it is known who holds it. */
static void make_due(struct calls *calls, struct token *token)
{
    take_word(calls, token);
    if (token->state == TOKEN_KNOWN && list_is_empty(&token->due)) {
        list_add_tail(&calls->tokens_due, &token->due);
    }
}

void tokens_on_taken(struct calls *calls, const struct event *event)
{
    const struct region *region = context_region(calls->context, event->token.region);
    struct token *token =
        region != NULL ? find_token(calls, region, event->token.offset) : NULL;

    if (token == NULL || token->state != TOKEN_ASKED || token->request != event->token.request) {
        return; /* its home, or the region, went meanwhile */
    }
    token->state = TOKEN_KNOWN;
    token->has_word = event->token.client != 0;
    token->is_marked = token->has_word;
    if (event->token.client != 0) {
        token->holder = client_find(calls->clients, event->token.client);
        if (token->holder != NULL) {
            list_add_tail(&token->holder->tokens, &token->by_client);
        } else {
            token->is_dead = true; /* L6 */
        }
    }
    make_due(calls, token);
}

/* --- coming and going --- */

static void set_holder(struct token *token, struct client *client)
{
    list_remove(&token->by_client);
    token->holder = client;
    if (client != NULL) {
        list_add_tail(&client->tokens, &token->by_client);
    }
}

static void free_token(struct calls *calls, struct token *token)
{
    list_remove(&token->by_key);
    list_remove(&token->place);
    list_remove(&token->due);
    list_remove(&token->by_client);
    calls->count_tokens--;
    pool_put(&calls->tokens_pool, token);
}

static struct token *new_token(struct calls *calls, const struct sync_call *call)
{
    struct token *token = pool_get(&calls->tokens_pool);

    token->region = call->region;
    token->offset = call->offset;
    token->request = call->out.id;
    token->home = call->out.home;
    token->state = TOKEN_KNOWN;
    list_init(&token->due);
    list_init(&token->by_client);
    list_init(&token->waiters);
    list_init(&token->tries);
    list_init(&token->unlocks);
    list_add_tail(bucket_of(calls, call->region, call->offset), &token->by_key);
    list_add_tail(&calls->tokens, &token->place);
    calls->count_tokens++;
    return token;
}

/* It is not kept, though nobody has asked for it. They may be thousands: not all at once. */
static void send_back(struct calls *calls, struct token *token)
{
    if (!token->is_recalled) {
        token->is_recalled = true;
        token->is_told = true;
        list_remove(&token->due);
        list_add_tail(&calls->tokens_due, &token->due);
    }
}

/* The one that was got longest ago is given back, if it is held when that is over (L7). */
static void bound_tokens(struct calls *calls)
{
    struct token *oldest = list_object(calls->tokens.next, struct token, place);

    if (calls->count_tokens > TOKENS_MAX) {
        list_remove(&oldest->place);
        list_add_tail(&calls->tokens, &oldest->place);
        send_back(calls, oldest);
    }
}

/* The program has it, and its word says so before it hears of it. */
static void grant(struct calls *calls, struct token *token, struct sync_call *call)
{
    int32_t error = token->is_dead ? DSM_EOWNERDEAD : 0;

    token->is_dead = false;
    set_holder(token, call->client);
    put_word(calls, token,
             token->is_recalled || !list_is_empty(&token->waiters) ||
                 !list_is_empty(&token->tries));
    call_answer(calls, call, error, 0, NODE_NONE);
    call_free(calls, call);
    if (token->state == TOKEN_KNOWN) {
        make_due(calls, token);
    }
}

void tokens_on_grant(struct calls *calls, struct sync_call *call, bool is_dead, bool is_wanted)
{
    struct token *token = find_token(calls, call->region, call->offset);

    if (token != NULL) { /* a home of good faith has passed it on after our UNLOCK only (L1) */
        call_answer(calls, call, DSM_EPROTO, 0, NODE_NONE);
        call_free(calls, call);
        return;
    }
    bindings_ask(calls->bindings, call);
    token = new_token(calls, call);
    token->is_dead = is_dead;
    token->is_recalled = is_wanted;
    token->is_told = is_wanted;
    grant(calls, token, call);
    bound_tokens(calls);
}

void tokens_on_recall(struct calls *calls, const struct message *message)
{
    const struct region *region = context_region(calls->context, message->region);
    struct token *token = region != NULL ? find_token(calls, region, message->offset) : NULL;

    /* If it is not here, UNLOCK is on its way, or the grant is still to come, and then the home
     * asks again. */
    if (token != NULL && token->request == message->request && token->home == message->from) {
        token->is_recalled = true;
        token->is_told = false;
        make_due(calls, token);
    }
}

void tokens_leave(struct calls *calls, const struct region *region)
{
    for (struct list *place = calls->tokens.next; place != &calls->tokens; place = place->next) {
        struct token *token = list_object(place, struct token, place);

        if (region == NULL || token->region == region) {
            send_back(calls, token);
        }
    }
}

/* --- calls --- */

bool tokens_take_call(struct calls *calls, struct sync_call *call)
{
    struct token *token;

    if (call->op != SYNC_LOCK && call->op != SYNC_UNLOCK) {
        return false;
    }
    token = find_token(calls, call->region, call->offset);
    if (call->op == SYNC_UNLOCK) {
        if (token == NULL) {
            call_answer(calls, call, DSM_EPERM, 0, NODE_NONE);
            call_free(calls, call);
            return true;
        }
        list_add_tail(&token->unlocks, &call->place);
    } else if (token == NULL || token->is_recalled || token->is_lost) {
        return false; /* L4 */
    } else {
        list_add_tail(call->is_try ? &token->tries : &token->waiters, &call->place);
    }
    make_due(calls, token);
    return true;
}

static struct sync_call *first_of(const struct list *list)
{
    return list_object(list->next, struct sync_call, place);
}

static void unlock(struct calls *calls, struct token *token)
{
    struct sync_call *call = first_of(&token->unlocks);
    bool is_holder = token->holder == call->client;

    if (is_holder) {
        set_holder(token, NULL);
    }
    call_answer(calls, call, is_holder ? 0 : DSM_EPERM, 0, NODE_NONE);
    call_free(calls, call);
}

static void send_held(struct calls *calls, struct token *token)
{
    struct message held = {
        .kind = MESSAGE_HELD,
        .to = (uint16_t)token->home,
        .region = token->region->record.id,
        .request = token->request,
    };

    token->is_told = true;
    context_send(calls->context, &held, BYTES_NONE, 0, 0);
}

static void give_back(struct calls *calls, struct token *token)
{
    clear_word(calls, token);
    call_launch_own(calls, token->region, token->offset,
                    token->is_dead ? SYNC_UNLOCK_DEAD : SYNC_UNLOCK, token->request);
    free_token(calls, token);
}

/* Its home died: nobody has it any more. */
static void lose(struct calls *calls, struct token *token)
{
    struct list *lists[] = {&token->waiters, &token->tries, &token->unlocks};

    for (uint32_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (!list_is_empty(lists[i])) {
            struct sync_call *call = first_of(lists[i]);

            call_answer(calls, call, DSM_EDOWN, 0, token->home);
            call_free(calls, call);
            make_due(calls, token);
            return;
        }
    }
    clear_word(calls, token);
    free_token(calls, token);
}

/* Somebody holds it. */
static void work_held(struct calls *calls, struct token *token)
{
    if (!list_is_empty(&token->tries)) {
        struct sync_call *call = first_of(&token->tries);

        call_answer(calls, call, DSM_EAGAIN, 0, NODE_NONE);
        call_free(calls, call);
        make_due(calls, token);
    } else if (token->is_recalled && !token->is_told) {
        send_held(calls, token);
        make_due(calls, token);
    } else if (!token->is_recalled && list_is_empty(&token->waiters)) {
        put_word(calls, token, false);
    } else if (!token->is_marked) {
        put_word(calls, token, true);
    }
}

/* Nobody does. */
static void work_free(struct calls *calls, struct token *token)
{
    struct list *next = list_is_empty(&token->waiters) ? &token->tries : &token->waiters;

    if (!list_is_empty(next)) {
        struct sync_call *call = first_of(next);

        list_remove(&call->place);
        if (call->client->is_dying) {
            call_free(calls, call);
            make_due(calls, token);
        } else {
            grant(calls, token, call); /* L5 */
        }
    } else if (token->is_recalled) {
        give_back(calls, token); /* L4 */
    } else if (!token->is_dead) {
        put_word(calls, token, false);
    } else {
        clear_word(calls, token);
    }
}

bool tokens_work(struct calls *calls)
{
    struct token *token;

    if (list_is_empty(&calls->tokens_due)) {
        return false;
    }
    token = list_object(calls->tokens_due.next, struct token, due);
    list_remove(&token->due);
    if (token->is_lost) {
        token->state = TOKEN_KNOWN;
        lose(calls, token);
    } else if (token->state != TOKEN_KNOWN) {
        take_word(calls, token); /* it comes again when it is known */
    } else if (!list_is_empty(&token->unlocks)) {
        unlock(calls, token);
        make_due(calls, token);
    } else if (token->holder != NULL) {
        work_held(calls, token);
    } else {
        work_free(calls, token);
    }
    return true;
}

/* --- ends --- */

bool tokens_reap(struct calls *calls, struct client *client)
{
    struct token *token;

    if (list_is_empty(&client->tokens)) {
        return false;
    }
    token = list_object(client->tokens.next, struct token, by_client);
    set_holder(token, NULL);
    token->is_dead = true; /* L6 */
    make_due(calls, token);
    return true;
}

void tokens_home_died(struct calls *calls, uint32_t home)
{
    for (struct list *place = calls->tokens.next; place != &calls->tokens; place = place->next) {
        struct token *token = list_object(place, struct token, place);

        if (token->home == home) {
            token->is_lost = true;
            list_remove(&token->due);
            list_add_tail(&calls->tokens_due, &token->due);
        }
    }
}

void tokens_region_gone(struct calls *calls, const struct region *region)
{
    for (struct list *place = calls->tokens.next; place != &calls->tokens;) {
        struct token *token = list_object(place, struct token, place);

        place = place->next;
        if (token->region == region) {
            free_token(calls, token); /* ACTION_REGION_CLOSE empties the table */
        }
    }
}
