/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SIGSEGV handler of the process. It runs with all signals blocked, on the thread's alternate
 * stack if there is one; while it waits for a page, the signals that the thread had not blocked
 * come in, as they do in a thread that the kernel has stopped for userfaultfd. It holds nothing
 * then, so their handlers may touch regions, and may leave by siglongjmp().
 */
#include "dsm/lib/segv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "dsm.h"
#include "dsm_io.h"

#ifndef SEGV_MAPERR
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#endif

static enum segv_verdict judge(const siginfo_t *info, const void *context, const sigset_t *mask)
{
    struct segv *segv = segv_find();

    /* Others are no touches of memory (kill(2)), or not for want of access (protection keys). */
    if (segv == NULL || (info->si_code != SEGV_MAPERR && info->si_code != SEGV_ACCERR)) {
        return SEGV_FOREIGN;
    }
    return segv_fault(segv, (uintptr_t)info->si_addr, access_hint(context), mask);
}

int dsm_on_sigsegv(const void *info, void *context)
{
    sigset_t all, before;
    int saved = errno;
    enum segv_verdict verdict;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    verdict = judge(info, context, &before);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return verdict == SEGV_AGAIN;
}

/*
 * The instruction runs again and ends the process as it would have without us, with a true core. A
 * signal that another process sent does not come again by itself.
 */
static void end_by_default(const siginfo_t *info)
{
    struct sigaction fatal = {.sa_handler = SIG_DFL};

    (void)sigaction(SIGSEGV, &fatal, NULL);
    if (info->si_code <= 0) {
        (void)raise(SIGSEGV);
    }
}

/* As the kernel would call it: with its mask and flags. Only the stack may be another. */
static void call_program(struct segv *segv, siginfo_t *info, ucontext_t *frame)
{
    struct sigaction before = segv->before;
    sigset_t mask;

    if ((before.sa_flags & SA_RESETHAND) != 0) {
        segv->before.sa_handler = SIG_DFL;
        segv->before.sa_flags = 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &frame->uc_sigmask, NULL);
    mask = before.sa_mask;
    if ((before.sa_flags & SA_NODEFER) == 0) {
        (void)sigaddset(&mask, SIGSEGV);
    }
    (void)pthread_sigmask(SIG_BLOCK, &mask, NULL);
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(SIGSEGV, info, frame);
    } else {
        before.sa_handler(SIGSEGV);
    }
}

/* For what is not ours: as if we were not there. */
static void chain(struct segv *segv, siginfo_t *info, ucontext_t *frame)
{
    bool is_plain = (segv->before.sa_flags & SA_SIGINFO) == 0;

    if (is_plain && segv->before.sa_handler == SIG_IGN && info->si_code <= 0) {
        return;
    }
    /* The kernel does not let a program ignore its own violations. */
    if (is_plain && (segv->before.sa_handler == SIG_DFL || segv->before.sa_handler == SIG_IGN)) {
        end_by_default(info);
    } else {
        call_program(segv, info, frame);
    }
}

static void on_sigsegv(int number, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    int saved = errno;

    (void)number;
    if (judge(info, context, &frame->uc_sigmask) == SEGV_FOREIGN) {
        chain(segv_find(), info, frame);
    }
    errno = saved;
}

/* SIGSEGV itself is among the blocked ones: a fault of the handler's own ends the process. */
static void action_fill(struct sigaction *action)
{
    memset(action, 0, sizeof *action);
    action->sa_sigaction = on_sigsegv;
    action->sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    (void)sigfillset(&action->sa_mask);
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == on_sigsegv;
}

/* Under the lock. */
static int install(struct segv *segv)
{
    struct sigaction ours, now;

    if (sigaction(SIGSEGV, NULL, &now) != 0) {
        return DSM_ESYS;
    }
    /* What is there calls ours, so ours must not call it. */
    if (segv->is_called_by_program && !is_ours(&now)) {
        return 0;
    }
    segv->before = now; /* Known before ours can run. */
    segv->is_called_by_program = false;
    action_fill(&ours);
    return sigaction(SIGSEGV, &ours, NULL) != 0 ? DSM_ESYS : 0;
}

int segv_handler_add(struct segv *segv)
{
    int error = 0;

    (void)pthread_mutex_lock(&segv->lock);
    if (segv->count_handlers == 0) {
        error = install(segv);
    }
    if (error == 0) {
        segv->count_handlers++;
    }
    (void)pthread_mutex_unlock(&segv->lock);
    return error;
}

void segv_handler_remove(struct segv *segv)
{
    struct sigaction now;

    (void)pthread_mutex_lock(&segv->lock);
    if (--segv->count_handlers == 0 && sigaction(SIGSEGV, NULL, &now) == 0) {
        if (is_ours(&now)) {
            (void)sigaction(SIGSEGV, &segv->before, NULL);
        } else {
            /* The program has put another one in its place, which may call ours for ever. */
            segv->is_called_by_program = true;
        }
    }
    (void)pthread_mutex_unlock(&segv->lock);
}
