/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The programs that analyse a large scene take orders on standard input, a task's name in a line
 * (with " kept" behind it: without fetching again what the program had), and answer each with what
 * they found in their part of the scene, as a line of JSON. Who gives the orders adds the parts up.
 */
#ifndef SCENE_ORDERS_H
#define SCENE_ORDERS_H

#include <stdio.h>

#include "analysis.h"

struct order {
    enum analysis_task task;
    bool is_kept;
};

/** Say that orders may come; what it took to come so far is not measured. */
void order_ready(void);
/** Read an order from a stream. Returns false at its end, or after a line on standard error. */
bool order_read(struct order *order, FILE *from);
/** Tell what was found. */
void order_answer(const struct analysis *found);
/** A number from a word of the command line; ends the program when it is none or beyond most. */
uint32_t order_number(const char *word, uint32_t most);

#endif
