#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps one connection to the metadata address, from inside a pod. For each line of standard input it asks
for a token on it: "ask" prints status and client id, or "closed" when the connection ended without a byte."""
import json
import socket
import sys

from http1 import exchange

REQUEST = ("GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
           " HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n").encode()


def ask(s):
    data = exchange(s, REQUEST)
    if not data:
        return "closed"
    status = data.split(b" ")[1].decode()
    body = json.loads(data.partition(b"\r\n\r\n")[2])
    return f"{status} {body.get('client_id', '')}"


with socket.create_connection(("169.254.169.254", 80), timeout=20) as s:
    for line in sys.stdin:
        print(ask(s), flush=True)
