/* Weather stations on machines of any kind share one typed region: each adds, and prints all. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <dsm.h>
#include <dsm_type.h>

struct measurement {
    uint64_t second;
    float celsius;
    uint16_t station;
    uint8_t pad[2]; /* said, so that it is the same for every compiler */
};

struct stations {
    uint64_t count;
    struct measurement measurements[255];
};

#define TYPE "struct { u64 count; struct { u64 second; f32 celsius; u16 station; pad 2; }[255] m; }"

