/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TESTS_MAX 64

int main(void)
{
    const struct CMUnitTest *const groups[] = {page_tests, signal_tests, handler_tests, call_tests,
                                               end_tests};
    const size_t counts[] = {page_tests_count, signal_tests_count, handler_tests_count,
                             call_tests_count, end_tests_count};
    struct CMUnitTest tests[TESTS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        memcpy(tests + count, groups[i], counts[i] * sizeof tests[0]);
        count += counts[i];
    }
    (void)signal(SIGPIPE, SIG_IGN);
    return _cmocka_run_group_tests("conform", tests, count, NULL, NULL);
}
