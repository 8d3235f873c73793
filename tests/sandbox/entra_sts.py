# SPDX-License-Identifier: MIT
"""What Microsoft Entra checks before it gives a token to an application. No sockets, no clock of its own.

An application has a registration: client secrets, certificates, federated credentials. It may be in
several tenants. Each refusal is a `Refused` with the number, the `error` and the HTTP status that Entra
has for it, in its words; where none is known for a case, the nearest documented one stands in.
Stricter than Entra on purpose, since a client under test is to send what the documents say: names of the
form must not stand twice, an assertion has a jti that was not seen before, aud is the very URL asked.
"""
import base64, datetime, hmac, re, threading, time, uuid

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import jose

SKEW = 300  # seconds that a client's clock may be off
LIFETIME_MAX = 86400  # of a client's own assertion; the oldest libraries say 24 hours
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DOMAIN = re.compile(r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
DOCS = "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"

# number: (error, HTTP status)
CODES = {
    50013: ("invalid_grant", 400), 50027: ("invalid_request", 400), 70003: ("unsupported_grant_type", 400),
    70011: ("invalid_scope", 400), 70021: ("invalid_request", 400), 90002: ("invalid_request", 400),
    90013: ("invalid_request", 400), 90033: ("temporarily_unavailable", 503),
    90055: ("temporarily_unavailable", 429), 90061: ("invalid_request", 400),
    500011: ("invalid_resource", 400), 700016: ("unauthorized_client", 400),
    700021: ("invalid_client", 401), 700022: ("invalid_scope", 400), 700023: ("invalid_client", 401),
    700024: ("invalid_client", 401), 700027: ("invalid_client", 401), 700030: ("invalid_client", 401),
    700038: ("unauthorized_client", 400), 700211: ("invalid_client", 401), 700212: ("invalid_client", 401),
    700213: ("invalid_client", 401), 900023: ("invalid_request", 400), 900144: ("invalid_request", 400),
    900561: ("invalid_request", 400), 1002012: ("invalid_scope", 400), 7000112: ("unauthorized_client", 400),
    7000215: ("invalid_client", 401), 7000216: ("invalid_request", 400), 7000222: ("invalid_client", 401),
    9000411: ("invalid_request", 400),
}


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text
        self.error, self.status = CODES[code]


def stamp(seconds):
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def error_body(refused, now, correlation_id=None):
    trace, corr = str(uuid.uuid4()), correlation_id or str(uuid.uuid4())
    return {"error": refused.error,
            "error_description": f"AADSTS{refused.code}: {refused.text}\r\nTrace ID: {trace}\r\n"
                                 f"Correlation ID: {corr}\r\nTimestamp: {stamp(now)}",
            "error_codes": [refused.code], "timestamp": stamp(now), "trace_id": trace, "correlation_id": corr,
            "error_uri": f"https://login.microsoftonline.com/error?code={refused.code}"}


class App:
    """A registration, as PUT /apps describes it: see entra.py."""

    def __init__(self, doc):
        self.id = doc["appId"].lower()
        self.name = doc.get("name", self.id)
        self.tenants = {t.lower() for t in doc["tenants"]}
        self.disabled = doc.get("disabled", False)
        self.secrets = [s if isinstance(s, dict) else {"value": s} for s in doc.get("secrets", [])]
        self.certs = [x509.load_pem_x509_certificate(p.encode()) for p in doc.get("certificates", [])]
        for cert in self.certs:
            if not isinstance(cert.public_key(), rsa.RSAPublicKey):
                raise ValueError("a certificate is not of an RSA key")
        # by subject name and issuer: any certificate of that name that the issuer signed
        self.names = [(n["name"], x509.load_pem_x509_certificate(n["issuer"].encode()))
                      for n in doc.get("subjectNames", [])]
        self.federated = [(f["issuer"], f["subject"], f["audience"]) for f in doc.get("federated", [])]


class Sts:
    def __init__(self, tenants, fetch, key):
        """`fetch(url)`: a JSON object, or OSError or ValueError."""
        self.tenants = {t["id"].lower(): t for t in tenants}
        self.fetch = fetch
        self.apps = {}
        self.key = key
        self.kid = jose.kid_of(self.key.public_key())
        self.lifetime = 3599
        self.seen, self.lock = {}, threading.Lock()  # (client, jti) of assertions: when it may be forgotten

    def jwks(self):
        return {"keys": [jose.jwk(self.key.public_key(), self.kid)]}

    # ---- the request ----

    def find_tenant(self, name):
        for t in self.tenants.values():
            if name.lower() in (t["id"].lower(), t["domain"].lower()):
                return t
        if GUID.fullmatch(name) or DOMAIN.fullmatch(name):
            raise Refused(90002, f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and "
                                 "are signing into the correct cloud. Check with your subscription administrator, "
                                 "this may happen if there are no active subscriptions for the tenant.")
        raise Refused(900023, f"Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid "
                              "external domain.")

    def check_form(self, fields, version):
        names = [n for n, _ in fields]
        for n in names:
            if names.count(n) > 1:
                raise Refused(9000411, f"The request is not properly formatted. The parameter '{n}' is duplicated.")
        form = dict(fields)
        for n in ("grant_type", "client_id", "scope" if version == 2 else "resource"):
            if not form.get(n):
                raise Refused(900144, f"The request body must contain the following parameter: '{n}'.")
        if form["grant_type"] != "client_credentials":
            raise Refused(70003, f"The app requested an unsupported grant type '{form['grant_type']}'.")
        return form

    def find_app(self, client, tenant):
        if not GUID.fullmatch(client):
            raise Refused(700038, f"{client} is not a valid application identifier.")
        app = self.apps.get(client.lower())
        if not app or tenant["id"].lower() not in app.tenants:
            raise Refused(700016, f"Application with identifier '{client}' was not found in the directory "
                                  f"'{tenant['name']}'. This can happen if the application has not been installed by "
                                  "the administrator of the tenant or consented to by any user in the tenant. You may "
                                  "have sent your authentication request to the wrong tenant.")
        if app.disabled:
            raise Refused(7000112, f"Application '{client}'({app.name}) is disabled.")
        return app

    def audience(self, form, version, tenant):
        """What the token will be for."""
        if version == 1:
            resource = form["resource"]
        else:
            scopes = form["scope"].split(" ")
            if len(scopes) > 1:
                raise Refused(700022, "The provided value for the input parameter scope isn't valid because it "
                                      f"contains more than one resource. Scope {form['scope']} isn't valid.")
            resource, slash, permission = scopes[0].rpartition("/")
            if not slash or permission != ".default" or not resource:
                raise Refused(1002012, f"The provided value for scope {scopes[0]} is not valid. Client credential "
                                       "flows must have a scope value with /.default suffixed to the resource "
                                       "identifier (application ID URI).")
        known = GUID.fullmatch(resource) or re.fullmatch(r"(https|api)://[A-Za-z0-9.-]+(/[\x21-\x7e]*)?", resource)
        # RFC 2606: nobody has registered anything under this name
        if not known or re.search(r"\.invalid(/|$)", resource):
            raise Refused(500011, f"The resource principal named {resource} was not found in the tenant named "
                                  f"{tenant['name']}. This can happen if the application has not been installed by the "
                                  "administrator of the tenant or consented to by any user in the tenant. You might "
                                  "have sent your authentication request to the wrong tenant.")
        return resource

    def token(self, url, tenant_name, version, fields, now):
        """The body of the answer. `url`: what was posted to, without its query; `fields`: pairs."""
        tenant = self.find_tenant(tenant_name)
        form = self.check_form(fields, version)
        app = self.find_app(form["client_id"], tenant)
        secret, assertion = form.get("client_secret"), form.get("client_assertion")
        if secret and assertion:
            raise Refused(90013, "Invalid input received from the user: client_secret and client_assertion.")
        if assertion:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise Refused(90013, "Invalid input received from the user: client_assertion_type.")
            self.check_assertion(app, form, url, now)
        elif secret:
            self.check_secret(app, secret, now)
        else:
            raise Refused(7000216, "'client_assertion', 'client_secret' or 'request' is required for the "
                                   "'client_credentials' grant type.")
        return self.issue(app, tenant, self.audience(form, version, tenant), version, now,
                          "2" if assertion else "1")

    # ---- credentials ----

    def check_secret(self, app, secret, now):
        expired = False
        for s in app.secrets:
            if not hmac.compare_digest(s["value"].encode(), secret.encode()):
                continue
            if s.get("expires", now + 1) > now:
                return
            expired = True
        if expired:
            raise Refused(7000222, f"The provided client secret keys for app '{app.id}' are expired. Visit the Azure "
                                   "portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider "
                                   "using certificate credentials for added security: https://aka.ms/certCreds.")
        raise Refused(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the "
                               f"client secret value, not the client secret ID, for a secret added to app '{app.id}'.")

    def check_assertion(self, app, form, url, now):
        try:
            jwt = jose.Jwt(form["client_assertion"])
        except jose.Malformed as e:
            raise Refused(50027, f"JWT token is invalid or malformed: {e}.") from e
        own = any(n in jwt.head for n in ("x5t", "x5t#S256", "x5c"))
        if own or str(jwt.claims.get("iss", "")).lower() == app.id:
            self.check_own(app, jwt, form["client_id"], url, now)
        else:
            self.check_federated(app, jwt, now)

    @staticmethod
    def check_times(jwt, now):
        start, end = jwt.claims.get("nbf", jwt.claims.get("iat")), jwt.claims.get("exp")
        for name, value in (("nbf", start), ("exp", end)):
            # a number, not an integer only: msal for Python sends fractions
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1 << 40:
                raise Refused(50027, f"JWT token is invalid or malformed: {name} is not a number of seconds.")
        if end + SKEW < now or start - SKEW > now:
            raise Refused(700024, "Client assertion is not within its valid time range. Current time: "
                                  f"{stamp(now)}, assertion valid from {stamp(start)}, expiry time of assertion "
                                  f"{stamp(end)}. Review the documentation at "
                                  "https://learn.microsoft.com/entra/identity-platform/certificate-credentials .")
        return start, end

    def check_own(self, app, jwt, client, url, now):
        """An assertion that the application signed with the key of its certificate."""
        if jwt.head.get("alg") not in jose.ALGORITHMS or jwt.head.get("typ", "JWT") != "JWT":
            raise Refused(50027, f"JWT token is invalid or malformed: alg {jwt.head.get('alg')!r}, "
                                 f"typ {jwt.head.get('typ')!r}.")
        cert, shown = self.find_cert(app, jwt.head)
        if not cert.not_valid_before <= datetime.datetime.utcfromtimestamp(now) < cert.not_valid_after:
            raise Refused(700027, "Client assertion contains an invalid signature. [Reason - The key used is "
                                  f"expired., Thumbprint of key used by client: '{shown}']")
        if not jwt.is_signed_by(cert.public_key()):
            raise Refused(700027, "Client assertion contains an invalid signature. [Reason - The provided signature "
                                  f"value did not match the expected signature value., Thumbprint of key used by "
                                  f"client: '{shown}']")
        if not jwt.claims.get("iss") == jwt.claims.get("sub") == client:
            raise Refused(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
        if jwt.claims.get("aud") != url:
            raise Refused(700023, "Client assertion audience claim does not match Realm issuer.")
        start, end = self.check_times(jwt, now)
        if end - start > LIFETIME_MAX:
            raise Refused(700024, "Client assertion is not within its valid time range: it is valid for longer than "
                                  f"{LIFETIME_MAX} seconds.")
        self.check_replay(app, jwt, end, now)

    def check_replay(self, app, jwt, end, now):
        jti = jwt.claims.get("jti")
        if not isinstance(jti, str) or not jti:
            raise Refused(50027, "JWT token is invalid or malformed: it has no jti.")
        with self.lock:
            self.seen = {k: until for k, until in self.seen.items() if until >= now}
            again = (app.id, jti) in self.seen
            self.seen[app.id, jti] = end + SKEW
        if again:
            raise Refused(50013, "Assertion failed validation. [Reason - The assertion was presented before.]")

    def find_cert(self, app, head):
        """(the certificate that is to have signed, its thumbprint as Entra prints it)"""
        prints = {n: head[n].rstrip("=") for n in ("x5t", "x5t#S256") if isinstance(head.get(n), str)}
        # msal-go writes standard base64 here, and Entra takes it
        prints = {n: p.replace("+", "-").replace("/", "_") for n, p in prints.items()}
        if not prints:
            raise Refused(50027, "Invalid JWT token. No certificate thumbprint specified in token header.")
        try:
            shown = jose.unb64(next(iter(prints.values()))).hex().upper()
            # msal for Python leaves the line ends of PEM in it
            chain = [x509.load_der_x509_certificate(base64.b64decode("".join(c.split()), validate=True))
                     for c in head.get("x5c", [])]
        except (jose.Malformed, ValueError, TypeError, AttributeError) as e:
            raise Refused(50027, "JWT token is invalid or malformed: x5t or x5c.") from e
        fits = lambda cert: all(jose.thumbprints(cert)[n] == p for n, p in prints.items())
        if chain and not fits(chain[0]):
            raise Refused(50027, "JWT token is invalid or malformed: x5t is not of the first certificate of x5c.")
        for cert in app.certs:
            if fits(cert):
                return cert, shown
        if chain and app.names:
            return self.check_name(app, chain[0], shown), shown
        raise Refused(700027, "The certificate with identifier used to sign the client assertion is not registered on "
                              f"application. [Reason - The key was not found., Thumbprint of key used by client: "
                              f"'{shown}', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to "
                              f"see configured keys for app Id '{app.id}'.]")

    @staticmethod
    def check_name(app, leaf, shown):
        names = [a.value for a in leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
        for name, issuer in app.names:
            if name not in names:
                continue
            try:
                issuer.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, padding.PKCS1v15(),
                                           leaf.signature_hash_algorithm)
                return leaf
            except InvalidSignature:
                pass
        raise Refused(700030, "Invalid certificate - subject name in certificate is not authorized. SubjectNames/"
                              f"SubjectAlternativeNames (up to 10) in token certificate are: {', '.join(names)}. "
                              f"[Thumbprint of key used by client: '{shown}']")

    def check_federated(self, app, jwt, now):
        """A token of somebody whom the registration trusts to speak for the application."""
        iss, sub, aud = (jwt.claims.get(n) for n in ("iss", "sub", "aud"))
        aud = aud[0] if isinstance(aud, list) and len(aud) == 1 else aud
        if not app.federated:
            raise Refused(70021, "No matching federated identity record found for presented assertion. Assertion "
                                 f"Issuer: '{iss}'. Assertion Subject: '{sub}'. Assertion Audience: '{aud}'. {DOCS}")
        left = app.federated
        for i, code, what, value in ((0, 700211, "issuer", iss), (2, 700212, "audience", aud),
                                     (1, 700213, "subject", sub)):
            left = [f for f in left if f[i] == value]
            if not left:
                raise Refused(code, f"No matching federated identity record found for presented assertion {what} "
                                    f"'{value}'. Check your federated identity credential Subject, Audience and Issuer "
                                    f"against the presented assertion. {DOCS}")
        if jwt.head.get("alg") != "RS256":
            raise Refused(50027, f"JWT token is invalid or malformed: alg {jwt.head.get('alg')!r}.")
        if not jwt.is_signed_by(self.issuer_key(iss, jwt.head.get("kid"))):
            raise Refused(50013, "Assertion failed signature validation. [Reason - The provided signature value did "
                                 "not match the expected signature value.]")
        self.check_times(jwt, now)

    def issuer_key(self, issuer, kid):
        try:
            conf = self.fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
            if conf.get("issuer") != issuer:
                raise ValueError("the document is of another issuer")
            keys = self.fetch(conf["jwks_uri"])["keys"]
            found = [k for k in keys if k.get("kid") == kid]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as e:
            raise Refused(90061, f"Request to External OIDC endpoint failed: {issuer}.") from e
        if not found:
            raise Refused(50013, "Assertion failed signature validation. [Reason - The key was not found.]")
        try:
            return jose.jwk_key(found[0])
        except (jose.Malformed, ValueError) as e:
            raise Refused(90061, f"Request to External OIDC endpoint failed: {issuer}.") from e

    # ---- the answer ----

    def issue(self, app, tenant, audience, version, now, how):
        tid, start = tenant["id"], int(now)
        oid = str(uuid.uuid5(uuid.UUID(tid), app.id))
        claims = {"aud": audience, "iss": f"https://sts.windows.net/{tid}/", "iat": start, "nbf": start,
                  "exp": start + self.lifetime + 1, "appid": app.id, "appidacr": how,
                  "idp": f"https://sts.windows.net/{tid}/", "idtyp": "app", "oid": oid, "sub": oid, "tid": tid,
                  "uti": jose.b64(uuid.uuid4().bytes), "ver": "1.0"}
        token = jose.sign(self.key, {"typ": "JWT", "alg": "RS256", "x5t": self.kid, "kid": self.kid}, claims)
        if version == 2:
            return {"token_type": "Bearer", "expires_in": self.lifetime, "ext_expires_in": self.lifetime,
                    "access_token": token}
        return {"token_type": "Bearer", "expires_in": str(self.lifetime), "ext_expires_in": str(self.lifetime),
                "expires_on": str(claims["exp"]), "not_before": str(start), "resource": audience,
                "access_token": token}
