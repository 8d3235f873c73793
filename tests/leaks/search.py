#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""search.py [-v] DIR...: in which files under DIR stands what only the stand-ins may know.

Searched are the files in any directory `said`; for all that stands in any directory `ledger`, of whichever
box, and for whatever looks like a JWT. Prints a line for each find, FILE: KIND, and none of what was found;
then fails. It fails as well when there is nothing to look for, or nowhere to look. -v tells how much it was.
"""
import collections, os, pathlib, sys

import ledger

JWT = r"eyJ[A-Za-z0-9_-]{20,}"


def main():
    roots = [a for a in sys.argv[1:] if a != "-v"]
    wanted, files = {}, []
    for root in roots:
        for at, _, names in os.walk(f"{root}/"):  # the slash: it may be a symbolic link
            if os.path.basename(at) == "ledger":
                wanted.update(ledger.needles(ledger.values(at)))
            elif "said" in pathlib.Path(at).parts:
                files += [p for p in (pathlib.Path(at) / n for n in names) if p.stat().st_size]
    if not wanted or not files:
        sys.exit(f"search.py: nothing to look {'in' if wanted else 'for'}")
    finds = collections.defaultdict(set)
    for name, _, kind in ledger.find(wanted, files):
        finds[name].add(kind)
    for name, _, _ in ledger.grep(["-E", "-e", JWT], files):
        finds[name].add("something like a JWT")
    for name in sorted(finds):
        for kind in sorted(finds[name]):
            print(f"{os.path.relpath(name, roots[0])}: {kind}")
    if "-v" in sys.argv:
        size = sum(p.stat().st_size for p in files)
        print(f"# {len(files)} files of {size / 1e6:.1f} MB were searched for {len(wanted)} spellings")
    sys.exit(bool(finds))


main()
