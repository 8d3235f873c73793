#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""entra_behave.py SERVER CRDS CERTS: what the stand-in for Entra accepts, and what it refuses. TAP.

Everything goes over TLS, as a client would do it; service account tokens come from the stand-in API
server SERVER. What is refused differs from what is accepted in one point each.
"""
import base64, collections, contextlib, datetime, http.client, json, pathlib, signal, socket, ssl, subprocess, sys
import tempfile, threading, time, traceback, urllib.parse, uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import jose
from server import Server

SERVER, CRDS, CERTS = (pathlib.Path(a).resolve() for a in sys.argv[1:4])
ENTRA = pathlib.Path(__file__).with_name("entra.py")
CONTOSO, FABRIKAM, TAILSPIN = (t["id"] for t in json.loads(pathlib.Path(__file__).with_name("tenants.json").read_text()))
SECRET_APP, CERT_APP, FED_APP = (f"1111111{n}-aaaa-4000-8000-000000000101" for n in (1, 2, 3))
VAULT, EXCHANGE = "https://vault.azure.net", "api://AzureADTokenExchange"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SUBJECT = "system:serviceaccount:default:app"
Answer = collections.namedtuple("Answer", "status doc headers text")
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


# ---- a registration's certificate ----

def certificate(cn, key, issuer=None, issuer_key=None, days=30):
    now = datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)])
    return (x509.CertificateBuilder().subject_name(name).issuer_name(issuer.subject if issuer else name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60)).not_valid_after(now + datetime.timedelta(days=days))
            .sign(issuer_key or key, hashes.SHA256()))


def pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def der64(cert):
    return base64.b64encode(cert.public_bytes(serialization.Encoding.DER)).decode()


# ---- the stand-in ----

class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("control", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Entra:
    def __init__(self, dir, issuer_ca):
        self.dir = dir
        port = dir / "port"
        self.proc = subprocess.Popen([ENTRA, "--dir", dir, "--port-file", port, "--issuer-ca", issuer_ca])
        end = time.monotonic() + 30
        while not port.exists():
            if self.proc.poll() is not None or time.monotonic() > end:
                raise SystemExit("Bail out! Entra does not start")
            time.sleep(0.02)
        self.port = int(port.read_text())
        self.tls = ssl.create_default_context(cafile=dir / "ca.crt")
        self.host = f"127.0.0.1:{self.port}"
        self.key = jose.new_key()
        self.cert = certificate("app", self.key)

    def order(self, method, path, doc=None):
        c = UnixConnection(self.dir / "control")
        c.request(method, path, json.dumps(doc) if doc is not None else None)
        r = c.getresponse()
        got = json.loads(r.read())
        assert r.status == 200, f"{method} {path}: {got}"
        return got

    def app(self, id=SECRET_APP, tenants=(CONTOSO,), **doc):
        self.order("PUT", "/apps", {"appId": id, "tenants": list(tenants), **doc})

    def behave(self, query):
        self.order("POST", f"/behave?{query}")

    def url(self, tenant=CONTOSO, version=2):
        return f"https://{self.host}/{tenant}/oauth2/{'v2.0/' if version == 2 else ''}token"

    def send(self, method, path, body=None, headers=None, timeout=10):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            text = r.read()
        finally:
            c.close()
        doc = None
        with contextlib.suppress(ValueError):
            doc = json.loads(text)
        return Answer(r.status, doc, r.headers, text)

    def post(self, form, tenant=CONTOSO, version=2, headers=None, **more):
        body = form if isinstance(form, str) else urllib.parse.urlencode(form)
        path = urllib.parse.urlsplit(self.url(tenant, version)).path
        return self.send("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})},
                         **more)

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(10)


def secret_form(**changes):
    form = {"grant_type": "client_credentials", "client_id": SECRET_APP, "client_secret": "right~secret&=+/ %",
            "scope": f"{VAULT}/.default", **changes}
    return {k: v for k, v in form.items() if v is not None}


def assertion_form(assertion, client=CERT_APP, **changes):
    return secret_form(**{"client_id": client, "client_secret": None, "client_assertion_type": JWT_BEARER,
                          "client_assertion": assertion, **changes})


def assertion(e, head=None, key=None, cert=None, url=None, **changes):
    """What a client with a certificate sends; a change of None takes the member away."""
    now = int(time.time())
    prints = jose.thumbprints(cert or e.cert)
    head = {"alg": "PS256", "typ": "JWT", "x5t#S256": prints["x5t#S256"], **(head or {})}
    claims = {"aud": url or e.url(), "iss": CERT_APP, "sub": CERT_APP, "jti": str(uuid.uuid4()), "nbf": now,
              "iat": now, "exp": now + 600, **changes}
    strip = lambda d: {k: v for k, v in d.items() if v is not None}
    return jose.sign(key or e.key, strip(head), strip(claims))


def token_of(answer):
    assert answer.status == 200, answer.text
    return jose.Jwt(answer.doc["access_token"])


def is_refused(answer, code, error, status, words=""):
    """In the real shape, whatever the reason."""
    assert answer.status == status, f"{answer.status} {answer.text}"
    d = answer.doc
    assert (d["error"], d["error_codes"]) == (error, [code]) and words in d["error_description"], answer.text
    assert d["error_description"].startswith(f"AADSTS{code}: "), d
    assert d["error_description"].endswith(f"\r\nTrace ID: {d['trace_id']}\r\nCorrelation ID: {d['correlation_id']}"
                                           f"\r\nTimestamp: {d['timestamp']}"), d
    assert d["error_uri"].endswith(f"/error?code={code}") and "access_token" not in d
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Retry-After" not in answer.headers


# ---- what is accepted ----

@test
def a_right_secret_gives_a_token_that_says_whose_it_is(e, api):
    answer = e.post(secret_form())
    assert sorted(answer.doc) == ["access_token", "expires_in", "ext_expires_in", "token_type"], answer.doc
    assert answer.doc["expires_in"] == answer.doc["ext_expires_in"] == 3599 and answer.doc["token_type"] == "Bearer"
    jwt = token_of(answer)
    key = [k for k in e.send("GET", f"/{CONTOSO}/discovery/v2.0/keys").doc["keys"] if k["kid"] == jwt.head["kid"]][0]
    assert jwt.is_signed_by(jose.jwk_key(key)) and jwt.head["alg"] == "RS256"
    claims = jwt.claims
    assert (claims["aud"], claims["appid"], claims["tid"], claims["appidacr"]) == (VAULT, SECRET_APP, CONTOSO, "1")
    assert claims["iss"] == f"https://sts.windows.net/{CONTOSO}/" and claims["oid"] == claims["sub"]
    assert claims["exp"] - claims["iat"] == 3600 and abs(claims["iat"] - time.time()) < 5
    assert json.loads((e.dir / "jwks").read_text())["keys"] == [key]


@test
def the_old_endpoint_answers_with_strings_only(e, api):
    answer = e.post(secret_form(scope=None, resource=f"{VAULT}/"), version=1)
    assert token_of(answer).claims["aud"] == answer.doc["resource"] == f"{VAULT}/"
    assert all(isinstance(v, str) for v in answer.doc.values()), answer.doc
    assert sorted(answer.doc) == ["access_token", "expires_in", "expires_on", "ext_expires_in", "not_before",
                                  "resource", "token_type"]
    assert int(answer.doc["expires_on"]) == token_of(answer).claims["exp"]
    path = urllib.parse.urlsplit(e.url(version=1)).path + "?api-version=1.0"
    token_of(e.send("POST", path, urllib.parse.urlencode(secret_form(scope=None, resource=VAULT)),
                    {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}))


@test
def the_audience_is_what_stands_before_the_last_slash_of_the_scope(e, api):
    for scope, aud in ((f"{VAULT}/.default", VAULT), (f"{VAULT}//.default", f"{VAULT}/"),
                       ("api://my-app/.default", "api://my-app"), (f"{SECRET_APP}/.default", SECRET_APP),
                       ("https://management.azure.com//.default", "https://management.azure.com/")):
        assert token_of(e.post(secret_form(scope=scope))).claims["aud"] == aud


@test
def a_tenant_goes_by_its_domain_too_and_an_application_is_somebody_else_in_each(e, api):
    e.app(tenants=(CONTOSO, FABRIKAM), secrets=["right~secret&=+/ %"])
    one, other = (token_of(e.post(secret_form(), tenant=t)).claims for t in ("CONTOSO.onmicrosoft.com", FABRIKAM))
    assert (one["tid"], other["tid"]) == (CONTOSO, FABRIKAM) and one["oid"] != other["oid"]
    assert one["appid"] == other["appid"]


@test
def a_certificate_proves_itself_in_every_documented_way(e, api):
    prints = jose.thumbprints(e.cert)
    standard = base64.b64encode(base64.urlsafe_b64decode(prints["x5t#S256"] + "=")).decode()
    for head in ({}, {"alg": "RS256"}, {"alg": "RS256", "x5t#S256": None, "x5t": prints["x5t"]},
                 {"x5t": prints["x5t"]}, {"x5c": [der64(e.cert)]}, {"x5t#S256": standard},
                 {"x5t#S256": None, "x5t": prints["x5t"] + "="}):
        claims = token_of(e.post(assertion_form(assertion(e, head)))).claims
        assert (claims["appid"], claims["appidacr"]) == (CERT_APP, "2"), head
    token_of(e.post(assertion_form(assertion(e, url=e.url(version=1)), scope=None, resource=VAULT), version=1))
    token_of(e.post(assertion_form(assertion(e, exp=int(time.time()) + 86000), client_info="1")))
    now = time.time()
    token_of(e.post(assertion_form(assertion(e, {"x5c": [f"{der64(e.cert)[:64]}\n{der64(e.cert)[64:]}"]}, iat=now, nbf=None,
                                             exp=now + 600))))


@test
def clocks_may_be_off_by_five_minutes(e, api):
    for skew in (-290, 290, 890):
        e.order("POST", f"/clock?skew={skew}")
        token_of(e.post(assertion_form(assertion(e))))


@test
def a_certificate_may_be_registered_by_name_and_issuer(e, api):
    ca_key, key = jose.new_key(), jose.new_key()
    ca = certificate("issuer", ca_key)
    e.app(CERT_APP, subjectNames=[{"name": "app.example", "issuer": pem(ca)}])
    leaf = certificate("app.example", key, ca, ca_key)
    send = lambda cert, head: e.post(assertion_form(assertion(e, head, key, cert)))
    token_of(send(leaf, {"x5c": [der64(leaf), der64(ca)]}))
    is_refused(send(leaf, {}), 700027, "invalid_client", 401, "not registered")
    for wrong in (certificate("other.example", key, ca, ca_key), certificate("app.example", key, ca, jose.new_key())):
        is_refused(send(wrong, {"x5c": [der64(wrong)]}), 700030, "invalid_client", 401, "subject name")


# ---- secrets that are refused ----

@test
def wrong_and_expired_secrets(e, api):
    for wrong in ("right~secret&=+/ ", "right~secret&=+/ %%", "RIGHT~secret&=+/ %", "x"):
        is_refused(e.post(secret_form(client_secret=wrong)), 7000215, "invalid_client", 401, SECRET_APP)
    e.app(secrets=[{"value": "right~secret&=+/ %", "expires": time.time() - 1}])
    is_refused(e.post(secret_form()), 7000222, "invalid_client", 401, "expired")
    e.app(secrets=["another"])
    is_refused(e.post(secret_form()), 7000215, "invalid_client", 401)
    token_of(e.post(secret_form(client_secret="another")))


@test
def who_and_where(e, api):
    stranger = "99999999-aaaa-4000-8000-000000000101"
    is_refused(e.post(secret_form(client_id=stranger)), 700016, "unauthorized_client", 400, "'Contoso'")
    is_refused(e.post(secret_form(), tenant=TAILSPIN), 700016, "unauthorized_client", 400, "'Tailspin'")
    is_refused(e.post(secret_form(client_id="app")), 700038, "unauthorized_client", 400)
    is_refused(e.post(secret_form(), tenant=stranger), 90002, "invalid_request", 400, stranger)
    is_refused(e.post(secret_form(), tenant="example.org"), 90002, "invalid_request", 400)
    is_refused(e.post(secret_form(), tenant="a%20b"), 900023, "invalid_request", 400, "'a b'")
    e.app(secrets=["right~secret&=+/ %"], disabled=True)
    is_refused(e.post(secret_form()), 7000112, "unauthorized_client", 400, "disabled")


@test
def scopes_that_are_none(e, api):
    for scope, code, error in ((VAULT, 1002012, "invalid_scope"), (f"{VAULT}/.DEFAULT", 1002012, "invalid_scope"),
                               (f"{VAULT}/read", 1002012, "invalid_scope"), (".default", 1002012, "invalid_scope"),
                               (f"{VAULT}/.default https://management.azure.com/.default", 700022, "invalid_scope"),
                               ("https://vault.invalid/.default", 500011, "invalid_resource"),
                               ("vault/.default", 500011, "invalid_resource")):
        is_refused(e.post(secret_form(scope=scope)), code, error, 400)
    is_refused(e.post(secret_form(scope=None, resource="https://vault.invalid/"), version=1), 500011,
               "invalid_resource", 400, "https://vault.invalid/ was not found")


@test
def forms_that_are_none(e, api):
    for name in ("grant_type", "client_id", "scope"):
        is_refused(e.post(secret_form(**{name: None})), 900144, "invalid_request", 400, f"'{name}'")
        is_refused(e.post(secret_form(**{name: ""})), 900144, "invalid_request", 400, f"'{name}'")
    is_refused(e.post(secret_form(client_secret=None)), 7000216, "invalid_request", 400)
    is_refused(e.post(secret_form(grant_type="password")), 70003, "unsupported_grant_type", 400)
    is_refused(e.post(urllib.parse.urlencode(secret_form()) + "&client_id=" + SECRET_APP), 9000411, "invalid_request",
               400, "'client_id' is duplicated")
    is_refused(e.post(secret_form(client_assertion="x")), 90013, "invalid_request", 400)
    for type in ("application/json", "text/plain", ""):
        is_refused(e.post(secret_form(), headers={"Content-Type": type}), 900144, "invalid_request", 400)
    for body in ("grant_type", "\u00e4=1".encode(), "a=1&" * 60):
        is_refused(e.post(body) if isinstance(body, str) else
                   e.send("POST", f"/{CONTOSO}/oauth2/v2.0/token", body,
                          {"Content-Type": "application/x-www-form-urlencoded"}), 900144, "invalid_request", 400)
    is_refused(e.send("GET", f"/{CONTOSO}/oauth2/v2.0/token"), 900561, "invalid_request", 400, "GET")
    for path in (f"//{CONTOSO}/oauth2/v2.0/token", f"/{CONTOSO}/oauth2/v2.0/token/", f"/{CONTOSO}//oauth2/v2.0/token",
                 f"/{CONTOSO}/oauth2/v2.0/token?x=1", f"/{CONTOSO}/oauth2/token?api-version=2", "/"):
        answer = e.send("POST", path, urllib.parse.urlencode(secret_form()),
                        {"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 404 and answer.doc is None, path
    assert e.send("POST", f"/{CONTOSO}/oauth2/v2.0/token", b"x" * 70000).status == 413


@test
def an_error_takes_over_the_id_of_the_request(e, api):
    id = str(uuid.uuid4())
    answer = e.post(secret_form(client_secret="x"), headers={"client-request-id": id})
    assert answer.doc["correlation_id"] == id
    assert e.post(secret_form(client_secret="x"), headers={"client-request-id": "x"}).doc["correlation_id"] != "x"


# ---- assertions that are refused ----

@test
def an_assertion_that_is_not_one(e, api):
    good = assertion(e)
    head, claims, sig = good.split(".")
    for bad in ("x", "a.b.c", f"{head}.{claims}", f"{good}.x", f"{head}=.{claims}.{sig}", f"{head}.{claims}.{sig}=",
                f"{jose.b64(b'[]')}.{claims}.{sig}", f"{jose.b64(b'[' * 30000)}.{claims}.{sig}",
                f"{head}.{jose.b64(b'nul')}.{sig}"):
        is_refused(e.post(assertion_form(bad)), 50027, "invalid_request", 400, "malformed")
    twice = jose.b64(b'{"alg":"PS256","alg":"RS256"}')
    is_refused(e.post(assertion_form(f"{twice}.{claims}.{sig}")), 50027, "invalid_request", 400, "twice")
    is_refused(e.post(assertion_form(good, client_assertion_type="jwt-bearer")), 90013, "invalid_request", 400)
    token_of(e.post(assertion_form(good)))


@test
def a_tampered_assertion(e, api):
    head, claims, sig = assertion(e).split(".")
    doc = jose.Jwt(f"{head}.{claims}.{sig}").claims
    flipped = jose.b64(bytes([jose.unb64(sig)[0] ^ 1]) + jose.unb64(sig)[1:])
    for h, c, s in ((head, jose.b64(json.dumps({**doc, "exp": doc["exp"] + 1}).encode()), sig),
                    (head, claims, flipped), (head, claims, sig[:-4]), (head, claims, ""),
                    (jose.b64(json.dumps({**jose.Jwt(f"{head}.{claims}.{sig}").head, "x": 1}).encode()), claims, sig),
                    (jose.b64(json.dumps({**jose.Jwt(f"{head}.{claims}.{sig}").head, "alg": "RS256"}).encode()),
                     claims, sig)):
        is_refused(e.post(assertion_form(f"{h}.{c}.{s}")), 700027, "invalid_client", 401, "signature value")
    is_refused(e.post(assertion_form(assertion(e, key=jose.new_key()))), 700027, "invalid_client", 401, "signature value")


@test
def algorithms_that_are_none(e, api):
    head, claims, sig = assertion(e).split(".")
    for alg in ("none", "HS256", "RS384", "ps256", None, 1):
        changed = {**jose.Jwt(f"{head}.{claims}.{sig}").head, "alg": alg}
        for s in (sig, ""):
            is_refused(e.post(assertion_form(f"{jose.b64(json.dumps(changed).encode())}.{claims}.{s}")), 50027,
                       "invalid_request", 400, "alg")


@test
def times_that_are_not_now(e, api):
    now = int(time.time())
    for times in ({"exp": now - 310, "nbf": now - 900}, {"nbf": now + 310, "exp": now + 900},
                  {"exp": now + 86401 + 10, "nbf": now}):
        is_refused(e.post(assertion_form(assertion(e, **times))), 700024, "invalid_client", 401, "valid time range")
    for wrong in ({"exp": None}, {"exp": str(now + 600)}, {"nbf": None, "iat": None}, {"nbf": [1]}, {"exp": True},
                  {"exp": 10 ** 30}, {"nbf": -1}):
        is_refused(e.post(assertion_form(assertion(e, **wrong))), 50027, "invalid_request", 400, "number of seconds")
    for skew in (-310, 910):
        e.order("POST", f"/clock?skew={skew}")
        is_refused(e.post(assertion_form(assertion(e))), 700024, "invalid_client", 401, "valid time range")


@test
def an_assertion_for_somebody_else(e, api):
    for aud in (e.url(FABRIKAM), e.url(version=1), f"{e.url()}/", e.url().replace("127.0.0.1", "localhost"),
                e.url().upper(), [e.url()], None, EXCHANGE):
        is_refused(e.post(assertion_form(assertion(e, aud=aud))), 700023, "invalid_client", 401, "audience")
    for who in ({"iss": SECRET_APP}, {"sub": SECRET_APP}, {"iss": SECRET_APP, "sub": SECRET_APP}, {"sub": None}):
        is_refused(e.post(assertion_form(assertion(e, **who))), 700021, "invalid_client", 401, "client_id")
    e.app(secrets=["right~secret&=+/ %"], certificates=[pem(certificate("other", jose.new_key()))])
    is_refused(e.post(assertion_form(assertion(e), client=SECRET_APP)), 700027, "invalid_client", 401, "not registered")


@test
def a_replayed_assertion(e, api):
    once = assertion(e)
    token_of(e.post(assertion_form(once)))
    is_refused(e.post(assertion_form(once)), 50013, "invalid_grant", 400, "presented before")
    jti = jose.Jwt(once).claims["jti"]
    is_refused(e.post(assertion_form(assertion(e, jti=jti))), 50013, "invalid_grant", 400, "presented before")
    for none in (None, "", 5):
        is_refused(e.post(assertion_form(assertion(e, jti=none))), 50027, "invalid_request", 400, "jti")
    token_of(e.post(assertion_form(assertion(e))))


@test
def thumbprints_that_are_not_registered(e, api):
    other = certificate("app", e.key)  # of the same key, even
    is_refused(e.post(assertion_form(assertion(e, cert=other))), 700027, "invalid_client", 401,
               other.fingerprint(hashes.SHA256()).hex().upper())
    is_refused(e.post(assertion_form(assertion(e, {"x5t#S256": None}))), 50027, "invalid_request", 400, "thumbprint")
    for head in ({"x5t": jose.thumbprints(other)["x5t"]}, {"x5t#S256": jose.thumbprints(e.cert)["x5t"]}):
        is_refused(e.post(assertion_form(assertion(e, head))), 700027, "invalid_client", 401, "not registered")
    for chain in ([der64(other)], ["x"], [1], "x"):
        is_refused(e.post(assertion_form(assertion(e, {"x5c": chain}))), 50027, "invalid_request", 400, "x5c")
    old = certificate("app", e.key, days=-1)
    e.app(CERT_APP, certificates=[pem(e.cert), pem(old)])
    is_refused(e.post(assertion_form(assertion(e, cert=old))), 700027, "invalid_client", 401, "expired")
    e.app(CERT_APP, certificates=[pem(other)])
    is_refused(e.post(assertion_form(assertion(e))), 700027, "invalid_client", 401, "not registered")
    token_of(e.post(assertion_form(assertion(e, cert=other))))


# ---- federation ----

def account_token(api, account="app", audiences=(EXCHANGE,)):
    return api.call("POST", f"/api/v1/namespaces/default/serviceaccounts/{account}/token",
                    {"spec": {"audiences": list(audiences), "expirationSeconds": 600}})["status"]["token"]


def forge(api, kid=True, key=None, head=None, **changes):
    """As the API server would sign it."""
    now = int(time.time())
    claims = {"aud": [EXCHANGE], "iss": api.issuer, "sub": SUBJECT, "iat": now, "nbf": now, "exp": now + 600, **changes}
    head = {"alg": "RS256", **({"kid": jose.kid_of(api.key.public_key())} if kid else {}), **(head or {})}
    return jose.sign(key or api.key, head, claims)


def fed(e, token, **changes):
    return e.post(assertion_form(token, client=FED_APP, **changes))


@test
def a_service_account_is_whom_the_registration_trusts(e, api):
    token = account_token(api)
    claims = token_of(fed(e, token)).claims
    assert (claims["appid"], claims["tid"], claims["appidacr"]) == (FED_APP, CONTOSO, "2")
    token_of(fed(e, token))  # until it ends, as often as one likes
    token_of(fed(e, forge(api)))


@test
def issuer_audience_and_subject_must_be_the_very_same(e, api):
    for changes, code, words in (
            ({"iss": api.issuer.rstrip("/")}, 700211, "issuer"), ({"iss": "https://issuer.example/"}, 700211, "issuer"),
            ({"aud": [EXCHANGE.lower()]}, 700212, "audience"), ({"aud": [EXCHANGE, "more"]}, 700212, "audience"),
            ({"aud": []}, 700212, "audience"), ({"aud": api.issuer}, 700212, "audience"),
            ({"sub": SUBJECT + "x"}, 700213, "subject"), ({"sub": SUBJECT.upper()}, 700213, "subject"),
            ({"sub": None}, 700213, "subject")):
        is_refused(fed(e, forge(api, **changes)), code, "invalid_client", 401, f"assertion {words}")
    is_refused(fed(e, account_token(api, "other")), 700213, "invalid_client", 401,
               "subject 'system:serviceaccount:default:other'")
    is_refused(fed(e, account_token(api, audiences=["https://kubernetes.default.svc"])), 700212, "invalid_client", 401)
    e.app(FED_APP)
    is_refused(fed(e, account_token(api)), 70021, "invalid_request", 400,
               f"Assertion Issuer: '{api.issuer}'. Assertion Subject: '{SUBJECT}'. Assertion Audience: '{EXCHANGE}'.")


@test
def a_forged_service_account_token(e, api):
    is_refused(fed(e, forge(api, key=jose.new_key())), 50013, "invalid_grant", 400, "signature value")
    head, claims, sig = account_token(api).split(".")
    doc = jose.Jwt(f"{head}.{claims}.{sig}").claims
    is_refused(fed(e, f"{head}.{jose.b64(json.dumps({**doc, 'x': 1}).encode())}.{sig}"), 50013, "invalid_grant", 400,
               "signature value")
    for head in ({"kid": "x"}, {"kid": None}):
        is_refused(fed(e, forge(api, head=head)), 50013, "invalid_grant", 400, "key was not found")
    is_refused(fed(e, forge(api, head={"alg": "PS256"})), 50027, "invalid_request", 400, "alg")
    now = int(time.time())
    for times in ({"exp": now - 310, "nbf": now - 900}, {"nbf": now + 310, "iat": now + 310}):
        is_refused(fed(e, forge(api, **times)), 700024, "invalid_client", 401)


@test
def an_issuer_that_cannot_be_read(e, api):
    nobody = "https://127.0.0.1:1/"
    e.app(FED_APP, federated=[{"issuer": nobody, "subject": SUBJECT, "audience": EXCHANGE},
                              {"issuer": api.issuer + "x", "subject": SUBJECT, "audience": EXCHANGE}])
    for iss in (nobody, api.issuer + "x"):
        is_refused(fed(e, forge(api, iss=iss)), 90061, "invalid_request", 400, iss)
    # it answers, but says to be another: the two differ in the slash at the end
    other = api.issuer.rstrip("/")
    e.app(FED_APP, federated=[{"issuer": other, "subject": SUBJECT, "audience": EXCHANGE}])
    is_refused(fed(e, forge(api, iss=other)), 90061, "invalid_request", 400, other)


# ---- on order ----

@test
def errors_on_order(e, api):
    e.behave("do=throttle&retry-after=7")
    answer = e.post(secret_form())
    assert (answer.status, answer.headers["Retry-After"], answer.doc["error_codes"]) == (429, "7", [90055])
    e.behave("do=status&code=503&retry-after=3&times=2")
    for _ in range(2):
        answer = e.post(secret_form())
        assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
        assert answer.doc["error"] == "temporarily_unavailable"
    e.behave("do=status&code=500")
    answer = e.post(secret_form())
    assert answer.status == 500 and "Retry-After" not in answer.headers
    e.behave("do=refuse&aadsts=90061")
    is_refused(e.post(secret_form()), 90061, "invalid_request", 400)
    e.behave("do=echo")
    assert "right~secret&=+/ %" in e.post(secret_form()).doc["error_description"]
    token_of(e.post(secret_form()))


@test
def answers_that_are_none_on_order(e, api):
    for what, begins, length in (("html", b"<!DOCTYPE html>", 50), ("garbage", b'{"token_type"', 20), ("empty", b"", 0),
                                 ("huge", b'{"token_type":"Bearer","access_token":"AAAA', 10 * 1024 * 1024)):
        e.behave(f"do={what}")
        answer = e.post(secret_form())
        assert answer.status == 200 and answer.text.startswith(begins) and len(answer.text) >= length, what
        if what != "huge":
            assert answer.doc is None, what
    for what, error in (("cut", http.client.IncompleteRead), ("reset", ConnectionError)):
        e.behave(f"do={what}")
        try:
            e.post(secret_form())
            raise AssertionError(f"{what}: answered")
        except error:
            pass
    e.behave("do=hang")
    t = time.monotonic()
    try:
        e.post(secret_form(), timeout=1)
        raise AssertionError("answered")
    except TimeoutError:
        assert time.monotonic() - t > 0.9
    e.behave("do=slow&msec=400")
    t = time.monotonic()
    token_of(e.post(secret_form()))
    assert 0.4 <= time.monotonic() - t < 5
    token_of(e.post(secret_form()))


@test
def behaviours_are_for_whom_they_are_ordered(e, api):
    e.behave(f"do=throttle&times=0&client={CERT_APP.upper()}")
    e.behave(f"do=status&code=500&times=0&tenant={FABRIKAM}")
    e.app(tenants=(CONTOSO, FABRIKAM), secrets=["right~secret&=+/ %"])
    for _ in range(3):
        token_of(e.post(secret_form()))
        assert e.post(assertion_form(assertion(e))).status == 429
        assert e.post(secret_form(), tenant=FABRIKAM).status == 500
    e.order("POST", "/clear")
    token_of(e.post(assertion_form(assertion(e))))
    c = UnixConnection(e.dir / "control")
    for bad in ("do=x", "do=slow&times=x", "do=refuse&aadsts=1"):
        c.request("POST", f"/behave?{bad}")
        r = c.getresponse()
        assert r.status == 400 and r.read(), bad
        c.close()


@test
def its_counters_and_the_lifetime_of_tokens(e, api):
    e.order("POST", "/lifetime?seconds=60")
    e.behave("do=slow&msec=500&times=3")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(e.post(secret_form()))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [a.doc["expires_in"] for a in answers] == [60] * 3
    e.post(secret_form(client_secret="x"))
    stats = e.order("GET", "/stats")
    assert (stats["requests"], stats["issued"], stats["refused"]) == (4, 3, {"7000215": 1}), stats
    assert stats["most_at_once"] == 3 and stats["at_once"] == 0, stats


@test
def the_ledger_has_all_that_came_and_went(e, api):
    start = len((e.dir / "ledger").read_text().splitlines())
    given = e.post(secret_form()).doc["access_token"]
    own, account = assertion(e), account_token(api)
    e.post(assertion_form(own))
    fed(e, account)
    e.post(secret_form(client_secret="wrong"))
    e.behave("do=html")
    e.post(secret_form(client_secret="unread"))
    lines = [json.loads(l) for l in (e.dir / "ledger").read_text().splitlines()[start:]]
    credentials = [(l["value"], l["answer"]) for l in lines if l["kind"] == "credential"]
    assert credentials == [("right~secret&=+/ %", "200"), (own, "200"), (account, "200"), ("wrong", "AADSTS7000215"),
                           ("unread", "html")], credentials
    e.app(CERT_APP, secrets=["never-sent", {"value": "nor-this", "expires": 0}])
    registered = [json.loads(l) for l in (e.dir / "ledger").read_text().splitlines()[start + len(lines):]]
    assert [(l["kind"], l["value"]) for l in registered] == [("registered", "never-sent"), ("registered", "nor-this")]
    e.app(CERT_APP, certificates=[pem(e.cert)])
    tokens = [l["value"] for l in lines if l["kind"] == "token"]
    assert tokens[0] == given and len(tokens) == 3
    assert (e.dir / "ledger").stat().st_mode & 0o777 == 0o600


@test
def malformed_requests_do_not_end_it(e, api):
    for raw in (b"\0\1\2", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"POST " + b"/" * 70000 + b" HTTP/1.1\r\n\r\n"):
        with e.tls.wrap_socket(socket.create_connection(("127.0.0.1", e.port), 5), server_hostname="127.0.0.1") as s:
            s.sendall(raw)
            s.settimeout(0.2)
            with contextlib.suppress(OSError):
                s.recv(4096)
    for raw in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 300):
        with socket.create_connection(("127.0.0.1", e.port), 5) as s:
            s.sendall(raw)
    token_of(e.post(secret_form()))


# ---- run ----

class Api(Server):
    """The API server, at the issuer that its tokens name."""

    def __init__(self, dir):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.key = jose.new_key()
        (pathlib.Path(dir) / "sa.key").write_bytes(self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.issuer = f"https://127.0.0.1:{port}/"
        super().__init__(SERVER, CRDS, CERTS, dir, f"--listen=127.0.0.1:{port}", f"--issuer={self.issuer}",
                         f"--jwks-uri={self.issuer}openid/v1/jwks", "--public-keys", f"--sa-key={dir}/sa.key")
        for name in ("app", "other"):
            self.call("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})

    def call(self, method, path, doc):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=10)
        c.request(method, path, json.dumps(doc), {"Authorization": f"Bearer {self.admin}",
                                                   "Content-Type": "application/json"})
        r = c.getresponse()
        got = json.loads(r.read())
        c.close()
        assert r.status < 300, got
        return got


def prepare(e, api):
    e.order("POST", "/clear")
    e.app(SECRET_APP, secrets=["right~secret&=+/ %"])
    e.app(CERT_APP, certificates=[pem(e.cert)])
    e.app(FED_APP, federated=[{"issuer": api.issuer, "subject": SUBJECT, "audience": EXCHANGE}])


def main():
    print(f"1..{len(TESTS) + 1}")
    bad = 0
    with tempfile.TemporaryDirectory(prefix="nmi-entra-") as dir:
        (pathlib.Path(dir) / "entra").mkdir()
        (pathlib.Path(dir) / "api").mkdir()
        api = Api(f"{dir}/api")
        e = Entra(pathlib.Path(dir) / "entra", f"{dir}/api/ca.crt")
        for i, fn in enumerate(TESTS, 1):
            why = None
            try:
                prepare(e, api)
                fn(e, api)
            except Exception as error:
                why = "".join(traceback.format_exception(error))
            bad += bool(why)
            print("not ok" if why else "ok", i, "-", fn.__name__.replace("_", " "), flush=True)
            if why:
                print("".join(f"# {l}\n" for l in why.splitlines()), end="", flush=True)
        codes = (e.end(), api.end())
    print("ok" if codes == (0, 0) else "not ok", len(TESTS) + 1, "- both end in good order")
    sys.exit(bool(bad or any(codes)))


main()
