#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""behave.py SERVER CRDS CERTS: what the stand-in API server promises beyond the recordings. TAP.

Lists and watches with all that can go wrong with them, deletion, refusals in the words of the real
server, faults on order, malformed requests, and enough speed for the benchmarks.
"""
import base64, calendar, http.client, json, pathlib, re, socket, ssl, sys, tempfile, threading, time

import jose
from server import Server

SERVER, CRDS, CERTS = (pathlib.Path(a).resolve() for a in sys.argv[1:4])
MERGE = "application/merge-patch+json"
PODS = "/api/v1/namespaces/default/pods"
IDS = "/apis/aadpodidentity.k8s.io/v1/namespaces/default/azureidentities"
SECRETS = "/api/v1/namespaces/default/secrets"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
EXCHANGE = "api://AzureADTokenExchange"
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Cluster(Server):
    def __init__(self, dir, *more):
        super().__init__(SERVER, CRDS, CERTS, dir, *more)
        self.keep = threading.local()

    def connect(self, timeout=20):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=timeout)

    def call(self, method, path, body=None, type="application/json", token=None, accept=None):
        """(code, document or text, headers)"""
        if not hasattr(self.keep, "c"):
            self.keep.c = self.connect()
        headers = {"Content-Type": type}
        if token != "":
            headers["Authorization"] = f"Bearer {token or self.admin}"
        if accept:
            headers["Accept"] = accept
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        self.keep.c.request(method, path, body, headers)
        r = self.keep.c.getresponse()
        text = r.read().decode()
        is_json = r.headers["Content-Type"] == "application/json"
        return r.status, json.loads(text) if is_json else text, r.headers

    def ok(self, method, path, body=None, type="application/json"):
        code, doc, _ = self.call(method, path, body, type)
        assert code < 300, f"{method} {path}: {code} {doc}"
        return doc

    def refused(self, code, words, method, path, body=None, type="application/json", **more):
        got, doc, _ = self.call(method, path, body, type, **more)
        message = doc["message"] if isinstance(doc, dict) else doc
        assert got == code and words in message, f"{method} {path}: {got} {message}"
        return doc

    def fault(self, what):
        self.ok("POST", f"/_sandbox/{what}")

    def rv(self):
        return self.ok("GET", "/_sandbox/stats")["resourceVersion"]

    def pod(self, name, node="node-1", labels=None, **spec):
        return {"metadata": {"name": name, "labels": labels or {}},
                "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i:1"}], **spec}}

    def add_pod(self, name, **more):
        return self.ok("POST", PODS, self.pod(name, **more))


class Watch:
    """Lines of a watch, as they come."""

    def __init__(self, c, path, query, timeout=10, accept="*/*"):
        self.c = c.connect(timeout)
        self.c.request("GET", f"{path}?watch=1&{query}", None,
                       {"Authorization": f"Bearer {c.admin}", "Accept": accept})
        self.r = self.c.getresponse()
        self.status = self.r.status

    def next(self):
        line = self.r.readline()
        return json.loads(line) if line else None

    def take(self, n):
        return [self.next() for _ in range(n)]

    def quiet(self, seconds=0.3):
        self.c.sock.settimeout(seconds)
        try:
            line = self.r.readline()
        except TimeoutError:
            return True
        return f"not quiet: {line}"

    def close(self):
        self.c.close()


def brief(events):
    return [(e["type"], e["object"]["metadata"].get("name")) if e else None for e in events]


# ---- lists ----

@test
def pages_show_one_moment(c):
    for i in range(5):
        c.add_pod(f"page-{i}")
    one = c.ok("GET", f"{PODS}?limit=2")
    assert one["metadata"]["remainingItemCount"] == 3, one["metadata"]
    c.ok("DELETE", f"{PODS}/page-3?gracePeriodSeconds=0")
    c.add_pod("page-9")
    names, doc = [], one
    while True:
        names += [p["metadata"]["name"] for p in doc["items"]]
        assert doc["metadata"]["resourceVersion"] == one["metadata"]["resourceVersion"]
        if not doc["metadata"].get("continue"):
            break
        doc = c.ok("GET", f"{PODS}?limit=2&continue={doc['metadata']['continue']}")
    assert names == [f"page-{i}" for i in range(5)], names


@test
def an_expired_page_gives_a_token_to_go_on_with(c):
    for i in range(3):
        c.add_pod(f"p-{i}")
    one = c.ok("GET", f"{PODS}?limit=1")
    c.add_pod("p-9")
    c.fault("compact")
    doc = c.refused(410, "The provided continue parameter is too old", "GET",
                    f"{PODS}?limit=1&continue={one['metadata']['continue']}")
    rest = c.ok("GET", f"{PODS}?continue={doc['metadata']['continue']}")
    assert [p["metadata"]["name"] for p in rest["items"]] == ["p-1", "p-2", "p-9"]


@test
def versions_of_lists(c):
    c.add_pod("v-0")
    old = c.rv()
    c.add_pod("v-1")
    names = lambda q: [p["metadata"]["name"] for p in c.ok("GET", f"{PODS}?{q}")["items"]]
    assert names("") == ["v-0", "v-1"]
    assert names("resourceVersion=0&limit=1") == ["v-0", "v-1"], "rv 0 does not page"
    assert names(f"resourceVersion={old}") == ["v-0", "v-1"], "not older than"
    assert names(f"resourceVersion={old}&resourceVersionMatch=NotOlderThan") == ["v-0", "v-1"]
    assert names(f"resourceVersion={old}&resourceVersionMatch=Exact") == ["v-0"]
    assert names(f"resourceVersion={old}&limit=5") == ["v-0"], "with a limit, exact"
    c.refused(504, "Too large resource version", "GET", f"{PODS}?resourceVersion={c.rv() + 99}")
    c.refused(500, "future revision", "GET", f"{PODS}?limit=1&resourceVersion={c.rv() + 99}")
    c.refused(500, 'parsing "x"', "GET", f"{PODS}?resourceVersion=x")
    c.fault("compact")
    c.refused(410, "too old", "GET", f"{PODS}?resourceVersion={old}&resourceVersionMatch=Exact")


@test
def options_that_do_not_go_together(c):
    for query, words in (
            ("resourceVersionMatch=Exact", "forbidden unless resourceVersion is provided"),
            ("resourceVersion=0&resourceVersionMatch=Exact", '"exact" is forbidden'),
            ("resourceVersion=5&resourceVersionMatch=x", 'Unsupported value: "x"'),
            ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
            ("watch=1&sendInitialEvents=true", "requires setting resourceVersionMatch to NotOlder"),
            ("watch=1&resourceVersionMatch=NotOlderThan", "unless sendInitialEvents is provided"),
            ("watch=1&sendInitialEvents=true&resourceVersionMatch=Exact", "NotOlderThan")):
        doc = c.refused(422, words, "GET", f"{PODS}?{query}")
        assert doc["details"]["kind"] == "ListOptions" and doc["reason"] == "Invalid", doc
    for query, words in (("limit=x", "invalid syntax"), ("continue=%21", "continue key is not valid"),
                         ("continue=e30", "continue key is not valid"),
                         ("labelSelector=a%20b", "unable to parse"),
                         ("fieldSelector=x", "can't understand"),
                         ("fieldSelector=spec.x%3D1", "field label not supported: spec.x")):
        c.refused(400, words, "GET", f"{PODS}?{query}")


# ---- watches ----

@test
def a_watch_follows_what_enters_and_leaves_its_selection(c):
    w = Watch(c, "/api/v1/pods", f"resourceVersion={c.rv()}&labelSelector=tier%3Dweb")
    c.add_pod("sel", labels={"tier": "db"})
    label = lambda v: c.ok("PATCH", f"{PODS}/sel", {"metadata": {"labels": v}}, MERGE)
    label({"tier": "web"})
    label({"more": "1"})
    last = label({"tier": "db"})
    label({"tier": "web"})
    c.ok("DELETE", f"{PODS}/sel?gracePeriodSeconds=0")
    got = w.take(6)
    assert brief(got) == [("ADDED", "sel"), ("MODIFIED", "sel"), ("DELETED", "sel"),
                          ("ADDED", "sel"), ("MODIFIED", "sel"), ("DELETED", "sel")], brief(got)
    gone = got[2]["object"]["metadata"]
    assert gone["labels"]["tier"] == "web", "the last state inside the selection"
    assert gone["resourceVersion"] == last["metadata"]["resourceVersion"]
    w.close()


@test
def a_pod_that_moves_to_the_node_appears_to_its_watch(c):
    w = Watch(c, "/api/v1/pods", f"resourceVersion={c.rv()}&fieldSelector=spec.nodeName%3Dnode-7")
    c.add_pod("bound", node="")
    c.ok("POST", f"{PODS}/bound/binding", {"target": {"name": "node-7"}})
    c.refused(409, "already assigned", "POST", f"{PODS}/bound/binding", {"target": {"name": "x"}})
    assert brief(w.take(1)) == [("ADDED", "bound")]
    w.close()


@test
def a_watch_replays_from_any_version_kept(c):
    start = c.rv()
    c.add_pod("r-0")
    middle = c.rv()
    c.add_pod("r-1")
    assert brief(Watch(c, PODS, f"resourceVersion={start}").take(2)) == [
        ("ADDED", "r-0"), ("ADDED", "r-1")]
    assert brief(Watch(c, PODS, f"resourceVersion={middle}").take(1)) == [("ADDED", "r-1")]


@test
def a_watch_without_a_version_starts_with_what_is_there(c):
    c.add_pod("s-0")
    for query in ("", "resourceVersion=0", "resourceVersion="):
        w = Watch(c, PODS, query)
        assert brief(w.take(1)) == [("ADDED", "s-0")], query
        assert w.quiet() is True
        w.close()


@test
def a_watch_of_the_future_is_silent(c):
    w = Watch(c, PODS, f"resourceVersion={c.rv() + 2}")
    c.add_pod("f-0")
    c.add_pod("f-1")
    c.add_pod("f-2")
    assert brief(w.take(1)) == [("ADDED", "f-2")]


@test
def a_streamed_list_ends_with_its_mark(c):
    c.add_pod("i-0")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    w = Watch(c, PODS, query)
    got = w.take(2)
    assert brief(got) == [("ADDED", "i-0"), ("BOOKMARK", None)], got
    assert got[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
    assert int(got[1]["object"]["metadata"]["resourceVersion"]) == c.rv()
    c.add_pod("i-1")
    assert brief(w.take(1)) == [("ADDED", "i-1")]
    c.fault("watchlist?on=0")
    c.refused(422, "unless the WatchList feature gate is enabled", "GET", f"{PODS}?watch=1&{query}")
    c.fault("watchlist")


@test
def bookmarks_come_when_allowed_and_only_then(c):
    yes = Watch(c, PODS, f"resourceVersion={c.rv()}&allowWatchBookmarks=true")
    no = Watch(c, PODS, f"resourceVersion={c.rv()}")
    c.ok("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "other"}})
    c.fault("bookmark")
    got = yes.next()
    assert got["type"] == "BOOKMARK" and int(got["object"]["metadata"]["resourceVersion"]) == c.rv()
    assert no.quiet() is True


@test
def timeoutseconds_ends_a_watch_in_good_order(c):
    t = time.monotonic()
    w = Watch(c, PODS, f"resourceVersion={c.rv()}&timeoutSeconds=1")
    assert w.next() is None
    assert 0.8 < time.monotonic() - t < 3


@test
def forgotten_versions_give_an_error_event(c):
    old = c.rv()
    c.add_pod("o-0")
    live = Watch(c, PODS, f"resourceVersion={c.rv()}")
    c.fault("compact")
    w = Watch(c, PODS, f"resourceVersion={old}")
    got = w.next()
    assert got["type"] == "ERROR" and got["object"]["code"] == 410, got
    assert re.fullmatch(r"too old resource version: \d+ \(\d+\)", got["object"]["message"])
    assert w.next() is None
    c.add_pod("o-1")
    assert brief(live.take(1)) == [("ADDED", "o-1")], "a watch that runs goes on"


@test
def watches_can_be_closed_and_broken(c):
    w = Watch(c, PODS, f"resourceVersion={c.rv()}")
    c.fault("close-watches")
    assert w.next() is None
    w = Watch(c, PODS, f"resourceVersion={c.rv()}")
    c.fault("close-watches?abort=1")
    try:
        assert not w.r.read(), "data"
        raise AssertionError("a clean end")
    except (http.client.IncompleteRead, ConnectionError, ssl.SSLError):
        pass


@test
def a_watcher_that_goes_away_is_forgotten(c):
    before = c.ok("GET", "/_sandbox/stats")["watches"]
    many = [Watch(c, PODS, f"resourceVersion={c.rv()}") for _ in range(20)]
    assert c.ok("GET", "/_sandbox/stats")["watches"] == before + 20
    for w in many:
        w.r.close()
        w.c.close()
    end = time.monotonic() + 5
    while c.ok("GET", "/_sandbox/stats")["watches"] > before:
        assert time.monotonic() < end, c.ok("GET", "/_sandbox/stats")
        time.sleep(0.05)


@test
def a_definition_that_goes_ends_its_watches(c):
    crd = c.ok("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
                      "azureidentities.aadpodidentity.k8s.io")
    c.ok("POST", IDS, identity("crd-0"))
    w = Watch(c, IDS, f"resourceVersion={c.rv()}")
    c.ok("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
                   "azureidentities.aadpodidentity.k8s.io")
    assert brief(w.take(2)) == [("DELETED", "crd-0"), None]
    code, text, headers = c.call("GET", IDS)
    assert (code, text) == (404, "404 page not found\n"), text
    for m in ("resourceVersion", "uid", "creationTimestamp"):
        del crd["metadata"][m]
    c.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    assert c.ok("GET", IDS)["items"] == []


# ---- writing ----

def identity(name, **spec):
    return {"apiVersion": "aadpodidentity.k8s.io/v1", "kind": "AzureIdentity",
            "metadata": {"name": name}, "spec": {"type": 0, **spec}}


@test
def pods_stop_before_they_go(c):
    c.add_pod("g-0")
    w = Watch(c, PODS, f"resourceVersion={c.rv()}")
    doc = c.ok("DELETE", f"{PODS}/g-0")
    assert doc["metadata"]["deletionGracePeriodSeconds"] == 30 and doc["kind"] == "Pod"
    rv = c.rv()
    c.ok("DELETE", f"{PODS}/g-0")
    assert c.rv() == rv, "again is no change"
    got = w.take(3)
    assert brief(got) == [("MODIFIED", "g-0"), ("MODIFIED", "g-0"), ("DELETED", "g-0")], brief(got)
    assert got[2]["object"]["metadata"]["deletionGracePeriodSeconds"] == 0
    c.refused(404, 'pods "g-0" not found', "DELETE", f"{PODS}/g-0")


@test
def a_new_pod_of_the_name_is_not_taken_for_the_old_one(c):
    c.add_pod("g-1")
    c.ok("DELETE", f"{PODS}/g-1")
    c.ok("DELETE", f"{PODS}/g-1?gracePeriodSeconds=0")
    new = c.add_pod("g-1")
    time.sleep(0.3)
    assert c.ok("GET", f"{PODS}/g-1")["metadata"]["uid"] == new["metadata"]["uid"]


@test
def finalizers_hold_an_object(c):
    obj = identity("held")
    obj["metadata"]["finalizers"] = ["example.com/hold"]
    c.ok("POST", IDS, obj)
    w = Watch(c, IDS, f"resourceVersion={c.rv()}")
    doc = c.ok("DELETE", f"{IDS}/held")
    assert doc["metadata"]["deletionTimestamp"] and doc["kind"] == "AzureIdentity"
    c.ok("PATCH", f"{IDS}/held", {"metadata": {"finalizers": None}}, MERGE)
    assert brief(w.take(3)) == [("MODIFIED", "held"), ("MODIFIED", "held"), ("DELETED", "held")]


@test
def preconditions_of_a_deletion(c):
    uid = c.add_pod("pre")["metadata"]["uid"]
    body = lambda u: {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": u}}
    c.refused(409, "UID in precondition: x", "DELETE", f"{PODS}/pre", body("x"))
    c.ok("DELETE", f"{PODS}/pre", body(uid))


@test
def a_stale_update_is_a_conflict(c):
    first = c.ok("POST", IDS, identity("stale"))
    first["spec"]["clientID"] = "a"
    second = c.ok("PUT", f"{IDS}/stale", first)
    assert second["metadata"]["generation"] == 2
    c.refused(409, "the object has been modified", "PUT", f"{IDS}/stale", first)
    del second["metadata"]["resourceVersion"]
    c.refused(422, "must be specified for an update", "PUT", f"{IDS}/stale", second)
    second["metadata"]["uid"] = "11111111-1111-1111-1111-111111111111"
    c.refused(409, "Precondition failed: UID", "PUT", f"{IDS}/stale", second)


@test
def what_changes_nothing_is_no_event(c):
    c.ok("POST", IDS, identity("same", clientID="x"))
    rv = c.rv()
    c.ok("PATCH", f"{IDS}/same", {"spec": {"clientID": "x"}}, MERGE)
    doc = c.ok("GET", f"{IDS}/same")
    c.ok("PUT", f"{IDS}/same", doc)
    assert c.rv() == rv


@test
def patches_leave_other_versions_alone(c):
    c.add_pod("shared", labels={"a": "1"})
    start = c.rv()
    c.ok("PATCH", f"{PODS}/shared/status", {"status": {"phase": "Running"}}, MERGE)
    c.ok("PATCH", f"{PODS}/shared", [{"op": "add", "path": "/metadata/labels/b", "value": "2"}],
         "application/json-patch+json")
    old = c.ok("GET", f"{PODS}?resourceVersion={start}&resourceVersionMatch=Exact")["items"][0]
    assert old["metadata"]["labels"] == {"a": "1"} and old["status"]["phase"] == "Pending"
    assert old["metadata"]["resourceVersion"] == str(start)


@test
def status_and_spec_do_not_mix(c):
    c.add_pod("mix")
    c.ok("PATCH", f"{PODS}/mix", {"status": {"phase": "Running"}}, MERGE)
    assert c.ok("GET", f"{PODS}/mix")["status"]["phase"] == "Pending"
    c.ok("PATCH", f"{PODS}/mix/status", {"status": {"phase": "Running"},
                                         "spec": {"nodeName": "x"}}, MERGE)
    doc = c.ok("GET", f"{PODS}/mix")
    assert doc["status"]["phase"] == "Running" and doc["spec"]["nodeName"] == "node-1"
    c.refused(422, "pod updates may not change fields other than", "PATCH", f"{PODS}/mix",
              {"spec": {"nodeName": "x"}}, MERGE)


@test
def refusals_of_what_is_created(c):
    for path, body, code, words in (
            (PODS, {"metadata": {"name": "A_b"}, "spec": {}}, 422, "RFC 1123 subdomain"),
            (PODS, {"metadata": {}, "spec": {}}, 422, "name or generateName is required"),
            (PODS, {"metadata": {"name": "x"}, "spec": {}}, 422, "spec.containers: Required value"),
            (PODS, {"metadata": {"name": "x", "namespace": "other"}}, 400, "does not match"),
            (PODS, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}}, 400, "Secret"),
            (PODS, {"kind": "Pod", "apiVersion": "v2", "metadata": {"name": "x"}}, 400,
             "does not match the expected API version (v1)"),
            (PODS, {"metadata": {"name": "x", "labels": {"a": 1}}}, 400, "cannot unmarshal number"),
            (PODS, {"metadata": {"name": "x", "labels": {"a": "b c"}}, "spec": c.pod("x")["spec"]},
             422, "metadata.labels: Invalid value"),
            (PODS, {"metadata": "x"}, 400, "cannot unmarshal string"),
            (PODS, c.pod("x", serviceAccountName="none"), 403, 'serviceaccount "none" not found'),
            ("/api/v1/namespaces/none/pods", c.pod("x"), 404, 'namespaces "none" not found'),
            ("/api/v1/namespaces", {"metadata": {"name": "a.b"}}, 422, "RFC 1123 label"),
            ("/api/v1/namespaces/default/secrets", {"metadata": {"name": "x"}, "data": {"a": "%"}},
             400, "illegal base64"),
            ("/api/v1/namespaces/default/events", {"metadata": {"name": "x"},
             "involvedObject": {"namespace": "other"}}, 422, "does not match event.namespace"),
            (IDS, {"kind": "AzureIdentity", "metadata": {"name": "x"}}, 400, "'apiVersion' is missing"),
            (IDS, identity("x", clientID=5), 422, 'must be of type string: "integer"'),
            ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {"metadata": {"name": "x"}},
             422, "must be spec.names.plural"),
            (PODS, [], 400, "unrecognized"), (PODS, "{", 400, "json parse error"),
            (PODS, "", 400, "json parse error")):
        c.refused(code, words, "POST", path, body)
    c.refused(415, "unknown format", "POST", PODS, "x", "text/plain")
    c.refused(415, "accepted media types", "PATCH", f"{IDS}/same", {},
              "application/strategic-merge-patch+json")
    c.refused(406, "only the following media types", "GET", PODS, accept="text/html")
    c.refused(405, "does not allow this method", "POST", "/api/v1/pods", c.pod("x"))
    c.refused(404, "could not find the requested resource", "GET", "/api/v1/nosuchthings")
    c.refused(404, "404 page not found", "GET", "/apis/nosuch.example/v1/things")


@test
def unknown_members_are_dropped_and_told(c):
    code, doc, headers = c.call("POST", IDS, identity("pruned", ClientID="x"))
    assert code == 201 and "ClientID" not in doc["spec"]
    assert 'unknown field \\"spec.ClientID\\"' in headers["Warning"], headers["Warning"]
    c.refused(400, 'strict decoding error: unknown field "spec.ClientID"', "POST",
              f"{IDS}?fieldValidation=Strict", identity("strict", ClientID="x"))


@test
def generated_names_and_dry_runs(c):
    doc = c.ok("POST", PODS, {"metadata": {"generateName": "gen-"}, "spec": c.pod("x")["spec"]})
    assert re.fullmatch("gen-[a-z0-9]{5}", doc["metadata"]["name"])
    rv = c.rv()
    assert c.ok("POST", f"{PODS}?dryRun=All", c.pod("dry"))["metadata"]["uid"]
    assert c.rv() == rv


@test
def yaml_is_read(c):
    c.ok("POST", "/api/v1/namespaces/default/configmaps",
         'metadata:\n  name: yaml\ndata: {"a": "1", b: text}\n', "application/yaml")
    assert c.ok("GET", "/api/v1/namespaces/default/configmaps/yaml")["data"] == {"a": "1", "b": "text"}


# ---- who ----

@test
def who_may_do_what(c):
    c.refused(401, "Unauthorized", "GET", PODS, token="wrong")
    doc = c.refused(403, 'pods "x" is forbidden: User "system:anonymous" cannot delete resource '
                         '"pods" in API group "" in the namespace "default"', "DELETE", f"{PODS}/x",
                    token="")
    assert doc["details"] == {"name": "x", "kind": "pods"}
    c.refused(403, 'cannot get path "/apis"', "GET", "/apis", token="")
    c.refused(403, "cannot", "POST", "/_sandbox/compact", token=c.agent)
    assert c.call("GET", "/readyz", token="")[1] == "ok"
    assert c.call("GET", PODS, token=c.agent)[0] == 200
    c.fault("expire")
    c.refused(401, "Unauthorized", "GET", PODS)
    c.fault("expire?on=0")
    c.ok("GET", PODS)


# ---- faults ----

@test
def failures_on_order(c):
    c.fault("fail?status=503&count=2")
    code, doc, headers = c.call("GET", PODS)
    assert code == 503 and headers["Retry-After"] == "1", (code, doc)
    assert c.call("GET", PODS)[0] == 503
    assert c.call("GET", PODS)[0] == 200


@test
def a_resource_is_forbidden_to_all_but_the_admin(c):
    c.fault("forbid?resource=events")
    code, doc, _ = c.call("GET", "/api/v1/namespaces/default/events", token=c.agent)
    assert code == 403 and 'cannot list resource "events"' in doc["message"], (code, doc)
    assert c.call("GET", PODS, token=c.agent)[0] == 200
    c.ok("GET", "/api/v1/namespaces/default/events")
    c.fault("forbid?on=0")
    assert c.call("GET", "/api/v1/namespaces/default/events", token=c.agent)[0] == 200


@test
def a_right_can_be_taken_away_verb_by_verb(c):
    c.ok("POST", SECRETS, {"metadata": {"name": "sp"}, "stringData": {"clientSecret": "x"}})
    c.fault("forbid?resource=secrets&verbs=list,watch")
    for path, verb in ((f"{SECRETS}?fieldSelector=metadata.name%3Dsp", "list"),
                       (f"{SECRETS}?watch=1&fieldSelector=metadata.name%3Dsp", "watch")):
        code, doc, _ = c.call("GET", path, token=c.agent)
        assert code == 403 and f'cannot {verb} resource "secrets"' in doc["message"], (code, doc)
    assert c.call("GET", f"{SECRETS}/sp", token=c.agent)[0] == 200
    c.fault("forbid?on=0")
    assert c.call("GET", f"{SECRETS}?fieldSelector=metadata.name%3Dsp", token=c.agent)[0] == 200


@test
def events_are_held_back(c):
    w = Watch(c, PODS, f"resourceVersion={c.rv()}")
    c.fault("delay?msec=400")
    t = time.monotonic()
    c.add_pod("late")
    assert brief(w.take(1)) == [("ADDED", "late")]
    assert 0.35 < time.monotonic() - t < 2
    c.fault("delay?msec=60000")
    c.add_pod("later")
    assert w.quiet() is True
    w = Watch(c, PODS, f"resourceVersion={c.rv() - 1}")
    c.fault("delay?msec=0")
    assert brief(w.take(1)) == [("ADDED", "later")]


@test
def silence_on_order(c):
    w = Watch(c, PODS, f"resourceVersion={c.rv()}")
    c.fault("drop")
    got = []
    t = threading.Thread(target=lambda: got.append(c.ok("GET", PODS)))
    t.start()
    t.join(0.3)
    assert t.is_alive(), "answered"
    c.fault("drop?on=0")
    t.join(5)
    assert got and not t.is_alive()
    c.add_pod("after")
    assert brief(w.take(1)) == [("ADDED", "after")]


# ---- secrets, accounts and their tokens ----

@test
def one_secret_is_watched_by_its_name(c):
    for name in ("mine", "other"):
        c.ok("POST", SECRETS, {"metadata": {"name": name}, "stringData": {"clientSecret": "old"}})
    query = "fieldSelector=metadata.name%3Dmine"
    assert [i["metadata"]["name"] for i in c.ok("GET", f"{SECRETS}?{query}")["items"]] == ["mine"]
    w = Watch(c, SECRETS, f"resourceVersion={c.rv()}&{query}")
    c.ok("PATCH", f"{SECRETS}/other", {"stringData": {"clientSecret": "new"}}, MERGE)
    c.ok("PATCH", f"{SECRETS}/mine", {"stringData": {"clientSecret": "new"}}, MERGE)
    c.ok("DELETE", f"{SECRETS}/mine")
    got = w.take(2)
    assert brief(got) == [("MODIFIED", "mine"), ("DELETED", "mine")], brief(got)
    assert base64.b64decode(got[0]["object"]["data"]["clientSecret"]) == b"new"
    w.close()


@test
def accounts_are_watched_with_their_annotations(c):
    c.ok("POST", ACCOUNTS, {"metadata": {"name": "app"}})
    w = Watch(c, "/api/v1/serviceaccounts", f"resourceVersion={c.rv()}")
    note = {"azure.workload.identity/client-id": "11111111-aaaa-4000-8000-000000000001"}
    c.ok("PATCH", f"{ACCOUNTS}/app", {"metadata": {"annotations": note}}, MERGE)
    got = w.take(1)
    assert brief(got) == [("MODIFIED", "app")] and got[0]["object"]["metadata"]["annotations"] == note
    assert c.ok("GET", f"{ACCOUNTS}/app")["metadata"]["annotations"] == note
    w.close()


METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@test
def metadata_alone_is_asked_for_as_a_list_or_as_objects(c):
    note = {"azure.workload.identity/client-id": "11111111-aaaa-4000-8000-000000000001"}
    c.ok("POST", ACCOUNTS, {"metadata": {"name": "app", "annotations": note}, "imagePullSecrets": [{"name": "x"}]})
    code, doc, _ = c.call("GET", ACCOUNTS, accept=METADATA_LIST)
    assert code == 200 and doc["kind"] == "PartialObjectMetadataList" and doc["apiVersion"] == "meta.k8s.io/v1", doc
    mine = [i for i in doc["items"] if i["metadata"]["name"] == "app"]
    assert [sorted(i) for i in mine] == [["apiVersion", "kind", "metadata"]], mine
    assert mine[0]["kind"] == "PartialObjectMetadata" and mine[0]["metadata"]["annotations"] == note
    code, doc, _ = c.call("GET", f"{ACCOUNTS}/app", accept=METADATA)
    assert code == 200 and sorted(doc) == ["apiVersion", "kind", "metadata"] and doc["metadata"]["annotations"] == note
    for path, accept, words in (
            (ACCOUNTS, METADATA, "you requested PartialObjectMetadata, but the requested object is a list (*core.ServiceAccountList)"),
            (IDS, METADATA, "the requested object is a list (*unstructured.UnstructuredList)"),
            (f"{ACCOUNTS}/app", METADATA_LIST, "PartialObjectMetadataList, but the requested object is not a list (*core.ServiceAccount)"),
            (f"{ACCOUNTS}?watch=1", METADATA_LIST, "is not a list"),
            (ACCOUNTS, METADATA.replace("as=P", "as=p"), "only the following media types")):
        c.refused(406, words, "GET", path, accept=accept)
    # the first that fits counts
    assert "imagePullSecrets" in c.call("GET", f"{ACCOUNTS}/app", accept=f"application/json, {METADATA}")[1]
    w = Watch(c, "/api/v1/serviceaccounts", f"resourceVersion={c.rv()}", accept=METADATA)
    c.ok("PATCH", f"{ACCOUNTS}/app", {"metadata": {"annotations": {"a": "b"}}}, MERGE)
    got = w.take(1)[0]
    assert got["type"] == "MODIFIED" and sorted(got["object"]) == ["apiVersion", "kind", "metadata"], got
    assert got["object"]["metadata"]["annotations"] == {**note, "a": "b"}
    w.close()


def ask_token(pod=None, seconds=3600, audiences=(EXCHANGE,), kind="Pod", **ref):
    spec = {"audiences": list(audiences), "expirationSeconds": seconds}
    if pod or ref:
        spec["boundObjectRef"] = {"kind": kind, "apiVersion": "v1", "name": pod, **ref}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


@test
def a_token_says_whose_and_where_and_its_signature_holds(c):
    c.ok("POST", ACCOUNTS, {"metadata": {"name": "app"}})
    pod = c.add_pod("asks", serviceAccountName="app")
    before = int(time.time())
    doc = c.ok("POST", f"{ACCOUNTS}/app/token", ask_token("asks", 601, uid=pod["metadata"]["uid"]))
    jwt = jose.Jwt(doc["status"]["token"])
    claims = jwt.claims
    assert claims["iss"] == c.ok("GET", "/.well-known/openid-configuration")["issuer"]
    assert claims["sub"] == "system:serviceaccount:default:app" and claims["aud"] == [EXCHANGE]
    assert before <= claims["iat"] == claims["nbf"] == claims["exp"] - 601 <= time.time()
    k8s = claims["kubernetes.io"]
    assert k8s["namespace"] == "default" and k8s["node"] == {"name": "node-1"}
    assert k8s["pod"] == {"name": "asks", "uid": pod["metadata"]["uid"]}
    assert k8s["serviceaccount"]["name"] == "app" and k8s["serviceaccount"]["uid"]
    end = time.strptime(doc["status"]["expirationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    assert calendar.timegm(end) == claims["exp"]
    code, text, _ = c.call("GET", "/openid/v1/jwks", accept="application/jwk-set+json")
    keys = [k for k in json.loads(text)["keys"] if k["kid"] == jwt.head["kid"]]
    assert jwt.head["alg"] == "RS256" and jwt.is_signed_by(jose.jwk_key(keys[0]))
    first, second, third = doc["status"]["token"].split(".")
    forged = jose.Jwt(f"{first}.{jose.b64(json.dumps({**claims, 'sub': 'x'}).encode())}.{third}")
    assert not forged.is_signed_by(jose.jwk_key(keys[0]))


@test
def requests_for_tokens_that_are_refused(c):
    for name in ("app", "other"):
        c.ok("POST", ACCOUNTS, {"metadata": {"name": name}})
    uid = c.add_pod("asks", serviceAccountName="app")["metadata"]["uid"]
    for account, body, code, words in (
            ("app", ask_token("asks", 599, uid=uid), 422, "may not specify a duration less than 10 minutes"),
            ("app", ask_token("asks", 2**32 + 1, uid=uid), 422, "may not specify a duration larger than 2^32 seconds"),
            ("app", ask_token("asks", uid="11111111-1111-4111-8111-111111111111"), 409, "does not match the UID in record"),
            ("app", ask_token("gone", uid=uid), 404, 'pods "gone" not found'),
            ("other", ask_token("asks", uid=uid), 400, "running with different serviceaccount name"),
            ("app", ask_token("asks", kind="ConfigMap", uid=uid), 400, "to object of type ConfigMap"),
            ("none", ask_token(), 404, 'serviceaccounts "none" not found')):
        c.refused(code, words, "POST", f"{ACCOUNTS}/{account}/token", body)
    c.refused(405, "does not allow this method", "GET", f"{ACCOUNTS}/app/token")
    c.fault("forbid?resource=serviceaccounts&verbs=create")
    code, doc, _ = c.call("POST", f"{ACCOUNTS}/app/token", ask_token(), token=c.agent)
    assert code == 403 and 'cannot create resource "serviceaccounts/token"' in doc["message"], (code, doc)
    assert c.call("GET", ACCOUNTS, token=c.agent)[0] == 200
    c.fault("forbid?on=0")
    c.fault("forbid?resource=serviceaccounts&verbs=get,watch")
    assert c.call("POST", f"{ACCOUNTS}/app/token", ask_token(), token=c.agent)[0] == 201
    c.fault("forbid?on=0")


@test
def who_may_read_the_keys_and_where_tokens_are_written_down(c):
    paths = "/.well-known/openid-configuration", "/openid/v1/jwks"
    for path in paths:
        assert c.call("GET", path, token="")[0] == 403
    with tempfile.TemporaryDirectory(prefix="nmi-behave-") as dir:
        ledger = pathlib.Path(dir) / "ledger"
        issuer = "https://issuer.example/cluster/"
        open_one = Cluster(dir, "--public-keys", f"--issuer={issuer}", "--jwks-uri=https://issuer.example/keys",
                           f"--ledger={ledger}")
        try:
            assert [open_one.call("GET", p, token="")[0] for p in paths] == [200, 200]
            assert open_one.call("GET", "/openid/v1/other", token="")[0] == 403
            doc = open_one.call("GET", paths[0], token="")[1]
            assert (doc["issuer"], doc["jwks_uri"]) == (issuer, "https://issuer.example/keys")
            open_one.ok("POST", ACCOUNTS, {"metadata": {"name": "app"}})
            given = [open_one.ok("POST", f"{ACCOUNTS}/app/token", ask_token())["status"]["token"] for _ in range(2)]
            secret = "/api/v1/namespaces/default/secrets"
            open_one.ok("POST", secret, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
            open_one.ok("PATCH", f"{secret}/s", {"data": {"c": "ZA=="}}, MERGE)
            open_one.ok("DELETE", f"{secret}/s")
            noted = [json.loads(line) for line in ledger.read_text().splitlines()]
            assert {n["value"] for n in noted if n["kind"] == "bearer-token"} == {open_one.admin, open_one.agent}
            assert [n["value"] for n in noted if n["kind"] == "account-token"] == given and given[0] != given[1]
            assert [(n["object"], n["data"]) for n in noted if n["kind"] == "secret"] == [
                ("default/s", {"a": "Yg=="}), ("default/s", {"a": "Yg==", "c": "ZA=="}), ("default/s", {})]
            assert ledger.stat().st_mode & 0o777 == 0o600
            assert jose.Jwt(given[0]).claims["iss"] == issuer
        finally:
            assert open_one.end() == 0


# ---- malformed ----

@test
def malformed_requests_do_not_end_it(c):
    auth = f"Authorization: Bearer {c.admin}\r\n".encode()
    for raw in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                b"GET /%00 HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n",
                b"GET /%zz HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n",
                b"GET /api?%=1 HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n",
                b"GET " + b"/a" * 40 + b" HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n",
                b"GET /?" + b"a=1&" * 100 + b" HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n",
                b"GET x HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n",
                b"GET " + b"/" * 40000 + b" HTTP/1.1\r\n\r\n",
                b"POST " + PODS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n"
                + auth + b"\r\n{",
                b"PATCH " + PODS.encode() + b"/x HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n",
                b"GET " + PODS.encode() + b"?watch=1 HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n"):
        with c.tls.wrap_socket(socket.create_connection(("127.0.0.1", c.port), timeout=5),
                               server_hostname="127.0.0.1") as s:
            s.sendall(raw)
            s.settimeout(0.2)
            try:
                s.recv(65536)
            except (TimeoutError, ConnectionError, ssl.SSLError):
                pass
    for raw in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 300):
        with socket.create_connection(("127.0.0.1", c.port), timeout=5) as s:
            s.sendall(raw)
    code, doc, _ = c.call("POST", PODS, "[" * 4_000_000)
    assert code == 413, doc
    del c.keep.c
    c.refused(400, "json", "POST", PODS, "[" * 100000)
    c.refused(400, "protobuf", "POST", PODS, b"k8s\0\x0a\xff", "application/vnd.kubernetes.protobuf")
    assert c.call("GET", "/readyz")[0] == 200


# ---- speed ----

@test
def it_is_quick_enough(c):
    for i in range(500):
        c.add_pod(f"many-{i:03}", labels={"i": str(i)})
    w = Watch(c, "/api/v1/pods", f"resourceVersion={c.rv()}&fieldSelector=spec.nodeName%3Dnode-1")
    n, t = 500, time.monotonic()
    for i in range(n):
        c.ok("PATCH", f"{PODS}/many-{i:03}/status", {"status": {"podIP": f"10.0.0.{i % 250}"}}, MERGE)
    got = w.take(n)
    took = time.monotonic() - t
    assert all(e["type"] == "MODIFIED" for e in got)
    print(f"# {n} changes, each seen by a watch: {n / took:.0f} a second, this client included")
    t = time.monotonic()
    assert len(c.ok("GET", "/api/v1/pods")["items"]) >= 500
    print(f"# list of 500 pods: {(time.monotonic() - t) * 1000:.0f} ms")


ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [secrets], verbs: [list], resourceNames: [one]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {kind: ClusterRole, name: r}
subjects: [{kind: ServiceAccount, name: nmi, namespace: kube-system}]
"""


@test
def who_is_bound_in_a_role_may_do_no_more(c):
    with tempfile.TemporaryDirectory(prefix="nmi-behave-") as dir:
        (pathlib.Path(dir) / "role").write_text(ROLE)
        bound = Cluster(dir, f"--rbac={dir}/role")
        try:
            for path, code in ((PODS, 200), ("/api/v1/pods", 200), (f"{PODS}/web", 403), (SECRETS, 403),
                               (f"{SECRETS}?fieldSelector=metadata.name%3Done", 200),
                               (f"{SECRETS}?fieldSelector=metadata.name%3Dtwo", 403),
                               (f"{SECRETS}?fieldSelector=type%3Dx%2Cmetadata.name%3Done", 200),
                               (f"{PODS}?watch=1", 403), (IDS, 403), ("/version", 200), ("/readyz", 200)):
                got, doc, _ = bound.call("GET", path, token=bound.agent)
                assert got == code, (path, got, doc)
                assert bound.call("GET", "/api/v1/secrets")[0] == 200
            bound.refused(403, 'User "system:serviceaccount:kube-system:nmi" cannot create resource "pods" in '
                          'API group "" in the namespace "default"', "POST", PODS, bound.pod("x"), token=bound.agent)
        finally:
            assert bound.end() == 0


@test
def a_slow_reader_is_let_go(c):
    with tempfile.TemporaryDirectory(prefix="nmi-behave-") as dir:
        small = Cluster(dir, "--history=50")
        try:
            w = Watch(small, "/api/v1/configmaps", f"resourceVersion={small.rv()}", timeout=20)
            big = {"a": "x" * 100_000}
            maps = "/api/v1/namespaces/default/configmaps"
            small.ok("POST", maps, {"metadata": {"name": "big"}})
            for i in range(400):
                small.ok("PATCH", f"{maps}/big", {"data": {"n": str(i), **big}}, MERGE)
            seen = 0
            while w.next():
                seen += 1
            assert 0 < seen < 401, f"{seen} events"
        finally:
            assert small.end() == 0


def clean(c):
    for path in (PODS, IDS, SECRETS, "/api/v1/namespaces/default/configmaps"):
        for obj in c.ok("GET", path)["items"]:
            name = obj["metadata"]["name"]
            if obj["metadata"].get("finalizers"):
                c.call("PATCH", f"{path}/{name}", {"metadata": {"finalizers": None}}, MERGE)
            c.call("DELETE", f"{path}/{name}?gracePeriodSeconds=0")
    for name in ("app", "other"):
        c.call("DELETE", f"{ACCOUNTS}/{name}")


def main():
    print(f"1..{len(TESTS) + 1}")
    bad = 0
    with tempfile.TemporaryDirectory(prefix="nmi-behave-") as dir:
        c = Cluster(dir)
        for i, fn in enumerate(TESTS, 1):
            why = None
            try:
                fn(c)
                clean(c)
            except Exception as e:
                import traceback
                why = "".join(traceback.format_exception(e))
                if hasattr(c.keep, "c"):
                    del c.keep.c
                for f in ("drop?on=0", "delay?msec=0", "expire?on=0", "fail?count=0", "forbid?on=0"):
                    c.call("POST", f"/_sandbox/{f}")
            bad += bool(why)
            print("not ok" if why else "ok", i, "-", fn.__name__.replace("_", " "), flush=True)
            if why:
                print("".join(f"# {l}\n" for l in why.splitlines()), end="", flush=True)
        code = c.end()
    print("ok" if code == 0 else "not ok", len(TESTS) + 1, "- the server ends in good order")
    sys.exit(bool(bad or code))


main()
