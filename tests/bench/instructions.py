# SPDX-License-Identifier: MIT
"""What a request costs, from two files of callgrind that differ by some requests.

usage: instructions.py FEWER MORE REQUESTS MODE OUT.json
Prints the instructions of each; which functions they are spent in goes to stderr, as comments. Clearing memory is
counted apart, in bytes: for callgrind one instruction that clears a page (rep stosb) is a page of instructions.
"""
import collections
import json
import re
import sys


def read(path):
    """Instructions of each function by itself."""
    own = collections.Counter()
    name, is_call = None, False
    for line in open(path):
        if line.startswith("fn="):
            name = line[3:].strip()
        elif line.startswith("calls="):
            is_call = True  # the next line is what the call cost in all
        elif re.match(r"[+\-*0-9]", line):
            if not is_call:
                own[name] += int(line.split()[1])
            is_call = False
    return own


fewer, more, requests, mode, out = sys.argv[1:6]
n = int(requests)
a, b = read(fewer), read(more)
each = {f: (b[f] - a[f]) / n for f in b}
cleared = sum(c for f, c in each.items() if "memset" in f)
instructions = round(sum(each.values()) - cleared)
top = sorted(((f, round(c, 1)) for f, c in each.items() if "memset" not in f), key=lambda t: -t[1])[:25]
json.dump({"mode": mode, "instructions": instructions, "bytes_cleared": round(cleared), "by_function": top},
          open(out, "w"), indent=1)
for f, c in top:
    print(f"#   {c:>8.1f}  {f}", file=sys.stderr)
print(instructions, round(cleared))
