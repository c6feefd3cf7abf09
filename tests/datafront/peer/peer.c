/*
 * A program over libxenvchan, as an application in dom0 would be one: the other side in tests and in the comparison.
 *
 *   peer client DOMID PATH ACTION …           connects to a guest's server, tries for 20 s
 *   peer server DOMID PATH LEFT RIGHT ACTION …   serves a guest's client
 *
 *   echo BYTES SEED      sends a pattern in pieces, wants it back byte for byte; prints "echoed BYTES"
 *   corrupt              writes an index that cannot be, prints what the other side does
 *   hold                 stays until it is killed
 *   pump BLOCK COUNT WINDOW   sends blocks, at most WINDOW without an answer of 32 bytes; prints "COUNT seconds"
 *   drain                     takes the blocks of a pump, answers each with 32 bytes
 *   store FILE                the same, and each block takes the place of the file before its answer
 */
#include <fcntl.h>
#include <libxenvchan.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct libxenvchan *channel;

static void fail(const char *what)
{
    fprintf(stderr, "peer: %s\n", what);
    exit(1);
}

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void send_all(const char *bytes, size_t len)
{
    while (len > 0) {
        int sent = libxenvchan_write(channel, bytes, len);
        if (sent <= 0)
            fail("write failed");
        bytes += sent;
        len -= sent;
    }
}

static void receive_all(char *bytes, size_t len)
{
    while (len > 0) {
        int got = libxenvchan_read(channel, bytes, len);
        if (got <= 0)
            fail("read failed");
        bytes += got;
        len -= got;
    }
}

/* No more is under way than the rings hold: the other side writes before it reads on. */
static void echo(uint64_t total, uint64_t seed)
{
    static char out[1024], in[1024];
    uint64_t state = seed * 2 + 1, done = 0;
    while (done < total) {
        size_t len = 1 + next(&state) % sizeof out;
        if (len > total - done)
            len = total - done;
        for (size_t i = 0; i < len; i++)
            out[i] = (char)next(&state);
        send_all(out, len);
        receive_all(in, len);
        if (memcmp(out, in, len) != 0)
            fail("what came back is not what was sent");
        done += len;
    }
    printf("echoed %llu\n", (unsigned long long)done);
}

static void corrupt(void)
{
    struct vchan_interface *ring = channel->ring;
    char byte;
    send_all("x", 1);
    receive_all(&byte, 1);
    if (channel->is_server)
        ring->right.prod += 1 << 24;
    else
        ring->left.prod += 1 << 24;
    xenevtchn_notify(channel->event, channel->event_port);
    for (int i = 0; i < 100 && libxenvchan_is_open(channel) == 1; i++)
        usleep(100 * 1000);
    printf("corrupt: open %d\n", libxenvchan_is_open(channel));
}

/* The first block is not counted: it warms up both sides. */
static void pump(uint64_t block, long count, long window)
{
    char *bytes = calloc(1, block);
    char answer[32];
    long answered = 0;
    uint64_t head[2] = { block, count + 1 };
    struct timespec begun, ended;
    send_all((char *)head, sizeof head);
    send_all(bytes, block);
    receive_all(answer, sizeof answer);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (long sent = 0; sent < count; sent++) {
        send_all(bytes, block);
        if (sent + 1 - answered >= window) {
            receive_all(answer, sizeof answer);
            answered++;
        }
    }
    for (; answered < count; answered++)
        receive_all(answer, sizeof answer);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%ld %.9f\n", count, ended.tv_sec - begun.tv_sec + (ended.tv_nsec - begun.tv_nsec) / 1e9);
}

static void drain(const char *path)
{
    static char bytes[32768];
    char answer[32] = { 0 };
    uint64_t head[2];
    receive_all((char *)head, sizeof head);
    char new[256];
    snprintf(new, sizeof new, "%s.new", path ? path : "");
    for (uint64_t done = 0; done < head[1]; done++) {
        uint64_t left = head[0];
        int file = path ? open(new, O_CREAT | O_TRUNC | O_WRONLY, 0644) : -1;
        if (path && file < 0)
            fail("cannot make the file");
        while (left > 0) {
            int got = libxenvchan_read(channel, bytes, left < sizeof bytes ? left : sizeof bytes);
            if (got <= 0)
                fail("read failed");
            if (path && write(file, bytes, got) != got)
                fail("cannot write the file");
            left -= got;
        }
        if (path && (fsync(file) || close(file) || rename(new, path)))
            fail("cannot put the file into its place");
        send_all(answer, sizeof answer);
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int is_server = argc > 1 && strcmp(argv[1], "server") == 0;
    if (argc < (is_server ? 7 : 5))
        fail("see the head of peer.c");
    int domid = atoi(argv[2]);
    const char *path = argv[3];
    char **action = argv + (is_server ? 6 : 4);
    if (is_server) {
        channel = libxenvchan_server_init(NULL, domid, path, atoi(argv[4]), atoi(argv[5]));
    } else {
        for (int i = 0; i < 200 && channel == NULL; i++) {
            channel = libxenvchan_client_init(NULL, domid, path);
            if (channel == NULL)
                usleep(100 * 1000);
        }
    }
    if (channel == NULL)
        fail("no channel");
    channel->blocking = 1;
    printf("open\n");
    /* A server in blocking mode waits for its client; libxenvchan itself takes 2, not yet connected, for open. */
    while (libxenvchan_is_open(channel) == 2)
        libxenvchan_wait(channel);
    argc -= action - argv;
    if (strcmp(action[0], "echo") == 0 && argc == 3)
        echo(strtoull(action[1], NULL, 0), strtoull(action[2], NULL, 0));
    else if (strcmp(action[0], "corrupt") == 0)
        corrupt();
    else if (strcmp(action[0], "hold") == 0)
        for (;;)
            pause();
    else if (strcmp(action[0], "pump") == 0 && argc == 4)
        pump(strtoull(action[1], NULL, 0), atol(action[2]), atol(action[3]));
    else if (strcmp(action[0], "drain") == 0)
        drain(NULL);
    else if (strcmp(action[0], "store") == 0 && argc == 2)
        drain(action[1]);
    else
        fail("no such action: see the head of peer.c");
    libxenvchan_close(channel);
    return 0;
}
