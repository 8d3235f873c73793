#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Opens N connections, then asks on all of them at once; prints "status count" a line, then the number
of different bodies.  herd.py N TARGET [START (epoch seconds)]"""
import collections
import selectors
import socket
import sys
import time

n, target = int(sys.argv[1]), sys.argv[2]
start = float(sys.argv[3]) if len(sys.argv) > 3 else 0
request = f"GET {target} HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nConnection: close\r\n\r\n".encode()
sel = selectors.DefaultSelector()
status, bodies = collections.Counter(), set()
data = {}
for _ in range(n):
    s = socket.create_connection(("169.254.169.254", 80), timeout=20)
    s.setblocking(False)
    data[s] = b""
    sel.register(s, selectors.EVENT_READ)
time.sleep(max(0, start - time.time()))
for s in data:
    s.send(request)
end = time.monotonic() + 40
while sel.get_map() and time.monotonic() < end:
    for key, _ in sel.select(1):
        s = key.fileobj
        try:
            chunk = s.recv(65536)
        except OSError:
            chunk = b""
        data[s] += chunk
        if not chunk:
            sel.unregister(s)
            s.close()
            head, _, body = data[s].partition(b"\r\n\r\n")
            status[head.split(b" ", 2)[1].decode() if b" " in head else "error"] += 1
            bodies.add(body)
status["hung"] += len(sel.get_map())
for what in sorted(status):
    if status[what]:
        print(what, status[what])
print("bodies", len(bodies))
