#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Removes packet rules again and again, and measures how long each time until they are back.

  flusher.py ROUNDS COMMAND...

Run in the node's namespace. The kernel itself is asked: its nf_tables notifications say when table
`nmi` went and when it was there again, and whether `nmi-live`, which says the same, ever went. Prints
"rounds R back B p50 MS p95 MS p99 MS max MS open N wake MS": `open` is how often neither table was there;
`wake` is the p99 of waking another process and being woken by it, in the same seconds, on a machine that
others may be busy on: a repair is two such wake-ups and some work.
"""
import math
import os
import select
import socket
import struct
import subprocess
import sys
import time

NETLINK_NETFILTER = 12
NFNLGRP_NFTABLES = 7
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
SUBSYS_NFTABLES = 10
NEWTABLE, DELTABLE = (SUBSYS_NFTABLES << 8) | 0, (SUBSYS_NFTABLES << 8) | 2
NFTA_TABLE_NAME = 1


def events(data):
    """(table, is it there now) for each message about a table of ours"""
    at = 0
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if kind in (NEWTABLE, DELTABLE):
            attr = at + 20
            while attr + 4 <= at + size:
                n, name = struct.unpack_from("=HH", data, attr)
                table = data[attr + 4:attr + n].rstrip(b"\0")
                if name & 0x3FFF == NFTA_TABLE_NAME and table in (b"nmi", b"nmi-live"):
                    yield table, kind == NEWTABLE
                attr += max(4, (n + 3) & ~3)
        at += max(16, (size + 3) & ~3)


live_went = 0


def one_round(sock, command):
    """milliseconds between table nmi going and coming back; None: it did not go or come"""
    global live_went
    while select.select([sock], [], [], 0)[0]:
        sock.recv(1 << 20)
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    gone = back = None
    end = time.monotonic() + 3
    while back is None and time.monotonic() < end:
        if not select.select([sock], [], [], 0.1)[0]:
            continue
        data, now = sock.recv(1 << 20), time.monotonic()
        for table, there in events(data):
            if table == b"nmi-live":
                live_went += not there
            elif not there:
                gone = gone or now
            elif gone:
                back = now
    child.wait()
    return (back - gone) * 1000 if back else None


def echo():
    """a process that answers each byte; the socket to it"""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        while byte := theirs.recv(1):
            theirs.send(byte)
        os._exit(0)
    theirs.close()
    return ours


def wake(peer):
    t = time.monotonic()
    peer.send(b"x")
    peer.recv(1)
    return (time.monotonic() - t) * 1000


def rank(values, q):
    """the nearest rank"""
    values = sorted(values)
    return values[max(0, math.ceil(len(values) * q) - 1)] if values else float("nan")


def main():
    rounds, command = int(sys.argv[1]), sys.argv[2:]
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    sock.bind((0, 0))
    sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
    peer = echo()
    took, wakes = [], []
    for _ in range(rounds):
        ms = one_round(sock, command)
        if ms is not None:
            took.append(ms)
        for _ in range(6):
            time.sleep(0.005)
            wakes.append(wake(peer))
    print(f"rounds {rounds} back {len(took)} p50 {rank(took, 0.5):.2f} p95 {rank(took, 0.95):.2f}"
          f" p99 {rank(took, 0.99):.2f} max {rank(took, 1):.2f} open {live_went}"
          f" wake {rank(wakes, 0.99):.2f}")


main()
