#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""arm_behave.py: what the stand-in for Azure Resource Manager accepts, and what it refuses. TAP.

Over TLS, as a client would do it. What is refused differs from what is accepted in one point each.
"""
import json, pathlib, signal, socket, ssl, subprocess, sys, tempfile, time

import jose

ARM = pathlib.Path(__file__).with_name("arm.py")
TENANT, OTHER, SUBSCRIPTION = "72f988bf-0000-4000-8000-2d7cd011db47", "f8cdef31-0000-4000-8000-a31e1eb4d2ab", "11111111-2222-4333-8444-555555555555"
PATH = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop?api-version=2021-04-01"
KEY, STRANGER = jose.new_key(), jose.new_key()
KID = jose.kid_of(KEY.public_key())
NOW = int(time.time())
CLAIMS = {"aud": "https://management.azure.com/", "iss": f"https://sts.windows.net/{TENANT}/", "tid": TENANT, "nbf": NOW - 300,
          "exp": NOW + 3600, "oid": "reader", "appid": "app"}


def token(key=KEY, alg="RS256", kid=KID, **claims):
    return "Bearer " + jose.sign(key, {"typ": "JWT", "alg": alg, "kid": kid}, CLAIMS | claims)


def unsigned():
    part = lambda obj: jose.b64(json.dumps(obj).encode())
    return f"Bearer {part({'alg': 'none', 'kid': KID})}.{part(CLAIMS)}."


ROWS = [  # sentence, wanted, header Authorization, path
    ("whoever has a role may read", "shop", token(), PATH),
    ("the case of a path does not matter", "shop", token(), PATH.replace("resourceGroups/shop", "resourcegroups/SHOP")),
    ("the audience may be without its slash", "shop", token(aud="https://management.azure.com"), PATH),
    ("or the old one", "shop", token(aud="https://management.core.windows.net/"), PATH),
    ("no token", "401 AuthenticationFailed", None, PATH),
    ("no bearer token", "401 AuthenticationFailedMissingToken", "Basic YTpi", PATH),
    ("no JWT", "401 InvalidAuthenticationToken", "Bearer abc", PATH),
    ("a key that is not Entra's", "401 InvalidAuthenticationToken", token(key=STRANGER), PATH),
    ("a key that nobody knows", "401 InvalidAuthenticationToken", token(kid="other"), PATH),
    ("another algorithm", "401 InvalidAuthenticationToken", token(alg="PS256"), PATH),
    ("no signature", "401 InvalidAuthenticationToken", unsigned(), PATH),
    ("another audience", "401 InvalidAuthenticationTokenAudience", token(aud="https://vault.azure.net"), PATH),
    ("another tenant", "401 InvalidAuthenticationTokenTenant", token(tid=OTHER), PATH),
    ("another issuer", "401 InvalidAuthenticationTokenTenant", token(iss=f"https://sts.windows.net/{OTHER}/"), PATH),
    ("too late", "401 ExpiredAuthenticationToken", token(exp=NOW - 1), PATH),
    ("too early", "401 ExpiredAuthenticationToken", token(nbf=NOW + 600), PATH),
    ("no end", "401 ExpiredAuthenticationToken", token(exp=None), PATH),
    ("no role", "403 AuthorizationFailed", token(oid="stranger"), PATH),
    ("no api-version", "400 MissingApiVersionParameter", token(), PATH.partition("?")[0]),
    ("another subscription", "404 SubscriptionNotFound", token(), PATH.replace(SUBSCRIPTION, TENANT)),
    ("another group", "404 ResourceGroupNotFound", token(), PATH.replace("/shop", "/other")),
    ("something else", "404 InvalidResourceType", token(), PATH.replace("/shop", "/shop/providers")),
]


def ask(port, tls, header, path):
    """Status and code, or the name of the group; by hand, so that names need not be looked up."""
    lines = [f"GET {path} HTTP/1.1", "Host: management.azure.com", "Connection: close"] + ([f"Authorization: {header}"] if header else [])
    with socket.create_connection(("127.0.0.1", port), 10) as s, tls.wrap_socket(s, server_hostname="management.azure.com") as c:
        c.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head, _, body = b"".join(iter(lambda: c.recv(65536), b"")).partition(b"\r\n\r\n")
    status, doc = head.split()[1].decode(), json.loads(body)
    return doc["name"] if status == "200" else f"{status} {doc['error']['code']}"


def main():
    failed, log = 0, ""
    with tempfile.TemporaryDirectory() as d:
        dir = pathlib.Path(d)
        (dir / "jwks").write_text(json.dumps({"keys": [jose.jwk(KEY.public_key(), KID)]}))
        proc = subprocess.Popen([sys.executable, ARM, "--listen=127.0.0.1:0", f"--dir={d}", f"--jwks={d}/jwks", f"--log={d}/log", f"--tenant={TENANT}",
                                 f"--subscription={SUBSCRIPTION}", "--group=shop", "--role=reader", f"--port-file={d}/port"])
        try:
            end = time.monotonic() + 30
            while not (dir / "port").exists() and time.monotonic() < end and proc.poll() is None:
                time.sleep(0.02)
            port, tls = int((dir / "port").read_text()), ssl.create_default_context(cafile=dir / "ca.crt")
            for n, (sentence, wanted, header, path) in enumerate(ROWS, 1):
                got = ask(port, tls, header, path)
                failed += got != wanted
                print(f"{'ok' if got == wanted else 'not ok'} {n} - {sentence}" + ("" if got == wanted else f"\n# got {got}, want {wanted}"))
            log = (dir / "log").read_text()
        finally:
            proc.send_signal(signal.SIGTERM)
            proc.wait(10)
    good = log.splitlines() == [w.split()[-1] if " " in w else "200" for _, w, _, _ in ROWS]
    print(f"{'ok' if good else 'not ok'} {len(ROWS) + 1} - each answer is in its log, and no token\n1..{len(ROWS) + 1}")
    return failed or not good


sys.exit(bool(main()))
