#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The audit log and the JSON log, read as their documents say they can be.

audit.py last FILE FIELD...       the fields of the last record, as JSON but for strings, between blanks
audit.py count FILE [KEY=VALUE...]  how many records have these values
audit.py missing FILE             how many records the log says are missing, in all
audit.py check FILE RST           faults: lines that are no record with exactly the fields of the reference
audit.py log FILE                 faults: lines of a JSON log that are none
"""
import json, re, sys

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
LISTS = {"Every record": ("decision", "dropped"), "A decision": ("decision",), "Records that are missing": ("dropped",)}
KINDS = {"string": (str, type(None)), "number": (int,), "time": (str, type(None))}


def lines(name):
    text = open(name, encoding="ascii").read()
    assert not text or text.endswith("\n"), "the last line has no end"
    return text.split("\n")[:-1]


def records(name):
    return [json.loads(line) for line in lines(name)]


def show(value):
    return value if isinstance(value, str) else json.dumps(value)


def fields(rst):
    """event -> {key: kind}, from docs/audit.rst"""
    found = {"decision": {}, "dropped": {}}
    text = open(rst).read()
    for title, body in re.findall(r"^(\w[^\n]*)\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.M | re.S):
        for key, kind in re.findall(r"^``(\w+)``\n    (\w+):", body, re.M):
            for event in LISTS[title]:
                found[event][key] = kind
    return found


def faults(name, rst):
    known = fields(rst)
    assert len(known["decision"]) > 20 and len(known["dropped"]) > 3, "the reference cannot be read"
    for n, record in enumerate(records(name), 1):
        want = known[record["event"]]
        if list(record) != list(want):
            yield f"{n}: {sorted(set(record) ^ set(want))}, or another order"
        for key, value in record.items():
            if not isinstance(value, KINDS[want[key]]):
                yield f"{n}: {key} is {value!r}"
            if (want[key] == "time" or key in ("time", "since")) and value and not STAMP.match(value):
                yield f"{n}: {key} is no time: {value}"
        if record["event"] == "decision" and (record["outcome"] == "granted") != (record["reason"] is None):
            yield f"{n}: {record['outcome']}, and reason {record['reason']}"


def log_faults(name):
    for n, line in enumerate(lines(name), 1):
        try:
            pairs = json.loads(line, object_pairs_hook=list)
        except ValueError as e:
            yield f"{n}: {e}: {line[:200]}"
            continue
        keys = [k for k, _ in pairs]
        entry = dict(pairs)
        if keys[:3] != ["time", "level", "msg"] or len(set(keys)) != len(keys):
            yield f"{n}: keys {keys}"
        elif not STAMP.match(entry["time"]) or "." not in entry["time"]:
            yield f"{n}: time {entry['time']}"
        elif entry["level"] not in ("error", "warn", "info", "debug") or not all(isinstance(v, str) for v in entry.values()):
            yield f"{n}: {line[:200]}"


def main(what, name, *rest):
    if what == "last":
        last = records(name)[-1]
        print(*[show(last[f]) for f in rest])
    elif what == "count":
        want = dict(r.split("=", 1) for r in rest)
        print(sum(all(show(r.get(k)) == v for k, v in want.items()) for r in records(name)))
    elif what == "missing":
        print(sum(r["dropped"] for r in records(name) if r["event"] == "dropped"))
    else:
        print(*(faults(name, *rest) if what == "check" else log_faults(name)), sep="\n", end="")


main(*sys.argv[1:])
