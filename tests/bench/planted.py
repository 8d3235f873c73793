#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the bench see what is too slow, too big, or lost? The published samples are spoilt, one kind after another, and
each row that asserts something has to notice. TAP."""
import sys

import report
import rows

# what gets worse by getting less; of the rest, more is worse
LESS = {"cached_rate", "herd_answered"}
WHO = {"open": None, "reached_imds": None}
# the sample by which a row is judged, where that is not its first
BY = {"cached_p99": "cached_p99", "cached_errors": "cached_errors", "pss": "memory_pss", "dirty": "memory_dirty", "own_dirty": "own_dirty",
      "pod_bytes": "pods_anon", "identity_bytes": "identities_anon", "pods_flat": "pods_cpu", "objects_flat": "objects_cpu"}
_, samples = report.load(report.ROOT / "docs/performance/results.json")


def worse(value, what):
    if isinstance(value, list):
        return [worse(v, what) for v in value]
    return value / 20 if what in LESS else value * 20 + 100


def spoilt(what):
    far = max((s["x"] for s in samples.lines if s["what"] == what and "x" in s), default=None)
    for s in samples.lines:
        mine = s["what"] == what and s.get("x") == far and (s["who"] == "nmi" or what in WHO)
        # a rate that falls costs CPU
        if what == "cached_rate" and s["what"] == "cached_cpu" and s["who"] == "nmi":
            yield {**s, "value": s["value"] * 20}
        else:
            yield {**s, "value": worse(s["value"], what)} if mine else s


bad = n = 0


def test(fine, sentence, seen=""):
    global bad, n
    n += 1
    bad += not fine
    print(f"{'ok' if fine else 'not ok'} {n} - {sentence}" + ("" if fine else f"\n#   {seen}"))


for row in rows.ROWS:
    if row.limit is None:
        continue
    got = report.summary(row, samples)
    test(got and got["met"], f"{row.id}: the published samples are as they should be", got and got["shown"])
    if row.ceiling is not None:
        test(got["value"] > row.limit, f"{row.id}: a budget that has a ceiling is missed; else the ceiling and the reason go",
             got["shown"])
    for what in row.uses if row.id == "open" else [BY.get(row.id, row.uses[0])]:
        got = report.summary(row, rows.Samples(spoilt(what)))
        test(got and not got["met"], f"{row.id}: what is wrong with {what} is seen", got and got["shown"])
    test(report.summary(row, rows.Samples([])) is None, f"{row.id}: nothing measured is not well measured")
print(f"1..{n}")
sys.exit(bool(bad))
