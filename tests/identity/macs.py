#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A pod that floods its bridge with MACs, from inside: every frame comes from another one, and asks for the MAC of
the gateway in the pod's own name, so that the bridge learns a port and the host a neighbour each time.
macs.py LINK OWN-IP GATEWAY-IP FRAMES SECONDS: ends after either."""
import socket
import sys
import time

link, own, gateway, frames, seconds = sys.argv[1:]
ips = [socket.inet_aton(own), socket.inet_aton(gateway)]
end = time.monotonic() + float(seconds)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
    s.bind((link, 0))
    for sent in range(int(frames)):
        mac = b"\x02\xff" + sent.to_bytes(4, "big")
        s.send(b"\xff" * 6 + mac + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" + mac + ips[0] + bytes(6) + ips[1])
        if not sent & 255 and time.monotonic() > end:
            break
