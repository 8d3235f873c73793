#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""memory.py PID... -- KIND=VALUE...: which of these stand in the memory that the processes can write to.

	text=VALUE	as it is, and as base64, which is how a Secret carries it
	jwt=VALUE	its claims and its signature
	key=FILE	an RSA key in PEM: the file, its DER, and each of its private numbers, in either order of
			bytes, since OpenSSL keeps numbers with the lowest first
	file=FILE	its bytes: some from its middle
	ledger=DIR	all that stands in a ledger (ledger.py), the private keys as key=, but not the agent's own
			token for the API server, nor access tokens that it may have cached: the last of each
			application and audience, and the last that each pod got for a target (two
			AzureIdentities may be of one application)
Prints a line for each find: PID, mapping, kind. Of a long thing a piece is enough, which also finds what is
left of a copy that was overwritten in part. What is searched is a core of each process, made here, since
`gcore` leaves out what is marked not to be dumped.
"""
import base64, bisect, json, pathlib, re, sys, tempfile

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import ledger
from ledger import middle

CHUNK = 16 * 1024 * 1024
AGENT = "system:serviceaccount:kube-system:nmi"


def number_needles(key):
    n = key.private_numbers()
    for name, value in (("d", n.d), ("p", n.p), ("q", n.q), ("dmp1", n.dmp1), ("dmq1", n.dmq1), ("iqmp", n.iqmp)):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        yield f"key: {name}, as in DER", middle(raw)
        yield f"key: {name}, as a number of OpenSSL", middle(raw)[::-1]


def key_needles(pem):
    lines = [line for line in pem.splitlines() if b"-----" not in line]
    for i in (8, 14, 20):  # of 64 characters each
        yield f"key: PEM line {i}", lines[i][:ledger.PIECE]
    yield from number_needles(serialization.load_pem_private_key(pem, None))


# ---- a whole ledger ----

def in_use(directory):
    """The tokens that the agent may hold."""
    last = {}
    for e in ledger.entries(directory):
        value = e.get("value", "").encode()
        if e["kind"] == "token":
            claims = json.loads(base64.urlsafe_b64decode(e["value"].split(".")[1] + "=="))
            last[claims["appid"], claims["tid"], claims["aud"]] = value
        elif e["kind"] == "given":
            last[e["to"].replace("&bypass_cache=true", "")] = value
        elif e["kind"] == "bearer-token" and e["user"] == AGENT:
            last[AGENT] = value
    return [("", value) for value in last.values()]


def ledger_needles(directory):
    allowed = ledger.needles(in_use(directory))
    for raw, kind in ledger.needles(ledger.values(directory)).items():
        if raw not in allowed:
            yield kind, raw
    for path in sorted(pathlib.Path(directory).glob("*.key")):
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, rsa.RSAPrivateKey):
            yield from ((f"{path.name}: {what}", raw) for what, raw in number_needles(key))


# ---- what is looked for, and where ----

def needles(arg):
    """(name, bytes)"""
    kind, value = arg.split("=", 1)
    if kind == "text":
        raw = value.encode()
        yield "text", raw
        if len(raw) >= 24:  # free() writes over the first 16 bytes
            yield "end of the text", raw[16:]
        yield "text as base64", base64.b64encode(raw).rstrip(b"=")[:-1]
    elif kind == "jwt":
        _, claims, signature = value.split(".")
        yield "claims of the token", claims[-32:].encode()
        yield "signature of the token", signature[:32].encode()
    elif kind == "key":
        yield from key_needles(pathlib.Path(value).read_bytes())
    elif kind == "file":
        raw = pathlib.Path(value).read_bytes()
        yield "file", middle(raw, 48)
        yield "file as base64", middle(base64.b64encode(raw), 64)
    elif kind == "ledger":
        yield from ledger_needles(value)
    else:
        sys.exit(f"memory.py: what is {kind}?")


def mappings(pid):
    for line in open(f"/proc/{pid}/maps"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ (\d+)\s*(.*)", line)
        if m[3][0] == "r" and (m[3][1] == "w" or m[4] == "0") and not m[5].startswith(("[v", "/dev")):
            yield int(m[1], 16), int(m[2], 16), m[5] or "anonymous"


def write_core(pid, core):
    """All of the mappings, one after the other: where each begins, and its name."""
    begins, names = [], []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for at, end, name in mappings(pid):
            begins.append(core.tell())
            names.append(name)
            while at < end:
                try:
                    mem.seek(at)
                    data = mem.read(min(CHUNK, end - at))
                except (OSError, OverflowError):
                    break
                if not data:
                    break
                core.write(data)
                at += len(data)
    core.flush()
    if core.tell() < 100_000:
        sys.exit(f"memory.py: only {core.tell()} bytes of {pid} could be read")
    return begins, names


def main():
    cut = sys.argv.index("--")
    wanted = {}
    for arg in sys.argv[cut + 1:]:
        for name, raw in needles(arg):
            wanted.setdefault(ledger.searchable(raw), name)
    if not wanted or any(len(raw) < ledger.SHORT for raw in wanted):
        sys.exit("memory.py: nothing to look for, or something so short that it is anywhere")
    for pid in map(int, sys.argv[1:cut]):
        with tempfile.NamedTemporaryFile(prefix="nmi-core-") as core:  # mode 0600
            begins, names = write_core(pid, core)
            finds = {(names[bisect.bisect_right(begins, offset) - 1], kind)
                     for _, offset, kind in ledger.find(wanted, [core.name])}
        for name, kind in sorted(finds):
            print(f"{pid} {name}: {kind}")


main()
