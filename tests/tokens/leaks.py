#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""leaks.py BOX OUTPUT: which files of the directory OUTPUT hold what only the stand-ins may know.

Looked for is everything that Entra received and gave, every token of a service account, what the Secrets
of the box held, the private keys of its certificates and the agent's own token; each also as forms, base64
and JSON spell it, and of tokens also the pieces, since a log cuts what is long. Beside those, anything
that looks like a JWT at all. Prints a line for each find, without the find.
"""
import base64, json, pathlib, re, sys, urllib.parse

box, output = map(pathlib.Path, sys.argv[1:])
SHORT = 8  # less than this may stand anywhere by chance


def spellings(raw):
    yield raw
    yield urllib.parse.quote_from_bytes(raw, safe="").encode()
    yield urllib.parse.quote_plus(raw).encode()
    # wherever in a longer text it begins, and without what depends on its neighbours
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + raw)[4 if shift else 0:][:len(raw) * 4 // 3 // 4 * 4 - 8]
    try:
        yield json.dumps(raw.decode()).strip('"').encode()
    except UnicodeDecodeError:
        pass


def needles():
    """(what it is, bytes)"""
    credentials = lambda name: "secret" if name == "client_secret" else "assertion"
    for line in map(json.loads, open(box / "entra/ledger")):
        yield credentials(line["name"]) if line["kind"] == "credential" else "access token", line["value"].encode()
    for name, what in (("account-tokens", "service account token"), ("pki/nmi.token", "token of the agent")):
        path = box / name
        for line in path.read_text().split() if path.exists() else ():
            yield what, line.encode()
    held = box / "secrets.held"
    for line in map(json.loads, open(held)) if held.exists() else ():
        yield f"Secret's {line['key']}", base64.b64decode(line["base64"])
    for path in (box / "certs").glob("*.key"):
        for line in path.read_text().splitlines():
            if "-----" not in line:
                yield "private key", line.encode()


def pieces(raw):
    """What a search for the whole would miss: a long text that was cut."""
    if raw.startswith(b"eyJ") and raw.count(b".") == 2:
        for part in raw.split(b".")[1:]:
            yield part[:32]
            yield part[-32:]
    elif len(raw) > 256:  # a PKCS#12 or PEM: its middle, which is of no other
        yield raw[len(raw) // 2:][:48]


wanted = {}
for what, raw in needles():
    for piece in (raw, *pieces(raw)):
        for text in spellings(piece):
            if len(text) >= SHORT:
                wanted.setdefault(text, what)
files = sorted(p for p in output.rglob("*") if p.is_file())
if not wanted or not files:
    sys.exit("leaks.py: nothing to look for, or nowhere to look")
for path in files:
    data = path.read_bytes()
    where = path.relative_to(output.parent)
    for what in sorted({what for text, what in wanted.items() if text in data}):
        print(f"{where}: {what}")
    if re.search(rb"eyJ[A-Za-z0-9_-]{20,}", data):
        print(f"{where}: something like a JWT")
