#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Alters the rules of nmi in one way, again and again, and measures how long each time until they are repaired.

  repair.py ROUNDS COMMAND PID

Run in the node's namespace. COMMAND is nftables text, given to an nft that lives on, so that no socket is
closed in between. The kernel itself tells what happens: a commit to a table of ours by nft, then one by
nmi-redirector. Prints "done N refused R" and one line for each repair: the milliseconds from when nft was told to
until the repair was heard of, until its own commit was, and the difference. What the redirector, whose PID it is, and this
process waited for a processor that others had is taken off: that is the machine's, and most of it where it is busy.
"""
import select
import socket
import struct
import subprocess
import sys
import time

NETLINK_NETFILTER, NFNLGRP_NFTABLES = 12, 7
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
NEWGEN = (10 << 8) | 15
TABLE, PROC_NAME = 1, 3
OURS = (b"nmi", b"nmi-live", b"nmi-spoof")


def attributes(data, at, end):
    while at + 4 <= end:
        n, kind = struct.unpack_from("=HH", data, at)
        yield kind & 0x3FFF, data[at + 4:at + n].rstrip(b"\0")
        at += max(4, (n + 3) & ~3)


def waited(pid):
    """so far, in seconds: see sched-stats.rst of the kernel"""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
            return int(f.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


class Commits:
    """those that touch tables of ours, by the name of who made them"""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self.sock.bind((0, 0))
        self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self.ours = False

    def read(self, seconds):
        """[(name, when)]"""
        commits = []
        while select.select([self.sock], [], [], seconds if not commits else 0)[0]:
            now = time.monotonic()
            data = self.sock.recv(1 << 20)
            at = 0
            while at + 16 <= len(data):
                size, kind = struct.unpack_from("=IH", data, at)
                values = dict(attributes(data, at + 20, at + size))
                if kind == NEWGEN:
                    if self.ours:
                        commits.append((values.get(PROC_NAME, b"?").decode(), now))
                    self.ours = False
                elif values.get(TABLE) in OURS:
                    self.ours = True
                at += max(16, (size + 3) & ~3)
            if not commits:
                seconds = min(seconds, 0.5)
        return commits


def main():
    rounds, command, redirector = int(sys.argv[1]), sys.argv[2].replace("\n", " "), sys.argv[3]
    commits = Commits()
    nft = subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           bufsize=0)
    took, refused = [], 0
    for _ in range(rounds):
        lost = waited(redirector)
        start = time.monotonic()
        nft.stdin.write(command.encode() + b"\n")
        altered = repaired = None
        while repaired is None and time.monotonic() < start + 3:
            for who, when in commits.read(0.002):
                if who == "nft" and not altered:
                    altered = when
                    lost += waited("self")
                elif who == "nmi-redirector" and altered:
                    repaired = when
            if not altered and select.select([nft.stderr], [], [], 0)[0]:
                if b"Operation not permitted" in nft.stderr.read(4096):
                    refused += 1
                    break
        if repaired:
            repaired = max(altered, repaired - (waited(redirector) + waited("self") - lost))
            took.append(((repaired - start) * 1000, (altered - start) * 1000))
            # the check that follows our own commit
            time.sleep(0.002)
            commits.read(0)
    nft.stdin.close()
    nft.wait()
    print(f"done {len(took)} refused {refused}")
    for repair, own in took:
        print(f"{repair:.3f} {own:.3f} {repair - own:.3f}")


main()
