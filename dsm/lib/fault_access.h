/* SPDX-License-Identifier: Apache-2.0 */
/** What the processor told the kernel of a memory fault; one file for each kind of processor. */
#ifndef DSM_LIB_FAULT_ACCESS_H
#define DSM_LIB_FAULT_ACCESS_H

enum access_hint {
    ACCESS_HINT_UNKNOWN,
    ACCESS_HINT_READ, /* or an instruction was to be fetched */
    ACCESS_HINT_WRITE,
};

/** Was it a load or a store? @context of the signal handler, a ucontext_t. Async-signal-safe. */
enum access_hint access_hint(const void *context);

#endif
