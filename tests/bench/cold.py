# SPDX-License-Identifier: MIT
"""cold.py PAIRS NODE-NAMESPACE POD-NAMESPACE...: a token that nobody has asked for yet, in turns of IMDS itself, from the
node, and of nmi, from a pod; over connections that are kept. Samples, in milliseconds.

IMDS takes 20 requests a second from a node, and nmi gives a pod 50 new tokens at once: so it goes slowly, and pod by pod.
"""
import json
import sys
import time

import client

TARGET = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://cold-{}.example.com"
PACE = 0.065  # a pair; the node asks IMDS for one of them past nmi

pairs, node, pods = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
direct = client.Connection(node)
through = [client.Connection(pod) for pod in pods]
took = {"imds": [], "nmi": []}
run = time.time_ns()
for i in range(-len(through), pairs):  # the first of each pod is for warming up
    turns = [("imds", direct), ("nmi", through[i % len(through)])]
    for who, connection in turns if i % 2 else reversed(turns):
        begin = time.perf_counter()
        status = connection.ask(TARGET.format(f"{who}-{run}-{i}"))
        end = time.perf_counter()
        if status != 200:
            sys.exit(f"{who} answered {status}")
        if i >= 0:
            took[who].append(round((end - begin) * 1000, 3))
        time.sleep(PACE / 2)
for who, values in took.items():
    print(json.dumps({"what": "cold", "who": who, "value": values}))
