# SPDX-License-Identifier: Apache-2.0
"""The deliberate faults of tests/mutation/run.py: what is broken, and who is to notice.

`rule` is the invariant of the core (the heads of dsm/core/*.c) that the fault breaks, `caught_by`
the properties of tests/sim/oracle.h of which one must be named ("trap": an assertion of the core
itself ends the node; empty: whichever comes first). `options` are more words for dsm-sim.

Tried and not in the list, because the cluster behaves as well without the rule; each is covered by
a unit test of its own:
  - P7 for INVALIDATE and FORWARD (a late one of these is overtaken by nothing, links being FIFO);
  - the window of a node that died (its next incarnation is refused, and asks anew by itself);
  - a denied ADOPT taken for a confirmed one (the next FORWARD finds out);
  - the first pieces of a range that is sent anew (nobody has written in between);
  - a run over pages of which others are lost or orphans (these have other readers as well: H6), or
    over pages that others wait for (they are served when it closes: less fair, not wrong);
  - `written` left at 0 (who is a reader in the record has a current copy, or asks with have 0);
  - a leaver that stays a reader in the record (readers may name who has no copy: H3);
  - a page that stays lost though bytes of it came (a death may have taken it, so O12 permits it);
  - RELEASE not sent to the old owner (who keeps bytes asks after a while: P6);
  - a page that leaves stays writable until TAKE (which protects it before the bytes leave: P3);
  - requests that are not hurried after a death (their timers do it a little later).
  - a mapping that goes and whose threads wait on (nobody looks at what they are given);
  - pages that are let go while others of their group come (they are asked for again);
  - a message that is put off a second time (100 ms later it is not);
  - a window that is learnt from nothing (it is bounded all the same; test_page_turn.c does);
  - who tries a mutex waits for its holder, or who comes after a RECALL is served before it (holders
    give up soon: less fair, not wrong; test_token.c);
  - the word of a mutex that went stays (it says free only when its home died; test_token.c does);
  - a binding that outlives its handle or its region, an UNLOCK ahead of the pages, or pages that
    are not asked for, or more often (B1, B3 to B5: slower, not wrong; test_binding*.c);
  - the oldest or the newest version of an upgrade's copies, and a run over copies that are current
    and others that are not (a request is for copies of one version: P4).
Not in the list either, because thousands of seeds do not reach them; test_regressions_core.c does:
  - who is asked denies, and goes on showing what came (on_ask of page_answer.c);
  - a range is sent as far as it is here (pages_on_forward of page_serve.c; 3 of 150,000 seeds);
  - BARRIER_OVER for one of two calls, or of an old round (S7 of barrier.c; O7 knows how many came
    and went, not who; test_barrier.c);
  - an atomic operation that waits at the home is done after the seal (I2; test_stories_sealed.c);
  - pieces of a sealed range that come in another order (links being FIFO);
  - the home's own threads have no turn (T4 of page_turn.c; 1 of 300,000 seeds; test_regressions.c).
"""

from dataclasses import dataclass, field

HOME, HOME_MESSAGE, HOME_DEATH = (f'dsm/core/home{part}.c' for part in ('', '_message', '_death'))
PAGE, ANSWER, SERVE, EVICT = (f'dsm/core/page{part}.c'
                              for part in ('', '_answer', '_serve', '_evict'))
SYNC, SYNC_DEATH, CALL, CATALOG, MUTEX, TOKEN = (
    f'dsm/core/{noun}.c'
    for noun in ('sync', 'sync_death', 'call', 'catalog', 'mutex', 'token'))
NODE, MESSAGE, RECORD = ('dsm/core/node.c', 'dsm/core/node_message.c', 'dsm/core/node_record.c')
SEALED, SEAL = 'dsm/core/sealed.c', 'dsm/core/catalog_seal.c'
REQUEST = 'dsm/core/page_request.c'
BINDING = 'dsm/core/binding.c'
GROUP, DEFER, TURN, CONVERT = (f'dsm/core/{noun}.c' for noun in
                               ('group', 'page_defer', 'page_turn', 'convert'))
BARRIER = 'dsm/core/barrier.c'
WINDOW, CONTEXT, REMOTE = 'dsm/core/window.c', 'dsm/core/context.c', 'dsm/core/remote.c'


@dataclass
class Mutation:
    name: str
    rule: str
    what: str
    file: str
    old: str
    new: str
    caught_by: tuple = ()
    options: list = field(default_factory=list)


MUTATIONS = [
    # --- the home: who has copies, when a transfer closes ---
    Mutation('grant_before_last_ack', 'H2', 'one acknowledgement counts for all', HOME_MESSAGE,
             '    nodeset_remove(&transfer->acks, message->from);\n',
             '    transfer->acks = NODESET_EMPTY;\n'),
    Mutation('forget_reader', 'H3', 'who has read is not remembered', HOME_MESSAGE,
             '        nodeset_add(&page->readers, transfer->requester);\n        page->lost = 0;',
             '        page->lost = 0;'),
    Mutation('skip_invalidation', 'H2', 'the lowest reader is not asked to drop its copy', HOME,
             '    transfer->announced = !nodeset_is_empty(transfer->acks);',
             '    nodeset_remove(&transfer->acks, nodeset_first(transfer->acks));\n'
             '    transfer->announced = !nodeset_is_empty(transfer->acks);'),
    Mutation('close_on_data', 'H1', 'a read transfer closes when the bytes are sent for', HOME,
             '        send_forward(homes, transfer);\n'
             '        transfer->is_late = transfer->is_forwarded;\n',
             '        send_forward(homes, transfer);\n'
             '        if (transfer->kind == TRANSFER_READ) {\n'
             '            for (uint32_t i = 0; i < transfer->count; i++) {\n'
             '                struct home_page *page = transfer_page(homes, transfer, i);\n'
             '                nodeset_add(&page->readers, transfer->requester);\n'
             '            }\n'
             '            transfer_close(homes, transfer);\n'
             '            return;\n'
             '        }\n'),
    Mutation('stale_owner', 'H3', 'a write leaves the old owner in the record', HOME_MESSAGE,
             '        page->owner = transfer->requester + 1u;\n'
             '        page->written', '        page->written'),
    Mutation('upgrade_of_gone_copy', 'H4', 'whoever had a copy once is taken to have it', HOME,
             '    return nodeset_has(page->readers, transfer->requester) && transfer->have != 0 '
             '&&\n           transfer->have >= page->written;',
             '    return page->owner != 0 && transfer->have != 0;'),
    Mutation('lose_a_waiter', 'H5', 'a newcomer takes the place of all who wait', HOME_MESSAGE,
             '    for (tail = &page->waiters; *tail != NULL; tail = &(*tail)->next) {\n    }\n',
             '    tail = &page->waiters;\n'),
    Mutation('migratory_for_all', 'P2', 'who may only read asks for the right to write', PAGE,
             '    waiter->write = write && map->may_write;\n', '    waiter->write = write;\n'),
    Mutation('run_over_unlike_pages', 'H1', 'a run goes over pages of other owners', HOME,
             'page->owner == first->owner &&\n           ', ''),
    Mutation('no_resend_at_home', 'H1', 'an open transfer is never driven again', HOME_DEATH,
             '    homes->context->counters.resends++;\n    transfer_drive(homes, transfer);\n',
             '    transfer->sent_ms = homes->context->now_ms;\n'
             '    list_remove(&transfer->place);\n'
             '    list_add_tail(&homes->open, &transfer->place);\n'),
    Mutation('leave_without_reader', 'H3', 'the home takes a page over and is no reader of it',
             HOME_MESSAGE,
             '        nodeset_add(&page->readers, self);\n', ''),
    Mutation('old_copy_after_lost_writer', 'H6', 'a dead writer is taken not to have written',
             HOME_DEATH, '    bool was_granted = nodeset_is_empty(transfer->acks);\n',
             '    bool was_granted = false;\n'),
    Mutation('wait_for_the_dead', 'H2', "a dead reader's acknowledgement is waited for", HOME_DEATH,
             '        nodeset_remove(&transfer->acks, node);\n', ''),
    Mutation('dead_source_is_not_replaced', 'H1', 'nobody asks whether its bytes came', HOME_DEATH,
             'transfer->asking = true;', 'transfer->asking = false;'),
    Mutation('orphan_is_zero', 'H6', 'a page whose owner died counts as never written', HOME_DEATH,
             '        page->orphan = 1;\n    }\n    if (page->orphan && nodeset_is_empty',
             '        page->owner = 0;\n    }\n    if (page->orphan && nodeset_is_empty'),

    Mutation('heir_is_not_told', 'H6', 'a reader becomes owner in the record alone', HOME,
             '    if (page->orphan && !page->lost) {\n        adopt_first(homes, transfer);\n'
             '        return;\n    }\n',
             '    if (page->orphan && !page->lost) {\n'
             '        struct home_page *orphan = transfer_page(homes, transfer, 0);\n'
             '        (void)adopt_first;\n'
             '        orphan->owner = nodeset_first(orphan->readers) + 1u;\n'
             '        orphan->orphan = 0;\n    }\n'),
    Mutation('not_here_speaks_for_all', 'H3', 'who lacks some pages is no reader of any',
             HOME_MESSAGE,
             '    for (uint32_t i = first; i < transfer->count && i < first + message->count; '
             'i++) {',
             '    (void)first;\n    for (uint32_t i = 0; i < transfer->count; i++) {'),

    # --- the pages: what is shown to programs, what leaves ---
    Mutation('answer_old_epoch', 'P2', 'messages of before a death are obeyed', MESSAGE,
             '    if (message->epoch != context->epoch) {', '    if (false) {'),
    Mutation('acknowledge_and_keep', 'P2', 'INVALIDATED is said, the copy stays', SERVE,
             '        bool goes = has_bytes(page) && page->version < message->version;\n',
             '        bool goes = false;\n'),
    Mutation('write_before_grant', 'P5', 'bytes are shown writable before the GRANT', ANSWER,
             '    write = request->kind == REQUEST_WRITE && '
             '(!request->needs_grant || request->has_grant);\n',
             '    write = request->kind == REQUEST_WRITE;\n'),
    Mutation('downgrade_stays_writable', 'P3', 'bytes leave while they can be written', SERVE,
             '    if (first < count) {\n        pages_protect(',
             '    if (first > count) {\n        pages_protect('),
    Mutation('drop_without_protection', 'P3', 'a page is dropped under a running writer', SERVE,
             '    pages_withdraw(pages, region, forward->page, count);\n', ''),
    Mutation('forget_kept_at_once', 'P6', 'the bytes are not kept until the writer has them', SERVE,
             '    send_data(pages, forward, region, count, kept);\n}',
             '    send_data(pages, forward, region, count, kept);\n'
             '    forget_kept(pages, kept);\n}'),
    Mutation('keep_for_ever', 'P6', 'a RELEASE is not obeyed', SERVE,
             '    if (kept != NULL) {\n        forget_kept(pages, kept);\n    }\n', ''),
    Mutation('deny_what_is_kept', 'P6', 'a repeated FORWARD is answered with NOT_HERE', SERVE,
             '        send_data(pages, message, region, kept->count, kept);\n        return;',
             '        send_not_here(pages, message, 0);\n        return;'),
    Mutation('release_while_open', 'P6', 'who asks is told to forget, whatever is open',
             HOME_MESSAGE,
             '    if ((transfer != NULL && transfer->requester == message->requester) ||\n'
             '        (page != NULL && is_waiting(page, message->requester, message->request))) {\n'
             '        return;\n    }\n', '    (void)transfer;\n    (void)page;\n'),
    Mutation('drop_owned_page', 'P1', 'the owner evicts its page like a copy', EVICT,
             '    if (!page->owner) {', '    if (home != context->config.self) {'),
    Mutation('evict_wanted_page', 'P1', 'a page with an open request is evicted', EVICT,
             'return page->request == NULL && (page->state', 'return (page->state'),
    Mutation('take_over_old_bytes', 'P7', 'late bytes of a page that left are installed', ANSWER,
             'if (page->version < message->version && page->state != PAGE_WRITE) {',
             'if (page->state != PAGE_WRITE && page->state != PAGE_READ) {'),
    Mutation('no_confirm_after_close', 'P2', 'a repeated DATA is not confirmed once more', ANSWER,
             '    if (request == NULL) {\n'
             '        confirm(pages, message, message->page, message->granted, false);\n'
             '        return;\n    }\n    start_again',
             '    if (request == NULL) {\n        return;\n    }\n    start_again'),
    Mutation('allow_more_than_granted', 'P5', 'pages that an upgrade did not get may be written',
             ANSWER,
             '                          request->granted)\n            ->map = writer;\n',
             '                          request->count)\n            ->map = writer;\n'),
    Mutation('complete_half_a_range', 'P2', 'the first piece of a range counts as all', ANSWER,
             '    if (request->received == request->granted && !request->needs_grant) {',
             '    if (!request->needs_grant) {'),
    Mutation('waiters_are_not_retried', 'P2', 'who waited at a closed request is forgotten',
             REQUEST,
             '        list_add_tail(&pages->retry, place);\n    }\n    outstanding_close',
             '    }\n    outstanding_close'),

    # --- requests are carried out once ---
    Mutation('repetition_is_new', 'N4', 'a repeated request is carried out again', WINDOW,
             '        return WINDOW_SEEN;', '        return WINDOW_NEW;'),
    Mutation('parked_for_ever', 'N4', 'a request ahead of the news is never looked at again',
             MESSAGE, '        if (error == DSM_EAGAIN && !late) {\n            continue;',
             '        if (error == DSM_EAGAIN || late) {\n            continue;'),

    # --- synchronisation ---
    Mutation('two_holders', 'S1', 'a lock is granted though somebody holds it', MUTEX,
             '    if (holder == NULL) {\n        mutex_pass',
             '    object->holder = NULL;\n    if (object->holder == NULL) {\n        mutex_pass'),
    Mutation('dead_holder_is_not_told', 'S5', 'the next holder does not learn of the death', MUTEX,
             '    object->is_dead = is_dead;\n', '    object->is_dead = false;\n'),
    Mutation('dead_node_keeps_its_lock', 'S5', "a dead node's mutex is not passed on", SYNC_DEATH,
             '        object->is_dead = true;\n        mutex_pass(syncs, object);\n',
             '        object->is_dead = true;\n'),
    Mutation('recall_is_not_sent', 'S8', 'who has a mutex is not told that others wait', MUTEX,
             '        send_recall(syncs, object); /* S8 */', '        ;', ('O11',)),
    Mutation('recall_is_sent_once', 'S8', 'a RECALL that is lost is not sent again', MUTEX,
             '    if (syncs->context->now_ms < mutex_deadline(syncs)) {\n        return false;',
             '    if (syncs->context->now_ms < UINT64_MAX) {\n        return false;', ('O11',)),
    Mutation('flag_is_lost', 'S8', 'a grant says once only that others wait', MUTEX,
             '    return object->recall == RECALL_TOLD ? FLAG_WANTED : 0;', '    return 0;',
             ('O11',)),
    Mutation('two_nodes_have_it', 'L1', 'a node keeps what it gives back', TOKEN,
             '                    token->is_dead ? SYNC_UNLOCK_DEAD : SYNC_UNLOCK, '
             'token->request);\n    free_token(calls, token);',
             '                    token->is_dead ? SYNC_UNLOCK_DEAD : SYNC_UNLOCK, '
             'token->request);\n    token->is_recalled = false;'),
    Mutation('word_is_not_taken', 'L3', 'who holds it is told from what was known', TOKEN,
             '        token->state = TOKEN_ASKED;\n        act(calls, token, TOKEN_TAKE, 0);',
             '        token->state = TOKEN_KNOWN;', ('O6', 'O11')),
    Mutation('held_goes_back', 'L4', 'a mutex is given back though a program holds it', TOKEN,
             '    } else if (token->holder != NULL) {\n        work_held',
             '    } else if (token->holder != NULL && !token->is_recalled) {\n        work_held',
             ('O6',)),
    Mutation('recalled_is_kept', 'L4', 'what others wait for is not given back', TOKEN,
             '    } else if (token->is_recalled) {\n        give_back',
             '    } else if (false) {\n        give_back', ('O11',)),
    Mutation('dead_holder_in_a_word', 'L6', 'a word that names who is gone is taken as free', TOKEN,
             '            token->is_dead = true; /* L6 */\n        }\n    }\n    make_due',
             '            token->is_dead = false;\n        }\n    }\n    make_due', ('O6',)),
    Mutation('dead_holder_is_nobody', 'L6', 'what a dead program is known to hold goes as free',
             TOKEN, '    token->is_dead = true; /* L6 */\n    make_due',
             '    token->is_dead = false;\n    make_due', ('O6',)),
    Mutation('bound_page_is_asked_for_twice', 'P1', 'a page with an open request gets another one '
             'for its mutex', BINDING, ' && page->request == NULL &&', ' &&', ('trap',)),
    Mutation('bound_page_stays', 'B2', 'pages stay as long as their mutex is held', BINDING,
             'return since_ms + turn_bound_ms(region); /* B2 */', 'return since_ms + 100000;',
             ('O18',)),
    Mutation('bound_page_has_no_window', 'B2', 'pages stay where the region has no window', BINDING,
             'return since_ms + turn_bound_ms(region); /* B2 */', 'return since_ms + 4;', ('O18',)),
    Mutation('sync_twice', 'S4', 'a repeated SYNC is carried out again', SYNC,
             '    if (is_new) {\n        carry_out', '    if (is_new || sync_find_op(syncs, '
             'message->from, message->request) == NULL) {\n        carry_out'),
    Mutation('post_is_lost', 'S2', 'a post with a waiter wakes nobody', SYNC,
             '    if (list_is_empty(&object->waiters)) {\n        object->value++;\n    } else {',
             '    if (list_is_empty(&object->waiters)) {\n        object->value++;\n'
             '    } else if (object->value > 0) {'),
    Mutation('post_counts_twice', 'S2', 'a post wakes one and is there for the next', SYNC,
             '                    0); /* S2 */',
             '                    0);\n        object->value++;'),
    Mutation('barrier_one_early', 'S3', 'a barrier opens before the last party', BARRIER,
             '    if (count == object->parties) {', '    if (count + 1 >= object->parties) {'),
    Mutation('cancel_takes_the_unit', 'S5', 'a cancelled wait stays among the waiters', SYNC,
             '    list_remove(&op->place);\n    op->state = SYNC_DONE;',
             '    if (error != DSM_ECANCELED) {\n        list_remove(&op->place);\n    }\n'
             '    op->state = SYNC_DONE;'),
    Mutation('unit_dies_with_its_program', 'C1', 'what is granted to the gone is not given back',
             CALL, '    } else if (call->op == SYNC_SEM_WAIT && error == 0) {',
             '    } else if (call->op == SYNC_SEM_WAIT && error == DSM_ENOMEM) {'),
    Mutation('lock_dies_with_its_program', 'C1', 'a dead program leaves its mutex locked', CALL,
             '        call_launch_own(calls, call->region, call->offset, SYNC_UNLOCK_DEAD, '
             'call->out.id);', '        ;'),
    Mutation('queued_means_done', 'C2', 'a call that waits at its home is forgotten here', CALL,
             '        list_add_tail(&calls->parked, &call->place);\n        return;',
             '        call_free(calls, call);\n        return;'),
    Mutation('outcome_is_sent_once', 'S6', 'an outcome that was called queued is not sent again',
             NODE, 'syncs_resend(&node->syncs) || ', ''),
    Mutation('decided_on_old_news', 'K2', 'nobody asks for news before a call is decided', CATALOG,
             '    if (ticket->has_news) {', '    if (ticket->number != 0) {', ('O15',)),
    Mutation('refused_on_old_news', 'K2', 'a name that is unknown here is taken to be free',
             CATALOG, '    if (!ticket_ask(view, ticket)) {\n'
             '        ticket_fail(view, ticket, error);\n    }',
             '    ticket_fail(view, ticket, error);', ('O15',)),

    # --- the home: runs, repetitions, and the dead ---
    Mutation('begin_anew_without_asking', 'H1',
             'the rest of a run is free while its bytes are on their way',
             HOME_MESSAGE,
             '    if (transfer->mode == MODE_DATA &&\n'
             '        (transfer->is_late ||',
             '    if (false && transfer->mode == MODE_DATA &&\n'
             '        (transfer->is_late ||'),
    Mutation('asks_only_others', 'H1',
             'a home that asked itself twice takes it that nothing was sent',
             HOME_MESSAGE,
             '(transfer->is_late || transfer->source != homes->context->config.self)',
             'transfer->source != homes->context->config.self'),
    Mutation('run_over_unlike_readers', 'H1', 'a run goes over pages of other readers', HOME,
             '           nodeset_equal(page->readers, first->readers) && page->lost',
             '           page->lost'),
    Mutation('repeated_is_poison', 'H1',
             'a repetition of what was refused is told that the page is lost',
             HOME_MESSAGE,
             'page->lost && page->open == NULL ? DSM_EDOWN : DSM_EACCES',
             'DSM_EDOWN'),
    Mutation('message_of_other_request', 'H1',
             'what is about an older transfer counts for the open one',
             HOME_MESSAGE,
             'transfer == NULL || transfer->request != message->request ||',
             'transfer == NULL ||'),
    Mutation('confirm_of_anybody', 'H1',
             'whoever confirms a request of that number closes the transfer',
             HOME_MESSAGE,
             'message->from != from || message->count == 0',
             '(from == NODE_NONE) || message->count == 0'),
    Mutation('late_duplicate_request_waits_twice', 'N4',
             'a repetition of what still waits is refused',
             HOME_MESSAGE,
             '    if (is_waiting(page, message->from, message->request)) {\n'
             '        return;\n'
             '    }\n'
             '    if (message->kind == MESSAGE_LEAVE)',
             '    if (message->kind == MESSAGE_LEAVE)'),
    Mutation('dead_wait_on', 'H5', 'requests of a node that died wait on', HOME_DEATH,
             '                drop_waiters_of(homes, chunk_record(&homes->directory, chunk, j), '
             'node);',
             '                (void)drop_waiters_of;'),
    Mutation('abandoned_is_no_orphan', 'H6', 'the page of a dead writer has an owner still',
             HOME_DEATH,
             '        page->orphan = page->owner != 0;\n',
             '        page->orphan = 0;\n'),

    # --- the pages: what is put aside, what is taken over ---
    Mutation('kept_of_any_request', 'P6', 'the bytes put aside for one request go out for another',
             SERVE,
             'kept->requester == requester && kept->request == message->request &&\n'
             '            kept',
             'kept->requester == requester && kept'),
    Mutation('kept_for_the_dead', 'P6', 'bytes put aside for a node that died are kept', SERVE,
             '        if (kept->requester == node || kept->request % NODES_MAX == node) {',
             '        if (kept->requester == node && kept->request == 0) {'),
    Mutation('kept_is_not_asked_about', 'P6', 'a RELEASE that was lost is never asked for', SERVE,
             '    if (region != NULL && kept->requester != pages->context->config.self) {',
             '    if (false && region != NULL) {'),
    Mutation('taken_and_not_owned', 'P1', 'the home takes a page over like any copy', ANSWER,
             '        page_grant(pages, region, page, PAGE_READ, message->version);\n'
             '        page->owner = 1;',
             '        page_grant(pages, region, page, PAGE_READ, message->version);'),

    # --- members, incarnations, numbers ---
    Mutation('dead_is_still_a_member', 'N5', 'what a dead node is asked is waited for', RECORD,
             '        nodeset_remove(&context->alive, number);\n',
             '        (void)0;\n'),
    Mutation('home_of_before', 'N4',
             'a new incarnation of a home serves what the old one was home of',
             MESSAGE,
             '    if (region_home_is_lost(context, region, context->config.self)) {\n'
             '        return DSM_EDOWN;\n'
             '    }\n',
             ''),
    Mutation('home_is_never_lost', 'N4',
             'a new incarnation of a home is asked as if it were the old one',
             CONTEXT,
             '           (member != NULL && member->joined > region->record.id.generation);',
             '           (member != NULL && member->joined > UINT64_MAX - 1);'),
    Mutation('refused_may_come_again', 'N4', 'a repetition of what was refused is admitted later',
             MESSAGE,
             '            if (!is_about_sealed(&message)) {', '            if (false) {'),
    Mutation('floor_too_high', 'N4', 'what is still open is told to be closed', CONTEXT,
             'list_object(open->next, struct outstanding, channel_place)->id / NODES_MAX;',
             'list_object(open->prev, struct outstanding, channel_place)->id / NODES_MAX;'),
    Mutation('numbers_from_zero', 'N4', 'the first request has the number that means none', REMOTE,
             'remote->channel.next_number = 1;',
             'remote->channel.next_number = 0;'),
    Mutation('open_while_leaving', 'K1', 'a handle is given while the node leaves the region',
             CATALOG,
             '(catalog_is_leaving(view, region) || catalog_is_sealing(view, region)) {',
             '(catalog_is_sealing(view, region)) {'),

    # --- groups of pages, byte orders ---
    Mutation('drop_what_is_shown', 'G2', 'a page goes and its group stays shown', GROUP,
             '    for (uint64_t at = page - page % size; at < page + count; at += size) {\n'
             '        scatter(pages, region, pages_group(pages, region, at));\n    }\n',
             '', ('O13', 'O16')),
    Mutation('protect_part_of_a_group', 'G2', 'one page of a group is protected alone', GROUP,
             '        context_act_range(pages->context, ACTION_PROTECT, region->record.id, '
             'run.page,\n                          (uint32_t)run.count);',
             '        context_act_range(pages->context, ACTION_PROTECT, region->record.id, page,\n'
             '                          count);', ('O13', 'O16')),
    Mutation('gather_what_is_not_whole', 'G1', 'the first page of a group speaks for all', GROUP,
             '    if (first_lacking(pages, region, group.page, end, waiter->write) < end) {\n'
             '        return false;',
             '    if (first_lacking(pages, region, group.page, group.page + 1, waiter->write) ==\n'
             '        group.page) {\n'
             '        return false;', ('O13', 'O16', 'trap')),
    Mutation('write_what_is_read', 'G1', 'who reads a group that is shown may write to it', GROUP,
             'context_act_range(pages->context, waiter->write ? ACTION_ALLOW : ACTION_WAKE,\n'
             '                          region->record.id, group.page',
             'context_act_range(pages->context, ACTION_ALLOW,\n'
             '                          region->record.id, group.page', ('O1', 'O13', 'O16')),
    Mutation('poison_part_of_a_group', 'G4', 'a lost page is told of alone', PAGE,
             '    struct page_span run = pages_around(pages, region, page, count);\n'
             '    struct action *action = context_act_range(pages->context, ACTION_POISON',
             '    struct page_span run = {page, count};\n'
             '    struct action *action = context_act_range(pages->context, ACTION_POISON',
             ('O13',)),
    Mutation('growth_shows_part_of_a_group', 'G2', 'the last group stays shown when it grows',
             GROUP,
             '    if (count > 0 && count % pages_group_size(pages, region) != 0) {',
             '    if (false) {', ('O13', 'O16')),
    Mutation('never_put_off', 'G5', 'pages of a group go as fast as they come', DEFER,
             '    if (must_wait(pages, message)) {', '    if (false) {', ('O11',)),
    Mutation('put_off_for_ever', 'G5', 'what was put off never comes', DEFER,
             '        if (deferred->due_ms <= now_ms) {', '        if (false) {', ('O11',)),
    Mutation('nobody_is_big_endian', 'O17', 'no DATA tells the order of its bytes', CONTEXT,
             'action->message.flags |= FLAG_BIG_ENDIAN;', '(void)0;', ('O17',)),
    Mutation('order_of_all_messages_but_data', 'O17', 'a little-endian node tells that it is big',
             CONTEXT, 'if (context->config.big_endian', 'if (!context->config.big_endian',
             ('O17',)),
    Mutation('no_turn', 'G5', 'what was put off comes as soon as the group is whole', DEFER,
             'deferred->due_ms = now_ms + HOLD_MS;', 'deferred->due_ms = now_ms;'),
    Mutation('window_of_none', 'T1', 'a region without a window has the usual one', TURN,
             '    if (window_ms == DSM_WINDOW_NONE) {', '    if (window_ms == 77) {', ('O18',)),
    Mutation('window_without_bound', 'T1', "each region's window is of 20 ms", TURN,
             'window_ms <= DSM_WINDOW_MS_MAX ? window_ms : WINDOW_MS_USUAL;',
             'window_ms <= DSM_WINDOW_MS_MAX ? 20 : WINDOW_MS_USUAL;', ('O18',)),
    Mutation('digest_of_what_is_gone', 'T2', 'the bytes of a group are looked at in part', TURN,
             '        if (page == NULL || page->state != PAGE_WRITE) {',
             '        if (page == NULL) {', ('O13',)),
    Mutation('turn_without_end', 'T1', 'each time that a page is wanted again it stays', DEFER,
             '    if (deferred->reason == DEFER_LOCK) {',
             '    if (deferred->reason == DEFER_TURN) {\n'
             '        deferred->due_ms = now_ms + 1;\n'
             '    }\n'
             '    if (deferred->reason == DEFER_LOCK) {', ('O11',)),
    Mutation('pattern_begins_anew', 'O17', 'each run of bytes is taken to begin with an element',
             CONVERT, '    uint64_t at = phase_words % op->count_words;',
             '    uint64_t at = phase_words - phase_words;', ('O17',)),
    # --- sealed regions ---
    Mutation('sealed_beside_a_writer', 'I1', 'writers on other nodes are not asked for', SEAL,
             '    if (!nodeset_is_empty(others)) {', '    if (false) {', ('O11', 'O19')),
    Mutation('sealed_beside_a_writer_here', 'I1', 'nor those on this one', SEAL,
             '(region->count_writers > 1) {', '(false) {', ('O11', 'O19')),
    Mutation('writer_let_in_while_sealing', 'I1', 'what is being sealed is opened for writing',
             CATALOG, ' || catalog_is_sealing(view, region)) {', ') {', ('O11', 'O19')),
    Mutation('writer_forgotten', 'K1', "a node's writers are taken out while they write", CATALOG,
             'region->count_writers == 0 &&', 'true &&', ('O11', 'O19')),
    Mutation('sealed_before_the_homes_know', 'I2', 'the sealer does not wait for the homes', SEAL,
             'ticket->homes = region->record.homes;', 'ticket->homes = NODESET_EMPTY;',
             ('O19',)),
    Mutation('loss_believed_at_once', 'I7', 'who is not the home says that a page is lost', SEALED,
             '        shun(pages, request, message->from);\n    }\n}',
             '        request_lose(pages, request, 1, message->from, DSM_EDOWN);\n    }\n}',
             ('O12',)),
    Mutation('last_member_asked_is_the_first', 'I7', 'a search ends with its beginning', SEALED,
             '    if (next == self || next == NODE_NONE) {', '    if (request->lacking == 7777) {',
             ('O11', 'O14', 'trap')),
]
