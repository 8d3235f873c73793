#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""hold.py N [TARGET]: so many connections to the metadata address, until SIGTERM, with half a request on each; with TARGET
a whole one, whose answer is awaited, so that each is kept alive and idle. Prints how many there are; in the end, with
TARGET, how many are left."""
import signal, socket, sys, time


def answered(s):
    head = b""
    while b"\r\n\r\n" not in head:
        got = s.recv(65536)
        if not got:
            raise ConnectionError("no answer")
        head += got
    head, _, body = head.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        got = s.recv(65536)
        if not got:
            raise ConnectionError("half an answer")
        body += got


def is_left(s):
    s.setblocking(False)
    try:
        return s.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def leave(*_):
    if target:
        print(f"left {sum(map(is_left, held))}", flush=True)
    sys.exit(0)


target = sys.argv[2] if len(sys.argv) > 2 else ""
held = []
signal.signal(signal.SIGTERM, leave)
for _ in range(int(sys.argv[1])):
    try:
        s = socket.create_connection(("169.254.169.254", 80), timeout=5)
        if target:
            s.sendall(f"GET {target} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n".encode())
            answered(s)
        else:
            s.sendall(b"GET /metadata/identity/oauth2/token?resource=" + b"x" * 900)
    except OSError as e:
        print(f"after {len(held)}: {e}", flush=True)
        break
    held.append(s)
print(len(held), flush=True)
time.sleep(60)
