#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A stand-in for Microsoft Entra: the token endpoints of several tenants over TLS, with a CA of its own.

What it checks is in entra_sts.py. It also serves what SDKs read before they ask for a token, and the
keys that its tokens are signed with. In --dir it leaves

	ca.crt		to be trusted by its clients
	jwks		the keys of its tokens
	ledger		(or --ledger) what must stand nowhere else, as in tests/leaks/ledger.py: each secret and
			assertion that it received ("credential", with what was answered), each token that it gave
			("token"), each secret of a registration ("registered")
	control		a Unix socket on which it does what tests order, over HTTP:

GET  /stats				counters
PUT  /apps				a registration, in full: {"appId", "tenants": [], "name", "disabled",
					"secrets": [value or {"value", "expires"}], "certificates": [PEM],
					"subjectNames": [{"name", "issuer": PEM}],
					"federated": [{"issuer", "subject", "audience"}]}
POST /behave?do=WHAT&...		the next token request is answered so; repeated for more of them.
					times=N: the next N, 0 all; client=, tenant=: only of that one
	do=slow&msec=N			after that time, as usual
	do=status&code=N[&retry-after=S]	an Entra error of that status
	do=throttle[&retry-after=S]	429, AADSTS90055
	do=refuse&aadsts=N		an error of that number
	do=echo				an error that quotes what was received, the credential included
	do=html | garbage | empty | huge (10 MB) | cut (half an answer) | reset | hang
POST /clock?skew=S			its clock is off by so many seconds
POST /lifetime?seconds=S		of its tokens
POST /clear				no behaviours, no skew, lifetime as ever; counters at 0
"""
import argparse, datetime, http.server, ipaddress, json, os, pathlib, re, signal, socket, socketserver, ssl, struct
import sys, threading, time, urllib.parse, urllib.request, uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import entra_sts, jose

NAMES = ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn",
         "login.chinacloudapi.cn"]
BODY_MAX = 65536
FETCH_MAX = 65536
HUGE = 10 * 1024 * 1024
HTML = b"<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body>Sorry</body></html>"
PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
PATH = re.compile(r"/([^/]+)/oauth2(/v2\.0)?/token")
ACTIONS = ("slow", "status", "throttle", "refuse", "echo", "html", "garbage", "empty", "huge", "cut", "reset", "hang")


# ---- certificates ----

def _certificate(name, public, issuer, issuer_key, extensions):
    now = datetime.datetime.utcnow()
    b = (x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
         .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
         .not_valid_after(now + datetime.timedelta(days=3650)))
    for ext in extensions:
        b = b.add_extension(ext, critical=isinstance(ext, x509.BasicConstraints))
    return b.sign(issuer_key, hashes.SHA256())


def make_pki(dir, names):
    """Once; a server that is started again is known to its clients."""
    if (dir / "server.pem").exists():
        return
    named = lambda cn: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)])
    pem = serialization.Encoding.PEM
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _certificate(named("nmi sandbox Entra CA"), ca_key.public_key(), named("nmi sandbox Entra CA"), ca_key,
                      [x509.BasicConstraints(ca=True, path_length=0)])
    alt = []
    for n in names:
        try:
            alt.append(x509.IPAddress(ipaddress.ip_address(n)))
        except ValueError:
            alt.append(x509.DNSName(n))
    leaf = _certificate(named(names[0]), key.public_key(), ca.subject, ca_key,
                        [x509.SubjectAlternativeName(alt),
                         x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])])
    (dir / "ca.crt").write_bytes(ca.public_bytes(pem))
    (dir / "server.pem").write_bytes(leaf.public_bytes(pem) + key.private_bytes(*PLAIN))


def token_key(path):
    if path.exists():
        return serialization.load_pem_private_key(path.read_bytes(), None)
    key = jose.new_key()
    path.write_bytes(key.private_bytes(*PLAIN))
    return key


# ---- what is shared by all requests ----

class Behaviour:
    def __init__(self, query):
        self.do = query.get("do", "")
        if self.do not in ACTIONS:
            raise ValueError(f"do: one of {', '.join(ACTIONS)}")
        self.times = int(query.get("times", 1))
        self.endless = self.times == 0
        self.client, self.tenant = query.get("client", "").lower(), query.get("tenant", "").lower()
        self.msec, self.code = int(query.get("msec", 0)), int(query.get("code", 500))
        self.retry_after = query.get("retry-after")
        self.aadsts = int(query.get("aadsts", 90033))
        if self.aadsts not in entra_sts.CODES:
            raise ValueError("aadsts: not a number that this stand-in knows")

    def fits(self, tenant, client):
        return self.client in ("", client.lower()) and self.tenant in ("", tenant.lower())


class State:
    """The service and what tests have ordered; one lock for all of it, since nothing under it waits."""

    def __init__(self, sts, ledger):
        self.sts, self.lock = sts, threading.Lock()
        self.ledger = open(os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a")
        self.clear()

    def clear(self):
        self.behaviours, self.skew = [], 0
        self.sts.lifetime = 3599
        self.counts = {"requests": 0, "issued": 0, "refused": {}, "behaved": 0, "at_once": 0, "most_at_once": 0}

    def now(self):
        return time.time() + self.skew

    def note(self, about, credentials, answer, token=None):
        """What was received and what is about to be answered, before the client can know it."""
        lines = [{"kind": "credential", **about, "name": n, "value": v, "answer": answer} for n, v in credentials]
        if token:
            lines.append({"kind": "token", **about, "value": token})
        with self.lock:
            if token:
                self.counts["issued"] += 1
            elif answer.startswith("AADSTS"):
                self.counts["refused"][answer[6:]] = self.counts["refused"].get(answer[6:], 0) + 1
            self.write(lines)

    def write(self, lines):
        self.ledger.write("".join(json.dumps(l) + "\n" for l in lines))
        self.ledger.flush()

    def take_behaviour(self, tenant, client):
        """A delay goes together with the behaviour after it."""
        delay = 0
        for b in list(self.behaviours):
            if not b.fits(tenant, client):
                continue
            if not b.endless:
                b.times -= 1
                if b.times == 0:
                    self.behaviours.remove(b)
            self.counts["behaved"] += 1
            if b.do != "slow":
                return delay, b
            delay = b.msec / 1000
        return delay, None


# ---- the token endpoint ----

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def version_string(self):
        return "Microsoft-IIS/10.0"

    def log_message(self, *args):
        pass  # a request line may hold what must not stand in a log

    def answer(self, status, body, type="application/json; charset=utf-8", headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        for k, v in (("Content-Type", type), ("Content-Length", len(body)), ("Cache-Control", "no-store, no-cache"),
                     ("Pragma", "no-cache"), ("x-ms-request-id", uuid.uuid4()), *headers):
            self.send_header(k, str(v))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self):
        """None: it has been refused."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_MAX or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            if length.isdigit():  # what is left unread would make the close a reset, and the answer be lost
                self.rfile.read(min(int(length), 16 * BODY_MAX))
            self.answer(413, b"", "text/html")
            return None
        return self.rfile.read(int(length))

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        doc = self.document(path)
        if doc is not None:
            self.answer(200, doc)
        elif PATH.fullmatch(path):
            self.refuse(entra_sts.Refused(900561, "The endpoint only accepts POST, OPTIONS requests. Received a "
                                                  f"{self.command} request."))
        else:
            self.answer(404, HTML, "text/html; charset=utf-8")

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_GET

    def document(self, path):
        """What SDKs read first."""
        state, base = self.server.state, f"https://{self.headers.get('Host', '')}"
        if path == "/common/discovery/instance":
            return {"tenant_discovery_endpoint": f"{base}/common/v2.0/.well-known/openid-configuration",
                    "api-version": "1.1", "metadata": [
                        {"preferred_network": NAMES[0], "preferred_cache": NAMES[0], "aliases": [NAMES[0]]}]}
        m = re.fullmatch(r"/([^/]+)/(v2\.0/)?\.well-known/openid-configuration", path)
        if m:
            try:
                tid = state.sts.find_tenant(m[1])["id"]
            except entra_sts.Refused:
                return None
            version = "/v2.0" if m[2] else ""
            return {"token_endpoint": f"{base}/{m[1]}/oauth2{version}/token",
                    "authorization_endpoint": f"{base}/{m[1]}/oauth2{version}/authorize",
                    "issuer": f"{base}/{tid}/v2.0", "jwks_uri": f"{base}/{m[1]}/discovery/v2.0/keys"}
        if re.fullmatch(r"/[^/]+/discovery(/v2\.0)?/keys", path):
            return state.sts.jwks()
        return None

    def do_POST(self):
        state = self.server.state
        body = self.read_body()
        if body is None:
            return
        # self.path would have several slashes at the start made one
        path, _, query = self.requestline.split(" ")[1].partition("?")
        m = PATH.fullmatch(path)
        if not m or (query and (m[2] or query != "api-version=1.0")):
            self.answer(404, HTML, "text/html; charset=utf-8")
            return
        with state.lock:
            state.counts["requests"] += 1
            state.counts["at_once"] += 1
            state.counts["most_at_once"] = max(state.counts["at_once"], state.counts["most_at_once"])
        try:
            self.token(path, urllib.parse.unquote(m[1]), 2 if m[2] else 1, body)
        finally:
            with state.lock:
                state.counts["at_once"] -= 1

    def fields(self, body):
        """A body of another type is not read, as if it were empty."""
        if self.headers.get("Content-Type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            return []
        try:
            return urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True,
                                          errors="strict", max_num_fields=50)
        except ValueError:
            return []

    def token(self, path, tenant, version, body):
        state, fields = self.server.state, self.fields(body)
        form = dict(fields)
        about = {"client": form.get("client_id", ""), "tenant": tenant}
        credentials = [(n, v) for n, v in fields if n in ("client_secret", "client_assertion")]
        with state.lock:
            delay, behaviour = state.take_behaviour(tenant, about["client"])
        time.sleep(delay)
        if behaviour:
            state.note(about, credentials, behaviour.do)
            self.misbehave(behaviour, credentials)
            return
        try:
            url = f"https://{self.headers.get('Host', '')}{path}"
            doc = state.sts.token(url, tenant, version, fields, state.now())
        except entra_sts.Refused as refused:
            state.note(about, credentials, f"AADSTS{refused.code}")
            self.refuse(refused)
            return
        state.note(about, credentials, "200", doc["access_token"])
        self.answer(200, doc)

    # ---- errors, real and on order ----

    def error(self, refused):
        asked = self.headers.get("client-request-id", "")
        return entra_sts.error_body(refused, self.server.state.now(),
                                    asked if entra_sts.GUID.fullmatch(asked) else None)

    def refuse(self, refused, status=None, headers=()):
        self.answer(status or refused.status, self.error(refused), headers=headers)

    def misbehave(self, b, credentials):
        later = [("Retry-After", b.retry_after)] if b.retry_after else []
        if b.do == "refuse":
            self.refuse(entra_sts.Refused(b.aadsts, "This was ordered by a test."))
        elif b.do == "throttle":
            self.refuse(entra_sts.Refused(90055, "There are too many incoming requests."), headers=later)
        elif b.do == "status":
            self.refuse(entra_sts.Refused(90033, "A transient error has occurred. Please try again."), b.code, later)
        elif b.do == "echo":
            text = " ".join(f"{n} {v}" for n, v in credentials)
            self.refuse(entra_sts.Refused(7000215, f"Invalid client secret provided: {text}"))
        else:
            self.close_connection = True
            self.garble(b.do)

    def garble(self, how):
        if how == "html":
            self.answer(200, HTML, "text/html; charset=utf-8")
        elif how == "garbage":
            self.answer(200, b'{"token_type":"Bearer","expires_in":3599,"access_tok\x00\xff')
        elif how == "empty":
            self.answer(200, b"")
        elif how == "huge":
            self.answer(200, b'{"token_type":"Bearer","access_token":"' + b"A" * HUGE + b'"}')
        elif how == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
                             b'{"token_type":"Bearer",')
        elif how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "hang":
            self.rfile.read(1)  # until the client goes, or the timeout


class TlsServer(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 512

    def finish_request(self, request, client_address):
        # the handshake in the thread of the connection, not in the one that accepts
        request.settimeout(30)
        with self.tls.wrap_socket(request, server_side=True) as s:
            Handler(s, client_address, self)

    def handle_error(self, request, client_address):
        e = sys.exc_info()[1]
        if not isinstance(e, OSError):
            import traceback
            traceback.print_exc()


# ---- control ----

class Control(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def address_string(self):
        return "control"

    def answer(self, status, doc):
        text = (json.dumps(doc) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_any(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        state = self.server.state
        try:
            with state.lock:
                self.answer(200, self.order(state, f"{self.command} {url.path}", query, body))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            self.answer(400, {"error": f"{type(e).__name__}: {e}"})

    do_GET = do_POST = do_PUT = do_any

    @staticmethod
    def order(state, what, query, body):
        if what == "GET /stats":
            return state.counts
        if what == "PUT /apps":
            app = entra_sts.App(json.loads(body))
            unknown = app.tenants - set(state.sts.tenants)
            if unknown:
                raise ValueError(f"no such tenant: {', '.join(unknown)}")
            state.write([{"kind": "registered", "client": app.id, "value": s["value"]} for s in app.secrets])
            state.sts.apps[app.id] = app
        elif what == "POST /behave":
            state.behaviours.append(Behaviour(query))
        elif what == "POST /clock":
            state.skew = int(query["skew"])
        elif what == "POST /lifetime":
            state.sts.lifetime = int(query["seconds"])
        elif what == "POST /clear":
            state.clear()
        else:
            raise ValueError(f"no such order: {what}")
        return {"status": "ok"}


class ControlServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


# ---- start ----

def fetcher(ca):
    """GET of a JSON object over TLS, from who has a certificate of `ca`."""
    context = ssl.create_default_context(cafile=ca)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def fetch(url):
        if not url.startswith("https://"):
            raise ValueError("not https")
        request = urllib.request.Request(url, headers={"Accept": "application/json, application/jwk-set+json"})
        with opener.open(request, timeout=5) as r:
            try:
                return jose.load_object(r.read(FETCH_MAX))
            except jose.Malformed as e:
                raise ValueError(str(e)) from e
    return fetch


def main():
    p = argparse.ArgumentParser(description="A stand-in for Microsoft Entra, for tests.")
    p.add_argument("--listen", default="127.0.0.1:0", metavar="IP:PORT")
    p.add_argument("--dir", required=True, type=pathlib.Path, help="what it leaves for its clients and tests")
    p.add_argument("--tenants", type=pathlib.Path, default=pathlib.Path(__file__).with_name("tenants.json"))
    p.add_argument("--issuer-ca", help="CA of the issuers of federated assertions (PEM)")
    p.add_argument("--ledger", type=pathlib.Path, help="default: ledger in --dir")
    p.add_argument("--port-file", type=pathlib.Path)
    a = p.parse_args()

    ip, port = a.listen.rsplit(":", 1)
    a.dir.mkdir(mode=0o700, exist_ok=True)
    make_pki(a.dir, NAMES + [ip])
    sts = entra_sts.Sts(json.loads(a.tenants.read_text()), fetcher(a.issuer_ca), token_key(a.dir / "token.key"))
    (a.dir / "jwks").write_text(json.dumps(sts.jwks()))
    (a.dir / "control").unlink(missing_ok=True)
    server, control = TlsServer((ip, int(port)), None), ControlServer(str(a.dir / "control"), Control)
    server.state = control.state = State(sts, a.ledger or a.dir / "ledger")
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(a.dir / "server.pem")
    threading.Thread(target=control.serve_forever, daemon=True).start()
    if a.port_file:
        partial = a.port_file.with_suffix(".tmp")
        partial.write_text(str(server.server_address[1]))
        partial.rename(a.port_file)
    stop = lambda *_: threading.Thread(target=server.shutdown).start()
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, stop)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
