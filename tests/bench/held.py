# SPDX-License-Identifier: MIT
"""held.py PID PREFIX [X]: what the agent takes, as samples: Pss, private dirty and what is in no file, KiB; of
all its processes and of each by its name. PID is nmi's; its children, and theirs, belong to it."""
import collections
import json
import pathlib
import sys

import memory

KINDS = {"Pss": "pss", "Private_Dirty": "dirty", "Pss_Anon": "anon"}


def family(pid):
    yield pid
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(child)


pid, prefix, *x = sys.argv[1:]
total = collections.Counter()
for p in family(pid):
    try:
        name = pathlib.Path(f"/proc/{p}/comm").read_text().strip()
        sums = memory.total(memory.read(f"/proc/{p}/smaps_rollup", KINDS), KINDS)
    except OSError:
        continue  # one that was made for a self-test, and is gone
    for field, kib in sums.items():
        total[KINDS[field], "nmi"] += kib
        total[KINDS[field], "process " + name] += kib
for (kind, who), kib in total.items():
    print(json.dumps({"what": f"{prefix}_{kind}", "who": who, "value": kib, **({"x": int(x[0])} if x else {})},
                     separators=(",", ":")))
