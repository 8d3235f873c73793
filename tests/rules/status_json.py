#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Judges what `nmi status --output=json` printed, field by field.

status_json.py FILE STATUS.RST [EXPRESSION...]: the document has exactly the names of the reference page, each
of the type told there or null; and each expression over it (`d`; `a` is its agent) is true. One line for each
thing that is wrong.
"""
import json
import re
import sys

TYPES = {"string": str, "number": int, "boolean": bool, "object": dict}
document = open(sys.argv[1]).read()
d = json.loads(document)
a = d["agent"] or {}
text = open(sys.argv[2]).read()
top, _, rest = text.partition("What follows is in ``agent``")


def names(page):
    return dict(re.findall(r"^``([^`]+)``\n    (\w+): ", page, re.M))


def flat(value, path=""):
    """Leaves by path; a row of a list as `list[].name`."""
    if isinstance(value, dict):
        for key, v in value.items():
            yield from flat(v, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for v in value:
            if isinstance(v, dict):
                yield from flat(v, path + "[]")
    else:
        yield path, value


def check(where, leaves, known, may_lack):
    seen = set()
    for path, value in leaves:
        seen.add(path)
        if path not in known:
            print(f"{where}: {path} is not on the page")
        elif value is not None and type(value) is not TYPES[known[path]]:
            print(f"{where}: {path} is {value!r}, not a {known[path]}")
    for path in set(known) - seen:
        if not may_lack(path):
            print(f"{where}: {path} is missing")


check("document", [(k, v) for k, v in d.items()], names(top), lambda path: False)
if a:
    # a list may be empty
    known = names(rest) | {"schema": "number"}
    check("agent", flat(a), known, lambda path: "[]" in path and not a[path.split("[")[0]])
for expression in sys.argv[3:]:
    try:
        good = eval(expression)  # noqa: S307 - of the test that calls
    except (KeyError, IndexError, TypeError) as e:
        good = f"{type(e).__name__}: {e}"
    if good is not True:
        print(f"not so: {expression} ({good!r})")
