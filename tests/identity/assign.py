#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How soon after the controller's word does a pod that waits have its token?

  assign.py ROUNDS POD-NAMESPACE TARGET HOST CA TOKEN-FILE OBJECT

Each round: OBJECT is Created, the pod in that network namespace asks and waits, OBJECT becomes Assigned.
Prints what was answered and the milliseconds from sending the change to the answer, a line a round; "early"
where the pod did not wait. One process, with its connections open beforehand, so that it measures little
of itself.
"""
import ctypes
import http.client
import json
import os
import select
import socket
import ssl
import sys
import time

rounds, pod, target, host, ca, token_file, path = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
home = os.open("/proc/self/ns/net", os.O_RDONLY)
CLONE_NEWNET = 0x40000000


def enter(fd):
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def ask():
    """A request on its way; the socket stays in the namespace that it was made in."""
    there = os.open(f"/run/netns/{pod}", os.O_RDONLY)
    enter(there)
    try:
        s = socket.create_connection(("169.254.169.254", 80), timeout=10)
    finally:
        enter(home)
        os.close(there)
    s.sendall(f"GET {target} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n"
              "Connection: close\r\n\r\n".encode())
    return s


def state(api, value):
    with open(token_file) as f:
        token = f.read().strip()
    api.request("PATCH", "/" + path, json.dumps({"status": {"status": value}}),
                {"Authorization": "Bearer " + token, "Content-Type": "application/merge-patch+json"})


def done(api):
    answer = api.getresponse()
    body = answer.read()
    if answer.status != 200:
        sys.exit(f"PATCH: {answer.status} {body[:200]}")


api = http.client.HTTPSConnection(host, context=ssl.create_default_context(cafile=ca), timeout=10)
for _ in range(int(rounds)):
    state(api, "Created")
    done(api)
    time.sleep(0.2)  # it is known, and the pod waits
    s = ask()
    if select.select([s], [], [], 0.2)[0]:
        print("early", 0)
        s.close()
        continue
    start = time.monotonic()
    state(api, "Assigned")
    text = s.recv(65536)
    end = time.monotonic()
    done(api)
    while more := s.recv(65536):
        text += more
    s.close()
    print(text.split(b" ", 2)[1].decode(), f"{(end - start) * 1000:.2f}", flush=True)
