#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks for tokens again and again, until SIGTERM; then prints what came, "status count" a line, after
"asking" when the first answer was there.

  asker.py [--fresh] [--keep] [--of=APPLICATION] TARGET

A connection for each request, so that each one meets the packet rules. `error` stands for refused,
reset and timed out; the slowest answer comes last as "slowest MS". --fresh makes each request unique. --keep
keeps its connection, and replaces one that was ended between two requests; `cut` is one that was ended during one. With
--of a token of another application is `wrong`. The first that fail are told on stderr.
"""
import base64
import collections
import json
import signal
import socket
import sys
import time

*flags, target = sys.argv[1:]
fresh = "--fresh" in flags
keep = "--keep" in flags
wanted = next((f.removeprefix("--of=") for f in flags if f.startswith("--of=")), None)
seen = collections.Counter()
slowest = 0.0
running = True


def stop(*_):
    global running
    running = False


def ask(n):
    path = f"{target}&n={n}" if fresh else target
    if keep:
        return kept.ask(path)
    try:
        with socket.create_connection(("169.254.169.254", 80), timeout=5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n"
                      "Connection: close\r\n\r\n".encode())
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        return answer(data)
    except (OSError, IndexError, ValueError) as e:
        return failed("error", e)


told = 0


def failed(how, why):
    global told
    told += 1
    if told > 3:
        return how
    print(f"# {time.strftime('%H:%M:%S')}.{time.time_ns() // 10**6 % 1000:03d} {how}: {why!r}\n", file=sys.stderr, end="")
    return how


def answer(data):
    if not data:
        return failed("error", "no answer")
    head, _, body = data.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1].decode()
    if not wanted or status != "200":
        return status
    claims = json.loads(body)["access_token"].split(".")[1]
    got = json.loads(base64.urlsafe_b64decode(claims + "=="))["appid"]
    return status if got == wanted else f"wrong, {got}:"


class Kept:
    """One connection; an answer on it ends where Content-Length says."""

    def __init__(self):
        self.file = None

    def ended(self):
        if self.file is None:
            return True
        self.socket.settimeout(0)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(5)

    def ask(self, path):
        fresh = self.ended()
        try:
            if fresh:
                self.socket = socket.create_connection(("169.254.169.254", 80), timeout=5)
                self.file = self.socket.makefile("rb")
            self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n".encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.file.readline()
                if not line:
                    raise ConnectionError
                head += line
            length = [ln.split(b":")[1] for ln in head.lower().split(b"\r\n") if ln.startswith(b"content-length:")]
            body = self.file.read(int(length[0]))
            if b"connection: close" in head.lower():
                self.file = None
            return answer(head + body)
        except (OSError, IndexError, ValueError) as e:
            self.file = None
            return failed("error" if fresh else "cut", e)


signal.signal(signal.SIGTERM, stop)
kept = Kept()
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
