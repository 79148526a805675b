/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/result.h"

#include <stdio.h>
#include <string.h>

const struct target *result_target(const struct result *result)
{
    const struct op *op = result->op;

    return result->agents_poll && op->polling.kind != TARGET_NONE ? &op->polling : &op->target;
}

int result_is_met(const struct result *result)
{
    const struct target *target = result_target(result);
    bool is_met = true;

    switch (target->kind) {
    case TARGET_NONE:
        return -1;
    case TARGET_RATIO_MAX:
        is_met = result->ratio <= target->value;
        break;
    case TARGET_RATIO_MIN:
        is_met = result->ratio >= target->value;
        break;
    case TARGET_MAX:
        is_met = result->median <= target->value;
        break;
    case TARGET_MIN:
        is_met = result->median >= target->value;
        break;
    }
    if (target->p99_of_median > 0 && result->p99 > target->p99_of_median * result->median) {
        is_met = false;
    }
    return is_met;
}

void result_target_text(const struct result *result, char *text, size_t size_bytes)
{
    const struct target *target = result_target(result);
    bool is_max = target->kind == TARGET_RATIO_MAX || target->kind == TARGET_MAX;
    bool is_ratio = target->kind == TARGET_RATIO_MAX || target->kind == TARGET_RATIO_MIN;
    char tail[32] = "";

    if (target->p99_of_median > 0) {
        snprintf(tail, sizeof(tail), ", p99 <= %g x median", target->p99_of_median);
    }
    if (target->kind == TARGET_NONE) {
        text[0] = 0;
    } else {
        snprintf(text, size_bytes, "%s %g %s%s", is_max ? "<=" : ">=", target->value,
                 is_ratio ? "x" : result->op->unit, tail);
    }
}

/* By how much a target was missed, in a few words. */
static void verdict_text(const struct result *result, char *text, size_t size_bytes)
{
    const struct target *target = result_target(result);
    bool is_ratio = target->kind == TARGET_RATIO_MAX || target->kind == TARGET_RATIO_MIN;
    bool is_max = target->kind == TARGET_RATIO_MAX || target->kind == TARGET_MAX;
    double part = (is_ratio ? result->ratio : result->median) / target->value;

    if (target->kind == TARGET_NONE) {
        text[0] = 0;
    } else if (result_is_met(result)) {
        snprintf(text, size_bytes, "met");
    } else if (is_max && part > 2) {
        snprintf(text, size_bytes, "missed: %.*f x", part < 100, part);
    } else if (is_max && part > 1) {
        snprintf(text, size_bytes, "missed by %.0f %%", (part - 1) * 100);
    } else if (!is_max && part < 1) {
        snprintf(text, size_bytes, "missed by %.0f %%", (1 - part) * 100);
    } else {
        snprintf(text, size_bytes, "missed, p99 is %.1f x", result->p99 / result->median);
    }
}

void result_place(const struct bench *bench, char place[32])
{
    snprintf(place, 32, "%s%s", pinning_name(bench->pinning), bench->agents_poll ? "-poll" : "");
}

/* Each hundredth, and what is beyond the last one: enough to draw the distribution. */
static json_t *quantiles_to_json(const struct result *result)
{
    json_t *array = json_array();

    for (int i = 0; i <= 100; i++) {
        json_array_append_new(array, json_real(result_quantile(result, i / 100.0)));
    }
    return array;
}

static void set_number(json_t *object, const char *name, double number, bool is_known)
{
    json_object_set_new(object, name, is_known ? json_real(number) : json_null());
}

json_t *result_to_json(const struct bench *bench, const struct result *result)
{
    const struct op *op = result->op;
    char place[32], target[64], verdict[64];
    bool has_limit = result->limit > 0;
    enum target_kind kind = result_target(result)->kind;
    bool is_ratio = kind == TARGET_RATIO_MAX || kind == TARGET_RATIO_MIN;
    int met = result_is_met(result);
    json_t *object = json_object(), *peers = json_array();

    result_place(bench, place);
    result_target_text(result, target, sizeof(target));
    verdict_text(result, verdict, sizeof(verdict));
    for (int i = 0; i < PEERS_MAX && op->peers[i]; i++) {
        json_array_append_new(peers, json_string(op->peers[i]));
    }
    json_object_set_new(object, "op", json_string(op->name));
    json_object_set_new(object, "pinning", json_string(place));
    json_object_set_new(object, "unit", json_string(op->unit));
    json_object_set_new(object, "median", json_real(result->median));
    json_object_set_new(object, "p99", json_real(result->p99));
    json_object_set_new(object, "count", json_integer((json_int_t)result->samples.count));
    set_number(object, "limit", result->limit, has_limit);
    set_number(object, "ratio", result->ratio, has_limit);
    set_number(object, "limit_polled", result->polled, result->polled > 0);
    set_number(object, "messages_per_op", result->messages_per_op, result->messages_per_op >= 0);
    json_object_set_new(object, "limit_is", json_string(op->limit_is ? op->limit_is : ""));
    json_object_set_new(object, "target", json_string(target));
    set_number(object, "target_value", result_target(result)->value, met >= 0);
    json_object_set_new(object, "target_is_ratio", json_boolean(is_ratio));
    json_object_set_new(object, "verdict", json_string(verdict));
    json_object_set_new(object, "what", json_string(op->text));
    json_object_set_new(object, "meaning", json_string(op->meaning));
    json_object_set_new(object, "met", met < 0 ? json_null() : json_boolean(met));
    json_object_set_new(object, "more_is_better", json_boolean(op->is_rate));
    json_object_set_new(object, "peers", peers);
    json_object_set_new(object, "quantiles", quantiles_to_json(result));
    return object;
}

void result_print_head(void)
{
    printf("%-13s %-9s %12s %12s %10s %7s %-10s %8s  %-28s %s\n", "operation", "pinning", "median",
           "p99", "limit", "ratio", "unit", "msgs/op", "target", "the limit");
}

static const char *number_text(char text[32], double number, int digits, bool is_known)
{
    snprintf(text, 32, "%.*f", digits, number);
    return is_known ? text : "-";
}

void result_print(const struct bench *bench, const struct result *result)
{
    const struct op *op = result->op;
    char limit[32], ratio[32], messages[32], target[64], place[32];
    bool has_limit = result->limit > 0;

    result_place(bench, place);
    result_target_text(result, target, sizeof(target));
    printf("%-13s %-9s %12.2f %12.2f %10s %7s %-10s %8s  %-28s %s\n", op->name, place,
           result->median, result->p99, number_text(limit, result->limit, 2, has_limit),
           number_text(ratio, result->ratio, 2, has_limit), op->unit,
           number_text(messages, result->messages_per_op, 3, result->messages_per_op >= 0), target,
           op->limit_is ? op->limit_is : "");
}
