/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e-echo: round trips over TLS between two hosts, of the messages of a read miss and by the same
 * links as agents have; but nobody looks anything up. What a miss between hosts of the same kinds
 * is compared with.
 *
 *   e2e-echo CA CERTIFICATE KEY serve ADDRESS                  prints the port, answers for ever
 *   e2e-echo CA CERTIFICATE KEY ask ADDRESS PORT BYTES COUNT   prints the median in us
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/bench/limit.h"
#include "tests/bench/series.h"

static int serve(struct tls_end *end, const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len_bytes = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (inet_pton(AF_INET, address, &at.sin_addr) != 1 || fd < 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 8) ||
        getsockname(fd, (struct sockaddr *)&at, &len_bytes)) {
        perror("e2e-echo");
        return 1;
    }
    printf("%u\n", (unsigned)ntohs(at.sin_port));
    fflush(stdout);
    tls_serve(end, fd);
    return 1;
}

static int ask(struct tls_end *end, char **words)
{
    size_t len_bytes = strtoul(words[2], NULL, 10), count = strtoul(words[3], NULL, 10);
    double *samples = calloc(count, sizeof(*samples));
    int error = !samples || tls_connect(end, words[0], (uint16_t)strtoul(words[1], NULL, 10)) ||
                tls_measure_round_trips(end, len_bytes, samples, count);

    if (error) {
        fprintf(stderr, "e2e-echo: no round trips\n");
    } else {
        printf("%.3f\n", values_median(samples, count));
    }
    free(samples);
    return error;
}

int main(int argc, char **argv)
{
    struct tls_end end;
    int status = 2;

    if (argc < 6 || tls_end_init(&end, argv[1], argv[2], argv[3])) {
        return status;
    }
    if (strcmp(argv[4], "serve") == 0 && argc == 6) {
        status = serve(&end, argv[5]);
    } else if (strcmp(argv[4], "ask") == 0 && argc == 9) {
        status = ask(&end, argv + 5);
    }
    tls_end_close(&end);
    return status;
}
