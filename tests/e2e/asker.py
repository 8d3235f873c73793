#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks for tokens again and again, until SIGTERM; then prints what came, "status count" a line, after
"asking" when the first answer was there.

  asker.py [--fresh] TARGET

A connection for each request, so that each one meets the packet rules. `error` stands for refused,
reset and timed out; the slowest answer comes last as "slowest MS". --fresh makes each request unique.
"""
import collections
import signal
import socket
import sys
import time

fresh = sys.argv[1] == "--fresh"
target = sys.argv[-1]
seen = collections.Counter()
slowest = 0.0
running = True


def stop(*_):
    global running
    running = False


def ask(n):
    path = f"{target}&n={n}" if fresh else target
    try:
        with socket.create_connection(("169.254.169.254", 80), timeout=5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n"
                      "Connection: close\r\n\r\n".encode())
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        return data.split(b" ", 2)[1].decode() if data else "error"
    except (OSError, IndexError):
        return "error"


signal.signal(signal.SIGTERM, stop)
n = 0
while running:
    t = time.monotonic()
    seen[ask(n)] += 1
    if n == 0:
        print("asking", flush=True)
    slowest = max(slowest, time.monotonic() - t)
    n += 1
    time.sleep(0.002)
for status in sorted(seen):
    print(status, seen[status])
print(f"slowest {slowest * 1000:.0f}")
