#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""run.py SUITE...: searches all that a run of tests/run made, after these suites. TAP.

The run is the directory $NMI_RUN: `boxes` with one for each node in a box, named SUITE.BOX, as sb_run_dir of
tests/sandbox/cluster.sh made them; `said` with the output of each test; `fakes/ledger` with what unit tests
have for tokens. A search that was given too little would find nothing, so that is looked at first.
"""
import os, pathlib, random, subprocess, sys, tempfile

import ledger

WITH_BOXES = {"sandbox", "e2e", "identity", "tokens", "interop", "attack", "bench", "soak", "faults"}
WITH_AUDIT = {"e2e", "tokens", "faults"}
WITH_AGENT = WITH_BOXES - {"sandbox"}
SEARCH = pathlib.Path(__file__).with_name("search.py")


def search(*roots):
    run = subprocess.run([SEARCH, "-v", *roots], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.splitlines() + run.stderr.splitlines()


def has(box, name):
    return any(p.stat().st_size for p in (box / "said").glob(f"{name}*"))


def given(boxes, suites):
    """(sentence, fault or None): is there what there must be?"""
    left = [b.name for b in boxes if not (b / "complete").exists()]
    if boxes:
        yield "every box that was raised was handed over when it went down", " ".join(left)
    for suite in sorted(WITH_BOXES & suites):
        mine = [b for b in boxes if b.name.startswith(f"{suite}.")]
        counts = {what: sum(has(b, what) for b in mine) for what in ("log", "metrics", "events", "refusals", "audit")}
        print(f"# {suite}: {len(mine)} boxes; with {', '.join(f'{n} {what}' for what, n in counts.items())}")
        fault = "" if mine else "there is none"
        if mine and suite in WITH_AGENT and not (counts["log"] and counts["metrics"]):
            fault = "no log of the agent, or no metrics, is in any"
        if mine and suite in WITH_AUDIT and not counts["audit"]:
            fault = fault or "no audit log is in any"
        yield f"{suite}: its boxes are there to be searched", fault
        empty = [b.name for b in mine if has(b, "log") and not any(True for _ in ledger.entries(b / "ledger"))]
        yield f"{suite}: so is what their stand-ins gave", " ".join(empty)


def planted(run):
    """(sentence, fault or None): one of each kind, taken from this run, is found in a log."""
    by_kind = {}
    for directory in run.rglob("ledger"):
        for kind, raw in ledger.values(directory):
            if any(len(ledger.searchable(p)) >= 2 * ledger.SHORT for p in ledger.pieces(raw)):
                by_kind.setdefault("Secret" if kind.startswith("Secret ") else kind, []).append((kind, raw))
    with tempfile.TemporaryDirectory(prefix="nmi-planted-") as at:
        said = pathlib.Path(at) / "said"
        said.mkdir()
        for n, values in enumerate(by_kind.values()):
            (said / str(n)).write_bytes(b'level=info text="' + random.choice(values)[1] + b'"\n')
        _, lines = search(run, at)
    for n, kind in enumerate(by_kind):
        found = any(f"said/{n}: " in line and "like a JWT" not in line for line in lines)
        yield f"one of this run would be found: {kind}", "" if found else "it is not"


def main():
    run, suites = pathlib.Path(os.environ["NMI_RUN"]), set(sys.argv[1:])
    results = list(given(sorted((run / "boxes").iterdir()), suites))
    outputs = list((run / "said").iterdir())
    results.append(("the output of tests is there", "" if outputs else "there is none"))
    results += planted(run)
    code, lines = search(run)
    print(*[line for line in lines if line.startswith("#")], sep="\n")
    finds = [line for line in lines if not line.startswith("#")]
    sentence = "no secret, key, assertion or token stands in a log, metric, event, refusal or output"
    results.append((sentence, "\n".join(finds[:30]) or ("" if code == 0 else "the search failed")))
    for n, (sentence, fault) in enumerate(results, 1):
        print(f"{'not ok' if fault else 'ok'} {n} - {sentence}")
        print(*[f"#   {line}" for line in fault.splitlines()], sep="\n", end="\n" if fault else "")
    print(f"1..{len(results)}")
    sys.exit(any(fault for _, fault in results))


main()
