#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Removes packet rules again and again, and measures how long each time until they are back.

  flusher.py [--samples=FILE] ROUNDS COMMAND...

Run in the node's namespace. The kernel itself is asked: its nf_tables notifications say what each
transaction left of table `nmi`, and of `nmi-live`, which says the same where there is one. Prints
"rounds R gone G back B p50 MS p95 MS p99 MS max MS open N wake MS": in how many rounds `nmi` was gone, in how
many it was there afterwards, how long it was away (0 where it never was), how often neither table was
there; `wake` is the p99 of waking another process and being woken by it, in the same seconds, on a machine that
others may be busy on: a repair is two such wake-ups and some work. FILE gets each time, a JSON list.
"""
import json
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
NEWGEN = (SUBSYS_NFTABLES << 8) | 15
NFTA_TABLE_NAME = 1


def events(data):
    """(table, is it there now) for each message about a table of ours; (None, None): the transaction ends"""
    at = 0
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if kind == NEWGEN:
            yield None, None
        if kind in (NEWTABLE, DELTABLE):
            attr = at + 20
            while attr + 4 <= at + size:
                n, name = struct.unpack_from("=HH", data, attr)
                table = data[attr + 4:attr + n].rstrip(b"\0")
                if name & 0x3FFF == NFTA_TABLE_NAME and table in (b"nmi", b"nmi-live"):
                    yield table, kind == NEWTABLE
                attr += max(4, (n + 3) & ~3)
        at += max(16, (size + 3) & ~3)


def tables():
    """those of ours that are there, now"""
    listed = subprocess.run(["nft", "list", "tables", "ip"], stdout=subprocess.PIPE, check=True).stdout
    return {line.split()[-1] for line in listed.splitlines()} & {b"nmi", b"nmi-live"}


class Watch:
    """what each transaction leaves"""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self.sock.bind((0, 0))
        self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self.there = tables()
        self.open = 0

    def read(self, seconds):
        """was there something? What it left, in order, goes to on_transaction()"""
        if not select.select([self.sock], [], [], seconds)[0]:
            return False
        now = time.monotonic()
        for table, there in events(self.sock.recv(1 << 20)):
            if table is None:
                self.open += not self.there
                self.on_transaction(now)
            elif there:
                self.there.add(table)
            else:
                self.there.discard(table)
        return True

    def on_transaction(self, now):
        if b"nmi" not in self.there:
            self.gone = self.gone or now
        elif self.gone and not self.back:
            self.back = now

    def one_round(self, command):
        """(was table nmi gone, milliseconds until it was back); None: it did not come back"""
        self.gone = self.back = None
        while self.read(0):
            pass
        self.gone = self.back = None
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 3
        ended = False
        while time.monotonic() < end:
            # what the command did is told before it ends
            ended = child.poll() is not None
            if not self.read(0 if ended else 0.002) and ended and (self.back or not self.gone):
                break
        child.wait()
        if b"nmi" not in self.there:
            return None
        return bool(self.gone), (self.back - self.gone) * 1000 if self.gone else 0.0


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
    args = sys.argv[1:]
    samples = args.pop(0).removeprefix("--samples=") if args[0].startswith("--samples=") else None
    rounds, command = int(args[0]), args[1:]
    watch = Watch()
    peer = echo()
    took, wakes, gone = [], [], 0
    for _ in range(rounds):
        told = watch.one_round(command)
        if told:
            gone += told[0]
            took.append(told[1])
        for _ in range(6):
            time.sleep(0.005)
            wakes.append(wake(peer))
    print(f"rounds {rounds} gone {gone} back {len(took)} p50 {rank(took, 0.5):.2f} p95 {rank(took, 0.95):.2f}"
          f" p99 {rank(took, 0.99):.2f} max {rank(took, 1):.2f} open {watch.open}"
          f" wake {rank(wakes, 0.99):.2f}")
    if samples:
        with open(samples, "w", encoding="ascii") as f:
            json.dump([round(v, 3) for v in took], f)


main()
