#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where the memory of the agent's processes is, by file, in KiB, from /proc/PID/smaps:

memory.py [--json] PID...    all processes together, since Pss shares a page out between those who have it
memory.py --of FILE          the table of what --json wrote
memory.py --forget DIR       the files in DIR leave the page cache, so that they are read anew, not as they were written

As a module: read() is {name: {field: KiB}} of one file, by_file([PID, ...]) of some processes, and total() of that the sum.
"""
import json
import os
import pathlib
import re
import sys

FIELDS = ("Pss", "Pss_Dirty", "Private_Dirty", "Private_Clean", "Rss")
HEAD = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$")


def read(path, fields=FIELDS, rows=None):
    """smaps, or smaps_rollup, which has one name, [rollup]; added to rows, if there are any."""
    rows = {} if rows is None else rows
    row = None
    for line in pathlib.Path(path).read_text().splitlines():
        head = HEAD.match(line)
        if head:
            row = rows.setdefault(os.path.basename(head[1]) or "[anonymous]", dict.fromkeys(fields, 0))
            continue
        field, _, value = line.partition(":")
        if field in fields:
            row[field] += int(value.split()[0])
    return rows


def by_file(pids):
    rows = {}
    for pid in pids:
        read(f"/proc/{pid}/smaps", rows=rows)
    return rows


def total(rows, fields=FIELDS):
    return {field: sum(row[field] for row in rows.values()) for field in fields}


def show(rows):
    print(f"{'KiB':24}" + "".join(f"{field:>15}" for field in FIELDS))
    for name, row in [*sorted(rows.items(), key=lambda r: -r[1]["Pss"]), ("all", total(rows))]:
        if row["Rss"]:
            print(f"{name:24}" + "".join(f"{row[field]:15}" for field in FIELDS))


def forget(directory):
    for path in pathlib.Path(directory).rglob("*"):
        if path.is_file() and not path.is_symlink():
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def main(argv):
    if argv[:1] == ["--forget"]:
        forget(argv[1])
    elif argv[:1] == ["--of"]:
        show(json.loads(pathlib.Path(argv[1]).read_text())["files"])
    elif argv[:1] == ["--json"]:
        rows = by_file(argv[1:])
        print(json.dumps({"total": total(rows), "files": rows}, indent=1))
    else:
        show(by_file(argv))


if __name__ == "__main__":
    main(sys.argv[1:])
