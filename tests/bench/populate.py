# SPDX-License-Identifier: MIT
"""Fills a sandbox API server: pods of one node, identities and bindings, over a few namespaces. What has a number
below --pods-from and the like is there already; --objects is both identities and bindings."""
import argparse

import api

parser = argparse.ArgumentParser(description=__doc__)
api.add_arguments(parser)
parser.add_argument("--pods", type=int, default=0)
parser.add_argument("--pods-from", type=int, default=0)
parser.add_argument("--objects", type=int, default=0)
for kind in ("identities", "bindings"):
    parser.add_argument(f"--{kind}", type=int, default=0)
    parser.add_argument(f"--{kind}-from", type=int, default=0)
parser.add_argument("--namespaces", type=int, default=10)
args = parser.parse_args()
send = api.Api(args).send

GROUP = "aadpodidentity.k8s.io/v1"
for n in range(args.namespaces):
    name = f"fill-{n}"
    send("POST", "/api/v1/namespaces", {
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    send("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})


def base(i):
    return f"/apis/{GROUP}/namespaces/fill-{i % args.namespaces}"


for i in range(args.identities_from, max(args.identities, args.objects)):
    send("POST", f"{base(i)}/azureidentities", {
        "apiVersion": GROUP, "kind": "AzureIdentity",
        "metadata": {"name": f"identity-{i}", "namespace": f"fill-{i % args.namespaces}"},
        "spec": {"type": 0, "clientID": f"99999999-0000-4000-8000-{i:012d}",
                 "resourceID": "/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/"
                               f"ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i{i}"}})
for i in range(args.bindings_from, max(args.bindings, args.objects)):
    send("POST", f"{base(i)}/azureidentitybindings", {
        "apiVersion": GROUP, "kind": "AzureIdentityBinding",
        "metadata": {"name": f"binding-{i}", "namespace": f"fill-{i % args.namespaces}"},
        "spec": {"azureIdentity": f"identity-{i}", "selector": f"selector-{i}"}})
for i in range(args.pods_from, args.pods):
    namespace = f"fill-{i % args.namespaces}"
    send("POST", f"/api/v1/namespaces/{namespace}/pods",
         api.pod(f"pod-{i}", namespace, args.node, {"app": "fill", "aadpodidbinding": f"selector-{i}"}))
    send("PATCH", f"/api/v1/namespaces/{namespace}/pods/pod-{i}/status",
         api.running(f"10.244.{10 + i // 200}.{1 + i % 200}"))
