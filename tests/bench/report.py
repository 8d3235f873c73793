# SPDX-License-Identifier: MIT
"""Medians and ratios of the rounds of a bench, as a table in TAP comments and as JSON.

usage: report.py ROUNDS OUT.json PSS-KIB DIRTY-KIB PODS OBJECTS
A round is a line: nmi's requests/s, p99, errors, then nginx's.
"""
import json
import statistics
import sys

rounds_file, out, pss, dirty, pods, objects = sys.argv[1:7]
rounds = [[float(x) for x in line.split()] for line in open(rounds_file)]
if not rounds or any(len(r) != 6 for r in rounds):
    sys.exit(f"{rounds_file}: not six figures a round")


def spread(column):
    values = [r[column] for r in rounds]
    return statistics.median(values), min(values), max(values)


rps, rps_nginx = spread(0), spread(3)
p99, p99_nginx = spread(1), spread(4)
# the median of the ratios of each round: what disturbs a round disturbs both sides of it
ratio = statistics.median(r[0] / r[3] for r in rounds)
answer = {
    "rounds": len(rounds),
    "nmi_rps": round(rps[0]),
    "nginx_rps": round(rps_nginx[0]),
    "nmi_over_nginx": round(ratio, 3),
    "nginx_over_nmi": round(1 / ratio, 3),
    "nmi_p99_us": round(p99[0]),
    "nginx_p99_us": round(p99_nginx[0]),
    "p99_ratio": round(statistics.median(r[1] / r[4] for r in rounds), 2),
    "errors": int(sum(r[2] for r in rounds)),
    "pss_mib": round(int(pss) / 1024, 2),
    "dirty_mib": round(int(dirty) / 1024, 2),
    "pods": int(pods),
    "objects": int(objects),
}
json.dump(answer, open(out, "w"), indent=1)
print(f"# cached token, keep-alive, 8 connections, through the redirect; median of {len(rounds)} rounds")
print(f"#            requests/s (min to max)      p99")
print(f"#   nmi    {rps[0]:>8,.0f} ({rps[1]:,.0f} to {rps[2]:,.0f})   {p99[0]:,.0f} us")
print(f"#   nginx  {rps_nginx[0]:>8,.0f} ({rps_nginx[1]:,.0f} to {rps_nginx[2]:,.0f})   {p99_nginx[0]:,.0f} us")
print(f"#   ratio  {ratio:>8.2f}                        {answer['p99_ratio']:.2f}")
print(f"# memory of both processes, {pods} pods, {objects} identities and bindings:")
print(f"#   Pss {answer['pss_mib']:.1f} MiB, private dirty {answer['dirty_mib']:.1f} MiB")
