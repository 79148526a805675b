/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page, three nodes; node 0 is its home and a requester as well. README.md tells which rule of
 * the core each part stands for. Each step of a process is one d_step: one event of node_step().
 */
#include "messages.pml"

/* What a configuration may choose: accesses of each node's program, and how much goes wrong. */
#ifndef OPS0
#define OPS0 1
#endif
#ifndef OPS1
#define OPS1 1
#endif
#ifndef OPS2
#define OPS2 1
#endif
#ifndef EVICTIONS
#define EVICTIONS 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef COPIES
#define COPIES 0
#endif
#ifndef RESENDS
#define RESENDS 0
#endif
#ifndef REFUSALS
#define REFUSALS 0
#endif
#ifndef VICTIMS
#define VICTIMS 0
#endif
#ifndef STARTS
#define STARTS 255
#endif
#ifndef ROUNDS
#define ROUNDS 4
#endif
#ifndef LINK_SIZE
#define LINK_SIZE 8
#endif

/* States of a page, kinds of requests and transfers, modes: page.h and home.h. */
#define PAGE_ABSENT 0
#define PAGE_READ 1
#define PAGE_WRITE 2
#define PAGE_LOST 3
#define FOR_READ 1
#define FOR_WRITE 2
#define FOR_LEAVE 3
#define FOR_ADOPT 4
#define MODE_DATA 0
#define MODE_ZERO 1
#define MODE_COPY 2
#define KEPT 2

chan link[LINKS] = [LINK_SIZE] of { mtype, bit, byte, byte, byte, byte, byte };

/* The world, and what only the properties look at. */
byte latest;          /* the last value written */
bit dead[NODES];
bit crashed;
bit spared;           /* the crash left a copy that nothing threatened */
bit done;
byte rounds;          /* of timers, since the last fault */
byte losses = LOSSES, copies = COPIES, resends = RESENDS, evictions = EVICTIONS;
byte refusals = REFUSALS;

/* Each node's page part: struct page, struct page_request, struct kept, and a program. */
bit epoch[NODES];
byte state[NODES], version[NODES], bytes[NODES];
bit owned[NODES];
byte request[NODES], number[NODES], installing[NODES];
bit received[NODES], needs_grant[NODES], has_grant[NODES], late[NODES];
byte want[NODES], accesses[NODES];
byte count_kept[NODES], kept_for[NODES * KEPT], kept_number[NODES * KEPT];
byte kept_bytes[NODES * KEPT];

/* The home part: struct home_page, its open transfer, its waiters, struct window. */
byte owner = NONE, readers, written, clock;
bit orphan, lost;
byte open, mode, requester, source = NONE, opened, have, transfer_version, acks;
bit announced, asking, forwarded, repeated;
byte first, first_requester, first_number, first_have, first_source = NONE;
chan waiters = [NODES] of { byte };
byte waiting[NODES], waiting_number[NODES], waiting_have[NODES];
byte seen[NODES];

/* The message of the step under way, all zero between steps. */
mtype kind;
bit m_epoch;
byte m_flags, m_requester, m_number, m_version, m_bytes;
/* Within one d_step only; not of the state, so never read in another step than it is written. */
hidden byte i, heir, slot;

inline send(kind_, to_, flags_, requester_, number_, version_, bytes_)
{
    if
    :: dead[to_] -> skip
    :: else ->
        link[LINK(me, to_)]!kind_, epoch[me], flags_, requester_, number_, version_, bytes_
    fi
}

#define HAS_BYTES(n) (state[n] == PAGE_READ || state[n] == PAGE_WRITE)
#define VISIBLE(n) (!dead[n] && (HAS_BYTES(n) || received[n]))
#define IS_READER(n) ((readers & NODE_BIT(n)) != 0)
#define HOME_IS_LOST(n) (epoch[n] && dead[HOME])
/* Fresh: what can be read at n is the latest write. */
#define FRESH(n) (!VISIBLE(n) || bytes[n] == latest)
/* At n or on its way to it, by the transfer that is open: the record tells of the time before. */
#define IS_RECEIVING(n) ((first != 0 && n == first_requester) || \
    (open != 0 && (open == FOR_LEAVE -> n == HOME : n == requester)))
#define IS_KNOWN(n) (dead[n] || !HAS_BYTES(n) || IS_READER(n) || IS_RECEIVING(n))
#define WRITES(n) (!dead[n] && state[n] == PAGE_WRITE)

/* The properties of every state. */
inline check()
{
    assert(FRESH(0) && FRESH(1) && FRESH(2)); /* a read gives the latest write, none is lost */
    assert(!WRITES(0) || !(VISIBLE(1) || VISIBLE(2))); /* single writer or many readers */
    assert(!WRITES(1) || !(VISIBLE(0) || VISIBLE(2)));
    assert(!WRITES(2) || !(VISIBLE(0) || VISIBLE(1)));
    assert(dead[HOME] || (IS_KNOWN(0) && IS_KNOWN(1) && IS_KNOWN(2))); /* no reader is missed */
    assert(!orphan || lost || readers != 0);           /* H6 */
    assert(crashed || !(lost || orphan));              /* nothing is lost without a death */
}

/* --- the page part: page.c --- */

inline send_request()
{
    if
    :: request[me] == FOR_LEAVE || state[me] == PAGE_READ -> slot = version[me]
    :: else -> slot = 0
    fi;
    if
    :: request[me] == FOR_READ -> send(READ, HOME, 0, me, number[me], slot, 0)
    :: request[me] == FOR_WRITE -> send(WRITE, HOME, 0, me, number[me], slot, 0)
    :: else -> send(LEAVE, HOME, 0, me, number[me], slot, 0)
    fi
}

inline request_open(kind_)
{
    assert(request[me] == 0); /* P1 */
    request[me] = kind_;
    number[me]++;
    send_request()
}

/* attend(): the program goes on if it may, or its node asks. */
inline attend()
{
    if
    :: want[me] != 0 && request[me] == 0 && state[me] == PAGE_ABSENT && HOME_IS_LOST(me) ->
        state[me] = PAGE_LOST
    :: else -> skip
    fi;
    if
    :: want[me] == 0 -> skip
    :: want[me] != 0 && state[me] == PAGE_LOST -> want[me] = 0
    :: want[me] == FOR_READ && HAS_BYTES(me) -> want[me] = 0
    :: want[me] == FOR_WRITE && state[me] == PAGE_WRITE && request[me] == 0 ->
        want[me] = 0;
        latest++;
        bytes[me] = latest
    :: else ->
        if
        :: request[me] == 0 -> request_open(want[me])
        :: else -> skip
        fi
    fi
}

inline request_close()
{
    request[me] = 0;
    installing[me] = 0;
    received[me] = 0;
    needs_grant[me] = 0;
    has_grant[me] = 0;
    attend()
}

inline page_forget()
{
    state[me] = PAGE_ABSENT;
    bytes[me] = NONE;
    owned[me] = 0
}

inline page_grant(state_, version_)
{
    assert(version_ > version[me]); /* versions never go back */
    state[me] = state_;
    version[me] = version_;
    owned[me] = owned[me] || state_ == PAGE_WRITE
}

inline confirm(marks)
{
    send(CONFIRM, HOME, marks, me, m_number, m_version, 0)
}

/* fill() and complete() of page_answer.c */
inline complete()
{
    page_grant((request[me] == FOR_WRITE -> PAGE_WRITE : PAGE_READ), installing[me]);
    send(CONFIRM, HOME, 0, me, number[me], installing[me], 0);
    request_close()
}

#define IS_MINE (request[me] != 0 && number[me] == m_number)

inline take_over()
{
    if
    :: version[me] < m_version && state[me] != PAGE_WRITE ->
        if
        :: state[me] != PAGE_READ -> bytes[me] = m_bytes
        :: else -> skip
        fi;
        page_grant(PAGE_READ, m_version);
        owned[me] = 1;
        attend()
    :: else -> skip
    fi;
    confirm(FLAG_LEAVE)
}

inline drop_received()
{
    if
    :: received[me] -> page_forget() /* of an upgrade the old copy went before */
    :: else -> skip
    fi;
    received[me] = 0;
    needs_grant[me] = 0;
    has_grant[me] = 0
}

inline on_data()
{
    if
    :: m_flags & FLAG_LEAVE ->
        if
        :: open == FOR_LEAVE && opened == m_number && requester == from &&
           transfer_version == m_version -> take_over() /* homes_awaits() */
        :: else -> skip
        fi
    :: !(m_flags & FLAG_LEAVE) && !IS_MINE -> confirm(0)
    :: else ->
        if /* start_again() */
        :: received[me] && m_version > installing[me] -> drop_received()
        :: else -> skip
        fi;
        if
        :: request[me] != FOR_LEAVE && !received[me] ->
            installing[me] = m_version;
            bytes[me] = m_bytes;
            received[me] = 1;
            needs_grant[me] = (m_flags & FLAG_GRANT) != 0 &&
                !(request[me] == FOR_WRITE && has_grant[me]);
            if
            :: !needs_grant[me] -> complete()
            :: else -> skip
            fi
        :: else -> skip
        fi
    fi
}

inline deny()
{
    send(NOT_HERE, HOME, 0, me, m_number, 0, 0)
}

inline on_grant()
{
    if
    :: !IS_MINE -> confirm(0)
    :: IS_MINE && (request[me] == FOR_LEAVE || ((m_flags & FLAG_ZERO) && received[me])) -> skip
    :: IS_MINE && request[me] != FOR_LEAVE && (m_flags & FLAG_COPY) && state[me] != PAGE_READ ->
        deny()
    :: else ->
        installing[me] = m_version;
        has_grant[me] = 1;
        if
        :: m_flags & FLAG_ZERO ->
            bytes[me] = 0;
            complete()
        :: m_flags & FLAG_COPY -> complete()
        :: else ->
            if
            :: received[me] -> complete()
            :: else -> skip
            fi
        fi
    fi
}

inline on_lost()
{
    if
    :: IS_MINE && request[me] != FOR_LEAVE ->
        if
        :: m_bytes == EDOWN ->
            page_forget();
            state[me] = PAGE_LOST
        :: else -> drop_received() /* give_up() */
        fi;
        request_close()
    :: else -> skip
    fi
}

inline on_ask()
{
    if
    :: !IS_MINE -> confirm(0)
    :: IS_MINE && request[me] != FOR_LEAVE ->
        drop_received();
        deny()
    :: else -> skip
    fi
}

/* --- the owner's and the readers' side: page_serve.c --- */

/* slot: where the bytes are kept for that requester's request, NONE: nowhere. */
inline find_kept(for_)
{
    slot = NONE;
    i = 0;
    do
    :: i < count_kept[me] ->
        if
        :: kept_for[me * KEPT + i] == for_ && kept_number[me * KEPT + i] == m_number ->
            slot = me * KEPT + i
        :: else -> skip
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

/* Forget the entry that begins at `slot`, the last one of a node takes its place. */
inline forget_kept()
{
    count_kept[me]--;
    if
    :: slot == me * KEPT ->
        kept_for[slot] = kept_for[slot + 1];
        kept_number[slot] = kept_number[slot + 1];
        kept_bytes[slot] = kept_bytes[slot + 1]
    :: else -> skip
    fi;
    kept_for[me * KEPT + 1] = 0;
    kept_number[me * KEPT + 1] = 0;
    kept_bytes[me * KEPT + 1] = 0
}

inline give_away(reader, marks, for_)
{
    assert(count_kept[me] < KEPT);
    slot = me * KEPT + count_kept[me];
    count_kept[me]++;
    kept_for[slot] = for_;
    kept_number[slot] = m_number;
    kept_bytes[slot] = bytes[me];
    page_forget();
    version[me] = m_version;
    send(DATA, reader, marks, for_, m_number, m_version, kept_bytes[slot])
}

inline not_here()
{
    send(NOT_HERE, HOME, 0, m_requester, m_number, 0, 0)
}

inline on_forward()
{
    find_kept(m_requester);
    if
    :: m_requester == me -> not_here()
    :: m_requester != me && slot != NONE ->
        send(DATA, m_requester, m_flags, m_requester, m_number, m_version, kept_bytes[slot])
    :: m_requester != me && slot == NONE && HAS_BYTES(me) && version[me] >= m_version ->
        skip /* P7 */
    :: m_requester != me && slot == NONE && !HAS_BYTES(me) -> not_here()
    :: else ->
        if
        :: m_flags & FLAG_WRITE -> give_away(m_requester, m_flags, m_requester)
        :: else ->
            state[me] = PAGE_READ;
            send(DATA, m_requester, m_flags, m_requester, m_number, m_version, bytes[me])
        fi
    fi
}

inline on_invalidate()
{
    if
    :: state[me] == PAGE_WRITE && version[me] < m_version -> skip /* refused */
    :: else ->
        if
        :: state[me] == PAGE_READ && version[me] < m_version ->
            page_forget();
            version[me] = m_version
        :: else -> skip
        fi;
        send(INVALIDATED, HOME, 0, m_requester, m_number, 0, 0)
    fi
}

inline on_release()
{
    heir = (m_flags & FLAG_LEAVE -> me : m_requester);
    find_kept(heir);
    if
    :: slot != NONE -> forget_kept()
    :: else -> skip
    fi;
    if
    :: (m_flags & FLAG_LEAVE) && IS_MINE && request[me] == FOR_LEAVE -> request_close()
    :: else -> skip
    fi
}

inline on_take()
{
    find_kept(me);
    if
    :: slot != NONE ->
        send(DATA, HOME, FLAG_LEAVE, me, m_number, m_version, kept_bytes[slot])
    :: slot == NONE && IS_MINE && request[me] == FOR_LEAVE && HAS_BYTES(me) ->
        give_away(HOME, FLAG_LEAVE, me)
    :: else -> skip
    fi
}

inline on_adopt()
{
    if
    :: HAS_BYTES(me) && version[me] < m_version ->
        owned[me] = 1;
        send(CONFIRM, HOME, FLAG_ADOPT, me, m_number, m_version, 0)
    :: else ->
        send(NOT_HERE, HOME, FLAG_ADOPT, me, m_number, m_version, 0)
    fi
}

/* --- the home part: home.c --- */

inline transfer_reset()
{
    open = 0;
    mode = 0;
    requester = 0;
    source = NONE;
    opened = 0;
    have = 0;
    transfer_version = 0;
    acks = 0;
    announced = 0;
    asking = 0;
    forwarded = 0;
    repeated = 0
}

inline invalidate(reader)
{
    if
    :: acks & NODE_BIT(reader) -> send(INVALIDATE, reader, 0, requester, opened, transfer_version, 0)
    :: else -> skip
    fi
}

inline transfer_grant()
{
    assert(acks == 0); /* H2 */
    send(GRANT, requester,
         (open == FOR_WRITE -> FLAG_WRITE : 0) | (mode == MODE_ZERO -> FLAG_ZERO :
         (mode == MODE_COPY -> FLAG_COPY : 0)), requester, opened, transfer_version, 0)
}

/* Send (again) whatever the transfer is waiting for. */
inline transfer_drive()
{
    if
    :: asking -> send(ASK, requester, 0, requester, opened, transfer_version, 0)
    :: !asking && open == FOR_LEAVE ->
        send(TAKE, requester, 0, requester, opened, transfer_version, 0)
    :: !asking && open == FOR_ADOPT ->
        send(ADOPT, requester, 0, requester, opened, transfer_version, 0)
    :: else ->
        invalidate(0);
        invalidate(1);
        invalidate(2);
        if
        :: mode == MODE_DATA ->
            repeated = forwarded;
            forwarded = 1;
            send(FORWARD, source, (open == FOR_WRITE -> FLAG_WRITE : 0) |
                 (announced -> FLAG_GRANT : 0), requester, opened, transfer_version, 0)
        :: else -> skip
        fi;
        if
        :: acks == 0 && (mode != MODE_DATA || announced) -> transfer_grant()
        :: else -> skip
        fi
    fi
}

inline wait_first()
{
    assert(first == 0);
    first = open;
    first_requester = requester;
    first_number = opened;
    first_have = have;
    first_source = source;
    transfer_reset()
}

inline transfer_lose()
{
    send(LOST, requester, 0, owner, opened, transfer_version, EDOWN);
    transfer_reset()
}

inline plan_read()
{
    if
    :: owner == NONE -> mode = MODE_ZERO
    :: owner == requester -> mode = MODE_COPY
    :: else ->
        mode = MODE_DATA;
        source = (IS_READER(HOME) && requester != HOME && source != HOME -> HOME : owner)
    fi
}

inline plan_write()
{
    acks = readers & (7 - NODE_BIT(requester));
    if
    :: owner == requester -> mode = MODE_COPY
    :: owner != requester && IS_READER(requester) && have != 0 && have >= written ->
        mode = MODE_COPY
    :: owner == NONE && !(IS_READER(requester) && have != 0 && have >= written) ->
        mode = MODE_ZERO
    :: else ->
        mode = MODE_DATA;
        source = owner;
        acks = acks & (7 - NODE_BIT(owner))
    fi;
    announced = acks != 0
}

/* The transfer in open, requester, opened, have, source is started; the page is free. */
inline transfer_start()
{
    if
    :: orphan && !lost -> /* adopt_first() */
        heir = (owner != NONE && IS_READER(owner) -> owner :
                (readers & 1 -> 0 : (readers & 2 -> 1 : 2)));
        wait_first();
        open = FOR_ADOPT;
        requester = heir;
        clock++;
        transfer_version = clock;
        opened = clock;
        transfer_drive()
    :: else ->
        clock++;
        transfer_version = clock;
        if
        :: open == FOR_LEAVE && (lost || owner != requester) ->
            send(RELEASE, requester, FLAG_LEAVE, requester, opened, transfer_version, 0);
            transfer_reset()
        :: open != FOR_LEAVE && lost -> transfer_lose()
        :: else ->
            if
            :: open == FOR_READ -> plan_read()
            :: open == FOR_WRITE ->
                plan_write();
                spared = spared && !(mode == MODE_DATA && (source != NONE && dead[(source == NONE -> 0 : source)]))
            :: else -> skip
            fi;
            transfer_drive()
        fi
    fi
}

/* A node drains its own loop and starts what waits in the step that made it so. */
#ifdef SPLIT_STEPS
#define IS_IDLE (!IS_READY || true)
#else
#define IS_IDLE (empty(link[0]) && !IS_READY)
#endif
#define IS_READY (open == 0 && (first != 0 || len(waiters) > 0) && !dead[HOME])

inline start_ready()
{
    if
    :: first != 0 ->
        open = first;
        requester = first_requester;
        opened = first_number;
        have = first_have;
        source = first_source;
        first = 0;
        first_requester = 0;
        first_number = 0;
        first_have = 0;
        first_source = NONE
    :: else ->
        waiters?heir;
        open = waiting[heir];
        requester = heir;
        opened = waiting_number[heir];
        have = waiting_have[heir];
        waiting[heir] = 0;
        waiting_number[heir] = 0;
        waiting_have[heir] = 0
    fi;
    transfer_start()
}

#define IS_WAITING(n, number_) ((waiting[n] != 0 && waiting_number[n] == number_) || \
    (first != 0 && first_requester == n && first_number == number_))

inline repeat()
{
    if
    :: open != 0 && requester == from && opened == m_number -> transfer_drive()
    :: !(open != 0 && requester == from && opened == m_number) && IS_WAITING(from, m_number) ->
        skip
    :: else ->
        if
        :: kind == LEAVE -> send(RELEASE, from, FLAG_LEAVE, from, m_number, m_version, 0)
        :: else -> send(LOST, from, 0, owner, m_number, m_version, (lost -> EDOWN : EACCES))
        fi
    fi
}

/* The first requests of nodes 1 and 2 that come, of either. */
#define REFUSES (refusals > 0 && from != HOME)

/* accept_request() of node_message.c and homes_on_request() */
inline on_request()
{
    if
    :: m_number <= seen[from] -> repeat()
    :: else ->
        seen[from] = m_number; /* window_note(): with one page, one number is open at most */
        if
        :: REFUSES -> /* refuse(): not permitted yet */
            refusals--;
            if
            :: kind == LEAVE -> send(RELEASE, from, FLAG_LEAVE, from, m_number, m_version, 0)
            :: else -> send(LOST, from, 0, owner, m_number, m_version, EACCES)
            fi
        :: !REFUSES && open == 0 && first == 0 && len(waiters) == 0 ->
            open = (kind == READ -> FOR_READ : (kind == WRITE -> FOR_WRITE : FOR_LEAVE));
            requester = from;
            opened = m_number;
            have = m_version;
            transfer_start()
        :: else ->
            assert(waiting[from] == 0);
            waiting[from] = (kind == READ -> FOR_READ : (kind == WRITE -> FOR_WRITE : FOR_LEAVE));
            waiting_number[from] = m_number;
            waiting_have[from] = m_version;
            waiters!from
        fi
    fi
}

#define IS_OPEN (open != 0 && opened == m_number)

inline on_invalidated()
{
    if
    :: IS_OPEN && requester == m_requester && open == FOR_WRITE && (acks & NODE_BIT(from)) ->
        acks = acks & (7 - NODE_BIT(from));
        if
        :: acks == 0 && !asking -> transfer_grant()
        :: else -> skip
        fi
    :: else -> skip
    fi
}

inline close_adopt(adopted)
{
    if
    :: adopted ->
        owner = requester;
        orphan = 0
    :: else ->
        readers = readers & (7 - NODE_BIT(requester));
        lost = readers == 0
    fi;
    transfer_reset()
}

inline release_again()
{
    if
    :: (IS_OPEN && requester == m_requester) || IS_WAITING(m_requester, m_number) -> skip
    :: else -> send(RELEASE, from, 0, m_requester, m_number, m_version, 0)
    fi
}

#define HOLDER (mode == MODE_DATA -> source : (mode == MODE_COPY -> requester : NONE))

inline begin_anew()
{
    if
    :: mode == MODE_DATA && (repeated || source != HOME) ->
        asking = 1;
        transfer_drive()
    :: else -> wait_first()
    fi
}

inline on_not_here()
{
    if
    :: m_flags & FLAG_COPY -> release_again()
    :: !(m_flags & FLAG_COPY) && IS_OPEN && open == FOR_ADOPT && requester == from &&
       (m_flags & FLAG_ADOPT) -> close_adopt(0)
    :: !(m_flags & FLAG_COPY) && IS_OPEN && (open == FOR_READ || open == FOR_WRITE) &&
       requester == m_requester ->
        if
        :: asking && from == requester ->
            wait_first()
        :: !asking && HOLDER == from ->
            readers = readers & (7 - NODE_BIT(from));
            orphan = orphan || owner == from;
            lost = lost || (orphan && readers == 0);
            begin_anew()
        :: else -> skip
        fi
    :: else -> skip
    fi
}

inline on_confirm()
{
    if
    :: !IS_OPEN || ((m_flags & FLAG_LEAVE) != 0) != (open == FOR_LEAVE) ||
       ((m_flags & FLAG_ADOPT) != 0) != (open == FOR_ADOPT) ||
       from != (open == FOR_LEAVE -> HOME : requester) -> skip
    :: else ->
        if
        :: open == FOR_ADOPT -> close_adopt(1)
        :: else ->
            /* H1: nobody installs bytes of this transfer any more */
            assert(open == FOR_LEAVE || request[requester] == 0 || number[requester] != opened);
            if
            :: open == FOR_READ ->
                readers = readers | NODE_BIT(requester)
            :: open == FOR_WRITE ->
                readers = NODE_BIT(requester);
                owner = requester;
                written = transfer_version;
                orphan = 0
            :: else ->
                readers = (readers & (7 - NODE_BIT(requester))) | NODE_BIT(HOME);
                owner = HOME;
                orphan = 0
            fi;
            lost = 0;
            if
            :: open == FOR_LEAVE ->
                send(RELEASE, requester, FLAG_LEAVE, requester, opened, transfer_version, 0)
            :: open == FOR_WRITE && mode == MODE_DATA ->
                send(RELEASE, source, 0, requester, opened, transfer_version, 0)
            :: else -> skip
            fi;
            transfer_reset()
        fi
    fi
}

/* --- a member died: home_death.c, page_serve.c, node_record.c --- */

inline abandon()
{
    if
    :: open == FOR_WRITE ->
        if
        :: acks == 0 ->
            readers = (mode == MODE_DATA -> readers & NODE_BIT(source) : 0);
            owner = requester
        :: else -> skip
        fi;
        orphan = owner != NONE;
        lost = orphan && readers == 0
    :: open == FOR_ADOPT -> lost = readers == 0
    :: else -> skip
    fi;
    transfer_reset()
}

inline home_member_died(node)
{
    if
    :: waiting[node] != 0 ->
        waiters??eval(node);
        waiting[node] = 0;
        waiting_number[node] = 0;
        waiting_have[node] = 0
    :: else -> skip
    fi;
    if
    :: first != 0 && first_requester == node ->
        first = 0;
        first_requester = 0;
        first_number = 0;
        first_have = 0;
        first_source = NONE
    :: else -> skip
    fi;
    readers = readers & (7 - NODE_BIT(node));
    orphan = orphan || owner == node;
    lost = lost || (orphan && readers == 0);
    if
    :: open != 0 && requester == node -> abandon()
    :: open != 0 && requester != node ->
        acks = acks & (7 - NODE_BIT(node));
        asking = asking || (mode == MODE_DATA && source == node &&
                            (open == FOR_READ || open == FOR_WRITE))
    :: else -> skip
    fi
}

inline page_member_died(node)
{
    i = 0;
    do
    :: i < count_kept[me] ->
        if
        :: kept_for[me * KEPT + i] == node || node == HOME ->
            slot = me * KEPT + i;
            forget_kept()
        :: else -> i++
        fi
    :: else -> break
    od;
    i = 0
}

inline on_member_died(node)
{
    if
    :: me == HOME -> home_member_died(node)
    :: else -> skip
    fi;
    page_member_died(node);
    epoch[me] = 1
}

/* resend_one(), homes_resend() and pages_tidy_kept(): all that is open at a node, once more. */
inline resend()
{
    if
    :: request[me] != 0 && HOME_IS_LOST(me) -> /* pages_fail() */
        if
        :: request[me] != FOR_LEAVE ->
            page_forget();
            state[me] = PAGE_LOST
        :: else -> skip
        fi;
        request_close()
    :: request[me] != 0 && !HOME_IS_LOST(me) -> send_request()
    :: else -> skip
    fi;
    if
    :: me == HOME && open != 0 -> transfer_drive()
    :: else -> skip
    fi;
    i = 0;
    do
    :: i < count_kept[me] ->
        if
        :: kept_for[me * KEPT + i] != me ->
            send(NOT_HERE, HOME, FLAG_COPY, kept_for[me * KEPT + i], kept_number[me * KEPT + i],
                 0, 0)
        :: else -> skip
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

/* The node stops; what it has sent may still arrive, as what it had is gone. */
inline crash(node)
{
    crashed = 1;
    rounds = 0;
    spared = node != HOME && (request[node] == 0 || request[node] == FOR_READ) && (open == 0 || open == FOR_READ) && first == 0 &&
        ((node != 0 && HAS_BYTES(0)) || (node != 1 && HAS_BYTES(1)) || (node != 2 && HAS_BYTES(2)));
    dead[node] = 1;
    state[node] = 0;
    version[node] = 0;
    bytes[node] = NONE;
    owned[node] = 0;
    request[node] = 0;
    number[node] = 0;
    installing[node] = 0;
    received[node] = 0;
    needs_grant[node] = 0;
    has_grant[node] = 0;
    late[node] = 0;
    want[node] = 0;
    accesses[node] = 0;
    count_kept[node] = 0;
    i = 0;
    do
    :: i < KEPT ->
        kept_for[node * KEPT + i] = 0;
        kept_number[node * KEPT + i] = 0;
        kept_bytes[node * KEPT + i] = 0;
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < NODES ->
        do
        :: (i != node || node == HOME) && len(link[LINK(i, node)]) > 0 ->
            link[LINK(i, node)]?_, _, _, _, _, _, _
        :: else -> break
        od;
        i++
    :: else -> break
    od;
    i = 0;
    if
    :: node == HOME ->
        transfer_reset();
        first = 0;
        first_requester = 0;
        first_number = 0;
        first_have = 0;
        first_source = NONE;
        owner = NONE;
        readers = 0;
        written = 0;
        clock = 0;
        orphan = 0;
        lost = 0;
        do
        :: i < NODES ->
            seen[i] = 0;
            waiting[i] = 0;
            waiting_number[i] = 0;
            waiting_have[i] = 0;
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: len(waiters) > 0 -> waiters?_
        :: else -> break
        od
    :: else -> skip
    fi
}

/* --- processes --- */

inline forget_message()
{
    d_step {
        kind = 0;
        m_epoch = 0;
        m_flags = 0;
        m_requester = 0;
        m_number = 0;
        m_version = 0;
        m_bytes = 0
    }
}

/* The link of a pair: node_on_message() at the node where it ends. */
proctype Link(byte from; byte me)
{
end:
    do
    :: atomic { (from == me || IS_IDLE) && nempty(link[LINK(from, me)]) ->
        link[LINK(from, me)]?kind, m_epoch, m_flags, m_requester, m_number, m_version, m_bytes;
        if
        :: from != me && m_epoch != epoch[me] -> skip /* of an old epoch, or ahead of ours */
        :: else ->
            if
            :: kind == READ -> d_step { on_request(); check() }
            :: kind == WRITE -> d_step { on_request(); check() }
            :: kind == LEAVE -> d_step { on_request(); check() }
            :: kind == FORWARD -> d_step { on_forward(); check() }
            :: kind == DATA -> d_step { on_data(); check() }
            :: kind == GRANT -> d_step { on_grant(); check() }
            :: kind == INVALIDATE -> d_step { on_invalidate(); check() }
            :: kind == INVALIDATED -> d_step { on_invalidated(); check() }
            :: kind == NOT_HERE -> d_step { on_not_here(); check() }
            :: kind == CONFIRM -> d_step { on_confirm(); check() }
            :: kind == RELEASE -> d_step { on_release(); check() }
            :: kind == TAKE -> d_step { on_take(); check() }
            :: kind == LOST -> d_step { on_lost(); check() }
            :: kind == ADOPT -> d_step { on_adopt(); check() }
            :: kind == ASK -> d_step { on_ask(); check() }
            fi
        fi;
        forget_message()
    }
    :: d_step { IS_IDLE && losses > 0 && from != me && nempty(link[LINK(from, me)]) ->
        losses--;
        rounds = 0;
        link[LINK(from, me)]?_, _, _, _, _, _, _
    }
    :: d_step { IS_IDLE && dead[from] && from != me && nempty(link[LINK(from, me)]) -> /* broken off */
        link[LINK(from, me)]?_, _, _, _, _, _, _
    }
    :: atomic { IS_IDLE && copies > 0 && from != me && nempty(link[LINK(from, me)]) -> /* comes again, later */
        copies--;
        link[LINK(from, me)]?<kind, m_epoch, m_flags, m_requester, m_number, m_version, m_bytes>;
        link[LINK(from, me)]!kind, m_epoch, m_flags, m_requester, m_number, m_version, m_bytes;
        forget_message()
    }
    od
}

/* Faults and work of one node; its program reads or writes, or evicts. */
proctype Node(byte me)
{
end:
    do
    :: d_step { IS_IDLE && !done && !dead[me] && want[me] == 0 && accesses[me] > 0 ->
        accesses[me]--;
        want[me] = FOR_READ;
        attend();
        check()
    }
    :: d_step { IS_IDLE && !done && !dead[me] && want[me] == 0 && accesses[me] > 0 ->
        accesses[me]--;
        want[me] = FOR_WRITE;
        attend();
        check()
    }
    :: d_step { IS_IDLE && !done && evictions > 0 && HAS_BYTES(me) && request[me] == 0 && !owned[me] ->
        evictions--;
        spared = 0;
        page_forget(); /* silently */
        check()
    }
    :: d_step { IS_IDLE && !done && evictions > 0 && HAS_BYTES(me) && request[me] == 0 && owned[me] &&
                me != HOME && !HOME_IS_LOST(me) ->
        evictions--;
        state[me] = PAGE_READ;
        request_open(FOR_LEAVE);
        check()
    }
    :: d_step { IS_IDLE && late[me] ->
        late[me] = 0;
        resend();
        check()
    }
    :: d_step { me == HOME && IS_READY && empty(link[0]) -> start_ready(); check() }
    :: d_step { IS_IDLE && crashed && !dead[me] && !epoch[me] ->
        on_member_died((dead[0] -> 0 : (dead[1] -> 1 : 2)));
        resend();
        check()
    }
    od
}

#define IS_STILL (empty(link[0]) && !IS_READY && empty(link[1]) && empty(link[2]) && empty(link[3]) && \
    empty(link[4]) && empty(link[5]) && empty(link[6]) && !late[0] && !late[1] && !late[2] && \
    (!crashed || ((dead[0] || epoch[0]) && (dead[1] || epoch[1]) && (dead[2] || epoch[2]))))
/* Something waits for an answer at this node. */
#define IS_LATE(n) (request[n] != 0 || count_kept[n] > 0 || (n == HOME && open != 0))
#define IS_WAITED_FOR (IS_LATE(0) || IS_LATE(1) || IS_LATE(2))

/* Who owns by the home's account has the bytes and knows it; nobody else thinks that it owns. */
#define AGREES(n) (dead[n] || ((owned[n] && HAS_BYTES(n)) -> owner == n || orphan : \
    owner != n || orphan))

/* Timers: all that is open becomes late when nothing else moves any more; or, some times, before. */
proctype Clock()
{
    do
    :: d_step { !done && IS_STILL && IS_WAITED_FOR ->
#ifndef PROGRESS
        rounds++;
        assert(rounds <= ROUNDS); /* what waits is answered, once nothing goes wrong any more */
#endif
        late[0] = IS_LATE(0);
        late[1] = IS_LATE(1);
        late[2] = IS_LATE(2)
    }
    :: d_step { IS_IDLE && resends > 0 && IS_LATE(0) && !late[0] -> resends--; late[0] = 1 }
    :: d_step { IS_IDLE && resends > 0 && IS_LATE(1) && !late[1] -> resends--; late[1] = 1 }
    :: d_step { IS_IDLE && resends > 0 && IS_LATE(2) && !late[2] -> resends--; late[2] = 1 }
    :: d_step { !done && IS_STILL && !IS_WAITED_FOR ->
        assert(want[0] == 0 && want[1] == 0 && want[2] == 0);
        assert(dead[HOME] || (AGREES(0) && AGREES(1) && AGREES(2)));
        assert(!spared || (!lost && state[0] != PAGE_LOST && state[1] != PAGE_LOST &&
                           state[2] != PAGE_LOST));
        done = 1
    }
    :: done -> break
    od
}

/* At most one node dies, one of the set VICTIMS. */
proctype Crash()
{
end:
    do
    :: d_step { IS_IDLE && !done && !crashed && (VICTIMS & 1) -> crash(0) }
    :: d_step { IS_IDLE && !done && !crashed && (VICTIMS & 2) -> crash(1) }
    :: d_step { IS_IDLE && !done && !crashed && (VICTIMS & 4) -> crash(2) }
    od
}

/*
 * A page that was never written, or that node `owner_` has written, with copies at `held`; the home
 * counts those of `dropped` among the readers as well.
 */
inline begin(owner_, held, dropped)
{
    latest = (owner_ == NONE -> 0 : 1);
    owner = owner_;
    written = latest;
    clock = 2;
    readers = held | dropped;
    i = 0;
    do
    :: i < NODES ->
        bytes[i] = NONE;
        if
        :: i == owner_ ->
            state[i] = (readers == NODE_BIT(i) -> PAGE_WRITE : PAGE_READ);
            owned[i] = 1;
            version[i] = 1;
            bytes[i] = latest
        :: i != owner_ && (held & NODE_BIT(i)) ->
            state[i] = PAGE_READ;
            version[i] = 2;
            bytes[i] = latest
        :: i != owner_ && (dropped & NODE_BIT(i)) -> version[i] = 2
        :: else -> skip
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

/* With PROGRESS rounds are not counted, so timers may go round for ever: who waits is answered. */
#ifdef PROGRESS
ltl answered {
    [] ((want[0] != 0 -> <> (want[0] == 0)) && (want[1] != 0 -> <> (want[1] == 0)) &&
        (want[2] != 0 -> <> (want[2] == 0)))
}
#endif

init {
    atomic {
        accesses[0] = OPS0;
        accesses[1] = OPS1;
        accesses[2] = OPS2;
        if
        :: STARTS & 1 -> begin(NONE, 0, 0)
        :: STARTS & 2 -> begin(1, 2, 0)
        :: STARTS & 4 -> begin(1, 6, 1)
        :: STARTS & 8 -> begin(0, 7, 0)
        :: STARTS & 16 -> begin(1, 3, 4)
        :: STARTS & 32 -> begin(0, 1, 0)
        :: STARTS & 64 -> begin(NONE, 3, 4)
        :: STARTS & 128 -> begin(1, 7, 0)
        fi;
        d_step { check() }
        run Link(0, 0);
        run Link(0, 1);
        run Link(0, 2);
        run Link(1, 0);
        run Link(2, 0);
        run Link(1, 2);
        run Link(2, 1);
        run Node(0);
        run Node(1);
        run Node(2);
        run Clock();
        run Crash()
    }
}
