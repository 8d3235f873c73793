# SPDX-License-Identifier: MIT
"""steady.py WHAT REQUESTS [X]: a cached token over one kept connection, one request after another; a sample of the
percentiles in microseconds. The connection is made, and "connected" printed, before a line on stdin starts it: so it can be
there before ten thousand others are."""
import json
import sys
import time

import client

TARGET = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
what, n, *x = sys.argv[1:]
connection = client.Connection(timeout=20)
connection.ask(TARGET)
print("connected", flush=True)
sys.stdin.readline()
took = []
for _ in range(int(n)):
    begin = time.perf_counter_ns()
    status = connection.ask(TARGET)
    took.append(time.perf_counter_ns() - begin)
    if status != 200:
        sys.exit(f"{status} in place of a token")
took.sort()
for name, rank in (("p50", 0.5), ("p99", 0.99)):
    print(json.dumps({"what": f"{what}_{name}", "who": "nmi", "value": round(took[int(len(took) * rank)] / 1000, 1),
                      **({"x": int(x[0])} if x else {})}))
