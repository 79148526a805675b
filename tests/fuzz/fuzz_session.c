/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What local programs may send to an agent: the whole agent is there, behind its real socket. The
 * input is a series of steps of up to three programs, now and then one of another agent.
 */
#include "tests/fuzz/whole_agent.h"

/** More steps find nothing that these do not. */
#define STEPS_MAX 100u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    struct input input = {bytes, bytes + len_bytes};
    uint32_t descriptors = whole_descriptors();
    struct whole *whole = whole_new(true);

    for (uint32_t i = 0; i < STEPS_MAX && !input_is_over(&input); i++) {
        uint8_t step = input_byte(&input);

        if (step < 224) {
            whole_program_step(whole, &input);
        } else {
            whole_peer_step(whole, &input);
        }
        if (step % 4 != 0) { /* else more comes before the agent looks */
            whole_run(whole);
        }
        if (whole->agent->is_stopping) {
            break;
        }
    }
    whole_free(whole);
    require(descriptor_count() == descriptors);
    return 0;
}
