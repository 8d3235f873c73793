#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks for tokens from inside a pod without end, on a connection that is kept for some requests.
  roll.py TARGET CLIENT-ID [times]    prints "own" for a token of this client id, "WRONG <client id>" for any
                              other; else the status and the code of the refusal, or "000" when there was no
                              answer; before it, the time"""
import base64
import json
import socket
import sys
import time

from http1 import exchange

KEPT = 8  # requests on one connection
target, want = sys.argv[1:3]
has_times = len(sys.argv) > 3
REQUEST = f"GET {target} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n".encode()


def subject(body):
    """Of the token itself, not of what the answer says beside it."""
    claims = json.loads(body)["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["appid"]


def verdict(data):
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return "000"
    status = head.split(b" ")[1].decode()
    if status != "200":
        return f"{status} {body.decode(errors='replace')}"
    got = subject(body)
    return "own" if got == want else f"WRONG {got}"


while True:
    try:
        with socket.create_connection(("169.254.169.254", 80), timeout=15) as s:
            for _ in range(KEPT):
                answer = verdict(exchange(s, REQUEST))
                print(*([f"{time.time():.3f}"] if has_times else []), answer, flush=True)
                if answer == "000":
                    break
                time.sleep(0.005)
    except OSError:
        print("000", flush=True)
    time.sleep(0.005)
