#!/usr/bin/env python3
"""A sender of blocks, written from docs/datafront.md alone, over vchan-socket-proxy's standard streams.

    sender.py DOMID PORT STREAM CUT FILE ...

Each file is a block of its name. After every CUT acknowledgements (0: never) the proxy is killed in the middle of
whatever it does, as if either side had died. Prints "SEQ STATUS" for each block, and "done CONNECTIONS" at the end.
"""
import glob
import os
import select
import struct
import subprocess
import sys
import time

HELLO, WELCOME, BLOCK, ACK, ERROR = 1, 2, 3, 4, 5
PATIENCE = 2.0
TRIES = 100


def table():
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def frame(kind, seq, length, aux, name=b""):
    head = struct.pack("<4sBBHQQI", b"MPB1", 1, kind, len(name), seq, length, aux)
    return head + struct.pack("<I", crc32c(head + name)) + name


def block(seq, name, data):
    return frame(BLOCK, seq, len(data), 0, name) + data + struct.pack("<II", crc32c(data), 0)


class Lost(Exception):
    """The connection is over: another one goes on."""


class Connection:
    def __init__(self, domid, port):
        proxy = glob.glob("/usr/lib/xen-*/bin/vchan-socket-proxy")[0]
        path = "/local/domain/%s/data/vchan/0/%s" % (domid, port)
        self.proxy = subprocess.Popen(
            [proxy, "-m", "client", domid, path, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.heard = b""

    def close(self):
        self.proxy.kill()
        self.proxy.wait()

    def send(self, data):
        try:
            self.proxy.stdin.write(data)
            self.proxy.stdin.flush()
        except OSError as error:
            raise Lost(error) from error

    def receive(self, patience):
        """A frame of the receiver: 32 bytes, for none of its frames has a name."""
        fd = self.proxy.stdout.fileno()
        while len(self.heard) < 32:
            if not select.select([fd], [], [], patience)[0]:
                raise Lost("silence")
            more = os.read(fd, 32 - len(self.heard))
            if not more:
                raise Lost("closed")
            self.heard += more
        head, self.heard = self.heard, b""
        magic, version, kind, name_len, seq, length, aux, crc = struct.unpack("<4sBBHQQII", head)
        if (magic, version, name_len) != (b"MPB1", 1, 0) or crc != crc32c(head[:28]):
            sys.exit("no frame: %r" % head)
        return kind, seq, length, aux


class Sender:
    def __init__(self, stream, blocks, cut):
        self.stream, self.blocks, self.cut = stream, blocks, cut
        self.acknowledged = None
        self.connections = 0

    def run(self, connection):
        """One connection, until everything is acknowledged or it is lost."""
        self.connections += 1
        first = 0 if self.acknowledged is None else self.acknowledged + 1
        connection.send(frame(HELLO, first, self.stream, 0))
        kind, completed, _, window = connection.receive(PATIENCE)
        if kind != WELCOME:
            raise Lost("a predecessor's connection")
        if self.acknowledged is None:
            self.acknowledged = completed
        following, heard = completed + 1, 0
        while self.acknowledged < len(self.blocks):
            while following <= len(self.blocks) and following - self.acknowledged <= window:
                connection.send(block(following, *self.blocks[following - 1]))
                following += 1
            kind, seq, _, status = connection.receive(30)
            if kind != ACK or seq != self.acknowledged + 1:
                sys.exit("kind %d of block %d after block %d" % (kind, seq, self.acknowledged))
            self.acknowledged, heard = seq, heard + 1
            print(seq, status)
            if heard == self.cut:
                connection.close()


def main():
    domid, port, stream, cut, files = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
    assert crc32c(b"123456789") == 0xE3069283
    blocks = [(os.path.basename(name).encode(), open(name, "rb").read()) for name in files]
    sender = Sender(stream, blocks, cut)
    for _ in range(TRIES):
        connection = Connection(domid, port)
        try:
            sender.run(connection)
            print("done", sender.connections)
            return
        except Lost as why:
            print("lost:", why, file=sys.stderr)
            time.sleep(0.2)
        finally:
            connection.close()
    sys.exit("given up")


main()
