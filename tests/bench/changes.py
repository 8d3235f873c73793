# SPDX-License-Identifier: MIT
"""changes.py (options) --rate N --seconds N: changes pods of populate.py, so many times a second, without waiting for each
answer; prints how many a second the API server took."""
import argparse
import json
import ssl
import socket
import time

import api

parser = argparse.ArgumentParser(description=__doc__)
api.add_arguments(parser)
parser.add_argument("--rate", type=int, required=True)
parser.add_argument("--seconds", type=float, required=True)
parser.add_argument("--pods", type=int, default=250)
args = parser.parse_args()
server = api.Api(args)
context = ssl.create_default_context(cafile=args.ca)
plain = socket.create_connection((server.url.hostname, server.url.port), timeout=20)
plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
channel = context.wrap_socket(plain, server_hostname=server.url.hostname)
head = "".join(f"{k}: {v}\r\n" for k, v in server.headers("PATCH").items())


def change(n):
    i = n % args.pods
    body = json.dumps({"metadata": {"annotations": {"beat": str(n)}}})
    return (f"PATCH /api/v1/namespaces/fill-{i % 10}/pods/pod-{i} HTTP/1.1\r\nHost: {server.url.netloc}\r\n{head}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


TICK = 0.01
sent = answered = 0
begin = time.monotonic()
due = begin
while time.monotonic() - begin < args.seconds:
    due += TICK
    want = int((due - begin) * args.rate)
    # what the server has not answered yet is not sent again and again
    batch = range(sent, min(want, answered + 2000))
    if batch:
        channel.settimeout(20)
        channel.sendall(b"".join(change(n) for n in batch))
        sent = batch.stop
    while True:
        left = due - time.monotonic()
        if left <= 0:
            break
        channel.settimeout(left)
        try:
            data = channel.recv(1 << 16)
        except (TimeoutError, ssl.SSLWantReadError):
            break
        if not data:
            raise SystemExit("the API server hung up")
        answered += data.count(b"HTTP/1.1 200")
print(round(answered / (time.monotonic() - begin)))
