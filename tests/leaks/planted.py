#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The search for leaks finds what is there, however it is spelt or cut, and shows none of it; and a run of which too
little was handed over fails. TAP.

What is planted is made up here, at random; each case is one file of what was said.
"""
import base64, json, os, pathlib, subprocess, tempfile, urllib.parse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SEARCH, RUN = (pathlib.Path(__file__).with_name(name) for name in ("search.py", "run.py"))
FORMS = serialization.PrivateFormat
b64url = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")


def jwt(**claims):
    parts = {"alg": "RS256"}, {"aud": "https://vault.azure.net", **claims}
    return b".".join([*(b64url(json.dumps(p).encode()) for p in parts), b64url(os.urandom(256))]).decode()


def pem(form):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def certificate():
    """Of random bytes, one in 750 has what looks like the start of a JWT."""
    body = b"eyJ"
    while b"eyJ" in body:
        body = base64.encodebytes(os.urandom(700))
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


TOKEN, ASSERTION, ACCOUNT = jwt(uti=os.urandom(9).hex()), jwt(jti=os.urandom(9).hex()), jwt(sub=os.urandom(9).hex())
BEARER = os.urandom(24).hex()
SECRET = "~Q8~" + base64.b64encode(os.urandom(6)).decode() + "é&=+/ %\"\\" + os.urandom(6).hex()
HELD = "pässword-" + os.urandom(8).hex()
P12 = os.urandom(2500)
KEY, KEY_IN_SECRET = pem(FORMS.PKCS8), pem(FORMS.TraditionalOpenSSL)
CERTIFICATE = certificate()
LEDGER = [
    {"kind": "token", "client": "a", "value": TOKEN},
    {"kind": "credential", "name": "client_secret", "client": "a", "value": SECRET},
    {"kind": "credential", "name": "client_assertion", "client": "a", "value": ASSERTION},
    {"kind": "account-token", "account": "shop/fed", "value": ACCOUNT},
    {"kind": "bearer-token", "user": "agent", "value": BEARER},
    {"kind": "secret", "object": "shop/sp", "data": {k: base64.b64encode(v).decode() for k, v in (
        ("password", HELD.encode()), ("certificate", P12), ("pem", CERTIFICATE + KEY_IN_SECRET), ("x", b"short"))}},
    {"kind": "secret", "object": "shop/sp", "data": {}},
]
ALL = [(TOKEN, "access token"), (SECRET, "client secret"), (ASSERTION, "assertion"),
       (ACCOUNT, "token of a service account"), (BEARER, "token of agent"), (HELD, "Secret shop/sp: password")]


def escaped(raw):
    """As lib/base/str.h writes it."""
    return "".join(chr(c) if 32 <= c < 127 and chr(c) not in "\"\\" else "\\" + chr(c) if chr(c) in "\"\\"
                   else f"\\u{c:04x}" for c in raw)


def cases():
    """(sentence, text, kind or None)"""
    for value, kind in ALL:
        raw = value.encode()
        yield f"{kind}: as it is", f"got {value} there", kind
        yield f"{kind}: in a form", "a=b&x=" + urllib.parse.quote_plus(value) + "&c=d", kind
        yield f"{kind}: in a URL", urllib.parse.quote(value, safe=""), kind
        yield f"{kind}: in JSON", json.dumps({"a": value}), kind
        yield f"{kind}: in JSON as others write it", json.dumps({"a": value}, ensure_ascii=False), kind
        yield f"{kind}: in a log", f'level=info text="{escaped(raw)}"', kind
        yield f"{kind}: in hexadecimal", raw.hex(), kind
        for shift in range(3):
            text = b"x" * shift + raw + b"tail"
            yield f"{kind}: in base64, after {shift} bytes", base64.b64encode(text).decode(), kind
            yield f"{kind}: in base64url, after {shift} bytes", b64url(text).decode(), kind
    for value, kind in ALL[:1] + ALL[2:4]:
        head, claims, signature = value.split(".")
        yield f"{kind}: its claims alone", claims, kind
        yield f"{kind}: its signature alone", signature, kind
        yield f"{kind}: the start of its signature", signature[:40] + "...", kind
        yield f"{kind}: the end of its signature", "..." + signature[-40:], kind
        yield f"{kind}: cut in its signature", value[:-250] + "...", kind
    yield "a key: a line of it", KEY.decode().splitlines()[7], "private key"
    yield "a key: as a Secret carries it", base64.b64encode(b"x" + KEY).decode(), "private key"
    yield "a key in a Secret: a line of it", KEY_IN_SECRET.decode().splitlines()[7], "Secret shop/sp: pem"
    yield "the certificate beside it", CERTIFICATE.decode(), None
    yield "a PKCS#12, as a Secret carries it", base64.b64encode(P12).decode(), "Secret shop/sp: certificate"
    yield "a PKCS#12, in bytes", P12, "Secret shop/sp: certificate"
    yield "a JWT that nobody gave", jwt(uti="other"), "something like a JWT"
    yield "what is too short to be told from others", "a short word", None
    yield "a line like any other", 'level=debug msg="token granted" peer=10.244.0.11 resource=https://vault.azure.net', None


def box(at, ledger, **said):
    (at / "said").mkdir(parents=True)
    (at / "ledger").mkdir()
    for name, text in said.items():
        (at / "said" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (at / "ledger/stand-in").write_text("".join(json.dumps(e) + "\n" for e in ledger))
    if ledger:
        (at / "ledger/x.key").write_bytes(KEY)
    return at


def search(at):
    run = subprocess.run([SEARCH, at], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.splitlines(), run.stderr


# ---- a whole run ----

def make_run(at):
    one = box(at / "boxes/e2e.one", LEDGER, log="nothing", metrics="nothing", audit="nothing")
    (one / "complete").touch()
    box(at / "fakes", LEDGER[:1])
    (at / "said").mkdir()
    (at / "said/e2e.sh").write_text("ok 1 - it went well\n")
    return one


def remove(path):
    path.unlink()


def run_cases():
    """(sentence, what is done to a good run and its one box, suites, what fails then)"""
    yield "nothing is wrong with it", lambda run, one: None, ["e2e", "unit"], []
    yield "a box that is still up, or was killed", lambda run, one: remove(one / "complete"), ["e2e"], ["handed over"]
    yield "a suite of which no box is there", lambda run, one: None, ["e2e", "tokens"], ["tokens: its boxes"]
    yield "no log of the agent", lambda run, one: remove(one / "said/log"), ["e2e"], ["e2e: its boxes"]
    yield "no metrics", lambda run, one: remove(one / "said/metrics"), ["e2e"], ["e2e: its boxes"]
    yield "no audit log", lambda run, one: remove(one / "said/audit"), ["e2e"], ["e2e: its boxes"]
    yield "a box whose stand-ins gave nothing", lambda run, one: remove(one / "ledger/stand-in"), ["e2e"], ["stand-ins gave"]
    yield "no output of tests", lambda run, one: remove(run / "said/e2e.sh"), ["e2e"], ["output of tests"]
    yield ("a leak in a log", lambda run, one: (one / "said/log").write_text(f"got {SECRET}"), ["e2e"],
           ["no secret, key", "boxes/e2e.one/said/log: client secret"])
    yield ("a leak in the output of a test", lambda run, one: (run / "said/e2e.sh").write_text(ACCOUNT), ["e2e"],
           ["no secret, key", "said/e2e.sh: token of a service account"])


def run_tests(at):
    for n, (sentence, spoil, suites, want) in enumerate(run_cases()):
        spoil(at / str(n), make_run(at / str(n)))
        run = subprocess.run([RUN, *suites], capture_output=True, text=True, check=False,
                             env={**os.environ, "NMI_RUN": str(at / str(n))})
        bad = [line for line in run.stdout.splitlines() if line.startswith("not ok")]
        good = (run.returncode == bool(want) and len(bad) == bool(want) and all(w in run.stdout for w in want)
                and all(w in bad[0] for w in want[:1]) and not any(v[-12:] in run.stdout for v, _ in ALL))
        yield f"a run: {sentence}", None if good else f"status {run.returncode}: {bad} {run.stderr[-300:]}"


def tests(at):
    """(sentence, fault or None)"""
    noise = b"level=info msg=\"nothing to see\"\n" * 50
    texts = [text if isinstance(text, bytes) else text.encode() for _, text, _ in cases()]
    code, lines, errors = search(box(at / "all", LEDGER, **{f"case{n}": noise + t + b"\n" + noise for n, t in enumerate(texts)}))
    yield "finds make it fail", None if code == 1 else f"status {code}: {errors[:300]}"
    for n, (sentence, _, kind) in enumerate(cases()):
        mine = [line for line in lines if line.startswith(f"said/case{n}: ")]
        good = f"said/case{n}: {kind}" in mine if kind else not mine
        yield f"found: {sentence}" if kind else f"passed over: {sentence}", None if good else f"{mine}"
    shown = [kind for value, kind in ALL if value[-12:] in "\n".join(lines) + errors]
    yield "none of it is shown", f"{shown}" if shown else None
    for sentence, ledger, text, want in (("an empty ledger is no success", [], "x", (1, "nothing to look for")),
                                         ("no output is no success", LEDGER, "", (1, "nothing to look in")),
                                         ("nothing found is one", LEDGER, noise, (0, ""))):
        code, lines, errors = search(box(at / sentence.replace(" ", "-"), ledger, log=text))
        good = (code, lines) == (want[0], []) and want[1] in errors
        yield sentence, None if good else f"status {code}: {lines} {errors}"
    box(at / "run/one", LEDGER[:1], log=noise)
    box(at / "run/two", LEDGER[1:2], log=TOKEN[-60:])
    code, lines, _ = search(at / "run")
    yield ("a token of one box in what another said is found, and where",
           None if (code, lines) == (1, ["two/said/log: access token"]) else f"status {code}: {lines}")
    yield from run_tests(at / "runs")


def main():
    count = failed = 0
    with tempfile.TemporaryDirectory(prefix="nmi-planted-") as at:
        for sentence, fault in tests(pathlib.Path(at)):
            count += 1
            failed += bool(fault)
            print(f"{'not ok' if fault else 'ok'} {count} - {sentence}" + (f"\n#   {fault}" if fault else ""), flush=True)
    print(f"1..{count}")
    raise SystemExit(failed > 0)


main()
