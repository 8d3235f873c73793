# SPDX-License-Identifier: MIT
"""What the stand-ins gave and were given, and how a text would show it.

A ledger is a directory of files with an object of JSON on each line:

	{"kind": "token", "client", "value"}			an access token that IMDS or Entra gave
	{"kind": "credential", "name", "client", "value"}	a client secret or an assertion that Entra received
	{"kind": "registered", "client", "value"}		a client secret that Entra would take
	{"kind": "given", "to", "value"}			an access token that a pod got of the agent
	{"kind": "account-token", "account", "value"}		a service account's, that the API server gave
	{"kind": "bearer-token", "user", "value"}		that the API server takes
	{"kind": "secret", "object", "data": {key: base64}}	what a Secret holds from now on

and of private keys, NAME.key in PEM. A find is told by its kind, never by what was found.
"""
import base64, json, os, pathlib, re, subprocess, sys, tempfile, urllib.parse

SHORT = 8  # less than this may stand anywhere by chance
PIECE = 24
CREDENTIALS = {"client_secret": "client secret", "client_assertion": "assertion"}
PRIVATE = re.compile(rb"-----BEGIN ((?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----\s*(.*?)-----END \1-----", re.S)


def entries(directory):
    """Objects of all files, in the order of each."""
    for path in sorted(pathlib.Path(directory).iterdir()):
        if path.suffix != ".key":
            with open(path, encoding="utf-8") as f:
                yield from map(json.loads, f)


def values(directory):
    """(kind, bytes) of each"""
    for e in entries(directory):
        kind = e["kind"]
        if kind == "secret":
            for key, text in e["data"].items():
                yield f"Secret {e['object']}: {key}", base64.b64decode(text)
            continue
        name = {"token": "access token", "given": "access token", "credential": CREDENTIALS.get(e.get("name")),
                "registered": "client secret", "account-token": "token of a service account",
                "bearer-token": f"token of {e.get('user')}"}[kind]
        yield name, e["value"].encode()
    for path in sorted(pathlib.Path(directory).glob("*.key")):
        yield "private key", path.read_bytes()


def is_jwt(raw):
    return raw.startswith(b"eyJ") and raw.count(b".") == 2


def middle(raw, n=PIECE):
    return raw[max(0, len(raw) // 2 - n // 2):][:n]


def pieces(raw):
    """What is searched for: of a long thing a part is enough, which also finds one that was cut."""
    pem = PRIVATE.findall(raw)
    if is_jwt(raw):
        _, claims, signature = raw.split(b".")
        yield from (middle(claims), claims[-PIECE:], signature[:PIECE], middle(signature), signature[-PIECE:])
    elif pem:  # a certificate beside it is no secret; nor is how the DER of any key begins
        for _, text in pem:
            lines = [line for line in text.split() if len(line) > PIECE]
            yield from (line[-40:] for line in (lines[1:-1] or lines))
    elif b"-----BEGIN CERTIFICATE-----" in raw:
        return
    elif len(raw) > 256:  # a PKCS#12: its middle, which is of no other
        yield middle(raw, 48)
    else:
        yield raw
        # free() writes over the first 16 bytes of what was not wiped; and the rest tells of one that was cut
        if len(raw) >= 24:
            yield raw[16:]


def spellings(raw):
    yield raw
    quoted = urllib.parse.quote_from_bytes(raw, safe="")
    for text in (quoted, urllib.parse.quote_plus(raw), re.sub("%..", lambda m: m[0].lower(), quoted)):
        yield text.encode()
    # wherever in a longer text it begins, and without what depends on its neighbours
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw)[4 if shift else 0:][:len(raw) * 4 // 3 // 4 * 4 - 8]
        yield text
        yield text.translate(bytes.maketrans(b"+/", b"-_"))
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield json.dumps(raw.decode("latin-1"))[1:-1].encode()  # as the agent's own log does it
    try:
        yield json.dumps(raw.decode())[1:-1].encode()
        yield json.dumps(raw.decode(), ensure_ascii=False)[1:-1].encode()
    except UnicodeDecodeError:
        pass


def searchable(raw):
    """grep looks for lines: of bytes that are none, the longest stretch."""
    return max(re.split(rb"[\n\0]", raw), key=len)


def needles(listed):
    """{bytes: kind} of such values"""
    found = {}
    for kind, raw in listed:
        for piece in pieces(raw):
            for text in spellings(piece):
                text = searchable(text)
                if len(text) >= SHORT:
                    found.setdefault(text, kind)
    return found


def grep(flags, files):
    """(file, offset, bytes of the match): one pass over each file, whatever stands in it."""
    with tempfile.TemporaryFile() as names:
        names.write(b"\0".join(os.fsencode(f) for f in files))
        names.seek(0)
        # of all locales C has no characters, only bytes
        run = subprocess.run(["xargs", "-0", "grep", "-aobHZ", *flags, "--"], stdin=names, capture_output=True,
                             env={**os.environ, "LC_ALL": "C"}, check=False)
    if run.stderr or run.returncode not in (0, 123):  # 123: of xargs, when a grep found nothing
        sys.exit(f"grep: {run.stderr.decode(errors='replace')[:300] or run.returncode}")
    for name, offset, match in re.findall(rb"([^\0\n]+)\0(\d+):([^\n]*)\n", run.stdout):
        yield os.fsdecode(name), int(offset), match


def find(wanted, files):
    """(file, offset, kind) of what stands of {bytes: kind} in the files."""
    with tempfile.NamedTemporaryFile(prefix="nmi-leaks-") as patterns:  # mode 0600
        patterns.write(b"\n".join(wanted) + b"\n")
        patterns.flush()
        for name, offset, match in grep(["-F", "-f", patterns.name], files):
            yield name, offset, wanted[match]
