#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A stand-in for Azure Resource Manager: one resource group over TLS, for whoever has a role on it.

It trusts a token as ARM does: signed by a key of --jwks, for ARM, of the tenant of the subscription, and in time.
--role OBJECT-ID may read. Errors have ARM's codes. Each answer is a line of --log: the status or code, and no token.
"""
import argparse, http.server, json, pathlib, re, signal, ssl, sys, threading, time, urllib.parse

import entra, jose

AUDIENCES = {"https://management.azure.com", "https://management.azure.com/",
             "https://management.core.windows.net", "https://management.core.windows.net/"}
HOST = "management.azure.com"
SCOPE = re.compile(r"/subscriptions/([^/]+)/resourcegroups/([^/]+)", re.I)


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def bearer(header, keys, tenant, now):
    """The claims of a token that is good."""
    if not header:
        raise Refused(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
    m = re.fullmatch(r"Bearer ([A-Za-z0-9._-]+)", header)
    if not m:
        raise Refused(401, "AuthenticationFailedMissingToken", "The 'Authorization' header is not a bearer token.")
    try:
        jwt = jose.Jwt(m[1])
        key = keys.get(jwt.head.get("kid"))
        signed = key is not None and jwt.head.get("alg") == "RS256" and jwt.is_signed_by(key)
    except jose.Malformed as e:
        raise Refused(401, "InvalidAuthenticationToken", f"The access token is invalid: {e}.") from e
    if not signed:
        raise Refused(401, "InvalidAuthenticationToken", "The access token has an invalid signature.")
    c = jwt.claims
    if c.get("aud") not in AUDIENCES:
        raise Refused(401, "InvalidAuthenticationTokenAudience",
                      f"The access token has been obtained for wrong audience or resource '{c.get('aud')}'.")
    if c.get("tid") != tenant or c.get("iss") != f"https://sts.windows.net/{tenant}/":
        raise Refused(401, "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer.")
    if not isinstance(c.get("exp"), int) or not isinstance(c.get("nbf"), int) or not c["nbf"] <= now < c["exp"]:
        raise Refused(401, "ExpiredAuthenticationToken", "The access token expiry is in the past, or it is not valid yet.")
    return c


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args):
        pass  # a line of our own is in --log

    def do_GET(self):
        try:
            status, doc = self.group(self.headers.get("Authorization"))
            self.server.note(status)
        except Refused as r:
            status, doc = r.status, {"error": {"code": r.code, "message": r.message}}
            self.server.note(r.code)
        text = json.dumps(doc).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        if status == 401:
            self.send_header("WWW-Authenticate", f'Bearer authorization_uri="https://login.windows.net/{self.server.conf.tenant}"')
        self.end_headers()
        self.wfile.write(text)

    def group(self, header):
        conf, url = self.server.conf, urllib.parse.urlsplit(self.path)
        if self.headers.get("Host") != HOST:
            raise Refused(404, "NotFound", "There is no such host here.")
        keys = {k["kid"]: jose.jwk_key(k) for k in json.loads(pathlib.Path(conf.jwks).read_text())["keys"]}
        claims = bearer(header, keys, conf.tenant, time.time())
        if not re.fullmatch(r"api-version=\d{4}-\d\d-\d\d", url.query):
            raise Refused(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required.")
        m = SCOPE.fullmatch(url.path)
        if not m:
            raise Refused(404, "InvalidResourceType", "The resource type could not be found.")
        if m[1].lower() != conf.subscription.lower():
            raise Refused(404, "SubscriptionNotFound", f"The subscription '{m[1]}' could not be found.")
        if claims.get("oid") not in conf.role:
            raise Refused(403, "AuthorizationFailed",
                          f"The client '{claims.get('appid')}' with object id '{claims.get('oid')}' does not have authorization "
                          f"to perform action 'Microsoft.Resources/subscriptions/resourceGroups/read' over scope '{url.path}'.")
        if m[2].lower() != conf.group.lower():
            raise Refused(404, "ResourceGroupNotFound", f"Resource group '{m[2]}' could not be found.")
        return 200, {"id": f"/subscriptions/{conf.subscription}/resourceGroups/{conf.group}", "name": conf.group,
                     "type": "Microsoft.Resources/resourceGroups", "location": "koreacentral",
                     "properties": {"provisioningState": "Succeeded"}}


class Server(entra.TlsServer):
    def __init__(self, address, conf):
        self.conf, self.lock = conf, threading.Lock()
        self.log = open(conf.log, "a")
        super().__init__(address, Handler)

    def finish_request(self, request, client_address):
        request.settimeout(30)
        with self.tls.wrap_socket(request, server_side=True) as s:
            Handler(s, client_address, self)

    def note(self, answer):
        with self.lock:
            print(answer, file=self.log, flush=True)


def main():
    p = argparse.ArgumentParser()
    for name in ("listen", "dir", "jwks", "log", "tenant", "subscription", "group"):
        p.add_argument(f"--{name}", required=True)
    p.add_argument("--role", action="append", default=[])
    p.add_argument("--port-file", type=pathlib.Path)
    conf = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    entra.make_pki(pathlib.Path(conf.dir), [HOST])
    host, port = conf.listen.rsplit(":", 1)
    server = Server((host, int(port)), conf)
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(pathlib.Path(conf.dir) / "server.pem")
    if conf.port_file:
        partial = conf.port_file.with_suffix(".tmp")
        partial.write_text(str(server.server_address[1]))
        partial.rename(conf.port_file)
    server.serve_forever(0.1)


if __name__ == "__main__":
    main()
