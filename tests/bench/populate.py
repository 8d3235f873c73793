# SPDX-License-Identifier: MIT
"""Fills a sandbox API server: pods of one node, identities and bindings, over a few namespaces."""
import argparse
import http.client
import json
import ssl
import urllib.parse

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--server", required=True)
parser.add_argument("--ca", required=True)
parser.add_argument("--token", required=True, help="file")
parser.add_argument("--node", required=True)
parser.add_argument("--pods", type=int, default=250)
parser.add_argument("--objects", type=int, default=1000)
parser.add_argument("--namespaces", type=int, default=10)
args = parser.parse_args()

url = urllib.parse.urlsplit(args.server)
token = open(args.token).read().split()[0]
connection = None


def send(method, path, body):
    global connection
    for attempt in (1, 2):
        try:
            if not connection:
                connection = http.client.HTTPSConnection(
                    url.hostname, url.port, timeout=20,
                    context=ssl.create_default_context(cafile=args.ca))
            connection.request(method, path, json.dumps(body), {
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json" if method == "POST"
                else "application/merge-patch+json"})
            answer = connection.getresponse()
            text = answer.read()
            break
        except (ConnectionError, http.client.HTTPException):
            connection = None
            if attempt == 2:
                raise
    if answer.status >= 300 and answer.status != 409:
        raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")


GROUP = "aadpodidentity.k8s.io/v1"
for n in range(args.namespaces):
    name = f"fill-{n}"
    send("POST", "/api/v1/namespaces", {
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    send("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
for i in range(args.objects):
    namespace = f"fill-{i % args.namespaces}"
    base = f"/apis/{GROUP}/namespaces/{namespace}"
    send("POST", f"{base}/azureidentities", {
        "apiVersion": GROUP, "kind": "AzureIdentity",
        "metadata": {"name": f"identity-{i}", "namespace": namespace},
        "spec": {"type": 0, "clientID": f"99999999-0000-4000-8000-{i:012d}",
                 "resourceID": "/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/"
                               f"ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i{i}"}})
    send("POST", f"{base}/azureidentitybindings", {
        "apiVersion": GROUP, "kind": "AzureIdentityBinding",
        "metadata": {"name": f"binding-{i}", "namespace": namespace},
        "spec": {"azureIdentity": f"identity-{i}", "selector": f"selector-{i}"}})
for i in range(args.pods):
    namespace = f"fill-{i % args.namespaces}"
    ip = f"10.244.{10 + i // 200}.{1 + i % 200}"
    send("POST", f"/api/v1/namespaces/{namespace}/pods", {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"pod-{i}", "namespace": namespace,
                     "labels": {"app": "fill", "aadpodidbinding": f"selector-{i}"}},
        "spec": {"nodeName": args.node, "containers": [{"name": "main", "image": "sandbox"}]}})
    send("PATCH", f"/api/v1/namespaces/{namespace}/pods/pod-{i}/status", {
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
