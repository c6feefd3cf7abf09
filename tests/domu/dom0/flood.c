/*
 * Opens more TCP connections to a guest than it can have, or sends it more connection requests than it can answer.
 *
 *   flood connections ADDRESS PORT COUNT SECONDS   that many at once; half a request on each that is made, and silence
 *   flood syns ADDRESS PORT COUNT                  that many requests from addresses that nobody has
 *
 * Prints how many connections were made, or requests sent. The first holds its connections for SECONDS.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 8000

static struct pollfd waiting[MOST];

/* Half of a request's head: the guest must wait for the rest, and keep this. */
static const char half[] = "GET / HTTP/1.1\r\nHost: flood\r\nX-Never-Ends: ";

static int connections(const struct sockaddr_in *to, int count, int seconds)
{
    struct rlimit files = { MOST + 100, MOST + 100 };
    time_t end;
    int made = 0, refused = 0, i;

    if (setrlimit(RLIMIT_NOFILE, &files)) {
        perror("flood: RLIMIT_NOFILE");
        return 1;
    }
    for (i = 0; i < count; i++) {
        waiting[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        waiting[i].events = POLLOUT;
        if (waiting[i].fd < 0) {
            perror("flood: socket");
            return 1;
        }
        if (connect(waiting[i].fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS) {
            perror("flood: connect");
            return 1;
        }
    }
    /* On a busy machine the requests alone may have taken as long. */
    end = time(NULL) + seconds;
    while (time(NULL) < end) {
        if (poll(waiting, count, 200) <= 0)
            continue;
        for (i = 0; i < count; i++) {
            if (!waiting[i].revents)
                continue;
            /* What is decided is not looked at again, and stays open. */
            if (waiting[i].revents & (POLLERR | POLLHUP))
                refused++;
            else if (send(waiting[i].fd, half, sizeof(half) - 1, MSG_NOSIGNAL) > 0)
                made++;
            waiting[i].fd = -1 - waiting[i].fd;
        }
    }
    printf("%d %d\n", made, refused);
    return 0;
}

/* Of a header and what goes before it: 16-bit words in the order of the network (RFC 1071). */
static uint16_t checksum(uint32_t sum, const void *bytes, size_t len)
{
    const uint16_t *word = bytes;

    for (; len > 1; len -= 2)
        sum += *word++;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static int syns(const struct sockaddr_in *to, int count)
{
    struct {
        struct iphdr ip;
        struct tcphdr tcp;
    } packet;
    int raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), sent = 0, i;

    if (raw < 0) {
        perror("flood: raw socket");
        return 1;
    }
    for (i = 0; i < count; i++) {
        uint32_t sum;

        memset(&packet, 0, sizeof(packet));
        packet.ip.version = 4;
        packet.ip.ihl = 5;
        packet.ip.ttl = 64;
        packet.ip.protocol = IPPROTO_TCP;
        /* 10.0.2.128 and on: in the guest's network, and nobody's. */
        packet.ip.saddr = htonl(0x0a000280 + i % 120);
        packet.ip.daddr = to->sin_addr.s_addr;
        packet.tcp.source = htons(1024 + i);
        packet.tcp.dest = to->sin_port;
        packet.tcp.seq = htonl(i * 2654435761u);
        packet.tcp.doff = 5;
        packet.tcp.syn = 1;
        packet.tcp.window = htons(8192);
        sum = (packet.ip.saddr & 0xffff) + (packet.ip.saddr >> 16) + (packet.ip.daddr & 0xffff) +
              (packet.ip.daddr >> 16) + htons(IPPROTO_TCP) + htons(sizeof(packet.tcp));
        packet.tcp.check = checksum(sum, &packet.tcp, sizeof(packet.tcp));
        if (sendto(raw, &packet, sizeof(packet), 0, (const struct sockaddr *)to, sizeof(*to)) == sizeof(packet))
            sent++;
    }
    printf("%d\n", sent);
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    int count;

    if (argc >= 5 && inet_pton(AF_INET, argv[2], &to.sin_addr) == 1) {
        to.sin_port = htons(atoi(argv[3]));
        count = atoi(argv[4]);
        if (argc == 6 && !strcmp(argv[1], "connections") && count > 0 && count <= MOST)
            return connections(&to, count, atoi(argv[5]));
        if (argc == 5 && !strcmp(argv[1], "syns") && count > 0 && count <= 60000)
            return syns(&to, count);
    }
    fprintf(stderr, "usage: flood connections ADDRESS PORT COUNT SECONDS | flood syns ADDRESS PORT COUNT\n");
    return 2;
}
