/* SPDX-License-Identifier: Apache-2.0 */
/** The yardstick of conversions: Sun's XDR, where libtirpc is installed. */
#ifndef DSM_BENCH_XDR_H
#define DSM_BENCH_XDR_H

#include <stddef.h>
#include <stdint.h>

/** The struct that is converted: `struct { u16 red; u16 green; pad 4; f64 value; }`. */
struct pixel {
    uint16_t red, green;
    uint32_t unused;
    double value;
};

/**
 * Decode count values of a type from XDR's form, as a receiver does.
 *
 * @word  "u16", "u32", "u64", "f32", "f64" or "struct"
 * @coded 8 bytes for each value, 16 for each struct, at most
 * @to    the values
 *
 * Returns 0, or -1 when there is no such routine, or no XDR here.
 */
int xdr_convert(const char *word, uint8_t *coded, size_t coded_bytes, void *to, uint32_t count);

#endif
