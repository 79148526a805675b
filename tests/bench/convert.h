/* SPDX-License-Identifier: Apache-2.0 */
/** dsm-bench convert: how fast typed bytes are converted, beside memcpy and XDR. */
#ifndef DSM_BENCH_CONVERT_H
#define DSM_BENCH_CONVERT_H

/**
 * Measure and print.
 *
 * @argv "convert", then --json, --rounds N (5 to 64)
 *
 * Returns the exit status: 0 measured, 1 failed, 2 wrong usage.
 */
int bench_convert(int argc, char **argv);

#endif
