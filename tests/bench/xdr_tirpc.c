/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/xdr.h"

#include <rpc/rpc.h>
#include <string.h>

static bool_t xdr_pixel(XDR *xdr, struct pixel *pixel)
{
    return xdr_u_short(xdr, &pixel->red) && xdr_u_short(xdr, &pixel->green) &&
           xdr_double(xdr, &pixel->value);
}

static const struct {
    const char *word;
    uint32_t size_bytes;
    xdrproc_t routine;
} routines[] = {
    {"u16", 2, (xdrproc_t)xdr_u_short},  {"u32", 4, (xdrproc_t)xdr_u_int},
    {"u64", 8, (xdrproc_t)xdr_uint64_t}, {"f32", 4, (xdrproc_t)xdr_float},
    {"f64", 8, (xdrproc_t)xdr_double},   {"struct", sizeof(struct pixel), (xdrproc_t)xdr_pixel},
};

int xdr_convert(const char *word, uint8_t *coded, size_t coded_bytes, void *to, uint32_t count)
{
    for (size_t i = 0; i < sizeof(routines) / sizeof(routines[0]); i++) {
        XDR xdr;

        if (strcmp(routines[i].word, word) != 0) {
            continue;
        }
        xdrmem_create(&xdr, (char *)coded, (u_int)coded_bytes, XDR_DECODE);
        return xdr_vector(&xdr, to, count, routines[i].size_bytes, routines[i].routine) ? 0 : -1;
    }
    return -1;
}
