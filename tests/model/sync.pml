/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object of synchronisation, three nodes; node 0 is its home and a requester as well. README.md
 * tells which rule of the core each part stands for. Each step of a process is one d_step: one
 * event of node_step().
 */
#include "messages.pml"

/* What a configuration may choose: the object, calls of each node's program, how much goes wrong. */
#define MUTEX 1
#define SEM 2
#define BARRIER 3
#define ATOMICS 4
#ifndef OBJECT
#define OBJECT MUTEX
#endif
#ifndef OPS0
#define OPS0 1
#endif
#ifndef OPS1
#define OPS1 1
#endif
#ifndef OPS2
#define OPS2 1
#endif
#ifndef PARTIES
#define PARTIES 2
#endif
#ifndef SEM_START
#define SEM_START 0
#endif
#ifndef TRIES
#define TRIES 0
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef BREAKS
#define BREAKS 0
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
#ifndef GUESSES
#define GUESSES 0 /* 1: every grant says that others wait (S10) */
#endif
#ifndef ROUNDS
#define ROUNDS 3
#endif
#ifndef LINK_SIZE
#define LINK_SIZE 8
#endif

/* enum sync_op, enum sync_state */
#define LOCK 1
#define UNLOCK 2
#define UNLOCK_DEAD 3
#define SEM_WAIT 4
#define SEM_POST 5
#define ARRIVE 6
#define FETCH_ADD 7
#define CANCEL 8
#define WAITING 1
#define HOLDING 2
#define DONE 3
/* enum recall_state */
#define RECALL_NONE 0
#define RECALL_SENT 1
#define RECALL_TOLD 2

#define CALLS 3 /* a node has under way at once, at most */
#define ENTRIES 4 /* its home has of a node, at most */

chan link[LINKS] = [LINK_SIZE] of { mtype, bit, byte, byte, byte, byte, byte };

/* The world, and what only the properties look at. */
bit dead[NODES];
bit crashed, died; /* a node, a program */
bit done;
byte rounds;          /* of timers, since the last call or fault */
byte tries = TRIES, timeouts = TIMEOUTS, deaths = DEATHS, breaks = BREAKS, copies = COPIES;
byte resends = RESENDS, refusals = REFUSALS;
bit inside[NODES];    /* MUTEX: the program has the mutex */
bit owner_died;       /* inside, and nobody was told yet */
byte taken, posted, released; /* successes that programs know of: waits, posts, parties */
byte begun;           /* posts, additions: asked for */
byte freed;           /* parties that the home has released */
byte given;           /* ATOMICS: the values that were given out, as a set */

/* Each node's calls: struct sync_call, and a program. */
bit epoch[NODES], late[NODES];
bit link_up[NODES], home_link_up[NODES]; /* EVENT_PEER_UP comes: at the node, at the home */
byte waits[NODES], accesses[NODES], next[NODES];
byte c_op[NODES * CALLS], c_number[NODES * CALLS], c_operand[NODES * CALLS];
bit c_open[NODES * CALLS], c_timed[NODES * CALLS], c_client[NODES * CALLS];
bit c_cancelled[NODES * CALLS], c_queued[NODES * CALLS];

/*
 * Each node's struct token, 0: none. Whether its one program holds it is `inside`, which the program
 * changes by itself while the token is not recalled (L2).
 */
byte t_number[NODES];
bit t_recalled[NODES], t_dead[NODES];

/* The home: struct window, struct sync_object, struct sync_entry in the order of by_node. */
byte window_floor[NODES], window_bits[NODES];
chan waiters = [6] of { byte, byte };
byte holder = NONE, holder_number, value = SEM_START;
byte recall; /* enum recall_state */
bit is_dead;
byte o_op[NODES * ENTRIES], o_number[NODES * ENTRIES], o_state[NODES * ENTRIES];
byte o_error[NODES * ENTRIES], o_value[NODES * ENTRIES], o_atomic[NODES * ENTRIES];
bit o_queued[NODES * ENTRIES], o_try[NODES * ENTRIES];
byte count_atomics;
/* A request ahead of the catalog's news, and the atomic operations that the page part has. */
byte parked_from = NONE, parked_op, parked_number, parked_floor, parked_operand;
chan pending = [4] of { byte, byte };

/* The message of the step under way, all zero between steps; m_value: operand, value or error. */
mtype kind;
bit m_epoch;
byte m_flags, m_op, m_number, m_floor, m_value;
/* Within one d_step only; not of the state, so never read in another step than it is written. */
hidden byte i, j, k, slot, own, entry, n, number, flag, sender;

inline send(kind_, to_, flags_, op_, number_, floor_, value_)
{
    if
    :: dead[to_] -> skip
    :: else -> link[LINK(me, to_)]!kind_, epoch[me], flags_, op_, number_, floor_, value_
    fi
}

#define IS_UNACKNOWLEDGED(e) (o_state[e] == DONE && o_queued[e])
#define HOME_IS_LOST(n) (epoch[n] && dead[HOME])
#define COUNT_INSIDE (inside[0] + inside[1] + inside[2])

/* S9: who only tries waits for an answer to RECALL, and for no program. */
inline check_tries()
{
    j = 0;
    do
    :: j < NODES * ENTRIES ->
        assert(o_state[j] != WAITING || !o_try[j] || recall == RECALL_SENT);
        j++
    :: else -> break
    od
}

/* The properties of every state. */
inline check()
{
    check_tries();
    assert(COUNT_INSIDE <= 1);                              /* S1 */
    assert(value <= 16);                                    /* never below zero */
    assert(OBJECT != SEM || value == 0 || len(waiters) == 0); /* S2 */
    assert(OBJECT != BARRIER || len(waiters) < PARTIES);    /* S3 */
    assert(OBJECT != MUTEX || holder != NONE || len(waiters) == 0 || dead[HOME])
}

/* --- calls: call.c --- */

/* context_floor(): flag. */
inline get_floor()
{
    flag = next[me];
    j = 0;
    do
    :: j < CALLS ->
        if
        :: c_open[me * CALLS + j] && c_number[me * CALLS + j] < flag ->
            flag = c_number[me * CALLS + j]
        :: else -> skip
        fi;
        j++
    :: else -> break
    od
}

inline send_call(s)
{
    get_floor();
    send(SYNC, HOME, 0, (c_cancelled[s] -> CANCEL : c_op[s]), c_number[s], flag, c_operand[s])
}

inline free_call(s)
{
    c_op[s] = 0;
    c_number[s] = 0;
    c_operand[s] = 0;
    c_open[s] = 0;
    c_timed[s] = 0;
    c_client[s] = 0;
    c_cancelled[s] = 0;
    c_queued[s] = 0
}

inline launch(s)
{
    c_number[s] = next[me];
    next[me]++;
    c_open[s] = 1;
    c_timed[s] = 1;
    send_call(s)
}

inline new_call(s, op_, client_)
{
    s = me * CALLS;
    do
    :: s < me * CALLS + CALLS && c_op[s] != 0 -> s++
    :: else -> break
    od;
    assert(s < me * CALLS + CALLS);
    c_op[s] = op_;
    c_client[s] = client_
}

inline launch_own(op_, operand_)
{
    new_call(own, op_, 0);
    c_operand[own] = operand_;
    launch(own)
}

/* The program gets an outcome: of what it waits for, and only once. */
inline answer(op_, error_, value_)
{
    assert(waits[me] == op_);
    waits[me] = 0;
    if
    :: op_ == LOCK && (error_ == 0 || error_ == EOWNERDEAD) ->
        assert(!owner_died || error_ == EOWNERDEAD); /* S5: the next one is told */
        owner_died = 0;
        inside[me] = 1
    :: op_ == SEM_WAIT && error_ == 0 -> taken++
    :: op_ == SEM_POST && error_ == 0 -> posted++
    :: op_ == ARRIVE && error_ == 0 -> released++
    :: op_ == FETCH_ADD && error_ == 0 ->
        assert((given & (1 << (value_))) == 0); /* S4 */
        given = given | (1 << (value_))
    :: else -> skip
    fi
}

inline give_back()
{
    if
    :: c_op[slot] == LOCK && (m_value == 0 || m_value == EOWNERDEAD) ->
        launch_own(UNLOCK_DEAD, c_number[slot]) /* C1 */
    :: c_op[slot] == SEM_WAIT && m_value == 0 -> launch_own(SEM_POST, 0)
    :: c_op[slot] == UNLOCK_DEAD || c_op[slot] == UNLOCK -> assert(m_value == 0) /* L1 */
    :: else -> skip
    fi
}

inline acknowledge()
{
    send(SYNC_ACK, from, 0, 0, m_number, 0, 0)
}

/* slot: the call of the message, NONE: it is closed. */
inline find_call()
{
    slot = NONE;
    i = 0;
    do
    :: i < CALLS ->
        if
        :: c_op[me * CALLS + i] != 0 && c_number[me * CALLS + i] == m_number ->
            slot = me * CALLS + i
        :: else -> skip
        fi;
        i++
    :: else -> break
    od
}

/* m_value: the error; m_floor: the value. */
inline on_sync_reply()
{
    find_call();
    if
    :: slot == NONE -> acknowledge()
    :: slot != NONE && m_value == EACCES && !c_cancelled[slot] ->
        c_queued[slot] = 0; /* launch_again() */
        launch(slot)
    :: slot != NONE && (m_flags & FLAG_QUEUED) ->
        c_queued[slot] = 1;
        c_open[slot] = 0;
        c_timed[slot] = 0
    :: else ->
        if
        :: m_value == EACCES -> m_value = ECANCELED
        :: else -> skip
        fi;
        if
        :: c_queued[slot] || m_value == ECANCELED -> acknowledge() /* C2 */
        :: else -> skip
        fi;
        if
        :: !c_client[slot] ->
            give_back();
            free_call(slot)
        :: else ->
            answer(c_op[slot], m_value, m_floor);
            if
            :: inside[me] && c_op[slot] == LOCK -> /* tokens_on_grant() */
                assert(t_number[me] == 0); /* L1 */
                t_number[me] = c_number[slot];
                t_recalled[me] = (m_flags & FLAG_WANTED) != 0
            :: else -> skip
            fi;
            free_call(slot)
        fi
    fi
}

inline cancel(s)
{
    c_cancelled[s] = 1;
    c_timed[s] = 1;
    send_call(s)
}

/* calls_on_sync() of a program */
inline begin_call(op_, operand_)
{
    if
    :: HOME_IS_LOST(me) -> skip /* EDOWN at once */
    :: else ->
        waits[me] = op_;
        rounds = 0;
        begun = begun + (op_ == SEM_POST || op_ == FETCH_ADD -> 1 : 0);
        new_call(slot, op_, 1);
        c_operand[slot] = operand_;
        launch(slot)
    fi
}

/* --- the token of a mutex: token.c --- */

/* It goes back: nobody holds it (L4). */
inline give_back_token()
{
    launch_own((t_dead[me] -> UNLOCK_DEAD : UNLOCK), t_number[me]);
    t_number[me] = 0;
    t_recalled[me] = 0;
    t_dead[me] = 0
}

/* By its word, or by a call that goes no further than the agent. */
inline lock_token()
{
    assert(!t_recalled[me]); /* L4: else it would have gone back */
    assert(!owner_died || t_dead[me]); /* L6: the next one is told */
    owner_died = 0;
    t_dead[me] = 0;
    inside[me] = 1;
    rounds = 0
}

/* The home of a token that is not here died: EDOWN. */
inline unlock_token()
{
    inside[me] = 0;
    rounds = 0;
    if
    :: t_number[me] != 0 && t_recalled[me] -> give_back_token()
    :: else -> skip
    fi
}

inline on_recall()
{
    if
    :: t_number[me] == m_number && !inside[me] ->
        give_back_token()
    :: t_number[me] == m_number && inside[me] ->
        t_recalled[me] = 1;
        send(HELD, HOME, 0, 0, m_number, 0, 0)
    :: else -> skip
    fi
}

/* calls_reap(): the program dies. */
inline reap()
{
    died = 1;
    rounds = 0;
    owner_died = owner_died || inside[me];
    t_dead[me] = t_dead[me] || (inside[me] && t_number[me] != 0); /* L6 */
    inside[me] = 0;
    waits[me] = 0;
    if
    :: t_number[me] != 0 && t_recalled[me] -> give_back_token()
    :: else -> skip
    fi;
    slot = me * CALLS;
    do
    :: slot < me * CALLS + CALLS ->
        if
        :: c_client[slot] ->
            c_client[slot] = 0;
            if
            :: c_op[slot] == LOCK || c_op[slot] == SEM_WAIT || c_op[slot] == ARRIVE ->
                cancel(slot)
            :: else -> skip
            fi
        :: else -> skip
        fi;
        slot++
    :: else -> break
    od
}

/* resend_one() for every call that is late */
inline resend_calls()
{
    slot = me * CALLS;
    do
    :: slot < me * CALLS + CALLS ->
        if
        :: c_timed[slot] && HOME_IS_LOST(me) -> /* calls_fail() */
            if
            :: c_client[slot] -> answer(c_op[slot], EDOWN, 0)
            :: else -> skip
            fi;
            free_call(slot)
        :: c_timed[slot] && !HOME_IS_LOST(me) ->
            c_queued[slot] = 1;
            send_call(slot)
        :: else -> skip
        fi;
        slot++
    :: else -> break
    od
}

/* node_hurry(): calls_hurry() and syncs_hurry(); peer NONE: all. */
inline hurry(peer)
{
    if
    :: peer == NONE || peer == HOME ->
        slot = me * CALLS;
        do
        :: slot < me * CALLS + CALLS ->
            c_timed[slot] = c_op[slot] != 0; /* what was parked as well */
            slot++
        :: else -> break
        od;
        resend_calls()
    :: else -> skip
    fi;
    if
    :: me == HOME ->
        send_queued_outcomes(peer);
        send_recall_again()
    :: else -> skip
    fi
}

/* syncs_hurry(), and syncs_resend() for every outcome that is late (S6) */
inline send_queued_outcomes(peer)
{
    entry = 0;
    do
    :: entry < NODES * ENTRIES ->
        if
        :: IS_UNACKNOWLEDGED(entry) && (peer == NONE || peer == entry / ENTRIES) ->
            send_outcome(entry)
        :: else -> skip
        fi;
        entry++
    :: else -> break
    od
}

/* All that is late at a node. */
inline resend()
{
    resend_calls();
    if
    :: me == HOME -> send_queued_outcomes(NONE);
        send_recall_again()
    :: else -> skip
    fi
}

/* --- the home: sync.c, mutex.c --- */

/* mutex_grant_flags() */
inline send_outcome(e)
{
    if
    :: o_state[e] == HOLDING && recall == RECALL_NONE && (len(waiters) > 0 || GUESSES) ->
        recall = RECALL_TOLD /* S8, S10 */
    :: else -> skip
    fi;
    send(SYNC_REPLY, (e) / ENTRIES,
         (o_state[e] == HOLDING && recall == RECALL_TOLD -> FLAG_WANTED : 0), 0, o_number[e],
         o_value[e], o_error[e])
}

inline send_recall()
{
    recall = RECALL_SENT;
    send(RECALL, holder, 0, 0, holder_number, 0, 0)
}

/* mutex_resend(), and a RECALL that a broken link may have lost */
inline send_recall_again()
{
    if
    :: recall == RECALL_SENT -> send_recall()
    :: else -> skip
    fi
}

/* Who only tries gets EAGAIN (S9). */
inline refuse_tries()
{
    k = len(waiters);
    do
    :: k > 0 ->
        waiters?n, number;
        find_op(n, number);
        if
        :: o_try[entry] -> finish(entry, EAGAIN, 0)
        :: else -> waiters!n, number
        fi;
        k--
    :: else -> break
    od
}

/* entry: the operation of that node with that number, NONE: there is none. */
inline find_op(node_, number_)
{
    entry = NONE;
    i = 0;
    do
    :: i < ENTRIES ->
        if
        :: o_state[(node_) * ENTRIES + i] != 0 && o_number[(node_) * ENTRIES + i] == (number_) ->
            entry = (node_) * ENTRIES + i
        :: else -> skip
        fi;
        i++
    :: else -> break
    od
}

inline clear_entry(e)
{
    o_op[e] = 0;
    o_number[e] = 0;
    o_state[e] = 0;
    o_error[e] = 0;
    o_value[e] = 0;
    o_atomic[e] = 0;
    o_queued[e] = 0;
    o_try[e] = 0
}

/* sync_free_op(): those behind it move up, so that the array is in the order of by_node. */
inline free_op(e)
{
    j = e;
    do
    :: j % ENTRIES < ENTRIES - 1 ->
        o_op[j] = o_op[j + 1];
        o_number[j] = o_number[j + 1];
        o_state[j] = o_state[j + 1];
        o_error[j] = o_error[j + 1];
        o_value[j] = o_value[j + 1];
        o_atomic[j] = o_atomic[j + 1];
        o_queued[j] = o_queued[j + 1];
        o_try[j] = o_try[j + 1];
        j++
    :: else -> break
    od;
    clear_entry(j)
}

inline new_op()
{
    entry = sender * ENTRIES;
    do
    :: entry < sender * ENTRIES + ENTRIES && o_state[entry] != 0 -> entry++
    :: else -> break
    od;
    assert(entry < sender * ENTRIES + ENTRIES);
    o_op[entry] = m_op;
    o_number[entry] = m_number;
    o_state[entry] = WAITING
}

inline finish(e, error_, value_)
{
    o_state[e] = DONE;
    o_error[e] = error_;
    o_value[e] = value_;
    send_outcome(e)
}

/* finish() of an operation that waits: n, number */
inline finish_waiter(error_)
{
    find_op(n, number);
    assert(entry != NONE && o_state[entry] == WAITING);
    finish(entry, error_, 0)
}

inline pass_mutex()
{
    assert(holder == NONE); /* S1 */
    recall = RECALL_NONE;
    if
    :: len(waiters) > 0 ->
        waiters?n, number;
        find_op(n, number);
        assert(entry != NONE && o_state[entry] == WAITING);
        o_state[entry] = HOLDING;
        o_error[entry] = (is_dead -> EOWNERDEAD : 0);
        is_dead = 0;
        holder = n;
        holder_number = number;
        refuse_tries();
        find_op(holder, holder_number);
        send_outcome(entry)
    :: else -> skip
    fi
}

inline unlock()
{
    if
    :: holder != sender || holder_number != m_value -> finish(entry, EPERM, 0)
    :: else ->
        find_op(holder, holder_number);
        assert(entry != NONE && o_state[entry] == HOLDING);
        free_op(entry);
        holder = NONE;
        holder_number = 0;
        is_dead = m_op == UNLOCK_DEAD;
        pass_mutex();
        find_op(sender, m_number);
        finish(entry, 0, 0)
    fi
}

inline post()
{
    if
    :: len(waiters) == 0 -> value++
    :: else ->
        waiters?n, number; /* S2 */
        finish_waiter(0)
    fi
}

inline arrive()
{
    waiters!sender, m_number;
    if
    :: len(waiters) == PARTIES ->
        freed = freed + PARTIES;
        do
        :: len(waiters) > 0 -> /* S3 */
            waiters?n, number;
            finish_waiter(0)
        :: else -> break
        od
    :: else -> skip
    fi
}

inline start_atomic()
{
    count_atomics++;
    o_atomic[entry] = count_atomics;
    send(ATOMIC, HOME, 0, sender, count_atomics, 0, 0)
}

inline carry_out()
{
    if
    :: m_op == LOCK && holder == NONE ->
        waiters!sender, m_number;
        pass_mutex()
    :: m_op == LOCK && holder != NONE ->
        if
        :: m_value == 1 && (recall == RECALL_TOLD || len(waiters) > 0) ->
            finish(entry, EAGAIN, 0)
        :: else ->
            o_try[entry] = m_value == 1;
            waiters!sender, m_number;
            if
            :: recall == RECALL_NONE -> send_recall() /* S8 */
            :: else -> skip
            fi
        fi
    :: m_op == UNLOCK || m_op == UNLOCK_DEAD -> unlock()
    :: m_op == SEM_POST ->
        finish(entry, 0, 0);
        post()
    :: m_op == SEM_WAIT ->
        if
        :: value > 0 ->
            value--;
            finish(entry, 0, 0)
        :: value == 0 && m_value == 1 -> finish(entry, EAGAIN, 0)
        :: else -> waiters!sender, m_number
        fi
    :: m_op == ARRIVE -> arrive()
    :: m_op == FETCH_ADD -> start_atomic()
    fi
}

inline send_refusal()
{
    send(SYNC_REPLY, sender, 0, 0, m_number, 0, EACCES)
}

/* flag: the request is new. */
inline on_cancel()
{
    if
    :: entry == NONE && !flag -> send_refusal()
    :: entry == NONE && flag ->
        new_op();
        finish(entry, ECANCELED, 0)
    :: entry != NONE && o_state[entry] == WAITING && OBJECT != ATOMICS ->
        waiters??eval(sender), eval(m_number);
        finish(entry, ECANCELED, 0) /* S5 */
    :: entry != NONE && o_state[entry] != WAITING -> send_outcome(entry)
    :: else -> skip
    fi
}

/* window_note(): flag */
inline note_number()
{
    if
    :: m_floor <= m_number && m_floor > window_floor[sender] ->
        window_bits[sender] = window_bits[sender] >> (m_floor - window_floor[sender]);
        window_floor[sender] = m_floor
    :: else -> skip
    fi;
    flag = 0;
    if
    :: m_number >= window_floor[sender] ->
        assert(m_number - window_floor[sender] < 8);
        flag = (window_bits[sender] & (1 << (m_number - window_floor[sender]))) == 0;
        window_bits[sender] = window_bits[sender] | (1 << (m_number - window_floor[sender]))
    :: else -> skip
    fi
}

inline raise_floor()
{
    k = sender * ENTRIES;
    do
    :: k < sender * ENTRIES + ENTRIES && o_state[k] != 0 && o_number[k] < m_floor ->
        if
        :: o_state[k] == DONE && !o_queued[k] -> free_op(k)
        :: else -> k++
        fi
    :: else -> break
    od
}

#define WAS_ADMITTED (m_number < window_floor[sender] || \
    (window_bits[sender] & (1 << (m_number - window_floor[sender]))) != 0)
#define NEEDS_RIGHT (m_op == LOCK || m_op == SEM_WAIT || m_op == ARRIVE || m_op == FETCH_ADD)

/* accept_request(), syncs_on_request() */
inline accept_request()
{
    note_number();
    raise_floor();
    find_op(sender, m_number);
    if
    :: m_op == CANCEL -> on_cancel()
    :: m_op != CANCEL && flag ->
        new_op();
        carry_out()
    :: m_op != CANCEL && !flag && entry == NONE -> send_refusal()
    :: m_op != CANCEL && !flag && entry != NONE && o_state[entry] == WAITING ->
        o_queued[entry] = 1;
        send(SYNC_REPLY, sender, FLAG_QUEUED, 0, m_number, 0, 0)
    :: else -> send_outcome(entry)
    fi
}

/* on_request(): the first requests that need a right are ahead of the news of it. */
inline on_sync()
{
    sender = from;
    if
    :: refusals > 0 && sender != HOME && NEEDS_RIGHT && !WAS_ADMITTED ->
        if
        :: parked_from == NONE ->
            parked_from = sender;
            parked_op = m_op;
            parked_number = m_number;
            parked_floor = m_floor;
            parked_operand = m_value
        :: else -> skip /* no room */
        fi
    :: else -> accept_request()
    fi
}

inline take_parked()
{
    sender = parked_from;
    m_op = parked_op;
    m_number = parked_number;
    m_floor = parked_floor;
    m_value = parked_operand;
    forget_parked()
}

inline forget_parked()
{
    parked_from = NONE;
    parked_op = 0;
    parked_number = 0;
    parked_floor = 0;
    parked_operand = 0
}

/* node_try_parked() when its time is up */
inline refuse_parked()
{
    take_parked();
    if
    :: WAS_ADMITTED -> accept_request()
    :: else ->
        note_number();
        send_refusal()
    fi
}

inline on_sync_ack()
{
    find_op(from, m_number);
    if
    :: entry != NONE ->
        o_queued[entry] = 0;
        if
        :: o_state[entry] == DONE -> free_op(entry)
        :: else -> skip
        fi
    :: else -> skip
    fi
}

inline on_held()
{
    if
    :: holder == from && holder_number == m_number && recall == RECALL_SENT ->
        recall = RECALL_TOLD;
        refuse_tries()
    :: else -> skip
    fi
}

inline on_atomic()
{
    pending!m_op, m_number
}

/* The page part does it when the page is here: ACTION_ATOMIC, EVENT_ATOMIC_DONE. */
inline do_atomic()
{
    pending?n, number;
    value++;
    send(ATOMIC_DONE, HOME, 0, 0, number, 0, value - 1)
}

inline on_atomic_done()
{
    k = 0;
    do
    :: k < NODES * ENTRIES && (o_state[k] != WAITING || o_atomic[k] != m_number) -> k++
    :: else -> break
    od;
    if
    :: k < NODES * ENTRIES -> finish(k, 0, m_value)
    :: else -> skip
    fi
}

/* syncs_member_died(), pages_member_died(), drop_parked() */
inline home_member_died(node)
{
    if
    :: parked_from == node -> forget_parked()
    :: else -> skip
    fi;
    i = len(waiters);
    do
    :: i > 0 ->
        waiters?n, number;
        if
        :: n != node -> waiters!n, number
        :: else -> skip
        fi;
        i--
    :: else -> break
    od;
    i = len(pending);
    do
    :: i > 0 ->
        pending?n, number;
        if
        :: n != node -> pending!n, number
        :: else -> skip
        fi;
        i--
    :: else -> break
    od;
    k = node * ENTRIES;
    do
    :: k < node * ENTRIES + ENTRIES ->
        clear_entry(k);
        k++
    :: else -> break
    od;
    if
    :: holder == node ->
        holder = NONE;
        holder_number = 0;
        is_dead = 1;
        pass_mutex()
    :: else -> skip
    fi;
    window_floor[node] = 0;
    window_bits[node] = 0
}

inline on_member_died(node)
{
    if
    :: me == HOME -> home_member_died(node)
    :: me != HOME && node == HOME -> /* tokens_home_died() */
        t_number[me] = 0;
        t_recalled[me] = 0;
        t_dead[me] = 0
    :: else -> skip
    fi;
    epoch[me] = 1
}

/* The node stops; what it has sent may still arrive, as what it had is gone. */
inline crash(node)
{
    crashed = 1;
    rounds = 0;
    dead[node] = 1;
    owner_died = owner_died || inside[node];
    inside[node] = 0;
    waits[node] = 0;
    accesses[node] = 0;
    t_number[node] = 0;
    t_recalled[node] = 0;
    t_dead[node] = 0;
    next[node] = 0;
    late[node] = 0;
    link_up[node] = 0;
    home_link_up[node] = 0;
    i = node * CALLS;
    do
    :: i < node * CALLS + CALLS ->
        free_call(i);
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
    if
    :: node == HOME ->
        forget_parked();
        do
        :: len(waiters) > 0 -> waiters?_, _
        :: else -> break
        od;
        do
        :: len(pending) > 0 -> pending?_, _
        :: else -> break
        od;
        i = 0;
        do
        :: i < NODES * ENTRIES ->
            clear_entry(i);
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < NODES ->
            window_floor[i] = 0;
            window_bits[i] = 0;
            link_up[i] = 0;
            home_link_up[i] = 0;
            i++
        :: else -> break
        od;
        holder = NONE;
        holder_number = 0;
        recall = RECALL_NONE;
        is_dead = 0;
        value = 0
    :: else -> skip
    fi
}

/* --- processes --- */

inline forget_step()
{
    kind = 0;
    m_epoch = 0;
    m_flags = 0;
    m_op = 0;
    m_number = 0;
    m_floor = 0;
    m_value = 0
}

inline forget_message()
{
    d_step { forget_step() }
}

#define IS_IDLE (empty(link[0]))
#define CAN_BREAK (IS_IDLE && !done && breaks > 0 && from != me && !dead[from] && !dead[me])

/* All that is under way is lost; both ends hear of the new link. */
inline break_link(from_, to_)
{
    breaks--;
    rounds = 0;
    do
    :: nempty(link[LINK(from_, to_)]) -> link[LINK(from_, to_)]?_, _, _, _, _, _, _
    :: else -> break
    od;
    i = (from_ == HOME -> to_ : from_);
    link_up[i] = 1;
    home_link_up[i] = 1
}

/* The link of a pair: node_on_message() at the node where it ends. */
proctype Link(byte from; byte me)
{
end:
    do
    :: atomic { (from == me || IS_IDLE) && nempty(link[LINK(from, me)]) ->
        link[LINK(from, me)]?kind, m_epoch, m_flags, m_op, m_number, m_floor, m_value;
        if
        :: from != me && m_epoch != epoch[me] -> skip /* of an old epoch, or ahead of ours */
        :: else ->
            if
            :: kind == SYNC -> d_step { on_sync(); check() }
            :: kind == SYNC_REPLY -> d_step { on_sync_reply(); check() }
            :: kind == SYNC_ACK -> d_step { on_sync_ack(); check() }
            :: kind == RECALL -> d_step { on_recall(); check() }
            :: kind == HELD -> d_step { on_held(); check() }
            :: kind == ATOMIC -> d_step { on_atomic(); check() }
            :: kind == ATOMIC_DONE -> d_step { on_atomic_done(); check() }
            fi
        fi;
        forget_message()
    }
    :: d_step { CAN_BREAK && nempty(link[LINK(from, me)]) -> break_link(from, me) }
    :: d_step { CAN_BREAK && from == HOME && nempty(link[LINK(from, me)]) &&
                nempty(link[LINK(me, from)]) ->
        break_link(from, me);
        breaks++;
        break_link(me, from)
    }
    :: d_step { IS_IDLE && dead[from] && from != me && nempty(link[LINK(from, me)]) ->
        link[LINK(from, me)]?_, _, _, _, _, _, _ /* broken off */
    }
    :: atomic { IS_IDLE && copies > 0 && from != me && nempty(link[LINK(from, me)]) ->
        copies--; /* comes again, later */
        link[LINK(from, me)]?<kind, m_epoch, m_flags, m_op, m_number, m_floor, m_value>;
        link[LINK(from, me)]!kind, m_epoch, m_flags, m_op, m_number, m_floor, m_value;
        forget_message()
    }
    od
}

/* slot: the call that the program waits for. */
inline find_waiting()
{
    slot = me * CALLS;
    do
    :: slot < me * CALLS + CALLS && !c_client[slot] -> slot++
    :: else -> break
    od;
    assert(slot < me * CALLS + CALLS && c_op[slot] == waits[me])
}

#define IS_FREE (IS_IDLE && !done && !dead[me] && waits[me] == 0)
#define MAY_BEGIN (IS_FREE && !inside[me] && accesses[me] > 0)

/* Faults and work of one node and its program. */
proctype Node(byte me)
{
end:
    do
    :: d_step { OBJECT == MUTEX && MAY_BEGIN && t_number[me] == 0 ->
        accesses[me]--;
        begin_call(LOCK, 0);
        check()
    }
    :: d_step { OBJECT == MUTEX && MAY_BEGIN && t_number[me] == 0 && tries > 0 ->
        tries--;
        accesses[me]--;
        begin_call(LOCK, 1);
        check()
    }
    :: d_step { OBJECT == MUTEX && MAY_BEGIN && t_number[me] != 0 ->
        accesses[me]--;
        lock_token();
        check()
    }
    :: d_step { OBJECT == MUTEX && IS_FREE && inside[me] -> unlock_token(); check() }
    :: d_step { OBJECT == SEM && MAY_BEGIN -> accesses[me]--; begin_call(SEM_WAIT, 0); check() }
    :: d_step { OBJECT == SEM && MAY_BEGIN && tries > 0 ->
        tries--;
        accesses[me]--;
        begin_call(SEM_WAIT, 1);
        check()
    }
    :: d_step { OBJECT == SEM && MAY_BEGIN -> accesses[me]--; begin_call(SEM_POST, 0); check() }
    :: d_step { OBJECT == BARRIER && MAY_BEGIN -> accesses[me]--; begin_call(ARRIVE, 0); check() }
    :: d_step { OBJECT == ATOMICS && MAY_BEGIN ->
        accesses[me]--;
        begin_call(FETCH_ADD, 0);
        check()
    }
    :: d_step { IS_IDLE && !done && timeouts > 0 &&
                (waits[me] == LOCK || waits[me] == SEM_WAIT || waits[me] == ARRIVE) ->
        timeouts--;
        rounds = 0;
        find_waiting();
        cancel(slot);
        check()
    }
    :: d_step { IS_IDLE && !done && deaths > 0 && (waits[me] != 0 || inside[me]) ->
        deaths--;
        reap();
        check()
    }
    :: d_step { IS_IDLE && late[me] -> late[me] = 0; resend(); check() }
    :: d_step { IS_IDLE && link_up[me] -> link_up[me] = 0; hurry(HOME); check() }
    :: d_step { me == HOME && IS_IDLE && home_link_up[1] ->
        home_link_up[1] = 0;
        hurry(1);
        check()
    }
    :: d_step { me == HOME && IS_IDLE && home_link_up[2] ->
        home_link_up[2] = 0;
        hurry(2);
        check()
    }
    :: d_step { me == HOME && IS_IDLE && len(pending) > 0 -> do_atomic(); check() }
    :: d_step { me == HOME && IS_IDLE && parked_from != NONE -> /* the news has come */
        refusals--;
        take_parked();
        accept_request();
        forget_step();
        check()
    }
    :: d_step { me == HOME && IS_IDLE && parked_from != NONE ->
        refusals--;
        refuse_parked();
        forget_step();
        check()
    }
    :: d_step { IS_IDLE && crashed && !dead[me] && !epoch[me] ->
        on_member_died((dead[0] -> 0 : (dead[1] -> 1 : 2)));
        hurry(NONE);
        check()
    }
    od
}

#define HAS_NEWS(n) (crashed && !dead[n] && !epoch[n])
#define IS_STILL (empty(link[0]) && empty(link[1]) && empty(link[2]) && empty(link[3]) && \
    empty(link[4]) && !late[0] && !late[1] && !late[2] && !link_up[1] && !link_up[2] && \
    !home_link_up[1] && !home_link_up[2] && len(pending) == 0 && parked_from == NONE && \
    !HAS_NEWS(0) && !HAS_NEWS(1) && !HAS_NEWS(2))
/* A timer of this node runs. */
#define IS_LATE(n) (c_timed[n * CALLS] || c_timed[n * CALLS + 1] || c_timed[n * CALLS + 2] || \
    (n == HOME && (OWES(0) || OWES(1) || OWES(2) || recall == RECALL_SENT)))
#define OWES(n) (IS_UNACKNOWLEDGED(n * ENTRIES) || IS_UNACKNOWLEDGED(n * ENTRIES + 1) || \
    IS_UNACKNOWLEDGED(n * ENTRIES + 2) || IS_UNACKNOWLEDGED(n * ENTRIES + 3))
#define IS_WAITED_FOR (IS_LATE(0) || IS_LATE(1) || IS_LATE(2))

/* At rest who waits is remembered by the home, and nothing else is under way. */
inline check_calls()
{
    slot = 0;
    do
    :: slot < NODES * CALLS ->
        if
        :: c_op[slot] != 0 ->
            assert(c_client[slot] && waits[slot / CALLS] == c_op[slot] && !dead[HOME]);
            find_op(slot / CALLS, c_number[slot]);
            assert(entry != NONE && o_state[entry] == WAITING && o_queued[entry]);
            assert(c_op[slot] != LOCK || COUNT_INSIDE == 1);
            assert(c_op[slot] == LOCK || c_op[slot] == SEM_WAIT || c_op[slot] == ARRIVE)
        :: else -> skip
        fi;
        slot++
    :: else -> break
    od
}

/* At rest the home remembers whoever waits or holds, and outcomes of the last requests only. */
inline check_entries()
{
    entry = 0;
    do
    :: entry < NODES * ENTRIES ->
        if
        :: o_state[entry] != 0 ->
            assert(!dead[entry / ENTRIES]);
            assert(!IS_UNACKNOWLEDGED(entry)); /* C2 */
            assert(o_state[entry] != HOLDING ||
                   t_number[entry / ENTRIES] == o_number[entry]); /* L1, C1 */
            assert(o_state[entry] != WAITING || waits[entry / ENTRIES] != 0)
        :: else -> skip
        fi;
        entry++
    :: else -> break
    od
}

inline check_counts()
{
    if
    :: dead[HOME] -> skip
    :: OBJECT == SEM && !dead[HOME] ->
        assert(value + taken <= SEM_START + begun); /* nothing out of nothing, */
        assert(value + taken + crashed >= SEM_START + posted); /* no post is lost */
        assert(died || crashed || value + taken == SEM_START + begun)
    :: OBJECT == BARRIER && !dead[HOME] ->
        assert(released <= freed && released + (died || crashed) >= freed) /* S3 */
    :: OBJECT == ATOMICS && !dead[HOME] ->
        assert(value <= begun && value + crashed >= begun); /* S4 */
        assert(given < (1 << value) && (died || crashed || given == (1 << value) - 1))
    :: else ->
        assert(OBJECT != MUTEX || holder != NONE || COUNT_INSIDE == 0);
        assert(OBJECT != MUTEX || holder == NONE || t_number[holder] == holder_number) /* L1 */
    fi
}

/* Every program goes on to its end, if progress is what is looked at. */
#ifdef PROGRESS
#define MAY_END (COUNT_INSIDE + accesses[0] + accesses[1] + accesses[2] == 0)
#else
#define MAY_END true
#endif

/* Timers: all calls become late when nothing else moves any more; or, some times, before. */
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
    :: d_step { !done && IS_STILL && !IS_WAITED_FOR && MAY_END ->
        check_calls();
        check_entries();
        check_counts();
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

/* With PROGRESS rounds are not counted, so timers may go round for ever: who waits is answered. */
#ifdef PROGRESS
ltl answered {
    [] ((waits[0] != 0 -> <> (waits[0] == 0)) && (waits[1] != 0 -> <> (waits[1] == 0)) &&
        (waits[2] != 0 -> <> (waits[2] == 0)))
}
#endif

init {
    atomic {
        accesses[0] = OPS0;
        accesses[1] = OPS1;
        accesses[2] = OPS2;
        next[0] = 1;
        next[1] = 1;
        next[2] = 1;
        run Link(0, 0);
        run Link(0, 1);
        run Link(0, 2);
        run Link(1, 0);
        run Link(2, 0);
        run Node(0);
        run Node(1);
        run Node(2);
        run Clock();
        run Crash()
    }
}
