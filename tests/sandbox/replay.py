#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""replay.py SERVER RECORDINGS CRDS CERTS

Every recorded request, sent to the stand-in holding the same objects; its answer beside the recorded one.

Compared: status line, content type, the other headers that mean something, and the JSON with its types,
its values and the order of its members. Left out: managedFields, which the stand-in does not keep. Of
what is different in every run (UIDs, versions, times, tokens) only the form is compared. Results are
TAP, one for each recording.
"""
import base64, collections, http.client, json, pathlib, re, socket, sys, tempfile, time

from server import Server

SERVER, RECORDINGS, CRDS, CERTS = (pathlib.Path(a).resolve() for a in sys.argv[1:5])

FORMS = {
    "uid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "resourceVersion": r"\d+",
    "creationTimestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "deletionTimestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "expirationTimestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "token": r"[\w-]+\.[\w-]+\.[\w-]+",
    "continue": r"[\w-]*",
}
HEADERS = ["content-type", "x-content-type-options", "retry-after", "cache-control"]


class Refused(Exception):
    pass


def split(raw):
    """Status line, headers, body without its chunks; and the chunks."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if not _:
        head, _, body = raw.partition(b"\n\n")
    lines = head.decode().splitlines()
    headers = {k.lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        out = b""
        while True:
            m = re.match(rb"\s*([0-9a-fA-F]+)\r?\n", body)
            if not m or int(m[1], 16) == 0:
                break
            n = int(m[1], 16)
            out += body[m.end():m.end() + n]
            body = body[m.end() + n:]
        body = out
    return lines[0], headers, body.decode()


def load(text):
    return json.loads(text, object_pairs_hook=collections.OrderedDict)


class Cluster(Server):
    def __init__(self, dir):
        super().__init__(SERVER, CRDS, CERTS, dir, "--node=aks-nodepool1-12345678-vmss000000")

    def open(self):
        return self.tls.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=30),
                                    server_hostname="127.0.0.1")

    def send(self, s, request):
        s.sendall(request.replace(b"<token>", self.admin.encode()))

    def receive(self, s):
        raw = b""
        while True:
            got = s.recv(65536)
            if not got:
                return raw
            raw += got
            if b"\r\n0\r\n\r\n" in raw[-16:]:
                return raw
            m = re.search(rb"\r\ncontent-length: (\d+)", raw, re.I)
            at = raw.find(b"\r\n\r\n")
            if m and at > 0 and len(raw) >= at + 4 + int(m[1]):
                return raw

    def call(self, method, path, body=None, type="application/json"):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=30)
        c.request(method, path, json.dumps(body) if body is not None else None,
                  {"Authorization": f"Bearer {self.admin}", "Content-Type": type})
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        if r.status >= 300:
            raise Refused(f"{method} {path}: {r.status} {text}")
        return load(text) if text.startswith("{") else text


def read(name, what):
    return (RECORDINGS / f"{name}.{what}").read_bytes()


def recorded_objects():
    """What the recorded cluster held, from the answers that show it; as it was applied."""
    for name in ("secret-get", "azureidentities-list", "azureidentitybindings-list",
                 "azurepodidentityexceptions-list", "pods-list-gzip"):
        doc = load(split(read(name, "response"))[2])
        for obj in doc.get("items", [doc]):
            note = "kubectl.kubernetes.io/last-applied-configuration"
            applied = load(obj["metadata"]["annotations"][note])
            applied["metadata"]["annotations"][note] = obj["metadata"]["annotations"][note]
            yield applied, obj.get("status")


PLURALS = {"Pod": "pods", "Secret": "secrets", "AzureIdentity": "azureidentities",
           "AzureIdentityBinding": "azureidentitybindings",
           "AzurePodIdentityException": "azurepodidentityexceptions"}


def fill(c):
    c.call("POST", "/api/v1/namespaces", {"metadata": {"name": "my-app"}})
    c.call("POST", "/api/v1/namespaces/my-app/serviceaccounts", {"metadata": {"name": "demo-sa"}})
    for obj, status in recorded_objects():
        base = "/api/v1" if obj["apiVersion"] == "v1" else f"/apis/{obj['apiVersion']}"
        path = f"{base}/namespaces/{obj['metadata']['namespace']}/{PLURALS[obj['kind']]}"
        c.call("POST", path, obj)
        if status:
            c.call("PATCH", f"{path}/{obj['metadata']['name']}/status", {"status": status},
                   "application/strategic-merge-patch+json")


# ---- what a recording needs that its request does not say ----

MERGE = "application/merge-patch+json"


def version(c):
    return c.call("GET", "/_sandbox/stats")["resourceVersion"]


def rewrite(c, request, **query):
    line, rest = request.split(b"\r\n", 1) if b"\r\n" in request else request.split(b"\n", 1)
    for k, v in query.items():
        line = re.sub(rf"\b{k}=[^& ]*".encode(), f"{k}={v}".encode(), line)
    return line + b"\r\n" + rest


def pod_watch(c, request, name):
    """The changes that were made while the watch was recorded."""
    s = c.open()
    c.send(s, rewrite(c, request, resourceVersion=version(c), timeoutSeconds=5))
    pod = "/api/v1/namespaces/my-app/pods"
    phase = lambda p: c.call("PATCH", f"{pod}/multi/status", {"status": {"phase": p}}, MERGE)
    c.call("PATCH", f"{pod}/demo", {"metadata": {"labels": {"extra": "1"}}}, MERGE)
    phase("Failed")
    phase("Running")
    c.call("DELETE", "/api/v1/namespaces/default/pods/done")
    c.call("PATCH", f"{pod}/demo", {"metadata": {"labels": {"extra": None}}}, MERGE)
    # a bookmark follows what came before it, or is left out: let the watcher catch up
    time.sleep(0.5)
    c.call("POST", "/_sandbox/bookmark")
    return c.receive(s)


def plain(c, request, name):
    s = c.open()
    c.send(s, request)
    return c.receive(s)


def short(c, request, name):
    return plain(c, rewrite(c, request, timeoutSeconds=1), name)


def second_page(c, request, name):
    token = c.call("GET", "/api/v1/pods?limit=2")["metadata"]["continue"]
    return plain(c, rewrite(c, request, **{"continue": token}), name)


def expired_page(c, request, name):
    """The token points where the recorded one did, and the past is gone."""
    doc = load(base64.urlsafe_b64decode(re.search(rb"continue=([\w-]+)", request)[1] + b"==="))
    doc["rv"] = version(c) - 1
    token = base64.urlsafe_b64encode(json.dumps(doc, separators=(",", ":")).encode())
    c.call("POST", "/_sandbox/compact")
    return plain(c, rewrite(c, request, **{"continue": token.decode().rstrip("=")}), name)


def too_old(c, request, name):
    old = version(c) - 1
    c.call("POST", "/_sandbox/compact")
    return short(c, rewrite(c, request, resourceVersion=old), name)


def bad_token(c, request, name):
    return plain(c, request.replace(b"<token>", b"not-a-token"), name)


def with_body(c, request, change):
    head, body = re.split(rb"\r?\n\r?\n", request, maxsplit=1)
    doc = load(body)
    change(doc)
    text = json.dumps(doc).encode()
    head = re.sub(rb"(?i)content-length: \d+", b"Content-Length: %d" % len(text), head)
    return head + b"\r\n\r\n" + text


LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/aad-pod-identity-mic"


def lease_update(c, request, name):
    now = c.call("GET", LEASE)["metadata"]

    def change(doc):
        doc["metadata"]["uid"] = now["uid"]
        rv = int(now["resourceVersion"])
        doc["metadata"]["resourceVersion"] = str(rv - 1 if name.endswith("stale") else rv)
    return plain(c, with_body(c, request, change), name)


def bound_token(c, request, name):
    uid = c.call("GET", "/api/v1/namespaces/my-app/pods/demo")["metadata"]["uid"]
    return plain(c, with_body(c, request,
                              lambda d: d["spec"]["boundObjectRef"].__setitem__("uid", uid)), name)


HOW = {
    "unauthorized": bad_token, "pods-watch": pod_watch, "pods-watch-initial-events": short, "pods-watch-from-0": short,
    "pods-list-paged-2": second_page, "list-continue-expired": expired_page,
    "watch-too-old": too_old, "azureidentities-watch": too_old, "lease-update": lease_update,
    "lease-update-stale": lease_update, "token-request-bound-pod": bound_token,
}


# ---- comparing ----

def differ(want, got, path=""):
    key = re.split(r"[.\[]", path)[-1]
    if key in FORMS and isinstance(want, str) and isinstance(got, str):
        for who, v in (("recorded", want), ("got", got)):
            if not re.fullmatch(FORMS[key], v):
                yield f"{path}: {who} {v!r} does not look like a {key}"
        if bool(want) != bool(got):
            yield f"{path}: {want!r} -> {got!r}"
    elif type(want) is not type(got):
        yield f"{path}: {want!r} -> {got!r}"
    elif isinstance(want, dict):
        a, b = ([k for k in d if k != "managedFields"] for d in (want, got))
        if a != b:
            yield f"{path}: members {a} -> {b}"
        for k in a:
            if k in got:
                yield from differ(want[k], got[k], f"{path}.{k}" if path else k)
    elif isinstance(want, list):
        if len(want) != len(got):
            yield f"{path}: {len(want)} -> {len(got)} items"
        for i, (x, y) in enumerate(zip(want, got)):
            yield from differ(x, y, f"{path}[{i}]")
    elif key == "message" and "resource version" in str(want):
        # versions differ from run to run, the words do not
        if re.sub(r"\d+", "N", want) != re.sub(r"\d+", "N", got):
            yield f"{path}: {want!r} -> {got!r}"
    elif key == "jwks_uri" or want == got:
        return
    else:
        yield f"{path}: {want!r} -> {got!r}"


def documents(headers, text):
    if headers.get("content-type") != "application/json":
        return [text.strip()]
    return [load(l) for l in text.splitlines() if l.strip()]


def compare(name, raw):
    want_line, want_headers, want_text = split(read(name, "response"))
    line, headers, text = split(raw)
    # the number only: libmicrohttpd has the words of RFC 9110 for 422
    if line.split()[:2] != want_line.split()[:2]:
        yield f"{want_line} -> {line}: {text[:300]}"
        return
    for h in HEADERS:
        if want_headers.get(h) != headers.get(h):
            yield f"{h}: {want_headers.get(h)} -> {headers.get(h)}"
    want, got = documents(want_headers, want_text), documents(headers, text)
    if len(want) != len(got):
        yield f"{len(want)} documents -> {len(got)}: {[d.get('type') for d in got]}"
    for i, (a, b) in enumerate(zip(want, got)):
        yield from differ(a, b, "" if len(want) == 1 else f"#{i}")


def main():
    names = [l.split("\t")[0] for l in (RECORDINGS / "INDEX.tsv").read_text().splitlines()[1:]]
    missing = {p.stem for p in RECORDINGS.glob("*.request")} ^ set(names)
    print(f"1..{len(names) + 2}")
    bad = 0
    with tempfile.TemporaryDirectory(prefix="nmi-replay-") as dir:
        c = Cluster(dir)
        try:
            fill(c)
            for i, name in enumerate(names, 1):
                how = HOW.get(name, plain)
                try:
                    faults = list(compare(name, how(c, read(name, "request"), name)))
                except (Refused, OSError, ValueError, KeyError) as e:
                    faults = [repr(e)]
                bad += bool(faults)
                print("not ok" if faults else "ok", i, "-", name, flush=True)
                print("".join(f"# {f}\n" for f in faults), end="")
        finally:
            code = c.end()
        print("ok" if not missing else "not ok", len(names) + 1, "- every recording is replayed")
        print("ok" if code == 0 else "not ok", len(names) + 2, "- the server ends in good order")
        bad += bool(missing) + bool(code)
    sys.exit(bool(bad))


main()
