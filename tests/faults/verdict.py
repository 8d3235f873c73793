#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""verdict.py REPORT: what a schedule of faults has shown. Lines "ok|not ok<TAB>sentence<TAB>figures, or what was wrong"."""
import json, pathlib, sys

SENTENCES = {
    "every token was of the identity of its pod, for what it asked, signed and still good": ("a wrong token",),
    "no request of a pod has reached IMDS": ("an open path",),
    "what a fault does not concern was served as ever": ("not served",),
    "nobody waits long for what a fault has lost": ("kept waiting after the end",),
    "all was as before within 5 s of a fault's end": ("slow recovery", "no recovery"),
    "no process ended that was not ended": ("a crash",),
    "nothing was left behind": ("a leak",),
    "the test did what it should": ("the test itself",),
}


def main():
    doc = json.loads(pathlib.Path(sys.argv[1]).read_text())
    slowest = max(doc["recovery_sec"].items(), key=lambda kv: kv[1], default=("nothing", 0))
    figures = {"a wrong token": f"{doc.get('good', 0)} answers, seed {doc['seed']}", "slow recovery": f"at most {slowest[1]} s, {slowest[0]}",
               "a leak": json.dumps(doc["figures"]) if doc["figures"] else "not told: no agent lives long enough", "not served": f"{doc.get('excused', 0)} others failed and may",
               "the test itself": f"{doc.get('faults', 0)} faults, {doc.get('pairs', 0)} times two, {doc['cpu_percent']} % of a core"}
    known = {k for kinds in SENTENCES.values() for k in kinds}
    for sentence, kinds in SENTENCES.items():
        wrong = [w for w in doc["wrong"] if w["what"] in kinds or kinds[0] == "the test itself" and w["what"] not in known]
        told = "|".join(f"{w['at']} {w['what']}: {w['of']}: {w['got']}; near: {', '.join(w['near'])}" for w in wrong[:8])
        enough = kinds[0] != "the test itself" or (doc.get("faults", 0) > 0 and doc.get("good", 0) > 50)
        print("not ok" if wrong or not enough else "ok", sentence, told or figures.get(kinds[0], "none"), sep="\t")


main()
