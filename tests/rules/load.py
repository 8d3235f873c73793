#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Asks for tokens from pods at a steady rate, and forgives nothing.

	load.py RATE REPORT NAMESPACE...

Each namespace has two clients: one that keeps its connection, one that makes a new one for each request. Every
request is due at a fixed moment, and its time counts from there, so that a pause is not hidden by asking less.
Nothing is tried again: a connection that is refused, reset, or ends before the answer is whole is an error, as
is every status but 200. A kept connection that ends while no request is under way is none: it is replaced.
SIGUSR1 writes what happened since the last one to REPORT (made anew in one step); SIGTERM ends it.
"""
import ctypes
import json
import os
import selectors
import signal
import socket
import sys
import time

PATH = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n%s\r\n"
KEEP = (REQUEST % "").encode()
CLOSE = (REQUEST % "Connection: close\r\n").encode()
TIMEOUT = 30
libc = ctypes.CDLL(None, use_errno=True)
selector = selectors.DefaultSelector()
window = {}
wanted = []


def begin_window():
    window.update(asked=0, answered=0, errors={}, slowest=0.0, since=time.monotonic(), times=[])


class Client:
    def __init__(self, namespace, keep, first, period):
        self.namespace, self.keep, self.due, self.period = namespace, keep, first, period
        self.socket = None
        self.busy = False  # a request is under way

    def drop(self):
        if self.socket:
            selector.unregister(self.socket)
            self.socket.close()
        self.socket = None

    def fail(self, why):
        window["errors"][why] = window["errors"].get(why, 0) + 1
        print(f"{time.strftime('%H:%M:%S')}.{time.time_ns() // 10**6 % 1000:03d} {why}", flush=True)
        self.end()
        self.drop()

    def end(self):
        self.busy = False
        took = time.monotonic() - self.due
        window["times"].append(took)
        self.due += self.period

    def begin(self):
        self.busy, self.received, self.connected = True, b"", self.socket is not None
        window["asked"] += 1
        if self.socket:
            selector.modify(self.socket, selectors.EVENT_READ, self)
            self.write()
            return
        if libc.setns(self.namespace, 0):
            sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.connect_ex(("169.254.169.254", 80))
        selector.register(self.socket, selectors.EVENT_WRITE, self)

    def write(self):
        try:
            self.socket.sendall(KEEP if self.keep else CLOSE)
        except OSError as e:
            self.fail(f"writing: {e.strerror}")

    def on_event(self):
        if self.busy and not self.connected:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.fail(f"connecting: {os.strerror(error)}")
                return
            self.connected = True
            selector.modify(self.socket, selectors.EVENT_READ, self)
            self.write()
            return
        try:
            got = self.socket.recv(65536)
        except OSError as e:
            if self.busy:
                self.fail(f"reading: {e.strerror}")
            else:
                self.drop()
            return
        if not self.busy:
            self.drop()  # it ends between two requests, as it may
        elif not got:
            self.fail("reading: it ended before its answer")
        else:
            self.received += got
            self.answered()

    def answered(self):
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        if len(body) < int(fields["content-length"]):
            return
        status = lines[0].split(" ")[1]
        if status != "200" or b'"access_token"' not in body:
            self.fail(f"status {status}")
            return
        window["answered"] += 1
        self.end()
        if not self.keep or fields.get("connection") == "close":
            self.drop()


def report(path):
    times = sorted(window.pop("times"))
    seconds = time.monotonic() - window["since"]
    out = {"asked": window["asked"], "answered": window["answered"], "errors": sum(window["errors"].values()),
           "kinds": window["errors"], "rate": round(window["answered"] / seconds),
           "slowest_msec": round(1000 * max(times, default=0), 1),
           "p99_msec": round(1000 * times[int(len(times) * 0.99)], 1) if times else 0}
    with open(path + ".new", "w", encoding="ascii") as f:
        json.dump(out, f)
    os.rename(path + ".new", path)
    begin_window()


def main():
    rate, path, names = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    period = 2 * len(names) / rate
    start = time.monotonic() + 0.1
    clients = []
    for i in range(2 * len(names)):
        namespace = os.open(f"/run/netns/{names[i // 2]}", os.O_RDONLY)
        clients.append(Client(namespace, i % 2 == 0, start + i * period / (2 * len(names)), period))
    signal.signal(signal.SIGUSR1, lambda *_: wanted.append(1))
    begin_window()
    while True:
        now = time.monotonic()
        for c in clients:
            if not c.busy and c.due <= now:
                c.begin()
            elif c.busy and now - c.due > TIMEOUT:
                c.fail("no answer in time")
        due = min((c.due for c in clients if not c.busy), default=now + 1)
        for key, _ in selector.select(max(0, min(due - time.monotonic(), 0.1))):
            key.data.on_event()
        if wanted:
            wanted.clear()
            report(path)


main()
