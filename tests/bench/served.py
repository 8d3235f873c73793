# SPDX-License-Identifier: MIT
"""served.py (options) --pod NETWORK-NAMESPACE IP: a pod that asks before the API server has it, again and again; samples of
the milliseconds from telling the API server to the pod's answer, and from there to the API server's own answer.

What is asked for is in nmi's cache, so that nothing else is waited for.
"""
import argparse
import json
import os
import select
import time

import api
import client

TARGET = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"

parser = argparse.ArgumentParser(description=__doc__)
api.add_arguments(parser)
parser.add_argument("--pod", nargs=2, required=True)
parser.add_argument("--namespace", default="shop")
parser.add_argument("--selector", default="shop")
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--what", default="served")
parser.add_argument("--x", type=int)
args = parser.parse_args()
inside, ip = args.pod
pods = f"/api/v1/namespaces/{args.namespace}/pods"
server = api.Api(args)
run = f"served-{os.getpid()}-{time.time_ns() % 10**9}"


def patch(path, body):
    """Sent, and the answer not waited for."""
    server.connection.request("PATCH", path, json.dumps(body), server.headers("PATCH"))


def one(n):
    name = f"{run}-{n}"
    server.send("POST", pods, api.pod(name, args.namespace, args.node, {"aadpodidbinding": args.selector}))
    asking = client.Connection()
    asking.send(TARGET)
    if select.select([asking.socket], [], [], 0.05)[0]:
        raise SystemExit(f"answered before the pod is there: {asking.receive()}")
    begin = time.perf_counter()
    patch(f"{pods}/{name}/status", api.running(ip))
    waiting = {asking.socket: None, server.connection.sock: None}
    while None in waiting.values():
        ready, _, _ = select.select([s for s, t in waiting.items() if t is None], [], [], 20)
        if not ready:
            raise SystemExit("it was never served")
        now = time.perf_counter()
        waiting.update({s: now - begin for s in ready})
    server.connection.getresponse().read()
    status = asking.receive()
    if status != 200:
        raise SystemExit(f"it got {status}")
    asking.socket.close()
    server.send("DELETE", f"{pods}/{name}?gracePeriodSeconds=0")
    time.sleep(0.05)  # until nmi knows
    return waiting[asking.socket], waiting[server.connection.sock]


server.send("GET", pods)  # connected, from the node
client.enter(inside)
values = [one(n) for n in range(args.rounds + 2)][2:]
for who, column in (("nmi", 0), ("api", 1)):
    print(json.dumps({"what": args.what, "who": who, "value": [round(v[column] * 1000, 3) for v in values],
                      **({"x": args.x} if args.x is not None else {})}))
