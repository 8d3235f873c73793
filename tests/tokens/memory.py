#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""memory.py PID... -- KIND=VALUE...: which of these stand in the memory that the processes can write to.

	text=VALUE	as it is, and as base64, which is how a Secret carries it
	jwt=VALUE	its claims and its signature
	key=FILE	an RSA key in PEM: the file, its DER, and each of its private numbers, in either order of
			bytes, since OpenSSL keeps numbers with the lowest first
	file=FILE	its bytes: some from its middle
Prints a line for each find: PID, mapping, kind. Of a long thing a piece is enough, which also finds what is
left of a copy that was overwritten in part.
"""
import base64, pathlib, re, sys

from cryptography.hazmat.primitives import serialization

CHUNK = 16 * 1024 * 1024
PIECE = 24


def middle(raw, n=PIECE):
    return raw[max(0, len(raw) // 2 - n // 2):][:n]


def key_needles(path):
    pem = pathlib.Path(path).read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    yield "PEM", middle(b"".join(l for l in pem.splitlines() if b"-----" not in l)[:1400])
    # lines of 64 characters: any of these three
    for i, line in enumerate(l for l in pem.splitlines() if b"-----" not in l):
        if i in (8, 14, 20):
            yield f"PEM line {i}", line[:PIECE]
    n = key.private_numbers()
    for name, value in (("d", n.d), ("p", n.p), ("q", n.q), ("dmp1", n.dmp1), ("dmq1", n.dmq1), ("iqmp", n.iqmp)):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        yield f"{name}, as in DER", middle(raw)
        yield f"{name}, as a number of OpenSSL", middle(raw)[::-1]


def needles(arg):
    """(name, bytes)"""
    kind, value = arg.split("=", 1)
    if kind == "text":
        raw = value.encode()
        yield "text", raw
        yield "text as base64", base64.b64encode(raw).rstrip(b"=")[:-1]
    elif kind == "jwt":
        _, claims, signature = value.split(".")
        yield "claims of the token", claims[-32:].encode()
        yield "signature of the token", signature[:32].encode()
    elif kind == "key":
        for name, raw in key_needles(value):
            yield f"key: {name}", raw
    elif kind == "file":
        raw = pathlib.Path(value).read_bytes()
        yield "file", middle(raw, 48)
        yield "file as base64", middle(base64.b64encode(raw), 64)
    else:
        sys.exit(f"memory.py: what is {kind}?")


def mappings(pid):
    for line in open(f"/proc/{pid}/maps"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ (\d+)\s*(.*)", line)
        if m[3][0] == "r" and (m[3][1] == "w" or m[4] == "0") and not m[5].startswith(("[v", "/dev")):
            yield int(m[1], 16), int(m[2], 16), m[5] or "anonymous"


def scan(pid, wanted):
    read = 0
    keep = max(len(raw) for _, raw in wanted) - 1
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end, name in mappings(pid):
            tail, at = b"", start
            while at < end:
                try:
                    mem.seek(at)
                    data = mem.read(min(CHUNK, end - at))
                except (OSError, OverflowError):
                    break
                if not data:
                    break
                read += len(data)
                for what, raw in wanted:
                    if raw in tail + data:
                        print(f"{pid} {name}: {what}")
                at, tail = at + len(data), data[-keep:]
    if read < 100_000:
        sys.exit(f"memory.py: only {read} bytes of {pid} could be read")


cut = sys.argv.index("--")
wanted = [(name, raw) for arg in sys.argv[cut + 1:] for name, raw in needles(arg)]
if not wanted or any(len(raw) < 8 for _, raw in wanted):
    sys.exit("memory.py: nothing to look for, or something so short that it is anywhere")
for pid in map(int, sys.argv[1:cut]):
    scan(pid, wanted)
