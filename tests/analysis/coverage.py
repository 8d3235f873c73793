# SPDX-License-Identifier: MIT
"""The table of coverage from what llvm-cov export -summary-only says.

usage: coverage.py SUMMARY TABLE
Prints the percentages of lines and branches of all, then the lowest of a file, and its name.
"""
import json
import os
import sys

summary, table = sys.argv[1:3]
data = json.load(open(summary))["data"][0]
rows = []
for f in data["files"]:
    s = f["summary"]
    # a header's few inline functions say nothing of a file's tests
    if f["filename"].endswith(".c"):
        rows.append((s["lines"]["percent"], s["branches"]["percent"], s["lines"]["count"],
                     os.path.relpath(os.path.normpath(f["filename"]))))
rows.sort()
with open(table, "w") as out:
    print("lines  branches  of lines  file", file=out)
    for lines, branches, count, name in rows:
        print(f"{lines:5.1f}     {branches:5.1f}     {count:5d}  {name}", file=out)
total = data["totals"]
print(f"{total['lines']['percent']:.1f} {total['branches']['percent']:.1f} {rows[0][0]:.1f} {rows[0][3]}")
